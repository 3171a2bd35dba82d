//! What users give to a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_cluster::{BusCluster, ClusterConfig, EngineTls, Patience};
use thiserror::Error;

use crate::account::Account;
use crate::connection::NatsBus;
use crate::dialect::Dialect;
use crate::tls::{self, NatsTlsError};
use crate::url::Target;

/// A cluster of servers on NATS.
///
/// ```
/// use sockeye_adapter_nats::Nats;
///
/// let nats = Nats::new("nats://first.example,second.example:4223")?.prefix("shop");
/// # Ok::<(), sockeye_adapter_nats::NatsUrlError>(())
/// ```
#[must_use]
pub struct Nats {
    target: Target,
    dialect: Dialect,
    prefix: Option<String>,
    answer_timeout: Duration,
    config: ClusterConfig,
}

/// Why a URL is none of a NATS server.
#[derive(Debug, Error)]
#[error("the URL of NATS is invalid: {0}")]
pub struct NatsUrlError(String);

/// Why a key, or a file of credentials, is none of a user of NATS.
#[derive(Debug, Error)]
#[error("no credentials of NATS: {0}")]
pub struct NatsCredentialsError(String);

impl Nats {
    /// A cluster on the NATS of this URL, `nats://localhost`, say; with `tls://` the connection is encrypted. The default port is
    /// 4222. There may be several servers, with commas between them, and a user with a password, or a token, before an `@`,
    /// which all of them are shown. `?credentials=FILE` at the end names the file that `nsc` makes for a user, and
    /// `?ca=FILE&cert=FILE&key=FILE` the certificates of authorities and of this server, as in [`EngineTls`]. They are read now.
    /// Nothing is connected to yet.
    ///
    /// # Errors
    ///
    /// If it is no such URL, or no such files.
    pub fn new(url: &str) -> Result<Self, NatsUrlError> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let (suffix, dialect) = match scheme.ends_with(MICKL) {
            true => (MICKL, Dialect::Mickl),
            false => ("", Dialect::Cluster),
        };
        Ok(Self {
            target: Target::parse(url, suffix).map_err(NatsUrlError)?,
            dialect,
            prefix: None,
            answer_timeout: Duration::from_secs(5),
            config: ClusterConfig::default(),
        })
    }

    /// What all subjects begin with, on all servers: tokens with dots between them. Default: `socket.io`, or `socketIO` with
    /// [`mickl`](Self::mickl).
    #[doc(alias = "subjectKey")]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// Speaks as Node's `@mickl/socket.io-nats-adapter` 2.0 does, so that servers with that one take part: for all of a
    /// cluster or none of it. A URL with `nats+mickl://`, or `tls+mickl://`, says the same.
    ///
    /// It carries broadcasts, to rooms and without others, and **nothing else**. Nobody knows of other servers:
    /// `server_count` is 1, and whoever asks others for something (`emit_with_ack` to several sockets, `fetch_sockets`) has
    /// this server's own answers. What cannot be said (`sockets_join`, `sockets_leave`, `disconnect_sockets`,
    /// `server_side_emit`) does not get to others, which is counted as [`failed`](sockeye_adapter::ClusterCounts) and told as a
    /// gap. Bytes are bytes among servers like this one; clients of Node's servers get an object of numbers instead. All broadcasts go to all servers.
    pub const fn mickl(mut self) -> Self {
        self.dialect = Dialect::Mickl;
        self
    }

    /// A user and a password, if they are not in the URL.
    pub fn user_and_password(mut self, user: &str, password: &str) -> Self {
        self.target.account = Account::User {
            name: user.to_owned(),
            password: password.to_owned(),
        };
        self
    }

    /// A token, if it is not in the URL.
    pub fn token(mut self, token: &str) -> Self {
        self.target.account = Account::Token(token.to_owned());
        self
    }

    /// The key of a user, an [nkey](https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth):
    /// its seed, which begins with `SU`. NATS is shown what was signed with it.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn nkey(mut self, seed: &str) -> Result<Self, NatsCredentialsError> {
        self.target.account = Account::from_seed(seed).map_err(NatsCredentialsError)?;
        Ok(self)
    }

    /// The key of a user with what an operator's server knows it by: the text of the file that `nsc` makes for the user.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn credentials(mut self, text: &str) -> Result<Self, NatsCredentialsError> {
        let account = Account::from_credentials(text);
        self.target.account = account.map_err(NatsCredentialsError)?;
        Ok(self)
    }

    /// How TLS is spoken, where a URL says that it is, or the server.
    ///
    /// # Errors
    ///
    /// If these are no certificates, or no key.
    pub fn tls(mut self, tls: &EngineTls) -> Result<Self, NatsTlsError> {
        self.target.tls = Some(tls::config(tls)?);
        Ok(self)
    }

    /// How long NATS may say nothing at all when it was asked for something, before the connection is given up for a new one,
    /// and how long connecting to an address may take. What it was sent meanwhile is lost then, and
    /// [told](sockeye_adapter::ClusterChange::Gap). A second is added for each 64 KiB that are on their way, as a slow network is
    /// no dead server. When there is nothing to be said, it is asked for something as often as this, and each 5 s at least.
    /// Default: 5 s; 100 ms at least.
    pub const fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Settings that are not about NATS.
    pub fn cluster(mut self, config: ClusterConfig) -> Self {
        self.config = config;
        self
    }
}

impl IntoCluster for Nats {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        let bus = NatsBus {
            target: self.target,
            dialect: self.dialect,
            prefix: self
                .prefix
                .unwrap_or_else(|| self.dialect.prefix().to_owned()),
            answer_timeout: Patience::bounded(self.answer_timeout),
        };
        Arc::new(BusCluster::new(bus, self.config))
    }
}

/// What a scheme has at its end.
const MICKL: &str = "+mickl";

/// Without the servers, whose URLs may have passwords.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("prefix", &self.prefix)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_refused() {
        let error = Nats::new("http://a").unwrap_err().to_string();
        assert_eq!(
            error,
            r#"the URL of NATS is invalid: "http" is no scheme of NATS here"#
        );
        assert!(Nats::new("nats://a:b:c").is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        let nats = Nats::new("nats://me:secret@a").unwrap();
        assert!(!format!("{nats:?}").contains("secret"));
    }
}
