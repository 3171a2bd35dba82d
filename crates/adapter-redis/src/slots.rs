//! Which server of a Redis Cluster has which of the sharded channels.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

/// The way from a channel to its server, which is a place in a list of them.
#[derive(Debug)]
pub(crate) enum Routes {
    /// There is one server, which has all.
    One,
    /// The server of each slot.
    Slots(Box<[u16; SLOTS]>),
}

/// A server of a Redis Cluster, as it is called there.
pub(crate) type Address = (String, u16);

impl Routes {
    /// Asks a server who has what. Without addresses it is no Redis Cluster, or the server does not let us ask.
    pub(crate) async fn ask(
        redis: &mut MultiplexedConnection,
    ) -> RedisResult<(Self, Vec<Address>)> {
        match ask(redis, "SLOTS").await? {
            Some(answer) => Self::read(&answer).ok_or_else(nonsense),
            None => Ok((Self::One, Vec::new())),
        }
    }

    /// Of an answer to `CLUSTER SLOTS`: ranges of slots, each with its first and its last one, its primary and its replicas.
    fn read(answer: &Value) -> Option<(Self, Vec<Address>)> {
        let Value::Array(ranges) = answer else {
            return None;
        };
        let mut addresses = Vec::new();
        let mut slots = Box::new([0; SLOTS]);
        for range in ranges {
            let Value::Array(range) = range else {
                return None;
            };
            let [first, last, Value::Array(primary), ..] = &range[..] else {
                return None;
            };
            let [host, port, ..] = &primary[..] else {
                return None;
            };
            let address = (text(host), number(port)?);
            let known = addresses.iter().position(|known| *known == address);
            let place = known.unwrap_or(addresses.len());
            if known.is_none() {
                addresses.push(address);
            }
            let range = usize::from(number(first)?)..=usize::from(number(last)?);
            slots.get_mut(range)?.fill(u16::try_from(place).ok()?);
        }
        // Nobody has any slot as long as the cluster is not formed.
        (!addresses.is_empty()).then_some((Self::Slots(slots), addresses))
    }

    /// The place of a channel's server.
    pub(crate) fn of(&self, channel: &str) -> usize {
        match self {
            Self::One => 0,
            Self::Slots(slots) => usize::from(slots[usize::from(slot(channel))]),
        }
    }
}

/// What a server says to a question about its Redis Cluster. `None` if it is in none, or does not let us ask.
pub(crate) async fn ask(
    redis: &mut MultiplexedConnection,
    question: &str,
) -> RedisResult<Option<Value>> {
    const LOADING: ErrorKind = ErrorKind::Server(ServerErrorKind::BusyLoading);
    let mut command = redis::cmd("CLUSTER");
    match command.arg(question).query_async(redis).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_io_error() || error.kind() == LOADING => Err(error),
        Err(_) => Ok(None),
    }
}

/// The slot of a channel: a checksum of what stands between the first `{` and the next `}`, or of all if there is
/// nothing.
fn slot(channel: &str) -> u16 {
    let tag = channel
        .split_once('{')
        .and_then(|(_, rest)| Some(rest.split_once('}')?.0))
        .filter(|tag| !tag.is_empty());
    let sum = tag.unwrap_or(channel).bytes().fold(0, |sum: u16, byte| {
        // CRC-16/XMODEM, by the bit: channels are short.
        (0..8).fold(sum ^ (u16::from(byte) << 8), |sum, _| match sum >> 15 {
            0 => sum << 1,
            _ => (sum << 1) ^ 0x1021,
        })
    });
    sum % 16384
}

const SLOTS: usize = 16384;

/// A server that does not know its own name says nothing, or `?`: it is the one that was asked.
fn text(host: &Value) -> String {
    match host {
        Value::BulkString(host) if host != b"?" => String::from_utf8_lossy(host).into_owned(),
        Value::SimpleString(host) if host != "?" => host.clone(),
        _ => String::new(),
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn nonsense() -> RedisError {
    std::io::Error::other("the Redis Cluster does not say who has its slots").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), name("an id"), Value::Nil])
    }

    fn name(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, primary: Value) -> Value {
        let replica = server(name("replica"), 9);
        Value::Array(vec![Value::Int(first), Value::Int(last), primary, replica])
    }

    #[test]
    fn slots_are_those_of_redis() {
        for (channel, expected) in [
            ("", 0),
            ("123456789", 0x31c3),
            ("foo", 12182),
            ("{foo}.bar", 12182),
            ("a{foo}{bar}", 12182),
        ] {
            assert_eq!(slot(channel), expected, "{channel}");
        }
        assert_ne!(slot("{}foo"), slot("foo"));
        assert_eq!(slot("socket.io#/#"), 13868);
    }

    #[test]
    fn each_slot_has_the_server_of_its_range() {
        let answer = Value::Array(vec![
            range(0, 5000, server(name("a"), 1)),
            range(5001, 12181, server(Value::Nil, 2)),
            range(12182, 12182, server(name("a"), 1)),
            range(12183, 16383, server(name("?"), 3)),
        ]);
        let (routes, addresses) = Routes::read(&answer).unwrap();
        let [a, home, other] = [("a", 1), ("", 2), ("", 3)].map(|(h, p)| (h.to_owned(), p));
        assert_eq!(addresses, [a, home, other]);
        assert_eq!(routes.of(""), 0);
        assert_eq!(routes.of("foo"), 0);
        assert_eq!(routes.of("socket.io#/#"), 2);
        assert_eq!(Routes::One.of("foo"), 0);
    }

    #[test]
    fn answers_that_mean_nothing_are_refused() {
        let beyond = range(0, 16384, server(name("a"), 1));
        let backwards = range(5, 2, server(name("a"), 1));
        for range in [beyond, backwards, Value::Int(1), Value::Array(Vec::new())] {
            assert!(Routes::read(&Value::Array(vec![range])).is_none());
        }
        assert!(Routes::read(&Value::Array(Vec::new())).is_none());
        assert!(Routes::read(&Value::Nil).is_none());
    }
}
