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
    /// A duration that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// CORS lets pages send credentials to what it describes by a star, which browsers refuse.
    #[error("CORS cannot have {0} with credentials; name them, or mirror the origin")]
    CorsCredentials(&'static str),
    /// CORS allows what can be no page's origin.
    #[error("{0:?} is no origin such as https://example.org, and no page will have it")]
    CorsOrigin(String),
}
