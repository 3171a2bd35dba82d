//! Why a namespace cannot be joined.

/// Why a namespace cannot be joined, or not now. The blame is the caller's, and nothing was sent or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It is joined, or has been asked for and the server has yet to answer.
    #[error("the namespace is joined or being joined already")]
    Twice,
    /// It was given up while the server had yet to answer, which it still has. May be tried again after
    /// [`ClientInput::Abandoned`](crate::ClientInput::Abandoned) or
    /// [`ClientInput::Refused`](crate::ClientInput::Refused) with the former key.
    #[error("the server has not yet answered to the join that was given up")]
    Unanswered,
    /// The name does not begin with a slash, or has a character in it that ends it on the wire: a comma, the record
    /// separator 0x1E, or in revision 4 a question mark.
    #[error("not the name of a namespace")]
    Name,
    /// The name is too long; see [`max_namespace_len`](crate::ConnectionConfig::max_namespace_len).
    #[error("namespace of more than {max} bytes")]
    TooLong {
        /// The limit in force.
        max: u16,
    },
    /// Too many are joined or being joined; see [`max_namespaces`](crate::ConnectionConfig::max_namespaces).
    #[error("more than {max} namespaces")]
    TooMany {
        /// The limit in force.
        max: u16,
    },
}
