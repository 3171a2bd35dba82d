//! The server inside other tower applications.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use sockeye_server::{ConnectionInfo, Data, Handshake, Server};
use sockeye_testkit::{Case, Log, Net, Peer, Request};
use tokio::net::TcpListener;

fn server() -> Server {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    io
}

/// Serves this on a free port.
async fn serve(app: Router) -> Net {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    Net::tcp(address, "/socket.io/")
}

#[tokio::test]
async fn axum_application_with_the_layer_serves_both() {
    let io = server();
    let app = Router::new()
        .route("/", get(async || "the site"))
        .layer(io.layer());
    let net = serve(app).await;
    let site = net.request(&Request::get("/")).await;
    assert_eq!(site.brief(), (200, "the site"));
    let missing = net.request(&Request::get("/missing")).await;
    assert_eq!(missing.status, 404);
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        let mut peer = Peer::open(&net, case).await;
        peer.join("/").await;
        peer.send(r#"21["echo","hello"]"#).await;
        peer.expect(r#"31["hello"]"#).await;
        if case.is_polling() {
            peer.client.upgrade().await;
            peer.send(r#"22["echo","upgraded"]"#).await;
            peer.expect(r#"32["upgraded"]"#).await;
        }
    }
}

#[tokio::test]
async fn service_can_be_mounted_as_a_fallback() {
    let io = server();
    let app = Router::new()
        .route("/", get(async || "the site"))
        .fallback_service(io.service());
    let net = serve(app).await;
    let mut peer = Peer::open(&net, Case::WEBSOCKET).await;
    peer.join("/").await;
    peer.expect_nothing(1).await;
    let missing = net.request(&Request::get("/missing")).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn address_in_the_request_ends_up_in_the_handshake() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on_connect(move |handshake: Handshake| {
        entries.push((handshake.remote_addr(), handshake.is_secure()));
    });
    let address: SocketAddr = "192.0.2.7:1234".parse().unwrap();
    let info = ConnectionInfo {
        remote_addr: Some(address),
        secure: true,
    };
    let app = Router::new()
        .fallback_service(io.service())
        .layer(axum::Extension(info));
    let net = serve(app).await;
    let mut peer = Peer::open(&net, Case::WEBSOCKET).await;
    peer.join("/").await;
    assert_eq!(log.next().await, (Some(address), true));
}
