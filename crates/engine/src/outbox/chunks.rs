//! The pieces of what waits for a stream.

use std::collections::VecDeque;

use bytes::Bytes;

/// Some of the bytes that wait.
#[derive(Debug)]
pub(super) enum Chunk {
    /// Copied frames, and perhaps the header of the one whose payload comes next.
    Frames(Box<[u8]>),
    /// What is left of frames of which a part is written.
    Rest(Box<[u8]>),
    /// One whole frame.
    Frame(Bytes),
    /// The payload of a frame, whose header is in front of it.
    Payload(Bytes),
}

/// Pieces in the order in which they are written; one pointer while there are none, as small frames
/// never get here unless the peer is slow.
#[derive(Debug, Default)]
pub(super) struct Chunks(
    #[expect(
        clippy::box_collection,
        reason = "a queue is four words, and idle sessions have none"
    )]
    Option<Box<VecDeque<Chunk>>>,
);

impl Chunks {
    pub(super) fn push_back(&mut self, chunk: Chunk) {
        self.0.get_or_insert_default().push_back(chunk);
    }

    pub(super) fn push_front(&mut self, chunk: Chunk) {
        self.0.get_or_insert_default().push_front(chunk);
    }

    pub(super) fn front(&self) -> Option<&Chunk> {
        self.0.as_ref()?.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Chunk> {
        self.0.as_mut()?.front_mut()
    }

    /// Drops the front piece; the memory is kept, as more may come.
    pub(super) fn drop_front(&mut self) {
        if let Some(chunks) = &mut self.0 {
            chunks.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.0.iter().flat_map(|chunks| chunks.iter())
    }

    /// Forgets everything, and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Forgets what is behind so many bytes. Gives how many of them are not here, if it has fewer.
    pub(super) fn truncate(&mut self, mut len: usize) -> usize {
        let Some(chunks) = &mut self.0 else {
            return len;
        };
        for at in 0..chunks.len() {
            let here = chunks[at].bytes().len();
            if len <= here {
                chunks[at].truncate(len);
                chunks.truncate(at + 1);
                return 0;
            }
            len -= here;
        }
        len
    }
}

impl Chunk {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(bytes) | Self::Rest(bytes) => bytes,
            Self::Frame(bytes) | Self::Payload(bytes) => bytes,
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        match self {
            Self::Frames(bytes) | Self::Rest(bytes) => {
                let mut kept = std::mem::take(bytes).into_vec();
                kept.truncate(len);
                *bytes = kept.into();
            }
            Self::Frame(bytes) | Self::Payload(bytes) => bytes.truncate(len),
        }
    }

    pub(super) fn drop_front(&mut self, len: usize) {
        match self {
            Self::Frames(bytes) | Self::Rest(bytes) => *bytes = bytes[len..].into(),
            Self::Frame(bytes) | Self::Payload(bytes) => drop(bytes.split_to(len)),
        }
    }
}
