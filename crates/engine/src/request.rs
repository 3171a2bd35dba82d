//! The requests of a session on long-polling, on their way from the door to the carrier.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use sockeye_engine_proto::payload;
use sockeye_engine_proto::{PollVerdict, RequestError, Session, WireKind};
use tokio::sync::oneshot;

/// A request that came for a session.
pub enum Request {
    /// A GET, which waits until there is something to say.
    Poll(oneshot::Sender<PollAnswer>),
    /// The peer gave up on its GET before it had the whole answer.
    PollLost,
    /// A POST, which brings packets.
    Post(Post),
}

/// The answer to a GET: a payload or a refusal.
pub type PollAnswer = Result<PollPayload, RequestError>;

/// The payload that answers a GET.
#[derive(Debug)]
pub struct PollPayload {
    /// The packets.
    pub encoded: payload::Encoded,
    /// There is a message among them that may be compressed.
    pub compress: bool,
}

/// What becomes of a POST.
pub type PostVerdict = Result<(), RequestError>;

/// The body of a POST, or why it cannot be had.
type PostBody = Result<(WireKind, Bytes), RequestError>;

/// A POST whose body may still be on its way.
pub struct Post {
    body: oneshot::Receiver<PostBody>,
    verdict: oneshot::Sender<PostVerdict>,
}

/// A POST at the door, which has its body to read. Dropped before it is [finished](Self::finish), it tells the session
/// that the body cannot be had, which ends it: the packets in it are lost.
#[derive(Debug)]
pub struct PendingPost {
    body: oneshot::Sender<PostBody>,
    verdict: oneshot::Receiver<PostVerdict>,
}

impl Request {
    /// A POST, and the door's part of it.
    pub(crate) fn post() -> (Self, PendingPost) {
        let (body, coming) = oneshot::channel();
        let (verdict, said) = oneshot::channel();
        let post = Post {
            body: coming,
            verdict,
        };
        let pending = PendingPost {
            body,
            verdict: said,
        };
        (Self::Post(post), pending)
    }

    /// Refuses it, as what carries the session knows no requests.
    pub(crate) fn misplaced(self, now: Instant, session: &mut Session) {
        match self {
            Self::Poll(answer) => {
                let error = match session.begin_poll(now) {
                    PollVerdict::Refuse(error) => error,
                    PollVerdict::Hold | PollVerdict::AnswerNoop => RequestError::UnknownSession,
                };
                let _ = answer.send(Err(error));
            }
            Self::PollLost => {}
            Self::Post(post) => {
                let error = session.begin_post(now).err();
                post.answer(Err(error.unwrap_or(RequestError::UnknownSession)));
            }
        }
    }
}

impl Post {
    /// Waits for the body. If it cannot be had, the error may say why.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(WireKind, Bytes), Option<RequestError>>> {
        let body = Pin::new(&mut self.body).poll(cx);
        body.map(|body| body.map_err(|_| None)?.map_err(Some))
    }

    pub(crate) fn answer(self, verdict: PostVerdict) {
        // Whoever does not wait for it any more has no use for it.
        let _ = self.verdict.send(verdict);
    }
}

impl PendingPost {
    /// Reads the body, unless the request is refused before, and waits for what becomes of it.
    ///
    /// # Errors
    ///
    /// What the request is to be refused with.
    pub async fn finish(mut self, body: impl Future<Output = PostBody>) -> PostVerdict {
        let mut body = pin!(body);
        let begun = poll_fn(|cx| match body.as_mut().poll(cx) {
            Poll::Ready(body) => Poll::Ready(Ok(body)),
            Poll::Pending => Pin::new(&mut self.verdict).poll(cx).map(Err),
        });
        let verdict = match begun.await {
            Ok(body) => {
                let refused = body.as_ref().err().cloned();
                // Whoever does not take it has given the verdict already.
                let _ = self.body.send(body);
                match refused {
                    Some(error) => return Err(error),
                    None => self.verdict.await,
                }
            }
            Err(early) => early,
        };
        verdict.unwrap_or(Err(RequestError::UnknownSession))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poll(_) => "Poll",
            Self::PollLost => "PollLost",
            Self::Post(_) => "Post",
        })
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}
