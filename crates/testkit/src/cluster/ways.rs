//! What happens when something is wrong on the way to an engine.

use std::fmt;
use std::fs;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use sockeye_cluster::ClusterConfig;
use sockeye_server::adapter::{ClusterChange, ClusterState, IntoCluster};

use super::failures::is_gap_told;
use super::{Engine, eventually, meet, settled};
use crate::engines::{self, Way};

/// An engine, and a way to it on which something can go wrong.
pub struct Ways {
    /// How servers join others directly.
    pub direct: Engine,
    /// How they do by that way.
    pub detour: Engine,
    /// That way.
    pub way: Way,
}

impl Ways {
    /// The ways to this engine, which servers join by what this function makes of a URL.
    pub async fn to<C: IntoCluster>(
        engine: engines::Engine,
        open: impl Fn(&str, ClusterConfig) -> C + Clone + Send + Sync + 'static,
    ) -> Self {
        let way = Way::to(engine.port()).await;
        let port = |port: u16| format!(":{port}");
        let url = engine.url();
        let by_way = url.replace(&port(engine.port()), &port(way.port()));
        let open_by_way = open.clone();
        Self {
            direct: Engine::with_config(move |config| open(&url, config)).keeping(engine),
            detour: Engine::with_config(move |config| open_by_way(&by_way, config)),
            way,
        }
    }
}

/// A server hears nothing any more, though its connections stay: it notices, connects again, and hears again what is for its
/// rooms. What it may have missed is told as a gap.
///
/// # Panics
///
/// If it does not.
pub async fn deaf_server_is_noticed(ways: &Ways) {
    let nodes = [ways.detour.node("deaf"), ways.direct.node("other")];
    meet(&nodes).await;
    let mut peer = nodes[0].peer(&["room"]).await;
    settled(&nodes).await;
    let cluster = nodes[0].io.cluster().expect("it is in a cluster");
    let mut changes = cluster.changes();
    ways.way.deafen();
    nodes[0].io.to("room").emit("x", "local").expect("sent");
    assert_eq!(peer.text().await, r#"2["x","local"]"#);
    let mut told = Vec::new();
    eventually("it is noticed", async || {
        while let Some(Some(change)) = changes.next().now_or_never() {
            told.push(change);
        }
        let is_lost = |change: &ClusterChange| matches!(change, ClusterChange::Degraded(_));
        told.iter().any(is_lost) && cluster.state() == ClusterState::Up
    })
    .await;
    meet(&nodes).await;
    settled(&nodes).await;
    nodes[1].io.to("room").emit("x", "remote").expect("sent");
    nodes[1].io.emit("x", "all").expect("sent");
    assert_eq!(peer.text().await, r#"2["x","remote"]"#);
    assert_eq!(peer.text().await, r#"2["x","all"]"#);
    nodes[0].io.to("room").emit("x", "local").expect("sent");
    assert_eq!(peer.text().await, r#"2["x","local"]"#);
}

/// An engine takes a small part of 100 MB: no more waits than may, what is dropped is counted and told, and local clients get
/// all of it meanwhile.
///
/// # Panics
///
/// If it is otherwise.
pub async fn slow_engine_costs_no_more_than_it_may(ways: &Ways) {
    const EVENTS: u64 = 1600;
    const BYTES: usize = 64 * 1024;
    const QUEUE: usize = 4 * 1024 * 1024;
    let config = ClusterConfig::default()
        .max_queue_bytes(QUEUE)
        .max_queue_age(Duration::from_secs(600))
        .leave_timeout(Duration::ZERO);
    let nodes = [
        ways.detour.node_with("slow", config),
        ways.direct.node("other"),
    ];
    meet(&nodes).await;
    let mut local = nodes[0].peer(&["room"]).await;
    settled(&nodes).await;
    ways.way.slow_down(16 * 1024);
    let cluster = nodes[0].io.cluster().expect("it is in a cluster");
    let mut changes = cluster.changes();
    let much = "x".repeat(BYTES);
    let before = cluster.counts();
    let memory = Memory::now();
    for number in 0..EVENTS {
        nodes[0]
            .io
            .to("room")
            .emit("x", (number, &*much))
            .expect("sent");
        let text = local.text().await;
        assert!(text.starts_with(&format!(r#"2["x",{number},"#)), "{number}");
        let waiting = cluster.counts().queued_bytes;
        assert!(waiting <= QUEUE, "{waiting} bytes wait");
    }
    let after = cluster.counts();
    let grown = memory.grown();
    eprintln!("{grown:?} more of memory, {after:?}");
    let dropped = after.dropped_large - before.dropped_large;
    let failed = after.failed - before.failed;
    let published = after.published - before.published;
    let queued = after.queued as u64;
    let on_their_way = EVENTS.saturating_sub(dropped + failed + published + queued);
    assert!(dropped > 0, "{after:?}");
    let may_be = (QUEUE / BYTES) as u64;
    assert!(
        on_their_way <= may_be,
        "{on_their_way} are at the bus, {after:?}"
    );
    assert!(grown.is_none_or(|grown| grown < 6 * QUEUE), "{grown:?}");
    assert!(is_gap_told(&mut changes), "there was no gap");
}

/// A server cannot send more than 192 KiB a second, and emits so many events of so many bytes at once, which takes longer than
/// an engine may be silent. They arrive, and the connection is not taken for a lost one.
///
/// # Panics
///
/// If it is otherwise.
pub async fn slow_ways_are_no_lost_ones(ways: &Ways, events: usize, bytes: usize) {
    ways.way.slow_down(192 * 1024);
    let patient = ClusterConfig::default().max_queue_age(Duration::from_secs(60));
    let nodes = [
        ways.detour.node_with("slow", patient),
        ways.direct.node("fast"),
    ];
    meet(&nodes).await;
    let mut peer = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    let mut changes = nodes[0].io.cluster().expect("a cluster").changes();
    let much = "x".repeat(bytes);
    for number in 0..events {
        let sent = nodes[0].io.to("room").emit("x", (number, &*much));
        sent.expect("sent");
    }
    for number in 0..events {
        let text = peer.text().await;
        assert!(text.starts_with(&format!(r#"2["x",{number},"#)), "{number}");
    }
    while let Some(Some(change)) = changes.next().now_or_never() {
        assert!(!matches!(change, ClusterChange::Degraded(_)), "{change:?}");
    }
}

/// What this process has needed of memory, where the system says it.
struct Memory(Option<usize>);

impl Memory {
    fn now() -> Self {
        Self(Self::most())
    }

    /// How much more it has needed at most.
    fn grown(&self) -> Option<usize> {
        Some(Self::most()?.saturating_sub(self.0?))
    }

    fn most() -> Option<usize> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(1024 * kibibytes)
    }
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways")
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}
