//! Heartbeats, which go ahead of what waits.

use std::io::IoSlice;

/// Frames that go out at the next border between two others: pings and pongs, which tell the peer that
/// we are there, and must not be late because much waits.
///
/// It is bounded, however often a peer asks: of questions that pile up, only the last ones are answered, as
/// RFC 6455 §5.5.3 allows, and only the very last one while the peer takes nothing.
#[derive(Debug, Default)]
pub(super) struct Urgent {
    /// Engine.IO's pings and pongs.
    beats: Vec<u8>,
    /// Pongs of WebSocket.
    pongs: Vec<u8>,
}

/// Whose heartbeat it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beat {
    EngineIo,
    WebSocket,
}

/// Whether the peer takes what is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    Takes,
    Refuses,
}

/// How many bytes of heartbeats of one kind wait at most for a peer that takes what it is sent: so many
/// questions may come with one read and are all answered.
const MOST: usize = 4096;

impl Urgent {
    /// Adds a frame; says how many bytes were dropped for it.
    pub(super) fn push(&mut self, beat: Beat, frame: &[u8], peer: Reception) -> usize {
        let waiting = match beat {
            Beat::EngineIo => &mut self.beats,
            Beat::WebSocket => &mut self.pongs,
        };
        let full = peer == Reception::Refuses || waiting.len() + frame.len() > MOST;
        let dropped = if full { waiting.len() } else { 0 };
        if full {
            waiting.clear();
        }
        waiting.extend_from_slice(frame);
        dropped
    }

    pub(super) fn len(&self) -> usize {
        self.beats.len() + self.pongs.len()
    }

    pub(super) fn slices(&self) -> [IoSlice<'_>; 2] {
        [IoSlice::new(&self.beats), IoSlice::new(&self.pongs)]
    }

    /// What is left when so many bytes have been written.
    pub(super) fn rest(&self, written: usize) -> Box<[u8]> {
        let whole = [&self.beats[..], &self.pongs].concat();
        whole[written..].into()
    }
}
