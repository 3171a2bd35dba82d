//! The server's end: all namespaces of one connection, and the packets that wait for their attachments.

pub(crate) mod assembly;
mod config;
pub(crate) mod delivery;
mod input;
mod key;
pub(crate) mod namespaces;
mod pending;
mod violation;

#[cfg(test)]
mod tests;

use std::time::Instant;

use bytes::Bytes;

use crate::client::read_refusal;
use crate::packet::RawPacket;
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;
use crate::whole::Packet;

use assembly::Assembly;
use namespaces::{Namespaces, Standing};

pub use config::{ConnectionConfig, StrayPackets};
pub use input::Input;
pub use key::NamespaceKey;
pub use violation::Violation;

/// The Socket.IO side of one Engine.IO session, without I/O: which namespaces the peer has joined, and what its
/// packets mean.
///
/// Every text and binary message of the session goes through [`handle_text`](Self::handle_text) and
/// [`handle_binary`](Self::handle_binary) in the order they came. What comes out is for the application; each
/// [`Input::Connect`] must be answered by [`accept`](Self::accept) or [`refuse`](Self::refuse), at once or later.
/// The connection writes nothing: the packets that say yes or no to the peer are encoded by the caller.
///
/// After a [`Violation`] the connection is of no more use and is to be closed.
///
/// ```
/// use std::time::Instant;
/// use sockeye_socket_proto::{Connection, ConnectionConfig, Input, SocketRevision};
///
/// let config = ConnectionConfig::default();
/// let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
/// let Some(Input::Connect { key, .. }) = connection.handle_text("0")? else { unreachable!() };
/// connection.accept(key);
/// let Some(Input::Event { name, args, .. }) = connection.handle_text(r#"2["chat","hi"]"#)? else { unreachable!() };
/// assert_eq!(name, "chat");
/// assert_eq!(args.deserialize::<String>()?, "hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    assembly: Assembly,
    stray_packets: StrayPackets,
    implicit_connect: bool,
    peer_errors: bool,
    max_namespaces: u16,
    max_namespace_len: u16,
    connect_deadline: Option<Instant>,
    namespaces: Namespaces,
}

impl Connection {
    /// The server's end of a connection that has just opened.
    ///
    /// A revision 4 peer expects to be in `/` without asking: call [`implicit_connect`](Self::implicit_connect).
    #[must_use]
    pub fn server(revision: SocketRevision, config: &ConnectionConfig, now: Instant) -> Self {
        Self {
            assembly: Assembly::new(revision, config),
            stray_packets: config.stray_packets,
            implicit_connect: revision == SocketRevision::V4,
            peer_errors: false,
            max_namespaces: config.max_namespaces,
            max_namespace_len: config.max_namespace_len,
            connect_deadline: now.checked_add(config.connect_timeout),
            namespaces: Namespaces::default(),
        }
    }

    /// Takes errors that the peer reports in a namespace that it has joined, as both ends of a bare stream do: packets of
    /// the type that otherwise refuses a namespace. Without this they are a violation.
    #[must_use]
    pub const fn with_peer_errors(mut self) -> Self {
        self.peer_errors = true;
        self
    }

    /// The connect to `/` that a revision 4 peer does not send. `None` in revision 5 and from the second call on.
    pub fn implicit_connect(&mut self) -> Option<Input<'static>> {
        if !std::mem::take(&mut self.implicit_connect) {
            return None;
        }
        let key = self.namespaces.open("/", self.max_namespaces)?;
        Some(Input::Connect {
            key,
            namespace: "/",
            query: None,
            auth: None,
        })
    }

    /// Takes a text message. `None` if there is nothing to do for the application (yet): the packet waits for its
    /// attachments, or is a stray one that is tolerated.
    ///
    /// An event without attachments costs no allocation.
    ///
    /// # Errors
    ///
    /// When the peer breaks the protocol; the connection is then to be closed.
    pub fn handle_text<'a>(&mut self, text: &'a str) -> Result<Option<Input<'a>>, Violation> {
        let packet = self.assembly.decode(text)?;
        self.handle_parts(&packet)
    }

    /// Takes a whole packet, which another [parser](crate::parser) has read; instead of the messages that it came in.
    ///
    /// # Errors
    ///
    /// As for [`handle_text`](Self::handle_text) and [`handle_binary`](Self::handle_binary).
    pub fn handle_packet<'a>(
        &mut self,
        packet: &'a Packet<'_>,
    ) -> Result<Option<Input<'a>>, Violation> {
        let parts = self.assembly.parts_of(packet)?;
        let mut input = self.handle_parts(&parts)?;
        for data in &*packet.attachments {
            input = self.handle_binary(data.clone())?;
        }
        Ok(input)
    }

    /// Takes a binary message, which is the next attachment of the packet that came before it. The last one
    /// completes the packet.
    ///
    /// # Errors
    ///
    /// When no attachment is owed, or the packet's attachments exceed their limit in bytes.
    pub fn handle_binary(&mut self, data: Bytes) -> Result<Option<Input<'static>>, Violation> {
        // The server may have left the namespace while the attachments were on their way.
        let namespaces = &self.namespaces;
        self.assembly
            .attach(data, |key| namespaces.state(key) == Standing::Joined)
    }

    /// Whether the last packet waits for attachments that are owed. How long it may is for the caller to say.
    #[must_use]
    pub const fn is_unfinished(&self) -> bool {
        self.assembly.is_unfinished()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.connect_deadline
    }

    /// Checks the deadline for joining a first namespace. `Some` at most once.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Violation> {
        self.connect_deadline.take_if(|deadline| *deadline <= now)?;
        Some(Violation::ConnectTimeout)
    }

    /// The application lets the peer into the namespace; events of it are delivered from now on.
    pub fn accept(&mut self, key: NamespaceKey) {
        if self
            .namespaces
            .change(key, Standing::Connecting, Standing::Joined)
        {
            self.connect_deadline = None;
        }
    }

    /// The application refuses the peer, which may try again.
    pub fn refuse(&mut self, key: NamespaceKey) {
        self.namespaces
            .change(key, Standing::Connecting, Standing::Free);
    }

    /// The application makes the peer leave the namespace. The key is of no use afterwards.
    pub fn leave(&mut self, key: NamespaceKey) {
        self.namespaces
            .change(key, Standing::Joined, Standing::Left);
    }

    /// The name behind `key`: of a namespace that is being joined or has been joined, or was left and whose place
    /// is not taken by another one yet. `None` for other keys.
    #[must_use]
    pub fn namespace(&self, key: NamespaceKey) -> Option<&str> {
        self.namespaces.name(key)
    }

    /// Whether the peer is in the namespace behind `key`.
    #[must_use]
    pub fn is_joined(&self, key: NamespaceKey) -> bool {
        self.namespaces.state(key) == Standing::Joined
    }

    /// The key of `namespace` if the peer is in it.
    #[must_use]
    pub fn find(&self, namespace: &str) -> Option<NamespaceKey> {
        match self.namespaces.find(namespace) {
            Some((key, Standing::Joined)) => Some(key),
            _ => None,
        }
    }

    /// The namespaces that the peer is in.
    pub fn joined(&self) -> impl Iterator<Item = NamespaceKey> {
        self.namespaces.joined()
    }

    /// The protocol revision of the peer.
    #[must_use]
    pub fn revision(&self) -> SocketRevision {
        self.assembly.revision()
    }

    /// Whether the peer was seen acknowledging in the form of revision 3, or is [known](ConnectionConfig::counted_acks) to,
    /// and so expects [`encode_counted_ack`](crate::encode_counted_ack).
    #[must_use]
    pub fn uses_counted_acks(&self) -> bool {
        self.assembly.has_counted_acks()
    }

    #[inline(always)]
    fn handle_parts<'a>(&mut self, packet: &RawPacket<'a>) -> Result<Option<Input<'a>>, Violation> {
        match packet.kind {
            PacketType::Event | PacketType::BinaryEvent => self.handle_event(packet),
            PacketType::Ack | PacketType::BinaryAck => self.handle_ack(packet),
            PacketType::Connect => self.handle_connect(packet).map(Some),
            PacketType::Disconnect => self.handle_disconnect(packet),
            PacketType::ConnectError if self.peer_errors => self.handle_error(packet),
            PacketType::ConnectError => Err(Violation::ConnectErrorFromClient),
        }
    }

    #[inline(always)]
    fn handle_event<'a>(&mut self, packet: &RawPacket<'a>) -> Result<Option<Input<'a>>, Violation> {
        let event = packet.event()?;
        let key = self.receiver(packet)?;
        self.assembly.event(packet, event, key)
    }

    fn handle_ack<'a>(&mut self, packet: &RawPacket<'a>) -> Result<Option<Input<'a>>, Violation> {
        let args = packet.ack_args()?;
        // Also one that nobody waits for must come from a member.
        let key = self.receiver(packet)?;
        self.assembly.ack(packet, args, key)
    }

    fn handle_connect<'a>(&mut self, packet: &RawPacket<'a>) -> Result<Input<'a>, Violation> {
        let namespace = packet.namespace;
        if namespace.len() > usize::from(self.max_namespace_len) {
            return Err(Violation::NamespaceTooLong {
                max: self.max_namespace_len,
            });
        }
        if let Some((_, Standing::Connecting | Standing::Joined)) = self.namespaces.find(namespace)
        {
            return Err(Violation::ConnectTwice {
                namespace: namespace.into(),
            });
        }
        let key = self.namespaces.open(namespace, self.max_namespaces).ok_or(
            Violation::TooManyNamespaces {
                max: self.max_namespaces,
            },
        )?;
        let auth = match self.revision() {
            SocketRevision::V5 => Some(packet.payload).filter(|payload| !payload.is_empty()),
            // No client of this revision sends any; its way is the query.
            SocketRevision::V4 => None,
        };
        Ok(Input::Connect {
            key,
            namespace,
            query: packet.query,
            auth,
        })
    }

    fn handle_disconnect<'a>(
        &mut self,
        packet: &RawPacket<'_>,
    ) -> Result<Option<Input<'a>>, Violation> {
        let key = self.receiver(packet)?;
        if let Some(key) = key {
            self.namespaces
                .change(key, Standing::Joined, Standing::Departed);
        }
        Ok(key.map(|key| Input::Disconnect { key }))
    }

    fn handle_error<'a>(&self, packet: &RawPacket<'a>) -> Result<Option<Input<'a>>, Violation> {
        let key = self.receiver(packet)?;
        let (message, data) = read_refusal(packet.payload, self.revision());
        Ok(key.map(|key| Input::Error { key, message, data }))
    }

    /// The namespace that a packet is for. `None` if the peer is not in it and that is tolerated.
    #[inline]
    fn receiver(&self, packet: &RawPacket<'_>) -> Result<Option<NamespaceKey>, Violation> {
        let found = self.namespaces.find(packet.namespace);
        if let Some((key, Standing::Joined)) = found {
            return Ok(Some(key));
        }
        let is_late = match found {
            Some((_, Standing::Left)) => true,
            Some((_, Standing::Departed)) => {
                matches!(packet.kind, PacketType::Ack | PacketType::BinaryAck)
            }
            _ => false,
        };
        match self.stray_packets {
            StrayPackets::Tolerate if is_late || self.revision() == SocketRevision::V4 => Ok(None),
            StrayPackets::Tolerate | StrayPackets::Close => Err(Violation::NotJoined {
                kind: packet.kind,
                namespace: packet.namespace.into(),
            }),
        }
    }
}

// Every connection has one of these for as long as it lives.
const _: () = assert!(size_of::<Connection>() <= 136);
