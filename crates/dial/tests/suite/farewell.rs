//! The last words of a session on long-polling, and servers that do not listen to them.

use std::time::Duration;

use sockeye_dial::ConnectorConfig;
use sockeye_engine::{CloseReason, TransportKind};

use crate::rig::{Peer, accept, answer, connector, raw, read_head, within};

const OPEN: &str = r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

/// python-socketio forgets the POST in which it was told to end the session.
#[tokio::test]
async fn unanswered_post_does_not_hold_up_the_end_of_a_session_that_is_gone() {
    let (listener, authority) = raw().await;
    let config = ConnectorConfig::default()
        .transports([TransportKind::Polling])
        .limits(|limits| limits.linger(Duration::from_secs(3600)));
    let connector = connector(config);
    let url = format!("http://{authority}");
    let opening = async {
        let mut stream = accept(&listener).await;
        read_head(&mut stream).await;
        answer(&mut stream, "200 OK", OPEN).await;
        stream
    };
    let (peer, mut polls) = tokio::join!(within(Peer::open(&connector, &url)), opening);
    let peer = peer.unwrap();
    assert!(read_head(&mut polls).await.starts_with("GET "));
    peer.text("end this");
    let mut posts = accept(&listener).await;
    assert!(read_head(&mut posts).await.starts_with("POST "));

    peer.opened.session.close();
    answer(&mut polls, "200 OK", "6").await;
    assert!(read_head(&mut polls).await.starts_with("GET "));
    answer(&mut polls, "400 Bad Request", "").await;
    assert_eq!(peer.ended().await.reason, CloseReason::ForcedClose);
}
