//! URLs of Postgres.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{
    ChannelBinding, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs,
};

use crate::error::PostgresUrlError;
use crate::place::{Place, places};
#[cfg(feature = "tls")]
use crate::tls::{Handshake, Names, Tls, Trust};

/// How to connect.
pub(crate) struct Target {
    pub(crate) config: Config,
    /// One at least.
    pub(crate) places: Vec<Place>,
    #[cfg(feature = "tls")]
    tls: Tls,
}

/// What the client does not know of what the command `psql` does.
#[derive(Default)]
struct Others {
    verify: Verify,
    authorities: Option<PathBuf>,
    fallback_name: Option<String>,
}

/// What is looked at in a certificate.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Verify {
    #[default]
    Nothing,
    Authority,
    AuthorityAndName,
}

impl Target {
    /// Takes a URL apart.
    pub(crate) fn parse(url: &str) -> Result<Self, PostgresUrlError> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        // What is no scheme is not shown: the other form has passwords in it, and these may be of anything.
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let scheme = if scheme.bytes().all(is_part) {
            scheme
        } else {
            ""
        };
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(PostgresUrlError::Scheme(scheme.to_owned()));
        }
        // A password may have a question mark in it.
        let rest = scheme.len() + "://".len();
        let credentials = url[rest..].find(['@', '/']).map_or(rest, |at| rest + at);
        let query = url[credentials..].find('?').map(|at| credentials + at);
        let (start, query) = query.map_or((url, ""), |at| (&url[..at], &url[at + 1..]));
        // A part of one that has a slash as well may look like parameters, and is not shown.
        let is_clear = !query.contains('@');
        Self::of_parts(start, query).map_err(|error| match is_clear {
            true => error,
            false => PostgresUrlError::Unclear,
        })
    }

    fn of_parts(start: &str, query: &str) -> Result<Self, PostgresUrlError> {
        let mut config: Config = start.parse().map_err(PostgresUrlError::Invalid)?;
        let mut others = Others::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            set(&mut config, &mut others, &name, &value)?;
        }
        if config.get_application_name().is_none()
            && let Some(name) = others.fallback_name.take()
        {
            config.application_name(name);
        }
        let is_prefer = config.get_ssl_mode() == SslMode::Prefer;
        if is_prefer && config.get_ssl_negotiation() == SslNegotiation::Direct {
            let why = "sslnegotiation=direct goes with sslmode=require and the like";
            return Err(PostgresUrlError::Tls(why.into()));
        }
        let places = places(&config)?;
        Self::new(config, places, &others)
    }

    #[cfg(feature = "tls")]
    fn new(config: Config, places: Vec<Place>, others: &Others) -> Result<Self, PostgresUrlError> {
        let names = match others.verify {
            Verify::Authority => Names::Ignored,
            Verify::AuthorityAndName | Verify::Nothing => Names::Checked,
        };
        let trust = match &others.authorities {
            // Who says nothing of TLS, or that it must not be, does not get it because of a file.
            Some(_) if config.get_ssl_mode() != SslMode::Require => {
                let why = "sslrootcert goes with sslmode=require, verify-ca or verify-full";
                return Err(PostgresUrlError::Tls(why.into()));
            }
            Some(path) if path.as_os_str() == "system" => Trust::System,
            Some(path) => match std::fs::read(path) {
                Ok(pem) => Trust::Only(pem),
                Err(source) => {
                    let path = path.clone();
                    return Err(PostgresUrlError::File { path, source });
                }
            },
            None if others.verify != Verify::Nothing => Trust::System,
            None => Trust::Anybody,
        };
        let tls = Tls::new(&trust, names)?;
        Ok(Self {
            config,
            places,
            tls,
        })
    }

    #[cfg(not(feature = "tls"))]
    fn new(config: Config, places: Vec<Place>, others: &Others) -> Result<Self, PostgresUrlError> {
        let is_wanted = config.get_ssl_mode() == SslMode::Require;
        if is_wanted || others.verify != Verify::Nothing || others.authorities.is_some() {
            let why = "the feature tls is not compiled in";
            return Err(PostgresUrlError::Tls(why.into()));
        }
        Ok(Self { config, places })
    }
}

#[cfg(feature = "tls")]
impl Target {
    pub(crate) fn handshake(&self, name: &str) -> Handshake {
        self.tls.handshake(name)
    }
}

#[cfg(not(feature = "tls"))]
impl Target {
    #[expect(clippy::unused_self, reason = "with TLS, there is a choice")]
    pub(crate) const fn handshake(&self, _: &str) -> tokio_postgres::NoTls {
        tokio_postgres::NoTls
    }
}

/// Does what a parameter says.
fn set(
    config: &mut Config,
    others: &mut Others,
    name: &str,
    value: &str,
) -> Result<(), PostgresUrlError> {
    let wrong = || PostgresUrlError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    // What is not above 0 means the default.
    let duration = |unit: fn(u64) -> Duration| match value.parse::<i64>() {
        Ok(number) => Ok(u64::try_from(number).ok().filter(|n| *n > 0).map(unit)),
        Err(_) => Err(wrong()),
    };
    let seconds = || duration(Duration::from_secs);
    match name {
        "user" => _ = config.user(value),
        "password" => _ = config.password(value),
        "dbname" => _ = config.dbname(value),
        "options" => _ = config.options(value),
        "application_name" => _ = config.application_name(value),
        "fallback_application_name" => others.fallback_name = Some(value.to_owned()),
        "host" => {
            for host in value.split(',') {
                config.host(host);
            }
        }
        "hostaddr" => {
            for address in value.split(',') {
                config.hostaddr(address.parse().map_err(|_| wrong())?);
            }
        }
        "port" => {
            for port in value.split(',') {
                config.port(port.parse().map_err(|_| wrong())?);
            }
        }
        "connect_timeout" => _ = seconds()?.map(|time| config.connect_timeout(time)),
        "keepalives" => _ = config.keepalives(number(value).ok_or_else(wrong)? != 0),
        "keepalives_idle" => _ = seconds()?.map(|time| config.keepalives_idle(time)),
        "keepalives_interval" => _ = seconds()?.map(|time| config.keepalives_interval(time)),
        "keepalives_count" | "keepalives_retries" => {
            config.keepalives_retries(number(value).ok_or_else(wrong)?);
        }
        "tcp_user_timeout" => {
            let time = duration(Duration::from_millis)?;
            _ = time.map(|time| config.tcp_user_timeout(time));
        }
        "load_balance_hosts" => {
            config.load_balance_hosts(match value {
                "disable" => LoadBalanceHosts::Disable,
                "random" => LoadBalanceHosts::Random,
                _ => return Err(wrong()),
            });
        }
        // Nobody can publish on a standby.
        "target_session_attrs" => {
            config.target_session_attrs(match value {
                "any" => TargetSessionAttrs::Any,
                "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
                _ => return Err(wrong()),
            });
        }
        "channel_binding" => {
            config.channel_binding(match value {
                "disable" => ChannelBinding::Disable,
                "prefer" => ChannelBinding::Prefer,
                _ => return Err(wrong()),
            });
        }
        "sslmode" => {
            let (mode, verify) = match value {
                "disable" => (SslMode::Disable, Verify::Nothing),
                "allow" | "prefer" => (SslMode::Prefer, Verify::Nothing),
                "require" => (SslMode::Require, Verify::Nothing),
                "verify-ca" => (SslMode::Require, Verify::Authority),
                "verify-full" => (SslMode::Require, Verify::AuthorityAndName),
                _ => return Err(wrong()),
            };
            config.ssl_mode(mode);
            others.verify = verify;
        }
        "sslnegotiation" => {
            config.ssl_negotiation(match value {
                "postgres" => SslNegotiation::Postgres,
                "direct" => SslNegotiation::Direct,
                _ => return Err(wrong()),
            });
        }
        "sslrootcert" => others.authorities = Some(value.into()),
        // Kerberos is not spoken in any case, and all texts are in this encoding.
        "gssencmode" if matches!(value, "disable" | "prefer") => {}
        "client_encoding" if matches!(&*value.to_lowercase(), "utf8" | "utf-8" | "auto") => {}
        "gssencmode" | "client_encoding" => return Err(wrong()),
        _ => return Err(PostgresUrlError::Parameter(name.to_owned())),
    }
    Ok(())
}

fn number(value: &str) -> Option<u32> {
    value.parse().ok()
}

/// A plus sign is one, in a path for example.
fn decoded(text: &str) -> Result<String, PostgresUrlError> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| PostgresUrlError::Encoding)?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(rest: &str) -> Target {
        let url = format!("postgres://{rest}");
        Target::parse(&url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn shown(rest: &str) -> Vec<String> {
        let target = target(rest);
        target.places.iter().map(Place::to_string).collect()
    }

    fn refused(url: &str) -> String {
        let refused = Target::parse(url).err();
        refused.unwrap_or_else(|| panic!("{url}")).to_string()
    }

    #[test]
    fn urls_name_one_server_or_several() {
        assert_eq!(shown("db.example/app"), ["db.example:5432"]);
        assert_eq!(shown("[::1]:5433"), ["::1:5433"]);
        assert_eq!(shown("a:1,b/app"), ["a:1", "b:5432"]);
        assert_eq!(shown("/app?host=a,b&port=7"), ["a:7", "b:7"]);
        assert_eq!(shown("a?hostaddr=127.0.0.1"), ["127.0.0.1:5432"]);
        assert_eq!(shown("?hostaddr=127.0.0.1"), ["127.0.0.1:5432"]);
    }

    #[cfg(unix)]
    #[test]
    fn servers_may_be_behind_socket_files() {
        let file = "/run/postgresql/.s.PGSQL.5432";
        assert_eq!(shown("me@/app?host=/run/postgresql"), [file]);
        assert_eq!(shown("me@%2Frun%2Fpostgresql/app"), [file]);
    }

    #[test]
    fn passwords_have_any_characters() {
        for (written, meant) in [
            ("s%40c%2Fret%3F", "s@c/ret?"),
            ("a?b=c", "a?b=c"),
            ("50%25+", "50%+"),
            ("b%C3%A4r", "bär"),
        ] {
            let target = target(&format!("me:{written}@db/app?connect_timeout=1"));
            assert_eq!(target.config.get_password(), Some(meant.as_bytes()));
            assert_eq!(target.config.get_dbname(), Some("app"));
            assert!(target.config.get_connect_timeout().is_some());
        }
    }

    #[test]
    fn parameters_mean_what_they_do_elsewhere() {
        let target = target(
            "a?connect_timeout=3&tcp_user_timeout=1500&keepalives_idle=60&keepalives_count=4\
             &fallback_application_name=chat&target_session_attrs=primary&client_encoding=UTF8",
        );
        let config = target.config;
        let seconds = Duration::from_secs;
        assert_eq!(config.get_connect_timeout(), Some(&seconds(3)));
        assert_eq!(
            config.get_tcp_user_timeout(),
            Some(&Duration::from_millis(1500))
        );
        assert_eq!(config.get_keepalives_idle(), seconds(60));
        assert_eq!(config.get_keepalives_retries(), Some(4));
        assert_eq!(config.get_application_name(), Some("chat"));
        let attributes = config.get_target_session_attrs();
        assert_eq!(attributes, TargetSessionAttrs::ReadWrite);
        let none = super::Target::parse("postgres://a?connect_timeout=0");
        assert_eq!(none.unwrap().config.get_connect_timeout(), None);
    }

    #[test]
    fn what_is_refused_is_named() {
        for (url, said) in [
            ("host=a user=b", r#""" is no scheme of Postgres"#),
            ("mysql://a", r#""mysql" is no scheme of Postgres"#),
            (
                "host=a password=secret://b",
                r#""" is no scheme of Postgres"#,
            ),
            ("postgres://a?sslcert=x", r#"a parameter "sslcert""#),
            ("postgres://a?sslmode=verify", r#""sslmode" of "verify""#),
            (
                "postgres://a?connect_timeout=5s",
                r#""connect_timeout" of "5s""#,
            ),
            (
                "postgres://a?target_session_attrs=standby",
                r#""target_session_attrs" of "standby""#,
            ),
            (
                "postgres://a?channel_binding=require",
                r#""channel_binding" of "require""#,
            ),
            ("postgres://a?port=x", r#""port" of "x""#),
            ("postgres:///app", "a host missing"),
            ("postgres://a,,b", "a host missing"),
            ("postgres://a,b?hostaddr=::1", "one address for each host"),
            ("postgres://a?options=%ff", "no UTF-8"),
        ] {
            let error = refused(url);
            assert!(error.contains(said), "{url}: {error}");
        }
    }

    #[test]
    fn nothing_that_may_be_of_a_password_is_in_errors() {
        for url in [
            "postgres://me:1/x?secret@a",
            "postgres://me:1/x?port=secret@a",
            "postgres://me:1/x?sslmode=require&sslrootcert=secret@a",
            "postgres://me:secr/x?et@a",
            "postgres://me:secret",
        ] {
            let error = Target::parse(url).err().unwrap();
            let text = sockeye_testkit::all_shown(&error);
            assert!(!text.contains("secr") && !text.contains("et@"), "{text}");
        }
        let account = target("a/app?user=me@b");
        assert_eq!(account.config.get_user(), Some("me@b"));
    }
}
