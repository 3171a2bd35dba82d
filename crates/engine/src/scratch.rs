//! One read buffer per thread. An idle connection has none of its own.

use std::cell::Cell;

/// How much one read takes at most.
pub(crate) const SIZE: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The thread's buffer, out on loan; goes back when dropped.
///
/// It is taken rather than borrowed, so that a handler that drives another connection in its
/// own call finds none and gets a fresh one, instead of a panic.
pub(crate) struct Scratch(Option<Box<[u8]>>);

impl Scratch {
    pub(crate) fn take() -> Self {
        Self(Some(SCRATCH.take().unwrap_or_else(|| vec![0; SIZE].into())))
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.0
            .as_mut()
            .expect("the buffer is only given back when this is dropped")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SCRATCH.set(self.0.take());
    }
}
