//! The revisions of the protocol.

/// The Socket.IO protocol revision that a peer speaks.
///
/// It follows from the Engine.IO revision: `EIO=4` carries revision 5, `EIO=3` revision 4 (or 3, which differs in
/// the form of acknowledgements only and is told apart by them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketRevision {
    /// Socket.IO 1.x and 2.x: `/` is joined without asking, a query may hang on the namespace.
    V4,
    /// Socket.IO 3 and 4: every namespace is joined by a CONNECT that may carry an object.
    V5,
}
