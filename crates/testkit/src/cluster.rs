//! What every engine between servers has to do for them.

mod broadcasts;
mod emitters;
mod failures;
mod load;
mod outages;
mod process;
mod recovery;
mod requests;
mod sockets;
mod ways;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sockeye_cluster::{ClusterConfig, Emitter};
use sockeye_server::adapter::{Cluster, IntoCluster};
use sockeye_server::{Args, Data, RecoveryConfig, Server, ServerConfig, Socket};

use crate::{Log, Peer, ServerRig};

pub use broadcasts::*;
pub use emitters::*;
pub use failures::*;
pub use outages::*;
pub use process::*;
pub use recovery::*;
pub use requests::*;
pub use sockets::*;
pub use ways::*;

/// An engine, and how a server joins the others on it.
pub struct Engine {
    open: Box<dyn Fn(Option<ClusterConfig>) -> Arc<dyn Cluster> + Send + Sync>,
    recovery: bool,
    is_durable: bool,
    _guard: Box<dyn Any + Send + Sync>,
}

/// One server of a cluster.
pub struct Node {
    /// The server.
    pub io: Server,
    /// The way there.
    pub rig: ServerRig,
    /// Its name, which is what it answers other servers.
    pub name: String,
    /// What other servers have emitted to it as `note`.
    pub notes: Log<String>,
}

impl Engine {
    /// An engine on which each server joins by what this function gives.
    pub fn new<C: IntoCluster>(open: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self::opening(move |config| {
            assert!(config.is_none(), "this engine has settings of its own");
            open().into_cluster()
        })
    }

    /// The same for one that a test may give other settings.
    pub fn with_config<C: IntoCluster>(
        open: impl Fn(ClusterConfig) -> C + Send + Sync + 'static,
    ) -> Self {
        Self::opening(move |config| open(config.unwrap_or_default()).into_cluster())
    }

    fn opening(
        open: impl Fn(Option<ClusterConfig>) -> Arc<dyn Cluster> + Send + Sync + 'static,
    ) -> Self {
        Self {
            open: Box::new(open),
            recovery: false,
            is_durable: false,
            _guard: Box::new(()),
        }
    }

    /// It keeps sockets that may come back.
    #[must_use]
    pub fn recovering(mut self) -> Self {
        self.recovery = true;
        self
    }

    /// What it has taken it still has after it was killed, and brings it to all.
    #[must_use]
    pub const fn durable(mut self) -> Self {
        self.is_durable = true;
        self
    }

    /// Keeps this until the test is over: the engine's process, for one.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self._guard = Box::new(guard);
        self
    }

    /// This many servers that know of each other.
    ///
    /// # Panics
    ///
    /// If they do not get to know each other.
    pub async fn nodes<const N: usize>(&self) -> [Node; N] {
        let nodes = std::array::from_fn(|number| self.node(&format!("node-{number}")));
        meet(&nodes).await;
        nodes
    }

    /// Somebody who is no server.
    ///
    /// # Panics
    ///
    /// If there can be none.
    pub fn emitter(&self) -> Emitter {
        Emitter::new((self.open)(None)).expect("there can be emitters")
    }

    /// One more server.
    ///
    /// # Panics
    ///
    /// Never: its configuration is valid.
    #[must_use]
    pub fn node(&self, name: &str) -> Node {
        self.node_on(name, (self.open)(None))
    }

    /// One more server, with these settings.
    ///
    /// # Panics
    ///
    /// If the engine takes [none](Self::new).
    #[must_use]
    pub fn node_with(&self, name: &str, config: ClusterConfig) -> Node {
        self.node_on(name, (self.open)(Some(config)))
    }

    fn node_on(&self, name: &str, cluster: Arc<dyn Cluster>) -> Node {
        let mut config = ServerConfig::default().cluster(cluster);
        if self.recovery {
            config = config.recovery(RecoveryConfig::default());
        }
        let io = Server::with_config(config).expect("a valid configuration");
        serve(&io);
        let notes = Log::new();
        let (noted, own) = (notes.clone(), name.to_owned());
        io.server_side().on("note", move |args: Args| {
            noted.push(args.as_json().to_owned());
        });
        io.server_side().on("who", move || own.clone());
        Node {
            rig: ServerRig::memory(&io),
            io,
            name: name.to_owned(),
            notes,
        }
    }
}

fn serve(io: &Server) {
    io.on("echo", |args: Args| args);
    io.on("join", |socket: Socket, Data(rooms): Data<Vec<String>>| {
        socket.join(rooms);
        true
    });
}

impl Node {
    /// A client that is in these rooms.
    pub async fn peer(&self, rooms: &[&str]) -> Peer {
        let mut peer = self.rig.connect().await;
        enter(&mut peer, rooms).await;
        peer
    }
}

async fn enter(peer: &mut Peer, rooms: &[&str]) {
    if !rooms.is_empty() {
        let rooms = serde_json::to_string(rooms).expect("texts are JSON");
        peer.send(&format!(r#"2777["join",{rooms}]"#)).await;
        peer.expect("3777[true]").await;
    }
}

/// Waits until all servers know each other.
///
/// # Panics
///
/// If they do not after half a minute.
pub async fn meet(nodes: &[Node]) {
    for node in nodes {
        let cluster = node.io.cluster().expect("it is in a cluster");
        let ready = tokio::time::timeout(PATIENCE, cluster.ready()).await;
        assert!(ready.is_ok(), "{:?}", cluster.state());
        eventually("all servers are counted", async || {
            node.io.server_count().await == nodes.len()
        })
        .await;
    }
}

/// Looks again and again until it is true.
///
/// # Panics
///
/// If it is not after half a minute.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How long something may take on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until what these servers have published before has got to all others.
///
/// # Panics
///
/// If one does not answer.
pub async fn settled(nodes: &[Node]) {
    for node in nodes {
        // It may take longer than a request waits until they have read all that came before.
        eventually("all answer", async || {
            let answers = node.io.server_side_emit_with_ack::<String>("who", ()).await;
            answers.is_ok()
        })
        .await;
    }
    // Some engines keep no order between messages of different kinds.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// What has come to a client.
pub async fn drain(peer: &mut Peer) -> Vec<String> {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    peer.send(&format!(r#"2{id}["echo"]"#)).await;
    let end = format!("3{id}[]");
    let mut texts = Vec::new();
    loop {
        match peer.text().await {
            text if text == end => return texts,
            text => texts.push(text),
        }
    }
}

/// The id under which a client is asked for something.
async fn asked(peer: &mut Peer, event: &str) -> String {
    let text = peer.text().await;
    let id = text
        .strip_prefix('2')
        .and_then(|rest| rest.strip_suffix(event));
    id.unwrap_or_else(|| panic!("{text} instead of {event}"))
        .to_owned()
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One test for each thing that an engine has to do. It is given an async function that starts one and gives an
/// [`Engine`], or `None` if there is no such engine here.
#[macro_export]
macro_rules! cluster_contract {
    ($engine:path) => {
        $crate::cluster_contract!(
            @each $engine:
            broadcasts_reach_the_sockets_of_all_servers_once
            rooms_of_any_name_are_rooms
            bytes_arrive_as_bytes
            messages_of_any_size_arrive
            namespaces_are_apart
            order_of_one_sender_is_kept
            settled_server_has_published_all
            answers_of_all_clients_are_collected
            nobody_has_to_answer_where_nobody_is
            client_that_does_not_answer_is_missing
            servers_answer_each_other
            servers_are_told_of_events
            server_that_leaves_is_not_waited_for
            sockets_of_all_servers_are_found
            sockets_join_and_leave_on_all_servers
            sockets_hear_what_is_emitted_right_after_they_are_put_into_a_room
            sockets_are_disconnected_on_all_servers
            remote_socket_answers
            emitter_tells_all_servers
        );
    };
    (@each $engine:path: $($test:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(engine) = $engine().await {
                    $crate::cluster::$test(&engine).await;
                }
            }
        )*
    };
}

/// Makes tests of what happens without the engine, of a function that gives an engine and its process, or `None` if there is
/// no such engine here.
#[macro_export]
macro_rules! cluster_outages {
    ($engine:path) => {
        $crate::cluster_outages!(
            @each $engine:
            servers_begin_without_their_engine
            engine_may_be_killed
            engine_may_stand_still
        );
    };
    (@each $engine:path: $($test:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some((engine, process)) = $engine().await {
                    $crate::cluster::$test(&engine, process).await;
                }
            }
        )*
    };
}

/// Makes tests of what is delivered, counted and told when an engine fails, of a function that gives an engine that takes
/// [settings](crate::cluster::Engine::with_config) and its [process](crate::cluster::Process), or `None` if there is no such
/// engine here.
#[macro_export]
macro_rules! cluster_failures {
    ($engine:path) => {
        $crate::cluster_outages!(
            @each $engine:
            engine_restarts_under_load
            messages_that_wait_too_long_are_counted
            too_many_messages_are_counted
            servers_leave_without_their_engine
        );
    };
}

/// The same for an engine whose servers wait for less than usual for an answer.
#[macro_export]
macro_rules! cluster_silence {
    ($engine:path) => {
        $crate::cluster_outages!(@each $engine: engine_stands_still_for_too_long);
    };
}

/// Makes tests of what happens when something is wrong on the way to an engine, of a function that gives
/// [`Ways`](crate::cluster::Ways), or `None` if there is no such engine here.
#[macro_export]
macro_rules! cluster_ways {
    ($ways:path) => {
        $crate::cluster_contract!(
            @each $ways:
            deaf_server_is_noticed
            slow_engine_costs_no_more_than_it_may
        );
    };
}

/// The same for an engine that loses nothing, with servers whose sockets may come back.
#[macro_export]
macro_rules! durable_outages {
    ($engine:path) => {
        $crate::cluster_outages!(@each $engine: nothing_is_lost_while_the_engine_is_away);
    };
}

/// The same for an engine that keeps sockets which may come back.
#[macro_export]
macro_rules! recovery_contract {
    ($engine:path) => {
        $crate::cluster_contract!(
            @each $engine:
            socket_comes_back_to_another_server
            all_servers_have_one_order
            socket_comes_back_under_load
            closing_server_keeps_its_sockets
            offset_of_another_log_is_refused
        );
    };
}
