//! One peer's connection: its namespaces, and the handlers that run for it.

mod busy;

use std::sync::Arc;
use std::sync::atomic;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::StreamExt;
use serde_json::Value;
use sockeye_engine::{
    CloseReason, Dialect, HEADROOM, Incoming, Revision, SendOptions, SessionHandle,
};
use sockeye_events::{
    Cached, DisconnectReason, Event, EventError, EventErrorKind, EventSocket, Listeners, Ordering,
    Refusal, Responder, Running,
};
use sockeye_socket_proto::{
    self as proto, Args, IncomingArgs, Input, NamespaceKey, RawArgs, SocketRevision, Violation,
    encode_connect_accepted, encode_connect_error, encode_invalid_namespace,
};

use sockeye_socket_proto::lines::{self, Line, LineEvent, Verdict};

use crate::handshake::{auth_of_query, legacy_id};
use crate::link::{Link, Request};
use crate::middleware::Next;
use crate::namespace::{CONNECT, DISCONNECT, DISCONNECTING};
use crate::packet::{self, with_buffers};
use crate::server::Shared;
use crate::{Handshake, Socket};
use busy::{Busy, Chain, Deciding, Joining, QueuedEvent, run};

/// The upper layer of one session, owned by the session's driver task.
pub(crate) struct Connection {
    server: Arc<Shared>,
    link: Arc<Link>,
    request: Arc<sockeye_engine::Handshake>,
    proto: proto::Connection,
    /// By the index of their namespace key.
    members: Vec<Option<Member>>,
    running: Running,
    /// Most connections never need these.
    busy: Option<Box<Busy>>,
    /// Why the sockets are disconnected, where it is this side that closes the session.
    verdict: Option<DisconnectReason>,
}

/// A socket, with its own reference to the handlers of its namespace.
struct Member {
    socket: Socket,
    listeners: Cached<Listeners<Socket>>,
}

impl Connection {
    pub(crate) fn new(
        server: Arc<Shared>,
        session: SessionHandle,
        request: Arc<sockeye_engine::Handshake>,
        now: Instant,
    ) -> Self {
        let revision = match (session.dialect(), session.revision()) {
            // A plain peer is in `/` from the start, as old clients are.
            (Dialect::Lines, _) | (_, Revision::V3) => SocketRevision::V4,
            (Dialect::Packets, Revision::V4) => SocketRevision::V5,
        };
        let proto = proto::Connection::server(revision, &server.config().connection, now);
        let link = Arc::new(Link::new(session));
        Self {
            server,
            link,
            request,
            proto,
            members: Vec::new(),
            running: Running::default(),
            busy: None,
            verdict: None,
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
            Input::Event {
                key,
                name,
                args,
                ack_id,
            } => {
                let busy = self.busy.as_ref();
                let blocked = busy.is_some_and(|busy| busy.blocks_events());
                if blocked || self.is_full() {
                    let args = args.into_args();
                    let name = name.into_owned();
                    let event = QueuedEvent {
                        key,
                        name,
                        args,
                        ack_id,
                    };
                    self.busy().push(event);
                } else {
                    self.handle_event(key, &name, args.as_raw(), ack_id, cx);
                }
            }
            Input::Ack { key, id, args } => {
                if self.proto.uses_counted_acks() {
                    self.link
                        .counted_acks
                        .store(true, atomic::Ordering::Relaxed);
                }
                if let Some(member) = self.member(key) {
                    member.socket.acks().answer(id, || args.into_args());
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
            Input::Disconnect { key } => {
                self.start_queued(cx);
                let reason = DisconnectReason::ClientNamespaceDisconnect;
                self.disconnect(key, reason, cx);
            }
        }
    }

    fn handle_connect(
        &mut self,
        key: NamespaceKey,
        name: &str,
        query: Option<&str>,
        auth: Option<&str>,
        cx: &mut Context<'_>,
    ) {
        let Some(namespace) = self.server.namespace(name) else {
            self.proto.refuse(key);
            self.send(|buf| encode_invalid_namespace(buf, HEADROOM, name));
            return;
        };
        let id = match self.link.session.revision() {
            Revision::V3 => legacy_id(&self.link.session, name),
            Revision::V4 => match sockeye_engine::SessionId::random() {
                Ok(id) => id.as_str().into(),
                Err(error) => {
                    tracing::error!(%error, "no random socket id");
                    self.proto.refuse(key);
                    return;
                }
            },
        };
        let of_query = query.and_then(auth_of_query);
        let handshake = Handshake::new(Arc::clone(&self.request), of_query.as_deref().or(auth));
        let middlewares = namespace.middlewares();
        let socket = Socket::new(id, namespace, Arc::clone(&self.link), handshake, key);
        socket.enter();
        if middlewares.is_empty() {
            self.finish_join(&socket, Next::Pass, cx);
            return;
        }
        let chain = run(
            middlewares,
            socket.clone(),
            CONNECT.to_owned(),
            Args::empty(),
            None,
        );
        let mut chain: Chain = Box::pin(chain);
        match chain.as_mut().poll(cx) {
            Poll::Ready(next) => self.finish_join(&socket, next, cx),
            Poll::Pending => {
                self.busy().joining.push(Joining { socket, chain });
                // The set polls it again, with a waker of its own.
                cx.waker().wake_by_ref();
            }
        }
    }

    /// The middlewares have decided.
    fn finish_join(&mut self, socket: &Socket, next: Next, cx: &mut Context<'_>) {
        let key = socket.key();
        let refusal = match next {
            Next::Pass | Next::Rewrite(..) if socket.is_joining() => {
                self.admit(socket, cx);
                return;
            }
            // It was disconnected before it had joined.
            Next::Pass | Next::Rewrite(..) | Next::Drop => Refusal::new("Forbidden"),
            Next::Refuse(refusal) => refusal,
        };
        self.proto.refuse(key);
        socket.exit();
        if socket.speaks_lines() {
            socket.send_error_line(&refusal);
            self.link.session.close();
            return;
        }
        let revision = self.proto.revision();
        let name = socket.namespace().name();
        let (message, data) = (refusal.message(), refusal.data());
        self.send(|buf| {
            encode_connect_error(buf, HEADROOM, revision, name, message, data)
                .expect("a json value can always be encoded")
        });
    }

    fn admit(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        let key = socket.key();
        let revision = self.proto.revision();
        let name = socket.namespace().name();
        self.proto.accept(key);
        // Queued before anything else can be: a broadcast reaches the socket only from the next
        // line on.
        if !socket.speaks_lines() {
            self.send(|buf| {
                encode_connect_accepted(buf, HEADROOM, revision, name, socket.id(), None)
            });
        }
        socket.set_connected();
        let mut listeners = socket.namespace().listeners().cached();
        let table = Arc::clone(listeners.read(socket.namespace().listeners()));
        if self.members.len() <= key.index() {
            self.members.resize_with(key.index() + 1, || None);
        }
        self.members[key.index()] = Some(Member {
            socket: socket.clone(),
            listeners,
        });
        if table.dispatch(&Event::local(socket, CONNECT), &mut self.running, cx) {
            socket
                .namespace()
                .listeners()
                .update(|listeners| listeners.sweep(CONNECT));
        }
    }

    /// Hands an event to its handlers, after the socket's own middlewares.
    fn handle_event(
        &mut self,
        key: NamespaceKey,
        name: &str,
        args: RawArgs<'_>,
        ack_id: Option<u64>,
        cx: &mut Context<'_>,
    ) {
        let Some(Some(member)) = self.members.get_mut(key.index()) else {
            return;
        };
        let socket = &member.socket;
        if socket.key() != key || !socket.connected() {
            return;
        }
        let mut event = Event::incoming(socket, name, args, ack_id);
        let Some(extra) = socket.existing_extra() else {
            // The common case: everything is in the namespace's table.
            let table = member.listeners.read(socket.namespace().listeners());
            if table.count(name) > 1 {
                event.share_ack();
            }
            table.dispatch_any(&event, &mut self.running, cx);
            if table.dispatch(&event, &mut self.running, cx) {
                socket
                    .namespace()
                    .listeners()
                    .update(|listeners| listeners.sweep(name));
            }
            return;
        };
        event.share_ack();
        let of_namespace = Arc::clone(member.listeners.read(socket.namespace().listeners()));
        of_namespace.dispatch_any(&event, &mut self.running, cx);
        extra
            .listeners
            .load()
            .dispatch_any(&event, &mut self.running, cx);
        let middlewares = extra.middlewares.load();
        let socket = socket.clone();
        let ack = event.ack_slot().cloned();
        if middlewares.is_empty() {
            self.dispatch(&Event::again(&socket, name, args, ack), cx);
            return;
        }
        let args = args.to_args();
        let chain = run(
            middlewares,
            socket.clone(),
            name.to_owned(),
            args,
            ack.clone(),
        );
        let chain: Chain = Box::pin(chain);
        let deciding = Deciding {
            socket,
            key,
            event: name.into(),
            ack,
            chain,
        };
        self.decide(deciding, cx);
    }

    /// Goes on with an event if its socket's middlewares have decided, and waits otherwise.
    fn decide(&mut self, mut deciding: Deciding, cx: &mut Context<'_>) {
        match deciding.chain.as_mut().poll(cx) {
            Poll::Pending => self.busy().deciding = Some(deciding),
            Poll::Ready(Next::Rewrite(name, args)) => {
                let Deciding {
                    key, ack, socket, ..
                } = deciding;
                if self.member(key).is_some() && socket.connected() {
                    let event = Event::again(&socket, &name, args.as_raw(), ack);
                    self.dispatch(&event, cx);
                }
            }
            Poll::Ready(Next::Refuse(refusal)) => {
                let Deciding {
                    ack, socket, event, ..
                } = deciding;
                if socket.speaks_lines() && ack.is_none() {
                    socket.send_error_line(&refusal);
                }
                let event = Event::again(&socket, &event, RawArgs::empty(), ack);
                Responder::new(&event).refuse(refusal);
            }
            Poll::Ready(Next::Drop | Next::Pass) => {}
        }
    }

    /// Runs the handlers of an event's name: the namespace's, then the socket's own.
    fn dispatch(&mut self, event: &Event<'_, Socket>, cx: &mut Context<'_>) {
        let listeners = event.socket().namespace().listeners();
        if listeners.load().dispatch(event, &mut self.running, cx) {
            listeners.update(|listeners| listeners.sweep(event.name()));
        }
        if let Some(extra) = event.socket().existing_extra()
            && extra
                .listeners
                .load()
                .dispatch(event, &mut self.running, cx)
        {
            extra
                .listeners
                .update(|listeners| listeners.sweep(event.name()));
        }
    }

    /// Starts the handlers of all queued events, however many are running: the socket, or the
    /// connection, is about to end, and what it said before is not to be lost.
    fn start_queued(&mut self, cx: &mut Context<'_>) {
        while let Some(busy) = &mut self.busy
            && busy.deciding.is_none()
            && let Some(event) = busy.pop()
        {
            self.handle_queued(event, cx);
        }
    }

    fn handle_queued(&mut self, event: QueuedEvent, cx: &mut Context<'_>) {
        let QueuedEvent {
            key,
            name,
            args,
            ack_id,
        } = event;
        self.handle_event(key, &name, args.as_raw(), ack_id, cx);
    }

    /// A plain peer said something.
    fn handle_line(&mut self, line: &[u8], cx: &mut Context<'_>) {
        let Some(key) = self.proto.find("/") else {
            return;
        };
        let server = Arc::clone(&self.server);
        let input = match lines::decode(line, &server.config().lines) {
            Ok(Line::Event(event)) => {
                if event.args_dropped {
                    tracing::debug!(event = %event.name, "arguments of a line are no array");
                }
                let LineEvent {
                    name, args, ack_id, ..
                } = event;
                Input::Event {
                    key,
                    name,
                    args: IncomingArgs::Borrowed(args),
                    ack_id,
                }
            }
            Ok(Line::Ack { id, args }) => Input::Ack {
                key,
                id,
                args: IncomingArgs::Borrowed(args),
            },
            Ok(Line::Error { message, data }) => {
                let data = data
                    .get(0)
                    .and_then(|json| serde_json::from_str::<Value>(json).ok());
                let refusal = Refusal::new(message);
                let refusal = match data {
                    Some(data) => refusal.with_data(data),
                    None => refusal,
                };
                self.report(|| EventErrorKind::Peer(refusal.clone()));
                return;
            }
            Ok(Line::Other) => return,
            Err(error) => {
                let verdict = error.verdict(&server.config().lines);
                if verdict != Verdict::Ignore {
                    self.report(|| EventErrorKind::Undecodable(error.to_string().into()));
                }
                if verdict == Verdict::Close {
                    self.verdict.get_or_insert(DisconnectReason::ParseError);
                    self.link.session.abort(CloseReason::ParseError);
                }
                return;
            }
        };
        self.handle_input(input, cx);
    }

    /// Reports something that concerns every socket of the connection.
    fn report(&self, kind: impl Fn() -> EventErrorKind) {
        for member in self.members.iter().flatten() {
            member.socket.report(EventError::new("error", kind()));
        }
    }

    /// The peer broke the protocol: the connection cannot go on.
    fn handle_violation(&mut self, violation: &Violation) {
        tracing::debug!(%violation, "protocol violation");
        let reason = match violation.is_decode_error() {
            true => DisconnectReason::ForcedClose,
            false => DisconnectReason::ForcedServerClose,
        };
        self.verdict.get_or_insert(reason);
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
                    self.disconnect(key, reason, cx);
                    self.proto.leave(key);
                }
                Request::Close => {
                    for member in self.members.iter().flatten() {
                        if member.socket.connected() {
                            member.socket.send_disconnect();
                        }
                    }
                    self.disconnect_all(DisconnectReason::ServerNamespaceDisconnect, cx);
                    self.link.session.close();
                }
                Request::Run(future) => {
                    self.running.start(future, cx);
                }
            }
        }
    }

    /// Takes a socket out of its namespace and tells the handlers.
    fn disconnect(&mut self, key: NamespaceKey, reason: DisconnectReason, cx: &mut Context<'_>) {
        let Some(slot) = self.members.get_mut(key.index()) else {
            return;
        };
        let Some(member) = slot.take_if(|member| member.socket.key() == key) else {
            return;
        };
        let socket = member.socket;
        socket.set_leaving();
        self.dispatch(&Event::disconnect(&socket, DISCONNECTING, reason), cx);
        socket.exit();
        self.dispatch(&Event::disconnect(&socket, DISCONNECT, reason), cx);
        if self.members.iter().all(Option::is_none) {
            self.members = Vec::new();
        }
    }

    fn disconnect_all(&mut self, reason: DisconnectReason, cx: &mut Context<'_>) {
        let keys: Vec<_> = self
            .members
            .iter()
            .flatten()
            .map(|member| member.socket.key())
            .collect();
        for key in keys {
            self.disconnect(key, reason, cx);
            self.proto.leave(key);
        }
    }

    fn member(&self, key: NamespaceKey) -> Option<&Member> {
        let member = self.members.get(key.index())?.as_ref()?;
        (member.socket.key() == key).then_some(member)
    }

    /// Whether another handler would have to wait.
    fn is_full(&self) -> bool {
        let config = self.server.config();
        let limit = match config.ordering {
            Ordering::Concurrent => config.max_handlers,
            Ordering::Serial => 1,
        };
        !self.running.is_empty() && self.running.len() >= limit
    }

    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    fn send(&self, encode: impl FnOnce(&mut Vec<u8>) -> usize) {
        with_buffers(|buffers| {
            let start = encode(&mut buffers.text);
            let _ = packet::send(&self.link.session, buffers, start, SendOptions::default());
        });
    }

    /// Goes on with joins and queued events; ready when there are none.
    fn poll_busy(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(busy) = &mut self.busy {
            if let Poll::Ready(Some((socket, next))) = busy.joining.poll_next_unpin(cx) {
                self.finish_join(&socket, next, cx);
                continue;
            }
            if let Some(deciding) = busy.deciding.take() {
                self.decide(deciding, cx);
                if self
                    .busy
                    .as_ref()
                    .is_some_and(|busy| busy.deciding.is_some())
                {
                    return Poll::Pending;
                }
                continue;
            }
            if self.is_full() {
                return Poll::Pending;
            }
            let Some(busy) = &mut self.busy else { break };
            let Some(event) = busy.pop() else {
                if !busy.joining.is_empty() {
                    return Poll::Pending;
                }
                self.busy = None;
                break;
            };
            self.handle_queued(event, cx);
        }
        Poll::Ready(())
    }
}

impl sockeye_engine::Connection for Connection {
    fn handle_message(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) {
        if self.verdict.is_some() {
            return;
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
        let mut idle = self.running.poll(cx).is_ready();
        if self.busy.is_some() {
            let handled = self.poll_busy(cx).is_ready();
            // What was dispatched may have to be polled once more for its wakers.
            idle = self.running.poll(cx).is_ready() && handled;
        }
        if idle { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_ready(&self) -> bool {
        let config = self.server.config();
        let plain = self.link.session.dialect() == Dialect::Lines;
        self.busy.as_ref().is_none_or(|busy| {
            // A plain peer does not wait to be let in, so that what it says has to.
            let admitted = !plain || busy.joining.is_empty();
            admitted && busy.has_room(config.max_queued_events, config.max_queued_bytes)
        })
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
        let reason = self.verdict.unwrap_or_else(|| self.reason(reason));
        self.start_queued(cx);
        if let Some(busy) = self.busy.take() {
            // Whoever has not joined yet goes without a word.
            for joining in &busy.joining {
                joining.socket.exit();
            }
        }
        self.disconnect_all(reason, cx);
    }
}

impl Connection {
    /// What the end of the session means for its sockets.
    fn reason(&self, reason: CloseReason) -> DisconnectReason {
        match reason {
            CloseReason::TransportClose => DisconnectReason::TransportClose,
            CloseReason::TransportError => DisconnectReason::TransportError,
            CloseReason::PingTimeout => DisconnectReason::PingTimeout,
            CloseReason::ParseError => DisconnectReason::ParseError,
            CloseReason::ForcedClose if self.server.is_closing() => {
                DisconnectReason::ServerShuttingDown
            }
            // The engine's own reasons are all named above; this is for ones to come.
            _ => DisconnectReason::ForcedClose,
        }
    }
}

impl Drop for Connection {
    /// Sockets must not stay behind in their rooms, even if the runtime is being shut down under
    /// a connection that is still open.
    fn drop(&mut self) {
        for member in self.members.iter().flatten() {
            member.socket.exit();
        }
        for joining in self.busy.iter().flat_map(|busy| busy.joining.iter()) {
            joining.socket.exit();
        }
    }
}
