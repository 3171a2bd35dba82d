//! Which server is connected to.

use std::net::IpAddr;
use std::time::Duration;

use crate::reach::{Failure, Manners, Wire, connect};
use crate::url::{Server, Target};

/// The servers that the URL names, and those that servers have told of.
pub(crate) struct Servers {
    named: Vec<Server>,
    told: Vec<Server>,
    manners: Manners,
    /// Which of those that are named comes first: the one behind the last that was tried.
    first: usize,
    current: Option<Server>,
}

impl Servers {
    pub(crate) fn new(target: &Target) -> Self {
        Self {
            named: target.servers.clone(),
            told: Vec::new(),
            manners: Manners {
                account: target.account.clone(),
                tls: target.tls.clone(),
            },
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
            match connect(&server, &self.manners, limit).await {
                Ok(wire) => {
                    self.current = Some(server);
                    return Ok(wire);
                }
                Err(error) => last = error,
            }
        }
        for place in 0..self.told.len() {
            // What is told of may be reached by others only.
            if let Ok(wire) = connect(&self.told[place], &self.manners, limit).await {
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
            if let Ok(mut server) = Server::parse(address, tls)
                && !self.named.contains(&server)
            {
                server.certified = self.certified_as(&server.host);
                self.told.push(server);
            }
        }
    }

    /// Servers tell of each other by their addresses, but their certificates are mostly for a name that all of them have: that
    /// of the one that tells.
    fn certified_as(&self, host: &str) -> Option<String> {
        let is_address = |host: &str| host.parse::<IpAddr>().is_ok();
        let name = self.current.as_ref()?.certified();
        (is_address(host) && !is_address(name)).then(|| name.to_owned())
    }

    /// Whether there are others than the one that is connected to.
    pub(crate) fn has_others(&self) -> bool {
        let mut all = self.named.iter().chain(&self.told);
        all.any(|server| Some(server) != self.current.as_ref())
    }
}

/// How many servers are known beside those that the URL names.
const MAX_TOLD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_told_of_by_address_have_the_certificate_of_who_tells() {
        let target = Target::parse("tls://nats.example,10.0.0.1", "").unwrap();
        let mut servers = Servers::new(&target);
        let told = ["10.0.0.2:4222", "b.example:4222", "10.0.0.1:4222"].map(str::to_owned);
        let mut certified = |current: usize| {
            servers.current = Some(target.servers[current].clone());
            servers.learn(&told);
            let told = servers.told.iter();
            let told = told.map(|server| (server.host.clone(), server.certified().to_owned()));
            told.collect::<Vec<_>>()
        };
        let pair = |host: &str, name: &str| (host.to_owned(), name.to_owned());
        let other = pair("b.example", "b.example");
        let named = [pair("10.0.0.2", "nats.example"), other.clone()];
        assert_eq!(certified(0), named);
        assert_eq!(certified(1), [pair("10.0.0.2", "10.0.0.2"), other]);
    }
}
