//! What things are called in Redis.

use sockeye_cluster_proto::NodeId;
use sockeye_cluster_proto::streams::{stream_name, stream_names};

/// The names of streams, channels and keys, which all servers have to agree about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) stream: String,
    pub(super) count: u16,
    pub(super) max_len: u64,
    pub(super) prefix: String,
    pub(super) sessions: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            stream: "socket.io".to_owned(),
            count: 1,
            max_len: 10_000,
            prefix: "socket.io".to_owned(),
            sessions: "sio:session:".to_owned(),
        }
    }
}

impl Names {
    /// The stream that a namespace has.
    pub(super) fn stream_of(&self, namespace: &str) -> String {
        stream_name(&self.stream, self.count, namespace)
    }

    pub(super) fn streams(&self) -> Vec<String> {
        stream_names(&self.stream, self.count).collect()
    }

    /// The place of a namespace's stream among them.
    pub(super) fn place_of(&self, namespace: &str) -> usize {
        let stream = self.stream_of(namespace);
        let place = stream_names(&self.stream, self.count).position(|name| name == stream);
        place.unwrap_or(0)
    }

    /// Whether Node's servers never read the stream of a namespace.
    pub(super) fn is_deaf_in_node(&self, namespace: &str) -> bool {
        let name = self.stream_of(namespace);
        let rest = name.strip_prefix(&*self.stream);
        rest.is_some_and(|rest| rest.starts_with("--"))
    }

    /// The channel of questions, to which every server has subscribed once.
    pub(super) fn channel(&self, namespace: &str) -> String {
        format!("{}#{namespace}#", self.prefix)
    }

    /// The channel of answers to a server.
    pub(super) fn own_channel(&self, namespace: &str, uid: &NodeId) -> String {
        format!("{}#{namespace}#{uid}#", self.prefix)
    }

    /// The key of a kept socket.
    pub(super) fn session(&self, pid: &str) -> String {
        format!("{}{pid}", self.sessions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_nodes_adapter() {
        let names = Names::default();
        assert_eq!(names.stream_of("/"), "socket.io");
        assert_eq!(names.streams(), ["socket.io"]);
        assert_eq!(names.channel("/admin"), "socket.io#/admin#");
        let uid = NodeId::new("76b1378d4b696b0e");
        assert_eq!(
            names.own_channel("/", &uid),
            "socket.io#/#76b1378d4b696b0e#"
        );
        assert_eq!(names.session("PI4Z"), "sio:session:PI4Z");
        assert!(!names.is_deaf_in_node("/my-namespace"));
    }

    #[test]
    fn each_namespace_has_one_of_several_streams_that_are_read() {
        let names = Names {
            count: 2,
            ..Names::default()
        };
        assert_eq!(
            names.streams(),
            ["socket.io--1", "socket.io-0", "socket.io-1"]
        );
        assert!(names.is_deaf_in_node("/my-namespace"));
        assert!(!names.is_deaf_in_node("/"));
        for namespace in ["/", "/my-namespace", "/chat"] {
            let place = names.place_of(namespace);
            assert_eq!(names.streams()[place], names.stream_of(namespace));
        }
    }
}
