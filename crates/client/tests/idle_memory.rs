//! An idle client keeps little memory.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![expect(unsafe_code, reason = "a global allocator that counts")]
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use sockeye_client::{Client, Data, Socket};
use sockeye_server::{Args, Server};
use sockeye_testkit::SocketDir as Dir;

thread_local! {
    /// Bytes that this thread has allocated and not freed. The server has a thread of its own, so
    /// that what it keeps does not count.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count(size: usize, sign: isize) {
        let size = isize::try_from(size).expect("no allocation is larger");
        // A thread that ends has no cell any more.
        let _ = IN_USE.try_with(|bytes| bytes.set(bytes.get() + sign * size));
    }
}

// SAFETY: every call goes on to the system allocator unchanged. `realloc` is the default, made of the others.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        Self::count(layout.size(), -1);
        // SAFETY: the caller keeps the contract of `dealloc`, and `ptr` came from the system allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Connects a client of its own.
async fn connect(url: &str) -> Socket {
    let socket = Client::builder(url)
        .on("news", |Data(_): Data<u32>| ())
        .connect()
        .await
        .unwrap();
    let echo: u32 = socket.emit_with_ack("echo", 1).await.unwrap();
    assert_eq!(echo, 1);
    socket
}

#[test]
fn idle_client_over_a_unix_socket_keeps_less_than_eight_kibibytes() {
    const COUNT: usize = 200;
    let dir = Dir::new("idle-client");
    let url = dir.url();
    let (ready, started) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let place = url.clone();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let io = Server::new();
            io.on("echo", |args: Args| args);
            let _listener = io.listen(&place).await.unwrap();
            ready.send(()).unwrap();
            let _ = stopped.await;
        });
    });
    started.recv().unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let each = runtime.block_on(async {
        let mut sockets = Vec::with_capacity(2 * COUNT);
        // What all clients share is there when the first have come.
        for _ in 0..COUNT {
            sockets.push(connect(&url).await);
        }
        let before = IN_USE.get();
        for _ in 0..COUNT {
            sockets.push(connect(&url).await);
        }
        let kept = usize::try_from(IN_USE.get() - before).unwrap();
        assert!(sockets.iter().all(Socket::connected));
        kept / COUNT
    });
    // The allocator takes about a tenth more of the machine's memory.
    assert!(each < 7 * 1024, "{each} bytes");
    stop.send(()).unwrap();
    server.join().unwrap();
}
