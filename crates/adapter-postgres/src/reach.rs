//! Connecting to one of the servers that a URL names.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use sockeye_cluster::Patience;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_postgres::config::{LoadBalanceHosts, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use crate::failure::Failure;
use crate::inbox::{Inbox, drive};
use crate::place::{Address, Place};
use crate::url::Target;
use crate::wire::Wire;

impl Target {
    /// Connects to the first server that can be reached, and is one that takes something where there are several. Each
    /// address of each host has the time that the URL gives it, or this.
    pub(crate) async fn connect(
        &self,
        limit: Duration,
        patience: &Arc<Patience>,
    ) -> Result<(Client, Inbox), Failure> {
        let limit = self.config.get_connect_timeout().copied().unwrap_or(limit);
        let first = match self.config.get_load_balance_hosts() {
            LoadBalanceHosts::Random => {
                let random = RandomState::new().hash_one(0).to_ne_bytes();
                usize::from(random[0]) % self.places.len()
            }
            _ => 0,
        };
        let mut last = None;
        for turn in 0..self.places.len() {
            let place = &self.places[(first + turn) % self.places.len()];
            match self.connect_to(place, limit, patience).await {
                Ok(connected) => return Ok(connected),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one place, or the URL would be refused"))
    }

    async fn connect_to(
        &self,
        place: &Place,
        limit: Duration,
        patience: &Arc<Patience>,
    ) -> Result<(Client, Inbox), Failure> {
        let mute = || Failure::Mute(place.to_string());
        let unreachable = |cause| Failure::Unreachable {
            host: place.to_string(),
            cause,
        };
        match &place.address {
            #[cfg(unix)]
            Address::Folder(folder) => {
                let socket = folder.join(format!(".s.PGSQL.{}", place.port));
                let connecting = async {
                    let stream = UnixStream::connect(socket).await;
                    let wire = Wire::new(stream.map_err(unreachable)?, patience);
                    // As the command `psql` does, whatever the URL says of TLS.
                    let mut config = self.config.clone();
                    self.begin(wire, place, config.ssl_mode(SslMode::Disable))
                        .await
                };
                timeout(limit, connecting).await.unwrap_or(Err(mute()))
            }
            #[cfg(not(unix))]
            Address::Folder(_) => Err(unreachable(io::ErrorKind::Unsupported.into())),
            Address::Host(name) => {
                let addresses = timeout(limit, tokio::net::lookup_host((&**name, place.port)));
                let addresses = addresses.await.map_err(|_| mute())?.map_err(unreachable)?;
                let mut last = unreachable(io::ErrorKind::NotFound.into());
                for address in addresses {
                    let connecting = async {
                        let stream = TcpStream::connect(address).await;
                        let stream = stream.and_then(|stream| self.set(stream));
                        let wire = Wire::new(stream.map_err(unreachable)?, patience);
                        self.begin(wire, place, &self.config).await
                    };
                    match timeout(limit, connecting).await {
                        Ok(Ok(connected)) => return Ok(connected),
                        Ok(Err(error)) => last = error,
                        Err(_) => last = mute(),
                    }
                }
                Err(last)
            }
        }
    }

    /// What the URL says of connections over TCP.
    fn set(&self, stream: TcpStream) -> io::Result<TcpStream> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        #[cfg(target_os = "linux")]
        if let Some(limit) = self.config.get_tcp_user_timeout() {
            socket.set_tcp_user_timeout(Some(*limit))?;
        }
        if self.config.get_keepalives() {
            let keepalive = TcpKeepalive::new().with_time(self.config.get_keepalives_idle());
            #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
            let keepalive = {
                let mut keepalive = keepalive;
                if let Some(interval) = self.config.get_keepalives_interval() {
                    keepalive = keepalive.with_interval(interval);
                }
                if let Some(retries) = self.config.get_keepalives_retries() {
                    keepalive = keepalive.with_retries(retries);
                }
                keepalive
            };
            socket.set_tcp_keepalive(&keepalive)?;
        }
        Ok(stream)
    }

    async fn begin(
        &self,
        wire: Wire,
        place: &Place,
        config: &Config,
    ) -> Result<(Client, Inbox), Failure> {
        let tls = self.handshake(&place.name);
        let (client, connection) = config.connect_raw(wire, tls).await?;
        let inbox = drive(connection);
        // Of several, the first may be one that only follows another.
        let is_choosy = config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite;
        if is_choosy || self.places.len() > 1 {
            let said = client.simple_query("SHOW transaction_read_only").await?;
            let is_read_only = said.iter().any(|message| {
                matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on"))
            });
            if is_read_only {
                return Err(Failure::ReadOnly(place.to_string()));
            }
        }
        Ok((client, inbox))
    }
}
