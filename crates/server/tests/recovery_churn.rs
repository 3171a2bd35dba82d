//! What short connections leave behind that may come back, in namespaces that they make themselves.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![expect(unsafe_code, reason = "a global allocator that counts")]
#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use sockeye_server::{Data, RecoveryConfig, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Peer, ServerRig};

/// Bytes that are in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes on to the system allocator unchanged. `realloc` is the default, made of the others.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `ptr` came from the system allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const KIB: usize = 1024;

/// What all rooms may keep.
const BUDGET: usize = 256 * KIB;

/// What is said in each.
const TEXT: usize = KIB;

/// What a lost socket takes at least.
const SOCKET: usize = 450;

struct Rig {
    io: Server,
    rig: ServerRig,
    expired: Arc<AtomicUsize>,
}

fn start() -> Rig {
    let recovery = RecoveryConfig::default().max_dynamic_bytes(BUDGET);
    let io = Server::with_config(ServerConfig::default().recovery(recovery)).unwrap();
    let expired: Arc<AtomicUsize> = Arc::default();
    let count = Arc::clone(&expired);
    io.on_new_namespace(move |namespace| {
        let count = Arc::clone(&count);
        namespace.on_recovery_expired(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    });
    let rooms = io.of_pattern("/room-{id}").unwrap();
    rooms.on("say", |socket: Socket, Data(text): Data<String>| {
        socket.namespace().emit("said", text)
    });
    let rig = ServerRig::memory(&io);
    Rig { io, rig, expired }
}

#[derive(Deserialize)]
struct Answer {
    sid: String,
    pid: String,
    /// That of the last event.
    #[serde(default)]
    offset: String,
}

impl Answer {
    fn auth(&self) -> String {
        let Self { pid, offset, .. } = self;
        format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#)
    }
}

impl Rig {
    /// Somebody joins a room, says something and is lost; gives what it takes to come back.
    async fn visit(&self, room: &str, auth: &str) -> Answer {
        let mut peer = Peer::open(&self.rig.net, Case::WEBSOCKET).await;
        peer.send(&format!("0{room},{auth}")).await;
        let welcome = format!("0{room},");
        let mut answer: Answer = loop {
            let text = peer.text().await;
            if let Some(answer) = text.strip_prefix(&welcome) {
                break serde_json::from_str(answer).unwrap();
            }
        };
        let text = "x".repeat(TEXT);
        peer.send(&format!(r#"2{room},["say","{text}"]"#)).await;
        let said = peer.text().await;
        let said = said.strip_prefix(&format!("2{room},")).unwrap();
        let (_, heard, offset): (String, String, String) = serde_json::from_str(said).unwrap();
        assert_eq!(heard, text);
        answer.offset = offset;
        drop(peer);
        let gone = || self.io.connection_count() == 0;
        self.rig.net.until("it is gone", gone).await;
        answer
    }

    fn rooms(&self) -> usize {
        // All but `/`.
        self.io.namespaces().len() - 1
    }

    /// Lets the tasks run that clean up.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lost_sockets_of_many_dynamic_namespaces_take_no_more_than_the_budget() {
    let rig = start();
    let name = |n: usize| format!("/room-{n}");
    for n in 0..700 {
        rig.visit(&name(n), "").await;
    }
    rig.settle().await;
    let (rooms, before) = (rig.rooms(), IN_USE.load(Ordering::Relaxed));
    assert!((100..=BUDGET / SOCKET).contains(&rooms), "{rooms} rooms");
    let mut last = None;
    for n in 700..1_400 {
        last = Some(rig.visit(&name(n), "").await);
    }
    rig.settle().await;
    let grown = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
    assert!(grown < BUDGET / 4, "{grown} bytes more");
    assert!(rig.rooms().abs_diff(rooms) < 20, "{} rooms", rig.rooms());
    // Who was forgotten is told of, and whoever came last can come back.
    let expired = rig.expired.load(Ordering::Relaxed);
    assert_eq!(expired, 1_400 - rig.rooms());
    let last = last.unwrap();
    let back = rig.visit(&name(1_399), &last.auth()).await;
    assert_eq!(back.sid, last.sid);

    // When their time is over nothing is left of any.
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(rig.rooms(), 0);
    assert_eq!(rig.expired.load(Ordering::Relaxed), 1_400);
}

#[tokio::test(start_paused = true)]
async fn socket_that_comes_back_again_and_again_leaves_nothing_behind() {
    let rig = start();
    let mut answer = rig.visit("/room-1", "").await;
    let id = answer.sid.clone();
    let mut before = 0;
    for round in 0..600 {
        answer = rig.visit("/room-1", &answer.auth()).await;
        assert_eq!(answer.sid, id, "round {round}");
        if round == 300 {
            before = IN_USE.load(Ordering::Relaxed);
        }
    }
    let grown = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
    assert!(grown < 16 * KIB, "{grown} bytes more");
    assert_eq!(rig.rooms(), 1);
    assert_eq!(rig.expired.load(Ordering::Relaxed), 0);
}
