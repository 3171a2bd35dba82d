use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::Serializer;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sockeye_adapter::HandshakeDetails;
use sockeye_engine::SessionHandle;
use sockeye_socket_proto::from_json;

/// How a socket introduced itself: the request that opened its connection, and the `auth` data
/// of its namespace.
///
/// It dereferences to the request, for headers, query, address, time and URL, and for the
/// [extensions](sockeye_listen::Handshake::extension) that layers around the server have given it. It can
/// be taken as a handler's parameter. Cheap to clone.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::{Handshake, Server};
///
/// let io = Server::new();
/// io.on("where am i", |handshake: Handshake| {
///     let agent = handshake.header("user-agent").unwrap_or("something");
///     format!("at {:?} with {agent}", handshake.remote_addr())
/// });
/// ```
#[derive(Clone)]
pub struct Handshake {
    request: Arc<sockeye_listen::Handshake>,
    /// A JSON object; `None` stands for an empty one.
    auth: Option<Arc<str>>,
}

impl Handshake {
    pub(crate) fn new(request: Arc<sockeye_listen::Handshake>, auth: Option<&str>) -> Self {
        Self {
            request,
            auth: auth.map(Arc::from),
        }
    }

    /// What the client sent as `auth`, as JSON text; `{}` if it sent nothing.
    ///
    /// For clients of Socket.IO 2.x and older this is the query of the namespace.
    #[must_use]
    pub fn auth_json(&self) -> &str {
        self.auth.as_deref().unwrap_or("{}")
    }

    /// How many bytes of `auth` are kept.
    pub(crate) fn auth_bytes(&self) -> usize {
        self.auth.as_ref().map_or(0, |auth| auth.len())
    }

    /// What the client sent as `auth`, as a type of yours. It is read as arguments are, so that what JavaScript writes is
    /// taken as far as possible; see [`RawArgs::deserialize`](crate::RawArgs::deserialize).
    ///
    /// # Errors
    ///
    /// If it does not have the shape of `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        from_json(self.auth_json())
    }

    /// The same as a value, in the form in which other servers of a cluster are told it, and Node has it. It is made anew each
    /// time.
    #[must_use]
    pub fn details(&self) -> HandshakeDetails {
        let time = self.time();
        let issued = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let address = self.remote_addr().map(|address| address.ip());
        let mut details = HandshakeDetails::default();
        for (name, value) in self.headers().iter() {
            let value = String::from_utf8_lossy(value).into_owned();
            add(&mut details.headers, name.to_ascii_lowercase(), value);
        }
        for (key, value) in self.query() {
            add(&mut details.query, key.into_owned(), value.into_owned());
        }
        details.time = httpdate::fmt_http_date(time);
        details.address = address.map_or_else(String::new, |address| address.to_string());
        details.xdomain = self.is_cross_domain();
        details.secure = self.is_secure();
        details.issued = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
        details.url = self.url().to_owned();
        details.auth = self.auth().unwrap_or_default();
        details
    }
}

/// Adds a value; what has several becomes a list, as in Node.
fn add(map: &mut Map<String, Value>, name: String, value: String) {
    let value = Value::String(value);
    match map.get_mut(&name) {
        None => drop(map.insert(name, value)),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

impl Deref for Handshake {
    type Target = sockeye_listen::Handshake;

    fn deref(&self) -> &Self::Target {
        &self.request
    }
}

/// Without `auth`, which is where tokens are.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// The namespace query of an old client as an auth object: text values by key, in the order in
/// which they came.
pub(crate) fn auth_of_query(query: &str) -> Option<String> {
    let mut json = Vec::new();
    let pairs = serde_json::Serializer::new(&mut json)
        .collect_map(form_urlencoded::parse(query.as_bytes()));
    pairs.ok().filter(|()| !query.is_empty())?;
    String::from_utf8(json).ok()
}

/// The socket's public id under revision 3, which clients compute themselves.
pub(crate) fn legacy_id(session: &SessionHandle, namespace: &str) -> Arc<str> {
    match namespace {
        "/" => session.id().as_str().into(),
        other => format!("{other}#{}", session.id().as_str()).into(),
    }
}
