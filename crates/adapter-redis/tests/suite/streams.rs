//! What only streams can do, and what becomes of it when Redis loses them or the connections to it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use sockeye_adapter_redis::RedisStreams;
use sockeye_cluster::socket_of;
use sockeye_cluster_proto::Limits;
use sockeye_cluster_proto::streams::decode_session;
use sockeye_server::adapter::{ClusterChange, IntoCluster};
use sockeye_server::{Data, RecoveryConfig, Server, ServerConfig, Socket};
use sockeye_testkit::cluster::eventually;
use sockeye_testkit::{Case, Peer, ServerRig, engines};

struct Node {
    io: Server,
    rig: ServerRig,
}

/// A server with recovery, whose stream has about this many entries.
async fn node(redis: &engines::Engine, max_len: u64, early: bool) -> Node {
    let url = redis.url().replace("redis:", "redis+streams:");
    let streams = RedisStreams::new(&url).expect("a URL of Redis");
    let mut recovery = RecoveryConfig::default();
    if early {
        recovery = recovery.save_early(Duration::from_millis(1));
    }
    let cluster: Arc<_> = streams.max_len(max_len).into_cluster();
    let config = ServerConfig::default().cluster(cluster).recovery(recovery);
    let io = Server::with_config(config).expect("a valid configuration");
    io.on("join", |socket: Socket, Data(room): Data<String>| {
        socket.join(room);
        true
    });
    let cluster = io.cluster().expect("a cluster");
    cluster.ready().await;
    let rig = ServerRig::memory(&io);
    Node { io, rig }
}

async fn nodes<const N: usize>(redis: &engines::Engine, max_len: u64) -> [Node; N] {
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(node(redis, max_len, false).await);
    }
    meet(&nodes).await;
    let nodes: Result<[Node; N], _> = nodes.try_into();
    nodes.unwrap_or_else(|_| unreachable!("there are so many"))
}

async fn meet(nodes: &[Node]) {
    for node in nodes {
        eventually("all are counted", async || {
            node.io.server_count().await == nodes.len()
        })
        .await;
    }
}

/// A client, and what it needs to come back.
struct Guest {
    peer: Peer,
    ticket: Ticket,
}

#[derive(Clone)]
struct Ticket {
    id: String,
    pid: String,
    offset: String,
}

impl Ticket {
    fn key(&self) -> String {
        format!("sio:session:{}", self.pid)
    }

    /// Says who comes to a server with this, and what it has missed.
    async fn join(&self, node: &Node) -> (Guest, Vec<Value>) {
        let auth = json!({ "pid": self.pid, "offset": self.offset });
        Guest::join(node, &auth.to_string()).await
    }
}

impl Guest {
    async fn join(node: &Node, auth: &str) -> (Self, Vec<Value>) {
        let mut peer = Peer::open(&node.rig.net, Case::WEBSOCKET).await;
        peer.send(&format!("0{auth}")).await;
        let mut missed = Vec::new();
        loop {
            let text = peer.text().await;
            let Some(answer) = text.strip_prefix('0') else {
                missed.push(event(&text));
                continue;
            };
            let answer: Value = serde_json::from_str(answer).expect("JSON");
            let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
            let ticket = Ticket {
                id: text("sid"),
                pid: text("pid"),
                offset: text("offset"),
            };
            return (Self { peer, ticket }, missed);
        }
    }

    /// One whose place in the log is known.
    async fn new(node: &Node) -> Self {
        loop {
            let (guest, _) = Self::join(node, "").await;
            if !guest.ticket.offset.is_empty() {
                return guest;
            }
        }
    }

    /// Waits until a server has read from the stream what it has emitted itself. Whoever comes back earlier gets the rest when
    /// that is read.
    async fn see_all_of(node: &Node) {
        let mut witness = Self::new(node).await;
        let to_witness = node.io.to(&*witness.ticket.id);
        to_witness.emit("seen", true).expect("sent");
        // What was cut off before it could be read comes without an offset.
        while event(&witness.peer.text().await)[0] != "seen" {}
    }

    async fn next(&mut self) -> Value {
        let event = event(&self.peer.text().await);
        let offset = event.as_array().expect("a list").last().expect("an item");
        let offset = offset.as_str().expect("an offset");
        offset.clone_into(&mut self.ticket.offset);
        event
    }

    /// Loses its connection, and says with what it comes back when its server has kept it.
    async fn lose(self, node: &Node, redis: &engines::Engine) -> Ticket {
        let Self { peer, ticket } = self;
        drop(peer);
        eventually("it is gone", async || node.io.socket(&ticket.id).is_none()).await;
        let is_kept = format!("EXISTS {}", ticket.key());
        eventually("it is kept", async || redis.redis_command(&is_kept) == ":1").await;
        ticket
    }
}

fn event(text: &str) -> Value {
    let event = text.strip_prefix('2').unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(event).expect("JSON")
}

/// All connections are broken off again and again: what is emitted meanwhile comes once, in order, and nothing is said to be
/// missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_a_connection() {
    const EVENTS: u64 = 3000;
    let Some(redis) = engines::redis("killed") else {
        return;
    };
    let nodes = nodes::<2>(&redis, 10_000).await;
    let mut guest = Guest::new(&nodes[1]).await;
    let mut changes = nodes[1].io.cluster().expect("a cluster").changes();
    let io = nodes[0].io.clone();
    let emitting = tokio::spawn(async move {
        for number in 0..EVENTS {
            io.emit("x", number).expect("sent");
            if number % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    for number in 0..EVENTS {
        assert_eq!(guest.next().await[1], number);
        if number % 500 == 250 {
            for kind in ["normal", "pubsub"] {
                let _ = redis.redis_command(&format!("CLIENT KILL TYPE {kind}"));
            }
        }
    }
    emitting.await.expect("it does not panic");
    let mut was_degraded = false;
    while let Some(Some(change)) = changes.next().now_or_never() {
        assert!(!matches!(change, ClusterChange::Gap { .. }), "{change:?}");
        was_degraded |= matches!(change, ClusterChange::Degraded(_));
    }
    assert!(was_degraded);
    let counts = nodes[0].io.cluster().expect("a cluster").counts();
    assert_eq!(counts.failed, 0, "{counts:?}");
}

/// Redis forgets everything while somebody is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_to_a_lost_log_is_a_new_one() {
    let Some(mut redis) = engines::redis("lost") else {
        return;
    };
    let nodes = nodes::<2>(&redis, 10_000).await;
    let mut guest = Guest::new(&nodes[0]).await;
    nodes[1].io.emit("x", 1).expect("sent");
    guest.next().await;
    let mut changes = nodes[1].io.cluster().expect("a cluster").changes();
    let ticket = guest.lose(&nodes[0], &redis).await;
    // The socket itself is there again, as it is where Redis has a part of its data only.
    let key = ticket.key();
    let kept = redis.redis_command(&format!("GET {key}"));
    redis.stop();
    redis.start();
    meet(&nodes).await;
    assert_eq!(
        redis.redis_command(&format!("SET {key} {kept} PX 60000")),
        "+OK"
    );
    let (again, missed) = ticket.join(&nodes[1]).await;
    assert_ne!(again.ticket.id, ticket.id);
    assert!(missed.is_empty());
    let mut is_told = false;
    while let Some(Some(change)) = changes.next().now_or_never() {
        is_told |= matches!(change, ClusterChange::Gap { .. });
    }
    assert!(is_told);
    // Who comes now has a place in the new log.
    let mut guest = Guest::new(&nodes[0]).await;
    nodes[1].io.emit("x", 2).expect("sent");
    guest.next().await;
    let ticket = guest.lose(&nodes[0], &redis).await;
    nodes[1].io.emit("x", 3).expect("sent");
    Guest::see_all_of(&nodes[1]).await;
    let (again, missed) = ticket.join(&nodes[1]).await;
    assert_eq!((again.ticket.id, missed.len()), (ticket.id, 1));
}

/// The stream is cut while somebody is away, and comes back only as long as nothing is missing that it has to get.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_missed_what_was_cut_off_is_a_new_one() {
    let Some(redis) = engines::redis("cut") else {
        return;
    };
    let nodes = nodes::<2>(&redis, 100).await;
    for (events, comes_back) in [(50, true), (500, false)] {
        let mut guest = Guest::new(&nodes[0]).await;
        nodes[1].io.emit("x", "first").expect("sent");
        guest.next().await;
        let ticket = guest.lose(&nodes[0], &redis).await;
        for number in 0..events {
            nodes[1].io.emit("x", number).expect("sent");
        }
        Guest::see_all_of(&nodes[1]).await;
        let (again, missed) = ticket.join(&nodes[1]).await;
        assert_eq!(again.ticket.id == ticket.id, comes_back);
        let numbers: Vec<_> = missed
            .iter()
            .filter_map(|event| event[1].as_u64())
            .collect();
        let expected: Vec<_> = (0..events).collect();
        assert_eq!(numbers, if comes_back { expected } else { Vec::new() });
    }
}

/// More is written at once than the stream keeps, while its servers wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_off_before_it_is_read_is_told() {
    const WRITE: &str = "for i=1,1000 do redis.call('XADD','socket.io','MAXLEN','~',100,'*','nsp','/other','uid','x') end";
    let Some(redis) = engines::redis("burst") else {
        return;
    };
    let nodes = nodes::<1>(&redis, 100).await;
    Guest::new(&nodes[0]).await;
    let changes = nodes[0].io.cluster().expect("a cluster").changes();
    assert_eq!(redis.redis_command(&format!(r#"EVAL "{WRITE}" 0"#)), "$-1");
    let told = tokio::time::timeout(Duration::from_secs(30), async {
        changes
            .any(|change| async move { matches!(change, ClusterChange::Gap { .. }) })
            .await
    });
    assert_eq!(told.await, Ok(true));
}

/// A replica that takes its primary's place may not have got the last entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_is_not_read_again_when_the_end_is_lost() {
    const LOSE: &str = "local all=redis.call('XRANGE','socket.io','-','+') redis.call('XDEL','socket.io',all[#all][1]) redis.call('XSETID','socket.io',all[#all-1][1])";
    let Some(redis) = engines::redis("end") else {
        return;
    };
    let nodes = nodes::<2>(&redis, 10_000).await;
    let mut guest = Guest::new(&nodes[1]).await;
    let changes = nodes[1].io.cluster().expect("a cluster").changes();
    for number in 1..4 {
        nodes[0].io.emit("x", number).expect("sent");
        assert_eq!(guest.next().await[1], number);
    }
    assert_eq!(redis.redis_command(&format!(r#"EVAL "{LOSE}" 0"#)), "$-1");
    let _ = redis.redis_command("CLIENT KILL TYPE normal");
    let told = tokio::time::timeout(Duration::from_secs(30), async {
        changes
            .any(|change| async move { matches!(change, ClusterChange::Gap { .. }) })
            .await
    });
    assert_eq!(told.await, Ok(true));
    nodes[0].io.emit("x", 4).expect("sent");
    assert_eq!(guest.next().await[1], 4);
}

/// What `@socket.io/redis-streams-adapter` has written of a socket is that socket here, and it is written as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_nodes_come_back_here() {
    const KEPT: &str = "hKNzaWS0V1VqQzZBTEViNV9NRFFpWUFBQUGjcGlktFBJNFp4c3JfOVRHLTVMbW5BQUFCpXJvb21zkrRXVWpDNkFMRWI1X01EUWlZQUFBQaFypGRhdGGBoXjEAQE=";
    let Some(redis) = engines::redis("node") else {
        return;
    };
    let nodes = nodes::<1>(&redis, 10_000).await;
    let ticket = Ticket {
        id: "WUjC6ALEb5_MDQiYAAAA".to_owned(),
        pid: "PI4Zxsr_9TG-5LmnAAAB".to_owned(),
        offset: Guest::new(&nodes[0]).await.ticket.offset,
    };
    let key = ticket.key();
    assert_eq!(
        redis.redis_command(&format!("SET {key} {KEPT} PX 60000")),
        "+OK"
    );
    nodes[0].io.to("r").emit("x", 1).expect("sent");
    nodes[0].io.to("s").emit("x", 2).expect("sent");
    Guest::see_all_of(&nodes[0]).await;
    let (guest, missed) = ticket.join(&nodes[0]).await;
    assert_eq!(guest.ticket.id, ticket.id);
    assert_eq!(missed.len(), 1);
    assert_eq!(redis.redis_command(&format!("EXISTS {key}")), ":0");
    let socket = nodes[0].io.socket(&ticket.id).expect("it is there");
    let data = json!({ "x": { "type": "Buffer", "data": [1] } });
    assert_eq!(socket.shared_data(), Some(data));
    // The private id stays, too.
    drop(guest.peer);
    eventually("it is kept", async || {
        redis.redis_command(&format!("GET {key}")) == KEPT
    })
    .await;
}

/// A private id is worth nothing with the offset of another namespace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_those_of_their_namespace() {
    let Some(redis) = engines::redis("apart") else {
        return;
    };
    let nodes = nodes::<1>(&redis, 10_000).await;
    let mut guest = Guest::new(&nodes[0]).await;
    let entry = "XADD socket.io * uid emitter nsp /other type 3 data {}";
    nodes[0].io.emit("x", 1).expect("sent");
    guest.next().await;
    let mut ticket = guest.lose(&nodes[0], &redis).await;
    ticket.offset = redis.redis_command(entry);
    let (again, _) = ticket.join(&nodes[0]).await;
    assert_ne!(again.ticket.id, ticket.id);
}

/// A server ends without a word, and its sockets come back to another one with what they had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_are_kept_early_outlive_their_server() {
    let Some(redis) = engines::redis("early") else {
        return;
    };
    let nodes = [
        node(&redis, 10_000, true).await,
        node(&redis, 10_000, true).await,
    ];
    meet(&nodes).await;
    let mut guest = Guest::new(&nodes[0]).await;
    guest.peer.send(r#"2777["join","room"]"#).await;
    guest.peer.expect("3777[true]").await;
    let ticket = guest.ticket.clone();
    let (id, key) = (&ticket.id, ticket.key());
    let socket = nodes[0].io.socket(id).expect("it is there");
    socket.set_shared_data(json!({ "a": 1 })).expect("JSON");
    let limits = Limits::default();
    eventually("all of it is kept", async || {
        let kept = redis.redis_command(&format!("GET {key}"));
        let session = decode_session(kept.as_bytes(), &limits);
        let socket = session.and_then(|session| socket_of(session, &limits));
        socket.is_ok_and(|socket| socket.rooms.len() == 2 && socket.data == Some(json!({ "a": 1 })))
    })
    .await;
    // Its server has not noticed that it is gone, as if it were not there any more.
    nodes[1].io.to("room").emit("x", 1).expect("sent");
    Guest::see_all_of(&nodes[1]).await;
    let (again, missed) = ticket.join(&nodes[1]).await;
    assert_eq!(again.ticket.id, *id);
    assert_eq!(missed.len(), 1);
    let socket = nodes[1].io.socket(id).expect("it is there");
    assert_eq!(socket.shared_data(), Some(json!({ "a": 1 })));
    eventually("it is not in two places", async || {
        nodes[0].io.socket(id).is_none()
    })
    .await;
    eventually("it is kept again", async || {
        redis.redis_command(&format!("EXISTS {key}")) == ":1"
    })
    .await;
    // Whoever is sent away does not come back.
    socket.disconnect();
    eventually("it is forgotten", async || {
        redis.redis_command(&format!("EXISTS {key}")) == ":0"
    })
    .await;
}
