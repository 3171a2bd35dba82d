//! What happens on the connection, in the order in which it does.

use std::sync::Arc;
use std::time::Duration;

use sockeye::client::{
    Ack, ClientEvent, ConnectError, DisconnectDetail, EventName, Socket, TransportKind,
};
use sockeye::{Args, DisconnectReason};
use tokio::sync::mpsc;

use crate::report::chain;

/// Something to be shown.
#[derive(Debug)]
pub(super) enum Notice {
    Connected {
        id: Option<Arc<str>>,
        transport: Option<TransportKind>,
        recovered: bool,
    },
    Event {
        name: Box<str>,
        args: Args,
        ack: Ack,
    },
    /// What became of an event that was emitted with the wish for an answer.
    Answer {
        number: u64,
        event: String,
        result: Result<Args, sockeye::AckError>,
        took: Duration,
    },
    /// With what else is known of it.
    Disconnected(DisconnectReason, Option<Arc<str>>),
    ConnectError(ConnectError),
    Reconnecting(Duration),
    /// An event went wrong, on either side.
    Problem(String),
}

pub(super) type Notices = mpsc::Receiver<Notice>;

/// Notices that may wait to be shown. After that the server has to wait with its events.
const CAPACITY: usize = 256;

/// Has everything that happens to a socket told.
pub(super) fn listen(socket: &Socket) -> (mpsc::Sender<Notice>, Notices) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let tell = sender.clone();
    socket.on_connect(move |socket: Socket| {
        tell_soon(
            &tell,
            Notice::Connected {
                id: socket.id(),
                transport: socket.transport(),
                recovered: socket.recovered(),
            },
        )
    });
    let tell = sender.clone();
    socket.on_any(move |EventName(name): EventName, args: Args, ack: Ack| {
        let name = name.into();
        tell_soon(&tell, Notice::Event { name, args, ack })
    });
    let tell = sender.clone();
    socket.on_disconnect(move |reason: DisconnectReason, detail: DisconnectDetail| {
        tell_soon(&tell, Notice::Disconnected(reason, detail.0))
    });
    let tell = sender.clone();
    socket
        .on_connect_error(move |error: ConnectError| tell_soon(&tell, Notice::ConnectError(error)));
    let client = socket.client();
    let tell = sender.clone();
    client.on_client_event(move |event| {
        if let ClientEvent::ReconnectScheduled(delay) = event {
            // It cannot wait here. Whoever is that far behind has other news than this.
            let _ = tell.try_send(Notice::Reconnecting(*delay));
        }
    });
    let tell = sender.clone();
    client.on_error(move |_, error| {
        let _ = tell.try_send(Notice::Problem(chain(error)));
    });
    (sender, receiver)
}

/// Tells; if there is no room for it now, then as soon as there is, in order.
fn tell_soon(sender: &mpsc::Sender<Notice>, notice: Notice) -> impl Future<Output = ()> + use<> {
    let sender = sender.clone();
    async move {
        // At the end nobody listens any more.
        let _ = sender.send(notice).await;
    }
}
