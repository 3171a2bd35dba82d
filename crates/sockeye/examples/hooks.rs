//! A server that tells what happens in it: `hooks HOST:PORT`.
//!
//! It serves namespaces that are made on demand, `/seen-ID`, and keeps a list of what happens to these, to the connections
//! of their sockets, and to requests that get no session. Whoever emits `told` in `/` is answered with the list, which
//! then begins anew. Each entry is a list itself, that begins with what has happened: `new_namespace`, `create-room`,
//! `join-room`, `leave-room`, `delete-room`, `connection_error`, `connection`, `upgrading`, `upgrade`, `packet`, `heartbeat`,
//! `disconnecting`, `disconnect` and `close`. `counts` is answered with the numbers of connections and servers.
//!
//! Around requests is a layer, which refuses those with the header `x-refuse`, and fails if its value is `fail`; other
//! answers get the header `x-layer`. Handshakes get `x-initial`, and all answers `x-every`; whose query has `forbidden`
//! gets no session.
//!
//! `interop/servers/hooks.js` is the same of the original server, which does the same.

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use sockeye::{
    Body, ConnectionError, Data, DisconnectDetail, DisconnectReason, EngineConfig, EnginePacket,
    Namespace, RequestService, RoomEvent, Server, ServerConfig, SessionHandshake, Socket,
};
use tower::layer::layer_fn;
use tower::{Service, service_fn};

/// What has happened.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Value>>>);

impl Told {
    fn push(&self, entry: Value) {
        self.0.lock().expect("nobody panics with it").push(entry);
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: hooks HOST:PORT";
    let address = std::env::args().nth(1).ok_or(usage)?;
    let told = Told::default();
    let config = ServerConfig::default().engine(|engine| watch_requests(engine, &told));
    let io = Server::with_config(config)?;
    let list = told.clone();
    io.on("told", move || list.take());
    io.on("counts", async |io: Server| {
        let answers = io.server_side_emit_with_ack::<Value>("hello", 1).await;
        let answers = answers.map_or(0, |answers| answers.len());
        json!([io.connection_count(), io.server_count().await, answers])
    });
    let list = told.clone();
    io.on_new_namespace(move |namespace| {
        list.push(json!(["new_namespace", namespace.name()]));
        watch_rooms(namespace, &list);
    });
    watch_sockets(&io, &told)?;
    let listener = io.listen(format!("http://{address}")).await?;
    println!("listening on {}", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}

fn watch_requests(engine: EngineConfig, told: &Told) -> EngineConfig {
    let told = told.clone();
    engine
        .session(|session| {
            session
                .ping_interval(Duration::from_millis(300))
                .ping_timeout(Duration::from_millis(200))
        })
        .limits(|limits| limits.max_payload(10_000))
        .allow_v3(false)
        .allow_request(async |handshake: Arc<SessionHandshake>| {
            match handshake.query().any(|(key, _)| key == "forbidden") {
                true => Err("not you".to_owned()),
                false => Ok(()),
            }
        })
        .initial_headers(|headers, _| {
            headers.insert("x-initial", HeaderValue::from_static("1"));
        })
        .headers(|headers, _| {
            headers.insert("x-every", HeaderValue::from_static("1"));
        })
        .on_connection_error(move |error: &ConnectionError<'_>| {
            told.push(json!([
                "connection_error",
                error.code(),
                error.message(),
                error.context(),
            ]));
        })
        .layer(layer_fn(|inner: RequestService| {
            service_fn(move |request: http::Request<sockeye::RequestBody>| {
                let mut inner = inner.clone();
                let refusal = request.headers().get("x-refuse").cloned();
                async move {
                    let mut response = match refusal {
                        Some(value) if value == "fail" => return Err("the layer fails".into()),
                        Some(_) => {
                            let mut response = http::Response::new(Body::from("no"));
                            *response.status_mut() = StatusCode::UNAUTHORIZED;
                            return Ok(response);
                        }
                        None => inner.call(request).await?,
                    };
                    let headers = response.headers_mut();
                    headers.insert("x-layer", HeaderValue::from_static("1"));
                    Ok::<_, Box<dyn Error + Send + Sync>>(response)
                }
                .boxed()
            })
        }))
}

fn watch_rooms(namespace: &Namespace, told: &Told) {
    let told = told.clone();
    namespace.on_room_event(move |event| {
        let (what, room) = match event {
            RoomEvent::Created { room } => ("create-room", room),
            RoomEvent::Joined { room, .. } => ("join-room", room),
            RoomEvent::Left { room, .. } => ("leave-room", room),
            RoomEvent::Deleted { room } => ("delete-room", room),
            _ => return,
        };
        // Those that sockets have to themselves are called like them.
        if room.starts_with("room") {
            told.push(json!([what, &**room]));
        }
    });
}

fn watch_sockets(io: &Server, told: &Told) -> Result<(), Box<dyn Error>> {
    let seen = io.of_pattern("/seen-{id}")?;
    let list = told.clone();
    let tell = move |entry: Value| list.push(entry);
    seen.on("join", |socket: Socket, Data(room): Data<String>| {
        socket.join(room);
        true
    });
    seen.on("leave", |socket: Socket, Data(room): Data<String>| {
        socket.leave(&room);
        true
    });
    let told = tell.clone();
    seen.on_connect(move |socket: Socket| told(json!(["connection", socket.transport().name()])));
    let told = tell.clone();
    seen.on_upgrading(move |socket: Socket| told(json!(["upgrading", socket.transport().name()])));
    let told = tell.clone();
    seen.on_upgrade(move |socket: Socket| told(json!(["upgrade", socket.transport().name()])));
    let told = tell.clone();
    seen.on_packet(move |packet: EnginePacket| {
        told(json!(["packet", packet.kind(), packet.text()]));
    });
    let told = tell.clone();
    seen.on_heartbeat(move || told(json!(["heartbeat"])));
    for what in ["disconnecting", "disconnect", "close"] {
        let told = tell.clone();
        let ended = move |reason: DisconnectReason, DisconnectDetail(detail): DisconnectDetail| {
            told(json!([what, reason.as_str(), detail.as_deref()]));
        };
        match what {
            "disconnecting" => seen.on_disconnecting(ended),
            "disconnect" => seen.on_disconnect(ended),
            _ => seen.on_close(ended),
        };
    }
    Ok(())
}
