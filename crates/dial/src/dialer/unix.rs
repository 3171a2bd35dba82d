//! Unix-domain sockets, and what can be wrong with their paths.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tokio::net::UnixStream;

use super::stream::unsupported;
use super::{ConnectUrl, DialError, UnixProblem};
use sockeye_engine::net::Place;

/// The longest path in a socket's address, without the NUL behind it.
const MAX_PATH: usize = if HAS_ABSTRACT { 107 } else { 103 };

const HAS_ABSTRACT: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Connects to a path or an abstract name.
pub(super) async fn connect(url: &ConnectUrl, place: &Place) -> Result<UnixStream, DialError> {
    let length = match place {
        Place::Path(path) => path.as_os_str().len(),
        Place::Abstract(name) => name.len(),
        Place::Host { .. } => return Err(unsupported(url)),
    };
    let connected = match place {
        _ if length > MAX_PATH => Err(io::ErrorKind::InvalidInput.into()),
        Place::Path(path) => UnixStream::connect(path).await,
        // A leading NUL is how the abstract namespace is written.
        Place::Abstract(name) if HAS_ABSTRACT => UnixStream::connect(format!("\0{name}")).await,
        Place::Abstract(_) => Err(io::ErrorKind::Unsupported.into()),
        Place::Host { .. } => Err(io::ErrorKind::Unsupported.into()),
    };
    connected.map_err(|source| DialError::Unix {
        url: url.origin(),
        problem: match source.kind() {
            io::ErrorKind::InvalidInput if length > MAX_PATH => UnixProblem::TooLong {
                length,
                limit: MAX_PATH,
            },
            io::ErrorKind::NotFound => match place {
                Place::Path(path) if may_be_host(path) => UnixProblem::MissingOrHost,
                _ => UnixProblem::Missing,
            },
            io::ErrorKind::PermissionDenied => UnixProblem::Denied,
            io::ErrorKind::WouldBlock => UnixProblem::Busy,
            io::ErrorKind::Unsupported => UnixProblem::Unsupported,
            io::ErrorKind::ConnectionRefused => match place {
                Place::Path(path) if is_socket(path) => UnixProblem::NobodyListens,
                Place::Path(_) => UnixProblem::NotASocket,
                _ => UnixProblem::Missing,
            },
            _ => UnixProblem::Other,
        },
        source,
    })
}

/// Whether somebody may have left out the scheme in front of a host.
fn may_be_host(path: &Path) -> bool {
    let first = path.as_os_str().as_encoded_bytes().first();
    first.is_some_and(|first| !matches!(first, b'/' | b'.'))
}

/// Linux refuses connections to other files in the same words.
fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}
