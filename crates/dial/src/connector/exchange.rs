//! The requests of a session on long-polling.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::StatusCode;
use sockeye_engine_proto::{TransportKind, WireKind, payload};

use super::ConnectorCore;
use super::target::{Target, framing};
use super::transport::{Opening, TransportError};
use crate::dialer::{Answer, DialError, PostBody};
use sockeye_engine::{Exchange, Probe, Reply, Wire};
use sockeye_websocket::Role;

/// How long a transport to move to may take to be there.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct HttpExchange {
    shared: Arc<ConnectorCore>,
    target: Target,
    /// What to move to, if the first of them can be opened, or else the next.
    upgrades: Vec<Target>,
}

impl HttpExchange {
    pub(super) const fn new(
        shared: Arc<ConnectorCore>,
        target: Target,
        upgrades: Vec<Target>,
    ) -> Self {
        Self {
            shared,
            target,
            upgrades,
        }
    }

    fn request(&self, post: Option<PostBody>) -> Reply<Answer> {
        let Target { url, headers, .. } = &self.target;
        let path = self.target.path_and_query();
        let answer = self.shared.dialer.request(url, &path, headers, post);
        Box::pin(async move {
            let answer = answer.await.map_err(|error| describe(&error))?;
            match answer.status {
                StatusCode::OK => Ok(answer),
                status => Err(format!("xhr poll error: status {}", status.as_u16())),
            }
        })
    }
}

impl Exchange for HttpExchange {
    fn get(&self) -> Reply<(WireKind, Bytes)> {
        let answer = self.request(None);
        let revision = self.target.revision;
        Box::pin(async move {
            let answer = answer.await?;
            Ok((framing(revision, answer.content), answer.body))
        })
    }

    fn post(&self, payload: payload::Encoded) -> Reply<()> {
        let body = match payload.content {
            WireKind::Text => PostBody::Text(payload.body.into()),
            WireKind::Binary => PostBody::Binary(payload.body.into()),
        };
        let answer = self.request(Some(body));
        Box::pin(async move { answer.await.map(drop) })
    }

    fn upgrade(&self) -> Option<Reply<Box<dyn Probe>>> {
        if self.upgrades.is_empty() {
            return None;
        }
        let (shared, upgrades) = (Arc::clone(&self.shared), self.upgrades.clone());
        Some(Box::pin(async move {
            let mut failure = String::new();
            for target in &upgrades {
                let opening = shared.open_probe(target);
                match tokio::time::timeout(UPGRADE_TIMEOUT, opening).await {
                    Ok(Ok(probe)) => return Ok(probe),
                    Ok(Err(error)) => failure = error,
                    Err(_) => failure = format!("no {} in time", target.transport),
                }
            }
            Err(failure)
        }))
    }

    fn upgraded(&self, to: Option<TransportKind>) {
        self.shared.remember(to);
    }
}

impl ConnectorCore {
    /// Opens a transport for a session that has another one.
    async fn open_probe(&self, target: &Target) -> Result<Box<dyn Probe>, String> {
        if let Some(own) = self.config.own_transport(target.transport) {
            let opening = caught(|| own.upgrade(target.handed_out(&self.config.limits)));
            return opening.await.map_err(|error| chain(&*error));
        }
        let path = target.path_and_query();
        let deflate = self.config.per_message_deflate;
        let dialer = &self.dialer;
        let dialed = dialer.websocket(&target.url, &path, &target.headers, deflate);
        let stream = dialed.await.map_err(|error| describe(&error))?;
        let agreed = stream.deflate.into();
        let max_payload = self.config.limits.payload.max_payload;
        let wire = Wire::websocket(stream, max_payload, Role::Client);
        Ok(wire.probe(target.transport, agreed))
    }
}

/// Asks a transport of the application's; a panic in it is an error like any other.
pub(super) async fn caught<T>(open: impl FnOnce() -> Opening<T>) -> Result<T, TransportError> {
    let opened = AssertUnwindSafe(async { open().await }).catch_unwind();
    opened
        .await
        .unwrap_or_else(|_| Err("the application's transport panicked".into()))
}

/// An error of a request, with its causes.
fn describe(error: &DialError) -> String {
    format!("xhr poll error: {}", chain(error))
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
