//! Sockets that come back to another server than they were on.

use std::time::Duration;

use serde_json::{Value, json};
use sockeye_server::adapter::ClusterState;

use super::{Engine, Node, Process, enter, eventually, meet, settled};
use crate::{Case, Peer};

/// A client that knows how to come back.
pub(super) struct Guest {
    peer: Peer,
    id: String,
    pid: String,
    /// Of the last event that it has got.
    offset: Option<String>,
    /// The numbers of the events that it has got.
    numbers: Vec<u64>,
}

impl Guest {
    pub(super) async fn new(node: &Node, rooms: &[&str]) -> Self {
        let mut guest = Self::join(node, "", Vec::new()).await;
        enter(&mut guest.peer, rooms).await;
        guest
    }

    async fn join(node: &Node, auth: &str, numbers: Vec<u64>) -> Self {
        let mut peer = Peer::open(&node.rig.net, Case::WEBSOCKET).await;
        peer.send(&format!("0{auth}")).await;
        let mut guest = Self {
            peer,
            id: String::new(),
            pid: String::new(),
            offset: None,
            numbers,
        };
        loop {
            let text = guest.peer.text().await;
            let Some(answer) = text.strip_prefix('0') else {
                guest.take(&text);
                continue;
            };
            let answer: Value = serde_json::from_str(answer).expect("JSON");
            let text = |key: &str| answer[key].as_str().map(str::to_owned);
            guest.id = text("sid").expect("an id");
            guest.pid = text("pid").expect("a private id");
            guest.offset = guest.offset.or_else(|| text("offset"));
            return guest;
        }
    }

    /// Takes events until there are so many.
    async fn until(&mut self, count: usize) {
        while self.numbers.len() < count {
            let text = self.peer.text().await;
            self.take(&text);
        }
    }

    fn take(&mut self, text: &str) {
        let event = text.strip_prefix('2').unwrap_or_else(|| panic!("{text}"));
        let event: Vec<Value> = serde_json::from_str(event).expect("JSON");
        self.numbers.push(event[1].as_u64().expect("a number"));
        if let Some(Value::String(offset)) = event.last() {
            self.offset = Some(offset.clone());
        }
    }
}

/// Waits until a server has noticed that its clients are gone, and has told the engine.
async fn gone(nodes: &[Node], node: &Node) {
    eventually("it is gone", async || node.io.sockets().is_empty()).await;
    settled(nodes).await;
}

/// A socket comes back to another server with its id, its rooms, its data, and with what it has missed.
///
/// # Panics
///
/// If it does not.
pub async fn socket_comes_back_to_another_server(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut guest = Guest::new(&nodes[0], &["room"]).await;
    let socket = nodes[0].io.socket(&guest.id).expect("it is there");
    socket
        .set_shared_data(json!({ "name": "né" }))
        .expect("it is JSON");
    settled(&nodes).await;
    nodes[1].io.to("room").emit("x", 1).expect("sent");
    guest.until(1).await;
    for round in 0..3 {
        let (from, to) = (&nodes[round % 2], &nodes[(round + 1) % 2]);
        let number = 10 * (round as u64 + 1);
        let (peer, ticket) = split(guest);
        let id = ticket.id.clone();
        drop(peer);
        gone(&nodes, from).await;
        let missed = &nodes[0].io;
        missed.to("room").emit("x", number).expect("sent");
        missed.to("other").emit("x", 666).expect("sent");
        missed.except("room").emit("x", 667).expect("sent");
        missed.volatile().emit("x", 668).expect("sent");
        nodes[1]
            .io
            .to(id.as_str())
            .emit("x", number + 1)
            .expect("sent");
        settled(&nodes).await;
        let is_same;
        (guest, is_same) = ticket.join(to).await;
        assert!(is_same, "it is another one in round {round}");
        let socket = to.io.socket(&id).expect("it is there");
        assert!(socket.recovered());
        assert!(socket.rooms().iter().any(|room| room == "room"));
        assert_eq!(socket.shared_data(), Some(json!({ "name": "né" })));
        from.io.to("room").emit("x", number + 2).expect("sent");
        guest.until(4 + 3 * round).await;
    }
    let mut numbers = guest.numbers.clone();
    // Two servers have emitted the first two of each round.
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 10, 11, 12, 20, 21, 22, 30, 31, 32]);
}

/// What several servers emit at the same time has the same order for all.
///
/// # Panics
///
/// If it does not.
pub async fn all_servers_have_one_order(engine: &Engine) {
    const EACH: usize = 200;
    let nodes = engine.nodes::<3>().await;
    let mut guests = Vec::new();
    for node in &nodes {
        guests.push(Guest::new(node, &[]).await);
    }
    settled(&nodes).await;
    let emitters: Vec<_> = (0..)
        .zip(&nodes)
        .map(|(of, node)| {
            let io = node.io.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    io.emit("x", 1000 * of + number).expect("sent");
                }
            })
        })
        .collect();
    for emitter in emitters {
        emitter.join().expect("it does not panic");
    }
    for guest in &mut guests {
        guest.until(3 * EACH).await;
    }
    assert_eq!(guests[0].numbers, guests[1].numbers);
    assert_eq!(guests[0].numbers, guests[2].numbers);
    assert_eq!(guests[0].offset, guests[2].offset);
    for of in 0..3 {
        let own = guests[0]
            .numbers
            .iter()
            .filter(|number| **number / 1000 == of);
        assert!(own.is_sorted());
    }
}

/// Emits numbers from 1 on until this is dropped.
pub(super) struct Load(tokio::task::JoinHandle<()>);

impl Load {
    pub(super) fn begin(node: &Node) -> Self {
        let io = node.io.clone();
        Self(tokio::spawn(async move {
            for number in 1_u64.. {
                io.emit("x", number).expect("sent");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Goes on until it has this many more, and sees to it that none is missing or doubled.
pub(super) async fn whole(guest: &mut Guest, more: usize) {
    guest.until(guest.numbers.len() + more).await;
    let first = guest.numbers[0];
    let expected = first..first + guest.numbers.len() as u64;
    assert!(
        guest.numbers.iter().copied().eq(expected.clone()),
        "{:?} instead of {expected:?}",
        guest.numbers
    );
}

/// A socket that moves from server to server gets each event once, in order, while they go on.
///
/// # Panics
///
/// If it does not.
pub async fn socket_comes_back_under_load(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    let mut guest = Guest::new(&nodes[0], &[]).await;
    settled(&nodes).await;
    let _load = Load::begin(&nodes[2]);
    for round in 0..6 {
        whole(&mut guest, 20).await;
        let (from, to) = (&nodes[round % 2], &nodes[(round + 1) % 2]);
        // Its first server notices at once that it is gone, and other engines take their time to know.
        let (peer, ticket) = split(guest);
        drop(peer);
        eventually("it is gone", async || from.io.sockets().is_empty()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        from.io.cluster().expect("a cluster").settled().await;
        let is_same;
        (guest, is_same) = ticket.join(to).await;
        assert!(is_same, "it is another one in round {round}");
    }
    whole(&mut guest, 20).await;
}

/// A server that is closed keeps its sockets before they notice, so that they come back to another one at once.
///
/// # Panics
///
/// If it does not.
pub async fn closing_server_keeps_its_sockets(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut guests = Vec::new();
    for _ in 0..5 {
        guests.push(Guest::new(&nodes[0], &[]).await);
    }
    settled(&nodes).await;
    let _load = Load::begin(&nodes[1]);
    for guest in &mut guests {
        whole(guest, 20).await;
    }
    let io = nodes[0].io.clone();
    let closed = tokio::spawn(async move { io.close().await });
    for guest in guests {
        let mut guest = guest;
        while let Some(message) = guest.peer.client.message().await {
            match message {
                sockeye_engine_proto::Message::Text(text) => guest.take(&text),
                other => panic!("{other:?}"),
            }
        }
        let (peer, ticket) = split(guest);
        drop(peer);
        let (mut guest, is_same) = ticket.join(&nodes[1]).await;
        assert!(is_same, "it is another one");
        whole(&mut guest, 20).await;
    }
    closed.await.expect("it does not panic");
}

/// A socket comes back to a server whose engine is away and comes back as well: it gets each event once, in order, that the
/// server has given to others without waiting for the log.
///
/// # Panics
///
/// If it does not.
pub async fn socket_comes_back_with_the_engine(engine: &Engine, mut process: impl Process) {
    let nodes = engine.nodes::<2>().await;
    let mut guest = Guest::new(&nodes[0], &[]).await;
    settled(&nodes).await;
    nodes[0].io.emit("x", 1).expect("sent");
    guest.until(1).await;
    let mut last = 1;
    for _ in 0..5 {
        let (peer, ticket) = split(guest);
        drop(peer);
        gone(&nodes, &nodes[0]).await;
        process.stop();
        let cluster = nodes[0].io.cluster().expect("a cluster");
        eventually("the engine is away", async || {
            matches!(cluster.state(), ClusterState::Degraded(_))
        })
        .await;
        emit(&nodes[0], &mut last, 500);
        let queued = cluster.counts().queued;
        let (joined, ()) = tokio::join!(ticket.join(&nodes[0]), async {
            eventually("it is looked for", async || {
                cluster.counts().queued > queued
            })
            .await;
            emit(&nodes[0], &mut last, 500);
            process.start();
        });
        let is_same;
        (guest, is_same) = joined;
        assert!(is_same, "it is another one");
        emit(&nodes[0], &mut last, 1);
        while guest.numbers.last() != Some(&last) {
            guest.until(guest.numbers.len() + 1).await;
        }
        whole(&mut guest, 0).await;
        meet(&nodes).await;
        settled(&nodes).await;
    }
}

/// Emits so many numbers more.
fn emit(node: &Node, last: &mut u64, count: u64) {
    for _ in 0..count {
        *last += 1;
        node.io.emit("x", *last).expect("sent");
    }
}

/// Whoever has an offset that is not in the log is a new socket, as nobody knows what it has missed.
///
/// # Panics
///
/// If it is not.
pub async fn offset_of_another_log_is_refused(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut guest = Guest::new(&nodes[0], &[]).await;
    settled(&nodes).await;
    nodes[0].io.emit("x", 1).expect("sent");
    guest.until(1).await;
    for offset in ["nonsense", "", "0-0", "99999999999999-0"] {
        let (peer, mut ticket) = split(guest);
        drop(peer);
        eventually("it is gone", async || nodes[0].io.sockets().is_empty()).await;
        settled(&nodes).await;
        ticket.offset = Some(offset.to_owned());
        let (again, is_same) = ticket.join(&nodes[0]).await;
        assert!(!is_same, "{offset:?} is in no log");
        guest = again;
    }
}

/// What a guest needs to come back.
struct Ticket {
    id: String,
    pid: String,
    offset: Option<String>,
    numbers: Vec<u64>,
}

fn split(guest: Guest) -> (Peer, Ticket) {
    let Guest {
        peer,
        id,
        pid,
        offset,
        numbers,
    } = guest;
    let ticket = Ticket {
        id,
        pid,
        offset,
        numbers,
    };
    (peer, ticket)
}

impl Ticket {
    async fn join(self, node: &Node) -> (Guest, bool) {
        let auth = json!({ "pid": self.pid, "offset": self.offset }).to_string();
        let mut guest = Guest::join(node, &auth, self.numbers).await;
        guest.offset = guest.offset.or(self.offset);
        let is_same = guest.id == self.id;
        (guest, is_same)
    }
}
