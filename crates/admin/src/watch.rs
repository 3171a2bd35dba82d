//! What is told of sockets, rooms and events, in development.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;
use serde::Serialize;
use serde_json::Value;
use sockeye_server::{DisconnectReason, Namespace, Revision, RoomEvent, Server, Socket, batch};

use crate::date::Date;
use crate::seen::Seen;
use crate::shown::Shown;
use crate::view::{SocketView, shared_data, shown_id, shown_rooms};

/// What has changed of a socket.
#[derive(Serialize)]
struct Update<'a> {
    id: Cow<'a, str>,
    nsp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

/// A digest of the data that pages know of a socket.
#[derive(Clone)]
struct ToldData(Arc<AtomicU64>);

/// Watches all namespaces that are there, and those to come.
pub(crate) fn everything(io: &Server, shown: &Arc<Shown>) {
    for known in io.namespaces() {
        namespace(&known, shown);
    }
    let shown = Arc::clone(shown);
    io.on_new_namespace(move |new| namespace(new, &shown));
}

fn namespace(namespace: &Namespace, shown: &Arc<Shown>) {
    sockets(namespace, shown);
    rooms(namespace, shown);
    if !shown.is_of_pages(namespace) {
        events(namespace, shown);
    }
}

fn sockets(namespace: &Namespace, shown: &Arc<Shown>) {
    let watching = Arc::clone(shown);
    namespace.on_connect(move |socket: Socket| connected(&socket, &watching));
    let watching = Arc::clone(shown);
    namespace.on_upgrade(move |socket: Socket| {
        update(&socket, &watching, Some(socket.transport().name()), None);
    });
    let watching = Arc::clone(shown);
    // While it is in its rooms still.
    namespace.on_disconnecting(move |socket: Socket| leaves(&socket, &watching));
    let watching = Arc::clone(shown);
    namespace.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        if watching.is_watched() {
            let (namespace, id) = (socket.namespace().name(), shown_id(&socket));
            let args = (namespace, id, reason.as_str(), Date::now());
            watching.tell("socket_disconnected", args);
        }
    });
}

fn connected(socket: &Socket, shown: &Shown) {
    if socket.revision() == Revision::V3 {
        // Also if nobody watches: somebody may in a moment.
        socket.join(&*shown_id(socket));
    }
    if !shown.is_watched() {
        return;
    }
    remember(socket);
    let view = SocketView::of(socket, &shown.veil);
    let namespace = socket.namespace().name();
    for room in &view.rooms {
        shown.tell("room_joined", (namespace, room, &view.id, Date::now()));
    }
    shown.tell("socket_connected", (view, Date::now()));
}

fn leaves(socket: &Socket, shown: &Shown) {
    if !shown.is_watched() {
        return;
    }
    let (namespace, id) = (socket.namespace().name(), shown_id(socket));
    for room in shown_rooms(socket.id(), &id, &socket.rooms()) {
        shown.tell("room_left", (namespace, room, &id, Date::now()));
    }
}

fn rooms(namespace: &Namespace, shown: &Arc<Shown>) {
    let name = namespace.name().to_owned();
    let shown = Arc::clone(shown);
    namespace.on_room_event(move |event| {
        let (what, room, id) = match event {
            _ if !shown.is_watched() => return,
            RoomEvent::Joined { room, id } => ("room_joined", room, id),
            RoomEvent::Left { room, id } => ("room_left", room, id),
            _ => return,
        };
        // Of one that comes or goes all rooms are told together, and of one that is refused nothing is.
        let namespace = shown.server.namespace(&name);
        let Some(socket) = namespace.and_then(|namespace| namespace.socket(id)) else {
            return;
        };
        let id = shown_id(&socket);
        if **room != *id && **room != *socket.id() {
            shown.tell(what, (&name, &**room, id, Date::now()));
        }
    });
}

fn events(namespace: &Namespace, shown: &Arc<Shown>) {
    let watching = Arc::clone(shown);
    namespace.on_any(move |socket: Socket, seen: Seen| {
        seen.tell(&watching, "event_received", &socket);
    });
    let watching = Arc::clone(shown);
    namespace.on_any_outgoing(move |socket: Socket, seen: Seen| {
        seen.tell(&watching, "event_sent", &socket);
    });
}

fn update(socket: &Socket, shown: &Shown, transport: Option<&str>, data: Option<Value>) {
    let update = Update {
        id: shown_id(socket),
        nsp: socket.namespace().name(),
        transport,
        data,
    };
    shown.tell("socket_updated", update);
}

/// The sockets of all servers, for a page that has just come.
pub(crate) async fn all_sockets(io: Server, shown: &Shown) -> Vec<SocketView> {
    let mut views = Vec::new();
    for namespace in io.namespaces() {
        let sockets = namespace.sockets();
        for socket in &sockets {
            let _ = remember(socket);
        }
        views.extend(
            sockets
                .iter()
                .map(|socket| SocketView::of(socket, &shown.veil)),
        );
        if !shown.is_in_cluster() {
            continue;
        }
        let here: HashSet<&str> = sockets.iter().map(Socket::id).collect();
        let all = match namespace.fetch_sockets().await {
            Ok(all) => all,
            Err(incomplete) => {
                tracing::debug!(%incomplete, "not all sockets can be shown");
                incomplete.answers
            }
        };
        let others = all.iter().filter(|socket| !here.contains(socket.id()));
        views.extend(
            others.map(|socket| SocketView::of_remote(socket, namespace.name(), &shown.veil)),
        );
    }
    views
}

/// Tells of the sockets whose data are others than pages know. Who changes them says so to nobody, and need not.
pub(crate) fn changed_data(io: &Server, shown: &Shown) {
    batch(|| {
        for namespace in io.namespaces() {
            for socket in namespace.sockets() {
                if remember(&socket) {
                    update(&socket, shown, None, Some(shared_data(&socket)));
                }
            }
        }
    });
}

/// Pages know the data of this socket, or are about to; says whether they are others than before.
fn remember(socket: &Socket) -> bool {
    let Some(data) = socket.shared_data() else {
        return false;
    };
    let digest = digest(&data);
    match socket.data::<ToldData>() {
        Some(ToldData(told)) => told.swap(digest, Ordering::Relaxed) != digest,
        None => {
            socket.set_data(ToldData(Arc::new(AtomicU64::new(digest))));
            true
        }
    }
}

fn digest(data: &Value) -> u64 {
    FixedState::default().hash_one(data.to_string())
}
