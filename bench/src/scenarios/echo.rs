//! Events with an acknowledgement, many in flight.

use std::time::Duration;

use super::{Cpu, TURN, measure};
use crate::{
    Result,
    client::Swarm,
    dialect::{Dialect, Echoes},
    server::Server,
};

const CLIENTS: usize = 64;
const IN_FLIGHT: usize = 16;

pub(super) fn run(server: &Server, window: Duration) -> Result<Cpu> {
    let echoes = Echoes::new(server.target.dialect, IN_FLIGHT, &"x".repeat(32));
    let mut swarm = Swarm::new(&server.target)?;
    swarm.open(CLIENTS)?;
    for client in 0..CLIENTS {
        swarm.send(client, &echoes.events.concat())?;
    }
    // Between processes a message costs so little that waking a sleeping load would be much of it, and only a server
    // that is slower than the load would pay for that. So this load does not sleep.
    let wait = match server.target.dialect {
        Dialect::WebSocket | Dialect::Deflate => TURN,
        Dialect::Native | Dialect::Mirror | Dialect::Lines => Duration::ZERO,
    };
    let mut done = 0;
    measure(server, window, &mut swarm, |swarm| {
        swarm.turn(wait, |message, out| {
            out.extend_from_slice(echoes.acknowledged(message)?);
            done += 1;
            Ok(())
        })?;
        Ok(done)
    })
}
