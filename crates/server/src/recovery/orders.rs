//! Every order in which events that are logged can meet a socket that is lost and comes back.
//!
//! Recovery, the stores and a socket's stay are the real ones; the socket, its room and whoever delivers are reduced to what
//! they do with these. What the lock of the order makes one step is one step here, and each order of such steps is tried.

use std::collections::{HashSet, VecDeque};
use std::mem;

use sockeye_adapter::{Progress, Target};
use sockeye_socket_proto::Args;

use super::*;

/// One socket, the log and who delivers from it.
struct World {
    recovery: Arc<Recovery>,
    log: Log,
    /// How many events are still to be emitted.
    unsent: u64,
    /// How many events there are.
    emitted: u64,
    socket: Life,
    /// What the client has got.
    got: Vec<u64>,
    /// The offsets of all events, where they are this server's.
    offsets: Vec<Box<str>>,
    /// What nobody here wanted.
    unwanted: Vec<u64>,
    /// How many events had been handed over when the socket was found.
    found_at: Option<u64>,
    /// How often it still loses its connection, and the patience to wait for another.
    lapses: usize,
}

/// Where the log is.
enum Log {
    /// In this server's memory.
    Here,
    /// At an engine, from where this server is handed one event after the other.
    Afar {
        store: Arc<Afar>,
        handed: u64,
        /// The adapter has looked whether anybody wants the next one, and is about to hand it over.
        wanted: Option<bool>,
    },
}

enum Life {
    In(Stay),
    /// Its connection is lost: nothing is sent to it any more, and it is not kept yet.
    Leaving(Stay),
    Away,
    /// It wants to come back, and waits to be found.
    Back(oneshot::Receiver<Returning>),
    Found(Box<Returning>),
    /// It was sent what it had missed by then, of which this is the last.
    Sent(Box<Returning>, Option<u64>),
}

/// What an adapter has for a server: it keeps one socket, and is asked for it.
#[derive(Default)]
struct Afar(Mutex<AfarState>);

#[derive(Default)]
struct AfarState {
    kept: bool,
    claims: VecDeque<(u64, Resume)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Emit,
    /// The adapter looks whether anybody is there for the next event.
    Look,
    /// And hands it over if so.
    Hand,
    /// The connection is lost.
    Lose,
    /// What has come last was sent, and has not arrived.
    LoseWithLast,
    Depart,
    Claim,
    /// The engine's answer is there.
    Resume,
    Find,
    /// What it has missed is sent to it, while others emit.
    Send,
    Admit,
    /// The client has lost its new connection, too, before it was let in.
    GiveUp,
}

const PID: &str = "abcdefghij0123456789";
const ROOM: &str = "room";

impl RecoveryStore for Afar {
    fn keep(&self, _: KeptSocket, _: Duration) {
        self.0.lock().kept = true;
    }

    fn restore(&self, claim: Claim<'_>, resume: Resume) {
        let offset = claim.offset.map_or(0, |offset| offset.parse().unwrap());
        self.0.lock().claims.push_back((offset, resume));
    }

    fn offset(&self) -> Option<String> {
        None
    }
}

impl fmt::Debug for Afar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Afar")
    }
}

fn kept(progress: Progress) -> KeptSocket {
    let mut kept = KeptSocket::new(PID.into(), "id".into());
    kept.rooms = vec![ROOM.into()];
    kept.progress = progress;
    kept
}

fn receivers() -> Receivers {
    Receivers::Target(Target::default().to(ROOM))
}

fn event(number: u64, offset: &str) -> LoggedEvent {
    LoggedEvent::new(offset.into(), "e", Args::new(&number).unwrap())
}

impl World {
    fn new(is_afar: bool, events: u64, lapses: usize) -> Self {
        let config = RecoveryConfig::default();
        let (recovery, log) = match is_afar {
            false => (Recovery::in_memory(config, None).unwrap(), Log::Here),
            true => {
                let store = Arc::new(Afar::default());
                let recovery = Recovery::with(config, store.clone(), None);
                let log = Log::Afar {
                    store,
                    handed: 0,
                    wanted: None,
                };
                (recovery, log)
            }
        };
        let stay = Stay::first(PID);
        stay.begin(0);
        Self {
            recovery: Arc::new(recovery),
            log,
            unsent: events,
            emitted: 0,
            socket: Life::In(stay),
            got: Vec::new(),
            offsets: Vec::new(),
            unwanted: Vec::new(),
            found_at: None,
            lapses,
        }
    }

    fn choices(&self) -> Vec<Step> {
        let mut choices = Vec::new();
        let mut add = |step, can| choices.extend(Some(step).filter(|_| can));
        add(Step::Emit, self.unsent > 0);
        if let Log::Afar {
            store,
            handed,
            wanted,
        } = &self.log
        {
            add(Step::Look, wanted.is_none() && *handed < self.emitted);
            add(Step::Hand, wanted.is_some());
            let state = store.0.lock();
            // Between two events: the adapter has a lock for that.
            let is_found = !state.claims.is_empty() && state.kept && wanted.is_none();
            add(Step::Resume, is_found);
        }
        let may_lapse = self.lapses > 0;
        match &self.socket {
            Life::In(_) => {
                add(Step::Lose, may_lapse);
                add(Step::LoseWithLast, may_lapse && !self.got.is_empty());
            }
            Life::Leaving(_) => add(Step::Depart, true),
            Life::Away => add(Step::Claim, true),
            Life::Back(found) => {
                add(Step::Find, !found.is_empty());
                add(Step::GiveUp, may_lapse);
            }
            Life::Found(_) => {
                add(Step::Send, true);
                add(Step::GiveUp, may_lapse);
            }
            Life::Sent(..) => add(Step::Admit, true),
        }
        choices
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Emit => self.emit(),
            Step::Look => self.look(),
            Step::Hand => self.hand(),
            Step::Lose => self.lose(),
            Step::LoseWithLast => {
                self.got.pop();
                self.lose();
            }
            Step::Resume => self.resume(),
            Step::Depart | Step::Claim | Step::Find | Step::Send | Step::Admit | Step::GiveUp => {
                self.live(step);
            }
        }
        let expected: Vec<_> = (1..=self.got.len() as u64).collect();
        assert_eq!(self.got, expected, "lost, doubled or in another order");
    }

    /// What `emit_logged` does; afar, only the log has it for now.
    fn emit(&mut self) {
        self.unsent -= 1;
        self.emitted += 1;
        let Some(log) = self.recovery.log() else {
            return;
        };
        let _order = self.recovery.order();
        let (number, offset) = log.next();
        assert_eq!(number, self.emitted);
        self.offsets.push(offset.clone());
        if let Life::In(stay) = &self.socket {
            self.got.push(number);
            stay.sent(number);
        }
        let logged = log.log(event(number, &offset), receivers());
        self.recovery.offer(&receivers(), || logged);
    }

    /// What `Local::count` does.
    fn look(&mut self) {
        let _order = self.recovery.order();
        let is_in = matches!(self.socket, Life::In(_));
        let count = self.recovery.returning() + usize::from(is_in);
        if let Log::Afar { wanted, .. } = &mut self.log {
            *wanted = Some(count > 0);
        }
    }

    /// What `pass_on_logged` does.
    fn hand(&mut self) {
        let Log::Afar { handed, wanted, .. } = &mut self.log else {
            return;
        };
        *handed += 1;
        let number = *handed;
        if wanted.take() == Some(false) {
            return self.unwanted.push(number);
        }
        let _order = self.recovery.order();
        self.recovery.offer(&receivers(), || {
            Arc::new(event(number, &number.to_string()))
        });
        if let Life::In(_) = &self.socket {
            self.got.push(number);
        }
    }

    /// What `start_leaving` does.
    fn lose(&mut self) {
        self.lapses -= 1;
        let Life::In(stay) = mem::replace(&mut self.socket, Life::Away) else {
            return;
        };
        let order = self.recovery.order();
        stay.stop(self.recovery.last());
        drop(order);
        self.socket = Life::Leaving(stay);
    }

    /// What has been handed over behind the offset was missed; what comes is offered.
    fn resume(&mut self) {
        let Log::Afar { store, handed, .. } = &self.log else {
            return;
        };
        let mut state = store.0.lock();
        let (offset, resume) = state.claims.pop_front().unwrap();
        state.kept = false;
        drop(state);
        self.found_at = Some(*handed);
        let missed = (offset + 1..=*handed).map(|number| event(number, &number.to_string()));
        let restored = Restored {
            socket: kept(Progress::default()),
            missed: missed.map(Arc::new).collect(),
            left: Duration::from_secs(60),
        };
        if let Some(restored) = resume(restored) {
            store.keep(restored.socket, restored.left);
        }
    }

    fn live(&mut self, step: Step) {
        let life = mem::replace(&mut self.socket, Life::Away);
        self.socket = match (life, step) {
            (Life::Leaving(stay), Step::Depart) => {
                self.recovery.departed(&stay, Some(kept(stay.progress())));
                Life::Away
            }
            (Life::Away, Step::Claim) => {
                let offset = self.got.last().map(|last| match self.log {
                    Log::Here => {
                        let number = usize::try_from(*last).expect("they are few");
                        self.offsets[number - 1].to_string()
                    }
                    Log::Afar { .. } => last.to_string(),
                });
                let pid = PID.into();
                self.found_at = Some(self.emitted).filter(|_| matches!(self.log, Log::Here));
                Life::Back(self.recovery.claim(Shown { pid, offset }))
            }
            (Life::Back(mut found), Step::Find) => match found.try_recv() {
                Ok(returning) => Life::Found(Box::new(returning)),
                Err(error) => panic!("it may come back, and is not found: {error}"),
            },
            (Life::Found(mut returning), Step::Send) => {
                let last = self.send(&returning.take_missed());
                Life::Sent(returning, last)
            }
            (Life::Sent(returning, last), Step::Admit) => {
                let recovery = Arc::clone(&self.recovery);
                let _order = recovery.order();
                let stay = Stay::again(returning.socket());
                let rest = returning.admit().expect("it is not too much");
                if let Some(last) = self.send(&rest).or(last) {
                    stay.sent(last);
                }
                self.found_at = None;
                Life::In(stay)
            }
            (Life::Back(_) | Life::Found(_), Step::GiveUp) => {
                self.lapses -= 1;
                Life::Away
            }
            _ => unreachable!("{step:?}"),
        };
    }

    /// What `send_missed` does; gives the number of the last one.
    fn send(&mut self, missed: &[Arc<LoggedEvent>]) -> Option<u64> {
        for event in missed {
            let number = event.args.get(0).unwrap();
            self.got.push(number.parse().unwrap());
        }
        Some(missed.last()?.number)
    }

    /// What tells this world from others.
    fn key(&self) -> String {
        let log = match &self.log {
            Log::Here => None,
            Log::Afar {
                store,
                handed,
                wanted,
            } => {
                let state = store.0.lock();
                let claims = state.claims.iter().map(|(offset, _)| *offset);
                Some((state.kept, claims.collect::<Vec<_>>(), *handed, *wanted))
            }
        };
        let life = match &self.socket {
            Life::In(stay) => format!("in {:?}", stay.progress()),
            Life::Leaving(stay) => format!("leaving {:?}", stay.progress()),
            Life::Away => "away".into(),
            Life::Back(found) => format!("back {}", found.is_empty()),
            Life::Found(_) => "found".into(),
            Life::Sent(_, last) => format!("sent {last:?}"),
        };
        format!(
            "{log:?} {life} {} {:?} {:?} {:?} {} {}",
            self.emitted,
            self.got,
            self.unwanted,
            self.found_at,
            self.lapses,
            self.recovery.returning()
        )
    }

    /// Nothing can happen any more.
    fn check_rest(&self) {
        assert!(
            matches!(self.socket, Life::In(_)),
            "it has not come back: {}",
            self.key()
        );
        assert_eq!(self.got.len() as u64, self.emitted, "{}", self.key());
        assert_eq!(self.recovery.returning(), 0);
    }
}

/// Tries all orders; how many worlds there are. A world cannot be copied, so each is made again from its beginning.
fn explore(is_afar: bool, events: u64, lapses: usize) -> usize {
    let mut seen = HashSet::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let mut world = World::new(is_afar, events, lapses);
        for step in &path {
            world.take(*step);
        }
        if !seen.insert(world.key()) {
            continue;
        }
        let choices = world.choices();
        if choices.is_empty() {
            world.check_rest();
        }
        open.extend(choices.into_iter().map(|step| {
            let mut longer = path.clone();
            longer.push(step);
            longer
        }));
    }
    seen.len()
}

#[test]
fn socket_that_comes_back_gets_each_event_of_this_servers_once_in_any_order() {
    let worlds = explore(false, 4, 3);
    assert!(worlds > 100, "{worlds}");
}

#[test]
fn socket_that_comes_back_gets_each_event_of_a_cluster_once_in_any_order() {
    let worlds = explore(true, 4, 3);
    assert!(worlds > 1000, "{worlds}");
}
