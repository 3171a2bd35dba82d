//! Servers of Redis that take each other's place, and connections that are killed or slow.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use sockeye_adapter::{ClusterChange, ClusterState};
use sockeye_adapter_redis::{ClusterConfig, Redis, RedisStreams, ShardedRedis};
use sockeye_testkit::cluster::{self, Engine, Node, Ways, drain, eventually, meet, settled};
use sockeye_testkit::engines::Way;
use sockeye_testkit::{Peer, engines};

/// Two servers, of which one emits to a room all the time.
struct Load {
    nodes: [Node; 2],
    local: Peer,
    remote: Peer,
    sent: usize,
    /// What the other server's socket has got.
    heard: Vec<usize>,
    /// Nothing is missed, as it is in a log.
    is_logged: bool,
}

const PATIENCE: Duration = Duration::from_secs(60);

impl Load {
    async fn on(engine: &Engine) -> Self {
        let nodes = engine.nodes::<2>().await;
        let local = nodes[0].peer(&["room"]).await;
        let remote = nodes[1].peer(&["room", "other"]).await;
        settled(&nodes).await;
        Self {
            nodes,
            local,
            remote,
            sent: 0,
            heard: Vec::new(),
            is_logged: false,
        }
    }

    /// The same on streams.
    async fn on_streams(url: &str) -> Self {
        let url = url.replace("redis:", "redis+streams:");
        let engine = Engine::new(move || RedisStreams::new(&url).expect("a URL of Redis"));
        Self {
            is_logged: true,
            ..Self::on(&engine).await
        }
    }

    /// Lets something happen, and emits until the other server has told that it was cut off, and that it hears again; sees then
    /// that all is as before.
    async fn endures(&mut self, trouble: impl FnOnce()) {
        let clusters = self.nodes.each_ref().map(|node| node.io.cluster());
        let [near, far] = clusters.map(|cluster| cluster.expect("a cluster"));
        let mut changes = far.changes();
        let mut told = Vec::new();
        let start = Instant::now();
        self.emit().await;
        trouble();
        loop {
            self.emit().await;
            while let Some(Some(change)) = changes.next().now_or_never() {
                told.push(change);
            }
            let is_told = |is: fn(&ClusterChange) -> bool| told.iter().any(is);
            if is_told(|change| matches!(change, ClusterChange::Degraded(_)))
                && (self.is_logged || is_told(|change| matches!(change, ClusterChange::Gap { .. })))
                && [&near, &far]
                    .iter()
                    .all(|cluster| cluster.state() == ClusterState::Up)
            {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{told:?}, {:?}", near.state());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        meet(&self.nodes).await;
        settled(&self.nodes).await;
        self.emit().await;
        settled(&self.nodes).await;
        self.listen().await;
        // What is in a log is not waited for with all else.
        while self.is_logged && self.heard.last() != Some(&(self.sent - 1)) {
            assert!(start.elapsed() < 2 * PATIENCE, "{told:?}");
            self.listen().await;
        }
        assert_eq!(self.heard.last(), Some(&(self.sent - 1)), "{told:?}");
        assert!(
            self.heard.is_sorted_by(|one, next| one < next),
            "{:?}",
            self.heard
        );
        self.nodes[0].io.to("other").emit("y", ()).expect("sent");
        self.nodes[0].io.emit("z", ()).expect("sent");
        settled(&self.nodes).await;
        let mut rest = drain(&mut self.remote).await;
        while self.is_logged && rest.len() < 2 {
            assert!(start.elapsed() < 2 * PATIENCE, "{rest:?}");
            rest.append(&mut drain(&mut self.remote).await);
        }
        rest.sort();
        assert_eq!(rest, [r#"2["y"]"#, r#"2["z"]"#]);
        assert_eq!(self.local.text().await, r#"2["z"]"#);
    }

    /// The emitting server's own socket misses nothing.
    async fn emit(&mut self) {
        self.nodes[0]
            .io
            .to("room")
            .emit("x", self.sent)
            .expect("sent");
        assert_eq!(self.local.text().await, format!(r#"2["x",{}]"#, self.sent));
        self.sent += 1;
        self.listen().await;
    }

    async fn listen(&mut self) {
        for text in drain(&mut self.remote).await {
            let number = text
                .strip_prefix(r#"2["x","#)
                .and_then(|rest| rest.strip_suffix(']'));
            let number = number.and_then(|number| number.parse().ok());
            self.heard.push(number.unwrap_or_else(|| panic!("{text}")));
        }
    }
}

fn classic(url: &str) -> Engine {
    let url = url.to_owned();
    Engine::new(move || Redis::new(&url).expect("a URL of Redis"))
}

fn sharded(url: &str) -> Engine {
    let url = url.replace("redis:", "redis+sharded:");
    Engine::new(move || ShardedRedis::new(&url).expect("a URL of Redis"))
}

/// What the channel of the room belongs to.
fn slot(servers: &engines::Engine, channel: &str) -> usize {
    let slot = servers.redis_command(&format!("CLUSTER KEYSLOT {channel}"));
    slot[1..].parse().expect("a number")
}

/// The three servers have about as many slots each.
const fn owner(slot: usize) -> usize {
    slot / 5462
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded_channels_follow_their_slots() {
    let Some(servers) = engines::redis_cluster("slots") else {
        return;
    };
    let mut load = Load::on(&sharded(&servers.url())).await;
    let ids = [0, 1, 2].map(|server| servers.redis_command_to(server, "CLUSTER MYID"));
    // The room's, and the one that all else is about.
    for channel in ["socket.io#/#room#", "socket.io#/#"] {
        let slot = slot(&servers, channel);
        let (from, to) = (owner(slot), (owner(slot) + 1) % 3);
        load.endures(|| {
            for server in [to, from, (from + 2) % 3] {
                let command = format!("CLUSTER SETSLOT {slot} NODE {}", ids[to]);
                assert_eq!(servers.redis_command_to(server, &command), "+OK");
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded_channels_outlive_their_server() {
    let Some(mut servers) = engines::redis_cluster_with_replicas("sharded") else {
        return;
    };
    let mut load = Load::on(&sharded(&servers.url())).await;
    let primary = owner(slot(&servers, "socket.io#/#room#"));
    load.endures(|| servers.stop_one(primary)).await;
}

/// Lets the first server know nobody any more, while its replica takes its place. It is still there for its clients.
fn cut_off(servers: &engines::Engine) {
    for server in 1..servers.ports().len() {
        let id = servers.redis_command_to(server, "CLUSTER MYID");
        let forget = format!("CLUSTER FORGET {id}");
        assert_eq!(servers.redis_command_to(0, &forget), "+OK");
    }
    let taken = servers.redis_command_to(PRIMARIES, "CLUSTER FAILOVER TAKEOVER");
    assert_eq!(taken, "+OK");
    let successor = servers.redis_command_to(PRIMARIES, "CLUSTER MYID");
    let is_known = |server: usize| {
        let nodes = servers.redis_command_to(server, "CLUSTER NODES");
        let mut lines = nodes.lines();
        lines.any(|line| line.starts_with(&successor) && line.contains("connected 0-"))
    };
    let end = Instant::now() + PATIENCE;
    while !(1..PRIMARIES).all(is_known) {
        assert!(Instant::now() < end, "nobody takes its place");
        std::thread::sleep(Duration::from_millis(10));
    }
    let info = servers.redis_command_to(0, "CLUSTER INFO");
    assert!(info.contains("cluster_state:fail"), "{info}");
}

/// Their replicas come behind them.
const PRIMARIES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded_channels_outlive_that_their_server_is_cut_off() {
    let Some(servers) = engines::redis_cluster_with_replicas("cut-off") else {
        return;
    };
    // Otherwise it serves what it takes for its own, and whoever is connected to it does not notice.
    let strict = "CONFIG SET cluster-allow-pubsubshard-when-down no";
    assert_eq!(servers.redis_command_to(0, strict), "+OK");
    let mut load = Load::on(&sharded(&servers.url())).await;
    load.endures(|| cut_off(&servers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_is_cut_off_is_not_asked_for_ever() {
    let Some(servers) = engines::redis_cluster_with_replicas("ask-another") else {
        return;
    };
    cut_off(&servers);
    let streams = servers.url().replace("redis:", "redis+streams:");
    let streams = Engine::new(move || RedisStreams::new(&streams).expect("a URL of Redis"));
    for engine in [sharded(&servers.url()), streams] {
        let nodes = engine.nodes::<2>().await;
        let mut peer = nodes[1].peer(&[]).await;
        settled(&nodes).await;
        nodes[0].io.emit("x", ()).expect("sent");
        peer.expect(r#"2["x"]"#).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_channels_outlive_a_server() {
    let Some(mut servers) = engines::redis_cluster_with_replicas("classic") else {
        return;
    };
    let mut load = Load::on(&classic(&servers.url())).await;
    load.endures(|| servers.stop_one(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_name_the_new_primary() {
    let Some(mut servers) = engines::redis_sentinel("failover") else {
        return;
    };
    let mut load = Load::on(&classic(&servers.url())).await;
    load.endures(|| servers.stop_one(0)).await;
    let role = servers.redis_command_to(1, "INFO replication");
    assert!(role.contains("role:master"), "{role}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_follow_their_slot() {
    let Some(servers) = engines::redis_cluster("moved") else {
        return;
    };
    let mut load = Load::on_streams(&servers.url()).await;
    let slot = slot(&servers, "socket.io");
    let (from, to) = (owner(slot), (owner(slot) + 1) % 3);
    let ids = [from, to].map(|server| servers.redis_command_to(server, "CLUSTER MYID"));
    let port = servers.ports()[to];
    load.endures(|| {
        let set = format!("CLUSTER SETSLOT {slot}");
        for (server, command) in [
            (to, format!("{set} IMPORTING {}", ids[0])),
            (from, format!("{set} MIGRATING {}", ids[1])),
            (from, format!("MIGRATE 127.0.0.1 {port} socket.io 0 5000")),
            (to, format!("{set} NODE {}", ids[1])),
            (from, format!("{set} NODE {}", ids[1])),
        ] {
            assert_eq!(servers.redis_command_to(server, &command), "+OK");
        }
    })
    .await;
    assert_eq!(load.heard, (0..load.sent).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_outlive_their_server() {
    let Some(mut servers) = engines::redis_cluster_with_replicas("streams") else {
        return;
    };
    let mut load = Load::on_streams(&servers.url()).await;
    let primary = owner(slot(&servers, "socket.io"));
    load.endures(|| stop_primary(&mut servers, primary)).await;
}

/// Ends a server of which the others have all that was written. What they do not have is lost, or published twice, as whoever
/// has written it has not found it in the stream.
fn stop_primary(servers: &mut engines::Engine, primary: usize) {
    let end = Instant::now() + PATIENCE;
    let is_there = |servers: &engines::Engine| {
        let info = servers.redis_command_to(primary, "INFO replication");
        let offset = |before: &str| {
            let (_, rest) = info.split_once(before)?;
            rest.split([',', '\r']).next()?.parse::<u64>().ok()
        };
        let written = offset("master_repl_offset:");
        written.is_some() && offset(",offset=") == written
    };
    while !is_there(servers) {
        assert!(Instant::now() < end, "it is not replicated");
        std::thread::sleep(Duration::from_millis(10));
    }
    servers.stop_one(primary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_go_on_where_sentinels_say() {
    let Some(mut servers) = engines::redis_sentinel("streams") else {
        return;
    };
    let mut load = Load::on_streams(&servers.url()).await;
    load.endures(|| stop_primary(&mut servers, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_come_back() {
    let Some(server) = engines::redis("kill") else {
        return;
    };
    for engine in [classic(&server.url()), sharded(&server.url())] {
        let mut load = Load::on(&engine).await;
        // Who has subscribed to anything is of the other type, though it publishes too.
        let _ = server.redis_command("CLIENT KILL TYPE normal");
        load.endures(|| {
            let killed = server.redis_command("CLIENT KILL TYPE pubsub");
            assert!(killed.starts_with(':'), "{killed}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_killed_under_load() {
    let Some(server) = engines::redis("kill-load") else {
        return;
    };
    let patient = || ClusterConfig::default().max_queue_age(Duration::from_secs(60));
    let (url, sharded_url) = (
        server.url(),
        server.url().replace("redis:", "redis+sharded:"),
    );
    let classic = Engine::new(move || Redis::new(&url).expect("a URL").cluster(patient()));
    let sharded = Engine::new(move || {
        let redis = ShardedRedis::new(&sharded_url).expect("a URL");
        redis.cluster(patient())
    });
    for engine in [classic, sharded] {
        let nodes = engine.nodes::<2>().await;
        let kill = async || {
            for kind in ["normal", "pubsub"] {
                let _ = server.redis_command(&format!("CLIENT KILL TYPE {kind}"));
            }
        };
        cluster::connections_are_cut_under_load(&nodes, 0, [true, true], kill).await;
    }
}

/// More rooms than are subscribed to at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_rooms_are_subscribed_to_again() {
    const ROOMS: usize = 1000;
    let Some(server) = engines::redis("rooms") else {
        return;
    };
    for engine in [classic(&server.url()), sharded(&server.url())] {
        let nodes = engine.nodes::<2>().await;
        let rooms: Vec<_> = (0..ROOMS).map(|room| format!("room-{room}")).collect();
        let names: Vec<_> = rooms.iter().map(|room| &**room).collect();
        let mut peer = nodes[1].peer(&names).await;
        settled(&nodes).await;
        let mut changes = nodes[1].io.cluster().expect("a cluster").changes();
        let _ = server.redis_command("CLIENT KILL TYPE pubsub");
        eventually("it is told", async || {
            matches!(changes.next().await, Some(ClusterChange::Gap { .. }))
        })
        .await;
        meet(&nodes).await;
        settled(&nodes).await;
        for room in &names {
            nodes[0].io.to(*room).emit("x", *room).expect("sent");
        }
        for room in names {
            assert_eq!(peer.text().await, format!(r#"2["x","{room}"]"#));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_connections_are_no_lost_ones() {
    let Some(server) = engines::redis("slow") else {
        return;
    };
    let ways = Ways::to(server, |url, config| {
        Redis::new(url).expect("a URL of Redis").cluster(config)
    });
    cluster::slow_ways_are_no_lost_ones(&ways.await, 24, 64 * 1024).await;
}

/// It takes connections and says nothing, as its host has stopped. All others know no better.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_while_one_server_of_the_cluster_is_silent() {
    let Some(servers) = engines::redis_cluster_with_replicas("silent") else {
        return;
    };
    for server in 0..servers.ports().len() {
        let command = "CONFIG SET cluster-node-timeout 600000";
        assert_eq!(servers.redis_command_to(server, command), "+OK");
    }
    // A replica, as streams are on all primaries.
    servers.signal_one(5, "STOP");
    let streams = servers.url().replace("redis:", "redis+streams:");
    let streams = Engine::new(move || RedisStreams::new(&streams).expect("a URL of Redis"));
    for engine in [classic(&servers.url()), streams] {
        let nodes = engine.nodes::<2>().await;
        for _ in 0..3 {
            let asked = (0..50).map(|_| nodes[0].io.server_side_emit_with_ack::<String>("who", ()));
            for answers in join_all(asked).await {
                assert_eq!(answers.expect("all answer"), ["node-1"]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_cannot_be_counted_are_not_taken_for_gone() {
    let Some(servers) = engines::redis_cluster("uncounted") else {
        return;
    };
    let ports = servers.ports();
    let way = Way::to(ports[2]).await;
    // The others and we reach it by the way only; they meet each other where they did.
    for (option, port) in [("bus-port", ports[2] + 10_000), ("port", way.port())] {
        let command = format!("CONFIG SET cluster-announce-{option} {port}");
        assert_eq!(servers.redis_command_to(2, &command), "+OK");
    }
    let known = format!(":{}@", way.port());
    eventually("the others know the way", async || {
        servers.redis_command("CLUSTER NODES").contains(&known)
    })
    .await;
    let at = |server: usize| classic(&format!("redis://127.0.0.1:{}", ports[server]));
    let nodes = [at(0).node("near"), at(2).node("far")];
    meet(&nodes).await;
    let mut peer = nodes[1].peer(&[]).await;
    settled(&nodes).await;
    way.cut();
    let target = nodes[0].io.timeout(PATIENCE);
    let answers = target.emit_with_ack::<u32>("q", ()).expect("sent");
    let question = peer.text().await;
    let id = question.strip_suffix(r#"["q"]"#).expect("a question");
    let asked = counts(&servers);
    eventually("it was looked for some times", async || {
        counts(&servers) >= asked + 8
    })
    .await;
    peer.send(&format!("3{}[7]", &id[1..])).await;
    let summary = answers.await;
    let given: Vec<_> = summary.answers.iter().map(|(_, answer)| *answer).collect();
    assert_eq!(given, [7], "{summary:?}");
    assert_eq!((summary.missing.len(), summary.missing_servers), (0, 0));
}

/// How often the first server was asked for numbers of subscribers.
fn counts(servers: &engines::Engine) -> usize {
    let info = servers.redis_command("INFO commandstats");
    let calls = info.split_once("cmdstat_pubsub|numsub:calls=");
    let calls = calls.and_then(|(_, rest)| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}
