//! Both ends in memory, under a virtual clock.

mod close;
mod heartbeat;
mod interleavings;
mod operations;
mod polling;
mod upgrade;
mod util;
mod wire;
