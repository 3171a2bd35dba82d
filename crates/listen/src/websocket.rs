//! Plain WebSockets, without Engine.IO on top.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use sockeye_engine_proto::RequestError;
use sockeye_websocket::{
    Deflate, DeflateConfig, Deflater, Event, Limits, OpCode, Role, encode_frame,
};
use thiserror::Error;

use crate::http::{Body, requested, switching_protocols, upgraded};
use sockeye_engine::Io;
use sockeye_engine::{FrameReader, ReadError, WebSocketFormat};

/// A WebSocket of the server, for programs that speak something else than Engine.IO on it.
///
/// It has the engine's way of doing I/O: no buffer while idle, one write for everything that one
/// read has set off.
#[derive(Debug)]
pub struct WebSocket {
    io: Io,
    frames: FrameReader<WebSocketFormat>,
    out: Replies,
}

/// A WebSocket whose handshake has been answered.
#[derive(Debug)]
#[must_use = "the connection is dropped if nobody waits for it"]
pub struct Upgrading {
    on_upgrade: OnUpgrade,
    limits: Limits,
    deflate: Option<Deflate>,
}

/// What waits to be written to a WebSocket.
#[derive(Debug)]
pub struct Replies {
    bytes: Vec<u8>,
    /// The compressor, and the shortest message that it gets.
    deflater: Option<(Box<Deflater>, usize)>,
    written: usize,
    closed: bool,
    shut: bool,
}

/// How long a peer may take to end the connection after the close frames.
const LINGER: Duration = Duration::from_secs(5);

/// Why a WebSocket ended otherwise than by a close frame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The peer broke the protocol; it was told so.
    #[error(transparent)]
    Protocol(#[from] sockeye_websocket::ProtocolError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ended without a close frame.
    #[error("the stream ended without a close frame")]
    Ended,
}

impl WebSocket {
    /// Answers a handshake: with the response to be sent, and the WebSocket that is there once
    /// it has been. With `deflate`, messages are compressed for peers that offer it; each such
    /// WebSocket has a compressor of its own then, which takes up to 371 KiB.
    ///
    /// # Errors
    ///
    /// If the request is not a valid handshake of RFC 6455.
    pub fn upgrade<B>(
        mut request: Request<B>,
        limits: Limits,
        deflate: Option<&DeflateConfig>,
    ) -> Result<(Response<Body>, Upgrading), RequestError> {
        let on_upgrade = requested(&mut request);
        let (parts, _) = request.into_parts();
        let (response, deflate) = switching_protocols(&parts, deflate)?;
        let on_upgrade = on_upgrade.ok_or(RequestError::UnknownTransport)?;
        let upgrading = Upgrading {
            on_upgrade,
            limits,
            deflate,
        };
        Ok((response, upgrading))
    }

    /// Hands every message to `handle`, until the WebSocket is closed. Pings and the closing
    /// handshake are seen to.
    ///
    /// # Errors
    ///
    /// [`WebSocketError`] if it ended in any other way.
    pub async fn run(
        mut self,
        mut handle: impl FnMut(Event<'_>, &mut Replies),
    ) -> Result<(), WebSocketError> {
        let result = poll_fn(|cx| self.poll_run(cx, &mut handle)).await;
        if matches!(result, Ok(()) | Err(WebSocketError::Protocol(_))) {
            let goodbye = poll_fn(|cx| self.poll_goodbye(cx));
            let _ = tokio::time::timeout(LINGER, goodbye).await;
        }
        result
    }

    fn poll_run(
        &mut self,
        cx: &mut Context<'_>,
        handle: &mut impl FnMut(Event<'_>, &mut Replies),
    ) -> Poll<Result<(), WebSocketError>> {
        loop {
            // What is large is better written before more is read.
            ready!(self.poll_flush(cx))?;
            if self.out.closed {
                return Poll::Ready(Ok(()));
            }
            let Self { io, frames, out } = self;
            let read = frames.poll_events(io, cx, |event| {
                match event {
                    Event::Ping(payload) => {
                        encode_frame(&mut out.bytes, OpCode::Pong, payload, None);
                    }
                    Event::Close(close) => {
                        out.close(close.map(|close| close.code));
                        return ControlFlow::Break(());
                    }
                    other => handle(other, out),
                }
                if out.closed {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            match ready!(read) {
                Ok(_) => {}
                Err(ReadError::Format(error)) => {
                    self.out.close(Some(error.close_code()));
                    return Poll::Ready(Err(error.into()));
                }
                Err(ReadError::Io(error)) => return Poll::Ready(Err(error.into())),
                Err(ReadError::End) => return Poll::Ready(Err(WebSocketError::Ended)),
            }
        }
    }

    /// Writes the close frame and waits for the peer to be done too.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let written = ready!(self.poll_flush(cx));
        if written.is_err() || !self.out.shut {
            self.out.shut = true;
            if ready!(self.io.poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
        }
        self.io.poll_discard(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let out = &mut self.out;
        while out.written < out.bytes.len() {
            let rest = IoSlice::new(&out.bytes[out.written..]);
            match ready!(self.io.poll_write(cx, &[rest]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => out.written += written,
            }
        }
        out.bytes = Vec::new();
        out.written = 0;
        self.io.poll_flush(cx)
    }
}

impl Upgrading {
    /// Waits until the response has been sent; `None` if the peer has gone.
    pub async fn finish(self) -> Option<WebSocket> {
        let (io, read): (Io, Bytes) = upgraded(self.on_upgrade).await?;
        let format = WebSocketFormat::new(Role::Server, self.limits, self.deflate);
        let frames = FrameReader::new(format, &read);
        let deflater = self.deflate.and_then(|agreed| {
            let threshold = agreed.threshold()?;
            let (level, bits) = (agreed.level(), agreed.window_bits());
            let deflater = Deflater::new(level, bits, agreed.context());
            Some((Box::new(deflater), threshold))
        });
        Some(WebSocket {
            io,
            frames,
            out: Replies {
                bytes: Vec::new(),
                deflater,
                written: 0,
                closed: false,
                shut: false,
            },
        })
    }
}

impl Replies {
    /// Sends a text message.
    pub fn text(&mut self, text: &str) {
        self.message(OpCode::Text, text.as_bytes());
    }

    /// Sends a binary message.
    pub fn binary(&mut self, data: &[u8]) {
        self.message(OpCode::Binary, data);
    }

    fn message(&mut self, op: OpCode, payload: &[u8]) {
        let is_sent = match &mut self.deflater {
            Some((deflater, threshold)) if payload.len() >= *threshold => {
                deflater.encode_frame(&mut self.bytes, op, payload, None)
            }
            _ => false,
        };
        if !is_sent {
            encode_frame(&mut self.bytes, op, payload, None);
        }
    }

    /// Closes the WebSocket, with a status code or without. Nothing can be sent afterwards.
    pub fn close(&mut self, code: Option<u16>) {
        if !std::mem::replace(&mut self.closed, true) {
            let code = code.map(u16::to_be_bytes);
            let payload = code.as_ref().map_or(&[][..], |code| &code[..]);
            encode_frame(&mut self.bytes, OpCode::Close, payload, None);
        }
    }
}
