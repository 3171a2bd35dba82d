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
    /// What is left is part of a larger buffer.
    is_split: bool,
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
            is_split: false,
        }
    }
}

impl From<Bytes> for Body {
    fn from(content: Bytes) -> Self {
        Self {
            rest: content,
            delivery: None,
            is_split: false,
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
            self.is_split = true;
            Bytes::copy_from_slice(&self.rest.split_to(PIECE))
        } else {
            if let Some(delivery) = self.delivery.take() {
                delivery.finish();
            }
            let rest = std::mem::take(&mut self.rest);
            match self.is_split {
                true => Bytes::copy_from_slice(&rest),
                false => rest,
            }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use http_body::Body as _;

    use std::time::Duration;

    use super::*;
    use crate::http::Deliveries;
    use crate::http::delivery::undriven;

    /// A payload that tells, by the other pointer to it, whether it is still in memory.
    struct Payload(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Payload {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[tokio::test]
    async fn last_piece_does_not_keep_the_whole_payload() {
        let session = undriven();
        let deliveries = Arc::new(Deliveries::default());
        let delivery = deliveries
            .begin(&session, None, Duration::from_secs(1))
            .await;
        let payload = Arc::new(vec![7; 2 * PIECE + 1]);
        let content = Bytes::from_owner(Payload(Arc::clone(&payload)));
        let mut body = Body::delivered(content, delivery);
        let mut pieces = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) {
            pieces.push(frame.into_data().unwrap());
        }
        assert_eq!(pieces.concat(), *payload);
        assert_eq!(Arc::strong_count(&payload), 1);
    }
}
