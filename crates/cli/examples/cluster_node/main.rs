//! A node of a cluster with a fixed contract, for test suites:
//! `cluster_node HOST:PORT [--cluster URL] [--name NAME] [--recovery] [--early] [--ping-timeout MS]`.
//!
//! It says `listening on http://HOST:PORT` once it is in the cluster. Without a URL it is a server alone. The URL's scheme
//! says what the cluster is built on: `redis`, `redis+sharded`, `redis+streams`, `postgres`, `mongodb`, `nats`, as far as
//! the features of these names are compiled in. NAME is how it answers other nodes; it is HOST:PORT if not given. With
//! `--recovery` sockets come back after a loss, and with `--early` even if their server was killed. Ping interval and timeout
//! are one second, if no other timeout is given.
//!
//! On `/` and `/custom` it serves these events, of which each but `drop` has an acknowledgement. `m` is an object with what
//! an event is for: optional `to` and `except` (lists of rooms), `broadcast`, `local` and `volatile` (booleans), `timeout`
//! (milliseconds), `event`, `args`.
//!
//! * `join` (a room or a list of them), `leave` (a room);
//! * `data`: the value becomes the socket's shared data;
//! * `emit` (m), and `emit-ack` (m), whose answer is `{error, answers}` after 2000 ms at the latest, or the timeout;
//! * `fetch` (m): a list of `{id, rooms, data, auth}`, the rooms sorted; if servers are missing, `{error, answers}` with it;
//! * `mass-join` and `mass-leave` (m with `rooms`), `mass-disconnect` (m with `close`);
//! * `server-emit` (a list): the server-side event `note` with these arguments;
//! * `server-emit-ack` (a list): the same, acknowledged with `{error, answers}`; each node answers its name;
//! * `seen`: the list of `["note", …args]` that other nodes have sent since the last `seen`;
//! * `count`: how many servers the cluster has;
//! * `remote-ack` (m with `id`): fetches that socket and emits to it; acknowledged with `{error, answer}`;
//! * `drop`: breaks the connection off.

mod requests;
mod value;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sockeye::{
    Ack, AckError, Args, Data, EngineConfig, Namespace, RecoveryConfig, Reply, Server,
    ServerConfig, ServerSideError, Socket, Value as Json, cluster,
};

use requests::{Answer, Answers, Failure, Fetched, Found, Request};
use value::Value;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let usage = "usage: cluster_node HOST:PORT [--cluster URL] [--name NAME] [--recovery] [--early] [--ping-timeout MS]";
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or(usage)?;
    let (mut name, mut url) = (address.clone(), None);
    let mut config = ServerConfig::default().engine(heartbeats);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--cluster" => url = Some(args.next().ok_or(usage)?),
            "--name" => name = args.next().ok_or(usage)?,
            "--recovery" => config = config.recovery(RecoveryConfig::default()),
            // As --recovery, for whoever is going to be killed.
            "--early" => {
                let early = RecoveryConfig::default().save_early(Duration::from_millis(50));
                config = config.recovery(early);
            }
            "--ping-timeout" => {
                let timeout = Duration::from_millis(args.next().ok_or(usage)?.parse()?);
                config =
                    config.engine(|config| config.session(|session| session.ping_timeout(timeout)));
            }
            _ => return Err(usage.into()),
        }
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    if let Some(url) = url {
        config = config.cluster(cluster::from_url(&url)?);
    }
    let io = Server::with_config(config)?;
    for namespace in [io.of("/"), io.of("/custom")] {
        serve(&namespace, &name);
    }
    if let Some(cluster) = io.cluster() {
        cluster.ready().await;
    }
    let listener = io.listen(format!("http://{address}")).await?;
    let stop = stop();
    println!("listening on {}", listener.url());
    stop.await?;
    io.close().await;
    Ok(())
}

fn heartbeats(config: EngineConfig) -> EngineConfig {
    config.session(|session| {
        session
            .ping_interval(Duration::from_secs(1))
            .ping_timeout(Duration::from_secs(1))
    })
}

/// What other nodes have emitted to this one.
type Seen = Arc<Mutex<Vec<Vec<Value>>>>;

fn serve(namespace: &Namespace, name: &str) {
    let seen = Seen::default();
    let (notes, name) = (Arc::clone(&seen), name.to_owned());
    namespace.server_side().on("note", move |args: Args| {
        let mut note = vec!["note".into()];
        note.extend(Value::list(&args)?);
        notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(note);
        Ok::<_, Failure>(name.clone())
    });
    namespace.on("seen", move || {
        Reply(std::mem::take(
            &mut *seen.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    });
    rooms(namespace);
    emits(namespace);
    others(namespace);
}

fn rooms(namespace: &Namespace) {
    namespace
        .on(
            "join",
            async |io: Server, socket: Socket, Data(rooms): Data<Json>| {
                match rooms {
                    Json::Array(rooms) => socket.join(rooms.iter().filter_map(Json::as_str)),
                    room => socket.join(room.as_str().ok_or("a room has a name")?),
                }
                if let Some(cluster) = io.cluster() {
                    cluster.settled().await;
                }
                Ok::<_, Failure>(true)
            },
        )
        .on("leave", |socket: Socket, Data(room): Data<String>| {
            socket.leave(room);
            true
        })
        .on("data", |socket: Socket, Data(value): Data<Json>| {
            socket.set_shared_data(value)?;
            Ok::<_, Failure>(true)
        })
        .on("mass-join", |socket: Socket, args: Args| {
            let request = Request::new(&socket, &args)?;
            request.operator.sockets_join(&request.fields.rooms);
            Ok::<_, Failure>(true)
        })
        .on("mass-leave", |socket: Socket, args: Args| {
            let request = Request::new(&socket, &args)?;
            request.operator.sockets_leave(&request.fields.rooms);
            Ok::<_, Failure>(true)
        })
        .on(
            "mass-disconnect",
            |socket: Socket, args: Args, ack: Ack<bool>| {
                let request = Request::new(&socket, &args)?;
                // Who asks may be among those who go.
                ack.send(true)?;
                match request.fields.close {
                    true => request.operator.close_sockets(),
                    false => request.operator.disconnect_sockets(),
                }
                Ok::<_, Failure>(())
            },
        )
        .on("drop", |socket: Socket| socket.abort());
}

fn emits(namespace: &Namespace) {
    namespace
        .on("emit", |socket: Socket, args: Args| {
            let request = Request::new(&socket, &args)?;
            request
                .operator
                .emit(&request.fields.event, &request.args)?;
            Ok::<_, Failure>(true)
        })
        .on("emit-ack", async |socket: Socket, args: Args| {
            let request = Request::new(&socket, &args)?;
            let operator = request.operator.clone().timeout(request.timeout());
            let acks = operator.emit_with_ack::<Args>(&request.fields.event, &request.args)?;
            let summary = acks.summary().await;
            let missing = summary.missing.len();
            let error = (missing > 0 || summary.missing_servers > 0).then(|| {
                let servers = summary.missing_servers;
                format!("{missing} clients and {servers} servers have not answered")
            });
            let answers = summary.answers.iter();
            let answers = answers.map(|(_, args)| Value::first(args));
            let answers = answers.collect::<Result<_, _>>()?;
            Ok::<_, Failure>(Reply(Answers { error, answers }))
        })
        .on("remote-ack", async |socket: Socket, args: Args| {
            let request = Request::new(&socket, &args)?;
            Ok::<_, Failure>(Reply(match remote(&socket, &request).await {
                Ok(answer) => Answer {
                    error: None,
                    answer: Some(answer),
                },
                Err(error) => Answer {
                    error: Some(error.to_string()),
                    answer: None,
                },
            }))
        });
}

async fn remote(socket: &Socket, request: &Request) -> Result<Value, Failure> {
    let one = socket.namespace().to(&request.fields.id);
    let found = one.fetch_sockets().await?;
    let [remote, ..] = &found[..] else {
        return Err("there is no such socket".into());
    };
    let remote = remote.timeout(request.timeout());
    let answer: Result<Args, AckError> = remote
        .emit_with_ack(&request.fields.event, &request.args)
        .await;
    Ok(Value::first(&answer?)?)
}

fn others(namespace: &Namespace) {
    namespace
        .on("fetch", async |socket: Socket, args: Args| {
            let request = Request::new(&socket, &args)?;
            let (error, found) = match request.operator.fetch_sockets().await {
                Ok(found) => (None, found),
                Err(incomplete) => (Some(incomplete.to_string()), incomplete.answers),
            };
            let answers = found.iter().map(Found::new).collect();
            Ok::<_, Failure>(Reply(Fetched::new(error, answers)))
        })
        .on("server-emit", |socket: Socket, args: Args| {
            let note = requests::list(&args)?;
            socket.namespace().server_side_emit("note", note)?;
            Ok::<_, Failure>(true)
        })
        .on("server-emit-ack", async |socket: Socket, args: Args| {
            let note = requests::list(&args)?;
            let namespace = socket.namespace();
            let (error, answers) = match namespace
                .server_side_emit_with_ack::<Args>("note", note)
                .await
            {
                Ok(answers) => (None, answers),
                Err(ServerSideError::Incomplete(incomplete)) => {
                    (Some(incomplete.to_string()), incomplete.answers)
                }
                Err(error) => (Some(error.to_string()), Vec::new()),
            };
            let answers = answers.iter().map(Value::first);
            let answers = answers.collect::<Result<_, _>>()?;
            Ok::<_, Failure>(Reply(Answers { error, answers }))
        })
        .on("count", async |socket: Socket| {
            socket.namespace().server_count().await
        });
}

/// Ctrl-C or, on Unix, SIGTERM.
#[cfg(unix)]
async fn stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn stop() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
