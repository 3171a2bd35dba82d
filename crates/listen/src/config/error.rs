use sockeye_engine_proto::TransportKind;
use thiserror::Error;

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The path must begin with a slash.
    #[error("the path {0:?} does not begin with a slash")]
    Path(String),
    /// No transport is enabled.
    #[error("no transport is enabled")]
    NoTransport,
    /// A transport is enabled that is none over HTTP. Bare streams are served where
    /// [`listen`](crate::Engine::listen) is asked to, whichever transports are enabled.
    #[error("{0} is no transport over http")]
    Transport(TransportKind),
    /// A duration that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// CORS lets pages send credentials to what it describes by a star, which browsers refuse.
    #[error("CORS cannot have {0} with credentials; name them, or mirror the origin")]
    CorsCredentials(&'static str),
    /// CORS allows what can be no page's origin.
    #[error("{0:?} is no origin such as https://example.org, and no page will have it")]
    CorsOrigin(String),
    /// A pattern of origins is none.
    #[error(
        "{0:?} is no pattern of origins such as http://example.org:80, example.org:80, example.org:*, *:80 or *:*"
    )]
    Origins(String),
    /// The configuration is a clone of one that another server has or had, and with it the same place in a cluster. A server
    /// that is closed or dropped does not give its place back, as the others may not know yet that it is gone.
    #[error("the place in the cluster is or was another server's; make one for each server")]
    ClusterTaken,
}
