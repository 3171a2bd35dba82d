//! What is measured, each time on servers and an engine started for it.

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use super::{
    Options,
    nodes::{Nodes, Peer},
    report::Numbers,
};
use crate::{
    Result,
    client::{Joined, Swarm},
    proc,
    scenarios::{WARM_UP, settle},
    server::Server,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// One room with one receiver on the other server; the next event when the last has come.
    Single,
    /// The same, 64 events at a time, and the next when the last but one have come.
    Burst,
    /// The same over a thousand rooms, of which the other server has ten and a third one has none.
    Rooms,
    /// Connections that joined `/` and then do nothing, on a server alone and on one of a cluster.
    Idle,
}

impl Scenario {
    pub(super) const ALL: [Self; 4] = [Self::Single, Self::Burst, Self::Rooms, Self::Idle];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Burst => "burst",
            Self::Rooms => "rooms",
            Self::Idle => "idle",
        }
    }

    /// Whether it is worth the time to let Node do it.
    pub(super) fn has_node(self) -> bool {
        self != Self::Idle
    }
}

pub(super) fn run(
    scenario: Scenario,
    peer: Peer,
    engine: &str,
    nodes: &Nodes,
    options: &Options,
) -> Result<Numbers> {
    let engine = nodes.engine(engine)?;
    if scenario == Scenario::Idle {
        let alone = idle(&nodes.server(peer, None)?, options)?;
        let clustered = idle(&nodes.server(peer, Some(&engine))?, options)?;
        return Ok(Numbers(vec![
            ("KiB alone", alone),
            ("KiB in a cluster", clustered),
        ]));
    }
    let server = || nodes.server(peer, Some(&engine));
    let (sender, receiver) = (server()?, server()?);
    let bystander = match scenario {
        Scenario::Rooms => Some(server()?),
        _ => None,
    };
    let load = match scenario {
        Scenario::Single => Load::new(1, 1, 1, 1),
        Scenario::Burst => Load::new(64, 2, 1, 1),
        _ => Load::new(1000, 2, 1000, 100),
    };
    let mut clients = Clients::new(&sender, &receiver, &load)?;
    clients.run_for(&load, WARM_UP.min(options.common.window))?;
    clients.times.clear();
    let before = clients.sent;
    let servers = [Some(&sender), Some(&receiver), bystander.as_ref()];
    let cpu = || -> Result<Vec<Option<Duration>>> {
        let all = servers.iter();
        all.map(|server| server.map(|server| proc::cpu_of(server.pid())).transpose())
            .collect()
    };
    let (start, first) = (Instant::now(), cpu()?);
    clients.run_for(&load, options.common.window)?;
    let (time, last) = (start.elapsed(), cpu()?);
    let broadcasts = (clients.sent - before) as f64;
    let mut numbers = Vec::new();
    let names = ["sender, µs CPU", "receiver, µs CPU", "bystander, µs CPU"];
    for ((name, first), last) in names.into_iter().zip(first).zip(last) {
        if let (Some(first), Some(last)) = (first, last) {
            numbers.push((name, (last - first).as_secs_f64() * 1e6 / broadcasts));
        }
    }
    if bystander.is_some() {
        numbers.push(("bystander / receiver", numbers[2].1 / numbers[1].1));
    }
    if scenario == Scenario::Single {
        numbers.push(("µs to the receiver", clients.median_time()));
    }
    numbers.push(("broadcasts per s", broadcasts / time.as_secs_f64()));
    Ok(Numbers(numbers))
}

/// What is emitted.
struct Load {
    /// So many events are emitted at a time.
    count: u64,
    /// Emitted so many times before any have come.
    depth: u64,
    /// To so many rooms by turns.
    rooms: u64,
    /// Of which each so-manieth has a member, the last one among them.
    each: u64,
    event: Vec<u8>,
    packet: String,
}

impl Load {
    fn new(count: u64, depth: u64, rooms: u64, each: u64) -> Self {
        let text = "x".repeat(100);
        let burst = format!(r#"42["burst",{count},{rooms},"{text}"]"#);
        Self {
            count,
            depth,
            rooms,
            each,
            event: crate::frame::masked_text(&burst),
            packet: format!(r#"42["cast","{text}"]"#),
        }
    }
}

/// The one that has events emitted, and the one that gets them.
struct Clients {
    speaker: Joined,
    listener: Joined,
    sent: u64,
    received: u64,
    times: Vec<Duration>,
}

impl Clients {
    fn new(sender: &Server, receiver: &Server, load: &Load) -> Result<Self> {
        let speaker = Joined::open(&sender.target, 0)?;
        let mut listener = Joined::open(&receiver.target, 0)?;
        let rooms: Vec<_> = (0..load.rooms)
            .filter(|room| (room + 1) % load.each == 0)
            .map(|room| format!("\"{room}\""))
            .collect();
        let join = format!(r#"421["join",[{}]]"#, rooms.join(","));
        listener
            .socket
            .write_all(&crate::frame::masked_text(&join))?;
        listener.take(|message| match message {
            b"431[true]" => Ok(()),
            other => Err(unexpected(other)),
        })?;
        let mut clients = Self {
            speaker,
            listener,
            sent: 0,
            received: 0,
            times: Vec::new(),
        };
        clients.wait_for_the_way(load)?;
        Ok(clients)
    }

    /// Node's servers do not wait for their subscriptions.
    fn wait_for_the_way(&mut self, load: &Load) -> Result<()> {
        thread::sleep(Duration::from_millis(500));
        self.turn(load)
    }

    fn run_for(&mut self, load: &Load, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(load)?;
        }
        // What is still on its way belongs to what was emitted.
        while self.received < self.sent / load.each {
            self.receive(load)?;
        }
        Ok(())
    }

    /// Has as many emitted as may be on their way, and takes one in.
    fn turn(&mut self, load: &Load) -> Result<()> {
        let start = Instant::now();
        while self.sent + load.count <= self.received * load.each + load.depth * load.count {
            self.speaker.socket.write_all(&load.event)?;
            self.sent += load.count;
        }
        self.receive(load)?;
        self.times.push(start.elapsed());
        Ok(())
    }

    fn receive(&mut self, load: &Load) -> Result<()> {
        self.listener
            .take(|message| match message == load.packet.as_bytes() {
                true => Ok(()),
                false => Err(unexpected(message)),
            })?;
        self.received += 1;
        Ok(())
    }

    fn median_time(&mut self) -> f64 {
        self.times.sort_unstable();
        let middle = self.times.get(self.times.len() / 2);
        middle.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    }
}

fn unexpected(message: &[u8]) -> Box<dyn std::error::Error> {
    format!("unexpected: {}", String::from_utf8_lossy(message)).into()
}

/// KiB that are the server's alone, for each connection.
fn idle(server: &Server, options: &Options) -> Result<f64> {
    /// Open before the first look, so that what a server sets up once is not in it.
    const FIRST: usize = 50;
    let mut swarm = Swarm::new(&server.target)?;
    let mut look = |count| -> Result<f64> {
        swarm.open(count)?;
        settle(&mut swarm, options.common.settle)?;
        Ok(proc::memory_of(server.pid())?.private_dirty)
    };
    let before = look(FIRST)?;
    Ok((look(options.common.connections())? - before) / options.common.connections() as f64)
}
