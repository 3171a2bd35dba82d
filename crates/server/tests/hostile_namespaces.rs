//! What a peer that asks for very many namespaces can take, and what is left of it.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![expect(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye_server::{Refusal, Server, ServerConfig};
use sockeye_testkit::{Case, Peer, ServerRig};

/// Bytes that are in use, and the most that ever were.
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes on to the system allocator unchanged. `realloc` is the default, made of the others.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let before = IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        MOST.fetch_max(before + layout.size(), Ordering::Relaxed);
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

/// One that leaves it to the protocol how many a connection may make.
fn server() -> Server {
    let config = ServerConfig::default().max_dynamic_namespaces_per_connection(usize::MAX);
    Server::with_config(config).expect("a valid configuration")
}

/// How many it asks for before it reads the answers.
const BATCH: usize = 500;

/// A peer asks for names, and leaves those again that it has got. Gives the most that was in use meanwhile beyond what was
/// before, and what was left.
async fn hostility(io: &Server, count: usize, leaves: bool) -> (usize, usize) {
    let names = |n| format!("/{n:0>100}");
    let rig = ServerRig::tcp(io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.join("/").await;
    let ask = async |peer: &mut Peer, from: usize| {
        for n in from..from + BATCH {
            let name = names(n);
            peer.send(&format!("0{name},")).await;
        }
        for n in from..from + BATCH {
            let answer = peer.text().await;
            assert!(answer.contains(&names(n)), "{answer}");
            if leaves {
                peer.send(&format!("1{},", names(n))).await;
            }
        }
    };
    // What grows once and stays, such as buffers and the tables of the connection.
    ask(&mut peer, 0).await;
    tokio::task::yield_now().await;
    let before = IN_USE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    for from in (0..count).step_by(BATCH) {
        ask(&mut peer, from).await;
    }
    peer.send("1").await;
    while !io.sockets().is_empty() {
        tokio::task::yield_now().await;
    }
    let left = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
    assert_eq!(io.namespaces().len(), 1);
    (MOST.load(Ordering::Relaxed) - before, left)
}

/// One after the other, as there is one allocator that counts.
#[tokio::test]
async fn very_many_names_cost_little_and_leave_nothing() {
    names_that_do_not_last().await;
    names_that_last().await;
}

async fn names_that_do_not_last() {
    // Each name is taken, and left.
    let io = server();
    let parent = io.of_pattern("/{*any}").expect("a pattern");
    parent.on_close(|| {});
    let (most, left) = hostility(&io, 100_000, true).await;
    println!("taken and left: {most} at most, {left} left");
    assert!(most < 2_000_000 && left < 20_000, "{most}, {left}");

    // Each is refused by a middleware.
    parent.middleware(async || {
        tokio::task::yield_now().await;
        Err::<(), _>(Refusal::new("no"))
    });
    let (most, left) = hostility(&io, 10_000, false).await;
    println!("refused: {most} at most, {left} left");
    assert!(most < 2_000_000 && left < 20_000, "{most}, {left}");

    // Each is decided about by a function, and does not exist.
    let io = server();
    io.of_fn(async || {
        tokio::task::yield_now().await;
        false
    });
    let (most, left) = hostility(&io, 10_000, false).await;
    println!("unknown: {most} at most, {left} left");
    assert!(most < 2_000_000 && left < 20_000, "{most}, {left}");
}

/// The peer is closed, and its namespaces go with it.
async fn names_that_last() {
    let io = server();
    io.of_pattern("/{*any}").expect("a pattern");
    let rig = ServerRig::tcp(&io).await;
    // The first connection makes what is there for all.
    let first = rig.connect().await;
    let before = IN_USE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let mut peer = rig.connect().await;
    for n in 1..1000 {
        peer.join(&format!("/{n}")).await;
    }
    let each = (IN_USE.load(Ordering::Relaxed) - before) / 999;
    println!("{each} bytes for each namespace with a socket");
    assert!(each < 2_500, "{each}");
    // One too many for one connection.
    peer.send("0/1000,").await;
    peer.ended().await;
    while io.namespaces().len() > 1 {
        tokio::task::yield_now().await;
    }
    drop((first, peer));
    while io.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    let left = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
    println!("{left} bytes left");
    assert!(left < 20_000, "{left}");
}
