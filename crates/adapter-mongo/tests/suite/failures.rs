//! What happens when MongoDB does not answer, or does not have any more what it had.

mod proxy;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use serde_json::{Value, json};
use sockeye_adapter_mongo::Mongo;
use sockeye_testkit::cluster::{Engine, Node, drain, eventually, meet, settled, until_degraded};
use sockeye_testkit::{Case, Peer, engines};

use proxy::{Mood, Proxy};

/// Times that are short enough for a test, and long enough for a machine that has much to do.
const SHORT: &str = "socketTimeoutMS=1500&serverSelectionTimeoutMS=500&connectTimeoutMS=1500&heartbeatFrequencyMS=500";

fn on(url: String) -> Engine {
    Engine::new(move || Mongo::new(&url).expect("a URL of MongoDB")).recovering()
}

fn event(text: &str) -> Value {
    let event = text.strip_prefix('2').expect("an event");
    serde_json::from_str(event).expect("JSON")
}

/// What events have as their first argument.
async fn numbers(peer: &mut Peer) -> Vec<u64> {
    let number = |text: String| event(&text)[1].as_u64().expect("a number");
    drain(peer).await.into_iter().map(number).collect()
}

/// A client that may come back.
struct Guest {
    peer: Peer,
    id: String,
    pid: String,
}

impl Guest {
    async fn join(node: &Node, auth: &str) -> Self {
        let mut peer = Peer::open(&node.rig.net, Case::WEBSOCKET).await;
        peer.send(&format!("0{auth}")).await;
        let answer = loop {
            if let Some(answer) = peer.text().await.strip_prefix('0') {
                break serde_json::from_str::<Value>(answer).expect("JSON");
            }
        };
        let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
        let (id, pid) = (text("sid"), text("pid"));
        Self { peer, id, pid }
    }

    /// Takes an event, and gives what it needs to come back with that.
    async fn take(&mut self) -> String {
        let event = event(&self.peer.text().await);
        let offset = event.as_array().and_then(|event| event.last());
        json!({ "pid": self.pid, "offset": offset }).to_string()
    }

    /// Loses its connection, and waits until it is kept.
    async fn lose(self, kept: &Collection<Document>) -> String {
        drop(self.peer);
        let wanted = doc! { "type": 13, "data.pid": &self.pid };
        eventually("it is kept", async || {
            let found = kept.count_documents(wanted.clone()).await;
            found.expect("it answers") > 0
        })
        .await;
        self.id
    }
}

async fn collection(process: &engines::Engine) -> Collection<Document> {
    let client = Client::with_uri_str(process.url()).await;
    let database = client.expect("a URL of MongoDB").default_database();
    let database = database.expect("it is in the URL");
    database.collection("socket.io-adapter-events")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_comes_back_to_a_server_that_has_not_got_as_far() {
    let Some(process) = engines::mongo("ahead") else {
        return;
    };
    let mut proxy = Proxy::before(process.port()).await;
    let (near, far) = (on(process.url()), on(proxy.url("appName=far")));
    let nodes = [near.node("near"), far.node("far")];
    meet(&nodes).await;
    settled(&nodes).await;
    let mut guest = Guest::join(&nodes[0], "").await;
    proxy.set(Mood {
        held: Some("held back"),
        // It is known by then what the socket has missed, or not.
        asked: Some("tombstone"),
        ..Mood::default()
    });
    nodes[0].io.emit("held back", 1).expect("sent");
    let auth = guest.take().await;
    let id = guest.lose(&collection(&process).await).await;
    let coming = async {
        let mut guest = Guest::join(&nodes[1], &auth).await;
        assert_eq!(guest.id, id);
        assert!(drain(&mut guest.peer).await.is_empty());
    };
    let letting = async {
        proxy.was_asked().await;
        proxy.set(Mood::default());
    };
    tokio::join!(coming, letting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_mongodb_is_noticed_and_nothing_is_lost() {
    let Some(process) = engines::mongo("silent") else {
        return;
    };
    let engine = on(format!("{}?{SHORT}", process.url()));
    let nodes = engine.nodes::<2>().await;
    let mut remote = nodes[1].peer(&[]).await;
    settled(&nodes).await;
    process.freeze();
    for number in 0..500_u64 {
        nodes[0].io.emit("x", number).expect("sent");
    }
    until_degraded(&nodes[0], "").await;
    process.thaw();
    meet(&nodes).await;
    nodes[0].io.emit("x", 500).expect("sent");
    let mut all = Vec::new();
    eventually("all is there", async || {
        all.extend(numbers(&mut remote).await);
        all.contains(&500)
    })
    .await;
    assert_eq!(all, (0..=500).collect::<Vec<u64>>());
}

/// Connections that are open, and lead nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_swallow_all_are_left() {
    let Some(process) = engines::mongo("swallow") else {
        return;
    };
    let proxy = Proxy::before(process.port()).await;
    let (near, far) = (on(process.url()), on(proxy.url(SHORT)));
    let nodes = [near.node("near"), far.node("far")];
    meet(&nodes).await;
    let mut remote = [nodes[0].peer(&[]).await, nodes[1].peer(&[]).await];
    settled(&nodes).await;
    proxy.set(Mood {
        swallows: true,
        ..Mood::default()
    });
    for number in 0..100_u64 {
        nodes[0].io.emit("x", number).expect("sent");
        nodes[1].io.emit("y", number).expect("sent");
    }
    until_degraded(&nodes[1], "").await;
    proxy.set(Mood::default());
    meet(&nodes).await;
    for (peer, name) in remote.iter_mut().zip(["y", "x"]) {
        let mut all = Vec::new();
        let begin = format!(r#"2["{name}","#);
        while all.len() < 100 {
            let text = peer.text().await;
            if text.starts_with(&begin) {
                all.push(event(&text)[1].as_u64().expect("a number"));
            }
        }
        assert_eq!(all, (0..100).collect::<Vec<u64>>());
    }
}

/// Whoever has been away while the collection has forgotten what it has got last is somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_that_was_away_for_too_long_is_another_one() {
    let Some(process) = engines::mongo("overrun") else {
        return;
    };
    let url = process.url();
    let small = move || {
        let mongo = Mongo::new(&url).expect("a URL of MongoDB");
        mongo.capped(64 << 10)
    };
    let engine = Engine::new(small).recovering();
    let nodes = engine.nodes::<2>().await;
    let mut guest = Guest::join(&nodes[0], "").await;
    nodes[0].io.emit("x", 0).expect("sent");
    let auth = guest.take().await;
    let id = guest.lose(&collection(&process).await).await;
    let mut other = nodes[1].peer(&[]).await;
    settled(&nodes).await;
    drain(&mut other).await;
    let text = "x".repeat(1000);
    for number in 0..100_u64 {
        nodes[0].io.emit("x", (number, &text)).expect("sent");
    }
    // Those that are there miss nothing, however small it is.
    let mut all = Vec::new();
    eventually("all is there", async || {
        all.extend(numbers(&mut other).await);
        all.len() >= 100
    })
    .await;
    assert_eq!(all, (0..100).collect::<Vec<u64>>());
    let mut guest = Guest::join(&nodes[1], &auth).await;
    assert_ne!(guest.id, id);
    assert!(drain(&mut guest.peer).await.is_empty());
}
