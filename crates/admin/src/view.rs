//! What is told of sockets.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::mem;
use std::ptr;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};
use sockeye_server::{HandshakeDetails, RemoteSocket, Revision, Socket};

/// A socket as the page shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketView {
    pub(crate) id: String,
    client_id: String,
    transport: String,
    nsp: String,
    data: Value,
    handshake: HandshakeView,
    pub(crate) rooms: Vec<String>,
}

/// Without `auth`.
#[derive(Debug, Serialize)]
struct HandshakeView {
    address: String,
    headers: Map<String, Value>,
    query: Map<String, Value>,
    issued: u64,
    secure: bool,
    time: String,
    url: String,
    xdomain: bool,
}

/// What hides what nobody is to see.
#[derive(Debug)]
pub(crate) struct Veil {
    /// In small letters.
    hidden: Vec<String>,
}

const HIDDEN: &str = "***";

/// What Node's servers add to the data of their sockets, for each other.
const NODES_OWN: &str = "_admin";

impl SocketView {
    /// A socket of this server.
    pub(crate) fn of(socket: &Socket, veil: &Veil) -> Self {
        let id = shown_id(socket);
        Self {
            client_id: client_id(socket),
            transport: socket.transport().name().to_owned(),
            nsp: socket.namespace().name().to_owned(),
            data: shared_data(socket),
            handshake: HandshakeView::new(&socket.handshake().details(), veil),
            rooms: shown_rooms(socket.id(), &id, &socket.rooms()),
            id: id.into_owned(),
        }
    }

    /// A socket of another server.
    pub(crate) fn of_remote(socket: &RemoteSocket, namespace: &str, veil: &Veil) -> Self {
        let handshake = socket.handshake();
        let id = match is_old(handshake) {
            true => Cow::Owned(alias(socket.id())),
            false => Cow::Borrowed(socket.id()),
        };
        let mut data = socket.data().clone();
        let own = data.as_object_mut().and_then(|data| data.remove(NODES_OWN));
        let own = own.unwrap_or_default();
        let text = |name: &str| own[name].as_str().map(str::to_owned);
        let began_on = || handshake.query.get("transport")?.as_str();
        Self {
            // The other server has said no more than that.
            client_id: text("clientId").unwrap_or_else(|| id.clone().into_owned()),
            transport: text("transport")
                .unwrap_or_else(|| began_on().unwrap_or("websocket").to_owned()),
            nsp: namespace.to_owned(),
            data,
            handshake: HandshakeView::new(handshake, veil),
            rooms: shown_rooms(socket.id(), &id, socket.rooms()),
            id: id.into_owned(),
        }
    }
}

impl HandshakeView {
    fn new(details: &HandshakeDetails, veil: &Veil) -> Self {
        let header = |name: &str| {
            let value = details.headers.get(name)?.as_str()?;
            Some(value.to_owned()).filter(|value| !value.is_empty())
        };
        let forwarded = header("cf-connecting-ip").or_else(|| header("x-forwarded-for"));
        let mut room = Room(MAX_HANDSHAKE);
        Self {
            address: room.take(&forwarded.unwrap_or_else(|| details.address.clone())),
            url: room.take(&veil.cover_url(&details.url)),
            query: room.take_all(veil.cover(&details.query)),
            headers: room.take_all(veil.cover(&details.headers)),
            issued: details.issued,
            secure: details.secure,
            time: details.time.clone(),
            xdomain: details.xdomain,
        }
    }
}

/// Bytes of what a peer has said when it connected, about what a browser says. Each socket that it opens and closes on that
/// connection, with some bytes each, is told with all of that.
const MAX_HANDSHAKE: usize = 2048;

/// How many more bytes are told.
struct Room(usize);

impl Room {
    /// As much of a text as there is room for.
    fn take(&mut self, text: &str) -> String {
        if let Some(left) = self.0.checked_sub(text.len()) {
            self.0 = left;
            return text.to_owned();
        }
        let mut end = mem::take(&mut self.0);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}…", &text[..end])
    }

    /// As many of these as there is room for.
    fn take_all(&mut self, values: Map<String, Value>) -> Map<String, Value> {
        let mut taken = Map::new();
        for (name, value) in values {
            let Some(left) = self.0.checked_sub(name.len() + 1) else {
                break;
            };
            self.0 = left;
            let value = match value {
                Value::String(text) => self.take(&text).into(),
                Value::Array(list) => {
                    let texts = list.iter().filter_map(Value::as_str);
                    let mut told = Vec::new();
                    for text in texts {
                        if self.0 == 0 {
                            break;
                        }
                        told.push(self.take(text).into());
                    }
                    Value::Array(told)
                }
                other => other,
            };
            taken.insert(name, value);
        }
        taken
    }
}

impl Veil {
    pub(crate) fn new(names: &[String]) -> Self {
        let hidden = names.iter().map(|name| name.to_lowercase()).collect();
        Self { hidden }
    }

    fn hides(&self, name: &str) -> bool {
        self.hidden
            .iter()
            .any(|hidden| *hidden == name.to_lowercase())
    }

    fn cover(&self, values: &Map<String, Value>) -> Map<String, Value> {
        let covered = values.iter().map(|(name, value)| match self.hides(name) {
            true => (name.clone(), HIDDEN.into()),
            false => (name.clone(), value.clone()),
        });
        covered.collect()
    }

    fn cover_url(&self, url: &str) -> String {
        let Some((path, query)) = url.split_once('?') else {
            return url.to_owned();
        };
        let parts = query.split('&').map(|part| {
            let key = form_urlencoded::parse(part.as_bytes()).next();
            match key {
                Some((key, _)) if self.hides(&key) => {
                    let end = part.find('=').unwrap_or(part.len());
                    Cow::Owned(format!("{}={HIDDEN}", &part[..end]))
                }
                _ => Cow::Borrowed(part),
            }
        });
        format!("{path}?{}", parts.collect::<Vec<_>>().join("&"))
    }
}

/// What the page calls a socket: its id. That of an Engine.IO 3 socket is made of the session's id, which is a secret; in its
/// place stands an [`alias`], and the socket is in a room of this name, so that it is found by it.
pub(crate) fn shown_id(socket: &Socket) -> Cow<'_, str> {
    match socket.revision() {
        Revision::V3 => Cow::Owned(alias(socket.id())),
        Revision::V4 => Cow::Borrowed(socket.id()),
    }
}

/// A name that stands for an id, for every server the same, and from which the id cannot be had: there are too many to try.
fn alias(id: &str) -> String {
    let mut digest = sha1_smol::Sha1::from(id).digest().to_string();
    digest.truncate(20);
    digest
}

/// Whether a socket of another server may be one of Engine.IO 3. Only streams have no URL, and they have no such sockets.
fn is_old(handshake: &HandshakeDetails) -> bool {
    let revision = handshake.query.get("EIO").and_then(Value::as_str);
    // A server takes whatever is not 4 for an old one, which browsers of Socket.IO 1.0 call 2.
    revision.map_or(!handshake.url.is_empty(), |revision| revision != "4")
}

/// Without the id of the socket where that is shown by another name.
pub(crate) fn shown_rooms(id: &str, shown: &str, rooms: &[String]) -> Vec<String> {
    let rooms = rooms.iter().filter(|room| *room == shown || *room != id);
    rooms.cloned().collect()
}

/// What the sockets of one connection have in common, for as long as it is there. Node takes the beginning of the session's id
/// for that, which is better kept.
fn client_id(socket: &Socket) -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let connection = ptr::from_ref(&**socket.handshake()).addr();
    let mut id = format!("{:016x}", KEY.hash_one(connection));
    id.truncate(12);
    id
}

/// What the application has stored for other servers to see.
pub(crate) fn shared_data(socket: &Socket) -> Value {
    let data = socket.shared_data();
    data.unwrap_or_else(|| Value::Object(Map::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_covered() {
        let veil = Veil::new(&["Token".to_owned(), "cookie".to_owned()]);
        let values = serde_json::json!({ "Cookie": "a=1", "token": ["1", "2"], "host": "here" });
        let covered = veil.cover(values.as_object().unwrap());
        let expected = serde_json::json!({ "Cookie": "***", "token": "***", "host": "here" });
        assert_eq!(Value::Object(covered), expected);
        for (url, covered) in [
            ("/socket.io/", "/socket.io/"),
            ("/?EIO=4&token=x&t=1", "/?EIO=4&token=***&t=1"),
            ("/?token", "/?token=***"),
            ("/?tok%65n=x%26", "/?tok%65n=***"),
            ("/?a=token&&b", "/?a=token&&b"),
        ] {
            assert_eq!(veil.cover_url(url), covered);
        }
    }

    #[test]
    fn no_more_than_a_browser_says_is_told_of_a_handshake() {
        let mut details = HandshakeDetails::default();
        let long = "é".repeat(20_000);
        details.url = format!("/socket.io/?a={long}");
        let all = serde_json::json!({ "a": long, "b": [long, long], "c": "d" });
        details.query = all.as_object().unwrap().clone();
        details.headers = details.query.clone();
        let veil = Veil::new(&[]);
        let told = serde_json::to_string(&HandshakeView::new(&details, &veil)).unwrap();
        assert!(told.len() < MAX_HANDSHAKE + 256, "{} bytes", told.len());
        details.url = "/socket.io/?a=1".to_owned();
        for _ in 0..2 {
            let view = HandshakeView::new(&details, &veil);
            assert_eq!(view.url, details.url);
            let told = serde_json::to_string(&view).unwrap();
            assert!(told.len() < MAX_HANDSHAKE + 256, "{} bytes", told.len());
            let few = serde_json::json!({ "a": "b".repeat(100), "b": ["c", "d"], "e": "" });
            details.query = few.as_object().unwrap().clone();
            details.headers = details.query.clone();
        }
        let view = HandshakeView::new(&details, &veil);
        assert_eq!(
            (&view.query, &view.headers),
            (&details.query, &details.headers)
        );
    }

    #[test]
    fn sockets_of_all_old_clients_are_old() {
        for (url, query, old) in [
            ("/socket.io/", serde_json::json!({ "EIO": "4" }), false),
            ("/socket.io/", serde_json::json!({ "EIO": "3" }), true),
            ("/socket.io/", serde_json::json!({ "EIO": "2" }), true),
            ("/socket.io/", serde_json::json!({}), true),
            ("", serde_json::json!({}), false),
        ] {
            let mut details = HandshakeDetails::default();
            details.url = url.into();
            details.query = query.as_object().unwrap().clone();
            assert_eq!(is_old(&details), old, "{url} {query}");
        }
    }

    #[test]
    fn alias_is_the_same_everywhere_and_has_nothing_of_the_id() {
        let id = "/chat#zSBiTgAAAbcdefghijkl";
        assert_eq!(alias(id), alias(id));
        assert_eq!(alias(id).len(), 20);
        assert_ne!(alias(id), alias("zSBiTgAAAbcdefghijkl"));
        let rooms = [id.to_owned(), alias(id), "red".to_owned()];
        assert_eq!(
            shown_rooms(id, &alias(id), &rooms),
            [alias(id), "red".to_owned()]
        );
        assert_eq!(shown_rooms(id, id, &rooms[..1]), [id]);
    }
}
