use bytes::Bytes;
use http::header::UPGRADE;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sockeye_engine_proto::{BadRequest, RequestError, TransportKind};
use sockeye_websocket::{Deflate, DeflateConfig, Role, handshake};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

use super::params::Params;
use super::{Body, Opening};
use crate::application::Application;
use crate::engine::Engine;
use crate::listener::{GivenStream, Guarded};
use sockeye_engine::Seated;
use sockeye_engine::SessionHandle;
use sockeye_engine::{Agreed, Io, Seat, Upgraded, Wire};

/// Takes the upgrade out of a request that asks for a WebSocket.
pub(crate) fn requested<B>(request: &mut Request<B>) -> Option<OnUpgrade> {
    let asked = request.headers().get(UPGRADE)?;
    asked
        .as_bytes()
        .eq_ignore_ascii_case(b"websocket")
        .then(|| hyper::upgrade::on(request))
}

/// Opens a session on a WebSocket.
pub(super) fn open_session<A: Application>(
    engine: &Engine<A>,
    parts: &Parts,
    on_upgrade: OnUpgrade,
    opening: Opening,
    params: &Params<'_>,
) -> Result<Response<Body>, RequestError> {
    let (mut response, deflate) = switching_protocols(parts, deflate_of(engine))?;
    let base64 = params.b64.as_deref().is_some_and(|value| !value.is_empty());
    let may_double_text = params.may_double_text(&parts.headers);
    if let Some(hook) = &engine.config().hooks.initial_headers {
        hook(response.headers_mut(), parts);
    }
    let engine = engine.clone();
    // A task of its own, and none before it: a task keeps the size of the largest state it was
    // ever in, and this one only waits.
    tokio::spawn(async move {
        // The place is kept meanwhile, so that the end of the engine would wait for a server around
        // it that never gets so far.
        let upgraded = tokio::select! {
            upgraded = upgraded(on_upgrade) => upgraded,
            () = engine.gate().expired() => None,
        };
        if let Some((io, read)) = upgraded {
            let Opening {
                place,
                handshake,
                revision,
            } = opening;
            let (wire, agreed) = wire(&engine, Upgraded { io, read, deflate }, may_double_text);
            engine.open_stream(place, handshake, revision, base64, wire, agreed);
        }
    });
    Ok(response)
}

/// Gives a WebSocket to the session that it is for.
pub(super) fn join_session<A: Application>(
    engine: &Engine<A>,
    parts: &Parts,
    on_upgrade: OnUpgrade,
    session: SessionHandle,
    params: &Params<'_>,
) -> Result<Response<Body>, RequestError> {
    let (response, deflate) = switching_protocols(parts, deflate_of(engine))?;
    let may_double_text = params.may_double_text(&parts.headers);
    let engine = engine.clone();
    tokio::spawn(async move {
        // As for a new session: a server around the engine may never get so far.
        let upgraded = tokio::select! {
            upgraded = upgraded(on_upgrade) => upgraded,
            () = engine.gate().expired() => None,
        };
        if let Some((io, read)) = upgraded {
            let (wire, agreed) = wire(&engine, Upgraded { io, read, deflate }, may_double_text);
            session.upgrade(wire.probe(TransportKind::WebSocket, agreed));
        }
    });
    Ok(response)
}

/// What carries a session on this WebSocket, and what both ends have agreed on.
fn wire<A: Application>(
    engine: &Engine<A>,
    stream: Upgraded,
    may_double_text: bool,
) -> (Wire, Agreed) {
    let agreed = stream.deflate.into();
    let mut wire = Wire::websocket(
        stream,
        engine.config().limits.payload.max_payload,
        Role::Server,
    );
    if may_double_text {
        wire.examine_text();
    }
    (wire, agreed)
}

fn deflate_of<A: Application>(engine: &Engine<A>) -> Option<&DeflateConfig> {
    engine.config().per_message_deflate.as_ref()
}

/// The 101 answer, if the request is a valid WebSocket handshake, and what is agreed on by it.
pub(crate) fn switching_protocols(
    parts: &Parts,
    deflate: Option<&DeflateConfig>,
) -> Result<(Response<Body>, Option<Deflate>), RequestError> {
    let version = match parts.version {
        Version::HTTP_11 => (1, 1),
        _ => (1, 0),
    };
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let accepted = handshake::verify_request(parts.method.as_str(), version, headers)
        .inspect_err(|error| tracing::debug!(%error, "bad websocket handshake"))
        .map_err(|_| RequestError::BadRequest(BadRequest::TransportHandshake))?;
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    // As the reference server does, whatever sub-protocol the client likes best is fine.
    let protocol = accepted.protocols().first().copied();
    let deflate = deflate.and_then(|config| accepted.accept_deflate(config));
    for (name, value) in accepted.response_headers(protocol, deflate) {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok((response, deflate))
}

/// Waits for the answer to be sent, and takes the bare socket back from the HTTP library.
///
/// The library's own wrapper would keep its buffers; the bytes that it has read too far come
/// along.
pub(crate) async fn upgraded(on_upgrade: OnUpgrade) -> Option<(Io, Bytes)> {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "upgrade failed");
            return None;
        }
    };
    // From a listener of our own.
    let upgraded = match upgraded.downcast::<TokioIo<Guarded<TcpStream>>>() {
        Ok(parts) => {
            let (stream, seat) = parts.io.into_inner().into_parts()?;
            return Some((nodelay(stream, Some(seat)), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match upgraded.downcast::<TokioIo<Guarded<TlsStream<TcpStream>>>>() {
        Ok(parts) => {
            let (stream, seat) = parts.io.into_inner().into_parts()?;
            return Some((Io::boxed(Seated::new(stream, Some(seat))), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<Guarded<GivenStream>>>() {
        Ok(parts) => {
            let (stream, seat) = parts.io.into_inner().into_parts()?;
            return Some((Io::boxed(Seated::new(stream, Some(seat))), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Some((nodelay(parts.io.into_inner(), None), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    // `axum::serve` and hyper-util's own server wrap the socket once more.
    #[cfg(feature = "axum")]
    let upgraded = match hyper_util::server::conn::auto::upgrade::downcast(upgraded) {
        Ok(parts) => {
            let io: TokioIo<TcpStream> = parts.io;
            return Some((nodelay(io.into_inner(), None), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    Some((Io::boxed(TokioIo::new(upgraded)), Bytes::new()))
}

/// Small frames would otherwise wait for the peer's acknowledgement of earlier ones, and not
/// every server around the engine sees to that.
fn nodelay(socket: TcpStream, seat: Option<Seat>) -> Io {
    let _ = socket.set_nodelay(true);
    Io::tcp(socket, seat)
}
