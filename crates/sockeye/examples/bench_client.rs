//! The client that `cargo xtask bench` measures, against a `bench_server`:
//!
//! ```text
//! bench_client echo URL --connections N --in-flight N --seconds S
//! bench_client idle URL --connections N
//! ```
//!
//! `echo` keeps that many events waiting for their acks on each connection. After a second it
//! says `started`, counts for so many seconds, and prints the number of acks.
//!
//! `idle` only connects, one client after the other, and says `connected`.
//!
//! Both then wait until their standard input ends, so that one can look at the process.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sockeye::{AckError, Client, ConnectError, TransportKind, client::Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: bench_client echo|idle URL [--connections N] [--in-flight N] [--seconds S]";
    let mut args = std::env::args().skip(1);
    let (mode, url) = args.next().zip(args.next()).ok_or(usage)?;
    let (mut connections, mut in_flight, mut seconds) = (1, 16, 3.0);
    while let Some(option) = args.next() {
        let value = args.next().ok_or(usage)?;
        match option.as_str() {
            "--connections" => connections = value.parse()?,
            "--in-flight" => in_flight = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            _ => return Err(usage.into()),
        }
    }
    let mut sockets = Vec::new();
    for _ in 0..connections {
        sockets.push(connect(&url).await?);
    }
    match mode.as_str() {
        "echo" => echo(&sockets, in_flight, Duration::try_from_secs_f64(seconds)?).await,
        "idle" => println!("connected"),
        _ => return Err(usage.into()),
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A client of its own for each connection.
async fn connect(url: &str) -> Result<Socket, ConnectError> {
    Client::builder(url)
        .config(|config| {
            config.connector(|connector| connector.transports([TransportKind::WebSocket]))
        })
        .connect()
        .await
}

async fn echo(sockets: &[Socket], in_flight: usize, time: Duration) {
    let done = Arc::new(AtomicU64::new(0));
    for socket in sockets {
        for _ in 0..in_flight {
            let (socket, done) = (socket.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                if let Err(error) = ask(&socket, &done).await {
                    eprintln!("error: {error}");
                    std::process::exit(1);
                }
            });
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("started");
    let before = done.load(Ordering::Relaxed);
    tokio::time::sleep(time).await;
    println!("{}", done.load(Ordering::Relaxed) - before);
}

/// One event after the other, each when the last is acknowledged.
async fn ask(socket: &Socket, done: &AtomicU64) -> Result<(), AckError> {
    let text = "x".repeat(32);
    loop {
        let answer: String = socket.emit_with_ack("echo", &text).await?;
        assert_eq!(answer, text);
        done.fetch_add(1, Ordering::Relaxed);
    }
}
