//! What goes over the wire.

use std::fmt;

use bytes::Bytes;
use sockeye_cluster::{BusProfile, Link, Publish};
use sockeye_cluster_proto::{EncodeError, NodeId, cluster};

/// One way of using Redis between servers: its channels, and what is published on them.
pub(crate) trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The commands that it is done with.
    fn verbs(&self) -> &'static Verbs;

    fn profile(&self) -> BusProfile;

    /// The channels of a namespace, whatever rooms there are.
    fn channels(&self, namespace: &str, uid: &NodeId) -> Vec<String>;

    /// A pattern of channels beside these, if there is one.
    fn pattern(&self, _namespace: &str) -> Option<String> {
        None
    }

    /// The channel of a room, if it has one.
    fn room_channel(&self, namespace: &str, room: &str) -> Option<String>;

    /// The channel that each server has subscribed to once.
    fn counted_channel(&self, namespace: &str) -> String;

    /// The channel that nobody but this server hears.
    fn own_channel(&self, namespace: &str, uid: &NodeId) -> String;

    /// The channel that a message goes to; the message is written to `payload`.
    fn encode(&self, publish: &Publish, payload: &mut Vec<u8>) -> Result<String, EncodeError>;

    /// Something has been published on a channel.
    fn receive(&self, link: &Link, channel: &str, payload: Bytes);
}

/// Commands of Redis.
#[derive(Debug)]
pub(crate) struct Verbs {
    pub(crate) publish: &'static str,
    pub(crate) subscribe: &'static str,
    pub(crate) unsubscribe: &'static str,
    /// How the subscribers of a channel are counted: what comes after `PUBSUB`.
    pub(crate) count: &'static str,
    /// Whether a channel belongs to one server of a Redis Cluster.
    pub(crate) is_sharded: bool,
}

/// Hands over what has been published on a channel of namespaces, and of a room or a server in them, whose names begin with
/// this prefix. Their dialect is that of Node's cluster adapter.
pub(crate) fn receive(prefix: &str, link: &Link, channel: &str, payload: &Bytes) {
    let rest = channel.strip_prefix(prefix);
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix('#')) else {
        return;
    };
    let mut namespaces = splits(rest).map(|(namespace, _)| namespace);
    let Some(namespace) = namespaces.find(|namespace| link.has_namespace(namespace)) else {
        return;
    };
    match cluster::decode(payload, link.limits()) {
        Ok(envelope) => link.receive(namespace, envelope),
        Err(error) => link.undecodable(&error),
    }
}

/// The pairs of a namespace and the rest that the rest of a channel's name may mean, as both may have a `#` in them. It ends
/// with another one.
pub(crate) fn splits(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('#').filter_map(|(at, _)| {
        let (namespace, rest) = (&text[..at], &text[at + 1..]);
        match rest {
            "" => Some((namespace, "")),
            rest => Some((namespace, rest.strip_suffix('#')?)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_in_every_way_that_makes_sense() {
        let all = |text| splits(text).collect::<Vec<_>>();
        assert_eq!(all("/#"), [("/", "")]);
        assert_eq!(all("/a#room#"), [("/a", "room"), ("/a#room", "")]);
        assert_eq!(all("/##"), [("/", ""), ("/#", "")]);
        assert_eq!(all("/a"), []);
        assert_eq!(all("/a#b"), []);
    }
}
