//! Events with an acknowledgement, many in flight.

use std::time::Duration;

use super::{Sample, TURN, measure};
use crate::{Result, client::Swarm, frame, server::Server};

const CLIENTS: usize = 64;
const IN_FLIGHT: usize = 16;
/// Ids of two digits, so that all frames are of one length. An id is used again as soon as its ack is there.
const FIRST_ID: usize = 10;

pub(super) fn run(server: &Server, window: Duration) -> Result<Sample> {
    let argument = "x".repeat(32);
    let frames: Vec<Vec<u8>> = (FIRST_ID..FIRST_ID + IN_FLIGHT)
        .map(|id| frame::masked_text(&format!(r#"42{id}["echo","{argument}"]"#)))
        .collect();
    let answer = format!(r#"["{argument}"]"#).into_bytes();

    let mut swarm = Swarm::new()?;
    swarm.open(server.address, CLIENTS)?;
    for client in 0..CLIENTS {
        swarm.send(client, &frames.concat())?;
    }
    let mut done = 0;
    measure(server, window, &mut swarm, |swarm| {
        swarm.turn(TURN, |message, out| {
            let next = id(message, &answer).and_then(|id| frames.get(id.checked_sub(FIRST_ID)?));
            let next =
                next.ok_or_else(|| format!("no echo: {}", String::from_utf8_lossy(message)))?;
            out.extend_from_slice(next);
            done += 1;
            Ok(())
        })?;
        Ok(done)
    })
}

/// The id of `43ID` and the answer.
fn id(message: &[u8], answer: &[u8]) -> Option<usize> {
    let id = message.strip_suffix(answer)?.strip_prefix(b"43")?;
    let &[tens, ones] = id else { return None };
    Some(usize::from(tens.wrapping_sub(b'0')) * 10 + usize::from(ones.wrapping_sub(b'0')))
}
