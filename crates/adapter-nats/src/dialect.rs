//! In which form servers speak to each other.

use bytes::Bytes;
use sockeye_cluster::{BusProfile, Counting, NodeIds, Route};
use sockeye_cluster_proto::{
    DecodeError, EncodeError, Envelope, Limits, Message, NodeId, cluster, mickl,
};

use crate::subjects;

/// The form of messages, and of the subjects that they go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// That of Node's cluster adapter, in MessagePack, with subjects for rooms.
    #[default]
    Cluster,
    /// That of `@mickl/socket.io-nats-adapter`: broadcasts in JSON.
    Mickl,
}

impl Dialect {
    pub(crate) fn profile(self) -> BusProfile {
        let mut profile = BusProfile::new("nats");
        match self {
            Self::Cluster => profile.interest = true,
            Self::Mickl => {
                profile.counting = Counting::Nobody;
                profile.ids = NodeIds::Short;
                profile.announces_close = false;
            }
        }
        profile
    }

    /// What all subjects begin with unless something else is asked for.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Cluster => "socket.io",
            Self::Mickl => "socketIO",
        }
    }

    /// The subjects of a namespace, whatever rooms there are.
    pub(crate) fn own_subjects(self, prefix: &str, namespace: &str, uid: &NodeId) -> Vec<String> {
        match self {
            Self::Cluster => vec![
                subjects::all(prefix, namespace),
                subjects::node(prefix, namespace, uid),
            ],
            Self::Mickl => vec![mickl::subject(prefix, namespace)],
        }
    }

    /// That of a message.
    pub(crate) fn subject(self, prefix: &str, namespace: &str, route: &Route) -> String {
        match self {
            Self::Cluster => subjects::of_route(prefix, namespace, route),
            Self::Mickl => mickl::subject(prefix, namespace),
        }
    }

    pub(crate) fn encode(
        self,
        out: &mut Vec<u8>,
        uid: &NodeId,
        namespace: &str,
        message: &Message,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Cluster => cluster::encode_msgpack(out, uid, namespace, message),
            Self::Mickl => mickl::encode(out, uid, namespace, message),
        }
    }

    pub(crate) fn decode(self, payload: &Bytes, limits: &Limits) -> Result<Envelope, DecodeError> {
        match self {
            Self::Cluster => cluster::decode(payload, limits),
            Self::Mickl => mickl::decode(payload, limits),
        }
    }
}
