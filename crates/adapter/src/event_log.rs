//! A log of events, with bounds, that knows what it has lost.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::recovery::{LoggedEvent, Receivers};

/// The events of one namespace that those who are away get later, oldest first.
///
/// They are numbered from 1. What does not fit any more is forgotten, oldest first, in one room or in all; and whoever asks
/// for what came after some number either gets all of it or learns that it is not all there.
///
/// # Cost
///
/// An event is found by its rooms, so that asking costs what is found, and not what is there. In memory it takes its name,
/// its JSON and its attachments, and some 250 bytes more; all of that counts for the limits.
#[derive(Debug)]
pub struct EventLog {
    limits: LogLimits,
    /// In the order of their numbers.
    events: VecDeque<Place>,
    /// How many of these are of events that are forgotten.
    holes: usize,
    /// The number of the last event that was added.
    last: u64,
    /// How many have been forgotten that were the oldest.
    forgotten: u64,
    bytes: usize,
    /// Everything up to this number may be missing.
    lost: u64,
    everyone: Channel,
    rooms: Channels,
    /// What was for single sockets, by id.
    sockets: Channels,
}

/// How much an [`EventLog`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of all events.
    pub bytes: usize,
    /// Bytes of the events of one room, or of one socket. What is for everyone has no such limit of its own.
    pub room_bytes: usize,
    /// How long an event is kept.
    pub time: Duration,
}

type Channels = HashMap<Arc<str>, Channel, RandomState>;

/// The events of one room.
#[derive(Debug, Default)]
struct Channel {
    numbers: VecDeque<u64>,
    bytes: usize,
    /// Some of its events are missing, of which this is the last.
    lost: u64,
}

/// Where an event stands in the log, and the event, unless its room has lost it before its time.
#[derive(Debug)]
struct Place {
    number: u64,
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    event: Arc<LoggedEvent>,
    receivers: Receivers,
    at: Instant,
    bytes: usize,
}

/// What an event takes beside its text: its own structures, the names of its receivers (which it shares), its places in
/// the indexes.
const OVERHEAD: usize = 256;

/// After how many forgotten events all rooms are looked through for those that are not needed any more.
const CLEAN_EVERY: u64 = 1024;

impl EventLog {
    /// A log with nothing in it.
    #[must_use]
    pub fn new(limits: LogLimits) -> Self {
        Self {
            limits,
            events: VecDeque::new(),
            holes: 0,
            last: 0,
            forgotten: 0,
            bytes: 0,
            lost: 0,
            everyone: Channel::default(),
            rooms: Channels::default(),
            sockets: Channels::default(),
        }
    }

    /// The number of the last event; 0 if there has been none yet.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// How many bytes its events take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is no event in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds an event, whose number becomes the one after [`last`](Self::last), and gives it back to be shared.
    pub fn push(
        &mut self,
        mut event: LoggedEvent,
        receivers: Receivers,
        now: Instant,
    ) -> Arc<LoggedEvent> {
        self.forget_old(now);
        self.last += 1;
        let number = self.last;
        event.number = number;
        let bytes = OVERHEAD + event.bytes();
        let event = Arc::new(event);
        let mut is_too_much = false;
        let limit = self.limits.room_bytes;
        self.each_channel(&receivers, true, |channel, is_everyone| {
            // A room that is named twice.
            if channel.numbers.back() != Some(&number) {
                channel.numbers.push_back(number);
                channel.bytes += bytes;
                is_too_much |= channel.bytes > limit && !is_everyone;
            }
        });
        let too_much = is_too_much.then(|| receivers.clone());
        self.bytes += bytes;
        self.events.push_back(Place {
            number,
            entry: Some(Entry {
                event: Arc::clone(&event),
                receivers,
                at: now,
                bytes,
            }),
        });
        if let Some(receivers) = too_much {
            self.shorten(&receivers);
        }
        while self.bytes > self.limits.bytes {
            self.forget_first();
        }
        event
    }

    /// What a socket with this id, in these rooms, has not got if it has got everything up to the event with this number.
    /// `None` if not all of that is there. `joined` has rooms of which nothing is for it up to a number of their own, in the
    /// order of their names.
    #[must_use]
    pub fn since(
        &self,
        number: u64,
        id: &str,
        rooms: &[Arc<str>],
        joined: &[(Arc<str>, u64)],
    ) -> Option<Vec<Arc<LoggedEvent>>> {
        if number < self.lost || number > self.last() {
            return None;
        }
        let from = |room: &str| match joined.binary_search_by(|(other, _)| (**other).cmp(room)) {
            Ok(index) => number.max(joined[index].1),
            Err(_) => number,
        };
        let others = rooms.iter().map(|room| &**room).filter(|room| *room != id);
        let others = others.filter_map(|room| Some((self.rooms.get(room)?, from(room))));
        let own = self.rooms.get(id).into_iter().chain(self.sockets.get(id));
        let own = own.chain([&self.everyone]).map(|channel| (channel, number));
        let mut numbers = Vec::new();
        for (channel, number) in others.chain(own) {
            if channel.lost > number {
                return None;
            }
            let start = channel.numbers.partition_point(|other| *other <= number);
            numbers.extend(channel.numbers.range(start..));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let entries = numbers.into_iter().filter_map(|number| self.entry(number));
        // They stand in channels of its own. To look for their rooms among all of its own would take long, for many of both.
        let meant = entries.filter(|entry| !entry.receivers.except(id, rooms));
        Some(meant.map(|entry| Arc::clone(&entry.event)).collect())
    }

    /// Forgets what is too old.
    pub fn forget_old(&mut self, now: Instant) {
        while let Some(first) = self.events.front() {
            if let Some(first) = &first.entry
                && now.saturating_duration_since(first.at) < self.limits.time
            {
                return;
            }
            self.forget_first();
        }
        self.be_empty();
    }

    /// Forgets the oldest event, before its time.
    pub fn forget_oldest(&mut self) {
        while let Some(Place { entry: None, .. }) = self.events.front() {
            self.forget_first();
        }
        self.forget_first();
        if self.events.is_empty() {
            self.be_empty();
        }
    }

    /// All is lost, and nothing of single rooms any more.
    fn be_empty(&mut self) {
        self.lost = self.last;
        self.rooms.clear();
        self.sockets.clear();
        self.everyone = Channel::default();
    }

    /// When there is something to forget, if nothing is added.
    #[must_use]
    pub fn oldest_until(&self) -> Option<Instant> {
        let oldest = self.events.iter().find_map(|place| place.entry.as_ref())?;
        oldest.at.checked_add(self.limits.time)
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.events.get(self.index(number)?)?.entry.as_ref()
    }

    fn index(&self, number: u64) -> Option<usize> {
        let found = self
            .events
            .binary_search_by_key(&number, |place| place.number);
        found.ok()
    }

    /// Brings the rooms of an event back to what they may have.
    fn shorten(&mut self, receivers: &Receivers) {
        let limit = self.limits.room_bytes;
        loop {
            let mut victim = None;
            self.each_channel(receivers, false, |channel, is_everyone| {
                if channel.bytes > limit && !is_everyone {
                    victim = channel.numbers.front().copied();
                }
            });
            let Some(number) = victim else { break };
            let index = self.index(number);
            let place = index.and_then(|index| self.events.get_mut(index));
            let entry = place.and_then(|place| place.entry.take());
            let entry = entry.expect("what a room lists is there");
            self.holes += 1;
            self.bytes -= entry.bytes;
            self.each_channel(&entry.receivers, false, |channel, _| {
                channel.remove(number, entry.bytes);
                channel.lost = channel.lost.max(number);
            });
        }
        // An older event of another room may stay for long, and all that this one loses meanwhile would stand behind it.
        if self.holes > self.events.len() / 2 {
            self.events.retain(|place| place.entry.is_some());
            self.events.shrink_to(2 * self.events.len());
            self.holes = 0;
        }
    }

    /// Forgets the oldest event.
    fn forget_first(&mut self) {
        let Some(Place { number, entry }) = self.events.pop_front() else {
            return;
        };
        // What one room had lost before is not lost to the others.
        let Some(entry) = entry else {
            self.holes -= 1;
            return;
        };
        self.forgotten += 1;
        self.lost = number;
        self.bytes -= entry.bytes;
        self.each_channel(&entry.receivers, false, |channel, _| {
            channel.remove(number, entry.bytes);
        });
        let is_needed = |channel: &Channel| !channel.numbers.is_empty() || channel.lost > number;
        let (channels, rooms) = match &entry.receivers {
            Receivers::Socket(id) => (&mut self.sockets, std::slice::from_ref(id)),
            Receivers::Target(target) => (&mut self.rooms, target.shared_rooms()),
        };
        for room in rooms {
            if channels
                .get(room)
                .is_some_and(|channel| !is_needed(channel))
            {
                channels.remove(room);
            }
        }
        if self.forgotten.is_multiple_of(CLEAN_EVERY) {
            // Rooms that lost all they had, and had nothing since.
            self.rooms.retain(|_, channel| is_needed(channel));
            self.sockets.retain(|_, channel| is_needed(channel));
        }
    }

    /// Calls `f` with the channel of each room that is named, or with that of everyone. What is not there comes into being
    /// if it is to be written to.
    fn each_channel(
        &mut self,
        receivers: &Receivers,
        create: bool,
        mut f: impl FnMut(&mut Channel, bool),
    ) {
        let (channels, rooms) = match receivers {
            Receivers::Socket(id) => (&mut self.sockets, std::slice::from_ref(id)),
            Receivers::Target(target) if target.rooms().len() == 0 => {
                f(&mut self.everyone, true);
                return;
            }
            Receivers::Target(target) => (&mut self.rooms, target.shared_rooms()),
        };
        for room in rooms {
            match channels.get_mut(room) {
                Some(channel) => f(channel, false),
                None if create => f(channels.entry(Arc::clone(room)).or_default(), false),
                None => {}
            }
        }
    }
}

impl Channel {
    /// Takes an event out, which is nearly always its first; nothing if the room was named twice.
    fn remove(&mut self, number: u64, bytes: usize) {
        if let Ok(index) = self.numbers.binary_search(&number) {
            self.numbers.remove(index);
            self.bytes -= bytes;
        }
    }
}
