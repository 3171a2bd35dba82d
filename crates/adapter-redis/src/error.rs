//! What is wrong with a URL.

use std::error::Error;

use sockeye_cluster::EngineTlsError;
use thiserror::Error;

/// Why a URL is none of a cluster on Redis.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// The scheme is not `redis`, `rediss` or another of these.
    #[error("{0:?} is no scheme of Redis here")]
    Scheme(String),
    /// The rest is wrong.
    #[error("the URL of Redis is invalid")]
    Invalid(#[source] Box<dyn Error + Send + Sync>),
    /// It has a parameter that means nothing.
    #[error("the URL of Redis has a parameter {0:?}")]
    Parameter(String),
    /// A parameter has a value that it cannot have.
    #[error("the URL of Redis has a parameter {name:?} of {value:?}")]
    Value {
        /// The parameter.
        name: String,
        /// What it is set to.
        value: String,
    },
    /// The files of certificates that it names are of no use.
    #[error(transparent)]
    Certificates(#[from] EngineTlsError),
}
