//! Bare streams, from the side of a peer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sockeye_engine_proto::frame::{self, Decoded, Frame};
use sockeye_engine_proto::{OpenPacket, WireKind};
use sockeye_server::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::BoxStream;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of one test's own for a socket file, removed when dropped.
#[derive(Debug)]
pub struct SocketDir(PathBuf);

impl SocketDir {
    /// Makes the directory; the name is the test's.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("a place for temporary files");
        Self(path)
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of the socket file.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("app.sock")
    }

    /// The URL of the socket file.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One end of a bare stream, as a peer that knows nothing of the server's code for it.
pub struct StreamPeer {
    stream: BoxStream,
    /// What was read and not taken yet.
    pub read: Vec<u8>,
}

impl StreamPeer {
    /// Connects to a socket file.
    #[cfg(unix)]
    pub async fn unix(dir: &SocketDir) -> Self {
        let stream = UnixStream::connect(dir.socket()).await;
        Self::new(stream.expect("the server accepts"))
    }

    /// Connects over TCP.
    pub async fn tcp(listener: &Listener) -> Self {
        let address = listener.local_addr().expect("a network address");
        let stream = TcpStream::connect(address).await;
        Self::new(stream.expect("the server accepts"))
    }

    /// A peer on this stream.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            read: Vec::new(),
        }
    }

    /// Writes everything.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let written = self.stream.write_all(bytes.as_ref()).await;
        written.expect("the server reads");
    }

    /// Closes this end's half.
    pub async fn shutdown(&mut self) {
        let closed = self.stream.shutdown().await;
        closed.expect("the stream is open");
    }

    /// Reads more; false at the end of the stream.
    pub async fn fill(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.read);
        let read = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("something is read");
        read.is_ok_and(|read| read > 0)
    }

    /// The next line, without its end; `None` at the end of the stream.
    pub async fn line(&mut self) -> Option<String> {
        let mut searched = 0;
        loop {
            let end = self.read[searched..]
                .windows(2)
                .position(|two| two == b"\r\n");
            if let Some(end) = end.map(|end| searched + end) {
                let line: Vec<_> = self.read.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8(line).expect("a text"));
            }
            searched = self.read.len().saturating_sub(1);
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next native frame: a text, or bytes; `None` at the end of the stream.
    pub async fn frame(&mut self) -> Option<Result<String, Vec<u8>>> {
        loop {
            let found = match frame::decode(&self.read, 1 << 24).expect("a frame") {
                Decoded::Frame {
                    frame: Frame::Text(text),
                    used,
                } => Some((Ok(text.to_owned()), used)),
                Decoded::Frame {
                    frame: Frame::Binary(data),
                    used,
                } => Some((Err(data.to_vec()), used)),
                Decoded::NeedMore { .. } => None,
            };
            if let Some((frame, used)) = found {
                self.read.drain(..used);
                return Some(frame);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next native frame, which must be a text.
    pub async fn text(&mut self) -> String {
        let frame = self.frame().await;
        frame.expect("a frame").expect("a text")
    }

    /// Sends a native frame with a text.
    pub async fn send_text(&mut self, text: &str) {
        let mut bytes = Vec::new();
        frame::encode_frame(&mut bytes, WireKind::Text, text.as_bytes());
        self.write(bytes).await;
    }

    /// Sends a native frame with bytes.
    pub async fn send_binary(&mut self, data: &[u8]) {
        let mut bytes = Vec::new();
        frame::encode_frame(&mut bytes, WireKind::Binary, data);
        self.write(bytes).await;
    }

    /// Opens a native session and joins `/`.
    pub async fn open(&mut self) -> OpenPacket {
        self.write(b"\x010").await;
        let open = self.text().await;
        let json = open.strip_prefix('0').expect("an open packet");
        let open = OpenPacket::from_json(json).expect("an open packet");
        self.send_text("40").await;
        let joined = self.text().await;
        assert!(joined.starts_with(r#"40{"sid":""#), "{joined}");
        open
    }
}

impl std::fmt::Debug for StreamPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamPeer").finish_non_exhaustive()
    }
}
