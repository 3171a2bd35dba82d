//! WebSocket handshakes.

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Empty;
use sockeye_websocket::DeflateConfig;
use sockeye_websocket::handshake::ClientRequest;

use super::request::{all_headers, unwritable, uri};
use super::switch::{Switch, switch};
use super::{ConnectUrl, DialError, Dialer};
use sockeye_engine::Upgraded;

impl Dialer {
    /// Opens a WebSocket at `target`, which is the path with the query. Gives the stream, a bare
    /// socket unless it is TLS, what the server has sent already, and what it has agreed to.
    ///
    /// The sub-protocols of a `Sec-WebSocket-Protocol` header are offered; an answer with another
    /// one is refused.
    pub(crate) async fn websocket(
        &self,
        url: &ConnectUrl,
        target: &str,
        headers: &HeaderMap,
        deflate: Option<DeflateConfig>,
    ) -> Result<Upgraded, DialError> {
        let protocols: Vec<&str> = headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim_ascii)
            .filter(|protocol| !protocol.is_empty())
            .collect();
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| unwritable(url, error.into()))?;
        let handshake = ClientRequest::new(key)
            .protocols(&protocols)
            .deflate(deflate);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri(url, target)?;
        *request.headers_mut() = all_headers(url, headers)?;
        for (name, value) in handshake.headers() {
            if let Ok(value) = HeaderValue::try_from(value) {
                request.headers_mut().insert(name, value);
            }
        }
        let uri = request.uri().clone();
        if let Some(jar) = &self.0.jar {
            jar.add(url, &uri, request.headers_mut());
        }
        let to = || url.origin().to_string();
        let switched = switch(self.link(url).await?, request).await;
        let switched = switched.map_err(|source| DialError::Http {
            to: to(),
            source: source.into(),
        })?;
        if let Some(jar) = &self.0.jar {
            jar.keep(url, &uri, switched.headers());
        }
        match switched {
            Switch::Agreed {
                answer,
                stream,
                read,
            } => {
                let headers = answer.headers().iter();
                let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
                let accepted = handshake
                    .verify(answer.status().as_u16(), headers)
                    .map_err(|source| DialError::Handshake { to: to(), source })?;
                Ok(Upgraded {
                    io: stream.into_io(),
                    read,
                    deflate: accepted.deflate,
                })
            }
            Switch::Refused { answer } => {
                let status = answer.status();
                let redirection = DialError::redirection(url, status, answer.headers());
                Err(redirection.unwrap_or_else(|| DialError::Refused {
                    to: to(),
                    status,
                    body: answer.into_body(),
                }))
            }
        }
    }
}
