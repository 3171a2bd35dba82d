//! What a server is shown of the account in its URL.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use sockeye_adapter_nats::Nats;
use sockeye_cluster::Emitter;

/// What the client says to a server that it has come to by a URL with this in it.
async fn greeting(account: &str) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let greeting = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = server.accept().unwrap();
        let info = r#"INFO {"server_id":"A","version":"2.9.10","proto":1,"auth_required":true,"max_payload":1048576}"#;
        write!(stream, "{info}\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    });
    let emitter = Emitter::new(Nats::new(&format!("nats://{account}{address}")).unwrap()).unwrap();
    emitter.emit("news", ()).unwrap();
    greeting.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_shown_the_account_of_the_url() {
    let greeting = greeting("me:s%40cret@").await;
    assert!(
        greeting.contains(r#""user":"me","pass":"s@cret""#),
        "{greeting}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_shown_the_token_of_the_url() {
    let greeting = greeting("t%3Aken@").await;
    assert!(greeting.contains(r#""auth_token":"t:ken""#), "{greeting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_shown_no_account_that_the_url_does_not_name() {
    let greeting = greeting("").await;
    assert!(!greeting.contains(r#""user":""#), "{greeting}");
}
