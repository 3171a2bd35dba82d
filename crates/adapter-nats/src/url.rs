//! URLs of NATS.

use percent_encoding::percent_decode_str;

use crate::account::Account;

/// What a URL says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// One at least.
    pub(crate) servers: Vec<Server>,
    pub(crate) account: Account,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Target {
    /// Takes a URL apart: servers with commas between them, of which each may have a scheme, and a user with a password, or a
    /// token, before an `@`. Behind it all there may be the file with the credentials.
    ///
    /// `suffix` is what the first scheme has to have at its end.
    pub(crate) fn parse(url: &str, suffix: &str) -> Result<Self, String> {
        // A question mark alone may stand in a password.
        let (url, file) = match url.rsplit_once(CREDENTIALS) {
            Some((url, file)) => (url, Some(file)),
            None => (url, None),
        };
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let scheme = scheme.unwrap_or("nats");
        let tls = encrypted(scheme, suffix)?;
        let mut target = Self::default();
        for (number, text) in (1..).zip(url.split(',')) {
            let (tls, text) = match text.split_once("://") {
                Some((scheme, text)) => (encrypted(scheme, suffix)?, text),
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
        if let Some(file) = file {
            target.account = Account::from_file(&decoded(file)?)?;
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
        Ok(Self { host, port, tls })
    }
}

fn encrypted(scheme: &str, suffix: &str) -> Result<bool, String> {
    match scheme.strip_suffix(suffix).unwrap_or(scheme) {
        "nats" => Ok(false),
        "tls" => Ok(true),
        _ => Err(format!("{scheme:?} is no scheme of NATS here")),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| "what is encoded in it is no UTF-8".to_owned())?;
    Ok(text.into_owned())
}

const DEFAULT_PORT: u16 = 4222;

const CREDENTIALS: &str = "?credentials=";

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
