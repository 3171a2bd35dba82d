//! Unix-domain sockets and their files.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::ListenOptions;
use sockeye_engine::net::Place;

/// The file of a listening socket; removed when dropped, unless it is another one by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

/// Binds and listens; the file, if there is one, is to be kept as long as the listener.
pub(super) fn bind(
    place: &Place,
    options: &ListenOptions,
) -> io::Result<(UnixListener, Option<SocketFile>)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let file = match place {
        Place::Path(path) => {
            check_length(path)?;
            make_way(path)?;
            socket.bind(&SockAddr::unix(path)?)?;
            let file = SocketFile::of(path)?;
            set_mode(path, options)?;
            Some(file)
        }
        Place::Abstract(name) => {
            check_length(Path::new(name))?;
            // A leading NUL is how the abstract namespace is written.
            socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
            None
        }
        Place::Host { .. } => return Err(io::ErrorKind::InvalidInput.into()),
    };
    socket.listen(options.backlog.into())?;
    if file.as_ref().is_some_and(|file| !file.is_there()) {
        // Another process that came at the same time took the socket for one that was left behind,
        // as nobody answered on it between `bind` and `listen`.
        return Err(taken());
    }
    Ok((UnixListener::from_std(socket.into())?, file))
}

fn taken() -> io::Error {
    let what = "another process listens on the socket";
    io::Error::new(io::ErrorKind::AddrInUse, what)
}

/// How long the path of a socket may be, in bytes: what the system has room for, less a NUL.
const MAX_PATH: usize = if cfg!(any(target_os = "linux", target_os = "android")) {
    107
} else {
    103
};

/// The system's own word for a path that is too long does not say how long it may be.
fn check_length(path: &Path) -> io::Result<()> {
    let len = path.as_os_str().len();
    if len <= MAX_PATH {
        return Ok(());
    }
    let what = format!("the path has {len} bytes, and may have {MAX_PATH}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// Removes a socket file that an earlier process has left. Anything else that is there stays.
fn make_way(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let what = "there is a file, and it is not a socket";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
        }
        Ok(found) => match knock(path) {
            Ok(()) => Err(taken()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                remove(path, (found.dev(), found.ino()))
            }
            Err(error) => Err(error),
        },
    }
}

/// Finds out whether anybody listens on a socket, without waiting for an answer: a process that
/// is stopped, or very busy, listens too.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        knocked => knocked,
    }
}

fn set_mode(path: &Path, options: &ListenOptions) -> io::Result<()> {
    let more = [(options.readable_all, 0o444), (options.writable_all, 0o222)];
    let more: u32 = more
        .iter()
        .filter(|(wanted, _)| *wanted)
        .map(|(_, bits)| bits)
        .sum();
    if more == 0 {
        return Ok(());
    }
    let mode = std::fs::metadata(path)?.permissions().mode();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | more))
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    /// Whether the path still leads to this file.
    fn is_there(&self) -> bool {
        is(&self.path, self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = remove(&self.path, self.identity);
    }
}

fn is(path: &Path, identity: Identity) -> bool {
    let there = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == identity;
    std::fs::symlink_metadata(path).is_ok_and(there)
}

/// Removes a file, unless it is another one by now.
fn remove(path: &Path, identity: Identity) -> io::Result<()> {
    match is(path, identity) {
        true => std::fs::remove_file(path),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of one test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("app.sock")
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn process_that_is_too_busy_to_accept_listens_all_the_same() {
        let dir = Dir::new("busy");
        let owner = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        owner.bind(&SockAddr::unix(dir.socket()).unwrap()).unwrap();
        owner.listen(1).unwrap();
        let mut waiting = Vec::new();
        while waiting.len() < 10 {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let connected = socket.connect(&SockAddr::unix(dir.socket()).unwrap());
            waiting.push(socket);
            if connected.is_err() {
                break;
            }
        }
        assert!(waiting.len() < 10, "the backlog is full");
        let error = make_way(&dir.socket()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(dir.socket().exists());
    }

    #[test]
    fn file_that_somebody_else_has_put_there_stays() {
        let dir = Dir::new("replaced");
        std::fs::write(dir.socket(), "").unwrap();
        let file = SocketFile::of(&dir.socket()).unwrap();
        // Both exist for a while, so that they are not the same by chance.
        std::fs::write(dir.0.join("new"), "").unwrap();
        std::fs::rename(dir.0.join("new"), dir.socket()).unwrap();
        drop(file);
        assert!(dir.socket().exists());
        drop(SocketFile::of(&dir.socket()).unwrap());
        assert!(!dir.socket().exists());
    }

    #[test]
    fn file_goes_with_the_runtime() {
        let dir = Dir::new("runtime");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let bound = runtime.block_on(async {
            bind(&Place::Path(dir.socket()), &ListenOptions::default()).unwrap()
        });
        runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(bound);
        });
        assert!(dir.socket().exists());
        drop(runtime);
        assert!(!dir.socket().exists());
    }
}
