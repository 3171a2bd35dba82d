//! Sessions over HTTP: long-polling, and the requests that open WebSockets.

mod body;
mod delivery;
mod encoding;
mod files;
mod jsonp;
mod middleware;
mod other;
mod params;
mod polling;
mod service;
mod upgrade;

pub use body::Body;
pub(crate) use delivery::Deliveries;
pub use encoding::HttpCompression;
pub use files::StaticFile;
pub(crate) use middleware::Layers;
pub use middleware::{RequestBody, RequestService};
pub use other::{OtherBody, OtherService};
pub use service::{EngineLayer, EngineService, LayerBody, LayeredService};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use sockeye_engine_proto::{BadRequest, RequestError, Revision, TransportKind};
use std::sync::Arc;
use std::time::SystemTime;

use crate::application::Application;
use crate::config::ConnectionError;
use crate::connections::Owner;
use crate::engine::Engine;
use crate::gate::Place;
use crate::handshake::{ConnectionInfo, Handshake};
use crate::trace;
use params::Params;
pub(crate) use upgrade::{requested, switching_protocols, upgraded};

/// Answers one request for the engine's path.
pub(crate) async fn respond<A, B>(
    engine: &Engine<A>,
    mut request: Request<B>,
    connection: ConnectionInfo,
) -> Response<Body>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let config = engine.config();
    let inside = Inside {
        on_upgrade: upgrade::requested(&mut request),
        // Out of the extensions, which may be kept for as long as the session lives.
        owner: request.extensions_mut().remove::<Owner>(),
        connection,
    };
    let (parts, body) = request.into_parts();
    let mut response = match (&config.cors, &parts.method) {
        (Some(cors), &Method::OPTIONS) => {
            let mut response = empty(StatusCode::NO_CONTENT);
            cors.apply_preflight(&parts.headers, response.headers_mut());
            response
        }
        _ => {
            let mut response = if let Some(file) = config.find_file(parts.uri.path()) {
                file.answer(&parts)
            } else if let Some(service) = engine.layered(|| innermost(engine)) {
                layered(engine, service, &parts, body, inside).await
            } else {
                answer(engine, &parts, body, inside).await
            };
            if let Some(cors) = &config.cors {
                cors.apply(&parts.headers, response.headers_mut());
            }
            response
        }
    };
    if let Some(hook) = &config.hooks.headers {
        hook(response.headers_mut(), &parts);
    }
    response
}

/// What is known of a request besides what it says, and has to get past layers to where it is answered.
#[derive(Clone)]
struct Inside {
    on_upgrade: Option<hyper::upgrade::OnUpgrade>,
    owner: Option<Owner>,
    connection: ConnectionInfo,
}

/// What the layers are put around. It does not keep the engine, which keeps it.
fn innermost<A: Application>(engine: &Engine<A>) -> RequestService {
    let engine = engine.downgrade();
    RequestService::new(move |request| {
        let engine = engine.upgrade();
        async move {
            let Some(engine) = engine else {
                return Ok(empty(StatusCode::SERVICE_UNAVAILABLE));
            };
            let (mut parts, body) = request.into_parts();
            // A layer that has made a new request has lost it, and with it the upgrade.
            let inside = parts.extensions.remove::<Inside>().unwrap_or(Inside {
                on_upgrade: None,
                owner: None,
                connection: ConnectionInfo::default(),
            });
            Ok(answer(&engine, &parts, body, inside).await)
        }
    })
}

/// Answers a request by way of the layers.
async fn layered<A, B>(
    engine: &Engine<A>,
    service: &RequestService,
    parts: &Parts,
    body: B,
    inside: Inside,
) -> Response<Body>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let upgrading = inside.on_upgrade.is_some();
    let remote = inside.connection.remote_addr;
    let mut request = Request::from_parts(parts.clone(), RequestBody::new(body));
    request.extensions_mut().insert(inside);
    match service.answer(request).await {
        Ok(response) => response,
        Err(cause) => {
            let error = RequestError::BadRequest(BadRequest::MiddlewareFailure);
            tracing::debug!(%cause, "a layer failed");
            trace::refused(&error, remote);
            if let Some(hook) = &engine.config().hooks.connection_error {
                hook(&ConnectionError::new(&error, parts).caused_by(&*cause));
            }
            refusal(&error, upgrading)
        }
    }
}

/// Answers a request, be it with a refusal.
async fn answer<A, B>(engine: &Engine<A>, parts: &Parts, body: B, inside: Inside) -> Response<Body>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let upgrading = inside.on_upgrade.is_some();
    let remote = inside.connection.remote_addr;
    match route(engine, parts, body, inside).await {
        Ok(response) => response,
        Err(error) => {
            trace::refused(&error, remote);
            if let Some(hook) = &engine.config().hooks.connection_error
                && !error.is_about_session()
            {
                hook(&ConnectionError::new(&error, parts));
            }
            refusal(&error, upgrading)
        }
    }
}

/// Checks a request in the order of the reference server and hands it on.
async fn route<A, B>(
    engine: &Engine<A>,
    parts: &Parts,
    body: B,
    inside: Inside,
) -> Result<Response<Body>, RequestError>
where
    A: Application,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let Inside {
        on_upgrade,
        owner,
        connection,
    } = inside;
    let params = Params::parse(parts.uri.query().unwrap_or_default());
    let transport = params
        .transport
        .filter(|kind| matches!(kind, TransportKind::Polling | TransportKind::WebSocket))
        .filter(|kind| engine.config().has(*kind))
        // Anything but a script would be no answer to such a page.
        .filter(|kind| {
            *kind != TransportKind::Polling || params.j.is_none() || engine.config().jsonp
        })
        .ok_or(RequestError::UnknownTransport)?;
    let websocket = transport == TransportKind::WebSocket;
    if let Some(sid) = &params.sid {
        let session = engine.session(sid).ok_or(RequestError::UnknownSession)?;
        let upgrade = match on_upgrade {
            Some(on_upgrade) if websocket && engine.config().allow_upgrades => Some(on_upgrade),
            _ if websocket || session.transport() != transport => {
                return Err(RequestError::BadRequest(BadRequest::TransportMismatch));
            }
            _ => None,
        };
        if params.revision_of_session() != session.revision() {
            return Err(RequestError::BadRequest(BadRequest::ProtocolMismatch));
        }
        return match upgrade {
            Some(on_upgrade) => upgrade::join_session(engine, parts, on_upgrade, session, &params),
            None => polling::request(engine, parts, body, &session, owner, &params).await,
        };
    }
    if parts.method != Method::GET {
        return Err(RequestError::BadHandshakeMethod);
    }
    if websocket != on_upgrade.is_some() {
        return Err(RequestError::BadRequest(BadRequest::TransportHandshake));
    }
    let revision = params
        .revision(engine.config())
        .ok_or(RequestError::UnsupportedRevision)?;
    let ConnectionInfo {
        remote_addr,
        secure,
    } = connection;
    let handshake = Arc::new(Handshake::new(
        parts,
        remote_addr,
        secure,
        SystemTime::now(),
    ));
    let origins = engine.config().origins.as_ref();
    if origins.is_some_and(|origins| !origins.allow(&parts.headers)) {
        return Err(RequestError::Forbidden(None));
    }
    let place = engine.admit(&handshake).await?;
    let opening = Opening {
        place,
        handshake,
        revision,
    };
    match on_upgrade {
        Some(on_upgrade) => upgrade::open_session(engine, parts, on_upgrade, opening, &params),
        None => polling::open_session(engine, parts, opening, &params),
    }
}

/// A session that may be opened.
struct Opening {
    place: Place,
    handshake: Arc<Handshake>,
    revision: Revision,
}

/// The answer to a request that is refused.
fn refusal(error: &RequestError, upgrading: bool) -> Response<Body> {
    if upgrading {
        // Nothing but 400 and bare text: a WebSocket client reads neither.
        let mut response = text(
            StatusCode::BAD_REQUEST,
            error.message().to_owned(),
            "text/html",
        );
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = text(status, error.body().into_owned(), "application/json");
    if error.leaves_body_unread() {
        // The connection cannot be used again.
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>, content_type: &'static str) -> Response<Body> {
    let body = body.into();
    let with_type = !body.is_empty();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if with_type {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    text(status, Bytes::new(), "text/plain")
}

/// The headers of every polling answer.
fn apply_polling_headers(request: &HeaderMap, response: &mut HeaderMap) {
    response.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Old Internet Explorers take JSON for an attack and would change it.
    let agent = request
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    if agent.contains(";MSIE") || agent.contains("Trident/") {
        let name = HeaderName::from_static("x-xss-protection");
        response.insert(name, HeaderValue::from_static("0"));
    }
}
