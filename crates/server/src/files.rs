//! Client bundles that the server hands to browsers.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sockeye_listen::{EngineConfig, StaticFile};
use thiserror::Error;

/// Official client bundles, read from a directory such as
/// `node_modules/socket.io/client-dist`.
///
/// They are served at their official names under the server's path, with `ETag` and
/// conditional requests. A file with `.br` or `.gz` behind its name is the same file,
/// compressed, and is sent to clients that accept it.
#[derive(Clone)]
pub struct ClientFiles {
    files: Vec<Arc<StaticFile>>,
}

/// Why the bundles cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientFilesError {
    /// A file or the directory cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// None of the bundles is there.
    #[error("there is no client bundle in {0}")]
    Empty(PathBuf),
}

/// The names that the JavaScript server serves, each with its source map.
const NAMES: [&str; 4] = [
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.msgpack.min.js",
    "socket.io.esm.min.js",
];

impl ClientFiles {
    /// Reads the bundles that are there into memory.
    ///
    /// # Errors
    ///
    /// If there is none, or one cannot be read.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, ClientFilesError> {
        let dir = dir.as_ref();
        let mut files = Vec::new();
        for name in NAMES {
            for name in [name.to_owned(), format!("{name}.map")] {
                let Some(plain) = read(&dir.join(&name))? else {
                    continue;
                };
                let kind = match name.ends_with(".map") {
                    true => "application/json; charset=utf-8",
                    false => "application/javascript; charset=utf-8",
                };
                let mut file = StaticFile::new(name.as_str(), kind, plain);
                for (encoding, ending) in [("br", "br"), ("gzip", "gz")] {
                    if let Some(bytes) = read(&dir.join(format!("{name}.{ending}")))? {
                        file = file.encoded(encoding, bytes);
                    }
                }
                files.push(Arc::new(file));
            }
        }
        if files.is_empty() {
            return Err(ClientFilesError::Empty(dir.to_owned()));
        }
        Ok(Self { files })
    }
}

/// A file's content, or `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, ClientFilesError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClientFilesError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Adds our own client, if it is wanted, and bundles of others.
pub(crate) fn serve(
    mut engine: EngineConfig,
    own_client: bool,
    bundles: Option<&ClientFiles>,
) -> EngineConfig {
    if own_client {
        let source = include_str!("../browser/sockeye.js");
        let kind = "application/javascript; charset=utf-8";
        engine = engine.file(Arc::new(StaticFile::new("sockeye.js", kind, source)));
    }
    for file in bundles.iter().flat_map(|bundles| &bundles.files) {
        engine = engine.file(Arc::clone(file));
    }
    engine
}

impl fmt::Debug for ClientFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.files.iter().map(|file| file.name()))
            .finish()
    }
}
