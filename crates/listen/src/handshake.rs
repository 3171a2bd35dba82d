use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::Extensions;
use http::request::Parts;
use sockeye_engine::{PeerCredentials, PeerInfo};

/// The request that opened a session.
///
/// Kept as compact blocks: a copy of the headers costs what they are long, while the HTTP
/// library's own header map would keep its whole read buffer alive for the life of the session.
#[derive(Clone)]
pub struct Handshake {
    headers: Headers,
    /// Nothing stands for `/`, which then takes no memory.
    uri: Box<str>,
    path_len: u32,
    peer: Peer,
    /// Nanoseconds since 1970, which is half of what a `SystemTime` takes.
    time: u64,
    secure: bool,
    /// One word, if there are none.
    extensions: Extensions,
}

// Every session has one of these for as long as it lives.
const _: () = assert!(size_of::<Handshake>() <= 88);

/// Where the peer is, or who: no transport tells both.
#[derive(Clone, Copy)]
enum Peer {
    Unknown,
    At(SocketAddr),
    Local(PeerCredentials),
}

/// What is known of the connection that a request came on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionInfo {
    /// The peer's address.
    pub remote_addr: Option<SocketAddr>,
    /// Whether TLS was terminated here.
    pub secure: bool,
}

/// The headers of a request, in the order they came, names in lower case.
#[derive(Clone, Default)]
pub struct Headers {
    /// For each header: name length, value length (two bytes each, big-endian), name, value.
    block: Box<[u8]>,
}

impl Handshake {
    /// Keeps what handlers may ask for. `time` is when the request came.
    #[must_use]
    pub fn new(
        parts: &Parts,
        remote_addr: Option<SocketAddr>,
        secure: bool,
        time: SystemTime,
    ) -> Self {
        let path_len = u32::try_from(parts.uri.path().len()).unwrap_or(u32::MAX);
        let uri = parts
            .uri
            .path_and_query()
            .map_or("/", |uri| uri.as_str())
            .into();
        Self {
            headers: Headers::new(&parts.headers),
            uri,
            path_len,
            peer: remote_addr.map_or(Peer::Unknown, Peer::At),
            time: since_1970(time),
            secure,
            extensions: kept(&parts.extensions),
        }
    }

    /// What is known of a peer on a bare stream: it sends no request, so that there are no
    /// headers and no query, and the URL is `/`. A peer with an address has no credentials.
    #[must_use]
    pub fn of_stream(
        remote_addr: Option<SocketAddr>,
        credentials: Option<PeerCredentials>,
        secure: bool,
        time: SystemTime,
    ) -> Self {
        let headers = Headers::default();
        Self {
            headers,
            uri: Box::default(),
            path_len: 0,
            peer: match (remote_addr, credentials) {
                (Some(addr), _) => Peer::At(addr),
                (None, Some(credentials)) => Peer::Local(credentials),
                (None, None) => Peer::Unknown,
            },
            time: since_1970(time),
            secure,
            extensions: Extensions::new(),
        }
    }

    /// The request's headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// A header's value; `None` if it is missing or not text. The name's case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Path and query of the request.
    #[must_use]
    pub fn url(&self) -> &str {
        match &*self.uri {
            "" => "/",
            uri => uri,
        }
    }

    fn path(&self) -> Option<&str> {
        match &*self.uri {
            "" => Some("/"),
            uri => uri.get(..self.path_len as usize),
        }
    }

    /// The query string, still encoded, without the question mark.
    #[must_use]
    pub fn query_string(&self) -> &str {
        self.uri
            .get(self.path_len as usize + 1..)
            .unwrap_or_default()
    }

    /// The query's keys and values, decoded. Of a repeated key, the last one counts.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query_string().as_bytes())
    }

    /// The value of one key of the query, decoded; the last one if it is repeated.
    #[must_use]
    pub fn query_value(&self, key: &str) -> Option<Cow<'_, str>> {
        self.query()
            .filter(|(name, _)| name == key)
            .last()
            .map(|(_, value)| value)
    }

    /// The peer's address, where the transport has one.
    #[must_use]
    pub const fn remote_addr(&self) -> Option<SocketAddr> {
        match self.peer {
            Peer::At(addr) => Some(addr),
            Peer::Local(_) | Peer::Unknown => None,
        }
    }

    /// Who the peer is, over a Unix-domain socket.
    #[must_use]
    pub const fn peer_credentials(&self) -> Option<PeerCredentials> {
        match self.peer {
            Peer::Local(credentials) => Some(credentials),
            Peer::At(_) | Peer::Unknown => None,
        }
    }

    /// What is known of the peer's end of the network socket.
    #[must_use]
    pub const fn peer(&self) -> PeerInfo {
        PeerInfo {
            secure: self.secure,
            remote_addr: self.remote_addr(),
            credentials: self.peer_credentials(),
        }
    }

    /// When the request came.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.time)
    }

    /// What the layers around this server have put into the request's extensions, by type: the user
    /// of a session or of a token, for one. They are those of the request that opened the session, and
    /// are kept as long as it lives; later requests of it, and an upgrade's, have no say. Empty on
    /// listeners of the library's own without [layers](crate::EngineConfig::layer), and on bare streams.
    #[must_use]
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// What the request's [extensions](Self::extensions) have of this type.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions.get()
    }

    /// Whether the request came over TLS, as far as this server terminated it.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the request came from a page of another origin (or a page at all): it has an
    /// `Origin` header.
    #[must_use]
    pub fn is_cross_domain(&self) -> bool {
        self.header("origin").is_some()
    }
}

fn since_1970(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The extensions without what is the library's own, so that most sessions keep none. An upgrade would keep the
/// connection of its request.
fn kept(extensions: &Extensions) -> Extensions {
    if extensions.is_empty() {
        return Extensions::new();
    }
    let mut kept = extensions.clone();
    kept.remove::<ConnectionInfo>();
    kept.remove::<hyper::upgrade::OnUpgrade>();
    match kept.is_empty() {
        true => Extensions::new(),
        false => kept,
    }
}

impl Headers {
    fn new(headers: &http::HeaderMap) -> Self {
        let size = headers
            .iter()
            .map(|(name, value)| 4 + name.as_str().len() + value.len())
            .sum();
        let mut block = Vec::with_capacity(size);
        for (name, value) in headers {
            let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
            // Both are bounded by the HTTP server's limits, far below these 64 KiB.
            let Ok(name_len) = u16::try_from(name.len()) else {
                continue;
            };
            let Ok(value_len) = u16::try_from(value.len()) else {
                continue;
            };
            block.extend_from_slice(&name_len.to_be_bytes());
            block.extend_from_slice(&value_len.to_be_bytes());
            block.extend_from_slice(name);
            block.extend_from_slice(value);
        }
        Self {
            block: block.into(),
        }
    }

    /// The first value of this name, if it is text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// All headers with their raw values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = &self.block[..];
        std::iter::from_fn(move || {
            let (lengths, tail) = rest.split_first_chunk::<4>()?;
            let name_len = usize::from(u16::from_be_bytes([lengths[0], lengths[1]]));
            let value_len = usize::from(u16::from_be_bytes([lengths[2], lengths[3]]));
            let (name, tail) = tail.split_at(name_len);
            let (value, tail) = tail.split_at(value_len);
            rest = tail;
            Some((std::str::from_utf8(name).unwrap_or_default(), value))
        })
    }
}

/// Names only: values may be cookies and tokens.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Without the query, in which tokens travel.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("path", &self.path())
            .field("headers", &self.headers)
            .field("remote_addr", &self.remote_addr())
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(uri: &str) -> Handshake {
        let request = http::Request::builder()
            .uri(uri)
            .header("Host", "example.org")
            .header("X-Token", "secret");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Handshake::new(&parts, None, false, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let handshake = handshake("/socket.io/");
        assert_eq!(handshake.header("HOST"), Some("example.org"));
        assert_eq!(handshake.header("x-token"), Some("secret"));
        assert_eq!(handshake.header("cookie"), None);
        assert_eq!(handshake.headers().iter().count(), 2);
    }

    #[test]
    fn query_is_read_as_browsers_and_node_write_it() {
        let handshake = handshake("/?a&b=&&c=d=e&f=100%&g=%zz%4&h=%F0%9F%98%80&i=%ff");
        let pairs: Vec<_> = handshake.query().collect();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect();
        let expected = [
            ("a", ""),
            ("b", ""),
            ("c", "d=e"),
            ("f", "100%"),
            ("g", "%zz%4"),
            ("h", "😀"),
            ("i", "\u{fffd}"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn last_of_a_repeated_query_key_counts() {
        let handshake = handshake("/socket.io/?a=1&b=%C3%A9+x&a=2");
        assert_eq!(handshake.query_value("a").as_deref(), Some("2"));
        assert_eq!(handshake.query_value("b").as_deref(), Some("é x"));
        assert_eq!(handshake.query_string(), "a=1&b=%C3%A9+x&a=2");
        assert_eq!(handshake.url(), "/socket.io/?a=1&b=%C3%A9+x&a=2");
    }

    #[test]
    fn extensions_of_others_are_kept_and_no_others() {
        #[derive(Clone, Debug, PartialEq)]
        struct User(u32);
        let info = ConnectionInfo {
            remote_addr: None,
            secure: false,
        };
        let request = http::Request::builder().extension(info);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let new = |parts: &Parts| Handshake::new(parts, None, false, SystemTime::UNIX_EPOCH);
        assert!(new(&parts).extensions().is_empty());
        parts.extensions.insert(User(7));
        let handshake = new(&parts);
        assert_eq!(handshake.extension(), Some(&User(7)));
        assert_eq!(handshake.extensions().len(), 1);
        assert_eq!(handshake.extension::<u32>(), None);
        assert!(!format!("{handshake:?}").contains("User"));
    }

    #[test]
    fn time_is_kept_to_the_nanosecond() {
        let (parts, ()) = http::Request::new(()).into_parts();
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_800_000_000_123_456_789);
        assert_eq!(Handshake::new(&parts, None, false, time).time(), time);
    }

    #[test]
    fn debug_shows_no_values() {
        let text = format!("{:?}", handshake("/socket.io/?token=secret"));
        assert!(!text.contains("secret"), "{text}");
    }
}
