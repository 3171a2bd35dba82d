//! Which server is connected to.

use std::time::Duration;

use crate::account::Account;
use crate::reach::{Failure, Wire, connect};
use crate::url::{Server, Target};

/// The servers that the URL names, and those that servers have told of.
pub(crate) struct Servers {
    named: Vec<Server>,
    told: Vec<Server>,
    account: Account,
    /// Which of those that are named comes first: the one behind the last that was tried.
    first: usize,
    current: Option<Server>,
}

impl Servers {
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            named: target.servers.clone(),
            told: Vec::new(),
            account: target.account.clone(),
            first: 0,
            current: None,
        }
    }

    /// Connects to the first that can be reached.
    pub(crate) async fn connect(&mut self, limit: Duration) -> Result<Wire, Failure> {
        let mut last = Failure::Closed;
        self.current = None;
        for _ in 0..self.named.len() {
            let server = self.named[self.first % self.named.len()].clone();
            self.first += 1;
            match connect(&server, &self.account, limit).await {
                Ok(wire) => {
                    self.current = Some(server);
                    return Ok(wire);
                }
                Err(error) => last = error,
            }
        }
        for place in 0..self.told.len() {
            // What is told of may be reached by others only.
            if let Ok(wire) = connect(&self.told[place], &self.account, limit).await {
                let server = self.told.remove(place);
                self.current = Some(server.clone());
                // Another one comes first next time.
                self.told.push(server);
                return Ok(wire);
            }
        }
        Err(last)
    }

    /// A server has told of these.
    pub(crate) fn learn(&mut self, addresses: &[String]) {
        let tls = self.named.iter().any(|server| server.tls);
        // They may change all the time; those that are told now are there.
        self.told.clear();
        for address in addresses.iter().take(MAX_TOLD) {
            if let Ok(server) = Server::parse(address, tls)
                && !self.named.contains(&server)
            {
                self.told.push(server);
            }
        }
    }

    /// Whether there are others than the one that is connected to.
    pub(crate) fn has_others(&self) -> bool {
        let mut all = self.named.iter().chain(&self.told);
        all.any(|server| Some(server) != self.current.as_ref())
    }
}

/// How many servers are known beside those that the URL names.
const MAX_TOLD: usize = 64;
