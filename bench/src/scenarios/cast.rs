//! One client's event sent on to everybody.

use std::time::Duration;

use super::{Cpu, TURN, measure};
use crate::{Result, client::Swarm, server::Server};

const CLIENTS: usize = 1_000;

pub(super) fn run(server: &Server, window: Duration, in_flight: u64) -> Result<Cpu> {
    let packet = format!(r#"42["cast","{}"]"#, "x".repeat(128));
    let event = server.target.dialect.pack(&packet);

    let mut swarm = Swarm::new(&server.target)?;
    swarm.open(CLIENTS)?;
    let clients = swarm.len() as u64;
    let (mut sent, mut delivered) = (0, 0);
    measure(server, window, &mut swarm, |swarm| {
        // Whatever has not reached everybody is in flight.
        while sent - delivered / clients < in_flight {
            swarm.send(0, &event)?;
            sent += 1;
        }
        swarm.turn(TURN, |message, _| {
            if message != packet.as_bytes() {
                return Err(format!("no cast: {}", String::from_utf8_lossy(message)).into());
            }
            delivered += 1;
            Ok(())
        })?;
        Ok(delivered)
    })
}
