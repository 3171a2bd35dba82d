//! A stream of WebSocket frames. Wherever it is cut, it says the same.
//!
//! The first byte of the input chooses role, limits and what was agreed on about compression, the second one where to cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_fuzz::bytes::{choice, sizes};
use sockeye_websocket::handshake::ClientRequest;
use sockeye_websocket::{
    Context, Decoded, Decoder, Deflate, DeflateConfig, Event, Inflater, Limits, ProtocolError, Role,
};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let flags = choice(&mut data);
    let seed = choice(&mut data);
    let role = match flags & 1 {
        0 => Role::Server,
        _ => Role::Client,
    };
    let limits = match flags & 2 {
        0 => Limits::default(),
        _ => Limits::default().max_frame(64).max_message(100),
    };
    let agreed = match flags & 12 {
        0 => None,
        4 => Some(agreed("permessage-deflate; server_no_context_takeover")),
        _ => Some(agreed("permessage-deflate")),
    };
    let decoder = || Decoder::new(role, limits).deflate(agreed);
    let context = agreed.map_or(Context::Fresh, |agreed| agreed.peer_context());
    let inflater = || Inflater::new(context);

    let all = std::iter::repeat(data.len());
    let whole = listen(decoder(), inflater(), data, all, false);
    let cut = listen(decoder(), inflater(), data, sizes(seed, 200), false);
    assert_eq!(whole, cut);
    let owned = listen(decoder(), inflater(), data, sizes(seed, 200), true);
    assert_eq!(whole, owned);
    if flags & 2 != 0 {
        assert!(whole.0.iter().all(|said| said.len() <= 125));
    }
});

/// What a server that answers like this has agreed on.
fn agreed(answer: &str) -> Deflate {
    let request = ClientRequest::new([0; 16]).deflate(Some(DeflateConfig::default()));
    let response = [
        ("upgrade", &b"websocket"[..]),
        ("connection", b"upgrade"),
        ("sec-websocket-accept", b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
        ("sec-websocket-extensions", answer.as_bytes()),
    ];
    let accepted = request.verify(101, response).expect("a good answer");
    accepted.deflate.expect("compression was agreed on")
}

/// What an event said.
#[derive(Debug, PartialEq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl Said {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data.len(),
            Self::Close(_) => 0,
        }
    }
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => {
                // The decoder vouches for it, so look again.
                Self::Text(String::from_utf8(text.as_bytes().to_vec()).expect("text is UTF-8"))
            }
            Event::Binary(data) => Self::Binary(data.to_vec()),
            Event::Ping(data) => Self::Ping(data.to_vec()),
            Event::Pong(data) => Self::Pong(data.to_vec()),
            Event::Close(close) => {
                Self::Close(close.map(|close| (close.code, close.reason.to_owned())))
            }
        }
    }
}

/// The read loop of a driver, which gets the stream in pieces.
fn listen(
    mut decoder: Decoder,
    mut inflater: Inflater,
    mut wire: &[u8],
    mut sizes: impl Iterator<Item = usize>,
    owned: bool,
) -> (Vec<Said>, Option<ProtocolError>) {
    let mut said = Vec::new();
    let mut buf = Vec::new();
    loop {
        let before = buf.len();
        let decoded = if owned {
            decoder.decode_owned(&mut buf)
        } else {
            decoder.decode(&mut buf)
        };
        let used = match decoded {
            Ok(Decoded::Event { event, used }) => {
                let ends = matches!(event, Event::Close(_));
                said.push(event.into());
                if ends {
                    return (said, None);
                }
                used
            }
            Ok(Decoded::Deflated { message, used }) => match message.inflate(&mut inflater) {
                Ok(event) => {
                    said.push(event.into());
                    used
                }
                Err(error) => {
                    assert!(matches!(error.close_code(), 1007 | 1009));
                    return (said, Some(error));
                }
            },
            Ok(Decoded::Skip { used }) => used,
            Ok(Decoded::NeedMore { total }) => {
                assert!(total > before);
                if wire.is_empty() {
                    return (said, None);
                }
                let more = sizes.next().unwrap_or(1).clamp(1, wire.len());
                buf.extend_from_slice(&wire[..more]);
                wire = &wire[more..];
                continue;
            }
            Err(error) => {
                assert!(matches!(error.close_code(), 1002 | 1007 | 1009));
                return (said, Some(error));
            }
        };
        assert!(used > 0 || (owned && buf.is_empty()), "nothing was taken");
        buf.drain(..used);
    }
}
