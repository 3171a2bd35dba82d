//! What is delivered, counted and told when an engine fails.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use sockeye_cluster::ClusterConfig;
use sockeye_server::adapter::{ClusterChange, ClusterCounts};
use sockeye_server::{ConfigError, Server, ServerConfig};

use super::load::{Listening, Load};
use super::outages::until_degraded;
use super::{Engine, Node, PATIENCE, Process, drain, eventually, meet, settled};
use crate::engines;

/// An engine is restarted while a server emits 2,000 events a second. That server's own clients miss nothing; those of
/// another one miss what was on its way, and of what is emitted from when the loss was noticed they miss nothing either. With
/// a log nothing is lost at all.
///
/// # Panics
///
/// If it is otherwise.
pub async fn engine_restarts_under_load(engine: &Engine, mut process: impl Process) {
    let config = ClusterConfig::default().max_queue_age(Duration::from_secs(60));
    let nodes = ["node-0", "node-1"].map(|name| engine.node_with(name, config.clone()));
    meet(&nodes).await;
    let witnesses = Witnesses::of(&nodes).await;
    let mut changes = [&nodes[0], &nodes[1]].map(changes);
    let load = Load::start(&nodes[0].io, "room", 2000);
    load.more(1000).await;
    process.stop();
    for node in &nodes {
        until_degraded(node, "").await;
    }
    let noticed = load.begun();
    load.more(500).await;
    process.start();
    meet(&nodes).await;
    load.more(2000).await;
    let heard = witnesses.end(&nodes, load).await;
    heard.assert_order();
    eprintln!("{noticed} when the loss was noticed, {heard}");
    if engine.recovery {
        assert!(heard.missed.is_empty(), "a log loses nothing: {heard}");
        return;
    }
    heard.assert_all_since(noticed);
    for changes in &mut changes {
        assert!(is_gap_told(changes), "there was no gap");
    }
}

/// A client of each of two servers, of which the first emits.
struct Witnesses {
    local: Listening,
    remote: Listening,
}

/// What they have got.
struct Heard {
    /// How many there were.
    sent: u64,
    /// What has come to the client of the second server, as it came.
    got: Vec<u64>,
    /// What has not.
    missed: Vec<u64>,
    counts: ClusterCounts,
}

impl Witnesses {
    async fn of(nodes: &[Node; 2]) -> Self {
        let local = Listening::start(nodes[0].peer(&["room"]).await);
        let remote = Listening::start(nodes[1].peer(&["room"]).await);
        settled(nodes).await;
        Self { local, remote }
    }

    /// Ends the load, of which the first server's client has missed nothing.
    async fn end(self, nodes: &[Node; 2], load: Load) -> Heard {
        let sent = load.end().await;
        settled(nodes).await;
        nodes[0].io.to("room").emit("end", ()).expect("sent");
        let all: Vec<_> = (0..sent).collect();
        let local = self.local.end().await;
        assert_eq!(local, all, "a local client has missed something");
        let got = self.remote.end().await;
        let known: HashSet<_> = got.iter().copied().collect();
        Heard {
            sent,
            missed: all.into_iter().filter(|n| !known.contains(n)).collect(),
            got,
            counts: counts(&nodes[0]),
        }
    }
}

impl Heard {
    fn assert_order(&self) {
        let is_ordered = self.got.is_sorted_by(|a, b| a < b);
        assert!(is_ordered, "order is lost, or twice: {:?}", self.got);
    }

    fn assert_all_since(&self, first: u64) {
        let is_all = self.missed.last() < Some(&first);
        assert!(is_all, "something that came after {first} is lost: {self}");
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            missed,
            counts,
            ..
        } = self;
        write!(f, "{sent} sent, {missed:?} missed, {counts:?}")
    }
}

/// The connections of one of two servers, or of both, are cut while one emits 400 events a second, some of them larger by
/// this many bytes. That server's own clients miss nothing, those of the other one nothing of what is emitted when both are
/// back; that something may be missed is told where the connection was cut.
///
/// # Panics
///
/// If it is otherwise.
pub async fn connections_are_cut_under_load(
    nodes: &[Node; 2],
    padding: usize,
    is_cut: [bool; 2],
    cut: impl AsyncFnOnce(),
) {
    let witnesses = Witnesses::of(nodes).await;
    let [mut near, mut far] = [&nodes[0], &nodes[1]].map(changes);
    let load = Load::padded(&nodes[0].io, "room", 400, padding);
    load.more(100).await;
    cut().await;
    for (changes, _) in [&mut near, &mut far]
        .into_iter()
        .zip(is_cut)
        .filter(|(_, is_cut)| *is_cut)
    {
        let told = tokio::time::timeout(PATIENCE, until_restored(changes)).await;
        assert!(
            told.is_ok(),
            "it was not told that the connection was cut, and is there again"
        );
    }
    meet(nodes).await;
    settled(nodes).await;
    let restored = load.sent();
    load.more(100).await;
    let heard = witnesses.end(nodes, load).await;
    heard.assert_order();
    heard.assert_all_since(restored);
}

/// Waits until it is told that the engine was away, that something may be missed, and that the engine is there again.
async fn until_restored(changes: &mut BoxStream<'static, ClusterChange>) {
    let (mut is_degraded, mut is_gap, mut is_up) = (false, false, false);
    while !(is_gap && is_up) {
        match changes.next().await {
            Some(ClusterChange::Degraded(_)) => is_degraded = true,
            // Of the same gaps the last one is told, which may come later.
            Some(ClusterChange::Gap { .. }) => is_gap = true,
            Some(ClusterChange::Up) => is_up = is_degraded,
            _ => {}
        }
    }
}

/// An engine stands still while a server emits, for longer than servers wait for it: they say that they do not reach it. Then
/// it goes on. Local clients miss nothing, and those of another server nothing of what is emitted from when the loss was
/// noticed; nothing comes twice.
///
/// # Panics
///
/// If it is otherwise.
pub async fn engine_stands_still_for_too_long(engine: &Engine, process: engines::Engine) {
    let config = ClusterConfig::default().max_queue_age(Duration::from_secs(60));
    let nodes = ["node-0", "node-1"].map(|name| engine.node_with(name, config.clone()));
    meet(&nodes).await;
    let witnesses = Witnesses::of(&nodes).await;
    let mut changes = [&nodes[0], &nodes[1]].map(changes);
    let load = Load::start(&nodes[0].io, "room", 200);
    load.more(50).await;
    process.freeze();
    for node in &nodes {
        until_degraded(node, "").await;
    }
    let noticed = load.begun();
    load.more(50).await;
    process.thaw();
    meet(&nodes).await;
    load.more(50).await;
    let mut heard = witnesses.end(&nodes, load).await;
    // What had got to the engine before it stood still may overtake, or be overtaken.
    heard.got.sort_unstable();
    heard.assert_order();
    heard.assert_all_since(noticed);
    for changes in &mut changes {
        assert!(is_gap_told(changes), "there was no gap");
    }
}

/// What waits for longer than it may is dropped, which is counted and told; what comes later is not.
///
/// # Panics
///
/// If it is otherwise.
pub async fn messages_that_wait_too_long_are_counted(engine: &Engine, mut process: impl Process) {
    let age = Duration::from_secs(1);
    let config = ClusterConfig::default().max_queue_age(age);
    let nodes = [
        engine.node_with("node-0", config),
        engine.node_with("node-1", ClusterConfig::default()),
    ];
    meet(&nodes).await;
    let mut remote = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    process.stop();
    for node in &nodes {
        until_degraded(node, "").await;
    }
    let before = counts(&nodes[0]);
    let mut changes = changes(&nodes[0]);
    for number in 0..100 {
        nodes[0].io.to("room").emit("x", number).expect("sent");
    }
    eventually("they are too old", async || {
        counts(&nodes[0]).dropped_old >= before.dropped_old + 100
    })
    .await;
    assert!(is_gap_told(&mut changes), "there was no gap");
    process.start();
    meet(&nodes).await;
    settled(&nodes).await;
    nodes[0].io.to("room").emit("x", "after").expect("sent");
    settled(&nodes).await;
    let got = drain(&mut remote).await;
    assert!(
        got.len() == 1 && got[0].starts_with(r#"2["x","after""#),
        "{got:?}"
    );
}

/// What is more than may wait is dropped, the oldest first, which is counted and told; the rest arrives.
///
/// # Panics
///
/// If it is otherwise.
pub async fn too_many_messages_are_counted(engine: &Engine, mut process: impl Process) {
    let config = ClusterConfig::default()
        .max_queue_bytes(100_000)
        .max_queue_age(Duration::from_secs(60));
    let nodes = ["node-0", "node-1"].map(|name| engine.node_with(name, config.clone()));
    meet(&nodes).await;
    let remote = Listening::start(nodes[1].peer(&["room"]).await);
    settled(&nodes).await;
    process.stop();
    for node in &nodes {
        until_degraded(node, "").await;
    }
    let mut changes = changes(&nodes[0]);
    let before = counts(&nodes[0]);
    for number in 0..1000 {
        nodes[0].io.to("room").emit("x", number).expect("sent");
    }
    let after = counts(&nodes[0]);
    let dropped = after.dropped_large - before.dropped_large;
    assert!((1..1000).contains(&dropped), "{after:?}");
    assert!(after.queued_bytes <= 100_000, "{after:?}");
    assert!(is_gap_told(&mut changes), "there was no gap");
    process.start();
    meet(&nodes).await;
    settled(&nodes).await;
    nodes[0].io.to("room").emit("end", ()).expect("sent");
    let got = remote.end().await;
    let end = counts(&nodes[0]);
    // What is asked in the meantime may take the place of one more.
    let dropped = end.dropped_large - before.dropped_large;
    let rest: Vec<_> = (dropped..1000).collect();
    assert!(got.ends_with(&rest[1..]), "{got:?} of {rest:?}, {end:?}");
}

/// A server leaves at once if its engine is away.
///
/// # Panics
///
/// If it does not.
pub async fn servers_leave_without_their_engine(engine: &Engine, mut process: impl Process) {
    let node = engine.node_with("node-0", ClusterConfig::default());
    meet(std::slice::from_ref(&node)).await;
    process.stop();
    until_degraded(&node, "").await;
    node.io.emit("x", 1).expect("sent");
    let start = Instant::now();
    node.io.close().await;
    // With a log, its sockets are to be found there by others.
    assert!(engine.recovery || start.elapsed() < Duration::from_secs(4));
}

/// A second server with a clone of a server's configuration is refused.
///
/// # Panics
///
/// If it is not.
pub fn configuration_is_for_one_server(engine: &Engine) {
    let config = ServerConfig::default().cluster((engine.open)(None));
    let first = Server::with_config(config.clone());
    let second = Server::with_config(config);
    assert_eq!(second.err(), Some(ConfigError::ClusterTaken));
    assert!(first.is_ok());
}

fn counts(node: &Node) -> ClusterCounts {
    node.io.cluster().expect("it is in a cluster").counts()
}

fn changes(node: &Node) -> BoxStream<'static, ClusterChange> {
    node.io.cluster().expect("it is in a cluster").changes()
}

/// Whether a gap is among the changes so far.
pub(super) fn is_gap_told(changes: &mut BoxStream<'static, ClusterChange>) -> bool {
    let mut is_told = false;
    while let Some(Some(change)) = changes.next().now_or_never() {
        is_told |= matches!(change, ClusterChange::Gap { .. });
    }
    is_told
}
