//! What happens while the engine is away, and after that.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use sockeye_server::adapter::{ClusterChange, ClusterState};

use super::recovery::{Guest, Load, whole};
use super::{Engine, Node, drain, eventually, meet, settled};
use crate::engines;

/// A server begins while its engine is not there, does what it can, and joins the others when it can.
///
/// # Panics
///
/// If it does not.
pub async fn servers_begin_without_their_engine(engine: &Engine, mut process: engines::Engine) {
    process.stop();
    let nodes = [engine.node("node-0"), engine.node("node-1")];
    for node in &nodes {
        until_degraded(node, "").await;
    }
    let mut local = nodes[0].peer(&["room"]).await;
    nodes[0].io.to("room").emit("x", 1).expect("sent");
    assert_eq!(local.text().await, r#"2["x",1]"#);
    process.start();
    meet(&nodes).await;
    let mut remote = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    nodes[0].io.to("room").emit("x", 2).expect("sent");
    assert_eq!(local.text().await, r#"2["x",2]"#);
    assert_eq!(remote.text().await, r#"2["x",2]"#);
}

/// An engine is killed and started again: local sockets miss nothing, and remote ones only if that is told as a gap, which
/// it never has to be if the engine loses nothing. Then all is as before, in rooms that were joined in the meantime as well.
///
/// # Panics
///
/// If it is not.
pub async fn engine_may_be_killed(engine: &Engine, mut process: engines::Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut local = nodes[0].peer(&["room"]).await;
    let mut remote = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    let mut changes = nodes[1].io.cluster().expect("a cluster").changes();
    process.stop();
    for number in 0..100 {
        nodes[0].io.to("room").emit("x", number).expect("sent");
        assert_eq!(local.text().await, format!(r#"2["x",{number}]"#));
    }
    for node in &nodes {
        until_degraded(node, "").await;
    }
    let mut late = nodes[1].peer(&["late"]).await;
    process.start();
    meet(&nodes).await;
    settled(&nodes).await;
    nodes[0].io.to("room").emit("x", "after").expect("sent");
    nodes[0].io.to("late").emit("x", "late").expect("sent");
    settled(&nodes).await;
    let texts = drain(&mut remote).await;
    assert_eq!(texts.last().expect("the last one"), r#"2["x","after"]"#);
    for text in &texts {
        let times = texts.iter().filter(|other| *other == text).count();
        assert_eq!(times, 1, "{text} came {times} times");
    }
    assert_eq!(drain(&mut late).await, [r#"2["x","late"]"#]);
    let mut is_told = false;
    while let Some(Some(change)) = changes.next().now_or_never() {
        is_told |= matches!(change, ClusterChange::Gap { .. });
    }
    if engine.is_durable {
        let numbers = (0..100).map(|number| format!(r#"2["x",{number}]"#));
        let all: Vec<_> = numbers.chain([r#"2["x","after"]"#.to_owned()]).collect();
        assert_eq!((texts, is_told), (all, false));
    } else {
        assert!(is_told, "there was no gap");
    }
}

/// An engine is killed and started again while one server emits: those of another get each event once, in order.
///
/// # Panics
///
/// If they do not.
pub async fn nothing_is_lost_while_the_engine_is_away(
    engine: &Engine,
    mut process: engines::Engine,
) {
    let nodes = engine.nodes::<2>().await;
    let mut guest = Guest::new(&nodes[1], &[]).await;
    settled(&nodes).await;
    let _load = Load::begin(&nodes[0]);
    for _ in 0..2 {
        whole(&mut guest, 100).await;
        process.stop();
        for node in &nodes {
            until_degraded(node, "").await;
        }
        process.start();
    }
    whole(&mut guest, 500).await;
}

/// An engine that stands still for a moment holds nobody up, and what was sent meanwhile arrives.
///
/// # Panics
///
/// If it does not.
pub async fn engine_may_stand_still(engine: &Engine, process: engines::Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut local = nodes[0].peer(&["room"]).await;
    let mut remote = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    process.freeze();
    for number in 0..100 {
        nodes[0].io.to("room").emit("x", number).expect("sent");
        assert_eq!(local.text().await, format!(r#"2["x",{number}]"#));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.thaw();
    for number in 0..100 {
        assert_eq!(remote.text().await, format!(r#"2["x",{number}]"#));
    }
}

/// Waits until this server says that it does not reach the engine, with such a reason.
///
/// # Panics
///
/// If it does not.
pub async fn until_degraded(node: &Node, reason: &str) {
    let cluster = node.io.cluster().expect("it is in a cluster");
    let what = format!("the engine is missed: {reason}");
    eventually(
        &what,
        async || matches!(cluster.state(), ClusterState::Degraded(why) if why.contains(reason)),
    )
    .await;
}
