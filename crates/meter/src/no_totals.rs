//! The same without the feature: nothing.

/// A message of so many bytes has come from a peer.
#[inline(always)]
pub fn packet_received(_bytes: impl FnOnce() -> usize) {}

/// A message of so many bytes was sent to a peer.
#[inline(always)]
pub fn packet_sent(_bytes: impl FnOnce() -> usize) {}

/// What is counted of one session: there is none.
#[cfg(feature = "metrics")]
#[derive(Debug)]
pub(crate) enum Life {}

#[cfg(feature = "metrics")]
impl Life {
    /// A session was opened; nobody counts.
    pub(crate) const fn open(_transport: &str) -> Option<Self> {
        None
    }

    /// Another transport carries it from now on.
    pub(crate) const fn upgraded(&mut self) {
        match *self {}
    }

    /// It was closed.
    pub(crate) const fn closed(&mut self, _reason: &str) {
        match *self {}
    }
}
