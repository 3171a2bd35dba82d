//! The two revisions of Engine.IO in use.

/// A revision of the Engine.IO protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revision {
    /// Engine.IO 3, spoken by Socket.IO 1.x and 2.x: the client sends the pings.
    V3,
    /// Engine.IO 4, spoken by Socket.IO 3.x and 4.x: the server sends the pings.
    V4,
}

impl Revision {
    /// The revision that the `EIO` query parameter asks for.
    ///
    /// Exactly `4` means 4. Everything else means 3, also no parameter at all, as some clients of Engine.IO 3 (Swift
    /// up to version 15) send none.
    #[must_use]
    pub fn from_query(eio: Option<&str>) -> Self {
        if eio == Some("4") { Self::V4 } else { Self::V3 }
    }

    /// The value of the `EIO` query parameter.
    #[must_use]
    pub fn as_query(self) -> &'static str {
        match self {
            Self::V3 => "3",
            Self::V4 => "4",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_4_is_revision_3() {
        assert_eq!(Revision::from_query(Some("4")), Revision::V4);
        for other in [None, Some(""), Some("3"), Some("04"), Some("5")] {
            assert_eq!(Revision::from_query(other), Revision::V3);
        }
    }
}
