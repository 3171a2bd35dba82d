//! Many threads at once, and many times the same: for races, and for what is left behind.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use memory::resident_kib;
use sockeye_client::{Client, ClientConfig, EmitError, Reconnection, Socket, SocketConfig};
use sockeye_server::{Args, Data, Server};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

const THREADS: u32 = 8;

type Numbers = mpsc::UnboundedSender<(u32, u32)>;

fn place(name: &str) -> String {
    format!("unix:@sockeye-stress-{name}-{}", std::process::id())
}

async fn serve(url: &str, numbers: &Numbers) -> Server {
    let io = Server::new();
    let numbers = numbers.clone();
    io.on("number", move |Data(number): Data<(u32, u32)>| {
        numbers.send(number).unwrap();
        number.1
    });
    io.on("echo", |args: Args| args);
    io.of("/other").on("echo", |args: Args| args);
    // The server before may not be gone altogether.
    while io.listen(url).await.is_err() {
        tokio::task::yield_now().await;
    }
    io
}

fn client(url: &str) -> Client {
    let reconnection = Reconnection::default().delay(Duration::from_millis(1));
    let config = ClientConfig::default()
        .auto_connect(false)
        .reconnection(reconnection.delay_max(Duration::from_millis(5)));
    Client::with_config(url, config).unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), work).await.unwrap()
}

/// Emits from all threads while the server is restarted; gives what it heard, in order.
async fn emit_through_restarts(socket: Socket, url: &str, each: u32) -> Vec<(u32, u32)> {
    let (sender, mut numbers) = mpsc::unbounded_channel();
    let emitted = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|id| {
            let (socket, emitted) = (socket.clone(), Arc::clone(&emitted));
            thread::spawn(move || {
                for n in 0..each {
                    while let Err(error) = socket.emit("number", (id, n)) {
                        assert!(
                            matches!(error, EmitError::BufferFull | EmitError::OutboxFull),
                            "{error}"
                        );
                        thread::yield_now();
                    }
                    emitted.fetch_add(1, Ordering::Relaxed);
                    if n % 64 == 0 {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    socket.connect_lazy();
    let mut heard = Vec::new();
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        let io = serve(url, &sender).await;
        for _ in 0..300 {
            if let Ok(number) = timeout(Duration::from_millis(100), numbers.recv()).await {
                heard.push(number.unwrap());
            }
        }
        io.close().await;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(emitted.load(Ordering::Relaxed), THREADS * each);
    let _io = serve(url, &sender).await;
    soon(async {
        while socket.waiting_events() > 0 || !socket.connected() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // One more behind all others.
    soon(socket.emit_with_ack::<u32>("number", (THREADS, 0)))
        .await
        .unwrap();
    while let Ok(number) = numbers.try_recv() {
        heard.push(number);
    }
    heard
}

fn of_thread(heard: &[(u32, u32)], id: u32) -> Vec<u32> {
    let own = heard.iter().filter(|(thread, _)| *thread == id);
    own.map(|(_, n)| *n).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_keep_their_order_while_the_server_is_restarted() {
    let url = place("order");
    let socket = client(&url).socket("/");
    let heard = emit_through_restarts(socket, &url, 5000).await;
    for id in 0..THREADS {
        let own = of_thread(&heard, id);
        // What was on its way when a connection ended may be lost, and that only.
        assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "{own:?}");
        assert!(!own.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_lose_nothing_with_retries_while_the_server_is_restarted() {
    let url = place("retries");
    let config = SocketConfig::default()
        .retries(1000)
        .ack_timeout(Duration::from_secs(10));
    let socket = client(&url).socket_with("/", config).unwrap();
    let heard = emit_through_restarts(socket, &url, 300).await;
    for id in 0..THREADS {
        let mut own = of_thread(&heard, id);
        // At least once, and in order: what is repeated is the one before.
        own.dedup();
        assert_eq!(own, (0..300).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_connect_and_disconnect_at_will_leave_nobody_waiting() {
    let url = place("at-will");
    let (sender, _numbers) = mpsc::unbounded_channel();
    let _io = serve(&url, &sender).await;
    let client = client(&url);
    let sockets = [client.socket("/"), client.socket("/other")];
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = Handle::current();
    let threads: Vec<_> = (0..THREADS)
        .map(|id| {
            let (sockets, stop, runtime) = (sockets.clone(), Arc::clone(&stop), runtime.clone());
            thread::spawn(move || {
                let mut n = id;
                while !stop.load(Ordering::Relaxed) {
                    n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let socket = &sockets[usize::from(n & 0x10000 == 0)];
                    match (n >> 20) % 6 {
                        0 => socket.disconnect(),
                        1 => runtime.block_on(async { socket.connect_lazy() }),
                        // It is connected, or told why not.
                        2 => drop(runtime.block_on(soon(socket.connect()))),
                        3 => {
                            let soon = Duration::from_micros(u64::from(n % 300));
                            drop(runtime.block_on(async { timeout(soon, socket.connect()).await }));
                        }
                        4 => drop(socket.emit("echo", n)),
                        _ => drop(socket.emit_with_ack::<u32>("echo", n)),
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::Relaxed);
    soon(async {
        while !threads.iter().all(thread::JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for thread in threads {
        thread.join().unwrap();
    }
    for socket in &sockets {
        soon(socket.connect()).await.unwrap();
        let echo: u32 = soon(socket.emit_with_ack("echo", 5)).await.unwrap();
        assert_eq!(echo, 5);
    }
    soon(client.close()).await;
    assert!(
        sockets
            .iter()
            .all(|socket| !socket.active() && !socket.connected())
    );
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_connections_leave_nothing_behind() {
    let url = place("cycles");
    let (sender, _numbers) = mpsc::unbounded_channel();
    let io = serve(&url, &sender).await;
    let client = client(&url);
    let socket = client.socket("/");
    let mut before = None;
    for n in 0..10_000_u32 {
        soon(socket.connect()).await.unwrap();
        let echo: u32 = soon(socket.emit_with_ack("echo", n)).await.unwrap();
        assert_eq!(echo, n);
        soon(client.close()).await;
        if n == 2000 {
            before = Some((
                Handle::current().metrics().num_alive_tasks(),
                resident_kib(),
            ));
        }
    }
    while io.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    let (tasks, kib) = before.unwrap();
    assert!(Handle::current().metrics().num_alive_tasks() <= tasks + 2);
    assert!(
        resident_kib() < kib + 4096,
        "{} after {kib}",
        resident_kib()
    );
    // Other tests of this file have a few open at the same time.
    assert!(open_files() < 200);
}
