//! One peer's connection: its namespaces, and the handlers that run for it.

mod joining;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine::{
    CloseReason, Dialect, Incoming, Packet, SendOptions, SessionHandle, TransportKind,
};
use sockeye_events::names::{
    CLOSE, DISCONNECT, DISCONNECTING, DRAIN, END, HEARTBEAT, PACKET, UPGRADE, UPGRADING,
};
use sockeye_events::{
    DisconnectDetail, DisconnectReason, Event, EventError, EventErrorKind, EventSocket, Listeners,
    Often,
};
use sockeye_link::packet::{self, with_buffers};
use sockeye_link::{
    EnginePacket, Inbox, Peer, Receiver, Said, disconnect_reason, further, read_line, received,
    refusal, socket_revision, wants_packets,
};
use sockeye_meter as meter;
use sockeye_socket_proto::parser::Decoder;
use sockeye_socket_proto::{self as proto, Input, NamespaceKey, Violation};

use crate::common::Common;
use crate::link::{Link, Request};
use crate::namespaces::Made;
use crate::{Socket, trace};
use joining::Joins;

/// The upper layer of one session, owned by the session's driver task.
pub struct ServerConnection {
    server: Arc<Common>,
    link: Arc<Link>,
    proto: proto::Connection,
    inbox: Inbox<Socket>,
    /// What the peer has asked to join and somebody is still thinking about. Most connections never have one.
    joining: Option<Box<Joins>>,
    /// Boxed, as most connections do without for nearly all of their life.
    seldom: Option<Box<Seldom>>,
}

/// What few connections have, or only at their end.
#[derive(Default)]
struct Seldom {
    /// What reads the peer's packets, if these have another format than the standard one.
    decoder: Option<Box<dyn Decoder>>,
    /// Why the sockets are disconnected, where it is this side that closes the session.
    verdict: Option<DisconnectReason>,
    /// What else is known of why the session ends.
    detail: DisconnectDetail,
    /// The sockets that are to hear of the end: the last one of each namespace.
    closed: Vec<(Socket, DisconnectReason)>,
    /// The namespaces that came into being because the peer asked for them.
    made: Made,
    /// That it is there is counted, if anybody counts.
    counted: Option<meter::Session>,
}

// Every connection has one of these for as long as it lives, in a task whose size grows in large steps.
const _: () = assert!(size_of::<ServerConnection>() <= 200);

impl fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection").finish_non_exhaustive()
    }
}

impl ServerConnection {
    pub(crate) fn new(
        server: Arc<Common>,
        session: SessionHandle,
        request: Arc<sockeye_listen::Handshake>,
        now: Instant,
    ) -> Self {
        let revision = socket_revision(session.dialect(), session.revision());
        let mut proto = proto::Connection::server(revision, &server.config().connection, now);
        if packet::is_on_stream(&session) {
            proto = proto.with_peer_errors();
        }
        let link = Arc::new(Link::new(session, request, proto.uses_counted_acks()));
        let inbox = Inbox::new(Arc::clone(server.inbox_limits()));
        trace::opened(&link);
        let peer = Peer {
            session: &link.session,
            parser: server.config().parser.as_deref(),
        };
        let decoder = peer.decoder(&server.config().connection);
        let counted = meter::Session::open(link.session.transport().name(), link.revision_name());
        let is_needed = decoder.is_some() || counted.is_some();
        let seldom = is_needed.then(|| {
            Box::new(Seldom {
                decoder,
                counted,
                ..Seldom::default()
            })
        });
        Self {
            server,
            link,
            proto,
            inbox,
            joining: None,
            seldom,
        }
    }

    /// Joins the peer to `/`, if that is what connecting means to it.
    pub(crate) fn implicit_connect(&mut self, cx: &mut Context<'_>) {
        if let Some(input) = self.proto.implicit_connect() {
            self.handle_input(input, cx);
        }
    }

    fn handle_result(
        &mut self,
        result: Result<Option<Input<'_>>, Violation>,
        cx: &mut Context<'_>,
    ) {
        match result {
            Ok(None) => {}
            Ok(Some(input)) => self.handle_input(input, cx),
            Err(violation) => self.handle_violation(&violation),
        }
    }

    fn handle_input(&mut self, input: Input<'_>, cx: &mut Context<'_>) {
        match input {
            Input::Event { key, name, .. }
                if name == packet::ERROR && packet::is_on_stream(&self.link.session) =>
            {
                let said = "the event name \"error\" is reserved on this transport";
                self.report_to(key, EventErrorKind::Undecodable(said.into()));
            }
            Input::Event {
                key,
                name,
                args,
                ack_id,
            } => {
                trace::event(
                    || self.inbox.socket(key),
                    &name,
                    || args.as_raw().as_json().len(),
                    ack_id,
                );
                meter::events_received(1);
                self.inbox.deliver(key, name, args, ack_id, cx);
            }
            Input::Ack { key, id, args } => {
                if self.proto.uses_counted_acks() {
                    self.link
                        .counted_acks
                        .store(true, atomic::Ordering::Relaxed);
                }
                if let Some(socket) = self.inbox.socket(key) {
                    let bytes = args.as_raw().as_json().len();
                    let is_awaited = socket.acks().answer(id, || args.into_args());
                    trace::answer(socket, id, bytes, is_awaited);
                }
            }
            Input::Connect {
                key,
                namespace,
                query,
                auth,
            } => {
                self.handle_connect(key, namespace, query, auth, cx);
            }
            Input::Error { key, message, data } => {
                self.report_to(key, EventErrorKind::Peer(refusal(&message, data)));
            }
            Input::Disconnect { key } => {
                self.inbox.keep_queued(key);
                let reason = DisconnectReason::ClientNamespaceDisconnect;
                self.disconnect_alone(key, reason, cx);
            }
        }
    }

    /// A plain peer said something.
    fn handle_line(&mut self, line: &[u8], cx: &mut Context<'_>) {
        let Some(key) = self.proto.find("/") else {
            return;
        };
        let server = Arc::clone(&self.server);
        match read_line(line, &server.config().lines) {
            Said::Event { name, args, ack_id } => {
                let event = Input::Event {
                    key,
                    name,
                    args,
                    ack_id,
                };
                self.handle_input(event, cx);
            }
            Said::Ack { id, args } => self.handle_input(Input::Ack { key, id, args }, cx),
            Said::Error { kind, close } => {
                if close {
                    self.decide(DisconnectReason::ParseError, &kind);
                    let cause = CloseReason::ParseError.as_str();
                    self.link.session.abort(CloseReason::ParseError, cause);
                }
                self.report_to(key, kind);
            }
            Said::Nothing => {}
        }
    }

    /// A peer with another parser said something.
    fn handle_foreign(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) {
        let seldom = self.seldom.as_mut();
        let Some(decoder) = seldom.and_then(|seldom| seldom.decoder.as_mut()) else {
            return;
        };
        match decoder.decode(received(message)) {
            Ok(None) => {}
            Ok(Some(packet)) => {
                let result = self.proto.handle_packet(&packet);
                self.handle_result(result, cx);
            }
            Err(error) => self.handle_violation(&error.into()),
        }
    }

    fn decoder(&self) -> Option<&dyn Decoder> {
        self.seldom.as_ref()?.decoder.as_deref()
    }

    /// Who is sent to.
    fn peer(&self) -> Peer<'_> {
        Peer {
            session: &self.link.session,
            parser: self.server.config().parser.as_deref(),
        }
    }

    /// Changes what is counted of the connection, if anybody counts.
    fn count(&mut self, change: impl FnOnce(&mut meter::Session, &Inbox<Socket>)) {
        if let Some(seldom) = &mut self.seldom
            && let Some(counted) = &mut seldom.counted
        {
            change(counted, &self.inbox);
        }
    }

    /// A socket has come or gone.
    fn count_sockets(&mut self) {
        self.count(|counted, inbox| counted.sockets(inbox.sockets().count()));
    }

    /// Why this side closes the session, if it does.
    fn verdict(&self) -> Option<DisconnectReason> {
        self.seldom.as_ref()?.verdict
    }

    /// This side closes the session, for this reason unless there was one before.
    fn decide(&mut self, reason: DisconnectReason, cause: &dyn fmt::Display) {
        let seldom = self.seldom.get_or_insert_default();
        seldom.verdict.get_or_insert(reason);
        seldom.detail.note(format_args!("{cause}"));
    }

    /// Reports something that concerns one socket, if it is there.
    fn report_to(&self, key: NamespaceKey, kind: EventErrorKind) {
        if let Some(socket) = self.inbox.socket(key) {
            socket.report(EventError::new("error", kind));
        }
    }

    /// Reports something that concerns every socket of the connection.
    fn report(&self, kind: impl Fn() -> EventErrorKind) {
        for (_, socket) in self.inbox.sockets() {
            socket.report(EventError::new("error", kind()));
        }
    }

    /// The peer broke the protocol: the connection cannot go on.
    fn handle_violation(&mut self, violation: &Violation) {
        tracing::debug!(%violation, "protocol violation");
        let reason = match violation.is_decode_error() {
            true => DisconnectReason::ForcedClose,
            false => DisconnectReason::ForcedServerClose,
        };
        self.decide(reason, violation);
        if violation.is_decode_error() {
            self.report(|| EventErrorKind::Undecodable(violation.to_string().into()));
        }
        self.link.session.close();
    }

    /// Carries out what others asked for.
    fn handle_requests(&mut self, cx: &mut Context<'_>) {
        for request in self.link.take_requests() {
            match request {
                Request::Leave(key) => {
                    let reason = DisconnectReason::ServerNamespaceDisconnect;
                    self.disconnect_alone(key, reason, cx);
                    self.proto.leave(key);
                }
                Request::Close => {
                    for (_, socket) in self.inbox.sockets() {
                        socket.leave_namespace(|| {});
                    }
                    self.disconnect_all(DisconnectReason::ServerNamespaceDisconnect, cx);
                    self.link.session.close();
                }
                Request::Run(future) => self.inbox.start(future, cx),
            }
        }
    }

    /// Takes a socket out of its namespace, while the connection goes on.
    fn disconnect_alone(
        &mut self,
        key: NamespaceKey,
        reason: DisconnectReason,
        cx: &mut Context<'_>,
    ) {
        let Some(socket) = self.disconnect(key, reason, cx) else {
            return;
        };
        if socket.namespace().family().is_some() {
            // To be kept for the end of the connection, it would have to keep a namespace that nobody is in, and there is
            // no end to the names that a peer can join and leave.
            return;
        }
        self.tell_of_end(socket, reason);
    }

    /// A socket is to hear of the end of the connection.
    fn tell_of_end(&mut self, socket: Socket, reason: DisconnectReason) {
        // Who comes and goes does not fill memory.
        let closed = &mut self.seldom.get_or_insert_default().closed;
        closed.retain(|(earlier, _)| earlier.namespace() != socket.namespace());
        closed.push((socket, reason));
    }

    /// Takes a socket out of its namespace and tells the handlers.
    fn disconnect(
        &mut self,
        key: NamespaceKey,
        reason: DisconnectReason,
        cx: &mut Context<'_>,
    ) -> Option<Socket> {
        let socket = self.inbox.remove(key)?;
        self.count_sockets();
        let detail = self.seldom.as_ref().map(|seldom| seldom.detail.clone());
        let detail = detail.unwrap_or_default();
        let may_return = socket.start_leaving(reason);
        let event = Event::disconnect(&socket, DISCONNECTING, reason).with_detail(&detail);
        self.inbox.dispatch(&event, cx);
        let kept = may_return.then(|| socket.to_keep()).flatten();
        socket.exit();
        trace::disconnected(&socket, reason, kept.is_some());
        let event = Event::disconnect(&socket, DISCONNECT, reason).with_detail(&detail);
        self.inbox.dispatch(&event, cx);
        socket.depart(kept);
        if !may_return {
            socket.renounce();
        }
        Some(socket)
    }

    fn disconnect_all(&mut self, reason: DisconnectReason, cx: &mut Context<'_>) {
        let members: Vec<_> = self.inbox.sockets().map(cloned).collect();
        for (key, _) in members {
            if let Some(socket) = self.disconnect(key, reason, cx) {
                self.tell_of_end(socket, reason);
            }
            self.proto.leave(key);
        }
    }

    fn send(&self, encode: impl FnOnce(&mut Vec<u8>) -> usize) {
        with_buffers(|buffers| {
            let start = encode(&mut buffers.text);
            let _ = packet::send(self.peer(), buffers, start, SendOptions::CONTROL);
        });
    }
}

impl sockeye_engine::Connection for ServerConnection {
    fn handle_message(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) {
        if self.verdict().is_some() {
            return;
        }
        meter::packet_received(|| message.len());
        if self.decoder().is_some() {
            return self.handle_foreign(message, cx);
        }
        match message {
            Incoming::Binary(line) if self.link.session.dialect() == Dialect::Lines => {
                self.handle_line(line, cx);
            }
            Incoming::Text(text) => {
                let result = self.proto.handle_text(text);
                self.handle_result(result, cx);
            }
            binary => {
                let result = self.proto.handle_binary(binary.into_bytes());
                self.handle_result(result, cx);
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.handle_requests(cx);
        let joined = self.poll_joining(cx);
        let idle = self.inbox.poll(cx);
        if joined.is_ready() { idle } else { joined }
    }

    fn is_ready(&self) -> bool {
        let may_join_more = self
            .joining
            .as_ref()
            .is_none_or(|joins| self.has_room_for(joins));
        may_join_more && self.inbox.has_room()
    }

    fn is_unfinished(&self) -> bool {
        self.proto.is_unfinished() || self.decoder().is_some_and(Decoder::is_unfinished)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.proto.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant, _cx: &mut Context<'_>) {
        if let Some(violation) = self.proto.handle_timeout(now) {
            self.handle_violation(&violation);
        }
    }

    fn handle_close(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        self.handle_requests(cx);
        let reason = self.verdict().unwrap_or_else(|| self.reason(reason));
        trace::closed(&self.link, reason);
        self.count(|counted, _| counted.closed(reason.as_str()));
        self.inbox.close();
        // Whoever has not joined yet goes without a word.
        for joining in self.joining.take().iter().flat_map(|set| set.iter()) {
            joining.give_up();
        }
        self.disconnect_all(reason, cx);
    }

    fn handle_undecodable(&mut self, error: &dyn fmt::Display, _cx: &mut Context<'_>) {
        self.report(|| EventErrorKind::Undecodable(error.to_string().into()));
    }

    fn handle_end(&mut self, cx: &mut Context<'_>) {
        self.tell_all(END, None, cx);
    }

    fn handle_drain(&mut self, cx: &mut Context<'_>) {
        self.tell_all(DRAIN, None, cx);
    }

    fn handle_upgrading(&mut self, _transport: TransportKind, cx: &mut Context<'_>) {
        self.tell_all(UPGRADING, None, cx);
    }

    fn handle_upgrade(&mut self, transport: TransportKind, cx: &mut Context<'_>) {
        trace::upgraded(transport);
        self.count(|counted, _| counted.upgraded(transport.name()));
        self.tell_all(UPGRADE, None, cx);
    }

    fn wants_packets(&self) -> bool {
        wants_packets(self.inbox.sockets().map(|(_, socket)| socket))
    }

    fn handle_packet(&mut self, packet: &Packet<'_>, cx: &mut Context<'_>) {
        if self.wants_packets() {
            let packet = EnginePacket::of(packet);
            self.tell_all(PACKET, Some(&packet), cx);
        }
    }

    fn handle_heartbeat(&mut self, _due: Option<Instant>, cx: &mut Context<'_>) {
        if Often::Heartbeat.is_wanted() {
            self.tell_all(HEARTBEAT, None, cx);
        }
    }

    fn note(&mut self, cause: fmt::Arguments<'_>) {
        self.seldom.get_or_insert_default().detail.note(cause);
    }

    fn handle_gone(&mut self, cx: &mut Context<'_>) {
        let Some(seldom) = self.seldom.take() else {
            return;
        };
        let Seldom { closed, detail, .. } = *seldom;
        for (socket, reason) in closed {
            let event = Event::disconnect(&socket, CLOSE, reason).with_detail(&detail);
            self.dispatch_stream(&event, cx);
        }
    }
}

impl ServerConnection {
    /// Tells the handlers of every socket what has happened to the connection.
    fn tell_all(&mut self, name: &str, packet: Option<&EnginePacket>, cx: &mut Context<'_>) {
        let sockets = self.inbox.sockets().map(|(_, socket)| socket);
        // Nearly always there are no handlers.
        let told: Vec<_> = sockets
            .filter(|socket| {
                all_listeners(socket).any(|listeners| listeners.load().has_stream(name))
            })
            .cloned()
            .collect();
        for socket in told {
            let event = Event::local(&socket, name);
            let event = match packet {
                Some(packet) => event.with_detail(packet),
                None => event,
            };
            self.dispatch_stream(&event, cx);
        }
    }

    /// Runs the handlers of what has happened to the connection: those of the namespace, then the
    /// socket's own.
    fn dispatch_stream(&mut self, event: &Event<'_, Socket>, cx: &mut Context<'_>) {
        for listeners in all_listeners(event.socket()) {
            let table = listeners.load();
            table.dispatch_stream(event, |future| self.inbox.start(future, cx));
        }
    }

    /// What the end of the session means for its sockets.
    fn reason(&self, reason: CloseReason) -> DisconnectReason {
        match disconnect_reason(reason) {
            DisconnectReason::ForcedClose if self.server.is_closing() => {
                DisconnectReason::ServerShuttingDown
            }
            reason => reason,
        }
    }
}

/// The handlers of the namespace, then the socket's own.
fn all_listeners(socket: &Socket) -> impl Iterator<Item = &Listeners<Socket>> {
    std::iter::once(socket.shared()).chain(further(socket))
}

fn cloned((key, socket): (NamespaceKey, &Socket)) -> (NamespaceKey, Socket) {
    (key, socket.clone())
}

impl Drop for ServerConnection {
    /// Sockets must not stay behind in their rooms, even if the runtime is being shut down under
    /// a connection that is still open.
    fn drop(&mut self) {
        for (_, socket) in self.inbox.sockets() {
            socket.exit();
            socket.depart(None);
        }
        for joining in self.joining.iter().flat_map(|set| set.iter()) {
            joining.give_up();
        }
        // Unlocked, as what a handler holds may ask for more when it is dropped.
        drop(self.link.take_requests());
    }
}
