//! `sockeye emit --via`: an event for the clients of all servers in a cluster, from somebody who is none of them.

use clap::Args;
use sockeye::cluster::{ClusterUrlError, from_url};
use sockeye::{EmitError, Emitter, EmitterError};
use thiserror::Error;

use crate::headings::OPTIONS;
use crate::report::{Exit, Explain};

/// Whether to publish, and for whom.
#[derive(Debug, Args)]
pub(crate) struct ViaOptions {
    /// Take URL for a cluster's engine instead of a server, and publish the event to the clients of all its servers:
    /// sockeye emit --via redis://localhost news 1
    // Options that are about connecting to a server mean nothing then.
    #[arg(
        long,
        help_heading = OPTIONS,
        conflicts_with_all = [
            "ack", "timeout", "auth", "header", "transport", "protocol", "dialect", "path", "insecure", "connect_timeout",
        ],
    )]
    pub(crate) via: bool,

    /// With --via, only for who is in this room. May be given several times, for who is in any of them.
    #[arg(long, value_name = "ROOM", requires = "via", help_heading = OPTIONS)]
    room: Vec<String>,

    /// With --via, not for who is in this room. May be given several times.
    #[arg(long, value_name = "ROOM", requires = "via", help_heading = OPTIONS)]
    except: Vec<String>,
}

/// Why an event was not published.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    #[error("cannot publish")]
    Url(#[from] ClusterUrlError),
    #[error("cannot publish")]
    Emitter(#[from] EmitterError),
    #[error("the event cannot be published")]
    Emit(#[from] EmitError),
    #[error("the event was not published, as the cluster did not take it")]
    NotTaken,
}

impl ViaOptions {
    /// Publishes an event, and waits until the engine has it.
    pub(crate) async fn publish(
        &self,
        url: &str,
        namespace: Option<&str>,
        event: &str,
        args: sockeye::Args,
    ) -> Result<(), PublishError> {
        let emitter = Emitter::new(from_url(url)?)?.of(namespace.unwrap_or("/"));
        let meant = emitter.to(&self.room).except(&self.except);
        meant.emit(event, args)?;
        emitter.close().await;
        match emitter.counts().published {
            0 => Err(PublishError::NotTaken),
            _ => Ok(()),
        }
    }
}

impl Explain for PublishError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Url(error) => Some(url_hint(error)),
            Self::NotTaken => Some("Is it running, and is the URL right?".into()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotTaken => Exit::Unreachable,
            _ => Exit::Failure,
        }
    }
}

/// What helps with a URL that is not one of a cluster.
pub(crate) fn url_hint(error: &ClusterUrlError) -> String {
    match error {
        ClusterUrlError::LeftOut { feature, .. } => format!(
            "Build the command with it: cargo install sockeye-cli --features {feature}; \
             with --features cluster it has all engines."
        ),
        _ => "Write it like redis://localhost, redis+sharded://localhost, redis+streams://localhost, \
              postgres://USER@localhost/DATABASE, mongodb://localhost/DATABASE, nats://localhost or \
              nats+mickl://localhost; with TLS rediss://HOST for Redis and tls://HOST for NATS."
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_that_was_left_out_is_named_with_the_way_to_get_it() {
        let error = ClusterUrlError::LeftOut {
            scheme: "nats".into(),
            feature: "nats",
        };
        assert!(error.to_string().contains("feature \"nats\""), "{error}");
        let hint = PublishError::from(error).hint().unwrap();
        assert!(hint.contains("sockeye-cli --features nats"), "{hint}");
    }
}
