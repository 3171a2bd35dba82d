//! Packets on their way out.
//!
//! For one peer, a packet is encoded into [buffers](with_buffers) that the thread lends, in the form that the peer's session
//! wants, by [`encode_for`] and its like; [`send_if`] and its like hand it to the session. The first know what kind of
//! arguments there are, and are compiled for each; the others are the same for all. What is for many is an
//! [`Encoded`](crate::Encoded).

use std::cell::Cell;

use sockeye_engine::{Dialect, HEADROOM, Message, Revision, SendError, SendOptions, SessionHandle};
use sockeye_events::{EmitError, Refusal};
use sockeye_socket_proto::{
    Attachments, BytesOut, EncodeError, SocketRevision, ToArgs, encode_ack, encode_connect_error,
    encode_counted_ack, encode_disconnect, encode_event, escape_packet, is_reserved_event, lines,
};

use crate::peer::{Peer, translated};

/// How one event is emitted.
#[derive(Clone, Copy, Debug)]
pub struct Flags {
    /// What the session may do with the packet: drop it, compress it.
    pub send: SendOptions,
    /// Bytes leave as attachments, rather than inside of the text.
    pub binary: bool,
}

impl Flags {
    /// Not volatile; may be compressed, and may have attachments.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            send: SendOptions {
                volatile: false,
                compress: true,
                beyond_limit: false,
            },
            binary: true,
        }
    }
}

impl Default for Flags {
    fn default() -> Self {
        Self::new()
    }
}

/// How an acknowledgement with attachments is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckForm {
    /// As revisions 4 and 5 of the protocol have it.
    #[default]
    Plain,
    /// As revision 3 has it: for a peer that was seen to write its own ones like that.
    Counted,
}

/// The buffers that one packet is encoded into.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The packet's text, behind room for the headers of the layers below.
    pub text: Vec<u8>,
    /// Its binary parts.
    pub attachments: Attachments,
}

thread_local! {
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

/// A buffer of more than this is not kept after a large packet.
const KEEP: usize = 64 * 1024;

/// Lends this thread's buffers. They are taken, not borrowed: an argument's `Serialize` may emit
/// too, and then finds fresh ones.
pub fn with_buffers<R>(work: impl FnOnce(&mut Buffers) -> R) -> R {
    // The thread's own `take` and `set` ask once more whether there is something to initialise.
    let mut buffers = BUFFERS.with(Cell::take).unwrap_or_default();
    let result = work(&mut buffers);
    buffers.attachments.clear();
    if buffers.text.capacity() <= KEEP {
        BUFFERS.with(|kept| kept.set(Some(buffers)));
    }
    result
}

/// What an error of the peer's is called on bare streams, where no event is.
pub const ERROR: &str = "error";

/// Whether a session is on a bare stream. Both of its ends are of our kind then: errors of middlewares
/// travel, and `error` is the name of nothing else.
#[must_use]
pub fn is_on_stream(session: &SessionHandle) -> bool {
    session.transport().is_bare_stream()
}

/// Whether an event of this name can be emitted to peers that speak so; `on_stream` says whether that
/// is on a bare stream, and is asked if it matters.
///
/// # Errors
///
/// [`EmitError::ReservedName`]: the name is one of Socket.IO's own, or, on lines, of net-socket.io's, or
/// it is `error` on a bare stream.
pub fn check_name(
    dialect: Dialect,
    on_stream: impl FnOnce() -> bool,
    name: &str,
) -> Result<(), EmitError> {
    let reserved = match dialect {
        Dialect::Packets => is_reserved_event(name) || (name == ERROR && on_stream()),
        Dialect::Lines => lines::is_reserved_line_event(name),
    };
    match reserved {
        true => Err(EmitError::ReservedName(name.into())),
        false => Ok(()),
    }
}

/// Tells a peer that it, or this side, is not in the namespace any more. To one that speaks lines the
/// end of the stream says so.
pub fn leave(peer: Peer<'_>, namespace: &str) {
    leave_if(peer, namespace, || true);
}

/// The same, if `is_wanted` says so, which is asked as [`SessionHandle::send_if`] says.
pub fn leave_if(peer: Peer<'_>, namespace: &str, is_wanted: impl FnOnce() -> bool) {
    if peer.session.dialect() == Dialect::Lines {
        is_wanted();
        return;
    }
    with_buffers(|buffers| {
        let start = encode_disconnect(&mut buffers.text, HEADROOM, namespace);
        // A session that is over need not be told.
        let _ = send_if(peer, buffers, start, SendOptions::CONTROL, is_wanted);
    });
}

/// Tells a peer on a bare stream why something of its was refused for which it expects no answer: by a line, or by the
/// packet that refuses a namespace, which ends nothing for one that is in. Elsewhere peers would take that packet for
/// the end of their stay, and are not told.
pub fn refuse(peer: Peer<'_>, namespace: &str, refusal: &Refusal) {
    let session = peer.session;
    if !is_on_stream(session) {
        return;
    }
    with_buffers(|buffers| {
        let (message, data) = (refusal.message(), refusal.data());
        let encoded = match session.dialect() {
            Dialect::Lines => line(buffers, |out| lines::encode_error(out, message, data)),
            Dialect::Packets => {
                let (text, revision) = (&mut buffers.text, SocketRevision::V5);
                encode_connect_error(text, HEADROOM, revision, namespace, message, data)
            }
        };
        if let Ok(start) = encoded {
            // Whoever cannot be told is gone, or does not read.
            let _ = send(peer, buffers, start, SendOptions::default());
        }
    });
}

/// Encodes the answer to an event into the buffers; says where it starts.
///
/// # Errors
///
/// If the answer cannot be encoded, or there are more bytes than `limits` allow.
pub fn encode_ack_for<A: ToArgs + ?Sized>(
    session: &SessionHandle,
    buffers: &mut Buffers,
    namespace: &str,
    id: u64,
    args: &A,
    form: AckForm,
    limits: BytesOut,
) -> Result<usize, EncodeError> {
    let Buffers { text, attachments } = buffers;
    attachments.set_limits(limits);
    let max = limits.max_inline_bytes;
    match (session.dialect(), form) {
        (Dialect::Lines, _) => line(buffers, |out| lines::encode_ack(out, max, id, args)),
        (Dialect::Packets, AckForm::Plain) => {
            encode_ack(text, HEADROOM, namespace, id, args, attachments)
        }
        (Dialect::Packets, AckForm::Counted) => {
            encode_counted_ack(text, HEADROOM, namespace, id, args, attachments)
        }
    }
}

/// Encodes an event for one peer into the buffers; says where it starts.
///
/// # Errors
///
/// If an argument cannot be encoded, there are more bytes than `limits` allow, or the name cannot
/// travel on the peer's lines.
pub fn encode_for<A: ToArgs + ?Sized>(
    session: &SessionHandle,
    buffers: &mut Buffers,
    namespace: &str,
    name: &str,
    args: &A,
    ack_id: Option<u64>,
    limits: BytesOut,
) -> Result<usize, EmitError> {
    Ok(match session.dialect() {
        // All else has been looked at by whoever emits, who may not have known the session.
        Dialect::Packets if name == ERROR && is_on_stream(session) => {
            return Err(EmitError::ReservedName(name.into()));
        }
        Dialect::Packets => encode(buffers, namespace, name, args, ack_id, limits)?,
        Dialect::Lines => {
            check_name(Dialect::Lines, || true, name)?;
            let max = limits.max_inline_bytes;
            let encode = |out: &mut _| lines::encode_event(out, max, ack_id, name, args);
            line(buffers, encode)?
        }
    })
}

/// Encodes a line into the buffers; says where it starts.
///
/// # Errors
///
/// What `encode` says.
pub fn line(
    buffers: &mut Buffers,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<usize, EncodeError> {
    buffers.attachments.clear();
    buffers.text.clear();
    buffers.text.resize(HEADROOM, 0);
    encode(&mut buffers.text)?;
    Ok(HEADROOM)
}

/// Encodes an event as a packet into the buffers; says where it starts.
fn encode<A: ToArgs + ?Sized>(
    buffers: &mut Buffers,
    namespace: &str,
    name: &str,
    args: &A,
    ack_id: Option<u64>,
    limits: BytesOut,
) -> Result<usize, EncodeError> {
    let Buffers { text, attachments } = buffers;
    attachments.set_limits(limits);
    encode_event(text, HEADROOM, namespace, ack_id, name, args, attachments)
}

/// Sends the packet that stands in the buffers from `start` on.
///
/// # Errors
///
/// As for [`SessionHandle::send`], or the peer's parser cannot write the packet; nothing was sent then.
pub fn send(
    peer: Peer<'_>,
    buffers: &mut Buffers,
    start: usize,
    options: SendOptions,
) -> Result<(), EmitError> {
    send_if(peer, buffers, start, options, || true)
}

/// The same, if `is_wanted` says so, which is asked as [`SessionHandle::send_if`] says.
///
/// # Errors
///
/// As for [`SessionHandle::send_if`], or the peer's parser cannot write the packet; nothing was sent then.
pub fn send_if(
    peer: Peer<'_>,
    buffers: &mut Buffers,
    start: usize,
    options: SendOptions,
    is_wanted: impl FnOnce() -> bool,
) -> Result<(), EmitError> {
    if let Some(parser) = peer.parser() {
        let text = text_of(&buffers.text[start..]);
        let messages = translated(parser, peer.session.revision(), text, &buffers.attachments)
            .map_err(EncodeError::from)?;
        let result = peer.session.send_if(&messages, options, is_wanted);
        return result.map_err(emit_error);
    }
    send_standard(peer.session, buffers, start, options, is_wanted).map_err(emit_error)
}

/// The same for the packet of an event of this name, which may want an answer.
///
/// A volatile event that cannot go right now is dropped, which is an error only for one who waits
/// for its answer.
///
/// # Errors
///
/// As for [`send_if`]; what the peer's parser cannot write is told with the event's name.
pub fn send_event_if(
    peer: Peer<'_>,
    buffers: &mut Buffers,
    start: usize,
    (name, ack_id): (&str, Option<u64>),
    options: SendOptions,
    is_wanted: impl FnOnce() -> bool,
) -> Result<(), EmitError> {
    match send_if(peer, buffers, start, options, is_wanted) {
        Err(EmitError::NotReady) if ack_id.is_none() => Ok(()),
        Err(EmitError::Encode(error)) => Err(error.of_event(name).into()),
        result => result,
    }
}

#[inline]
fn send_standard(
    session: &SessionHandle,
    buffers: &mut Buffers,
    start: usize,
    options: SendOptions,
    is_wanted: impl FnOnce() -> bool,
) -> Result<(), SendError> {
    let is_escaped = session.revision() == Revision::V3 && !buffers.text[start..].is_ascii();
    if buffers.attachments.is_empty() && !is_escaped {
        // Said apart because it is what most packets are, and collecting nothing has its price.
        return session.send_scratch_if(&mut buffers.text, start, &[], options, is_wanted);
    }
    let attachments: Vec<_> = buffers.attachments.drain().map(Message::binary).collect();
    if is_escaped {
        // Peers of revision 3 disagree about how text beyond ASCII is sent over polling, but
        // all of them read JSON escapes.
        let text = escape_packet(text_of(&buffers.text[start..]));
        let text = Message::text(&text);
        let messages: Vec<_> = std::iter::once(text).chain(attachments).collect();
        return session.send_if(&messages, options, is_wanted);
    }
    session.send_scratch_if(&mut buffers.text, start, &attachments, options, is_wanted)
}

pub(crate) fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("packets are encoded as valid UTF-8")
}

/// What a refused send means for the one who emits.
#[must_use]
pub const fn emit_error(error: SendError) -> EmitError {
    match error {
        SendError::Full => EmitError::OutboxFull,
        SendError::NotReady => EmitError::NotReady,
        _ => EmitError::Disconnected,
    }
}
