//! Connections to NATS over TLS.

use std::fs;

use sockeye_adapter::ClusterState;
use sockeye_adapter_nats::{EngineTls, Nats, NatsTlsError};
use sockeye_testkit::cluster::{
    Engine, broadcasts_reach_the_sockets_of_all_servers_once, eventually,
};
use sockeye_testkit::engines;

/// The URL with the files that make it work.
fn trusting(server: &engines::Engine) -> String {
    let (cert, key) = server.certificate();
    let (url, ca) = (server.url(), server.authority());
    let [ca, cert, key] = [ca, cert, key].map(|file| file.display().to_string());
    format!("{url}?ca={ca}&cert={cert}&key={key}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_those_of_the_urls_files() {
    let Some(server) = engines::nats_tls("files") else {
        return;
    };
    // The server says by itself that it wants TLS.
    for url in [
        trusting(&server),
        trusting(&server).replace("tls://", "nats://"),
    ] {
        let engine = Engine::new(move || Nats::new(&url).expect("a URL of NATS"));
        broadcasts_reach_the_sockets_of_all_servers_once(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_may_be_given_as_they_are() {
    let Some(server) = engines::nats_tls("given") else {
        return;
    };
    let url = server.url();
    let (cert, key) = server.certificate();
    let [ca, cert, key] =
        [server.authority(), cert, key].map(|file| fs::read(file).expect("a file"));
    let engine = Engine::new(move || {
        let tls = EngineTls::default().ca_certificates(ca.clone());
        let tls = tls.client_certificate(cert.clone(), key.clone());
        let nats = Nats::new(&url).expect("a URL of NATS").tls(&tls);
        nats.expect("certificates")
    });
    broadcasts_reach_the_sockets_of_all_servers_once(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_authorities_are_not_trusted() {
    let (Some(server), Some(other)) = (engines::nats_tls("one"), engines::nats_tls("other")) else {
        return;
    };
    let strange = format!("{}?ca={}", server.url(), other.authority().display());
    for url in [server.url(), strange] {
        stays_away(url, "invalid peer certificate").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_asks_for_a_certificate_is_told_none_but_its_own() {
    let Some(server) = engines::nats_tls("nameless") else {
        return;
    };
    let nameless = format!("{}?ca={}", server.url(), server.authority().display());
    stays_away(nameless, "").await;
}

/// A server does not get to this NATS, and says why.
async fn stays_away(url: String, reason: &str) {
    let engine = Engine::new(move || Nats::new(&url).expect("a URL of NATS"));
    let node = engine.node("alone");
    let cluster = node.io.cluster().expect("a cluster");
    eventually(
        "the certificate is refused",
        async || matches!(cluster.state(), ClusterState::Degraded(why) if why.contains(reason)),
    )
    .await;
}

#[test]
fn what_is_wrong_with_certificates_is_said() {
    let error = |tls: &EngineTls| {
        let nats = Nats::new("tls://localhost").expect("a URL of NATS");
        nats.tls(tls).unwrap_err()
    };
    let nothing = error(&EngineTls::default().ca_certificates("nothing"));
    assert!(
        matches!(
            nothing,
            NatsTlsError::Certificate {
                of: "authorities",
                ..
            }
        ),
        "{nothing}"
    );
    let keyless = error(&EngineTls::default().client_certificate("", "no key"));
    assert!(matches!(keyless, NatsTlsError::Key(_)), "{keyless}");
}
