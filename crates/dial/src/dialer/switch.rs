//! One request and its answer on a connection that it may take over.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Parts};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// What came of a request to take a connection over.
pub(super) enum Switch<S> {
    /// The server agrees: the stream, and what it has sent already.
    Agreed {
        answer: Response<()>,
        stream: S,
        read: Bytes,
    },
    /// It does not: its answer, with the beginning of the body.
    Refused { answer: Response<String> },
}

impl<S> Switch<S> {
    /// The headers of the answer.
    pub(super) fn headers(&self) -> &HeaderMap {
        match self {
            Self::Agreed { answer, .. } => answer.headers(),
            Self::Refused { answer } => answer.headers(),
        }
    }
}

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The same for a proxy, whose answer is read in the smallest steps and looked at after each.
const MAX_TUNNEL_HEAD: usize = 8 * 1024;

/// How much of a refusal's body is shown, in bytes.
const EXCERPT: usize = 512;

/// How long to wait for it: a server that keeps us waiting has less to say.
const EXCERPT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection for HTTP that bounds what a server may send in front of a body.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.max_buf_size(MAX_HEAD);
    builder
}

/// Sends a request that asks for the connection itself: an upgrade, or a tunnel.
pub(super) async fn switch<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<Switch<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let is_tunnel = request.method() == http::Method::CONNECT;
    let mut builder = builder();
    if is_tunnel {
        builder.max_buf_size(MAX_TUNNEL_HEAD);
    }
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let agrees = |status: StatusCode| match is_tunnel {
        true => status.is_success(),
        false => status == StatusCode::SWITCHING_PROTOCOLS,
    };
    let mut connection = pin!(connection.without_shutdown());
    let answer = pin!(sender.send_request(request));
    // Whichever ends first, the answer says what came of it. The connection goes on as long as
    // it is polled, and ends with the answer that hands it over.
    let (answer, ended) = match select(answer, connection.as_mut()).await {
        Either::Left((answer, _)) => (answer?, None),
        Either::Right((ended, answer)) => (answer.await?, Some(ended)),
    };
    let (head, body) = answer.into_parts();
    if agrees(head.status) {
        let Parts { io, read_buf, .. } = match ended {
            Some(ended) => ended?,
            None => connection.await?,
        };
        return Ok(Switch::Agreed {
            answer: Response::from_parts(head, ()),
            stream: io.into_inner(),
            read: read_buf,
        });
    }
    let mut excerpt = Vec::new();
    {
        let reading = read_some(body, &mut excerpt);
        let mut reading = pin!(tokio::time::timeout(EXCERPT_TIMEOUT, reading));
        if ended.is_some() {
            let _ = reading.await;
        } else if let Either::Right(_) = select(reading.as_mut(), connection).await {
            let _ = reading.await;
        }
    }
    let excerpt = String::from_utf8_lossy(&excerpt).into_owned();
    Ok(Switch::Refused {
        answer: Response::from_parts(head, excerpt),
    })
}

/// Reads the beginning of a body, as far as it comes.
async fn read_some(mut body: Incoming, excerpt: &mut Vec<u8>) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let room = EXCERPT - excerpt.len();
            excerpt.extend_from_slice(&data[..data.len().min(room)]);
        }
        if excerpt.len() == EXCERPT {
            return;
        }
    }
}
