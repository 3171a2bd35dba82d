//! The handshake: what a server says first, and what a client says first on a stream.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde_json::Value;

use crate::TransportKind;

/// The content of the server's open packet.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenPacket {
    /// The session's id. Secret: whoever has it can take the session over.
    pub sid: String,
    /// The transports that the client may move to.
    pub upgrades: Vec<TransportKind>,
    /// Time between two heartbeats.
    pub ping_interval: Duration,
    /// How long the answer to a heartbeat may take.
    pub ping_timeout: Duration,
    /// Bytes that the server takes in one payload; `None` if it does not say (servers before Socket.IO 4.5).
    pub max_payload: Option<usize>,
    /// What the server takes of the compressions that the client has offered in its [`OpenRequest`]; from now on both
    /// ends may use it.
    pub compression: Option<Compression>,
}

/// A way to compress messages on a bare stream, which both ends have to agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Raw deflate, each message by itself; see [`frame::compressed`](crate::frame::compressed).
    Deflate,
}

impl Compression {
    /// The name in open packets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
        }
    }

    /// The first of these names that is known.
    fn first_known(names: &[Cow<'_, str>]) -> Option<Self> {
        let known = |name: &Cow<'_, str>| name == Self::Deflate.name();
        names.iter().any(known).then_some(Self::Deflate)
    }

    /// How it is offered, and taken.
    fn to_member(self) -> String {
        format!(r#""compress":["{}"]"#, self.name())
    }
}

/// The server's open packet cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("open packet is not the JSON of a handshake")]
pub struct OpenPacketError(#[from] serde_json::Error);

impl OpenPacket {
    /// The packet's JSON, without the type digit in front.
    #[must_use]
    pub fn to_json(&self) -> String {
        // The keys' order is that of the originals; a string's `Value` displays as its JSON.
        let sid = Value::from(self.sid.as_str());
        let upgrades: Value = self.upgrades.iter().map(|kind| kind.name()).collect();
        let interval = self.ping_interval.as_millis();
        let timeout = self.ping_timeout.as_millis();
        let mut json = format!(
            r#"{{"sid":{sid},"upgrades":{upgrades},"pingInterval":{interval},"pingTimeout":{timeout}"#
        );
        if let Some(bytes) = self.max_payload {
            json.push_str(",\"maxPayload\":");
            json.push_str(&bytes.to_string());
        }
        if let Some(compression) = self.compression {
            json.push(',');
            json.push_str(&compression.to_member());
        }
        json.push('}');
        json
    }

    /// Reads the data of an open packet. Unknown keys and unknown upgrades are left out.
    ///
    /// # Errors
    ///
    /// The data is not a JSON object with the four keys that every server sends.
    pub fn from_json(json: &str) -> Result<Self, OpenPacketError> {
        let wire: WireOpen<'_> = serde_json::from_str(json)?;
        Ok(Self {
            sid: wire.sid.into_owned(),
            upgrades: wire
                .upgrades
                .iter()
                .filter_map(|name| TransportKind::from_name(name))
                .collect(),
            ping_interval: Duration::from_millis(wire.ping_interval.0),
            ping_timeout: Duration::from_millis(wire.ping_timeout.0),
            // A server without a limit says 0 or leaves the key out.
            max_payload: wire
                .max_payload
                .filter(|n| n.0 > 0)
                .map(|n| usize::try_from(n.0).unwrap_or(usize::MAX)),
            compression: Compression::first_known(&wire.compress),
        })
    }
}

/// The client's first packet on a stream (WebTransport, TCP, Unix): it wants a new session, or to upgrade one.
#[derive(Clone, PartialEq, Eq)]
pub enum OpenRequest {
    /// `0`, or `0{"compress":["deflate"]}`: a new session.
    New {
        /// What the client would like to use. A server that does not know of it may refuse such a request, as it may
        /// any that it does not understand.
        compression: Option<Compression>,
    },
    /// `0{"sid":"…"}`: an upgrade of the session with this id.
    Upgrade {
        /// The session to upgrade.
        sid: String,
    },
}

impl OpenRequest {
    /// Reads the data of a client's open packet.
    ///
    /// # Errors
    ///
    /// The data is neither empty nor a JSON object with a `sid` or with `compress`.
    pub fn from_data(data: &str) -> Result<Self, OpenPacketError> {
        if data.is_empty() {
            return Ok(Self::New { compression: None });
        }
        let wire: WireRequest<'_> = serde_json::from_str(data)?;
        Ok(match wire {
            WireRequest::Upgrade { sid } => Self::Upgrade { sid },
            WireRequest::New { compress } => Self::New {
                compression: Compression::first_known(&compress),
            },
        })
    }

    /// The packet's data, without the type digit in front.
    #[must_use]
    pub fn to_data(&self) -> String {
        match self {
            Self::New { compression: None } => String::new(),
            Self::New {
                compression: Some(compression),
            } => format!("{{{}}}", compression.to_member()),
            Self::Upgrade { sid } => {
                let sid = Value::from(sid.as_str());
                format!(r#"{{"sid":{sid}}}"#)
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOpen<'a> {
    sid: Cow<'a, str>,
    #[serde(default)]
    upgrades: Vec<Cow<'a, str>>,
    ping_interval: Count,
    ping_timeout: Count,
    #[serde(default)]
    max_payload: Option<Count>,
    #[serde(default)]
    compress: Vec<Cow<'a, str>>,
}

/// A whole number as other languages' servers write it too: `25000.0` where all numbers are floats, `"25000"` where it
/// comes out of a configuration. JavaScript's timers take all of these. Fractions are dropped.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number that is not negative, or the text of one")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Count, E> {
        Ok(Count(n))
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Count, E> {
        if !n.is_finite() || n < 0.0 {
            return Err(E::invalid_value(Unexpected::Float(n), &self));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is not negative"
        )]
        Ok(Count(n as u64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        if let Ok(n) = text.trim().parse() {
            return Ok(Count(n));
        }
        match text.trim().parse() {
            Ok(n) => self.visit_f64(n),
            Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireRequest<'a> {
    Upgrade { sid: String },
    New { compress: Vec<Cow<'a, str>> },
}

/// Without the session's id, which is a secret.
impl fmt::Debug for OpenPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenPacket")
            .field("upgrades", &self.upgrades)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_payload", &self.max_payload)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

/// Without the session's id, which is a secret.
impl fmt::Debug for OpenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { compression } => f
                .debug_struct("New")
                .field("compression", compression)
                .finish(),
            Self::Upgrade { .. } => f.debug_struct("Upgrade").finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> OpenPacket {
        OpenPacket {
            sid: "abcdefghijklmnopqrst".to_owned(),
            upgrades: vec![TransportKind::WebSocket],
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: Some(1_000_000),
            compression: None,
        }
    }

    #[test]
    fn keys_come_in_the_order_of_the_originals() {
        let json = r#"{"sid":"abcdefghijklmnopqrst","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(sample().to_json(), json);
        assert_eq!(OpenPacket::from_json(json).unwrap(), sample());
    }

    #[test]
    fn without_upgrades_the_packet_has_107_bytes() {
        let open = OpenPacket {
            upgrades: Vec::new(),
            ..sample()
        };
        assert_eq!(1 + open.to_json().len(), 107);
    }

    #[test]
    fn an_agreed_compression_is_the_last_key() {
        let open = OpenPacket {
            compression: Some(Compression::Deflate),
            ..sample()
        };
        let json = open.to_json();
        assert!(json.ends_with(r#","maxPayload":1000000,"compress":["deflate"]}"#));
        assert_eq!(OpenPacket::from_json(&json).unwrap(), open);
    }

    #[test]
    fn old_and_strange_servers_are_understood() {
        let json = r#"{"sid":"a","upgrades":["flashsocket","websocket"],"pingInterval":1,"pingTimeout":2,"x":[1]}"#;
        let open = OpenPacket::from_json(json).unwrap();
        assert_eq!(open.upgrades, [TransportKind::WebSocket]);
        assert_eq!(open.max_payload, None);
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"sid":1,"pingInterval":1,"pingTimeout":2}"#,
        ] {
            assert!(OpenPacket::from_json(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_read_however_they_are_written() {
        for (interval, timeout, payload) in [
            ("25000", "20000", "1000000"),
            ("25000.0", "2e4", "1e6"),
            ("\"25000\"", "\"20000.0\"", "\" 1000000\""),
            ("25000.9", "20000.5", "1000000.1"),
        ] {
            let json = format!(
                r#"{{"sid":"abcdefghijklmnopqrst","upgrades":["websocket"],"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":{payload}}}"#
            );
            assert_eq!(OpenPacket::from_json(&json).unwrap(), sample(), "{json}");
        }
        for bad in [
            "-1", "-0.5", "\"-1\"", "\"\"", "\"x\"", "\"inf\"", "\"NaN\"", "null", "true", "[1]",
            "{}",
        ] {
            let json = format!(r#"{{"sid":"a","pingInterval":{bad},"pingTimeout":1}}"#);
            let error = OpenPacket::from_json(&json).unwrap_err();
            assert!(error.to_string().contains("open packet"), "{json}");
        }
        let huge = r#"{"sid":"a","pingInterval":1e300,"pingTimeout":"99999999999999999999"}"#;
        let open = OpenPacket::from_json(huge).unwrap();
        assert_eq!(open.ping_interval, Duration::from_millis(u64::MAX));
        assert_eq!(open.ping_timeout, Duration::from_millis(u64::MAX));
    }

    #[test]
    fn open_requests_round_trip() {
        for request in [
            OpenRequest::New { compression: None },
            OpenRequest::New {
                compression: Some(Compression::Deflate),
            },
            OpenRequest::Upgrade {
                sid: "a\"b".to_owned(),
            },
        ] {
            assert_eq!(OpenRequest::from_data(&request.to_data()).unwrap(), request);
        }
        let offer = r#"{"compress":["zstd","deflate"],"x":1}"#;
        let compression = Some(Compression::Deflate);
        assert_eq!(
            OpenRequest::from_data(offer).unwrap(),
            OpenRequest::New { compression }
        );
        assert_eq!(
            OpenRequest::from_data(r#"{"compress":["zstd"]}"#).unwrap(),
            OpenRequest::New { compression: None }
        );
        assert!(OpenRequest::from_data("{}").is_err());
        assert!(OpenRequest::from_data("x").is_err());
    }

    #[test]
    fn debug_does_not_show_the_session_id() {
        let json = r#"{"sid":"secret","upgrades":[],"pingInterval":1,"pingTimeout":2}"#;
        let open = OpenPacket::from_json(json).unwrap();
        let upgrade = OpenRequest::Upgrade {
            sid: "secret".to_owned(),
        };
        for text in [format!("{open:?}"), format!("{upgrade:?}")] {
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
