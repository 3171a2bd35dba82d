//! Where peers come from, for limits of what one of them may do.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where peers come from, as far as they are counted together. Whoever has an IPv6 address has a whole network of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerOrigin {
    /// This machine, by sockets and pipes that have no address.
    Local,
    /// One address. Those of IPv4 that are written as IPv6 are the same.
    V4(Ipv4Addr),
    /// A network: the first 64 bits of its addresses.
    V6(u64),
}

impl PeerOrigin {
    /// That of a peer with this address.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Local,
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => Self::V6((u128::from(address) >> 64) as u64),
        }
    }
}

impl fmt::Display for PeerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("this machine"),
            Self::V4(address) => address.fmt(f),
            Self::V6(network) => {
                let address = Ipv6Addr::from(u128::from(*network) << 64);
                write!(f, "{address}/64")
            }
        }
    }
}
