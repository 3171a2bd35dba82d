use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use sockeye_engine_proto::payload::{self, Dialect};
use sockeye_engine_proto::{BadRequest, Packet, RequestError, Revision, TransportKind};
use tokio::sync::oneshot;

use super::params::Params;
use super::{Body, apply_polling_headers, text};
use crate::application::Application;
use crate::command::{Command, PollAnswer, Post, Request};
use crate::engine::Engine;
use crate::handle::SessionHandle;
use crate::handshake::Handshake;

/// Opens a session on long-polling; the answer is the open packet.
pub(super) fn open_session<A: Application>(
    engine: &Engine<A>,
    parts: &Parts,
    handshake: Arc<Handshake>,
    revision: Revision,
    params: &Params<'_>,
) -> Result<Response<Body>, RequestError> {
    let dialect = Dialect::from_query(revision, params.t.as_deref(), params.b64.as_deref());
    let mut payload = payload::Encoder::new(&dialect, engine.config().bounds.limits.max_payload);
    let session = engine
        .open_polling(handshake, revision, dialect)
        .ok_or(RequestError::BadRequest(BadRequest::IdGeneration))?;
    let open = engine
        .open_packet(&session, TransportKind::Polling)
        .to_json();
    let taken = payload.push(&Packet::Open(open.into()));
    debug_assert!(taken, "the first packet of a payload is always taken");
    let mut response = answer(&parts.headers, payload.finish());
    if let Some(cookie) = &engine.config().cookie
        && let Some(value) = cookie.header(session.id().as_str())
    {
        response.headers_mut().append(SET_COOKIE, value);
    }
    if let Some(hook) = &engine.config().hooks.initial_headers {
        hook(response.headers_mut(), parts);
    }
    Ok(response)
}

/// Serves a request of an open session.
pub(super) async fn request<A, B>(
    engine: &Engine<A>,
    parts: &Parts,
    body: B,
    session: &SessionHandle,
) -> Result<Response<Body>, RequestError>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    match parts.method {
        Method::GET => {
            let payload = poll(session).await?;
            Ok(answer(&parts.headers, payload))
        }
        Method::POST => {
            post(engine, parts, body, session).await?;
            let mut response = text(StatusCode::OK, "ok", "text/html");
            apply_polling_headers(&parts.headers, response.headers_mut());
            Ok(response)
        }
        _ => Err(RequestError::UnexpectedMethod),
    }
}

/// Waits until there is something to send.
async fn poll(session: &SessionHandle) -> Result<payload::Encoded, RequestError> {
    let (sender, receiver) = oneshot::channel();
    let pending = Pending::new(session, Request::Poll);
    session.command(Command::Poll(sender));
    let answer: PollAnswer = receiver.await.unwrap_or(Err(RequestError::UnknownSession));
    pending.finished();
    answer
}

/// Hands the packets of a body to the session.
async fn post<A, B>(
    engine: &Engine<A>,
    parts: &Parts,
    body: B,
    session: &SessionHandle,
) -> Result<(), RequestError>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    let limit = engine.config().bounds.limits.max_payload;
    let announced = content_length(&parts.headers);
    if announced.is_some_and(|len| len > limit) {
        return Err(RequestError::PayloadTooLarge);
    }
    session.begin_post()?;
    let pending = Pending::new(session, Request::Post);
    let result = match read(engine, body, limit).await {
        Ok(body) => {
            let kind = parts
                .headers
                .get(CONTENT_TYPE)
                .and_then(|kind| kind.to_str().ok());
            let content = payload::content_kind(kind);
            let (verdict, receiver) = oneshot::channel();
            session.command(Command::Post(Post {
                content,
                body,
                verdict,
            }));
            receiver.await.unwrap_or(Err(RequestError::UnknownSession))
        }
        Err(ReadError::TooLarge) => {
            session.command(Command::EndPost);
            Err(RequestError::PayloadTooLarge)
        }
        // The body cannot be had any more: dropping `pending` tells the session.
        Err(ReadError::Failed) => return Err(RequestError::BadPayload),
    };
    session.end_post();
    pending.finished();
    result
}

enum ReadError {
    TooLarge,
    Failed,
}

/// Collects a body, within the size limit and the time in which the peer would miss its
/// heartbeat anyway.
async fn read<A, B>(engine: &Engine<A>, body: B, limit: usize) -> Result<Bytes, ReadError>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    let session = &engine.config().session;
    let patience = session.ping_interval.saturating_add(session.ping_timeout);
    let body = std::pin::pin!(Limited::new(body, limit).collect());
    match tokio::time::timeout(patience, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ReadError::TooLarge)
        }
        Ok(Err(_)) | Err(_) => Err(ReadError::Failed),
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The answer to a poll.
fn answer(request: &HeaderMap, payload: payload::Encoded) -> Response<Body> {
    let content_type = payload.content_type();
    let mut response = text(StatusCode::OK, payload.body, content_type);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    apply_polling_headers(request, response.headers_mut());
    response
}

/// A request that the driver works on. If the peer goes away before it is answered, this is
/// dropped together with the future that serves it, and the driver is told.
struct Pending<'a> {
    session: &'a SessionHandle,
    request: Option<Request>,
}

impl<'a> Pending<'a> {
    const fn new(session: &'a SessionHandle, request: Request) -> Self {
        Self {
            session,
            request: Some(request),
        }
    }

    fn finished(mut self) {
        self.request = None;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request {
            if request == Request::Post {
                self.session.end_post();
            }
            self.session.command(Command::RequestDropped(request));
        }
    }
}
