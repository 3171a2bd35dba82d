//! Commands and servers with certificates that nobody has signed.

use std::sync::Arc;

use sockeye::rustls::ServerConfig;
use sockeye::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sockeye::{Args, ListenOptions, Server};

use crate::server::run;

#[tokio::test(flavor = "multi_thread")]
async fn only_insecure_takes_any_certificate_and_says_so() {
    let signed = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.into()], PrivateKeyDer::from(key))
        .unwrap();
    let io = Server::new();
    io.on("echo", |args: Args| args);
    for scheme in ["https", "tls"] {
        let options = ListenOptions::default().tls(Arc::new(tls.clone()));
        let url = format!("{scheme}://127.0.0.1:0");
        let listener = io.listen_with(url, options).await.unwrap();
        let url = listener.url();
        let emit = async |options: &'static [&'static str]| {
            let url = url.clone();
            let command = move || run(&[&["emit", &url, "echo", "1", "--ack"], options].concat());
            tokio::task::spawn_blocking(command).await.unwrap()
        };
        let ended = emit(&[]).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("--insecure takes any"), "{ended:?}");
        let ended = emit(&["--insecure"]).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), "1\n"),
            "{ended:?}"
        );
        assert!(
            ended.stderr.starts_with("warning: certificates are not"),
            "{ended:?}"
        );
    }
    io.close().await;
}
