//! Who makes room for others, in a model that looks at all there are.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sockeye_engine::{Seat, now};

use super::{ConnectionLimits, Connections, Serving, Watched};

/// What happens; to which connection, as far as it is about one.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open(u8),
    Pass(Duration),
    To(usize, Act),
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Serve,
    Rest,
    /// Its peer takes nothing.
    Stick,
    Read,
    Upgrade,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        3 => Just(Act::Serve),
        3 => Just(Act::Rest),
        2 => Just(Act::Stick),
        2 => Just(Act::Read),
        1 => Just(Act::Upgrade),
        1 => Just(Act::Close),
    ];
    prop_oneof![
        3 => (0_u8..4).prop_map(Step::Open),
        2 => (0_u64..700).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        6 => (0_usize..TOTAL, act).prop_map(|(which, act)| Step::To(which, act)),
    ]
}

/// A connection, and what is known of it by having seen all that has happened.
struct Known {
    number: usize,
    place: u8,
    /// While it carries requests.
    watched: Option<Watched>,
    _seat: Option<Seat>,
    serving: Vec<Serving>,
    rested: Instant,
    stuck: Option<Instant>,
}

impl Known {
    fn useless_since(&self) -> Option<Instant> {
        self.watched.as_ref()?;
        let since = match self.stuck {
            None => self.serving.is_empty().then_some(self.rested),
            Some(since) => Some(since + Duration::from_secs(1)),
        };
        since.filter(|since| *since <= now())
    }

    fn act(&mut self, act: Act) {
        let Some(watched) = self.watched.take() else {
            return;
        };
        match act {
            Act::Serve => self.serving.push(watched.serve()),
            Act::Rest => {
                if self.serving.pop().is_some() {
                    self.rested = now();
                }
            }
            Act::Stick => {
                watched.wait_to_write(&Context::from_waker(Waker::noop()));
                self.stuck.get_or_insert_with(now);
            }
            Act::Read => {
                watched.has_written();
                self.stuck = None;
            }
            Act::Upgrade => {
                self._seat = watched.into_seat();
                return;
            }
            Act::Close => return,
        }
        self.watched = Some(watched);
    }
}

const TOTAL: usize = 10;
const FROM_ONE: usize = 5;

/// Opens a connection, for which the one goes that is to go according to all that is known.
fn open(all: &Arc<Connections>, known: &mut Vec<Known>, number: usize, place: u8) {
    let count = |place| known.iter().filter(|one| one.place == place).count();
    let is_full_there = count(place) >= FROM_ONE;
    let is_full = is_full_there || known.len() >= TOTAL;
    let candidates = known
        .iter()
        .enumerate()
        .filter(|(_, one)| !is_full_there || one.place == place)
        .filter_map(|(at, one)| {
            let since = one.useless_since()?;
            Some((Reverse(count(one.place)), since, one.number, at))
        });
    let victim = candidates.min().map(|(.., at)| at).filter(|_| is_full);
    let admitted = all.admit(Some(IpAddr::from([10, 0, 0, place])));
    assert_eq!(admitted.is_ok(), !is_full || victim.is_some());
    if let Some(victim) = victim {
        let gone = known.remove(victim);
        assert!(gone.watched.unwrap().is_cut());
    }
    let mut watched = known.iter().filter_map(|one| one.watched.as_ref());
    assert!(watched.all(|watched| !watched.is_cut()), "nobody else goes");
    if let Ok(admitted) = admitted {
        known.push(Known {
            number,
            place,
            watched: Some(all.watch(admitted)),
            _seat: None,
            serving: Vec::new(),
            rested: now(),
            stuck: None,
        });
    }
}

async fn run(steps: Vec<Step>) {
    let all = Connections::new(ConnectionLimits {
        total: TOTAL,
        per_address: FROM_ONE,
    });
    let mut known = Vec::<Known>::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Open(place) => open(&all, &mut known, number, place),
            Step::Pass(time) => tokio::time::advance(time).await,
            Step::To(which, Act::Close) if which < known.len() => drop(known.remove(which)),
            Step::To(which, act) => {
                if let Some(one) = known.get_mut(which) {
                    one.act(act);
                }
            }
        }
        assert_eq!(all.count(), known.len());
    }
    drop(known);
    let state = all.state.lock();
    assert!(state.origins.is_empty() && state.order.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_right_one_makes_room_whatever_has_happened(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(steps));
    }
}

/// All at once, as many threads as there is no room for.
#[test]
fn nothing_is_left_behind_by_many_threads() {
    const THREADS: u8 = 4;
    let all = Connections::new(ConnectionLimits {
        total: TOTAL,
        per_address: FROM_ONE,
    });
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let all = &all;
            scope.spawn(move || {
                let address = IpAddr::from([10, 0, 0, thread / 2]);
                let mut open = std::collections::VecDeque::new();
                for round in 0..5000 {
                    if let Ok(admitted) = all.admit(Some(address)) {
                        let watched = all.watch(admitted);
                        let serving = watched.serve();
                        open.push_back((watched, Some(serving)));
                    }
                    if let Some((_, serving)) = open.get_mut(round % 3) {
                        *serving = None;
                    }
                    if open.len() > 3 {
                        open.pop_front();
                    }
                }
            });
        }
    });
    let state = all.state.lock();
    assert!(state.total == 0 && state.origins.is_empty() && state.order.is_empty());
}
