/// Names a namespace within its connection for as long as the peer is in it (or is joining it).
///
/// A later stay, also in the same namespace, has another key; what is done with the old one then has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NamespaceKey {
    pub(super) index: u16,
    pub(super) generation: u16,
}

impl NamespaceKey {
    /// A small number, unique among the namespaces that the connection is in: an index for a table of the
    /// caller's, with no need to hash. It is taken again after the peer has left.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.index)
    }
}
