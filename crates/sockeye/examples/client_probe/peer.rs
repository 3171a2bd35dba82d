//! A socket and all that comes by it.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye::client::{ClientBuilder, EventErrorKind, EventStream, ReceivedEvent, Socket};
use sockeye::parser::Json;
use sockeye::{
    Args, Client, ConnectError, DisconnectReason, Reconnection, SocketConfig, TransportKind,
};
use sockeye_socket_proto::parser::MessagePack;
use tokio::sync::mpsc;

use super::{CaseResult, Failure, Format, Probe};

/// One socket of a case, and what the server has emitted to it.
pub(super) struct Peer {
    pub(super) socket: Socket,
    pub(super) auth: EventStream,
    pub(super) messages: EventStream,
    pub(super) questions: EventStream,
    pub(super) connects: mpsc::UnboundedReceiver<()>,
    pub(super) ends: mpsc::UnboundedReceiver<DisconnectReason>,
    /// What went wrong with events, which no handler sees.
    errors: mpsc::UnboundedReceiver<String>,
}

/// Which of the server's events to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Inbox {
    Auth,
    Messages,
    Questions,
}

impl Probe {
    /// A client as the command line wants it.
    pub(super) fn client(&self, namespace: &str) -> ClientBuilder {
        let transports = match (self.transport, self.upgrade) {
            (TransportKind::Polling, _) => vec![TransportKind::Polling],
            (_, true) => vec![TransportKind::Polling, TransportKind::WebSocket],
            (_, false) => vec![TransportKind::WebSocket],
        };
        let (revision, dialect, format) = (self.revision, self.dialect, self.format);
        let reconnection = Reconnection::default()
            .delay(Duration::from_millis(20))
            .delay_max(Duration::from_millis(100));
        Client::builder(&self.url)
            .namespace(namespace)
            .reconnection(reconnection)
            .config(move |config| {
                let config = match format {
                    Format::Standard => config,
                    Format::MessagePack => config.parser(MessagePack),
                    Format::Json => config.parser(Json::new()),
                };
                config.auto_connect(false).connector(move |connector| {
                    connector
                        .transports(transports)
                        .revision(revision)
                        .dialect(dialect)
                })
            })
    }
}

impl Peer {
    /// A socket of a client of its own, which is not connected yet.
    pub(super) fn new(probe: &Probe, namespace: &str) -> Result<Self, Failure> {
        Ok(Self::of(probe.client(namespace).build()?))
    }

    /// The same, connected and on the transport that is wanted.
    pub(super) async fn connect(probe: &Probe) -> Result<Self, Failure> {
        let mut peer = Self::new(probe, "/")?;
        peer.socket.connect().await?;
        peer.settle(probe).await?;
        Ok(peer)
    }

    /// Another socket of a client, connected.
    pub(super) async fn join(
        &self,
        namespace: &str,
        config: SocketConfig,
    ) -> Result<Self, Failure> {
        let socket = self.socket.client().socket_with(namespace, config)?;
        let peer = Self::of(socket);
        peer.socket.connect().await?;
        Ok(peer)
    }

    pub(super) fn of(socket: Socket) -> Self {
        let (end, ends) = mpsc::unbounded_channel();
        let (connect, connects) = mpsc::unbounded_channel();
        let (error, errors) = mpsc::unbounded_channel();
        // Nobody hears these when the case is over, which is fine.
        socket.on_disconnect(move |reason: DisconnectReason| {
            let _ = end.send(reason);
        });
        socket.on_connect(move || {
            let _ = connect.send(());
        });
        socket.client().on_error(move |_, event| {
            // A line that makes no sense is passed over; a packet ends the connection, which no
            // case overlooks.
            if !matches!(event.kind(), EventErrorKind::Undecodable(_)) {
                let _ = error.send(format!("{event:#}"));
            }
        });
        Self {
            auth: socket.events("auth"),
            messages: socket.events("message-back"),
            questions: socket.events("emit-with-ack"),
            connects,
            ends,
            errors,
            socket,
        }
    }

    /// Waits for the transport that this run is about.
    pub(super) async fn settle(&mut self, probe: &Probe) -> CaseResult {
        while self.socket.transport() != Some(probe.transport) {
            if let Ok(reason) = self.ends.try_recv() {
                return Err(format!("disconnected before the upgrade: {reason}").into());
            }
            // Nothing tells of an upgrade.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The next event, unless the connection ends first.
    pub(super) async fn next(&mut self, inbox: Inbox) -> Result<ReceivedEvent, Failure> {
        let events = match inbox {
            Inbox::Auth => &mut self.auth,
            Inbox::Messages => &mut self.messages,
            Inbox::Questions => &mut self.questions,
        };
        tokio::select! {
            biased;
            event = events.next() => event.ok_or_else(|| "the stream of events ended".into()),
            Some(reason) = self.ends.recv() => {
                Err(format!("waiting for {inbox:?}: disconnected: {reason}").into())
            }
        }
    }

    /// Waits for the next event, which must have these arguments and no more.
    pub(super) async fn expect<T>(&mut self, inbox: Inbox, expected: &T) -> CaseResult
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let event = self.next(inbox).await?;
        same_args(&event.args, expected)
    }

    /// Emits `message`, and waits for the same arguments.
    pub(super) async fn echo<T>(&mut self, args: &T) -> CaseResult
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        self.socket.emit("message", args)?;
        self.expect(Inbox::Messages, args).await
    }

    /// Emits `message-with-ack`, and waits for the same arguments.
    pub(super) async fn ask<T>(&self, args: &T) -> CaseResult
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let answer: Args = self.socket.emit_with_ack("message-with-ack", args).await?;
        same_args(&answer, args)
    }

    /// Lets the server ask with these arguments, answers it, and waits for the answer to come
    /// back.
    pub(super) async fn answer<T, A>(&mut self, question: &T, answer: &A) -> CaseResult
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
        A: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        self.socket.emit("emit-with-ack", question)?;
        let event = self.next(Inbox::Questions).await?;
        same_args(&event.args, question)?;
        same(&event.ack.is_wanted(), &true, "the server waits")?;
        event.ack.send(Args::new(answer)?)?;
        self.expect(Inbox::Questions, answer).await
    }

    /// Waits for the reason of a disconnect.
    pub(super) async fn ended(&mut self) -> Result<DisconnectReason, Failure> {
        let end = self.ends.recv().await;
        end.ok_or_else(|| "the socket is gone".into())
    }

    /// Waits until the socket is connected for the next time.
    pub(super) async fn connected(&mut self) -> CaseResult {
        let connect = self.connects.recv().await;
        connect.ok_or_else(|| "the socket is gone".into())
    }

    /// Ends a case: the connection must be on its transport still, and no event went wrong.
    pub(super) async fn finish(mut self, probe: &Probe) -> CaseResult {
        self.settle(probe).await?;
        let client = self.socket.client();
        client.close().await;
        let reason = self.ended().await?;
        same(
            &reason,
            &DisconnectReason::IoClientDisconnect,
            "the reason at the end",
        )?;
        same(
            &client.transport(),
            &None,
            "the transport of a closed client",
        )?;
        match self.errors.try_recv() {
            Ok(error) => Err(error.into()),
            Err(_) => Ok(()),
        }
    }
}

/// The errors of a connect that must fail.
pub(super) fn failed(result: Result<(), ConnectError>) -> Result<ConnectError, Failure> {
    match result {
        Ok(()) => Err("connected, and should not be".into()),
        Err(error) => Ok(error),
    }
}

pub(super) fn same_args<T>(args: &Args, expected: &T) -> CaseResult
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let wanted = Args::new(expected)?;
    same(&args.len(), &wanted.len(), "the number of arguments")?;
    // `()` is also what one argument can be read as.
    if wanted.is_empty() {
        return Ok(());
    }
    same(&args.deserialize::<T>()?, expected, "the arguments")
}

pub(super) fn same<T: PartialEq + Debug>(actual: &T, expected: &T, what: &str) -> CaseResult {
    if actual == expected {
        return Ok(());
    }
    let short = |value: &T| -> String { format!("{value:?}").chars().take(200).collect() };
    let (actual, expected) = (short(actual), short(expected));
    Err(format!("{what}: {actual} instead of {expected}").into())
}
