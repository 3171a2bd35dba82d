//! What a client costs that talks to Sockeye's server.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Cpu, Sample};
use crate::{
    Result,
    options::Options,
    proc::{self, Memory},
    server::{Kind, Server, Servers},
};

/// Events with an acknowledgement, so many in flight on so many connections.
pub(super) fn echo(
    kind: Kind,
    servers: &Servers,
    server: &Server,
    window: Duration,
    (connections, in_flight): (u32, u32),
) -> Result<Sample> {
    let options = [
        ("--connections", connections.to_string()),
        ("--in-flight", in_flight.to_string()),
        ("--seconds", window.as_secs_f64().to_string()),
    ];
    let mut client = servers.start_client(kind, server, "echo", &options)?;
    // It counts from now on.
    client.expect("started")?;
    let look =
        || Ok::<_, Box<dyn std::error::Error>>((proc::cpu_of(server.pid())?, Instant::now()));
    let (own, (load, start)) = (proc::cpu_of(client.pid())?, look()?);
    let messages: u64 = client.line()?.parse()?;
    let (own_after, (load_after, end)) = (proc::cpu_of(client.pid())?, look()?);
    if messages == 0 {
        return Err("nothing came back in the measured time".into());
    }
    let cpu = own_after.saturating_sub(own).as_secs_f64();
    let elapsed = (end - start).as_secs_f64();
    Ok(Sample::Cpu(Cpu {
        messages,
        micros: cpu * 1e6 / messages as f64,
        rate: messages as f64 / elapsed,
        busy: cpu / elapsed,
        load_busy: load_after.saturating_sub(load).as_secs_f64() / elapsed,
    }))
}

/// Clients that are connected and then do nothing.
pub(super) fn idle(
    kind: Kind,
    servers: &Servers,
    server: &Server,
    options: &Options,
) -> Result<Sample> {
    // Two processes, as a client has its program to itself: what it sets up once is in both.
    let memory = |connections: usize| -> Result<Memory> {
        let option = ("--connections", connections.to_string());
        let mut client = servers.start_client(kind, server, "idle", &[option])?;
        client.expect("connected")?;
        thread::sleep(options.common.settle);
        proc::memory_of(client.pid())
    };
    let few = memory(WARM_UP)?;
    let many = memory(WARM_UP + options.common.connections())?;
    let each = |few: f64, many: f64| (many - few) / options.common.connections() as f64;
    Ok(Sample::Memory {
        private_dirty: each(few.private_dirty, many.private_dirty),
        resident: each(few.resident, many.resident),
    })
}

const WARM_UP: usize = 50;
