//! Why there is no connection, or none any more.

use std::error::Error as _;
use std::io;

use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{}", said(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("cannot connect to Postgres on {host}: {cause}")]
    Unreachable { host: String, cause: io::Error },
    #[error("Postgres on {0} does not answer")]
    Mute(String),
    #[error("Postgres on {0} takes nothing: it is a standby, or read-only")]
    ReadOnly(String),
    #[error("Postgres does not answer")]
    Silent,
    #[error("the connection to Postgres is closed")]
    Closed,
    #[error("Postgres does not bring what is published")]
    Deaf,
}

/// What the server itself says, or what is wrong with its certificate, neither of which the error shows.
fn said(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("Postgres: {}", said.message()),
        (None, Some(cause)) => format!("Postgres: {error}: {cause}"),
        (None, None) => format!("Postgres: {error}"),
    }
}
