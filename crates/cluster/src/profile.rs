//! What kind of bus one is, as far as the core has to know.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::clock::now;

/// What a [`Bus`](crate::Bus) is like. Made by [`new`](Self::new), and changed from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusProfile {
    /// The engine's name, for logs.
    pub name: &'static str,
    /// How it is known how many servers there are.
    pub counting: Counting,
    /// What this server is called by the others.
    pub ids: NodeIds,
    /// Whether namespaces share one id.
    pub scope: IdScope,
    /// It keeps what it carries: it takes [`Job::Keep`](crate::Job::Keep) and [`Job::Restore`](crate::Job::Restore), gives each
    /// broadcast that comes an offset, and brings back those of this server too.
    pub log: bool,
    /// It wants to know which rooms have members here, by [`Job::Interest`](crate::Job::Interest).
    pub interest: bool,
    /// Whoever leaves says so to the others. A dialect that has no message for that leaves it out by itself.
    pub announces_close: bool,
}

/// How it is known how many servers share a namespace, which is how many answers a request has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// The engine knows, and is asked by [`Job::CountNodes`](crate::Job::CountNodes) and
    /// [`Job::FindNodes`](crate::Job::FindNodes).
    Engine,
    /// By what they are heard of.
    Heartbeats,
    /// It is not known: nobody answers requests, and each server answers its own.
    Nobody,
}

/// The form of ids of servers, and of requests, on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeIds {
    /// Six characters of base64 in its form for URLs.
    Short,
    /// Sixteen hexadecimal digits.
    Hex,
}

/// What has an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdScope {
    /// Each namespace of each server.
    Namespace,
    /// Each server.
    Process,
}

impl BusProfile {
    /// A bus of this name, on which servers are known by heartbeats, with hexadecimal ids for each namespace, without a log or
    /// interest in rooms, whose servers say that they leave.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            counting: Counting::Heartbeats,
            ids: NodeIds::Hex,
            scope: IdScope::Namespace,
            log: false,
            interest: false,
            announces_close: true,
        }
    }
}

impl NodeIds {
    /// A new id of this form.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes.
    pub fn random(self) -> Result<String, getrandom::Error> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes)?;
        Ok(self.of_number(u64::from_be_bytes(bytes)))
    }

    /// The same, and another one where there are no random bytes: ids have to differ, and are no secrets.
    pub(crate) fn some(self) -> String {
        let id = self.random();
        id.unwrap_or_else(|_| self.of_number(RandomState::default().hash_one(now())))
    }

    /// The id that belongs to a number.
    pub(crate) fn of_number(self, number: u64) -> String {
        match self {
            Self::Short => number.to_be_bytes()[..6]
                .iter()
                .map(|byte| char::from(DIGITS[usize::from(byte & 63)]))
                .collect(),
            Self::Hex => format!("{number:016x}"),
        }
    }
}

/// The digits of short ids, which Node's adapters take for theirs as well.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_forms_of_nodes_adapters() {
        let short = NodeIds::Short.random().unwrap();
        assert_eq!(short.len(), 6);
        assert!(short.bytes().all(|byte| DIGITS.contains(&byte)));
        let hex = NodeIds::Hex.random().unwrap();
        assert_eq!(hex.len(), 16);
        assert!(
            hex.bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        );
        assert_ne!(hex, NodeIds::Hex.random().unwrap());
    }
}
