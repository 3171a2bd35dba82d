//! Connection state recovery, with a server that plays its part by hand. Time is virtual.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use crate::peer::{self, Peer};
use sockeye_client::{
    Args, Client, ClientBuilder, DisconnectDetail, DisconnectReason, EventName, Next, Socket,
};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

async fn start() -> (UnixListener, Socket, mpsc::UnboundedReceiver<String>) {
    start_with(|builder| builder).await
}

async fn start_with(
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (UnixListener, Socket, mpsc::UnboundedReceiver<String>) {
    let (listener, url) = peer::listen();
    let (sender, story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    let told = sender.clone();
    let socket = change(Client::builder(url))
        .listeners(|socket| {
            socket.on_any(move |EventName(name): EventName, args: Args| {
                tell.send(format!("{name} {}", args.as_json())).unwrap();
            });
        })
        .on("connect", move |socket: Socket| {
            told.send(format!("connect {}", socket.recovered()))
                .unwrap();
        })
        .on("disconnect", move |reason: DisconnectReason| {
            sender.send(reason.to_string()).unwrap();
        })
        .connect_lazy()
        .unwrap();
    (listener, socket, story)
}

#[tokio::test(start_paused = true)]
async fn missed_events_come_before_connect_and_the_id_stays() {
    let (listener, socket, mut story) = start().await;
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, "40");
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    assert_eq!(story.recv().await.unwrap(), "connect false");
    peer.send(r#"42["news",1,"offset-1"]"#).await;
    assert_eq!(story.recv().await.unwrap(), r#"news 1,"offset-1""#);
    drop(peer);
    assert_eq!(story.recv().await.unwrap(), "transport close");

    let mut peer = Peer::accept(&listener).await;
    assert_eq!(
        peer.receive().await,
        r#"40{"pid":"secret","offset":"offset-1"}"#
    );
    peer.send(r#"42["news",2,"offset-2"]"#).await;
    peer.send(r#"42["news",3,"offset-3"]"#).await;
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    assert_eq!(story.recv().await.unwrap(), r#"news 2,"offset-2""#);
    assert_eq!(story.recv().await.unwrap(), r#"news 3,"offset-3""#);
    assert_eq!(story.recv().await.unwrap(), "connect true");
    assert_eq!(socket.id().as_deref(), Some("one"));
    drop(peer);
    assert_eq!(story.recv().await.unwrap(), "transport close");

    // The server has forgotten us meanwhile.
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(
        peer.receive().await,
        r#"40{"pid":"secret","offset":"offset-3"}"#
    );
    peer.send(r#"40{"sid":"two","pid":"other"}"#).await;
    assert_eq!(story.recv().await.unwrap(), "connect false");
    assert_eq!(socket.id().as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn who_has_got_nothing_shows_where_it_began() {
    let (listener, _socket, mut story) = start().await;
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, "40");
    peer.send(r#"40{"sid":"one","pid":"secret","offset":"begin"}"#)
        .await;
    assert_eq!(story.recv().await.unwrap(), "connect false");
    drop(peer);
    assert_eq!(story.recv().await.unwrap(), "transport close");
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(
        peer.receive().await,
        r#"40{"pid":"secret","offset":"begin"}"#
    );
    peer.send(r#"42["news",1,"offset-1"]"#).await;
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    assert_eq!(story.recv().await.unwrap(), r#"news 1,"offset-1""#);
    assert_eq!(story.recv().await.unwrap(), "connect true");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_on_purpose_is_not_recovered() {
    let (listener, socket, mut story) = start().await;
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    peer.send(r#"42["news",1,"offset-1"]"#).await;
    assert_eq!(story.recv().await.unwrap(), "connect false");
    story.recv().await.unwrap();
    socket.disconnect();
    assert_eq!(peer.receive().await, "41");
    drop(peer);
    socket.client().closed().await;
    socket.connect_lazy();
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, "40");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_on_purpose_while_it_is_being_lost_is_not_recovered() {
    let (listener, socket, mut story) = start().await;
    socket.on_disconnecting(|socket: Socket| socket.disconnect());
    lose_the_first(&listener, &mut story).await;
    socket.client().closed().await;
    socket.connect_lazy();
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, "40");
}

#[tokio::test(start_paused = true)]
async fn event_that_wants_an_answer_has_no_offset() {
    let (listener, _socket, mut story) = start().await;
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    peer.send(r#"42["news",1,"offset-1"]"#).await;
    peer.send(r#"427["ask","no offset"]"#).await;
    for expected in [
        "connect false",
        r#"news 1,"offset-1""#,
        r#"ask "no offset""#,
    ] {
        assert_eq!(story.recv().await.unwrap(), expected);
    }
    drop(peer);
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(
        peer.receive().await,
        r#"40{"pid":"secret","offset":"offset-1"}"#
    );
}

/// A first connection, which ends after one event.
async fn lose_the_first(listener: &UnixListener, story: &mut mpsc::UnboundedReceiver<String>) {
    let mut peer = Peer::accept(listener).await;
    assert_eq!(peer.receive().await, "40");
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    peer.send(r#"42["news",1,"offset-1"]"#).await;
    drop(peer);
    for expected in ["connect false", r#"news 1,"offset-1""#, "transport close"] {
        assert_eq!(story.recv().await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn missed_events_come_again_if_the_connection_is_lost_before_the_answer() {
    let (listener, _socket, mut story) = start().await;
    lose_the_first(&listener, &mut story).await;
    let resume = r#"40{"pid":"secret","offset":"offset-1"}"#;
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, resume);
    peer.send(r#"42["news",2,"offset-2"]"#).await;
    drop(peer);
    assert_eq!(story.recv().await.unwrap(), "transport close");

    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, resume);
    peer.send(r#"42["news",2,"offset-2"]"#).await;
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    assert_eq!(story.recv().await.unwrap(), r#"news 2,"offset-2""#);
    assert_eq!(story.recv().await.unwrap(), "connect true");
}

#[tokio::test(start_paused = true)]
async fn socket_whose_offset_is_not_answered_twice_is_not_recovered() {
    let (listener, _socket, mut story) = start().await;
    lose_the_first(&listener, &mut story).await;
    for _ in 0..2 {
        let mut peer = Peer::accept(&listener).await;
        assert_eq!(
            peer.receive().await,
            r#"40{"pid":"secret","offset":"offset-1"}"#
        );
        drop(peer);
        assert_eq!(story.recv().await.unwrap(), "transport close");
    }
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, "40");
    peer.send(r#"40{"sid":"two","pid":"other"}"#).await;
    assert_eq!(story.recv().await.unwrap(), "connect false");
}

#[tokio::test(start_paused = true)]
async fn long_text_at_the_end_of_an_event_is_no_offset() {
    let (listener, _socket, mut story) = start().await;
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    peer.send(r#"42["news",1,"offset-1"]"#).await;
    let long = "a".repeat(300);
    peer.send(&format!(r#"42["volatile","{long}"]"#)).await;
    drop(peer);
    assert_eq!(story.recv().await.unwrap(), "connect false");
    assert_eq!(story.recv().await.unwrap(), r#"news 1,"offset-1""#);
    assert!(story.recv().await.unwrap().starts_with("volatile"));
    assert_eq!(story.recv().await.unwrap(), "transport close");
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(
        peer.receive().await,
        r#"40{"pid":"secret","offset":"offset-1"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn socket_that_missed_more_than_may_be_held_is_not_recovered() {
    let (listener, socket, mut story) = start_with(|builder| {
        builder.config(|config| config.inbox(|inbox| inbox.max_held_bytes(512)))
    })
    .await;
    lose_the_first(&listener, &mut story).await;
    let (tell, mut details) = mpsc::unbounded_channel();
    socket.on_disconnect(move |DisconnectDetail(detail): DisconnectDetail| {
        let _ = tell.send(detail.unwrap().to_string());
    });
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(
        peer.receive().await,
        r#"40{"pid":"secret","offset":"offset-1"}"#
    );
    for n in 2..5 {
        peer.send(&format!(r#"42["news",{n},"offset-{n}"]"#)).await;
    }
    assert_eq!(story.recv().await.unwrap(), "transport error");
    assert_eq!(
        details.recv().await.unwrap(),
        "more events were missed than `max_held_bytes` allows to hold"
    );

    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, "40");
    peer.send(r#"40{"sid":"two","pid":"other"}"#).await;
    assert_eq!(story.recv().await.unwrap(), "connect false");
}

#[tokio::test(start_paused = true)]
async fn thousands_of_missed_events_come_before_connect() {
    let (listener, _socket, mut story) = start().await;
    lose_the_first(&listener, &mut story).await;
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    for n in 2..5000 {
        peer.send(&format!(r#"42["news",{n},"offset-{n}"]"#)).await;
    }
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    for n in 2..5000 {
        let expected = format!(r#"news {n},"offset-{n}""#);
        assert_eq!(story.recv().await.unwrap(), expected);
    }
    assert_eq!(story.recv().await.unwrap(), "connect true");
}

#[tokio::test(start_paused = true)]
async fn event_that_a_middleware_has_not_decided_about_comes_again() {
    let (listener, socket, mut story) = start().await;
    socket.middleware(|args: Args| {
        let stuck = args.get(0) == Some("2");
        async move {
            if stuck {
                std::future::pending::<()>().await;
            }
            Next::Pass
        }
    });
    lose_the_first(&listener, &mut story).await;
    let resume = r#"40{"pid":"secret","offset":"offset-1"}"#;
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, resume);
    peer.send(r#"40{"sid":"one","pid":"secret"}"#).await;
    peer.send(r#"42["news",2,"offset-2"]"#).await;
    peer.send(r#"42["news",3,"offset-3"]"#).await;
    drop(peer);
    assert_eq!(story.recv().await.unwrap(), "connect true");
    // The handlers of every event come before the middlewares.
    assert_eq!(story.recv().await.unwrap(), r#"news 2,"offset-2""#);
    assert_eq!(story.recv().await.unwrap(), "transport close");
    let mut peer = Peer::accept(&listener).await;
    assert_eq!(peer.receive().await, resume);
}
