//! What users give to a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mongodb::options::ConnectionString;
use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_cluster::{BusCluster, ClusterConfig};
use thiserror::Error;

use crate::collection::Forgets;
use crate::connection::MongoBus;

/// A cluster of servers on MongoDB, together with those of Node that use `@socket.io/mongo-adapter` 0.3 or later.
///
/// ```
/// use sockeye_adapter_mongo::Mongo;
///
/// let mongo = Mongo::new("mongodb://db.example/app?replicaSet=rs0")?.collection("events");
/// # Ok::<(), sockeye_adapter_mongo::MongoUrlError>(())
/// ```
#[must_use]
pub struct Mongo {
    url: ConnectionString,
    patience: Duration,
    collection: String,
    forgets: Forgets,
    cluster: ClusterConfig,
}

/// Why a URL is none of MongoDB. Nothing of the URL is in it: the driver says what is wrong by showing it, and that may be of a
/// password.
#[derive(Debug, Error)]
#[error("the URL of MongoDB is invalid: {0}")]
pub struct MongoUrlError(String);

impl Mongo {
    /// A cluster on the MongoDB of this URL, `mongodb://user:password@host/database`, say, or `mongodb+srv://…`. Without the
    /// name of a database it is `mydb`, as in the instructions of Node's adapter. Nothing is connected to yet.
    ///
    /// What stands in front of a host, or in an option, is percent-encoded: a `?` is `%3F`, and an `@` `%40`. Options that are
    /// the driver's are left to it, with these exceptions:
    ///
    /// - `socketTimeoutMS`: how long MongoDB may take to answer, or to bring back what was inserted, before the connection
    ///   counts as lost. Default: 10 s, as for 0. It has more time for what is large, as a slow network has 64 KiB a second.
    /// - `serverSelectionTimeoutMS`: how long is looked for a server that takes what is written. Default: 2 s.
    /// - Reading preferences and write concerns are not followed: what is written is to be on most servers of MongoDB, and it
    ///   is read where it is written.
    ///
    /// Every server says something [every 5 s](ClusterConfig::heartbeat_interval) at least; a MongoDB that does not answer is
    /// noticed after these two times from then. Nothing of what is published is lost by that; it waits, for as long as it
    /// [may](ClusterConfig::max_queue_age).
    ///
    /// # Errors
    ///
    /// If it is no such URL.
    pub fn new(url: &str) -> Result<Self, MongoUrlError> {
        let mut url = parse(url).map_err(MongoUrlError)?;
        #[expect(deprecated, reason = "the driver has no use for it, and would say so")]
        let patience = url.socket_timeout.take();
        Ok(Self {
            url,
            patience: patience.filter(|time| !time.is_zero()).unwrap_or(PATIENCE),
            collection: "socket.io-adapter-events".to_owned(),
            forgets: Forgets::BySize(16 << 20),
            cluster: ClusterConfig::default(),
        })
    }

    /// The collection, on all servers. Default: `socket.io-adapter-events`, as in the instructions of Node's adapter. It is made
    /// if there is none; one that is there is taken as it is, and may be either capped, or have an index that forgets by
    /// `createdAt`.
    pub fn collection(mut self, name: &str) -> Self {
        self.collection = name.to_owned();
        self
    }

    /// Makes it a capped collection of so many bytes: beyond that, what is oldest is forgotten. Default: 16 MiB. Who loses the
    /// connection can come back as long as the last event that it has got is in there.
    pub const fn capped(mut self, bytes: u64) -> Self {
        self.forgets = Forgets::BySize(bytes);
        self
    }

    /// Makes it a collection that forgets by age, rather than by size. Node's servers have to be told as well, by
    /// `addCreatedAtField`.
    #[doc(alias = "addCreatedAtField")]
    #[doc(alias = "expireAfterSeconds")]
    pub const fn expire_after(mut self, age: Duration) -> Self {
        self.forgets = Forgets::ByAge(age);
        self
    }

    /// Settings that are not about MongoDB.
    pub fn cluster(mut self, config: ClusterConfig) -> Self {
        self.cluster = config;
        self
    }
}

impl IntoCluster for Mongo {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        let bus = MongoBus {
            url: self.url,
            patience: self.patience,
            collection: self.collection,
            forgets: self.forgets,
        };
        Arc::new(BusCluster::new(bus, self.cluster))
    }
}

/// What the driver makes of a URL, or what is wrong with that.
fn parse(url: &str) -> Result<ConnectionString, String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("mongodb" | "mongodb+srv")) {
        return Err("it has no scheme of MongoDB".to_owned());
    }
    let (start, options) = url.split_once('?').unwrap_or((url, ""));
    // To the driver the password ends here, and what comes behind are options; what comes before may be a host to it.
    if options.contains('@') {
        return Err("a ? in a password is %3F, and an @ in an option %40".to_owned());
    }
    if let Ok(parsed) = ConnectionString::parse(url) {
        return Ok(parsed);
    }
    if ConnectionString::parse(start).is_err() {
        return Err("what stands before the options is no account, host and database".to_owned());
    }
    let is_wrong = |option: &str| ConnectionString::parse(format!("{start}?{option}")).is_err();
    Err(match options.split('&').position(is_wrong) {
        Some(place) => {
            let number = place + 1;
            format!("option {number} means nothing, or has no such value")
        }
        None => "the options do not go together".to_owned(),
    })
}

/// How long MongoDB may take to answer, if the URL does not say.
const PATIENCE: Duration = Duration::from_secs(10);

/// Without what is secret.
impl fmt::Debug for Mongo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mongo")
            .field("collection", &self.collection)
            .field("forgets", &self.forgets)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(Mongo::new("mongodb://localhost/app").is_ok());
        assert!(Mongo::new("mongodb+srv://cluster.example.net/app").is_ok());
        assert!(Mongo::new("mongodb://").is_err());
        assert!(Mongo::new("postgres://localhost/app").is_err());
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (url, said) in [
            ("postgres://localhost/app", "no scheme of MongoDB"),
            ("mongodb://me:pa?ss@db/app", "a ? in a password is %3F"),
            ("mongodb://me:pa/ss@db/app", "account, host and database"),
            ("mongodb://a:port", "account, host and database"),
            ("mongodb://a/?appName=a&tls=perhaps", "option 2 means"),
            ("mongodb://a/?nothing", "option 1 means"),
            (
                "mongodb://a/?tls=true&ssl=false",
                "the options do not go together",
            ),
        ] {
            let error = Mongo::new(url).unwrap_err().to_string();
            assert!(error.contains(said), "{url}: {error}");
        }
    }

    #[test]
    fn nothing_that_may_be_of_a_password_is_in_errors() {
        for url in [
            "mongodb://me:secr?et@db/app",
            "mongodb://me:1?secret@db/app",
            "mongodb://me:1?appName=secret@db/app",
            "mongodb://me:secr/et@db/app",
            "mongodb://me:secr@et@db/app",
            "mongodb://me:secr:et@db/app",
            "mongodb://me:secret",
            "mongodb://me:secret?app=secret",
            "mongodb://me:%secret@db",
            "mongodb+srv://me:secr?et@db/app",
            "mongodb://db/?tls=secret",
            "mongodb://db/?secret=x",
            "me:secret://db",
        ] {
            let error = Mongo::new(url).unwrap_err();
            let text = sockeye_testkit::all_shown(&error);
            assert!(!text.contains("secr") && !text.contains("et@"), "{text}");
        }
    }

    #[test]
    fn patience_is_what_the_url_says() {
        let patience = |query: &str| {
            let mongo = Mongo::new(&format!("mongodb://localhost/?{query}"));
            mongo.unwrap().patience.as_millis()
        };
        assert_eq!(patience("socketTimeoutMS=1500"), 1500);
        assert_eq!(patience("socketTimeoutMS=0"), 10_000);
        assert_eq!(patience("appName=a"), 10_000);
    }

    #[test]
    fn passwords_are_not_shown() {
        let mongo = Mongo::new("mongodb://me:secret@localhost/").unwrap();
        assert!(!format!("{mongo:?}").contains("secret"));
    }
}
