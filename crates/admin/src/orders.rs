//! What pages may do.

use sockeye_server::{Args, BroadcastOperator, Data, Namespace, RawArgs, Server};

use crate::shown::note;

/// The names of what pages may do, as they are told.
pub(crate) const FEATURES: [&str; 7] = [
    "EMIT",
    "JOIN",
    "LEAVE",
    "DISCONNECT",
    "MJOIN",
    "MLEAVE",
    "MDISCONNECT",
];

/// Obeys what pages say.
pub(crate) fn obey(pages: &Namespace) {
    pages.on(
        "emit",
        |io: Server,
         args: Args,
         Data((namespace, filter, name)): Data<(String, Option<String>, String)>| {
            if let Some(meant) = meant(&io, &namespace, filter) {
                emit(&meant, &name, &args.as_raw());
            }
        },
    );
    pages.on(
        "join",
        |io: Server, Data((namespace, room, filter)): Data<(String, String, Option<String>)>| {
            if let Some(meant) = meant(&io, &namespace, filter) {
                meant.sockets_join(room);
            }
        },
    );
    pages.on(
        "leave",
        |io: Server, Data((namespace, room, filter)): Data<(String, String, Option<String>)>| {
            if let Some(meant) = meant(&io, &namespace, filter) {
                meant.sockets_leave(room);
            }
        },
    );
    pages.on(
        "_disconnect",
        |io: Server,
         Data((namespace, close, filter)): Data<(String, Option<bool>, Option<String>)>| {
            match (meant(&io, &namespace, filter), close) {
                (Some(meant), Some(true)) => meant.close_sockets(),
                (Some(meant), _) => meant.disconnect_sockets(),
                (None, _) => {}
            }
        },
    );
}

/// Emits an event of this name with what is behind the first three of these arguments: they say where, to whom and which.
fn emit(meant: &BroadcastOperator, name: &str, args: &RawArgs<'_>) {
    let rest: Vec<_> = args.iter().skip(3).collect();
    let text = format!("[{}]", rest.join(","));
    let Ok(rest) = RawArgs::from_array(&text) else {
        return;
    };
    note(match args.has_buffers() {
        true => meant.emit(name, rest.with_buffers()),
        false => meant.emit(name, rest.with_attachments(args.attachments())),
    });
}

/// Who is in this namespace, and in the room of this name if one is given. A namespace that is not there is not made.
fn meant(io: &Server, namespace: &str, filter: Option<String>) -> Option<BroadcastOperator> {
    let namespace = io.namespace(namespace)?;
    Some(match filter.filter(|room| !room.is_empty()) {
        Some(room) => namespace.to(room),
        None => namespace.compress(true),
    })
}
