//! What goes over the wire between a client and a server of NATS.
//!
//! Lines, some of them with a payload behind. See <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use std::str;

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a server says.
#[derive(Debug)]
pub(crate) enum Said {
    Info(Box<Info>),
    Message {
        /// The subscription.
        sid: u64,
        payload: Bytes,
    },
    Ping,
    Pong,
    /// It does not do something, or nothing any more.
    Error(String),
    /// That it has done something, which it is not asked to say.
    Ok,
}

/// What a server says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Info {
    /// Bytes that a message may have.
    pub(crate) max_payload: usize,
    pub(crate) tls_required: bool,
    /// Other servers, or other addresses of this one.
    pub(crate) connect_urls: Vec<String>,
    /// What is to be signed by whoever has a key.
    pub(crate) nonce: String,
    /// It is about to leave.
    #[serde(rename = "ldm")]
    pub(crate) is_leaving: bool,
}

/// What this client says of itself.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Hello {
    verbose: bool,
    pedantic: bool,
    /// What it says itself it does not want to hear.
    echo: bool,
    /// Without it, the server would not send what has headers as it is.
    headers: bool,
    protocol: u8,
    lang: &'static str,
    version: &'static str,
    name: &'static str,
    pub(crate) tls_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt: Option<String>,
    /// What the server has given to be signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sig: Option<String>,
}

impl Hello {
    pub(crate) fn new() -> Self {
        Self {
            headers: true,
            protocol: 1,
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            name: "sockeye",
            ..Self::default()
        }
    }

    pub(crate) fn write(&self, out: &mut BytesMut) {
        let json = serde_json::to_vec(self).unwrap_or_default();
        line(out, &[b"CONNECT ", &json]);
    }
}

/// What comes is not what a server of NATS says.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Garbled {
    #[error("a line has no end")]
    Line,
    #[error("a line means nothing")]
    Unknown,
    #[error("a message is larger than any may be")]
    Large,
}

/// Takes the next thing that a server says from what has come; nothing if it is not there as a whole.
pub(crate) fn take(input: &mut BytesMut) -> Result<Option<Said>, Garbled> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return match input.len() <= MAX_LINE {
            true => Ok(None),
            false => Err(Garbled::Line),
        };
    };
    let text = input[..end].trim_ascii_end();
    let (verb, rest) = match text.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(at) => (&text[..at], text[at..].trim_ascii_start()),
        None => (text, &b""[..]),
    };
    let said = match &*verb.to_ascii_uppercase() {
        b"MSG" => return message(input, end, false),
        b"HMSG" => return message(input, end, true),
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        b"+OK" => Said::Ok,
        b"-ERR" => {
            let reason = String::from_utf8_lossy(rest);
            Said::Error(reason.trim_matches('\'').to_owned())
        }
        b"INFO" => {
            let info = serde_json::from_slice(rest);
            Said::Info(Box::new(info.map_err(|_| Garbled::Unknown)?))
        }
        _ => return Err(Garbled::Unknown),
    };
    input.advance(end + 1);
    Ok(Some(said))
}

/// `MSG <subject> <sid> [reply] <bytes>`, or `HMSG <subject> <sid> [reply] <bytes of headers> <bytes>`.
fn message(input: &mut BytesMut, end: usize, has_headers: bool) -> Result<Option<Said>, Garbled> {
    let text = str::from_utf8(&input[..end]).map_err(|_| Garbled::Unknown)?;
    let mut words = text.split_ascii_whitespace();
    // The verb and the subject.
    let (_, _) = (words.next(), words.next());
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
    let sid = number(words.next()).ok_or(Garbled::Unknown)?;
    let size = |word: Option<&str>| {
        let size = number(word).ok_or(Garbled::Unknown)?;
        usize::try_from(size).map_err(|_| Garbled::Large)
    };
    let len = size(words.next_back())?;
    let headers = match has_headers {
        true => size(words.next_back())?,
        false => 0,
    };
    if len > MAX_MESSAGE {
        return Err(Garbled::Large);
    }
    if headers > len {
        return Err(Garbled::Unknown);
    }
    let whole = end + 1 + len + b"\r\n".len();
    if input.len() < whole {
        input.reserve(whole - input.len());
        return Ok(None);
    }
    let mut taken = input.split_to(whole).freeze();
    if !taken.ends_with(b"\r\n") {
        return Err(Garbled::Unknown);
    }
    taken.truncate(whole - b"\r\n".len());
    taken.advance(end + 1 + headers);
    let payload = taken;
    Ok(Some(Said::Message { sid, payload }))
}

pub(crate) fn publish(out: &mut BytesMut, subject: &str, payload: &[u8]) {
    let len = payload.len().to_string();
    line(out, &[b"PUB ", subject.as_bytes(), b" ", len.as_bytes()]);
    line(out, &[payload]);
}

pub(crate) fn subscribe(out: &mut BytesMut, subject: &str, sid: u64) {
    let sid = sid.to_string();
    line(out, &[b"SUB ", subject.as_bytes(), b" ", sid.as_bytes()]);
}

pub(crate) fn unsubscribe(out: &mut BytesMut, sid: u64) {
    line(out, &[b"UNSUB ", sid.to_string().as_bytes()]);
}

pub(crate) fn ping(out: &mut BytesMut) {
    line(out, &[b"PING"]);
}

pub(crate) fn pong(out: &mut BytesMut) {
    line(out, &[b"PONG"]);
}

fn line(out: &mut BytesMut, pieces: &[&[u8]]) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\r\n");
}

/// Servers say their addresses in one line, of which there may be many.
const MAX_LINE: usize = 1024 * 1024;

/// No server of NATS takes more.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &[u8]) -> Result<Vec<String>, Garbled> {
        let mut input = BytesMut::from(text);
        let mut said = Vec::new();
        while let Some(next) = take(&mut input)? {
            said.push(format!("{next:?}"));
        }
        if !input.is_empty() {
            said.push(format!("{} left", input.len()));
        }
        Ok(said)
    }

    #[test]
    fn what_servers_say_is_understood() {
        let said = all(b"PING\r\nPONG\r\n+OK\r\n-ERR 'Stale Connection'\r\n\
            MSG a.b 7 3\r\nx\ny\r\nMSG a 8 reply.to 0\r\n\r\nHMSG a 9 14 16\r\nNATS/1.0\r\nA:\r\nhi\r\npin");
        assert_eq!(
            said.unwrap(),
            [
                "Ping",
                "Pong",
                "Ok",
                r#"Error("Stale Connection")"#,
                r#"Message { sid: 7, payload: b"x\ny" }"#,
                r#"Message { sid: 8, payload: b"" }"#,
                r#"Message { sid: 9, payload: b"hi" }"#,
                "3 left",
            ]
        );
        let mut info = BytesMut::from(
            &br#"INFO {"max_payload":9,"ldm":true,"connect_urls":["a:1"],"new":{}} "#[..],
        );
        info.extend_from_slice(b"\r\n");
        let Ok(Some(Said::Info(info))) = take(&mut info) else {
            panic!("it is one");
        };
        assert_eq!((info.max_payload, info.is_leaving), (9, true));
        assert_eq!(info.connect_urls, ["a:1"]);
    }

    #[test]
    fn messages_come_in_any_pieces() {
        let whole = b"HMSG a 9 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n";
        for first in 0..whole.len() {
            let mut input = BytesMut::new();
            let mut said = Vec::new();
            for piece in [&whole[..first], &whole[first..]] {
                input.extend_from_slice(piece);
                while let Some(next) = take(&mut input).unwrap() {
                    said.push(format!("{next:?}"));
                }
            }
            assert_eq!(
                said,
                [r#"Message { sid: 9, payload: b"hi" }"#, "Ping"],
                "{first}"
            );
        }
    }

    #[test]
    fn what_is_garbled_is_refused() {
        assert_eq!(all(b"GET / HTTP/1.1\r\n"), Err(Garbled::Unknown));
        assert_eq!(all(b"\r\n"), Err(Garbled::Unknown));
        assert_eq!(all(b"INFO {\r\n"), Err(Garbled::Unknown));
        assert_eq!(all(b"MSG a\r\n"), Err(Garbled::Unknown));
        assert_eq!(all(b"MSG a 1 -1\r\n"), Err(Garbled::Unknown));
        assert_eq!(all(b"MSG a 1 2\r\nabcd"), Err(Garbled::Unknown));
        assert_eq!(all(b"HMSG a 1 9 8\r\n"), Err(Garbled::Unknown));
        assert_eq!(all(b"MSG a 1 67108865\r\n"), Err(Garbled::Large));
        assert_eq!(all(&[b'x'; MAX_LINE + 1]), Err(Garbled::Line));
    }

    /// Things that a server may say, and things like them.
    fn nearly_said() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            6 => prop::sample::select(vec![
                "MSG ", "HMSG ", "PING", "PONG", "+OK", "-ERR ", "INFO ", "{}", r#"{"max_payload":"#, "a.b ", "7 ", "3", "0",
                "12 ", "16", "-1", "99999999999999999999", "67108865", "\r\n", "\n", "\t", "'Slow'", "NATS/1.0\r\n\r\n",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..5),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_pieces_means_anything_else(
            bytes in nearly_said(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut input = BytesMut::new();
            let mut said = Vec::new();
            let mut end = Ok(());
            for piece in cuts.windows(2) {
                input.extend_from_slice(&bytes[piece[0]..piece[1]]);
                while end.is_ok() {
                    match take(&mut input) {
                        Ok(Some(next)) => said.push(format!("{next:?}")),
                        Ok(None) => break,
                        Err(error) => end = Err(error),
                    }
                }
            }
            if !input.is_empty() {
                said.push(format!("{} left", input.len()));
            }
            prop_assert_eq!(all(&bytes), end.map(|()| said));
        }
    }

    #[test]
    fn lines_are_those_of_the_protocol() {
        let mut out = BytesMut::new();
        publish(&mut out, "a.b", b"hi");
        subscribe(&mut out, "a.*", 7);
        unsubscribe(&mut out, 7);
        ping(&mut out);
        pong(&mut out);
        assert_eq!(
            out,
            &b"PUB a.b 2\r\nhi\r\nSUB a.* 7\r\nUNSUB 7\r\nPING\r\nPONG\r\n"[..]
        );
    }
}
