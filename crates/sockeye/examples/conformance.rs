//! A server with a fixed contract for protocol test-suites:
//! `conformance HOST:PORT [--engine] [--msgpack | --json] [--deflate] [--http-compression] [--counted-acks]
//! [--jsonp] [--merge] [--listen URL]… [--unfinished-timeout MS]`.
//!
//! Without `--engine`, Socket.IO at `/socket.io/` with the namespaces `/` and `/custom`:
//!
//! * on connection, `auth` is emitted with the auth of the handshake;
//! * `message` is answered by the event `message-back` with the same arguments;
//! * `message-with-ack` is acknowledged with the same arguments;
//! * `emit-with-ack` makes the server emit `emit-with-ack` with the same arguments, wait for the
//!   acknowledgement, and emit `emit-with-ack` with what that carried;
//! * `relay` is passed on to everybody else in the namespace, as `relayed` with the same arguments;
//! * `lengths` takes a list of binary data, and is acknowledged with their lengths;
//! * `join` puts the socket into a room, and `to-room` emits `to-room` with an argument to one; both are
//!   acknowledged;
//! * `disconnect-me` makes the server disconnect the socket, and the whole connection if the
//!   argument is true;
//! * `query` is acknowledged with the query of the handshake.
//!
//! The same goes for namespaces that are made on demand: `/room-ID`, by pattern, and `/tenant-NAME`, by a function that lets
//! in whose auth has the token `secret`. Besides:
//!
//! * `room`, in a room, is acknowledged with its ID;
//! * `tell-rooms`, in a room, is passed on to all rooms as `told` with the same arguments;
//! * `on-demand`, in `/`, is acknowledged with the names of those that are there.
//!
//! With `--engine`, a bare Engine.IO server at `/engine.io/` that sends every message back.
//!
//! With `--msgpack` packets are MessagePack, with `--json` plain JSON.
//!
//! Each `--listen URL` adds a listener, such as `unix:/tmp/app.sock` or `tcp://127.0.0.1:5000`.
//!
//! Heartbeats are short (interval 300 ms, timeout 200 ms, or that of `--ping-timeout` in milliseconds), the connect timeout
//! is one second, and whoever takes nothing of an HTTP answer for two seconds is dropped. `--unfinished-timeout` is the
//! time for what is begun and not finished, in milliseconds; without it, it is the library's own.
//!
//! `--deflate` compresses messages on WebSockets, and `--http-compression` answers to polls; neither is done without.
//!
//! `--counted-acks` is for clients of Socket.IO 1.0.0 to 1.0.2, which need them; `--jsonp` serves pages that can only load
//! scripts, and `--merge` puts the CONNECT of old clients into the handshake.
//!
//! `--recovery` lets sockets come back after a loss; `--max-disconnection` does so within a time in milliseconds.
//!
//! Ctrl-C and SIGTERM disconnect everybody and end it; the files of Unix-domain sockets go with it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::value::RawValue;
use sockeye::parser::Json;
use sockeye::{
    Args, Bytes, Captures, Cors, Data, DeflateConfig, EmitError, EngineConfig, Handshake,
    HttpCompression, ListenOptions, Listeners, NamespaceRequest, ParentNamespace, PatternError,
    RecoveryConfig, Server, ServerConfig, Socket,
};
use sockeye_engine::{CloseReason, Connection, Incoming, Message, SendOptions, SessionHandle};
use sockeye_listen::{Application, Engine};
use sockeye_socket_proto::parser::MessagePack;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: conformance HOST:PORT [--engine] [--msgpack | --json] [--deflate] [--http-compression] \
                 [--counted-acks] [--jsonp] [--merge] [--recovery] [--max-disconnection MS] [--listen URL]… [--unfinished-timeout MS] [--ping-timeout MS]";
    let mut args = std::env::args().skip(1);
    let mut urls = vec![format!("http://{}", args.next().ok_or(usage)?)];
    let mut bare = false;
    let mut unfinished = None;
    let mut ping_timeout = Duration::from_millis(200);
    let mut config = ServerConfig::default();
    let mut recovery: Option<RecoveryConfig> = None;
    let (mut deflate, mut http_compression) = (None, None);
    let (mut jsonp, mut merge) = (false, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--engine" => bare = true,
            "--msgpack" => config = config.parser(MessagePack),
            "--json" => config = config.parser(Json::new()),
            "--counted-acks" => {
                config = config.connection(|connection| connection.counted_acks(true));
            }
            "--jsonp" => jsonp = true,
            "--merge" => merge = true,
            "--listen" => urls.push(args.next().ok_or(usage)?),
            "--deflate" => deflate = Some(DeflateConfig::default()),
            "--recovery" => recovery = Some(recovery.unwrap_or_default()),
            "--max-disconnection" => {
                let millis = args.next().ok_or(usage)?.parse()?;
                let time = Duration::from_millis(millis);
                recovery = Some(recovery.unwrap_or_default().max_disconnection(time));
            }
            "--http-compression" => http_compression = Some(HttpCompression::default()),
            "--ping-timeout" => {
                ping_timeout = Duration::from_millis(args.next().ok_or(usage)?.parse()?);
            }
            "--unfinished-timeout" => {
                let millis = args.next().ok_or(usage)?.parse()?;
                unfinished = Some(Duration::from_millis(millis));
            }
            _ => return Err(usage.into()),
        }
    }
    let engine = |config| {
        let config = engine(config)
            .session(|session| session.ping_timeout(ping_timeout))
            .per_message_deflate(deflate)
            .http_compression(http_compression)
            .jsonp(jsonp)
            .merge_first_packets(merge);
        match unfinished {
            Some(timeout) => config.limits(|limits| limits.unfinished_timeout(timeout)),
            None => config,
        }
    };
    let mut listeners = Vec::new();
    let close: Pin<Box<dyn Future<Output = ()>>> = if bare {
        let engine = Engine::new(engine(EngineConfig::default()), Echo)?;
        for url in urls {
            listeners.push(engine.listen(&url, options()).await?);
        }
        Box::pin(async move { engine.close().await })
    } else {
        let mut config = config
            .engine(engine)
            .connection(|config| config.connect_timeout(Duration::from_secs(1)));
        if let Some(recovery) = recovery {
            config = config.recovery(recovery);
        }
        let io = Server::with_config(config)?;
        register(&io);
        register(&io.of("/custom"));
        on_demand(&io)?;
        for url in urls {
            listeners.push(io.listen_with(url, options()).await?);
        }
        Box::pin(async move { io.close().await })
    };
    let stop = stop()?;
    for listener in &listeners {
        println!("listening on {}", listener.url());
    }
    stop.await;
    close.await;
    Ok(())
}

/// Ctrl-C or, on Unix, SIGTERM; from the call on, these do not end the process by themselves.
#[cfg(unix)]
fn stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

fn engine(config: EngineConfig) -> EngineConfig {
    config
        .session(|session| session.ping_interval(Duration::from_millis(300)))
        .limits(|limits| limits.max_payload(1_000_000))
        .cors(Cors::any())
}

fn options() -> ListenOptions {
    ListenOptions::default().write_timeout(Duration::from_secs(2))
}

fn on_demand(io: &Server) -> Result<(), PatternError> {
    #[derive(serde::Deserialize)]
    struct Credentials {
        token: String,
    }

    let rooms = io.of_pattern("/room-{id}")?;
    register(&rooms);
    rooms.on("room", |Captures(id): Captures<String>| id);
    rooms.on("tell-rooms", |rooms: ParentNamespace, args: Args| {
        rooms.emit("told", args)
    });
    let tenants = io.of_fn(async |request: NamespaceRequest| {
        // As if it had asked a database.
        tokio::task::yield_now().await;
        let credentials = request.handshake().auth::<Credentials>();
        let is_known = credentials.is_ok_and(|credentials| credentials.token == "secret");
        is_known && request.name().starts_with("/tenant-")
    });
    register(&tenants);
    io.on("on-demand", |io: Server| {
        let namespaces = io.namespaces().into_iter();
        let names = namespaces.map(|namespace| namespace.name().to_owned());
        let mut names: Vec<_> = names.filter(|name| name.contains('-')).collect();
        names.sort_unstable();
        names
    });
    Ok(())
}

fn register(listeners: &Listeners<Socket>) {
    listeners
        .on_connect(|socket: Socket, handshake: Handshake| {
            // As it came: a map would sort the keys.
            let auth: Box<RawValue> = handshake.auth()?;
            socket.emit("auth", auth)?;
            Ok::<_, Box<dyn Error>>(())
        })
        .on("message", |socket: Socket, args: Args| {
            socket.emit("message-back", args)
        })
        .on("message-with-ack", |args: Args| args)
        .on("emit-with-ack", async |socket: Socket, args: Args| {
            let answer: Args = socket.emit_with_ack("emit-with-ack", args).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(socket.emit("emit-with-ack", answer)?)
        })
        .on("relay", |socket: Socket, args: Args| {
            socket.broadcast().emit("relayed", args)
        })
        .on("lengths", |Data(parts): Data<Vec<Bytes>>| {
            parts.iter().map(Bytes::len).collect::<Vec<_>>()
        })
        .on("join", |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            true
        })
        .on(
            "to-room",
            |socket: Socket, Data((room, value)): Data<(String, u64)>| {
                socket.namespace().to(room).emit("to-room", value)?;
                Ok::<_, EmitError>(true)
            },
        )
        .on(
            "disconnect-me",
            |socket: Socket, Data(close): Data<Option<bool>>| match close.unwrap_or(false) {
                true => socket.close(),
                false => socket.disconnect(),
            },
        )
        .on("query", |handshake: Handshake| {
            handshake
                .query()
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect::<BTreeMap<_, _>>()
        });
}

/// An application that sends every message back.
struct Echo;

/// One session of it.
struct EchoConnection(SessionHandle);

impl Application for Echo {
    type Connection = EchoConnection;

    fn connect(&self, session: SessionHandle, _: Arc<sockeye_listen::Handshake>) -> EchoConnection {
        EchoConnection(session)
    }
}

impl Connection for EchoConnection {
    fn handle_message(&mut self, message: Incoming<'_>, _: &mut Context<'_>) {
        let message = match message {
            Incoming::Text(text) => Message::text(text),
            binary => Message::binary(binary.into_bytes()),
        };
        // A peer that is gone or reads too slowly does not get its echo.
        let options = SendOptions {
            compress: true,
            ..SendOptions::default()
        };
        let _ = self.0.send(&[message], options);
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn handle_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}
}
