//! Connections that a proxy makes.
//!
//! SOCKS is hyper-util's. Its `Tunnel` for HTTP is not used: of what the proxy answers, it takes 200 alone for consent and
//! tells of a refusal without its status (`what_a_server_says_first_comes_through_a_proxy`,
//! `refusal_of_an_http_proxy_is_told_without_the_password`).

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{self, Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{Kind, ProxyUrl};
use crate::dialer::error::Cause;
use crate::dialer::request::AGENT;
use crate::dialer::stream;
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
        let target = target(url)?;
        let host = target.authority().map_or("", Authority::as_str);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(host)?);
        headers.insert(USER_AGENT, AGENT);
        if let Some((user, password)) = &self.login {
            let login = STANDARD.encode(format!("{user}:{password}"));
            let mut login = HeaderValue::try_from(format!("Basic {login}"))?;
            login.set_sensitive(true);
            headers.insert(PROXY_AUTHORIZATION, login);
        }
        *request.uri_mut() = target;
        match switch(ByteByByte(stream), request).await? {
            Switch::Agreed { stream, read, .. } => {
                debug_assert!(read.is_empty(), "no more is read than the answer");
                Ok(stream.0)
            }
            Switch::Refused { answer } => Err(match answer.status() {
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => ProxyRefusal::Login,
                status => ProxyRefusal::Status(status),
            }
            .into()),
        }
    }

    async fn socks(&self, url: &ConnectUrl, stream: TcpStream) -> Result<TcpStream, Cause> {
        let connected = Connected(Some(ByteByByte(stream)));
        let mut socks = SocksV5::new(Uri::default(), connected);
        if let Some((user, password)) = self.login.clone() {
            socks = socks.with_auth(user, password);
        }
        let stream = socks.call(target(url)?).await?;
        Ok(stream.into_inner().0)
    }
}

/// Where a proxy is to connect to.
fn target(url: &ConnectUrl) -> Result<Uri, Cause> {
    // A zone is only known to this machine (RFC 6874, section 1).
    let authority = url.host_and_port().filter(|text| !text.contains('%'));
    let authority = authority.ok_or(ProxyRefusal::Host)?;
    let uri = Uri::builder().authority(authority).build();
    Ok(uri.map_err(|_| ProxyRefusal::Host)?)
}

/// A connection to a proxy that is there already, for what would make one.
struct Connected(Option<ByteByByte>);

impl Service<Uri> for Connected {
    type Response = TokioIo<ByteByByte>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<ByteByByte>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _proxy: Uri) -> Self::Future {
        let stream = self.0.take().map(TokioIo::new);
        ready(stream.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

/// A stream of which no more is read than is asked for to understand the proxy: the byte after its answer is the server's,
/// and a server of lines may speak first. What reads the answer would keep what it has read too far.
struct ByteByByte(TcpStream);

impl AsyncRead for ByteByByte {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteByByte {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Why a proxy does not connect.
#[derive(Debug, Error)]
enum ProxyRefusal {
    #[error("it wants another user name and password (407)")]
    Login,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("the host has no form that can be asked for")]
    Host,
}
