//! What happens to the connection below a socket.

use sockeye_server::{Server, Socket};
use sockeye_testkit::{Case, Log, ServerRig};

#[tokio::test]
async fn upgrade_is_told_to_every_socket_of_the_connection() {
    let io = Server::new();
    let log = Log::new();
    let _ = io.of("/other");
    for name in ["/", "/other"] {
        let log = log.clone();
        io.of(name).on_upgrade(move |socket: Socket| {
            log.push((
                socket.namespace().name().to_owned(),
                socket.transport().name(),
            ));
        });
    }
    let own = log.clone();
    io.on_connect(move |socket: Socket| {
        let own = own.clone();
        socket
            .on_upgrade(move |socket: Socket| own.push(("own".into(), socket.transport().name())));
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::POLLING_V3] {
        let mut peer = rig.connect_as(case).await;
        peer.join("/other").await;
        peer.client.upgrade().await;
        let mut told = log.take(3).await;
        told.sort();
        let told: Vec<_> = told.iter().map(|(name, kind)| (&**name, *kind)).collect();
        assert_eq!(
            told,
            [
                ("/", "websocket"),
                ("/other", "websocket"),
                ("own", "websocket")
            ]
        );
    }
    // Where there is nothing to leave, nothing is told, and an event of that name is the peer's own.
    let mut direct = rig.connect().await;
    direct.send(r#"2["upgrade"]"#).await;
    direct.send("1").await;
    assert!(log.rest().is_empty());
}
