//! One client's event sent on to everybody.

use std::time::Duration;

use super::{Sample, TURN, measure};
use crate::{Result, client::Swarm, frame, server::Server};

const CLIENTS: usize = 1_000;

pub(super) fn run(server: &Server, window: Duration, in_flight: u64) -> Result<Sample> {
    let packet = format!(r#"42["cast","{}"]"#, "x".repeat(128));
    let frame = frame::masked_text(&packet);

    let mut swarm = Swarm::new()?;
    swarm.open(server.address, CLIENTS)?;
    let clients = swarm.len() as u64;
    let (mut sent, mut delivered) = (0, 0);
    measure(server, window, &mut swarm, |swarm| {
        // Whatever has not reached everybody is in flight.
        while sent - delivered / clients < in_flight {
            swarm.send(0, &frame)?;
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
