use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::delivery::Delivery;

/// The body of the engine's own answers.
///
/// A large answer to a poll is handed to the HTTP server piece by piece, as the peer takes it. So it is
/// known when it has gone out, and freed if it never will.
#[derive(Default)]
pub struct Body {
    rest: Bytes,
    delivery: Option<Box<Delivery>>,
}

/// How much the HTTP server is given at once. What is shorter is not worth an account: it fits into
/// the buffers of the operating system.
pub(super) const PIECE: usize = 64 * 1024;

impl Body {
    /// A body whose way to the peer is kept account of.
    pub(super) fn delivered(content: Bytes, delivery: Delivery) -> Self {
        Self {
            rest: content,
            delivery: Some(Box::new(delivery)),
        }
    }
}

impl From<Bytes> for Body {
    fn from(content: Bytes) -> Self {
        Self {
            rest: content,
            delivery: None,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(content: Vec<u8>) -> Self {
        Bytes::from(content).into()
    }
}

impl From<String> for Body {
    fn from(content: String) -> Self {
        Bytes::from(content).into()
    }
}

impl From<&'static str> for Body {
    fn from(content: &'static str) -> Self {
        Bytes::from(content).into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = if self.delivery.is_some() && self.rest.len() > PIECE {
            // A copy, as a slice would keep the whole in memory that it is cut from.
            Bytes::copy_from_slice(&self.rest.split_to(PIECE))
        } else {
            if let Some(delivery) = self.delivery.take() {
                delivery.finish();
            }
            std::mem::take(&mut self.rest)
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.rest.len())
    }
}
