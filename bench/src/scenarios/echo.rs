//! Events with an acknowledgement, many in flight.

use std::time::Duration;

use super::{Cpu, TURN, measure};
use crate::{Result, client::Swarm, dialect::Echoes, server::Server};

const CLIENTS: usize = 64;
const IN_FLIGHT: usize = 16;

pub(super) fn run(server: &Server, window: Duration) -> Result<Cpu> {
    let echoes = Echoes::new(server.target.dialect, IN_FLIGHT, &"x".repeat(32));
    let mut swarm = Swarm::new(&server.target)?;
    swarm.open(CLIENTS)?;
    for client in 0..CLIENTS {
        swarm.send(client, &echoes.events.concat())?;
    }
    let mut done = 0;
    measure(server, window, &mut swarm, |swarm| {
        swarm.turn(TURN, |message, out| {
            out.extend_from_slice(echoes.acknowledged(message)?);
            done += 1;
            Ok(())
        })?;
        Ok(done)
    })
}
