//! The client's end: which namespaces this side has joined or asked to join, and what the server's packets mean.

mod answer;
mod error;
mod input;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::connection::assembly::Assembly;
use crate::connection::namespaces::{Namespaces, Standing};
use crate::connection::{ConnectionConfig, NamespaceKey, Violation};
use crate::packet::RawPacket;
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;
use crate::whole::Packet;

use answer::read_accepted;
pub(crate) use answer::read_refusal;

pub use error::JoinError;
pub use input::{ClientInput, Leaving};

/// The Socket.IO side of one Engine.IO session as a client sees it, without I/O: which namespaces it has joined or asked
/// to join, and what the server's packets mean.
///
/// Every text and binary message of the session goes through [`handle_text`](Self::handle_text) and
/// [`handle_binary`](Self::handle_binary) in the order they came; what comes out is for the application. The connection
/// writes nothing: the packets that ask, leave and answer are encoded by the caller. Each session has a connection of its
/// own, so that nothing of one that has ended is taken for the next one's.
///
/// Packets for namespaces that were never asked for are ignored. A [`Violation`] is therefore always a
/// [decoding error](Violation::is_decode_error): a client ends the session then and calls the reason `parse error`.
///
/// # Ordering and delivery
///
/// A server that restores a session sends the events that were missed before it answers the CONNECT packet, so events
/// may come for a namespace that is still being joined; they are to be kept until it is. Where a namespace is joined
/// again after it was left during the same session, what comes before the answer belongs to the former stay and is
/// ignored: no session can be restored after it was left on purpose. An acknowledgement that the server wrote late may
/// still come during the new stay, so ids of acknowledgements should not begin anew with each one.
///
/// ```
/// use sockeye_socket_proto::{ClientConnection, ClientInput, ConnectionConfig, SocketRevision};
///
/// let mut connection = ClientConnection::new(SocketRevision::V5, &ConnectionConfig::default());
/// let key = connection.join("/chat")?; // and the packet `0/chat,` goes to the server
/// let Some(ClientInput::Connected { sid, .. }) = connection.handle_text(r#"0/chat,{"sid":"S"}"#)? else { unreachable!() };
/// assert_eq!(sid.as_deref(), Some("S"));
/// let Some(ClientInput::Event { name, args, .. }) = connection.handle_text(r#"2/chat,["hi",1]"#)? else { unreachable!() };
/// assert_eq!(name, "hi");
/// assert_eq!(args.deserialize::<u8>()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClientConnection {
    assembly: Assembly,
    max_namespaces: u16,
    max_namespace_len: u16,
    main: Main,
    peer_errors: bool,
    namespaces: Namespaces,
}

/// How `/` is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Main {
    /// By asking, like the others.
    OnRequest,
    /// The server lets us in without being asked, as those of revision 4 do once.
    Expected,
    /// It has done so before the application wanted it.
    Unclaimed,
}

impl ClientConnection {
    /// The client's end of a session that has just opened.
    ///
    /// Of `config` the limits count; [`connect_timeout`](ConnectionConfig::connect_timeout) and
    /// [`stray_packets`](ConnectionConfig::stray_packets) are a server's.
    #[must_use]
    pub fn new(revision: SocketRevision, config: &ConnectionConfig) -> Self {
        Self {
            assembly: Assembly::new(revision, config),
            max_namespaces: config.max_namespaces,
            max_namespace_len: config.max_namespace_len,
            main: match revision {
                SocketRevision::V4 => Main::Expected,
                SocketRevision::V5 => Main::OnRequest,
            },
            peer_errors: false,
            namespaces: Namespaces::default(),
        }
    }

    /// Takes a refusal of a namespace that is joined for an error that ends nothing, as both ends of a bare stream do in
    /// revision 5 as well. Without this it is the end of the stay, as for the original client.
    #[must_use]
    pub const fn with_peer_errors(mut self) -> Self {
        self.peer_errors = true;
        self
    }

    /// Whether a namespace of this name can be joined, as far as that does not depend on the server. What can is known
    /// by [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// When the name cannot be sent, or has more than `max_len` bytes.
    pub fn check_namespace(namespace: &str, max_len: u16) -> Result<(), JoinError> {
        if namespace.len() > usize::from(max_len) {
            return Err(JoinError::TooLong { max: max_len });
        }
        // Nothing is escaped in a name. A comma ends it, and the separator ends its packet on polling.
        if !namespace.starts_with('/') || namespace.contains([',', '\u{1e}']) {
            return Err(JoinError::Name);
        }
        Ok(())
    }

    /// Begins to join `namespace`. The caller sends a CONNECT packet if [`needs_request`](Self::needs_request) says so,
    /// and hears [`ClientInput::Connected`], [`ClientInput::Refused`] or [`ClientInput::TooOld`] in any case but one: a
    /// server of revision 4 may have let us into `/` before; then [`is_joined`](Self::is_joined) is true at once and nothing more is heard.
    ///
    /// The server's answer cannot be done without: a packet that might fail to be encoded should be encoded first.
    ///
    /// # Errors
    ///
    /// When the namespace is joined or being joined, its name cannot be sent, or there are too many. Nothing has
    /// changed then.
    pub fn join(&mut self, namespace: &str) -> Result<NamespaceKey, JoinError> {
        self.check_name(namespace)?;
        let before = self.namespaces.find(namespace).map(|(_, state)| state);
        match before {
            Some(Standing::Connecting | Standing::Rejoining | Standing::Joined) => {
                return Err(JoinError::Twice);
            }
            Some(Standing::Abandoned) => return Err(JoinError::Unanswered),
            Some(Standing::Left | Standing::Departed | Standing::Free) | None => {}
        }
        let key =
            self.namespaces
                .open(namespace, self.max_namespaces)
                .ok_or(JoinError::TooMany {
                    max: self.max_namespaces,
                })?;
        if namespace == "/" && self.main == Main::Unclaimed {
            self.main = Main::OnRequest;
            self.set(key, Standing::Joined);
        } else if before == Some(Standing::Left) {
            self.set(key, Standing::Rejoining);
        }
        Ok(key)
    }

    /// Whether the server waits for a CONNECT packet before it lets us into the namespace behind `key`, which is being
    /// joined. Not so for the first stay in `/` in revision 4.
    #[must_use]
    pub fn needs_request(&self, key: NamespaceKey) -> bool {
        match self.namespaces.state(key) {
            Standing::Connecting | Standing::Rejoining => {
                self.main != Main::Expected || self.namespace(key) != Some("/")
            }
            _ => false,
        }
    }

    /// The application leaves the namespace, or gives up joining it; nothing of it is delivered from now on. The
    /// answer says when the caller is to send the DISCONNECT packet.
    pub fn leave(&mut self, key: NamespaceKey) -> Leaving {
        match self.namespaces.state(key) {
            Standing::Joined => {
                self.set(key, Standing::Left);
                Leaving::Now
            }
            Standing::Connecting | Standing::Rejoining => {
                self.set(key, Standing::Abandoned);
                Leaving::OnceAnswered
            }
            Standing::Abandoned | Standing::Left | Standing::Departed | Standing::Free => {
                Leaving::NotThere
            }
        }
    }

    /// Takes a text message. `None` if there is nothing to do for the application (yet): the packet waits for its
    /// attachments, or is for nobody.
    ///
    /// An event without attachments costs no allocation.
    ///
    /// # Errors
    ///
    /// When the text cannot be decoded; the session is then to be closed.
    pub fn handle_text<'a>(&mut self, text: &'a str) -> Result<Option<ClientInput<'a>>, Violation> {
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
    ) -> Result<Option<ClientInput<'a>>, Violation> {
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
    pub fn handle_binary(
        &mut self,
        data: Bytes,
    ) -> Result<Option<ClientInput<'static>>, Violation> {
        // The application may have left the namespace while the attachments were on their way.
        let namespaces = &self.namespaces;
        self.assembly
            .attach(data, |key| is_heard(namespaces.state(key)))
    }

    /// The name behind `key`: of a namespace that is being joined or has been joined, or was left and whose place
    /// is not taken by another one yet. `None` for other keys.
    #[must_use]
    pub fn namespace(&self, key: NamespaceKey) -> Option<&str> {
        self.namespaces.name(key)
    }

    /// Whether the server has let us into the namespace behind `key`, and we are still there.
    #[must_use]
    pub fn is_joined(&self, key: NamespaceKey) -> bool {
        self.namespaces.state(key) == Standing::Joined
    }

    /// The key of `namespace` if it is joined.
    #[must_use]
    pub fn find(&self, namespace: &str) -> Option<NamespaceKey> {
        match self.namespaces.find(namespace) {
            Some((key, Standing::Joined)) => Some(key),
            _ => None,
        }
    }

    /// Whether the last packet waits for attachments that are owed. How long it may is for the caller to say.
    #[must_use]
    pub const fn is_unfinished(&self) -> bool {
        self.assembly.is_unfinished()
    }

    /// The namespaces that are joined.
    pub fn joined(&self) -> impl Iterator<Item = NamespaceKey> {
        self.namespaces.joined()
    }

    /// The protocol revision of the server.
    #[must_use]
    pub fn revision(&self) -> SocketRevision {
        self.assembly.revision()
    }

    /// Whether the server was seen acknowledging in the form of revision 3, or is [known](ConnectionConfig::counted_acks) to,
    /// and so expects [`encode_counted_ack`](crate::encode_counted_ack).
    #[must_use]
    pub fn uses_counted_acks(&self) -> bool {
        self.assembly.has_counted_acks()
    }

    #[inline(always)]
    fn handle_parts<'a>(
        &mut self,
        packet: &RawPacket<'a>,
    ) -> Result<Option<ClientInput<'a>>, Violation> {
        let found = self.namespaces.find(packet.namespace);
        match packet.kind {
            PacketType::Event | PacketType::BinaryEvent => {
                let key = found.and_then(|(key, state)| is_heard(state).then_some(key));
                self.assembly.event(packet, packet.event()?, key)
            }
            PacketType::Ack | PacketType::BinaryAck => {
                let key = found.and_then(|(key, state)| (state == Standing::Joined).then_some(key));
                self.assembly.ack(packet, packet.ack_args()?, key)
            }
            PacketType::Connect => Ok(self.handle_connect(packet, found)),
            PacketType::ConnectError => Ok(self.handle_error(packet, found)),
            PacketType::Disconnect => Ok(self.handle_disconnect(packet, found)),
        }
    }

    fn handle_connect<'a>(
        &mut self,
        packet: &RawPacket<'a>,
        found: Option<(NamespaceKey, Standing)>,
    ) -> Option<ClientInput<'a>> {
        let unasked = packet.namespace == "/" && self.main == Main::Expected;
        if unasked {
            self.main = Main::OnRequest;
        }
        match found {
            Some((key, Standing::Connecting | Standing::Rejoining)) => {
                let [sid, pid, offset] = read_accepted(packet.payload);
                if sid.is_none() && self.revision() == SocketRevision::V5 {
                    self.set(key, Standing::Free);
                    return Some(ClientInput::TooOld { key });
                }
                self.set(key, Standing::Joined);
                Some(ClientInput::Connected {
                    key,
                    sid,
                    pid,
                    offset,
                })
            }
            Some((key, Standing::Abandoned)) => {
                self.set(key, Standing::Left);
                Some(ClientInput::Abandoned { key })
            }
            Some((_, Standing::Joined | Standing::Left | Standing::Departed | Standing::Free))
            | None => {
                if unasked {
                    self.main = Main::Unclaimed;
                }
                None
            }
        }
    }

    fn handle_error<'a>(
        &mut self,
        packet: &RawPacket<'a>,
        found: Option<(NamespaceKey, Standing)>,
    ) -> Option<ClientInput<'a>> {
        let v4 = self.revision() == SocketRevision::V4;
        let main = packet.namespace == "/";
        let refused = main && self.main == Main::Expected;
        if refused {
            self.main = Main::OnRequest;
        }
        let (message, data) = read_refusal(packet.payload, self.revision());
        match found {
            // A middleware for packets reports what it refuses in this way, which ends nothing.
            Some((key, Standing::Joined)) if self.peer_errors || (v4 && !main) => {
                Some(ClientInput::Error { key, message, data })
            }
            Some((_, Standing::Joined | Standing::Left)) | None if v4 && main => {
                Some(ClientInput::ErrorOfAll {
                    message,
                    data,
                    refused,
                })
            }
            Some((_, Standing::Left | Standing::Departed | Standing::Free)) | None => None,
            Some((key, _)) => {
                self.set(key, Standing::Free);
                Some(ClientInput::Refused { key, message, data })
            }
        }
    }

    fn handle_disconnect<'a>(
        &mut self,
        packet: &RawPacket<'_>,
        found: Option<(NamespaceKey, Standing)>,
    ) -> Option<ClientInput<'a>> {
        match found {
            Some((key, Standing::Joined | Standing::Connecting)) => {
                self.set(key, Standing::Free);
                Some(ClientInput::Disconnected { key })
            }
            Some((key, Standing::Left)) => {
                // It crossed our own notice, so that nothing of that stay comes any more.
                self.set(key, Standing::Free);
                None
            }
            // The same, but the namespace has been asked for again; the answer is still to come.
            Some((
                _,
                Standing::Rejoining | Standing::Abandoned | Standing::Departed | Standing::Free,
            )) => None,
            None => {
                if packet.namespace == "/" && self.main == Main::Unclaimed {
                    self.main = Main::OnRequest;
                }
                None
            }
        }
    }

    fn check_name(&self, namespace: &str) -> Result<(), JoinError> {
        Self::check_namespace(namespace, self.max_namespace_len)?;
        // Servers of revision 4 take what follows a question mark for a query.
        if self.revision() == SocketRevision::V4 && namespace.contains('?') {
            return Err(JoinError::Name);
        }
        Ok(())
    }

    fn set(&mut self, key: NamespaceKey, to: Standing) {
        self.namespaces.change(key, self.namespaces.state(key), to);
    }
}

/// Whether events of a namespace in this state are for the application.
fn is_heard(state: Standing) -> bool {
    matches!(state, Standing::Joined | Standing::Connecting)
}
