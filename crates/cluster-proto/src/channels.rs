//! The names of channels on Redis.

use crate::NodeId;

/// The names of one namespace's channels on Redis, as Node's adapters give them, classic and sharded.
///
/// ```
/// use sockeye_cluster_proto::Channels;
///
/// let channels = Channels::new("socket.io", "/chat");
/// assert_eq!(channels.all(), "socket.io#/chat#");
/// assert_eq!(channels.one("news"), "socket.io#/chat#news#");
/// assert_eq!(channels.read_one("socket.io#/chat#news#"), Some("news"));
/// assert_eq!(channels.request(), "socket.io-request#/chat#");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    all: Box<str>,
    request: Box<str>,
    response: Box<str>,
}

impl Channels {
    /// The channels of a namespace. `prefix` is `key` or `channelPrefix` in Node, `socket.io` by default.
    #[must_use]
    pub fn new(prefix: &str, namespace: &str) -> Self {
        Self {
            all: format!("{prefix}#{namespace}#").into(),
            request: format!("{prefix}-request#{namespace}#").into(),
            response: format!("{prefix}-response#{namespace}#").into(),
        }
    }

    /// That for what is for all nodes: classic, broadcasts to no room or several; sharded, everything that is not elsewhere,
    /// and the one whose subscribers are counted.
    #[must_use]
    pub fn all(&self) -> &str {
        &self.all
    }

    /// That for broadcasts to exactly this room; sharded, also that for answers to the node with this id.
    #[must_use]
    pub fn one(&self, name: &str) -> String {
        format!("{}{name}#", self.all)
    }

    /// The room that a channel is for; `None` for the one for all nodes, and for others' channels.
    #[must_use]
    pub fn read_one<'c>(&self, channel: &'c str) -> Option<&'c str> {
        channel.strip_prefix(&*self.all)?.strip_suffix('#')
    }

    /// Classic: that for requests, whose subscribers are counted.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request
    }

    /// Classic: that for answers.
    #[must_use]
    pub fn response(&self) -> &str {
        &self.response
    }

    /// Classic: that for answers to one node, where `publishOnSpecificResponseChannel` is set.
    #[must_use]
    pub fn response_to(&self, node: &NodeId) -> String {
        format!("{}{node}#", self.response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_node() {
        let channels = Channels::new("socket.io", "/");
        assert_eq!(channels.all(), "socket.io#/#");
        assert_eq!(channels.one("room1"), "socket.io#/#room1#");
        assert_eq!(channels.request(), "socket.io-request#/#");
        assert_eq!(channels.response(), "socket.io-response#/#");
        let node = NodeId::new("9h4_Td");
        assert_eq!(channels.response_to(&node), "socket.io-response#/#9h4_Td#");
    }

    #[test]
    fn rooms_are_read_whatever_they_are_called() {
        let channels = Channels::new("socket.io", "/");
        for room in ["room1", "a#b", "#", "*[", "é", ""] {
            assert_eq!(channels.read_one(&channels.one(room)), Some(room));
        }
        for other in [
            "socket.io#/#",
            "socket.io#/admin#room1#",
            "socket.io#/#room1",
            "",
        ] {
            assert_eq!(channels.read_one(other), None, "{other}");
        }
    }
}
