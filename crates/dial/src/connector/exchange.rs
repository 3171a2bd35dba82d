//! The requests of a session on long-polling.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use sockeye_engine_proto::{TransportKind, WireKind, payload};

use super::Shared;
use super::target::{Target, framing};
use crate::dialer::{Answer, DialError, PostBody};
use sockeye_engine::{Exchange, Probe, Reply, Wire};
use sockeye_websocket::Role;

/// How long the WebSocket of an upgrade may take to be there.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct HttpExchange {
    shared: Arc<Shared>,
    target: Target,
    upgrades: bool,
}

impl HttpExchange {
    pub(super) const fn new(shared: Arc<Shared>, target: Target, upgrades: bool) -> Self {
        Self {
            shared,
            target,
            upgrades,
        }
    }

    fn request(&self, post: Option<PostBody>) -> Reply<Answer> {
        let kind = TransportKind::Polling;
        let path = self.target.path_and_query(kind);
        let headers = self.target.headers(kind);
        let dialer = &self.shared.dialer;
        let answer = dialer.request(&self.target.url, &path, &headers, post);
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
        if !self.upgrades {
            return None;
        }
        let (shared, target) = (Arc::clone(&self.shared), self.target.clone());
        Some(Box::pin(async move {
            let kind = TransportKind::WebSocket;
            let path = target.path_and_query(kind);
            let headers = target.headers(kind);
            let deflate = shared.config.per_message_deflate;
            let dial = shared
                .dialer
                .websocket(&target.url, &path, &headers, deflate);
            let Ok(dialed) = tokio::time::timeout(UPGRADE_TIMEOUT, dial).await else {
                return Err("no WebSocket in time".to_owned());
            };
            let stream = dialed.map_err(|error| describe(&error))?;
            let agreed = stream.deflate.into();
            let max_payload = shared.config.limits.max_payload;
            Ok(Wire::websocket(stream, max_payload, Role::Client).probe(kind, agreed))
        }))
    }

    fn upgraded(&self, works: bool) {
        let remembered = &self.shared.websocket_works;
        remembered.store(works, Ordering::Relaxed);
    }
}

/// An error with its causes, in one line.
fn describe(error: &DialError) -> String {
    let mut text = format!("xhr poll error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
