use std::fmt;
use std::time::Duration;

use sockeye_websocket::handshake::ClientRequest;
use sockeye_websocket::{
    Decoded, Decoder, DeflateConfig, Deflater, Event, Inflater, Limits, OpCode, Role, encode_close,
    encode_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{BoxStream, Http, Net, Response};

/// A WebSocket in the client role. It answers nothing by itself.
pub struct WebSocket {
    stream: BoxStream,
    decoder: Decoder,
    compression: Option<Compression>,
    read: Vec<u8>,
    ended: bool,
    patience: Duration,
}

/// What was agreed on about compression, and what came of it.
struct Compression {
    deflater: Deflater,
    inflater: Inflater,
    inflated: usize,
}

/// What came on a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close frame with its status code, if it has one.
    Close(Option<u16>),
}

/// Frames of a client must be masked; with what is of no interest here.
const MASK: Option<[u8; 4]> = Some([0x5a, 0x01, 0xfe, 0x3c]);

impl WebSocket {
    /// Opens a WebSocket at the server's path with this query.
    ///
    /// # Errors
    ///
    /// The answer, if it is not the one that switches protocols.
    pub async fn connect(net: &Net, query: &str) -> Result<Self, Response> {
        Self::over(net.http().await, net, query).await
    }

    /// Opens a WebSocket on this connection.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub async fn over(http: Http, net: &Net, query: &str) -> Result<Self, Response> {
        Self::open(http, net, query, None).await
    }

    /// Opens a WebSocket at the server's path with this query, and offers compression.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_compressed(
        net: &Net,
        query: &str,
        offer: DeflateConfig,
    ) -> Result<Self, Response> {
        Self::open(net.http().await, net, query, Some(offer)).await
    }

    async fn open(
        mut http: Http,
        net: &Net,
        query: &str,
        offer: Option<DeflateConfig>,
    ) -> Result<Self, Response> {
        let handshake = ClientRequest::new(*b"the sample nonce").deflate(offer);
        let mut request = net.to_get(query);
        for (name, value) in handshake.headers() {
            request = request.header(name, value);
        }
        let response = http.request(&request).await;
        let headers = response.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let Ok(accepted) = handshake.verify(response.status, headers) else {
            return Err(response);
        };
        let agreed = accepted.deflate;
        let (stream, read) = http.into_parts();
        Ok(Self {
            stream,
            decoder: Decoder::new(Role::Client, Limits::default()).deflate(agreed),
            compression: agreed.map(|agreed| Compression {
                deflater: Deflater::new(agreed.level(), agreed.window_bits(), agreed.context()),
                inflater: Inflater::new(agreed.peer_context()),
                inflated: 0,
            }),
            read,
            ended: false,
            patience: net.patience(),
        })
    }

    /// Sends a text message.
    pub async fn text(&mut self, text: &str) {
        self.frame(OpCode::Text, text.as_bytes()).await;
    }

    /// Sends a binary message.
    pub async fn binary(&mut self, data: &[u8]) {
        self.frame(OpCode::Binary, data).await;
    }

    /// Sends a close frame.
    pub async fn close(&mut self, code: Option<u16>) {
        let mut bytes = Vec::new();
        encode_close(&mut bytes, code.map(|code| (code, "")), MASK);
        self.write(&bytes).await;
    }

    /// Sends one frame.
    pub async fn frame(&mut self, op: OpCode, payload: &[u8]) {
        self.write(&Self::encoded(op, payload)).await;
    }

    /// How many compressed messages have come; `None` if there was no agreement on that.
    #[must_use]
    pub fn inflated(&self) -> Option<usize> {
        self.compression
            .as_ref()
            .map(|compression| compression.inflated)
    }

    /// Sends one message, compressed, which was agreed on. It must get shorter by that.
    pub async fn compressed(&mut self, op: OpCode, payload: &[u8]) {
        let mut bytes = Vec::new();
        let compression = self.compression.as_mut().expect("an agreement");
        assert!(
            compression
                .deflater
                .encode_frame(&mut bytes, op, payload, MASK)
        );
        self.write(&bytes).await;
    }

    /// The bytes of one frame.
    #[must_use]
    pub fn encoded(op: OpCode, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, op, payload, MASK);
        bytes
    }

    /// Writes bytes as they are. That the server has hung up is for [`next`](Self::next) to find.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Says that nothing more will be sent.
    pub async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Waits for the next frame; `None` when the stream ends, which is then ended from this side
    /// too.
    pub async fn next(&mut self) -> Option<Frame> {
        let patience = self.patience;
        match tokio::time::timeout(patience, self.read_frame()).await {
            Ok(frame) => frame,
            Err(_) => panic!("no frame within {patience:?}"),
        }
    }

    /// Waits for a text.
    pub async fn next_text(&mut self) -> String {
        match self.next().await {
            Some(Frame::Text(text)) => text,
            other => panic!("{other:?} instead of a text"),
        }
    }

    /// Reads to the end of the stream; gives the code of the close frame, if there was one.
    pub async fn closed(&mut self) -> Option<Option<u16>> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if let Frame::Close(close) = frame {
                code = Some(close);
            }
        }
        code
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        if self.ended {
            // Nothing after a close frame counts; what matters is that the server hangs up.
            let mut rest = Vec::new();
            let _ = self.stream.read_to_end(&mut rest).await;
            self.shutdown().await;
            return None;
        }
        loop {
            let (frame, used) = match self.decoder.decode(&mut self.read) {
                Ok(Decoded::Event { event, used }) => (Some(Frame::from(event)), used),
                Ok(Decoded::Deflated { message, used }) => {
                    let compression = self.compression.as_mut().expect("an agreement");
                    compression.inflated += 1;
                    let event = message.inflate(&mut compression.inflater);
                    (Some(event.expect("a good message").into()), used)
                }
                Ok(Decoded::Skip { used }) => (None, used),
                Ok(Decoded::NeedMore { .. }) => {
                    let read = self.stream.read_buf(&mut self.read).await.ok()?;
                    if read == 0 {
                        self.shutdown().await;
                        return None;
                    }
                    continue;
                }
                Err(error) => panic!("the server broke the protocol: {error}"),
            };
            self.read.drain(..used);
            self.ended |= matches!(frame, Some(Frame::Close(_)));
            if frame.is_some() {
                return frame;
            }
        }
    }
}

impl From<Event<'_>> for Frame {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_string()),
            Event::Binary(data) => Self::Binary(data.to_vec()),
            Event::Ping(data) => Self::Ping(data.to_vec()),
            Event::Pong(data) => Self::Pong(data.to_vec()),
            Event::Close(close) => Self::Close(close.map(|close| close.code)),
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}
