//! All orders of the steps that the mailbox's lock makes indivisible.

use std::collections::HashSet;

use super::*;

/// Everything there is at one moment.
#[derive(Clone)]
struct World {
    mail: Mailbox<Outbox, Command>,
    paused: bool,
    driver: Driver,
    /// The driver's task has been woken, and will run.
    woken: bool,
    /// The socket wakes the driver when there is room.
    awaits_room: bool,
    others: [Actor; 3],
}

/// Somebody who does one thing after the other.
#[derive(Clone, Copy)]
struct Actor {
    script: &'static [Step],
    done: usize,
    /// Holds the driver's waker, and is about to wake it.
    wakes: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Outside a turn.
    Emit,
    EmitInTurn,
    EndOfTurn,
    Pause,
    /// What was paused flows again; then the driver is summoned.
    Flow,
    Summon,
    /// The peer takes one message from the socket.
    Take,
    Close,
}

/// How far the driver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Driver {
    Asleep,
    Reads,
    Writes { awaited: Awaited, read: bool },
    Ends { awaited: Awaited, read: bool },
    Over,
}

impl World {
    fn new(start: Start, others: [&'static [Step]; 3]) -> Self {
        Self {
            mail: start.into(),
            paused: false,
            driver: Driver::Asleep,
            woken: true,
            awaits_room: false,
            others: others.map(|script| Actor {
                script,
                done: 0,
                wakes: false,
            }),
        }
    }

    /// What tells this world from others.
    fn key(&self) -> impl Eq + std::hash::Hash + use<> {
        let Mailbox {
            outbox,
            phase,
            commands,
            driver,
            ..
        } = &self.mail;
        (
            outbox.clone(),
            *phase,
            commands.iter().count(),
            driver.is_some(),
            self.paused,
            self.driver,
            self.woken,
            self.awaits_room,
            self.others.map(|actor| (actor.done, actor.wakes)),
        )
    }

    /// The worlds that one step of somebody leads to.
    fn successors(&self) -> Vec<Self> {
        let mut after = Vec::new();
        if self.driver != Driver::Over && (self.driver != Driver::Asleep || self.woken) {
            let mut world = self.clone();
            world.step_driver();
            after.push(world);
        }
        for index in 0..self.others.len() {
            let mut world = self.clone();
            if world.step_other(index) {
                after.push(world);
            }
        }
        after
    }

    fn step_other(&mut self, index: usize) -> bool {
        let actor = &mut self.others[index];
        if std::mem::take(&mut actor.wakes) {
            self.woken = true;
            return true;
        }
        let Some(step) = actor.script.get(actor.done) else {
            return false;
        };
        let waker = match step {
            Step::Emit | Step::EmitInTurn => {
                if self.driver == Driver::Over {
                    None
                } else {
                    self.mail.outbox.waiting += 1;
                    self.mail.appended(|| matches!(step, Step::EmitInTurn))
                }
            }
            Step::EndOfTurn => self.mail.keep_promise(),
            Step::Pause => {
                self.paused = true;
                None
            }
            Step::Flow => {
                self.paused = false;
                None
            }
            Step::Summon => self.mail.summon(),
            Step::Take => {
                if self.mail.outbox.room > 0 {
                    return false;
                }
                self.mail.outbox.room += 1;
                self.woken |= std::mem::take(&mut self.awaits_room);
                None
            }
            Step::Close => self.mail.command(Command::Close).unwrap_or(None),
        };
        let actor = &mut self.others[index];
        actor.wakes = waker.is_some();
        actor.done += 1;
        true
    }

    fn step_driver(&mut self) {
        self.driver = match self.driver {
            Driver::Asleep => {
                self.woken = false;
                let commands = self.mail.begin_turn(Waker::noop());
                self.handle(&commands)
            }
            Driver::Reads => {
                let full = self.mail.outbox.is_full();
                let read = self.mail.outbox.unread > 0 && !full && !self.paused;
                if read {
                    self.mail.outbox.unread -= 1;
                    self.mail.outbox.waiting += 1;
                    assert!(self.mail.appended(|| false).is_none());
                }
                let awaited = match full && !self.paused {
                    true => Awaited::Room,
                    false => Awaited::Nothing,
                };
                Driver::Writes { awaited, read }
            }
            Driver::Writes { awaited, read } => {
                self.mail.begin_write();
                self.awaits_room = self.mail.outbox.write() == Flushed::Blocked;
                Driver::Ends { awaited, read }
            }
            Driver::Ends { awaited, read } => match self.mail.end_turn(awaited) {
                Rest::NotYet(commands) => self.handle(&commands),
                rest => {
                    self.woken |= read || matches!(rest, Rest::WakeSelf);
                    Driver::Asleep
                }
            },
            Driver::Over => Driver::Over,
        };
    }

    /// A session that is closed at once takes nothing more, and nothing is asked of it.
    fn handle(&mut self, commands: &[Command]) -> Driver {
        if commands.is_empty() {
            return Driver::Reads;
        }
        self.mail.outbox.waiting = 0;
        self.mail.outbox.unread = 0;
        self.mail.retire();
        Driver::Over
    }

    /// Whether somebody has still something to do, but waits for an event that may come from outside.
    fn check_rest(&self) {
        let outbox = &self.mail.outbox;
        let state = format!("{outbox:?}, {:?}, {:?}", self.mail.phase, self.driver);
        assert!(
            self.mail.commands.is_empty(),
            "a command lies unheard: {state}"
        );
        assert!(outbox.waiting == 0 || outbox.room == 0, "unsent: {state}");
        assert!(outbox.unread == 0 || self.paused, "unread: {state}");
    }
}

/// Tries all orders; how many worlds there are.
fn explore(start: Start, others: [&'static [Step]; 3]) -> usize {
    let first = World::new(start, others);
    let mut seen = HashSet::from([first.key()]);
    let mut open = vec![first];
    while let Some(world) = open.pop() {
        let after = world.successors();
        if after.is_empty() {
            world.check_rest();
        }
        open.extend(after.into_iter().filter(|world| seen.insert(world.key())));
    }
    seen.len()
}

use Step::{Close, Emit, EmitInTurn, EndOfTurn, Flow, Pause, Summon, Take};

const DIRECT: &[Step] = &[Emit, Emit, Emit];
const TURN: &[Step] = &[EmitInTurn, EmitInTurn, EndOfTurn, EmitInTurn, EndOfTurn];
const PAUSE: &[Step] = &[Pause, Emit, Flow, Summon];
const PEER: &[Step] = &[Take; 8];

/// Sockets of all kinds, outboxes that fill at once, and a peer that has something to say.
fn starts() -> impl Iterator<Item = Start> {
    [true, false].into_iter().flat_map(|direct| {
        [1, 2, usize::MAX].into_iter().flat_map(move |room| {
            [1, usize::MAX].into_iter().map(move |limit| Start {
                direct,
                room,
                limit,
                unread: 2,
            })
        })
    })
}

#[test]
fn nothing_lies_unsent_in_any_order() {
    for start in starts() {
        for emitters in [[DIRECT, DIRECT], [DIRECT, TURN], [TURN, TURN]] {
            let worlds = explore(start, [emitters[0], emitters[1], PEER]);
            assert!(worlds > 500, "{worlds}");
        }
    }
}

#[test]
fn what_came_while_paused_is_read_in_any_order() {
    for start in starts() {
        explore(start, [TURN, PAUSE, PEER]);
        explore(start, [DIRECT, PAUSE, PEER]);
    }
}

#[test]
fn a_close_is_heard_in_any_order() {
    const PAUSE_AND_CLOSE: &[Step] = &[Pause, Flow, Summon, Close];
    for start in starts() {
        explore(start, [TURN, DIRECT, PAUSE_AND_CLOSE]);
        explore(start, [TURN, TURN, &[Pause, Close]]);
    }
}
