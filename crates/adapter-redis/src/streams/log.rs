//! What is written to the streams, and what this server knows of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::{Cmd, RedisError};
use sockeye_cluster::{Link, NodeIds, Publish};
use sockeye_cluster_proto::streams::{BytesIn, Entry};
use sockeye_cluster_proto::{EncodeError, Message, NodeId};
use tokio::sync::Semaphore;

use super::entry_id::EntryId;
use super::names::Names;

/// The streams, beyond the time that a connection is there.
///
/// Each entry of this server has a mark of its own: a number, which grows, as all of a stream are written over one connection.
/// So when a connection is lost before Redis has said that it has them, it is found in each stream which of them it has: none
/// behind the last one that has come back.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) names: Names,
    /// What the marks of this server begin with.
    server: String,
    /// The number of the last entry that was written.
    written: AtomicU64,
    /// The number of the last own entry that has come back from each stream.
    returned: Vec<AtomicU64>,
    /// How far each stream was read; `None` if it was not.
    places: Mutex<Vec<Option<EntryId>>>,
    /// Whether Redis has these is not known.
    doubtful: Mutex<Vec<(u64, Publish)>>,
    /// Nothing is missing of the streams that was written since it was found out last which of the doubtful ones they have.
    is_whole: AtomicBool,
    /// How many kept sockets may be looked for at once.
    pub(super) searches: Semaphore,
}

/// What is written.
pub(super) struct Addition {
    pub(super) number: u64,
    pub(super) command: Cmd,
}

/// What is to be known of an own entry that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    number: u64,
    pub(super) tag: Option<u64>,
}

impl Log {
    pub(super) fn new(names: Names) -> Self {
        let streams = names.streams().len();
        Self {
            places: Mutex::new(vec![None; streams]),
            names,
            // Without random bytes there are no ids of sockets, and nothing to be told apart.
            server: NodeIds::Hex.random().unwrap_or_default(),
            written: AtomicU64::new(0),
            returned: (0..streams).map(|_| AtomicU64::new(0)).collect(),
            doubtful: Mutex::default(),
            is_whole: AtomicBool::new(true),
            searches: Semaphore::new(MAX_SEARCHES),
        }
    }

    /// What adds a message. To be written before the next one is asked for.
    pub(super) fn add(
        &self,
        (namespace, uid): (&str, &NodeId),
        message: &Message,
        tag: Option<u64>,
    ) -> Result<Addition, EncodeError> {
        let entry = Entry::encode(uid, namespace, message, BytesIn::Base64)?;
        let number = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        let mut add = redis::cmd("XADD");
        add.arg(self.names.stream_of(namespace));
        add.arg("MAXLEN").arg("~").arg(self.names.max_len).arg("*");
        for (name, value) in entry.fields() {
            add.arg(name).arg(value);
        }
        add.arg(MARK);
        match tag {
            Some(tag) => add.arg(format!("{}.{number}.{tag}", self.server)),
            None => add.arg(format!("{}.{number}", self.server)),
        };
        Ok(Addition {
            number,
            command: add,
        })
    }

    /// Reads the mark of an entry, if it is one of this server.
    pub(super) fn own_mark(&self, mark: &[u8]) -> Option<Mark> {
        let mark = std::str::from_utf8(mark).ok()?;
        let mark = mark.strip_prefix(&*self.server)?.strip_prefix('.')?;
        let (number, tag) = match mark.split_once('.') {
            None => (mark, None),
            Some((number, tag)) => (number, Some(tag.parse().ok()?)),
        };
        let number = number.parse().ok()?;
        Some(Mark { number, tag })
    }

    /// An own entry has come back.
    pub(super) fn came_back(&self, stream: usize, mark: Mark) {
        self.returned[stream].fetch_max(mark.number, Ordering::Relaxed);
    }

    /// The connection was lost before Redis has said that it has this.
    pub(super) fn doubt(&self, number: u64, publish: Publish) {
        self.doubtful
            .lock()
            .expect(NO_PANIC)
            .push((number, publish));
    }

    /// Entries are gone that were not read. It is told at once, as this can be found once only: behind them, all is there.
    pub(super) fn miss(&self, link: &Link) {
        self.is_whole.store(false, Ordering::Relaxed);
        link.gap(None);
    }

    /// The streams were read to their ends, over another connection, unless nothing is to be read: what has not come back was
    /// not taken. If they are not those any more that it was written to, nobody can say, and to write it twice would be worse
    /// than to lose it.
    pub(super) fn resolve(&self, link: &Link, was_read: bool) {
        let is_whole = self.is_whole.swap(true, Ordering::Relaxed) && was_read;
        let doubtful = std::mem::take(&mut *self.doubtful.lock().expect(NO_PANIC));
        let mut again = Vec::new();
        for (number, publish) in doubtful {
            let stream = self.names.place_of(&publish.namespace);
            let returned = self.returned[stream].load(Ordering::Relaxed);
            match (number <= returned, is_whole) {
                (true, _) => link.published(&publish),
                (false, true) => again.push(publish),
                (false, false) => link.failed(&publish, &lost()),
            }
        }
        for publish in again.into_iter().rev() {
            link.put_back(sockeye_cluster::Job::Publish(publish));
        }
    }

    pub(super) fn place(&self, stream: usize) -> Option<EntryId> {
        self.places.lock().expect(NO_PANIC)[stream]
    }

    pub(super) fn set_place(&self, stream: usize, place: EntryId) {
        self.places.lock().expect(NO_PANIC)[stream] = Some(place);
    }
}

fn lost() -> RedisError {
    std::io::Error::other("Redis may have it or not, and has lost its stream").into()
}

/// The field of an entry that only this server makes use of.
pub(super) const MARK: &str = "sockeye";

/// Each of them reads a part of the stream; when many come back at once, Redis has other things to do as well.
const MAX_SEARCHES: usize = 16;

const NO_PANIC: &str = "nothing panics while it is locked";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_marks_are_told_from_those_of_others() {
        let (log, other) = (Log::new(Names::default()), Log::new(Names::default()));
        let uid = NodeId::new("76b1378d4b696b0e");
        for (number, tag) in [(1, None), (2, Some(7))] {
            let added = log.add(("/", &uid), &Message::Hello, tag).unwrap();
            assert_eq!(added.number, number);
            let args: Vec<_> = added.command.args_iter().collect();
            let Some(redis::Arg::Simple(mark)) = args.last() else {
                panic!("{args:?}");
            };
            assert_eq!(log.own_mark(mark), Some(Mark { number, tag }));
            assert_eq!(other.own_mark(mark), None);
        }
        for mark in ["", ".", ".1", "x.1"] {
            assert_eq!(log.own_mark(mark.as_bytes()), None);
        }
        let broken = format!("{}.1.", log.server);
        assert_eq!(log.own_mark(broken.as_bytes()), None);
    }
}
