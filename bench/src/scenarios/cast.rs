//! One client's event sent on to everybody.

use std::time::Duration;

use super::{Cpu, TURN, measure};
use crate::{Result, client::Swarm, dialect::Dialect, server::Server};

const CLIENTS: usize = 1_000;

/// Short messages, so many broadcasts in flight.
pub(super) fn short(server: &Server, window: Duration, in_flight: usize) -> Result<Cpu> {
    let packet = format!(r#"42["cast","{}"]"#, "x".repeat(128));
    run(server, window, in_flight, &[packet])
}

/// A kibibyte of JSON, one broadcast in flight.
pub(super) fn long(server: &Server, window: Duration) -> Result<Cpu> {
    let packets: Vec<_> = (0..PACKETS).map(packet).collect();
    run(server, window, 1, &packets)
}

/// Broadcasts of these packets in turn; of several, only one can be in flight.
fn run(server: &Server, window: Duration, in_flight: usize, packets: &[String]) -> Result<Cpu> {
    let dialect = server.target.dialect;
    let events: Vec<_> = packets.iter().map(|packet| dialect.pack(packet)).collect();

    let mut swarm = Swarm::new(&server.target)?;
    swarm.open(CLIENTS)?;
    let clients = swarm.len();
    let (mut sent, mut delivered) = (0, 0);
    let cpu = measure(server, window, &mut swarm, |swarm| {
        // Whatever has not reached everybody is in flight.
        while sent - delivered / clients < in_flight {
            swarm.send(0, &events[sent % events.len()])?;
            sent += 1;
        }
        let packet = packets[(sent - 1) % packets.len()].as_bytes();
        swarm.turn(TURN, |message, _| {
            if message != packet {
                return Err(format!("no cast: {}", String::from_utf8_lossy(message)).into());
            }
            delivered += 1;
            Ok(())
        })?;
        Ok(delivered as u64)
    })?;
    let is_compressed = swarm.inflated() >= delivered as u64;
    if is_compressed != (dialect == Dialect::Deflate) {
        return Err("the server does not compress what it is to".into());
    }
    Ok(cpu)
}

/// More than the window of a compressor holds, so that one which refers to earlier messages does not find the same one.
const PACKETS: usize = 64;

/// A list of records as applications send it, of no length below a kibibyte, from which on servers compress.
fn packet(seed: usize) -> String {
    const WORDS: [&str; 8] = [
        "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel",
    ];
    let mut packet = String::from(r#"42["cast",["#);
    for id in seed * 100.. {
        let [one, two, three] = [3, 5, 7].map(|step| WORDS[id * step % WORDS.len()]);
        let (user, at, read) = (id * 7919 % 1000, 1_764_369_000_000 + id * 977, id % 3 == 0);
        packet += &format!(
            r#"{{"id":{id},"user":"user-{user}","text":"{one} {two} {three}","at":{at},"read":{read}}}"#
        );
        if packet.len() >= 1024 {
            break;
        }
        packet.push(',');
    }
    packet + "]]"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_a_kibibyte_of_json_and_no_two_are_alike() {
        let packets: Vec<_> = (0..PACKETS).map(packet).collect();
        for (at, packet) in packets.iter().enumerate() {
            assert!((1024..1150).contains(&packet.len()), "{}", packet.len());
            serde_json::from_str::<serde_json::Value>(&packet[2..]).unwrap();
            assert!(!packets[..at].contains(packet));
        }
    }
}
