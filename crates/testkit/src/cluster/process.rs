//! How an engine ends and begins.

use sockeye_cluster::MemoryHub;

use crate::engines;

/// What an engine is that can be ended and started.
pub trait Process: Send {
    /// Ends it at once, as a crash does.
    fn stop(&mut self);
    /// Starts it again where it was.
    fn start(&mut self);
}

impl Process for engines::Engine {
    fn stop(&mut self) {
        Self::stop(self);
    }

    fn start(&mut self) {
        Self::start(self);
    }
}

impl Process for MemoryHub {
    fn stop(&mut self) {
        Self::stop(self);
    }

    fn start(&mut self) {
        Self::start(self);
    }
}
