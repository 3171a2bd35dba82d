//! URLs of NATS.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use sockeye_cluster::EngineTls;
use tokio_rustls::rustls::ClientConfig;

use crate::account::Account;
use crate::tls::{self, NatsTlsError};

/// What a URL says.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// One at least.
    pub(crate) servers: Vec<Server>,
    pub(crate) account: Account,
    /// How TLS is spoken; as the operating system has it, if nothing is said.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Whose certificate it has, if not that of its host.
    pub(crate) certified: Option<String>,
}

impl Target {
    /// Takes a URL apart: servers with commas between them, of which each may have a scheme, and a user with a password, or a
    /// token, before an `@`. Behind it all there may be files with credentials and certificates.
    ///
    /// `suffix` is what the first scheme has to have at its end.
    pub(crate) fn parse(url: &str, suffix: &str) -> Result<Self, String> {
        let (url, files) = Files::split(url)?;
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let scheme = scheme.unwrap_or("nats");
        let tls = encrypted(scheme, suffix)?;
        let mut target = Self::default();
        for (number, text) in (1..).zip(url.split(',')) {
            let (tls, text) = match text.split_once("://") {
                Some((scheme, text)) => match encrypted(scheme, suffix) {
                    Ok(tls) => (tls, text),
                    Err(_) => return Err(format!("server {number} has no scheme of NATS")),
                },
                None => (tls, text),
            };
            let (account, place) = match text.rsplit_once('@') {
                Some((account, place)) => (account, place),
                None => ("", text),
            };
            if target.account == Account::None {
                target.account = match account.split_once(':') {
                    Some((name, password)) => Account::User {
                        name: decoded(name)?,
                        password: decoded(password)?,
                    },
                    None if account.is_empty() => Account::None,
                    None => Account::Token(decoded(account)?),
                };
            }
            let place = place.strip_suffix('/').unwrap_or(place);
            // Not shown: where a password has a comma in it, this is a part of it.
            let server = Server::parse(place, tls);
            let server = server.map_err(|why| format!("server {number} {why}"))?;
            target.servers.push(server);
        }
        if let Some(file) = files.credentials {
            target.account = Account::from_file(&file)?;
        }
        let [ca, cert, key] = [&files.ca, &files.cert, &files.key].map(Option::as_deref);
        if ca.or(cert).or(key).is_some() {
            let files = EngineTls::from_files(ca, cert, key).map_err(NatsTlsError::from);
            let config = files.and_then(|files| tls::config(&files));
            target.tls = Some(config.map_err(|error| error.to_string())?);
        }
        Ok(target)
    }
}

impl Server {
    /// A host, and maybe a port.
    pub(crate) fn parse(place: &str, tls: bool) -> Result<Self, &'static str> {
        let wrong = || "is no host with a port";
        if place.contains(['/', '?']) {
            return Err("has something behind it that means nothing");
        }
        // An address of IPv6 has colons in it, and so brackets around it.
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if port.is_empty() => DEFAULT_PORT,
            None => return Err(wrong()),
        };
        if host.is_empty() {
            return Err("has no host");
        }
        let host = host.to_owned();
        Ok(Self {
            host,
            port,
            tls,
            certified: None,
        })
    }

    /// Whose certificate it has to have.
    pub(crate) fn certified(&self) -> &str {
        self.certified.as_deref().unwrap_or(&self.host)
    }
}

/// The files that a URL names.
#[derive(Default)]
struct Files {
    credentials: Option<String>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl Files {
    /// Takes them from the end of a URL. A question mark with nothing that is known behind it may stand in a password.
    fn split(url: &str) -> Result<(&str, Self), String> {
        let mut files = Self::default();
        let Some((rest, options)) = url.rsplit_once('?') else {
            return Ok((url, files));
        };
        for (number, option) in (1..).zip(options.split('&')) {
            let (name, file) = option.split_once('=').unwrap_or((option, ""));
            let place = match name {
                "credentials" => &mut files.credentials,
                "ca" => &mut files.ca,
                "cert" => &mut files.cert,
                "key" => &mut files.key,
                _ if number == 1 => return Ok((url, files)),
                // Not shown: it may be a part of a password after all.
                _ => return Err(format!("option {number} behind the servers means nothing")),
            };
            *place = Some(decoded(file)?);
        }
        Ok((rest, files))
    }
}

fn encrypted(scheme: &str, suffix: &str) -> Result<bool, String> {
    match scheme.strip_suffix(suffix).unwrap_or(scheme) {
        "nats" => Ok(false),
        "tls" => Ok(true),
        // Another text may be a part of a password.
        _ if scheme.contains(['@', ':', ',', ' ', '=']) => {
            Err("it has no scheme of NATS".to_owned())
        }
        _ => Err(format!("{scheme:?} is no scheme of NATS here")),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| "what is encoded in it is no UTF-8".to_owned())?;
    Ok(text.into_owned())
}

const DEFAULT_PORT: u16 = 4222;

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Vec<String> {
        let target = Target::parse(url, "").unwrap();
        target.servers.iter().map(Server::to_string).collect()
    }

    #[test]
    fn several_servers_are_named_by_one_url() {
        assert_eq!(servers("nats://a"), ["a:4222"]);
        assert_eq!(servers("a:1"), ["a:1"]);
        assert_eq!(
            servers("nats://a:1,b,nats://c:3/"),
            ["a:1", "b:4222", "c:3"]
        );
        assert_eq!(servers("nats://[::1],[::2]:3"), ["::1:4222", "::2:3"]);
        let target = Target::parse("tls://a,nats://b", "").unwrap();
        assert_eq!(
            [true, false],
            [target.servers[0].tls, target.servers[1].tls]
        );
    }

    #[test]
    fn accounts_are_those_of_all_servers() {
        let account = |url| Target::parse(url, "").unwrap().account;
        let user = |name: &str, password: &str| Account::User {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        assert_eq!(account("nats://a"), Account::None);
        assert_eq!(account("nats://me:s%40cret@a,b"), user("me", "s@cret"));
        assert_eq!(account("nats://a,me:x:y@b"), user("me", "x:y"));
        assert_eq!(account("nats://me:x?y@a"), user("me", "x?y"));
        let token = Account::Token("t:ken".to_owned());
        assert_eq!(account("nats://t%3Aken@a"), token);
    }

    #[test]
    fn errors_say_which_server_is_wrong_and_show_no_part_of_it() {
        let error = |url| Target::parse(url, "").unwrap_err();
        assert_eq!(error("nats://a,b:c"), "server 2 is no host with a port");
        assert_eq!(
            error("nats://me:pa,ss@a"),
            "server 1 is no host with a port"
        );
        let behind = "server 1 has something behind it that means nothing";
        assert_eq!(error("nats://a/b"), behind);
        assert_eq!(error("nats://a,"), "server 2 has no host");
        let scheme = "server 2 has no scheme of NATS";
        assert_eq!(error("nats://a,x://b"), scheme);
        assert_eq!(error("me:pass://x@a"), "it has no scheme of NATS");
        let nothing = "option 2 behind the servers means nothing";
        assert_eq!(error("nats://me:x?ca=a&pass@a"), nothing);
        let alone = "a client's certificate goes with its key";
        assert_eq!(error("tls://a?key=/nowhere"), alone);
        let missing = r#"the file "/nowhere a" cannot be read: "#;
        assert!(error("tls://a?ca=/nowhere%20a").starts_with(missing));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "http://a",
            "nats+mickl://a",
            "nats://a:b:c",
            "nats://a,",
            "nats://",
            "nats://[::1",
            "nats://[::1]x",
            "nats://a:99999",
            "nats://a?tls=1",
            "nats://a?credentials=/nowhere",
            "nats://a/b",
            "nats://%ff@a",
        ] {
            assert!(Target::parse(url, "").is_err(), "{url}");
        }
    }
}
