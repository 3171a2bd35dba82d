use std::fmt;

use bytes::Bytes;
use sockeye_engine_proto::{CloseReason, RequestError, WireKind, payload};
use tokio::sync::oneshot;

use crate::websocket::Upgraded;

/// What others ask of a session's driver.
pub(crate) enum Command {
    /// A long-poll came; the answer goes back when there is something to say.
    Poll(oneshot::Sender<PollAnswer>),
    /// A POST came; its body is still to be read.
    BeginPost,
    /// The body of the POST is there.
    Post(Post),
    /// A WebSocket was opened for this session.
    Upgrade(Upgraded),
    /// The peer gave up on a request before it was answered.
    RequestDropped(Request),
    /// Write what waits, and nothing after it; the peer may go on.
    End,
    /// Close after what waits is written.
    Close,
    /// Close now.
    Abort(CloseReason),
    /// Be gone in this turn: the server closes, and its time for last words is over.
    Vanish,
}

/// A POST with packets in its body.
pub(crate) struct Post {
    pub(crate) content: WireKind,
    pub(crate) body: Bytes,
    pub(crate) verdict: oneshot::Sender<PostVerdict>,
}

/// What becomes of a POST.
pub type PostVerdict = Result<(), RequestError>;

/// The two kinds of polling requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A GET, which waits for packets.
    Poll,
    /// A POST, which brings packets.
    Post,
}

/// The answer to a long-poll: a payload or a refusal.
pub type PollAnswer = Result<PollPayload, RequestError>;

/// The payload that answers a long-poll.
#[derive(Debug)]
pub struct PollPayload {
    /// The packets.
    pub encoded: payload::Encoded,
    /// There is a message among them that may be compressed.
    pub compress: bool,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poll(_) => "Poll",
            Self::BeginPost => "BeginPost",
            Self::Post(_) => "Post",
            Self::Upgrade(_) => "Upgrade",
            Self::RequestDropped(_) => "RequestDropped",
            Self::End => "End",
            Self::Close => "Close",
            Self::Abort(_) => "Abort",
            Self::Vanish => "Vanish",
        })
    }
}
