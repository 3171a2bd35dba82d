use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::pipe::{Cable, Pipe};

/// What lies between a client and its server, and may fail.
///
/// Every client has one of its own, unless several are [given](super::Connect::network) the same.
/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<Cabling>>);

#[derive(Default)]
struct Cabling {
    is_down: bool,
    is_stalled: bool,
    cables: Vec<Weak<Cable>>,
}

impl Network {
    /// A network that works.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts all connections: both ends find them reset, and what was on the way is lost. New ones can be made at once, so
    /// that a client comes back as soon as it tries.
    pub fn cut(&self) {
        let cables = std::mem::take(&mut self.state().cables);
        each(&cables, Cable::cut);
    }

    /// Cuts all connections, and lets none be made until it is [up](Self::up) again.
    pub fn down(&self) {
        self.state().is_down = true;
        self.cut();
    }

    /// Lets connections be made again.
    pub fn up(&self) {
        self.state().is_down = false;
    }

    /// Lets nothing through any more, without anybody being told: bytes wait on their way, new connections for the first of
    /// them. So it is heartbeats and other limits of time that find out.
    pub fn stall(&self) {
        self.set_stalled(true);
    }

    /// Lets everything through again, what has waited first.
    pub fn resume(&self) {
        self.set_stalled(false);
    }

    fn set_stalled(&self, stalled: bool) {
        let mut state = self.state();
        state.is_stalled = stalled;
        let cables = state.cables.clone();
        drop(state);
        each(&cables, |cable| cable.stall(stalled));
    }

    /// Makes a connection.
    pub(super) fn connect(&self) -> io::Result<(Pipe, Pipe)> {
        let mut state = self.state();
        if state.is_down {
            return Err(io::Error::new(
                io::ErrorKind::NetworkUnreachable,
                "the network is down",
            ));
        }
        let (near, far) = Pipe::pair();
        state.cables.retain(|cable| cable.strong_count() > 0);
        state.cables.push(near.cable());
        let stalled = state.is_stalled;
        drop(state);
        if stalled {
            each(&[near.cable()], |cable| cable.stall(true));
        }
        Ok((near, far))
    }

    fn state(&self) -> MutexGuard<'_, Cabling> {
        self.0.lock().expect("nothing panics with it in hand")
    }
}

fn each(cables: &[Weak<Cable>], mut what: impl FnMut(&Cable)) {
    for cable in cables.iter().filter_map(Weak::upgrade) {
        what(&cable);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Network")
            .field("is_down", &state.is_down)
            .field("is_stalled", &state.is_stalled)
            .finish_non_exhaustive()
    }
}
