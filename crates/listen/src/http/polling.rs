use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use sockeye_engine_proto::payload::{self, PayloadDialect};
use sockeye_engine_proto::{BadRequest, Packet, RequestError, TransportKind, WireKind};

use super::body::PIECE;
use super::encoding::HttpCompression;
use super::params::Params;
use super::{Body, Deliveries, Opening, apply_polling_headers, jsonp, text};
use crate::application::Application;
use crate::connections::Owner;
use crate::engine::Engine;
use sockeye_engine::{PollAnswer, PollPayload, SessionHandle};

/// Opens a session on long-polling; the answer is the open packet.
pub(super) fn open_session<A: Application>(
    engine: &Engine<A>,
    parts: &Parts,
    opening: Opening,
    params: &Params<'_>,
) -> Result<Response<Body>, RequestError> {
    let Opening {
        place,
        handshake,
        revision,
    } = opening;
    let mut dialect =
        PayloadDialect::from_query(revision, params.t.as_deref(), params.b64.as_deref());
    if params.j.is_some() {
        dialect = dialect.force_base64();
    }
    let mut payload = payload::Encoder::new(&dialect, engine.config().limits.payload.max_payload);
    let session = engine
        .open_polling(place, handshake, revision, dialect)
        .ok_or(RequestError::BadRequest(BadRequest::IdGeneration))?;
    let open = engine
        .open_packet(&session, TransportKind::Polling)
        .to_json();
    let taken = payload.push(&Packet::Open(open.into()));
    debug_assert!(taken, "the first packet of a payload is always taken");
    if engine.config().merge_first_packets {
        session.take_first(&mut payload);
    }
    let open = Encoded::plain(payload.finish(), params);
    let mut response = answer(&parts.headers, open, Body::from);
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
    owner: Option<Owner>,
    params: &Params<'_>,
) -> Result<Response<Body>, RequestError>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    match parts.method {
        Method::GET => {
            let deliveries = engine.deliveries();
            let pending = PendingPoll(Some(session));
            let payload = match poll(deliveries, session).await {
                Ok(payload) => payload,
                Err(error) => {
                    pending.finished();
                    return Err(error);
                }
            };
            let compression = engine.config().http_compression.as_ref();
            let payload = Encoded::new(payload, params, &parts.headers, compression);
            if payload.body.len() <= PIECE {
                pending.finished();
                return Ok(answer(&parts.headers, payload, Body::from));
            }
            let connection = owner.map(|owner| owner.0);
            let linger = engine.config().limits.linger;
            // That may take as long as an earlier answer, and what was taken out of the outbox is lost
            // if the peer hangs up meanwhile.
            let delivery = deliveries.begin(session, connection, linger).await;
            pending.finished();
            let body = |content| Body::delivered(content, delivery);
            Ok(answer(&parts.headers, payload, body))
        }
        Method::POST => {
            post(engine, parts, body, session, params.j.is_some()).await?;
            let mut response = text(StatusCode::OK, "ok", "text/html");
            apply_polling_headers(&parts.headers, response.headers_mut());
            Ok(response)
        }
        _ => Err(RequestError::UnexpectedMethod),
    }
}

/// Waits until there is something to send, and the peer has taken what was sent before.
async fn poll(deliveries: &Deliveries, session: &SessionHandle) -> PollAnswer {
    match deliveries.wait(session).await {
        Ok(()) => session.poll().await,
        Err(overlap) => Err(overlap),
    }
}

/// Hands the packets of a body, or of a form, to the session.
async fn post<A, B>(
    engine: &Engine<A>,
    parts: &Parts,
    body: B,
    session: &SessionHandle,
    is_form: bool,
) -> Result<(), RequestError>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let limit = engine.config().limits.payload.max_payload;
    // Unless it is finished, dropping it tells the session that the body cannot be had, which ends it.
    let pending = session.begin_post();
    if content_length(&parts.headers).is_some_and(|len| len > limit) {
        let discarded = discard(body, limit.saturating_mul(2));
        let linger = engine.config().limits.linger;
        tokio::spawn(tokio::time::timeout(linger, discarded));
        let too_large = std::future::ready(Err(RequestError::PayloadTooLarge));
        return pending.finish(too_large).await;
    }
    let max_chunks = match parts.headers.contains_key(CONTENT_LENGTH) {
        // These come in segments of the network, whose size the peer does not choose.
        true => usize::MAX,
        false => engine.config().max_body_chunks,
    };
    let kind = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let content = payload::content_kind(kind);
    let read = read(body, limit, max_chunks, engine.config().body_timeout);
    pending
        .finish(async {
            let body = read.await?;
            if !is_form {
                return Ok((content, body));
            }
            let payload = jsonp::payload(&body).ok_or(RequestError::BadPayload)?;
            Ok((WireKind::Text, payload))
        })
        .await
}

/// Reads what nobody wants, up to so many bytes. Most clients write the whole of a body before they look for an answer; a
/// socket that is closed meanwhile would cost them the answer that tells them why.
async fn discard<B: http_body::Body<Data: Send>>(body: B, most: usize) {
    let mut body = std::pin::pin!(body);
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Buf::remaining);
        if read > most {
            return;
        }
    }
}

/// Collects a body, within the limits of its size, its pieces and its time.
///
/// Into one buffer: the pieces as they come would each keep a buffer of the HTTP library alive, be
/// they a byte long.
async fn read<B>(
    body: B,
    limit: usize,
    max_chunks: usize,
    timeout: Duration,
) -> Result<Bytes, RequestError>
where
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    let collected = async {
        let mut body = std::pin::pin!(body);
        let mut collected = BytesMut::new();
        let mut chunks = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(RequestError::BadPayload);
            };
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            chunks += 1;
            if data.remaining() > limit - collected.len() || chunks > max_chunks {
                return Err(RequestError::PayloadTooLarge);
            }
            collected.put(&mut data);
        }
        Ok(collected.freeze())
    };
    tokio::time::timeout(timeout, collected)
        .await
        .unwrap_or(Err(RequestError::Timeout))
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A payload as it is sent.
struct Encoded {
    content_type: &'static str,
    coding: Option<HeaderValue>,
    body: Vec<u8>,
}

impl Encoded {
    fn plain(payload: payload::Encoded, params: &Params<'_>) -> Self {
        if let Some(callback) = &params.j
            && payload.content == WireKind::Text
        {
            let text = str::from_utf8(&payload.body).expect("packets in text framing are text");
            return Self {
                content_type: jsonp::CONTENT_TYPE,
                coding: None,
                body: jsonp::script(callback, text),
            };
        }
        // That is no script if the session was opened by requests that can take it, so that its peer is to blame.
        Self {
            content_type: payload.content_type(),
            coding: None,
            body: payload.body,
        }
    }

    /// Compressed, if everybody agrees to that: the server, the client, and a message in it.
    fn new(
        payload: PollPayload,
        params: &Params<'_>,
        request: &HeaderMap,
        compression: Option<&HttpCompression>,
    ) -> Self {
        let mut encoded = Self::plain(payload.encoded, params);
        if payload.compress
            && let Some(compression) = compression
            && let Some((coding, body)) = compression.encode(request, &encoded.body)
        {
            encoded.coding = Some(coding);
            encoded.body = body;
        }
        encoded
    }
}

/// The answer to a poll.
fn answer(
    request: &HeaderMap,
    payload: Encoded,
    body: impl FnOnce(Bytes) -> Body,
) -> Response<Body> {
    let mut response = Response::new(body(payload.body.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(payload.content_type));
    if let Some(coding) = payload.coding {
        headers.insert(CONTENT_ENCODING, coding);
    }
    apply_polling_headers(request, response.headers_mut());
    response
}

/// A long-poll that waits for its answer. If the peer goes away before it has it, this is dropped together with the future
/// that serves it, and the driver is told.
struct PendingPoll<'a>(Option<&'a SessionHandle>);

impl PendingPoll<'_> {
    fn finished(mut self) {
        self.0 = None;
    }
}

impl Drop for PendingPoll<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.0 {
            session.lose_poll();
        }
    }
}
