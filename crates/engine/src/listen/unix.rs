//! Unix-domain sockets and their files.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::ListenOptions;
use crate::net::Place;

/// The file of a listening socket; removed when dropped, unless it is another one by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

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
    Ok((UnixListener::from_std(socket.into())?, file))
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
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                let what = "another process listens on the socket";
                Err(io::Error::new(io::ErrorKind::AddrInUse, what))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)
            }
            Err(error) => Err(error),
        },
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
        let path = path.to_owned();
        Ok(Self {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |metadata: &std::fs::Metadata| {
            metadata.dev() == self.device && metadata.ino() == self.inode
        };
        if std::fs::symlink_metadata(&self.path)
            .as_ref()
            .is_ok_and(ours)
        {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
