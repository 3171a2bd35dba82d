//! Where the servers are.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::error::PostgresUrlError;

/// Where a server is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) address: Address,
    /// Whom its certificate has to be for.
    pub(crate) name: String,
    pub(crate) port: u16,
}

#[derive(Debug)]
pub(crate) enum Address {
    Host(String),
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no such sockets"))]
    Folder(PathBuf),
}

/// The places that a URL names.
pub(crate) fn places(config: &Config) -> Result<Vec<Place>, PostgresUrlError> {
    let (hosts, addresses, ports) = (
        config.get_hosts(),
        config.get_hostaddrs(),
        config.get_ports(),
    );
    let count = hosts.len().max(addresses.len());
    let is_named = hosts.iter().all(|host| match host {
        Host::Tcp(name) => !name.is_empty(),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    if count == 0 || !is_named {
        return Err(PostgresUrlError::Hosts("there is a host missing"));
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(PostgresUrlError::Hosts(
            "hostaddr has to have one address for each host",
        ));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(PostgresUrlError::Hosts(
            "there have to be as many ports as hosts, or one for all",
        ));
    }
    let place = |number: usize| {
        let (address, name) = match (addresses.get(number), hosts.get(number)) {
            (Some(address), Some(Host::Tcp(name))) => {
                (Address::Host(address.to_string()), name.clone())
            }
            (Some(address), _) => (Address::Host(address.to_string()), address.to_string()),
            (None, Some(Host::Tcp(name))) => (Address::Host(name.clone()), name.clone()),
            #[cfg(unix)]
            (None, Some(Host::Unix(folder))) => (Address::Folder(folder.clone()), String::new()),
            (None, None) => unreachable!("the number is below one of the lengths"),
        };
        Place {
            address,
            name,
            port: *ports.get(number).or_else(|| ports.first()).unwrap_or(&5432),
        }
    };
    Ok((0..count).map(place).collect())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Host(name) => write!(f, "{name}:{}", self.port),
            Address::Folder(folder) => {
                write!(f, "{}/.s.PGSQL.{}", folder.display(), self.port)
            }
        }
    }
}
