//! One event at a time on one connection: how long its acknowledgement takes.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use super::{Sample, measure};
use crate::{Result, client::Joined, dialect::Echoes, server::Server};

pub(super) fn run(server: &Server, window: Duration) -> Result<Sample> {
    let echoes = Echoes::new(server.target.dialect, 1, &"x".repeat(32));
    let event = &echoes.events[0];
    let mut times = Vec::new();
    // Blocking reads and writes: each round trip costs the load no more than those two calls.
    let mut client = Joined::open(&server.target, 0)?;
    let cpu = measure(server, window, &mut client, |client| {
        let start = Instant::now();
        client.socket.write_all(event)?;
        client.take(|message| echoes.acknowledged(message).map(drop))?;
        times.push(start.elapsed());
        Ok(times.len() as u64)
    })?;
    // Those of the warm-up come first.
    times.drain(..times.len() - usize::try_from(cpu.messages)?);
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    Ok(Sample::RoundTrip {
        micros: median.as_secs_f64() * 1e6,
        cpu,
    })
}
