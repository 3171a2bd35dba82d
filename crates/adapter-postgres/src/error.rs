//! What is wrong with a URL.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a URL is none of a Postgres server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PostgresUrlError {
    /// The scheme is neither `postgres` nor `postgresql`.
    #[error("{0:?} is no scheme of Postgres here")]
    Scheme(String),
    /// Something before the parameters is wrong.
    #[error("the URL of Postgres is invalid")]
    Invalid(#[source] tokio_postgres::Error),
    /// It names no server, or not each with its address and port.
    #[error("the URL of Postgres is invalid: {0}")]
    Hosts(&'static str),
    /// It has a parameter that means nothing here.
    #[error("the URL of Postgres has a parameter {0:?}")]
    Parameter(String),
    /// A parameter has a value that it cannot have here.
    #[error("the URL of Postgres has a parameter {name:?} of {value:?}")]
    Value {
        /// The parameter.
        name: String,
        /// What it is set to.
        value: String,
    },
    /// There is an `@` behind a `?`, and something is wrong with the parameters, which may be a part of a password then.
    #[error(
        "the URL of Postgres has a parameter that means nothing, or a ? in a password, which is %3F in a URL"
    )]
    Unclear,
    /// A parameter is no text.
    #[error("the URL of Postgres has a parameter that is no UTF-8")]
    Encoding,
    /// TLS cannot be spoken as it says, or not at all without the feature `tls`.
    #[error("TLS cannot be spoken with Postgres as the URL says")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// A file that it names cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
