//! What users give to a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_cluster::{BusCluster, ClusterConfig, Patience};
use sockeye_cluster_proto::postgres::MAX_NOTIFICATION;

use crate::connection::PostgresBus;
use crate::error::PostgresUrlError;
use crate::url::Target;

/// A cluster of servers on Postgres, together with those of Node that use `@socket.io/postgres-adapter` 0.4 or later.
///
/// ```
/// use sockeye_adapter_postgres::Postgres;
///
/// let postgres = Postgres::new("postgres://app@db.example/app")?.prefix("shop");
/// # Ok::<(), sockeye_adapter_postgres::PostgresUrlError>(())
/// ```
#[must_use]
pub struct Postgres {
    target: Target,
    prefix: String,
    table: String,
    max_notification: usize,
    cleanup_interval: Duration,
    answer_timeout: Duration,
    cluster: ClusterConfig,
}

impl Postgres {
    /// A cluster on the Postgres of this URL, `postgres://user:password@host/database`, say. What it may have in it is what
    /// the command `psql` understands, and means the same; what is not understood here is an error. Nothing is connected to
    /// yet.
    ///
    /// - There may be several hosts, with commas between them, each with its port. The first that can be reached is taken, and
    ///   none that is a standby. `host=/run/postgresql` is the folder of a socket file.
    /// - What is not a letter or a digit in a user, a password, or the value of a parameter is best written as `%` and two
    ///   digits: `%40` for an `@`.
    /// - `connect_timeout` is in seconds, for each address of a host, until it has let this server in. Default:
    ///   [`answer_timeout`](Self::answer_timeout).
    /// - `user`, `password`, `dbname`, `host`, `hostaddr`, `port`, `options`, `application_name`,
    ///   `fallback_application_name`, `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_count`,
    ///   `tcp_user_timeout`, `load_balance_hosts`, and `target_session_attrs=read-write` or `primary` are understood too.
    ///   Certificates of this server's (`sslcert`), Kerberos, and files of services and passwords are not.
    ///
    /// With the feature `tls`, `sslmode` means what it does there: with `prefer`, which is the default, and `require` the
    /// connection is encrypted, if Postgres can or in any case, and whose certificate it is does not matter; with `verify-full`
    /// it has to be for the host, and signed by an authority that the operating system trusts, or by one of the file that
    /// `sslrootcert` names; with `verify-ca` it may be for any host. With such a file, `require` is `verify-full`. No socket
    /// file has anything to do with TLS.
    ///
    /// # Errors
    ///
    /// If it is no such URL, or asks for TLS where there is none.
    pub fn new(url: &str) -> Result<Self, PostgresUrlError> {
        Ok(Self {
            target: Target::parse(url)?,
            prefix: "socket.io".to_owned(),
            table: "socket_io_attachments".to_owned(),
            max_notification: MAX_NOTIFICATION,
            cleanup_interval: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(5),
            cluster: ClusterConfig::default(),
        })
    }

    /// What the names of all channels begin with, on all servers. Default: `socket.io`. With the name of a namespace it may
    /// have 62 bytes; a longer one is this server's alone.
    #[doc(alias = "channelPrefix")]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    /// The table for large messages, on all servers. Default: `socket_io_attachments`. It is made if there is none.
    #[doc(alias = "tableName")]
    pub fn table(mut self, table: &str) -> Self {
        self.table = table.to_owned();
        self
    }

    /// How many bytes a notification may have; what is larger goes through the table. Default, and at most: 7999.
    #[doc(alias = "payloadThreshold")]
    pub const fn max_notification(mut self, bytes: usize) -> Self {
        self.max_notification = bytes;
        self
    }

    /// How often this server deletes rows that are older than this. Default: 30 s.
    #[doc(alias = "cleanupInterval")]
    pub const fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = interval;
        self
    }

    /// How long Postgres may say nothing at all when it was asked for something, before the connection is given up for a new
    /// one. What it was sent meanwhile is lost then, and [told](sockeye_adapter::ClusterChange::Gap). A second is added for each
    /// 64 KiB that are on their way, as a slow network is no dead server. What Postgres itself waits for, such as a lock on the
    /// table, is given up a little earlier. When there is nothing to be said, it is asked for something as often as this, and
    /// each 5 s at least. Default: 5 s; 100 ms at least.
    pub const fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Settings that are not about Postgres.
    pub fn cluster(mut self, config: ClusterConfig) -> Self {
        self.cluster = config;
        self
    }
}

impl IntoCluster for Postgres {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        let bus = PostgresBus {
            target: self.target,
            prefix: self.prefix,
            table: self.table,
            max_notification: self.max_notification,
            cleanup_interval: self.cleanup_interval.max(Duration::from_millis(1)),
            answer_timeout: Patience::bounded(self.answer_timeout),
        };
        Arc::new(BusCluster::new(bus, self.cluster))
    }
}

/// Without what is secret.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("prefix", &self.prefix)
            .field("table", &self.table)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(Postgres::new("postgres://localhost/app").is_ok());
        assert!(Postgres::new("postgres://localhost/?nonsense=1").is_err());
        assert!(Postgres::new("postgres://localhost/?sslmode=verify").is_err());
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_is_not_left_out_in_silence() {
        for mode in ["require", "verify-full"] {
            let tls = Postgres::new(&format!("postgres://localhost/?sslmode={mode}"));
            assert!(matches!(tls, Err(PostgresUrlError::Tls(_))));
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn authorities_are_looked_at_before_they_are_needed() {
        let with = |query: &str| Postgres::new(&format!("postgres://localhost/?{query}"));
        for query in [
            "sslmode=require",
            "sslmode=verify-ca",
            "sslmode=verify-full",
            "sslmode=disable",
        ] {
            assert!(with(query).is_ok(), "{query}");
        }
        let missing = with("sslmode=verify-full&sslrootcert=/no%20where").unwrap_err();
        assert_eq!(missing.to_string(), "cannot read /no where");
        let empty = with("sslmode=require&sslrootcert=/dev/null").unwrap_err();
        assert!(matches!(empty, PostgresUrlError::Tls(_)));
        let plain = with("sslrootcert=/dev/null").unwrap_err();
        assert!(matches!(plain, PostgresUrlError::Tls(_)));
    }

    #[test]
    fn passwords_are_not_shown() {
        let postgres = Postgres::new("postgres://me:secret@localhost/").unwrap();
        assert!(!format!("{postgres:?}").contains("secret"));
    }
}
