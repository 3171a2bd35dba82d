use std::fmt;
use std::sync::Arc;

/// What counts a connection. It lives as long as the socket does, whoever owns it: one pointer, as
/// every idle connection has one.
pub struct Seat(Arc<Box<dyn Seats>>);

/// Those among whom a connection is counted.
pub trait Seats: fmt::Debug + Send + Sync {
    /// One of them is gone.
    fn leave(&self);
}

impl Seat {
    /// A seat among those.
    #[must_use]
    pub fn among(seats: &Arc<Box<dyn Seats>>) -> Self {
        Self(Arc::clone(seats))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.0).finish()
    }
}
