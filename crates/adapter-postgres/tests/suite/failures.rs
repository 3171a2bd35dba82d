//! Connections to Postgres that are cut, slow, or silent.

use std::time::Duration;

use futures_util::StreamExt;
use sockeye_adapter::{ClusterChange, ClusterState};
use sockeye_adapter_postgres::{ClusterConfig, Postgres};
use sockeye_testkit::cluster::{
    Engine, Ways, broadcasts_reach_the_sockets_of_all_servers_once, connections_are_cut_under_load,
    meet, settled, slow_ways_are_no_lost_ones, until_degraded,
};
use sockeye_testkit::engines;
use tokio::net::TcpListener;
use tokio_postgres::{Client, NoTls};

/// Postgres as one that waits for an answer for a second.
fn impatient(url: &str) -> Engine {
    let url = url.to_owned();
    Engine::with_config(move |config| {
        let postgres = Postgres::new(&url).expect("a URL of Postgres");
        postgres
            .answer_timeout(Duration::from_secs(1))
            .cluster(config)
    })
}

async fn frozen() -> Option<(Engine, engines::Engine)> {
    let server = engines::postgres("frozen")?;
    let engine = impatient(&server.url());
    Some((engine, server))
}

sockeye_testkit::cluster_silence!(frozen);

async fn client(server: &engines::Engine) -> Client {
    let connected = tokio_postgres::connect(&server.url(), NoTls).await;
    let (client, connection) = connected.expect("Postgres is there");
    tokio::spawn(connection);
    client
}

/// Of either server, and of both at once. What is large goes through the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminated_connections_come_back() {
    let Some(server) = engines::postgres("terminated") else {
        return;
    };
    let admin = client(&server).await;
    let names = ["near", "far"];
    let nodes = names.map(|name| {
        let url = format!("{}?application_name={name}", server.url());
        let engine = Engine::with_config(move |config| {
            Postgres::new(&url)
                .expect("a URL of Postgres")
                .cluster(config)
        });
        let patient = ClusterConfig::default().max_queue_age(Duration::from_secs(60));
        engine.node_with(name, patient)
    });
    meet(&nodes).await;
    for is_cut in [[true, false], [false, true], [true, true]] {
        let cut = async || {
            let cut = names.iter().zip(is_cut).filter(|(_, is_cut)| *is_cut);
            let cut: Vec<_> = cut.map(|(name, _)| *name).collect();
            let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                             WHERE application_name = ANY($1)";
            let ended = admin.query(terminate, &[&cut]).await.expect("it may");
            assert!(ended.len() >= cut.len());
        };
        connections_are_cut_under_load(&nodes, 20_000, is_cut, cut).await;
    }
}

/// Where somebody accepts connections, and says nothing.
async fn black_hole() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_says_anything_is_given_up() {
    let hole = black_hole().await;
    let node = impatient(&format!("postgres://a@127.0.0.1:{hole}/a")).node("alone");
    until_degraded(&node, &format!("127.0.0.1:{hole} does not answer")).await;
    let mut local = node.peer(&["room"]).await;
    node.io.to("room").emit("x", 1).expect("sent");
    assert_eq!(local.text().await, r#"2["x",1]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_host_that_answers_is_taken() {
    let Some(server) = engines::postgres("hosts") else {
        return;
    };
    let hole = black_hole().await;
    let url = format!(
        "postgres://postgres@127.0.0.1:{hole},{}/postgres",
        server.hosts()
    );
    broadcasts_reach_the_sockets_of_all_servers_once(&impatient(&url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_taken_who_takes_nothing() {
    let Some(server) = engines::postgres("readonly") else {
        return;
    };
    let query = "?target_session_attrs=read-write&options=-c%20default_transaction_read_only%3Don";
    let node = impatient(&format!("{}{query}", server.url())).node("alone");
    until_degraded(&node, "takes nothing").await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_files_are_connected_to() {
    let Some(server) = engines::postgres("file") else {
        return;
    };
    let url = format!(
        "postgres:///postgres?user=postgres&host={}&port={}",
        server.folder().display(),
        server.port()
    );
    broadcasts_reach_the_sockets_of_all_servers_once(&impatient(&url)).await;
}

/// One piece of what is emitted takes longer than a server may be silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_connections_are_no_lost_ones() {
    let Some(server) = engines::postgres("slow") else {
        return;
    };
    let ways = Ways::to(server, |url, config| {
        let postgres = Postgres::new(url).expect("a URL of Postgres");
        let postgres = postgres.answer_timeout(Duration::from_secs(1));
        postgres.cluster(config)
    });
    slow_ways_are_no_lost_ones(&ways.await, 3, 256 * 1024).await;
}

/// What Postgres itself has to wait for costs one message, and not the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_for_a_locked_table_is_lost_alone() {
    let Some(server) = engines::postgres("locked") else {
        return;
    };
    let nodes = impatient(&server.url()).nodes::<2>().await;
    let mut peer = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    let cluster = nodes[0].io.cluster().expect("a cluster");
    let mut changes = cluster.changes();
    let mut admin = client(&server).await;
    let locking = admin.transaction().await.expect("it may");
    let lock = "LOCK TABLE socket_io_attachments IN ACCESS EXCLUSIVE MODE";
    locking.batch_execute(lock).await.expect("it is there");
    let large = "x".repeat(20_000);
    nodes[0].io.to("room").emit("x", large).expect("sent");
    nodes[0].io.to("room").emit("y", 1).expect("sent");
    assert_eq!(peer.text().await, r#"2["y",1]"#);
    assert_eq!(cluster.counts().failed, 1);
    let change = changes.next().await;
    assert!(
        matches!(change, Some(ClusterChange::Gap { .. })),
        "{change:?}"
    );
    assert_eq!(cluster.state(), ClusterState::Up);
    drop(locking);
}
