//! Whether a message can lie unsent until something else happens on its connection.
//!
//! Two clients share a server on a runtime with two workers. While one tells the other something, the other asks for
//! an echo, and for an answer that comes from a thread outside the runtime. All of that meets at one outbox, and
//! nobody goes on before everything has arrived: what lies unsent stalls the round, and the test says what is
//! missing. It runs for a few seconds; `cargo xtask stalls` has it run for longer.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sockeye::{
    Ack, Args, Client, ClientConfig, Data, Dialect, Server, Socket, TransportKind, client,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How the clients reach the server.
#[derive(Clone, Copy)]
enum Way {
    Polling,
    WebSocket,
    /// A session that begins on long-polling and moves.
    Upgrade,
    Tcp,
    #[cfg(unix)]
    Unix,
    #[cfg(unix)]
    Lines,
}

/// For so long nothing may be missing. Heartbeats, which would set a stalled connection going again, take longer.
const PATIENCE: Duration = Duration::from_secs(15);

impl Way {
    /// Where to listen, and how to get there.
    async fn listen(self, io: &Server) -> String {
        let url = match self {
            Self::Polling | Self::WebSocket | Self::Upgrade => "http://127.0.0.1:0".to_owned(),
            Self::Tcp => "tcp://127.0.0.1:0".to_owned(),
            #[cfg(unix)]
            Self::Unix | Self::Lines => {
                let name = if matches!(self, Self::Lines) {
                    "lines"
                } else {
                    "unix"
                };
                let file = format!("sockeye-stalls-{name}-{}.sock", std::process::id());
                let path = std::env::temp_dir().join(file);
                format!("unix:{}", path.display())
            }
        };
        let listener = io.listen(&*url).await.unwrap();
        match listener.local_addr() {
            Some(address) => url.replace("127.0.0.1:0", &address.to_string()),
            None => url,
        }
    }

    async fn connect(self, url: &str) -> client::Socket {
        let config = ClientConfig::default().connector(|connector| match self {
            Self::Polling => connector.transports([TransportKind::Polling]),
            Self::WebSocket => connector.transports([TransportKind::WebSocket]),
            #[cfg(unix)]
            Self::Lines => connector.dialect(Dialect::Lines),
            _ => connector,
        });
        let client = Client::with_config(url, config).unwrap();
        let socket = client.socket("/");
        socket.connect().await.unwrap();
        socket
    }
}

fn seconds() -> Duration {
    let seconds = std::env::var("SOCKEYE_STALL_SECONDS");
    Duration::from_secs(seconds.map_or(3, |text| text.parse().unwrap()))
}

/// Answers in a thread of its own, which has no turn of its own to put a write off to.
fn answering_thread() -> std_mpsc::Sender<(Ack<u64>, u64)> {
    let (sender, questions) = std_mpsc::channel::<(Ack<u64>, u64)>();
    thread::spawn(move || {
        for (ack, number) in questions {
            // A peer that is gone when the test ends misses nothing.
            let _ = ack.send(number);
        }
    });
    sender
}

async fn arrives<T>(what: &str, round: u64, answer: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what} has stalled in round {round}"),
    }
}

async fn rounds(way: Way) -> u64 {
    let io = Server::new();
    let questions = answering_thread();
    io.on("echo", |args: Args| args);
    io.on("tell", |socket: Socket, args: Args| {
        let _ = socket.broadcast().emit("told", args);
    });
    io.on("later", move |Data(number): Data<u64>, ack: Ack<u64>| {
        questions.send((ack, number)).unwrap();
    });
    let url = way.listen(&io).await;
    let (teller, asker) = (way.connect(&url).await, way.connect(&url).await);
    let (sender, mut told) = mpsc::unbounded_channel();
    asker.on("told", move |Data(number): Data<u64>| {
        sender.send(number).unwrap();
    });

    for socket in [&teller, &asker] {
        // A plain peer is nobody to a server before it has said something.
        let greeting = socket.emit_with_ack::<u64>("echo", 0);
        arrives("the first echo", 0, greeting).await.unwrap();
    }

    let until = Instant::now() + seconds();
    let mut round = 0;
    while Instant::now() < until {
        teller.emit("tell", round).unwrap();
        let echo = asker.emit_with_ack::<u64>("echo", round);
        let later = asker.emit_with_ack::<u64>("later", round);
        let (echo, later, told) = tokio::join!(
            arrives("an echo", round, echo),
            arrives("an answer from another thread", round, later),
            arrives("a broadcast", round, told.recv()),
        );
        let answers = (echo.unwrap(), later.unwrap(), told.unwrap());
        assert_eq!(answers, (round, round, round));
        round += 1;
    }
    assert!(round > 0);
    let _ = timeout(PATIENCE, io.close()).await;
    round
}

macro_rules! ways {
    ($($(#[$attribute:meta])* $name:ident => $way:ident,)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let rounds = rounds(Way::$way).await;
            println!("{}: {rounds} rounds without a stall", stringify!($way));
        }
    )*};
}

ways! {
    nothing_stalls_over_polling => Polling,
    nothing_stalls_over_websocket => WebSocket,
    nothing_stalls_over_an_upgrade => Upgrade,
    nothing_stalls_over_tcp => Tcp,
    #[cfg(unix)]
    nothing_stalls_over_a_unix_socket => Unix,
    #[cfg(unix)]
    nothing_stalls_over_lines => Lines,
}
