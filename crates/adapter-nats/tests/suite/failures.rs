//! Connections to NATS that are cut, silent, or too slow, and servers that leave.

use std::time::Duration;

use futures_util::StreamExt;
use sockeye_adapter::{ClusterChange, ClusterState};
use sockeye_adapter_nats::{ClusterConfig, Nats};
use sockeye_testkit::cluster::{
    Engine, broadcasts_reach_the_sockets_of_all_servers_once, connections_are_cut_under_load,
    eventually, meet, settled, until_degraded,
};
use sockeye_testkit::engines::{self, Way};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// NATS as one that waits for an answer for a second.
fn impatient(url: &str) -> Engine {
    let url = url.to_owned();
    Engine::with_config(move |config| {
        let nats = Nats::new(&url).expect("a URL of NATS");
        nats.answer_timeout(Duration::from_secs(1)).cluster(config)
    })
}

async fn frozen() -> Option<(Engine, engines::Engine)> {
    let server = engines::nats("frozen")?;
    let engine = impatient(&server.url());
    Some((engine, server))
}

sockeye_testkit::cluster_silence!(frozen);

fn patient() -> ClusterConfig {
    ClusterConfig::default().max_queue_age(Duration::from_secs(60))
}

fn by(way: &Way) -> Engine {
    let url = format!("nats://127.0.0.1:{}", way.port());
    Engine::with_config(move |config| Nats::new(&url).expect("a URL").cluster(config))
}

/// Of either server, and of both at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_come_back() {
    let Some(server) = engines::nats("cut") else {
        return;
    };
    let ways = [Way::to(server.port()).await, Way::to(server.port()).await];
    let nodes = [("near", &ways[0]), ("far", &ways[1])]
        .map(|(name, way)| by(way).node_with(name, patient()));
    meet(&nodes).await;
    for is_cut in [[true, false], [false, true], [true, true]] {
        let cut = async || {
            let all = ways.iter().zip(&nodes).zip(is_cut);
            let cut: Vec<_> = all.filter(|(_, is_cut)| *is_cut).collect();
            for ((way, _), _) in &cut {
                way.cut();
            }
            for ((way, node), _) in cut {
                until_degraded(node, "").await;
                way.open();
            }
        };
        connections_are_cut_under_load(&nodes, 0, is_cut, cut).await;
    }
}

/// A server in lame duck mode tells its clients to go, which they do when all that they have said has got there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_is_about_to_leave_is_left() {
    let Some(servers) = engines::nats_cluster("lame") else {
        return;
    };
    let nodes = ["near", "far"].map(|name| impatient(&servers.url()).node_with(name, patient()));
    meet(&nodes).await;
    let cut = async || servers.signal_one(0, "USR2");
    connections_are_cut_under_load(&nodes, 0, [true, true], cut).await;
    let counts = nodes[0].io.cluster().expect("a cluster").counts();
    assert_eq!((counts.failed, counts.dropped_old), (0, 0));
}

/// NATS closes the connection of who does not take what is for him.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_is_too_slow_is_told() {
    const EVENTS: usize = 400;
    let Some(servers) = engines::nats_cluster("slow") else {
        return;
    };
    let way = Way::to(servers.port()).await;
    let fast = Way::to(servers.port()).await;
    let nodes = [
        by(&fast).node_with("fast", patient()),
        by(&way).node_with("slow", patient()),
    ];
    meet(&nodes).await;
    let mut peer = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    let mut changes = nodes[1].io.cluster().expect("a cluster").changes();
    way.hold();
    let much = "x".repeat(64 * 1024);
    for number in 0..EVENTS {
        let sent = nodes[0].io.to("room").emit("x", (number, &*much));
        sent.expect("sent");
    }
    until_degraded(&nodes[1], "").await;
    way.open();
    loop {
        match changes.next().await {
            Some(ClusterChange::Gap { .. }) => break,
            change => assert!(change.is_some(), "there was no gap"),
        }
    }
    meet(&nodes).await;
    settled(&nodes).await;
    nodes[0].io.to("room").emit("end", ()).expect("sent");
    let mut last = None;
    loop {
        let text = peer.text().await;
        if text == r#"2["end"]"# {
            break;
        }
        let number = text.strip_prefix(r#"2["x","#);
        let number = number.and_then(|rest| rest.split(',').next());
        let number: Option<usize> = number.and_then(|number| number.parse().ok());
        assert!(
            number > last,
            "order is lost, or twice: {number:?} after {last:?}"
        );
        last = number;
    }
}

/// What NATS has got and has not confirmed when the connection is lost is counted as lost, and not published later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_confirmed_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let engine = impatient(&format!("nats://127.0.0.1:{port}"));
    let node = engine.node_with("alone", patient());
    let cluster = node.io.cluster().expect("a cluster");
    let accepted = Accepted::on(&listener).await;
    let lines = tokio::spawn(accepted.answer_until("end"));
    cluster.ready().await;
    let before = cluster.counts();
    let mut changes = cluster.changes();
    for event in ["one", "two", "end"] {
        node.io.to("room").emit(event, ()).expect("sent");
    }
    lines.await.expect("it reads");
    let told = async { while !matches!(changes.next().await, Some(ClusterChange::Gap { .. })) {} };
    tokio::time::timeout(Duration::from_secs(30), told)
        .await
        .expect("the gap is told");
    let failed = cluster.counts().failed - before.failed;
    assert!((1..=4).contains(&failed), "{:?}", cluster.counts());
    let again = Accepted::on(&listener).await;
    let again = tokio::spawn(again.answer_until("again"));
    eventually("it is there again", async || {
        cluster.state() == ClusterState::Up
    })
    .await;
    node.io.to("room").emit("again", ()).expect("sent");
    let lines = again.await.expect("it reads");
    for lost in ["one", "two", "end"] {
        assert!(
            !lines
                .iter()
                .any(|line| line.contains(&format!("\u{a3}{lost}"))),
            "{lines:?}"
        );
    }
}

/// Somebody hears everything, as who looks for a fault does, and answers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_may_listen_to_everything() {
    let Some(server) = engines::nats("heard") else {
        return;
    };
    let listening = TcpStream::connect(("127.0.0.1", server.port())).await;
    let mut listening = BufReader::new(listening.expect("NATS is there"));
    let hello = b"CONNECT {}\r\nSUB > 1\r\nPING\r\n";
    listening.write_all(hello).await.expect("it is read");
    let mut line = String::new();
    while !line.starts_with("PONG") {
        line.clear();
        listening.read_line(&mut line).await.expect("a line");
    }
    broadcasts_reach_the_sockets_of_all_servers_once(&impatient(&server.url())).await;
}

/// A server that does what it must.
struct Accepted(BufReader<TcpStream>);

impl Accepted {
    async fn on(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let info = b"INFO {\"max_payload\":1048576}\r\n";
        stream.write_all(info).await.expect("it is read");
        Self(BufReader::new(stream))
    }

    /// Answers pings until this is published; gives all that was said.
    async fn answer_until(mut self, end: &'static str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            self.0.read_until(b'\n', &mut line).await.expect("a line");
            let line: String = line.iter().map(|byte| char::from(*byte)).collect();
            if line.starts_with("PING") {
                self.0.write_all(b"PONG\r\n").await.expect("it is read");
            }
            let is_end = line.contains(end);
            lines.push(line);
            if is_end {
                return lines;
            }
        }
    }
}
