//! An idle connection keeps little memory.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![expect(unsafe_code, reason = "a global allocator that counts")]
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use sockeye_server::{Args, Server};
use sockeye_testkit::SocketDir as Dir;

/// Bytes in small pieces of memory that are in use.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Larger ones are the tables and buffers that all connections share: they grow in steps, and would only blur the
/// picture.
const SMALL: usize = 4096;

struct Counting;

// SAFETY: every call goes on to the system allocator unchanged. `realloc` is the default, made of the others.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() < SMALL {
            IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if layout.size() < SMALL {
            IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract of `dealloc`, and `ptr` came from the system allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Connects with the native dialect, and joins `/`. Allocates nothing itself.
fn join(path: &std::path::Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(b"\x010").unwrap();
    frame(&mut stream);
    stream.write_all(b"\x0240").unwrap();
    frame(&mut stream);
    stream
}

/// Reads one frame and forgets it.
fn frame(stream: &mut UnixStream) {
    let mut header = [0; 3];
    stream.read_exact(&mut header[..1]).unwrap();
    let mut len = usize::from(header[0]);
    if len == 126 {
        stream.read_exact(&mut header[1..]).unwrap();
        len = usize::from(header[1]) << 8 | usize::from(header[2]);
    }
    let mut payload = [0; 1024];
    stream.read_exact(&mut payload[..len]).unwrap();
}

#[test]
fn idle_connection_over_a_unix_socket_keeps_some_1550_bytes() {
    const COUNT: usize = 200;
    let dir = Dir::new("idle");
    let url = dir.url();
    let (ready, started) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let io = Server::new();
            io.on("echo", |args: Args| args.first());
            let listener = io.listen(url).await.unwrap();
            ready.send(()).unwrap();
            stopped.await.unwrap();
            drop(listener);
        });
    });
    started.recv().unwrap();

    let mut streams = Vec::with_capacity(2 * COUNT);
    // What all connections share is there when the first have come.
    streams.extend((0..COUNT).map(|_| join(&dir.socket())));
    let before = IN_USE.load(Ordering::Relaxed);
    // The server has one thread, so that it is through with each before it hears of the next.
    streams.extend((0..COUNT).map(|_| join(&dir.socket())));
    let each = (IN_USE.load(Ordering::Relaxed) - before) / COUNT;

    // Exactly what it is does not matter, but one that got a size class larger would be beyond.
    assert!((1300..1600).contains(&each), "{each} bytes");
    drop(streams);
    stop.send(()).unwrap();
    server.join().unwrap();
}
