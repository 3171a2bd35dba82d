//! Connections that a proxy makes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

use super::{Kind, ProxyUrl};
use crate::dialer::error::Cause;
use crate::dialer::request::AGENT;
use crate::dialer::stream::{self, Link};
use crate::dialer::switch::{Switch, switch};
use crate::dialer::{DialConfig, DialError};
use crate::url::ConnectUrl;

impl ProxyUrl {
    /// A connection to the URL's host, made by the proxy.
    pub(in crate::dialer) async fn connect(
        &self,
        url: &ConnectUrl,
        config: &DialConfig,
    ) -> Result<TcpStream, DialError> {
        let connected = match stream::tcp(&self.host, self.port, config).await {
            Ok(stream) => match self.kind {
                Kind::Http => self.tunnel(url, stream).await,
                Kind::Socks5 => self.socks(url, stream).await,
            },
            Err(error) => Err(error.into()),
        };
        connected.map_err(|source| DialError::Proxy {
            proxy: self.to_string(),
            to: url.origin().to_string(),
            source,
        })
    }

    async fn tunnel(&self, url: &ConnectUrl, stream: TcpStream) -> Result<TcpStream, Cause> {
        let authority: Authority = url.host_and_port().ok_or(ProxyRefusal::Host)?.try_into()?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(authority.as_str())?);
        headers.insert(USER_AGENT, AGENT);
        if let Some((user, password)) = &self.login {
            let login = STANDARD.encode(format!("{user}:{password}"));
            let mut login = HeaderValue::try_from(format!("Basic {login}"))?;
            login.set_sensitive(true);
            headers.insert(PROXY_AUTHORIZATION, login);
        }
        *request.uri_mut() = Uri::builder()
            .authority(authority)
            .build()
            .map_err(|_| ProxyRefusal::Host)?;
        match switch(Link::Tcp(stream), request).await? {
            Switch::Agreed {
                link: Link::Tcp(stream),
                read,
                ..
            } if read.is_empty() => Ok(stream),
            Switch::Agreed { .. } => Err(ProxyRefusal::Unasked.into()),
            Switch::Refused { answer } => Err(match answer.status() {
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => ProxyRefusal::Login,
                status => ProxyRefusal::Status(status),
            }
            .into()),
        }
    }

    async fn socks(&self, url: &ConnectUrl, stream: TcpStream) -> Result<TcpStream, Cause> {
        let host = url.host().ok_or(ProxyRefusal::Host)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let target = (bare, url.port().ok_or(ProxyRefusal::Host)?);
        let connected = match &self.login {
            None => Socks5Stream::connect_with_socket(stream, target).await,
            Some((user, password)) => {
                Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
            }
        };
        Ok(connected?.into_inner())
    }
}

/// Why a proxy does not connect.
#[derive(Debug, Error)]
enum ProxyRefusal {
    #[error("it wants another user name and password (407)")]
    Login,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it sent data before it was asked for any")]
    Unasked,
    #[error("the host has no form that can be asked for")]
    Host,
}
