//! One event, in every form that somebody wants.

use std::sync::OnceLock;

use bytes::Bytes;
use sockeye_engine::{Dialect, HEADROOM, Message, Revision};
use sockeye_socket_proto::parser::Parser;
use sockeye_socket_proto::{
    Args, Attachments, BytesOut, EncodeError, EncodedEvent, EventLayout, EventMark, ToArgs,
    encode_event_in_parts, escape_packet, lines,
};

use crate::packet::{Buffers, ERROR, is_on_stream, line, text_of, with_buffers};
use crate::peer::{Peer, translated};

/// An event for many receivers. It is encoded once, as the packet that most of them want; each other form is made when
/// the first receiver asks for it, and shared by all that do.
///
/// | form | for whom | from |
/// |---|---|---|
/// | packet | peers of the current revision | the values themselves |
/// | escaped packet | peers of Engine.IO 3, if it is not ASCII | the packet's text |
/// | line | peers that speak lines | the packet's name and arguments |
/// | a parser's messages, for each revision | peers with that parser | the packet's text, whose head is read again |
/// | [arguments](Self::args) | outgoing listeners, other nodes of a cluster | the packet's arguments |
///
/// What a packet looks like on a transport (its frame, compressed or not) is the next table's: [`Message`]'s.
#[derive(Debug)]
pub struct Encoded {
    /// The packet's text and its attachments.
    packet: Vec<Message>,
    layout: EventLayout,
    /// It is an event `error`, which no bare stream carries.
    is_error: bool,
    /// Bytes that may be put into a line.
    max_inline_bytes: usize,
    /// `None` if it is the packet itself.
    escaped: OnceLock<Option<Vec<Message>>>,
    /// `None` if there can be none.
    line: OnceLock<Option<Message>>,
    /// What the parser has made of it, for [either](parsed_for) revision; nothing if it cannot write it.
    parsed: [OnceLock<Vec<Message>>; 2],
    args: OnceLock<Args>,
}

impl Encoded {
    /// Encodes an event.
    ///
    /// # Errors
    ///
    /// If an argument cannot be encoded, or there are more bytes than `limits` allow.
    pub fn event<A: ToArgs + ?Sized>(
        namespace: &str,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        limits: BytesOut,
    ) -> Result<Self, EncodeError> {
        Self::marked(namespace, name, args, EventMark::of(ack_id), limits)
    }

    /// The same with an offset behind the arguments, as receivers need it that are to come back. Lines and outgoing
    /// listeners, to which it says nothing, get the arguments alone.
    ///
    /// # Errors
    ///
    /// As for [`event`](Self::event).
    pub fn logged(
        namespace: &str,
        name: &str,
        args: &Args,
        offset: &str,
        limits: BytesOut,
    ) -> Result<Self, EncodeError> {
        Self::marked(namespace, name, args, EventMark::Offset(offset), limits)
    }

    fn marked<A: ToArgs + ?Sized>(
        namespace: &str,
        name: &str,
        args: &A,
        mark: EventMark<'_>,
        limits: BytesOut,
    ) -> Result<Self, EncodeError> {
        with_buffers(|Buffers { text, attachments }| {
            attachments.set_limits(limits);
            let (start, layout) =
                encode_event_in_parts(text, HEADROOM, namespace, mark, name, args, attachments)?;
            Ok(Self::copied(
                &text[start - HEADROOM..],
                attachments,
                layout,
                name,
                limits,
            ))
        })
    }

    /// The event whose packet stands in a thread's buffers, behind so much room as headers need.
    fn copied(
        text: &[u8],
        attachments: &mut Attachments,
        layout: EventLayout,
        name: &str,
        limits: BytesOut,
    ) -> Self {
        // A copy of the right size: the thread's buffer is roomy, and stays here.
        let mut packet = Vec::with_capacity(1 + attachments.len());
        packet.push(Message::text_in(text.to_vec(), HEADROOM));
        packet.extend(attachments.drain().map(Message::binary));
        Self {
            packet,
            layout,
            is_error: name == ERROR,
            max_inline_bytes: limits.max_inline_bytes,
            escaped: OnceLock::new(),
            line: OnceLock::new(),
            parsed: Default::default(),
            args: OnceLock::new(),
        }
    }

    /// Whether this peer can be told: on bare streams, some names and arguments cannot travel, on lines also no
    /// more bytes than the limits allow, and a parser may have no way to write it.
    #[must_use]
    #[inline]
    pub fn reaches(&self, peer: Peer<'_>) -> bool {
        !self.messages(peer).is_empty()
    }

    /// The messages for this peer; none if it has no way to be told. All peers with a parser must have the same one.
    #[must_use]
    #[inline]
    pub fn messages(&self, peer: Peer<'_>) -> &[Message] {
        let session = peer.session;
        match (session.dialect(), session.revision(), peer.parser) {
            // Nearly all receivers of a broadcast, each of whom pays for what is looked at here.
            (Dialect::Packets, Revision::V4, None) if !self.is_error => &self.packet,
            (Dialect::Packets, Revision::V4, _) if self.is_error && is_on_stream(session) => &[],
            (dialect, revision, parser) => self.other_messages(dialect, revision, parser),
        }
    }

    #[inline(never)]
    fn other_messages(
        &self,
        dialect: Dialect,
        revision: Revision,
        parser: Option<&dyn Parser>,
    ) -> &[Message] {
        match (dialect, revision, parser) {
            (Dialect::Lines, ..) => self.line.get_or_init(|| self.to_line()).as_slice(),
            (Dialect::Packets, revision, Some(parser)) => {
                self.parsed[parsed_for(revision)].get_or_init(|| self.to_parsed(parser, revision))
            }
            (Dialect::Packets, Revision::V4, None) => &self.packet,
            (Dialect::Packets, Revision::V3, None) => self
                .escaped
                .get_or_init(|| self.to_escaped())
                .as_ref()
                .unwrap_or(&self.packet),
        }
    }

    /// The event's arguments, as the body of a message to other nodes carries them: bytes are attachments, also those
    /// that stand in the packet's JSON.
    #[must_use]
    pub fn args(&self) -> &Args {
        self.args.get_or_init(|| {
            // What is nested too deeply for its bytes to be found keeps them in the JSON.
            self.with_parts(|event| Args::new(&event).unwrap_or_else(|_| event.args.to_args()))
        })
    }

    /// The id under which acknowledgements are expected.
    #[must_use]
    pub const fn ack_id(&self) -> Option<u64> {
        self.layout.ack_id()
    }

    fn text(&self) -> &str {
        self.packet[0]
            .as_text()
            .expect("a packet begins with its text")
    }

    fn attachments(&self) -> Vec<Bytes> {
        let attachments = self.packet[1..].iter().filter_map(Message::as_binary);
        attachments.cloned().collect()
    }

    fn with_parts<R>(&self, work: impl FnOnce(EncodedEvent<'_>) -> R) -> R {
        work(self.layout.parts(self.text(), &self.attachments()))
    }

    fn to_parsed(&self, parser: &dyn Parser, revision: Revision) -> Vec<Message> {
        translated(parser, revision, self.text(), &self.attachments()).unwrap_or_else(|error| {
            tracing::debug!(%error, "leaving out the receivers of a broadcast");
            Vec::new()
        })
    }

    fn to_line(&self) -> Option<Message> {
        self.with_parts(|event| {
            with_buffers(|buffers| {
                let (max, id) = (self.max_inline_bytes, event.ack_id);
                let encode = |out: &mut _| lines::encode_event(out, max, id, &event.name, &event);
                match line(buffers, encode) {
                    Ok(start) => Some(Message::text(text_of(&buffers.text[start..]))),
                    Err(error) => {
                        tracing::debug!(%error, "leaving out the receivers that speak lines");
                        None
                    }
                }
            })
        })
    }

    fn to_escaped(&self) -> Option<Vec<Message>> {
        let text = self.text();
        if text.is_ascii() {
            return None;
        }
        let escaped = Message::text(&escape_packet(text));
        Some(
            std::iter::once(escaped)
                .chain(self.packet[1..].iter().cloned())
                .collect(),
        )
    }
}

/// Where the form for a revision lies.
const fn parsed_for(revision: Revision) -> usize {
    match revision {
        Revision::V3 => 0,
        Revision::V4 => 1,
    }
}
