//! A WebSocket in the hands of a script, at either end.

use sockeye_websocket::handshake::{ClientRequest, verify_request};
use sockeye_websocket::{Decoded, Decoder, Event, Limits, OpCode, Role, encode_frame};

use super::http::{Head, head};
use super::pipe::Pipe;

pub(super) struct WebSocket {
    pipe: Pipe,
    decoder: Decoder,
    role: Role,
    is_over: bool,
}

/// What came in a frame that is of interest.
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
}

/// Frames of a client must be masked. By what does not matter where nobody listens.
const MASK: [u8; 4] = [0x5a, 0x01, 0xfe, 0x3c];

impl WebSocket {
    /// Shakes hands as a client does; gives the status and the body of an answer that refuses to.
    pub(super) async fn open(
        mut pipe: Pipe,
        target: &str,
        headers: &[(String, String)],
    ) -> Result<Self, (u16, String)> {
        let handshake = ClientRequest::new(*b"the sample nonce");
        let asked = handshake.headers();
        let asked = asked.map(|(name, value)| (name.to_owned(), value));
        let all = headers.iter().cloned().chain(asked);
        pipe.send(head(&format!("GET {target} HTTP/1.1"), all))
            .await;
        let answer = Head::read(&mut pipe).await;
        if answer.status() != 101 {
            return Err(answer.refusal(&mut pipe).await);
        }
        if let Err(error) = handshake.verify(answer.status(), answer.pairs()) {
            panic!("{error}");
        }
        Ok(Self::over(pipe, Role::Client))
    }

    /// Shakes hands as a server does; gives the request's target, too.
    pub(super) async fn accept(mut pipe: Pipe) -> (Self, String) {
        let request = Head::read(&mut pipe).await;
        let mut words = request.first.split(' ');
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default().to_owned();
        let accepted = match verify_request(method, (1, 1), request.pairs()) {
            Ok(accepted) => accepted,
            Err(error) => panic!("{error}: {:?}", request.first),
        };
        let headers = accepted.response_headers(None, None);
        pipe.send(head("HTTP/1.1 101 Switching Protocols", headers))
            .await;
        (Self::over(pipe, Role::Server), target)
    }

    fn over(pipe: Pipe, role: Role) -> Self {
        Self {
            pipe,
            decoder: Decoder::new(role, Limits::default()),
            role,
            is_over: false,
        }
    }

    pub(super) async fn send(&mut self, op: OpCode, payload: &[u8]) {
        let mask = match self.role {
            Role::Client => Some(MASK),
            Role::Server => None,
        };
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, op, payload, mask);
        self.pipe.send(bytes).await;
    }

    /// The next text or binary message; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        while !self.is_over {
            let (frame, used) = match self.decoder.decode(self.pipe.unread()) {
                Ok(Decoded::Event { event, used }) => {
                    let frame = match event {
                        Event::Text(text) => Some(Frame::Text(text.to_string())),
                        Event::Binary(data) => Some(Frame::Binary(data.to_vec())),
                        Event::Close(_) => {
                            self.is_over = true;
                            None
                        }
                        Event::Ping(_) | Event::Pong(_) => None,
                    };
                    (frame, used)
                }
                Ok(Decoded::Skip { used }) => (None, used),
                Ok(Decoded::Deflated { .. }) => unreachable!("compression is not offered"),
                Ok(Decoded::NeedMore { .. }) => {
                    self.is_over = !self.pipe.fill().await;
                    continue;
                }
                Err(error) => panic!("the other end breaks the protocol: {error}"),
            };
            self.pipe.unread().drain(..used);
            if frame.is_some() {
                return frame;
            }
        }
        None
    }
}
