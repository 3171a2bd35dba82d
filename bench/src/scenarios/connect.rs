//! Connections that join `/` and are gone again.

use std::time::Duration;

use super::{Cpu, measure};
use crate::{Result, client::Joined, server::Server};

/// One after the other, each closed with a reset.
pub(super) fn run(server: &Server, window: Duration) -> Result<Cpu> {
    let mut done = 0;
    measure(server, window, &mut done, |done| {
        drop(Joined::open(&server.target, 0)?);
        *done += 1;
        Ok(*done)
    })
}
