//! Broadcasts of this server that wait for their place in the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sockeye_adapter::{BroadcastOptions, EventBody, KeptSocket, Local, LoggedEvent, Receivers};
use sockeye_socket_proto::Args;

use crate::clock::after;
use crate::job::OVERHEAD;
use crate::post::Post;

/// Those of one namespace, in the order of their tags, which is that in which they were published.
///
/// They are delivered in this order, too, so that one that comes back and is not here any more was delivered before.
#[derive(Debug)]
pub(super) struct Later {
    waiting: VecDeque<Waiting>,
    /// What was delivered without its place, and may come back from the log still. Who comes back before that was not there,
    /// and does not find it in the log.
    early: VecDeque<Waiting>,
    /// The bytes of what all namespaces have delivered so.
    held: Arc<AtomicUsize>,
    max_bytes: usize,
    /// How long one may take to come back.
    time: Duration,
    /// The last for which there was no room: its tag, and when it is given up.
    forgotten: Option<(u64, Instant)>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    tag: u64,
    name: Box<str>,
    args: Args,
    options: BroadcastOptions,
    until: Instant,
    /// If it is not back by then, it never got into the log.
    lost: Instant,
}

impl Later {
    pub(super) fn new(post: &Post) -> Self {
        Self {
            waiting: VecDeque::new(),
            early: VecDeque::new(),
            held: Arc::clone(&post.early_bytes),
            max_bytes: post.config.queue.bytes,
            time: post.queue_age().saturating_add(ON_ITS_WAY),
            forgotten: None,
        }
    }

    pub(super) fn push(
        &mut self,
        tag: u64,
        event: &EventBody<'_>,
        options: &BroadcastOptions,
        (now, wait): (Instant, Duration),
    ) {
        self.waiting.push_back(Waiting {
            tag,
            name: event.name.into(),
            args: event.args.to_args(),
            options: options.clone(),
            until: after(now, wait),
            lost: after(now, self.time),
        });
    }

    /// Whether the first has waited until then; any, without a time.
    pub(super) fn is_due(&self, now: Option<Instant>) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|first| now.is_none_or(|now| first.until <= now))
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// The first, if it is not behind this one.
    pub(super) fn pop_until(&mut self, tag: u64) -> Option<Waiting> {
        self.waiting.front().filter(|first| first.tag <= tag)?;
        self.pop()
    }

    /// It was delivered without its place.
    pub(super) fn was_early(&mut self, waiting: Waiting) {
        let bytes = waiting.size();
        self.early.push_back(waiting);
        let mut held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        while held > self.max_bytes
            && let Some(first) = self.early.front()
        {
            held = held.saturating_sub(first.size());
            self.forgotten = Some((first.tag, first.lost));
            self.drop_first();
        }
    }

    /// This one has come back. So have all before it, or they never got into the log.
    pub(super) fn came_back(&mut self, tag: u64) {
        while self.early.front().is_some_and(|first| first.tag <= tag) {
            self.drop_first();
        }
        self.forgotten = self.forgotten.filter(|(forgotten, _)| *forgotten > tag);
    }

    /// Gives up what does not come back any more.
    pub(super) fn give_up(&mut self, now: Instant) {
        while self.early.front().is_some_and(|first| first.lost <= now) {
            self.drop_first();
        }
        self.forgotten = self.forgotten.filter(|(_, lost)| *lost > now);
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.early.pop_front() {
            self.held.fetch_sub(first.size(), Ordering::Relaxed);
        }
    }

    /// What was delivered without its place to others than this socket, which comes back now. It gets that with the same place
    /// as they did. `None` if it is not known any more.
    pub(super) fn missed(&self, socket: &KeptSocket, place: &str) -> Option<Vec<Arc<LoggedEvent>>> {
        if self.forgotten.is_some() {
            return None;
        }
        let is_for = |early: &&Waiting| {
            let receivers = Receivers::Target(early.options.target.clone());
            receivers.include(&socket.id, &socket.rooms)
        };
        let missed = self.early.iter().filter(is_for);
        Some(missed.map(|early| Arc::new(early.at(place))).collect())
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        while !self.early.is_empty() {
            self.drop_first();
        }
    }
}

impl Waiting {
    pub(super) const fn tag(&self) -> u64 {
        self.tag
    }

    /// Hands it to the sockets that are there, with its place or that of what was delivered before.
    pub(super) fn deliver(&mut self, local: &dyn Local, place: Option<&str>) {
        self.options.offset = place.map(Into::into);
        let body = EventBody {
            name: &self.name,
            args: self.args.as_raw(),
        };
        local.broadcast(&body, &self.options);
    }

    fn at(&self, place: &str) -> LoggedEvent {
        let mut logged = LoggedEvent::new(place.into(), &self.name, self.args.clone());
        logged.binary = self.options.binary;
        logged
    }

    fn size(&self) -> usize {
        let raw = self.args.as_raw();
        let attachments: usize = raw.attachments().iter().map(|part| part.len()).sum();
        OVERHEAD + self.name.len() + raw.as_json().len() + attachments
    }
}

/// How much longer than it may wait for the engine a broadcast can take to come back.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use sockeye_adapter::Target;

    use super::*;
    use crate::config::ClusterConfig;
    use crate::profile::BusProfile;

    const SECOND: Duration = Duration::from_secs(1);

    /// Some that were delivered without their places, of a server that remembers so many bytes.
    fn early(tags: std::ops::RangeInclusive<u64>, now: Instant, max_bytes: usize) -> (Later, Post) {
        let config = ClusterConfig::default()
            .max_queue_bytes(max_bytes)
            .max_queue_age(SECOND);
        let post = Post::new(BusProfile::new("test"), config);
        let mut later = Later::new(&post);
        for tag in tags {
            let (name, args) = (tag.to_string(), Args::empty());
            let event = EventBody {
                name: &name,
                args: args.as_raw(),
            };
            let mut options = BroadcastOptions::new(Target::all().except("quiet"));
            options.binary = false;
            later.push(tag, &event, &options, (now, SECOND));
        }
        while let Some(waiting) = later.pop() {
            later.was_early(waiting);
        }
        (later, post)
    }

    fn missed(later: &Later, room: &str) -> Option<String> {
        let mut socket = KeptSocket::new("pid".into(), "id".into());
        socket.rooms.push(room.into());
        let missed = later.missed(&socket, "place")?;
        assert!(missed.iter().all(|event| *event.offset == *"place"));
        assert!(missed.iter().all(|event| !event.binary));
        Some(missed.iter().map(|event| &*event.name).collect())
    }

    #[test]
    fn what_was_early_is_missed_until_it_is_back() {
        let (mut later, post) = early(1..=4, Instant::now(), usize::MAX);
        assert_eq!(missed(&later, "room").as_deref(), Some("1234"));
        assert_eq!(missed(&later, "quiet").as_deref(), Some(""));
        later.came_back(3);
        assert_eq!(missed(&later, "room").as_deref(), Some("4"));
        drop(later);
        assert_eq!(post.early_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_early_is_given_up_in_time() {
        let start = Instant::now();
        let (mut later, post) = early(1..=4, start, usize::MAX);
        later.give_up(start + ON_ITS_WAY);
        assert_eq!(missed(&later, "room").as_deref(), Some("1234"));
        later.give_up(start + SECOND + ON_ITS_WAY);
        assert_eq!(missed(&later, "room").as_deref(), Some(""));
        assert_eq!(post.early_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_comes_back_to_what_was_forgotten() {
        let start = Instant::now();
        let bytes = 3 * (OVERHEAD + 10);
        let (mut later, post) = early(1..=5, start, bytes);
        assert!(post.early_bytes.load(Ordering::Relaxed) <= bytes);
        assert_eq!(missed(&later, "room"), None);
        later.came_back(1);
        assert_eq!(missed(&later, "room"), None, "the second may come back");
        later.came_back(2);
        assert_eq!(missed(&later, "room").as_deref(), Some("345"));
        let (mut later, _) = early(1..=5, start, 1);
        later.give_up(start + SECOND + ON_ITS_WAY);
        assert_eq!(missed(&later, "room").as_deref(), Some(""));
    }
}
