//! The modes of the example `bench_client` on rust_socketio's asynchronous client, set up as its README does.

use std::{
    io::{self, Read},
    panic,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rust_socketio::{
    Error, Payload, TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::sleep};

use crate::Result;

/// Runs `echo|idle URL [--connections N] [--in-flight N] [--seconds S]`.
#[tokio::main]
pub(crate) async fn run(args: &[&str]) -> Result<()> {
    let [mode, url, options @ ..] = args else {
        return Err("a mode and a URL are missing".into());
    };
    let (mut connections, mut in_flight, mut seconds) = (1, 16, 3.0);
    for option in options.chunks(2) {
        match *option {
            ["--connections", value] => connections = value.parse()?,
            ["--in-flight", value] => in_flight = value.parse()?,
            ["--seconds", value] => seconds = value.parse()?,
            _ => return Err(format!("what is {option:?}?").into()),
        }
    }
    match *mode {
        "echo" => {
            echo(
                url,
                connections,
                in_flight,
                Duration::try_from_secs_f64(seconds)?,
            )
            .await;
        }
        _ => {
            let mut clients = Vec::new();
            for _ in 0..connections {
                clients.push(connect(url).await?);
            }
            println!("connected");
            wait_for_end()?;
        }
    }
    Ok(())
}

fn wait_for_end() -> io::Result<()> {
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

async fn connect(url: &str) -> Result<Client, Error> {
    ClientBuilder::new(url)
        .transport_type(TransportType::Websocket)
        .connect()
        .await
}

async fn echo(url: &str, connections: usize, in_flight: usize, time: Duration) {
    // The client panics in a task of its own, see `keep_asking`; thousands of messages would cost time.
    panic::set_hook(Box::new(|_| ()));
    let lost = Arc::new(AtomicU64::new(0));
    let mut counters = Vec::new();
    for _ in 0..connections {
        let done = Arc::new(AtomicU64::new(0));
        counters.push(Arc::clone(&done));
        tokio::spawn(keep_asking(
            url.to_owned(),
            in_flight,
            done,
            Arc::clone(&lost),
        ));
    }
    let count = || {
        counters
            .iter()
            .map(|done| done.load(Ordering::Relaxed))
            .sum::<u64>()
    };
    sleep(Duration::from_secs(1)).await;
    println!("started");
    let before = (count(), lost.load(Ordering::Relaxed));
    sleep(time).await;
    println!("{}", count() - before.0);
    let lost = lost.load(Ordering::Relaxed) - before.1;
    if lost > 0 {
        eprint!("({lost} clients died) ");
    }
    // Nothing else is to run while somebody looks at this process.
    let _ = wait_for_end();
}

/// Asks over one connection, and over a new one whenever that has died.
///
/// It dies of itself with more than one event in flight: ids of acks are drawn at random from 999, and if an answer
/// meets two of one id, a wrong one is taken out of the list, or one from behind its end, which panics. The answers
/// stop then.
async fn keep_asking(url: String, in_flight: usize, done: Arc<AtomicU64>, lost: Arc<AtomicU64>) {
    loop {
        let asking = tokio::spawn(ask(url.clone(), in_flight, Arc::clone(&done)));
        let mut before = u64::MAX;
        loop {
            sleep(STALL).await;
            let now = done.load(Ordering::Relaxed);
            if now == before {
                break;
            }
            before = now;
        }
        asking.abort();
        lost.fetch_add(1, Ordering::Relaxed);
    }
}

async fn ask(url: String, in_flight: usize, done: Arc<AtomicU64>) -> Result<(), Error> {
    let client = connect(&url).await?;
    let text = json!("x".repeat(32));
    // A callback must not ask by itself: it runs under the lock that asking takes.
    let (answered, mut answers) = mpsc::unbounded_channel();
    for _ in 0..in_flight {
        emit(&client, &text, &answered).await?;
    }
    while let Some(answer) = answers.recv().await {
        assert_eq!(answer, Payload::Text(vec![json!([text])]));
        done.fetch_add(1, Ordering::Relaxed);
        emit(&client, &text, &answered).await?;
    }
    Ok(())
}

async fn emit(
    client: &Client,
    text: &Value,
    answered: &mpsc::UnboundedSender<Payload>,
) -> Result<(), Error> {
    let answered = answered.clone();
    let callback = move |answer: Payload, _: Client| {
        let _ = answered.send(answer);
        Box::pin(async {}) as _
    };
    let timeout = Duration::from_secs(20);
    client
        .emit_with_ack("echo", text.clone(), timeout, callback)
        .await
}

/// How long no answer comes before a client counts as dead. It costs no CPU, only events not asked meanwhile.
const STALL: Duration = Duration::from_millis(100);
