//! Both ends in memory, under a virtual clock.

mod close;
mod halves;
mod heartbeat;
mod interleavings;
mod operations;
mod polling;
mod upgrade;
mod util;
mod wire;
