//! Which messages go by which subject.
//!
//! A subject is a list of tokens with dots between them. A namespace's is the prefix and a token for its name. Behind that
//! come `node` and an id for what is said to one server, and `room` and a token for what is for one room. Names are of
//! any characters, and tokens are not: all but letters of ASCII, digits, `-` and `_` is written as `%` and two digits for
//! each byte.

use sockeye_cluster::Route;
use sockeye_cluster_proto::NodeId;

/// The subject of what all servers are told about a namespace.
pub(crate) fn all(prefix: &str, namespace: &str) -> String {
    format!("{prefix}.{}", token(namespace))
}

/// That of what is said to one of them.
pub(crate) fn node(prefix: &str, namespace: &str, uid: &NodeId) -> String {
    format!("{}.node.{}", all(prefix, namespace), token(uid.as_str()))
}

/// That of what is for one room, unless its name is so long that this goes to all.
pub(crate) fn room(prefix: &str, namespace: &str, room: &str) -> Option<String> {
    let room = token(room);
    (room.len() <= MAX_ROOM_TOKEN).then(|| format!("{}.room.{room}", all(prefix, namespace)))
}

/// That of a message on this route.
pub(crate) fn of_route(prefix: &str, namespace: &str, route: &Route) -> String {
    let own = match route {
        Route::Room(name) => room(prefix, namespace, name),
        Route::Response(Some(uid)) => Some(node(prefix, namespace, uid)),
        _ => None,
    };
    own.unwrap_or_else(|| all(prefix, namespace))
}

/// Whether it can stand in a line of the protocol, and means one subject.
pub(crate) fn is_valid(subject: &str) -> bool {
    let is_token = |token: &str| {
        let is_plain = |byte: u8| byte > b' ' && byte != 0x7f;
        !matches!(token, "" | "*" | ">") && token.bytes().all(is_plain)
    };
    subject.len() <= MAX_SUBJECT && subject.split('.').all(is_token)
}

/// What is left of a line beside numbers and the verb.
const MAX_SUBJECT: usize = 4000;

/// NATS reads no line of more than 4 KiB by default, and ends the connection of whoever sends one.
const MAX_ROOM_TOKEN: usize = 512;

fn token(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            token.push(char::from(byte));
        } else {
            token += &format!("%{byte:02X}");
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_a_token() {
        assert_eq!(token("/"), "%2F");
        assert_eq!(token("/chat-1_a"), "%2Fchat-1_a");
        assert_eq!(token("a.b*c> d%"), "a%2Eb%2Ac%3E%20d%25");
        assert_eq!(token("bär"), "b%C3%A4r");
        assert_eq!(token(""), "%");
    }

    #[test]
    fn routes_have_subjects_of_their_own() {
        let subject = |route| of_route("socket.io", "/", &route);
        assert_eq!(subject(Route::All), "socket.io.%2F");
        assert_eq!(subject(Route::Request), "socket.io.%2F");
        assert_eq!(
            subject(Route::Room("a b".into())),
            "socket.io.%2F.room.a%20b"
        );
        let uid = NodeId::new("0123456789abcdef");
        assert_eq!(
            subject(Route::Response(Some(uid))),
            "socket.io.%2F.node.0123456789abcdef"
        );
        assert_eq!(subject(Route::Response(None)), "socket.io.%2F");
    }

    #[test]
    fn subjects_say_nothing_else() {
        for subject in ["a", "socketIO./", "socketIO./a*b>", "socketIO./b\u{e4}r.x"] {
            assert!(is_valid(subject), "{subject}");
        }
        for subject in [
            "",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a 1\r\nPUB b",
            "a\n",
            "a.*",
            "a.>.b",
            "a\u{7f}",
        ] {
            assert!(!is_valid(subject), "{subject}");
        }
        assert!(!is_valid(&"x".repeat(4001)));
    }

    #[test]
    fn what_is_for_a_room_of_a_very_long_name_goes_to_all() {
        let long = "x".repeat(513);
        assert_eq!(room("p", "/", &long), None);
        assert_eq!(of_route("p", "/", &Route::Room(long.into())), "p.%2F");
    }
}
