//! Requests of long-polling.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, SEC_WEBSOCKET_PROTOCOL,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use sockeye_engine_proto::WireKind;
use tokio::time::Instant;

use super::error::Cause;
use super::pool::Sender;
use super::switch::builder;
use super::{ConnectUrl, DialError, Dialer};

/// The body of a POST request.
#[derive(Clone, Debug)]
pub(crate) enum PostBody {
    Text(Bytes),
    Binary(Bytes),
}

/// The answer to a request, whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Binary if the server says `application/octet-stream`.
    pub(crate) content: WireKind,
    pub(crate) body: Bytes,
}

/// A request that is under way, or its answer.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Answer, DialError>> + Send>>;

/// How requests name their sender unless the caller does.
pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("sockeye/", env!("CARGO_PKG_VERSION")));

/// How long a request and the server's hanging up, which it has met, may be on their ways.
const CROSSING: Duration = Duration::from_secs(1);

impl Dialer {
    /// Sends a GET request, or a POST request if there is a body, on a connection that is kept
    /// for the next one; `target` is the path with the query.
    ///
    /// Redirections are not followed, but told as an error. Dropping the future closes the request's connection.
    pub(crate) fn request(
        &self,
        url: &ConnectUrl,
        target: &str,
        headers: &HeaderMap,
        post: Option<PostBody>,
    ) -> Answering {
        let request = polling_request(url, target, headers, post);
        let (dialer, url) = (self.clone(), url.origin());
        Box::pin(async move {
            let answer = dialer.answer(&url, request?);
            match dialer.0.config.request_timeout {
                None => answer.await,
                Some(after) => match tokio::time::timeout(after, answer).await {
                    Ok(answer) => answer,
                    Err(_) => Err(DialError::Timeout {
                        to: url.to_string(),
                        after,
                    }),
                },
            }
        })
    }

    async fn answer(
        &self,
        url: &ConnectUrl,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Answer, DialError> {
        let broken = |source: hyper::Error| DialError::Http {
            to: url.to_string(),
            source: source.into(),
        };
        let pool = &self.0.pool;
        let uri = request.uri().clone();
        if let Some(jar) = &self.0.jar {
            jar.add(url, &uri, request.headers_mut());
        }
        // The server may hang up on a connection at rest at any time. What was not sent then is
        // sent on another one; what was may have had its effect, unless it is a GET that the server
        // cannot have read: one that has met the hanging up.
        let (sender, response) = loop {
            let (mut sender, is_new) = match pool.take(&url.to_string()).await {
                Some(sender) => (sender, false),
                None => (self.sender(url).await?, true),
            };
            let again = (!is_new && request.method() == Method::GET).then(|| request.clone());
            let begun = Instant::now();
            match sender.try_send_request(request).await {
                Ok(response) => {
                    if let Some(jar) = &self.0.jar {
                        jar.keep(url, &uri, response.headers());
                    }
                    break (sender, response);
                }
                Err(mut error) => match (error.take_message(), again) {
                    (Some(unsent), _) if !is_new => request = unsent,
                    (None, Some(get))
                        if begun.elapsed() < CROSSING && !error.error().is_parse() =>
                    {
                        pool.distrust(&url.to_string());
                        request = get;
                    }
                    _ => return Err(broken(error.into_error())),
                },
            }
        };
        let is_kept = !announces_close(&response);
        let redirection = DialError::redirection(url, response.status(), response.headers());
        let answer = self.read(url, response).await?;
        if is_kept {
            pool.put(url.to_string(), sender);
        }
        redirection.map_or(Ok(answer), Err)
    }

    /// A new connection for requests.
    async fn sender(&self, url: &ConnectUrl) -> Result<Sender, DialError> {
        let link = self.link(url).await?;
        let handshake = builder().handshake(TokioIo::new(link)).await;
        let (sender, connection) = handshake.map_err(|source| DialError::Http {
            to: url.to_string(),
            source: source.into(),
        })?;
        // It ends when the sender is dropped or the server hangs up, even while at rest.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for requests ended");
            }
        });
        Ok(sender)
    }

    async fn read(
        &self,
        url: &ConnectUrl,
        response: Response<Incoming>,
    ) -> Result<Answer, DialError> {
        let limit = self.0.max_answer;
        let too_large = || DialError::TooLarge {
            to: url.to_string(),
            limit,
        };
        let (head, body) = response.into_parts();
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let body = match whole(Limited::new(body, limit)).await {
            Ok(body) => body,
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(source) => {
                return Err(DialError::Http {
                    to: url.to_string(),
                    source,
                });
            }
        };
        let is_binary = head.headers.get(CONTENT_TYPE).is_some_and(|value| {
            let value = value.as_bytes();
            let end = value.iter().position(|byte| *byte == b';');
            value[..end.unwrap_or(value.len())]
                .trim_ascii()
                .eq_ignore_ascii_case(b"application/octet-stream")
        });
        Ok(Answer {
            status: head.status,
            content: match is_binary {
                true => WireKind::Binary,
                false => WireKind::Text,
            },
            body,
        })
    }
}

/// Whether the server says that it will hang up.
fn announces_close<B>(response: &Response<B>) -> bool {
    let options = response.headers().get_all(CONNECTION).iter();
    options
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// All of a body in one piece.
///
/// Pieces are copied together as they come: kept apart, each chunk of a byte would take some dozens,
/// and what bounds the bytes would not bound the memory.
async fn whole(mut body: Limited<Incoming>) -> Result<Bytes, Cause> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

fn polling_request(
    url: &ConnectUrl,
    target: &str,
    headers: &HeaderMap,
    post: Option<PostBody>,
) -> Result<Request<Full<Bytes>>, DialError> {
    let (method, content_type, body) = match post {
        None => (Method::GET, None, Bytes::new()),
        Some(PostBody::Text(body)) => (Method::POST, Some("text/plain;charset=UTF-8"), body),
        Some(PostBody::Binary(body)) => (Method::POST, Some("application/octet-stream"), body),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri(url, target)?;
    *request.headers_mut() = all_headers(url, headers)?;
    request.headers_mut().remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(content_type) = content_type {
        let content_type = HeaderValue::from_static(content_type);
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Ok(request)
}

/// The headers of any request: the caller's, and what is missing among them.
pub(super) fn all_headers(url: &ConnectUrl, headers: &HeaderMap) -> Result<HeaderMap, DialError> {
    let mut all = headers.clone();
    for framing in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE] {
        all.remove(framing);
    }
    if !all.contains_key(HOST) {
        let host = HeaderValue::try_from(url.authority());
        all.insert(HOST, host.map_err(|error| unwritable(url, error.into()))?);
    }
    all.entry(ACCEPT)
        .or_insert(const { HeaderValue::from_static("*/*") });
    all.entry(USER_AGENT).or_insert(AGENT);
    Ok(all)
}

/// The path and query of a request.
pub(super) fn uri(url: &ConnectUrl, target: &str) -> Result<Uri, DialError> {
    PathAndQuery::try_from(target)
        .map(Uri::from)
        .map_err(|error| unwritable(url, error.into()))
}

pub(super) fn unwritable(url: &ConnectUrl, source: Cause) -> DialError {
    DialError::Request {
        to: url.origin().to_string(),
        source,
    }
}
