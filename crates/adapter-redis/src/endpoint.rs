//! Where Redis is, and how to get a connection to it.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisResult, TlsMode,
};
#[cfg(feature = "tls")]
use sockeye_cluster::EngineTls;
use sockeye_cluster::Patience;

use crate::error::RedisUrlError;
use crate::slots::Address;
#[cfg(feature = "tls")]
use crate::tls;

/// The servers of one Redis: one alone, some of a Redis Cluster, or the sentinels that know who is the primary.
pub(crate) struct Endpoint {
    servers: Vec<ConnectionInfo>,
    /// The name that the sentinels know the primary by, if that is what the servers are.
    sentinel: Option<String>,
    /// Which of the servers is asked first: the one that answered last.
    first: AtomicUsize,
    /// What the sentinels' primary is reached with; those of the URL have it by themselves.
    #[cfg(feature = "tls")]
    certificates: Option<redis::TlsCertificates>,
}

impl Endpoint {
    /// Takes a URL apart. Parameters that are not about the connection are for `other`, which says whether it knows them.
    ///
    /// `suffix` is what the scheme says of the way in which Redis is used: `+sharded`, say.
    pub(crate) fn parse(
        url: &str,
        suffix: &str,
        mut other: impl FnMut(&str, &str) -> Result<bool, RedisUrlError>,
    ) -> Result<Self, RedisUrlError> {
        let (whole, rest) = url.split_once("://").unwrap_or(("", url));
        // What is no scheme is not shown: it may be a part of a password.
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let whole = if whole.bytes().all(is_part) {
            whole
        } else {
            ""
        };
        let scheme = whole.strip_suffix(suffix).unwrap_or(whole);
        if !SCHEMES.contains(&scheme) {
            return Err(RedisUrlError::Scheme(whole.to_owned()));
        }
        let is_known = |name: &str, value: &str| {
            let known = ["sentinel", "ca", "cert", "key"].contains(&name) || other(name, value)?;
            Ok(known)
        };
        let (rest, query) = query_of(rest, is_known);
        // A part of a password may look like it, and is not shown.
        let is_clear = !query.contains('@');
        let unclear = || {
            let why = "there is a parameter that means nothing, or a ? in a password, which is %3F in a URL";
            RedisUrlError::Invalid(why.into())
        };
        let mut sentinel = None;
        #[cfg(feature = "tls")]
        let (mut ca, mut cert, mut key) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sentinel" => sentinel = Some(value.into_owned()),
                #[cfg(feature = "tls")]
                "ca" => ca = Some(value),
                #[cfg(feature = "tls")]
                "cert" => cert = Some(value),
                #[cfg(feature = "tls")]
                "key" => key = Some(value),
                _ => match other(&name, &value) {
                    Ok(true) => {}
                    Ok(false) if is_clear => {
                        return Err(RedisUrlError::Parameter(name.into_owned()));
                    }
                    Err(error) if is_clear => return Err(error),
                    _ => return Err(unclear()),
                },
            }
        }
        let endpoint = Self {
            servers: each_host(scheme, rest)
                .map(|url| server(&url))
                .collect::<Result<_, _>>()?,
            sentinel,
            first: AtomicUsize::new(0),
            #[cfg(feature = "tls")]
            certificates: None,
        };
        #[cfg(feature = "tls")]
        if ca.is_some() || cert.is_some() || key.is_some() {
            let tls = EngineTls::from_files(ca.as_deref(), cert.as_deref(), key.as_deref())?;
            return endpoint.with_tls(&tls);
        }
        Ok(endpoint)
    }

    /// Speaks TLS in this way.
    #[cfg(feature = "tls")]
    pub(crate) fn with_tls(mut self, tls: &EngineTls) -> Result<Self, RedisUrlError> {
        let certificates = tls::certificates(tls)?;
        for server in &mut self.servers {
            let client = Client::build_with_tls(server.clone(), certificates.clone());
            let client = client.map_err(|error| RedisUrlError::Invalid(error.into()))?;
            *server = client.get_connection_info().clone();
        }
        self.certificates = Some(certificates);
        Ok(self)
    }

    /// Connects to the first server that can be reached, or to the primary that the sentinels name.
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        #[cfg(feature = "tls")]
        choose_cryptography();
        if let Some(name) = &self.sentinel {
            return self.connect_to_primary(name, config).await;
        }
        let mut last = None;
        let first = self.first.load(Ordering::Relaxed);
        for turn in 0..self.servers.len() {
            let index = (first + turn) % self.servers.len();
            match connect_to(self.servers[index].clone(), config).await {
                Ok(connection) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one server, or the URL would be refused"))
    }

    /// Begins with another server the next time, as the one that answered last does not know what the others know: it is cut off
    /// from them, say.
    pub(crate) fn look_elsewhere(&self) {
        let first = self.first.load(Ordering::Relaxed);
        let next = (first + 1) % self.servers.len();
        self.first.store(next, Ordering::Relaxed);
    }

    /// Connects to the server of the same Redis Cluster that has this address, or to one that the URL names.
    pub(crate) fn connect_at<'a>(
        &'a self,
        address: Option<&Address>,
        config: &'a AsyncConnectionConfig,
    ) -> BoxFuture<'a, RedisResult<MultiplexedConnection>> {
        match address {
            None => self.connect(config).boxed(),
            Some((host, port)) => connect_to(self.sibling(host, *port), config),
        }
    }

    async fn connect_to_primary(
        &self,
        name: &str,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let addresses = self.servers.iter().map(|server| server.addr().clone());
        let mut builder = SentinelClientBuilder::new(addresses, name, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_tcp_settings(tcp())
            .set_client_to_sentinel_tcp_settings(tcp());
        let settings = self.servers[0].redis_settings();
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(username) = settings.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.uses_tls() {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        #[cfg(feature = "tls")]
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        let mut sentinels = builder.build()?;
        sentinels.get_async_connection_with_config(config).await
    }

    /// How to reach another server of the same Redis Cluster. Without a host it is on that of the server that was asked.
    pub(crate) fn sibling(&self, host: &str, port: u16) -> ConnectionInfo {
        let server = self.servers[self.first.load(Ordering::Relaxed)].clone();
        let host = match (host, server.addr()) {
            ("", redis::ConnectionAddr::Tcp(host, _))
            | ("", redis::ConnectionAddr::TcpTls { host, .. }) => host.clone(),
            _ => host.to_owned(),
        };
        let address = match server.addr() {
            redis::ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => redis::ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => redis::ConnectionAddr::Tcp(host, port),
        };
        server.set_addr(address)
    }

    fn uses_tls(&self) -> bool {
        matches!(self.servers[0].addr(), redis::ConnectionAddr::TcpTls { .. })
    }
}

/// Connects to one server.
///
/// Boxed, as this is large, and all who wait for it would have it in their futures.
pub(crate) fn connect_to(
    server: ConnectionInfo,
    config: &AsyncConnectionConfig,
) -> BoxFuture<'_, RedisResult<MultiplexedConnection>> {
    async move {
        let client = Client::open(server)?;
        let connection = client.get_multiplexed_async_connection_with_config(config);
        connection.await
    }
    .boxed()
}

/// How connections are made here. A server that does not answer in this time is taken for dead.
pub(crate) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE))
}

/// How long a server may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take to answer something behind which so many bytes are on their way to it: a slow network is no dead server.
pub(crate) fn patience(bytes: usize) -> Duration {
    Patience::behind(bytes, PATIENCE)
}

const SCHEMES: &[&str] = &[
    "redis",
    "rediss",
    "redis+unix",
    "valkey",
    "valkeys",
    "valkey+unix",
    "unix",
];

/// Takes the parameters from the end of a URL. A question mark may stand in a password, and an `@` in a parameter: where one is
/// before the other, it is a parameter that is known, or there is none.
fn query_of(
    rest: &str,
    mut is_known: impl FnMut(&str, &str) -> Result<bool, RedisUrlError>,
) -> (&str, &str) {
    let Some((before, query)) = rest.split_once('?') else {
        return (rest, "");
    };
    let first = form_urlencoded::parse(query.as_bytes()).next();
    let is_query = first.is_none_or(|(name, value)| is_known(&name, &value).unwrap_or(true));
    match query.rsplit_once('@') {
        Some((_, hosts)) if !is_query => {
            let at = rest.len() - hosts.len();
            let end = hosts.find('?').map(|end| at + end);
            end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 1..]))
        }
        _ => (before, query),
    }
}

/// The URL of each host, of a URL that may have several with commas between them.
fn each_host<'a>(scheme: &'a str, rest: &'a str) -> impl Iterator<Item = String> + 'a {
    let is_path = scheme.ends_with("unix");
    // A password may have anything in it but an @.
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((credentials, rest)) if !is_path => {
            let encoded = [("/", "%2F"), ("?", "%3F"), ("#", "%23")];
            let encoded = encoded
                .iter()
                .fold(credentials.to_owned(), |text, (from, to)| {
                    text.replace(from, to)
                });
            (encoded + "@", rest)
        }
        _ => (String::new(), rest),
    };
    let (hosts, path) = match rest.split_once('/') {
        Some((hosts, path)) if !is_path => (hosts, Cow::from(format!("/{path}"))),
        _ => (rest, Cow::from("")),
    };
    let separator = if is_path { '\0' } else { ',' };
    hosts
        .split(separator)
        .map(move |host| format!("{scheme}://{credentials}{host}{path}"))
}

fn server(url: &str) -> Result<ConnectionInfo, RedisUrlError> {
    let info = url.into_connection_info();
    let info = info.map_err(|error| RedisUrlError::Invalid(error.into()))?;
    let settings = info.redis_settings().clone();
    // What is published comes as pushes, between the answers to commands.
    let settings = settings.set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp()))
}

/// Messages are small and not to wait for each other.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// rustls asks for one implementation of cryptography for the whole process, unless the application has chosen one.
#[cfg(feature = "tls")]
fn choose_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Without passwords.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(|s| s.addr().to_string()).collect();
        f.debug_struct("Endpoint")
            .field("servers", &servers)
            .field("sentinel", &self.sentinel)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, suffix: &str) -> Result<Endpoint, RedisUrlError> {
        Endpoint::parse(url, suffix, |name, _| Ok(name == "prefix"))
    }

    fn shown(url: &str, suffix: &str) -> Vec<String> {
        let endpoint = parse(url, suffix).unwrap_or_else(|error| panic!("{url}: {error}"));
        let servers = endpoint.servers.iter();
        servers.map(|server| server.addr().to_string()).collect()
    }

    #[test]
    fn urls_have_one_host_or_several() {
        assert_eq!(shown("redis://a", ""), ["a:6379"]);
        assert_eq!(
            shown("redis+sharded://a:1,b:2,[::1]:3/0?prefix=x", "+sharded"),
            ["a:1", "b:2", "::1:3"]
        );
        assert_eq!(shown("unix:///run/a,b", ""), ["/run/a,b"]);
        let endpoint = parse("redis://me:s,3@a,b/4?sentinel=main", "").unwrap();
        assert_eq!(endpoint.sentinel.as_deref(), Some("main"));
    }

    #[test]
    fn credentials_and_database_are_those_of_every_host() {
        let endpoint = parse("redis://me:s%2Cecret@a,b:2/4", "").unwrap();
        assert_eq!(endpoint.servers.len(), 2);
        for server in &endpoint.servers {
            let settings = server.redis_settings();
            assert_eq!(settings.username(), Some("me"));
            assert_eq!(settings.password(), Some("s,ecret"));
            assert_eq!(settings.db(), 4);
            assert!(settings.protocol() == ProtocolVersion::RESP3);
        }
        assert!(!format!("{endpoint:?}").contains("ecret"));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for url in ["http://a", "a:6379", "redis+sharded://a"] {
            let error = parse(url, "").unwrap_err();
            assert!(matches!(error, RedisUrlError::Scheme(_)), "{error}");
        }
        for url in ["redis://", "redis://a,", "redis://a/b", "redis://a:b"] {
            let error = parse(url, "").unwrap_err();
            assert!(matches!(error, RedisUrlError::Invalid(_)), "{url}: {error}");
        }
        let error = parse("redis://a?prefx=b", "").unwrap_err();
        assert!(matches!(error, RedisUrlError::Parameter(_)), "{error}");
    }

    #[test]
    fn servers_take_turns_in_being_asked_first() {
        let endpoint = parse("redis://a,b", "").unwrap();
        let host = |endpoint: &Endpoint| endpoint.sibling("", 1).addr().to_string();
        assert_eq!(host(&endpoint), "a:1");
        endpoint.look_elsewhere();
        assert_eq!(host(&endpoint), "b:1");
        endpoint.look_elsewhere();
        assert_eq!(host(&endpoint), "a:1");
    }

    #[test]
    fn password_may_have_anything_in_it_but_an_at() {
        for (url, password) in [
            ("redis://:pa?ss@a", "pa?ss"),
            ("redis://:pa?ss=x&y@a/1?prefix=b", "pa?ss=x&y"),
            ("redis://:p/a#s,s@a,b", "p/a#s,s"),
            ("redis://:secret@a?prefix=b@c", "secret"),
        ] {
            let endpoint = parse(url, "").unwrap_or_else(|error| panic!("{url}: {error}"));
            for server in &endpoint.servers {
                assert_eq!(server.redis_settings().password(), Some(password));
            }
        }
        assert_eq!(shown("redis://a?prefix=b@c", ""), ["a:6379"]);
    }

    #[test]
    fn nothing_that_may_be_of_a_password_is_shown() {
        for url in [
            "redis://:secr?et@",
            "redis://:secr?et@a,",
            "redis://:x?prefix=b&secret@a",
            "redis://:x?prefix=b&secret=c@a",
            "host=a password=secret://b",
        ] {
            let error = parse(url, "").unwrap_err();
            let text = sockeye_testkit::all_shown(&error);
            assert!(!text.contains("secr") && !text.contains("et@"), "{text}");
        }
    }

    #[test]
    fn much_takes_its_time() {
        assert_eq!(patience(0), PATIENCE);
        assert_eq!(patience(256 * 1024), PATIENCE + Duration::from_secs(4));
        assert!(patience(usize::MAX) < Duration::from_secs(24 * 3600));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn certificates_are_looked_at_before_they_are_needed() {
        let error = parse("rediss://a?ca=/nowhere/ca.pem", "").unwrap_err();
        let missing = r#"the file "/nowhere/ca.pem" cannot be read: "#;
        assert!(error.to_string().starts_with(missing), "{error}");
        let no_key = parse("rediss://a?cert=/dev/null", "").unwrap_err();
        assert!(matches!(no_key, RedisUrlError::Certificates(_)), "{no_key}");
        let empty = parse("rediss://a?ca=/dev/null", "").unwrap_err();
        assert!(matches!(empty, RedisUrlError::Invalid(_)), "{empty}");
        let plain = parse("redis://a", "").unwrap();
        let error = plain.with_tls(&EngineTls::default()).unwrap_err();
        assert!(matches!(error, RedisUrlError::Invalid(_)), "{error}");
    }
}
