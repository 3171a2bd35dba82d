//! Every order in which those who push, a namespace, the time and a bus can meet at a queue.
//!
//! The queue is the real one. Whatever is done to it is done under its lock at once, so each call is one step here, and the
//! bus's waiting is two: the look, which is one hold of the lock as well, and the wake-up. A notice that comes between the look and
//! the waiting counts for the waiting (that is what `Notified` promises), as if it had come before the look was over.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};

use sockeye_cluster_proto::Message;

use super::*;
use crate::job::{Publish, Route};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message of so many bytes.
    Push(usize),
    /// The same of one that nothing is dropped for.
    Save(usize),
    Open,
    Gain,
    Lose,
    Close,
    /// Three seconds go by.
    Wait,
    Expire,
    /// Messages are held for two seconds.
    Hold,
    /// It is looked whether they are still.
    Look,
    End,
}

/// What a bus may do next.
#[derive(Clone, Copy, Debug)]
enum Bus {
    /// Asks for a job, or is woken while it waits for one.
    Next,
    /// Does something else than waiting, which it was woken from or not.
    Cancel,
    Done,
    /// Has lost its connection, and all subscriptions with that; puts back what it has not done.
    Reconnect,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Other(usize),
    Bus(Bus),
}

type Next = Pin<Box<dyn Future<Output = (Option<Job>, Vec<Job>)>>>;

/// Everything there is at one moment.
struct World {
    queue: Arc<Queue>,
    scripts: &'static [&'static [Step]],
    /// How far each is.
    done: Vec<usize>,
    waiting: Option<Next>,
    woken: Arc<Flag>,
    holds: Option<Job>,
    is_over: bool,
    /// How often it may still reconnect, or stop waiting.
    lapses: usize,
    /// What it is subscribed to.
    subscribed: Option<BTreeSet<String>>,
    /// The last message that each script has had published; they count up.
    published: BTreeMap<u64, u64>,
    published_count: usize,
    pushed: usize,
    lost: usize,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const KEY: u64 = 1;
const LIMIT: usize = 5;
/// A tag is a script's number, and this much, and the number of the message.
const TAGS: u64 = 100;

impl World {
    fn new(scripts: &'static [&'static [Step]], lapses: usize) -> Self {
        NOW.set(0);
        Self {
            queue: Arc::new(queue(LIMIT)),
            scripts,
            done: vec![0; scripts.len()],
            waiting: None,
            woken: Arc::default(),
            holds: None,
            is_over: false,
            lapses,
            subscribed: None,
            published: BTreeMap::new(),
            published_count: 0,
            pushed: 0,
            lost: 0,
        }
    }

    /// What can happen next.
    fn choices(&self) -> Vec<Choice> {
        let others = (0..self.scripts.len()).filter(|&other| self.step_of(other).is_some());
        let mut choices: Vec<_> = others.map(Choice::Other).collect();
        let is_waiting = self.waiting.is_some() && !self.woken.0.load(Ordering::Relaxed);
        let may_lapse = self.lapses > 0;
        let bus = [
            (Bus::Next, self.holds.is_none() && !is_waiting),
            (Bus::Cancel, self.waiting.is_some() && may_lapse),
            (Bus::Done, self.holds.is_some()),
            (Bus::Reconnect, self.holds.is_some() && may_lapse),
        ];
        let can = bus.into_iter().filter(|(_, can)| *can && !self.is_over);
        choices.extend(can.map(|(bus, _)| Choice::Bus(bus)));
        choices
    }

    fn step_of(&self, script: usize) -> Option<Step> {
        self.scripts[script].get(self.done[script]).copied()
    }

    fn take(&mut self, choice: Choice) {
        match choice {
            Choice::Other(script) => self.other(script),
            Choice::Bus(bus) => self.bus(bus),
        }
        let state = self.queue.state.lock();
        let sum = |list: &VecDeque<Waiting>| list.iter().map(|waiting| waiting.bytes).sum();
        let (waiting, saved): (usize, usize) = (sum(&state.waiting), sum(&state.saved));
        assert_eq!((state.bytes, state.saved_bytes), (waiting + saved, saved));
        let bytes = state.bytes;
        assert!(bytes <= LIMIT);
    }

    fn other(&mut self, script: usize) {
        let step = self.step_of(script).unwrap();
        self.done[script] += 1;
        let queue = &self.queue;
        match step {
            Step::Push(bytes) => {
                let tag = script as u64 * TAGS + self.done[script] as u64;
                let was_full = queue.waiting().1 + bytes > LIMIT;
                let dropped = queue.push(message(tag), bytes);
                self.pushed += 1;
                self.lost += dropped.old.len() + dropped.large.len();
                assert!(!dropped.large.iter().any(|job| is_saved(self.scripts, job)));
                assert!(dropped.large.is_empty() || was_full || queue.is_ended());
            }
            Step::Save(bytes) => {
                let tag = script as u64 * TAGS + self.done[script] as u64;
                let time = Duration::from_secs(5);
                let (entry, old) = queue.save(message(tag), bytes, time);
                self.lost += old.len();
                match entry {
                    Entry::Taken => self.pushed += 1,
                    Entry::Full => assert!(queue.waiting().1 + bytes > LIMIT),
                    Entry::Refused => assert!(queue.is_ended()),
                }
            }
            Step::Open => queue.open(KEY, opening("/", "u")),
            Step::Gain => queue.interest(KEY, &"room".into(), true),
            Step::Lose => queue.interest(KEY, &"room".into(), false),
            Step::Close => queue.close(closing(KEY, "/")),
            Step::Wait => NOW.set(NOW.get() + 3000),
            Step::Expire => self.lost += queue.expire().len(),
            Step::Hold => queue.hold(Duration::from_secs(2)),
            Step::Look => drop(queue.held_since()),
            Step::End => queue.end(),
        }
    }

    fn bus(&mut self, bus: Bus) {
        match bus {
            Bus::Next => self.next(),
            Bus::Cancel => {
                self.waiting = None;
                self.lapses -= 1;
            }
            Bus::Done => {
                let job = self.holds.take().unwrap();
                self.do_job(&job);
            }
            Bus::Reconnect => {
                self.queue.put_back(self.holds.take().unwrap());
                let told = self.queue.subscriptions();
                let rooms = |told: &Subscription| {
                    let rooms = told.rooms.iter();
                    rooms.map(ToString::to_string).collect()
                };
                self.subscribed = told.first().map(rooms);
                self.lapses -= 1;
            }
        }
    }

    fn next(&mut self) {
        self.woken.0.store(false, Ordering::Relaxed);
        let queue = Arc::clone(&self.queue);
        let begin = || -> Next { Box::pin(async move { queue.next().await }) };
        let waiting = self.waiting.get_or_insert_with(begin);
        let waker = Waker::from(Arc::clone(&self.woken));
        let Poll::Ready((job, old)) = waiting.as_mut().poll(&mut Context::from_waker(&waker))
        else {
            return;
        };
        self.waiting = None;
        self.lost += old.len();
        self.is_over = job.is_none() && old.is_empty();
        if self.is_over {
            assert!(self.queue.is_ended() && self.queue.is_empty());
        }
        self.holds = job;
    }

    fn do_job(&mut self, job: &Job) {
        match job {
            Job::Open(_) => drop(self.subscribed.get_or_insert_default()),
            Job::Close(_) => self.subscribed = None,
            Job::Interest(Interest { room, gained, .. }) => {
                let rooms = self.subscribed.as_mut().expect("it is open before");
                match gained {
                    true => drop(rooms.insert(room.to_string())),
                    false => drop(rooms.remove(&**room)),
                }
            }
            Job::Publish(publish) => {
                let tag = publish.tag.unwrap();
                let last = self.published.insert(tag / TAGS, tag);
                assert!(last.is_none_or(|last| last < tag), "{last:?} before {tag}");
                self.published_count += 1;
            }
            _ => unreachable!("{job:?}"),
        }
    }

    /// What tells this world from others.
    fn key(&self) -> String {
        let state = self.queue.state.lock();
        let mut waiting: Vec<_> = state.waiting.iter().chain(&state.saved).collect();
        waiting.sort_unstable_by_key(|waiting| waiting.number);
        let waiting: Vec<_> = waiting
            .into_iter()
            .map(|waiting| (waiting.until, tag(&waiting.job)))
            .collect();
        let control = state.control.iter().map(|(number, control)| {
            let waiting = state.waiting.iter().chain(&state.saved);
            let before = waiting.filter(|job| job.number < *number);
            (before.count(), matches!(control, Control::Open(_)))
        });
        let control: Vec<_> = control.collect();
        let namespaces = state.namespaces.values();
        let rooms: Vec<_> = namespaces
            .flat_map(|known| known.rooms.values().map(|room| (known.is_told, *room)))
            .map(|(told, room)| (told, room.is_wanted, room.is_told, room.is_listed))
            .collect();
        let returned: Vec<_> = state.returned.iter().map(tag).collect();
        let told: Vec<_> = state
            .namespaces
            .values()
            .map(|known| known.is_told)
            .collect();
        let of_queue = (waiting, control, rooms, returned, told);
        let held = state.held.map(|held| held.until);
        let interests = (state.interests.len(), held, state.is_ended, NOW.get());
        let woken = self.woken.0.load(Ordering::Relaxed);
        let bus = (
            self.holds.as_ref().map(tag),
            self.waiting.is_some(),
            woken,
            self.lapses,
            &self.subscribed,
            &self.published,
        );
        let counts = (self.published_count, self.pushed, self.lost);
        format!(
            "{of_queue:?} {interests:?} {bus:?} {counts:?} {:?} {}",
            self.done, self.is_over
        )
    }

    /// Nobody has anything left to do.
    fn check_rest(&self) {
        assert!(self.queue.is_empty(), "unheard: {}", self.key());
        assert_eq!(self.published_count + self.lost, self.pushed);
        assert_eq!(self.is_over, self.queue.is_ended(), "{}", self.key());
        let state = self.queue.state.lock();
        let wanted = state.namespaces.get(&KEY).map(|known| {
            let wanted = known.rooms.iter().filter(|(_, room)| room.is_wanted);
            wanted.map(|(name, _)| name.to_string()).collect()
        });
        assert_eq!(self.subscribed, wanted, "{}", self.key());
    }
}

/// Whether it is one that is dropped for nothing else.
fn is_saved(scripts: &[&[Step]], job: &Job) -> bool {
    let Job::Publish(publish) = job else {
        return false;
    };
    let tag = publish.tag.unwrap();
    let (script, step) = ((tag / TAGS) as usize, (tag % TAGS) as usize);
    matches!(scripts[script][step - 1], Step::Save(_))
}

pub(super) fn message(tag: u64) -> Job {
    Job::Publish(Publish {
        namespace: "/".into(),
        uid: NodeId::new("u"),
        route: Route::All,
        message: Message::Close,
        tag: Some(tag),
        until: None,
        fate: crate::fate::Fate::default(),
    })
}

fn tag(job: &Job) -> String {
    match job {
        Job::Publish(publish) => format!("{:?} {:?}", publish.tag, publish.until),
        job => name(job),
    }
}

/// Tries all orders; how many worlds there are. A world cannot be copied, so each is made again from its beginning.
fn explore(scripts: &'static [&'static [Step]], lapses: usize) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let mut world = World::new(scripts, lapses);
        for choice in &path {
            world.take(*choice);
        }
        if !seen.insert(world.key()) {
            continue;
        }
        let choices = world.choices();
        if choices.is_empty() {
            world.check_rest();
        }
        open.extend(choices.into_iter().map(|choice| {
            let mut longer = path.clone();
            longer.push(choice);
            longer
        }));
    }
    seen.len()
}

use Step::{Close, End, Expire, Gain, Hold, Look, Lose, Open, Push, Save, Wait};

#[test]
fn messages_are_published_once_in_order_or_counted_as_lost_in_any_order() {
    const TIME: &[Step] = &[Wait, Wait, Expire];
    let worlds = explore(&[&[Push(2), Push(2)], &[Push(3)], TIME], 2);
    assert!(worlds > 1000, "{worlds}");
}

#[test]
fn what_is_saved_is_dropped_for_nothing_else_in_any_order() {
    const TIME: &[Step] = &[Wait, Wait, Expire];
    let worlds = explore(&[&[Save(2), Save(2), End], &[Push(3), Push(2)], TIME], 1);
    assert!(worlds > 1000, "{worlds}");
    explore(
        &[
            &[Save(2), Save(3)],
            &[Push(1), Push(1)],
            &[Hold, Wait, Look],
        ],
        1,
    );
}

#[test]
fn bus_is_subscribed_to_what_is_wanted_in_any_order() {
    const ROOM: &[Step] = &[Open, Gain, Lose, Gain, Lose];
    let worlds = explore(&[ROOM, &[Push(1)]], 2);
    assert!(worlds > 500, "{worlds}");
    explore(&[&[Open, Gain, Close]], 3);
}

#[test]
fn messages_that_were_held_are_published_in_order_in_any_order_of_events() {
    const TIME: &[Step] = &[Hold, Wait, Look];
    let worlds = explore(&[&[Push(1), Push(1)], &[Push(1)], TIME], 2);
    assert!(worlds > 1000, "{worlds}");
    explore(&[&[Push(1), Open, Push(1), End], &[Hold, Hold]], 2);
}

#[test]
fn what_comes_before_the_end_is_done_in_any_order() {
    const LEAVES: &[Step] = &[Open, Push(1), Close, End];
    let worlds = explore(&[LEAVES, &[Push(1), Push(1)]], 2);
    assert!(worlds > 500, "{worlds}");
}
