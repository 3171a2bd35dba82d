//! The cookies that servers set.

use std::fmt;

use cookie_store::{Cookie, CookieDomain, CookieStore};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};
use parking_lot::Mutex;
use url::Url;

use super::ConnectUrl;
use super::error::Cause;

/// The cookies of one dialer. Which of them a server gets, by host, path and `Secure`, is as RFC
/// 6265 says.
#[derive(Default)]
pub(super) struct Jar(Mutex<CookieStore>);

/// How many cookies are kept, of all servers together. Balancers use one or two.
const MAX_COOKIES: usize = 100;

/// How long a cookie may be, attributes included, in bytes: what browsers take.
const MAX_COOKIE: usize = 4096;

impl Jar {
    /// Adds the cookies for a request, behind those that the caller has set.
    pub(super) fn add(&self, url: &ConnectUrl, uri: &Uri, headers: &mut HeaderMap) {
        let Some(url) = full_url(url, uri) else {
            return;
        };
        let mut value: Vec<u8> = headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect::<Vec<_>>()
            .join(&b"; "[..]);
        let jar = self.0.lock();
        for (name, cookie) in jar.get_request_values(&url) {
            if !value.is_empty() {
                value.extend_from_slice(b"; ");
            }
            value.extend_from_slice(name.as_bytes());
            value.push(b'=');
            value.extend_from_slice(cookie.as_bytes());
        }
        if let (false, Ok(mut value)) = (value.is_empty(), HeaderValue::try_from(value)) {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
    }

    /// Keeps what an answer sets. What is no valid cookie for its server is ignored.
    pub(super) fn keep(&self, url: &ConnectUrl, uri: &Uri, headers: &HeaderMap) {
        let mut set = headers.get_all(SET_COOKIE).iter().peekable();
        if set.peek().is_none() {
            return;
        }
        let Some(url) = full_url(url, uri) else {
            return;
        };
        let mut jar = self.0.lock();
        for value in set {
            let Ok(value) = value.to_str() else { continue };
            if let Err(error) = insert(&mut jar, value, &url) {
                tracing::debug!(%error, "a cookie is not kept");
            }
        }
    }
}

fn insert(jar: &mut CookieStore, value: &str, url: &Url) -> Result<(), Cause> {
    if value.len() > MAX_COOKIE {
        return Err("it is too long".into());
    }
    let cookie = Cookie::parse(value.to_owned(), url)?;
    if is_for_everybody(&cookie.domain, url) {
        return Err("it is for a whole top-level domain".into());
    }
    let (domain, path) = (String::from(&cookie.domain), String::from(&cookie.path));
    if !jar.contains_any(&domain, &path, cookie.name()) && !has_room(jar) {
        return Err("there are too many".into());
    }
    jar.insert(cookie, url)?;
    Ok(())
}

/// Whether a cookie would go to all servers below `.com`, say. (That the same could be said of
/// `.co.uk` takes a list of all such names to know.)
fn is_for_everybody(domain: &CookieDomain, url: &Url) -> bool {
    match domain {
        CookieDomain::Suffix(name) => {
            !name.trim_end_matches('.').contains('.') && !domain.host_is_identical(url)
        }
        _ => false,
    }
}

/// Whether one more cookie may be kept; those that have expired make room.
fn has_room(jar: &mut CookieStore) -> bool {
    if jar.iter_any().count() < MAX_COOKIES {
        return true;
    }
    let expired: Vec<_> = jar
        .iter_any()
        .filter(|cookie| cookie.is_expired())
        .map(|cookie| {
            let (domain, path) = (String::from(&cookie.domain), String::from(&cookie.path));
            (domain, path, cookie.name().to_owned())
        })
        .collect();
    for (domain, path, name) in &expired {
        jar.remove(domain, path, name);
    }
    !expired.is_empty()
}

/// The URL of a request, as cookies see it: WebSockets count as HTTP.
fn full_url(url: &ConnectUrl, uri: &Uri) -> Option<Url> {
    let scheme = if url.is_secure() { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{}{}", url.authority(), uri.path())).ok()
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jar")
            .field("cookies", &self.0.lock().iter_any().count())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(jar: &Jar, url: &str, path: &'static str, cookies: &[&str]) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        jar.keep(&url.parse().unwrap(), &Uri::from_static(path), &headers);
    }

    fn sent(jar: &Jar, url: &str, path: &'static str) -> String {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static(path);
        jar.add(&url.parse().unwrap(), &uri, &mut headers);
        let value = headers.get(COOKIE);
        let value = value.map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    }

    #[test]
    fn cookies_go_back_to_their_server_only() {
        let jar = Jar::default();
        let set = ["a=1; Path=/", "b=2; Path=/admin", "c=3; Path=/; Secure"];
        keep(&jar, "https://one.test", "/socket.io/?x", &set);
        let sorted = |url, path| {
            let sent = sent(&jar, url, path);
            let mut sent: Vec<_> = sent.split("; ").map(str::to_owned).collect();
            sent.sort_unstable();
            sent.join("; ")
        };
        assert_eq!(sorted("wss://one.test", "/socket.io/?y"), "a=1; c=3");
        assert_eq!(sorted("ws://one.test:81", "/socket.io/"), "a=1");
        assert_eq!(sorted("http://one.test", "/admin/x"), "a=1; b=2");
        assert_eq!(sorted("https://two.test", "/socket.io/"), "");
        keep(&jar, "https://one.test", "/", &["a=; Path=/; Max-Age=0"]);
        assert_eq!(sorted("http://one.test", "/"), "");
        keep(&jar, "https://one.test", "/", &["c=; Path=/; Max-Age=-1"]);
        assert_eq!(sorted("https://one.test", "/"), "");
        // Names of attributes may be written in any case.
        keep(&jar, "https://one.test", "/", &["e=5; PATH=/e; max-age=60"]);
        assert_eq!(sorted("https://one.test", "/e"), "e=5");
        assert_eq!(sorted("https://one.test", "/"), "");
        keep(&jar, "https://one.test", "/", &["e=5; path=/e; MAX-AGE=0"]);
        assert_eq!(sorted("https://one.test", "/e"), "");
        keep(&jar, "http://one.test", "/", &["d=4; Domain=two.test"]);
        assert_eq!(sorted("http://two.test", "/"), "");
    }

    #[test]
    fn attributes_of_cookies_may_be_written_in_any_case() {
        let jar = Jar::default();
        let both = "https://one.test";
        let set = ["a=1; PATH=/admin; sEcUrE", "b=x=y; path=/"];
        keep(&jar, both, "/", &set);
        assert_eq!(sent(&jar, both, "/"), "b=x=y");
        assert_eq!(sent(&jar, "http://one.test", "/admin"), "b=x=y");
        let path = "/admin/socket.io/";
        assert!(sent(&jar, both, path).contains("a=1"));
        for gone in ["a=; PATH=/admin; MAX-AGE=0", "b=; path=/; max-age=-5"] {
            keep(&jar, both, "/", &[gone]);
        }
        assert_eq!(sent(&jar, both, path), "");
        let past = "c=1; EXPIRES=Thu, 01 Jan 1970 00:00:00 GMT";
        keep(&jar, both, "/", &["c=1", past]);
        assert_eq!(sent(&jar, both, "/"), "");
    }

    #[test]
    fn own_cookies_stay_in_front() {
        let jar = Jar::default();
        keep(&jar, "http://a", "/", &["b=2"]);
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1"));
        jar.add(
            &"http://a".parse().unwrap(),
            &Uri::from_static("/"),
            &mut headers,
        );
        assert_eq!(headers[COOKIE], "a=1; b=2");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn cookies_for_whole_top_level_domains_are_refused() {
        let jar = Jar::default();
        keep(&jar, "http://evil.test", "/", &["a=1; Domain=test"]);
        keep(&jar, "http://evil.test", "/", &["b=1; Domain=.test"]);
        assert_eq!(sent(&jar, "http://good.test", "/"), "");
        assert_eq!(sent(&jar, "http://evil.test", "/"), "");
        keep(
            &jar,
            "http://www.good.test",
            "/",
            &["c=1; Domain=good.test"],
        );
        assert_eq!(sent(&jar, "http://good.test", "/"), "c=1");
        keep(&jar, "http://localhost", "/", &["d=1; Domain=localhost"]);
        assert_eq!(sent(&jar, "http://localhost", "/"), "d=1");
    }

    #[test]
    fn one_name_on_many_paths_is_bounded_too() {
        let jar = Jar::default();
        for number in 0..200 {
            keep(&jar, "http://a", "/", &[&format!("a=1; Path=/{number}")]);
        }
        assert_eq!(format!("{jar:?}"), "Jar { cookies: 100 }");
    }

    #[test]
    fn cookies_that_are_gone_make_room() {
        let jar = Jar::default();
        for number in 0..100 {
            keep(&jar, "http://a", "/", &[&format!("a{number}=1")]);
            let gone = format!("a{number}=1; Max-Age=0");
            keep(&jar, "http://a", "/", &[&gone]);
        }
        keep(&jar, "http://a", "/", &["b=2"]);
        assert_eq!(sent(&jar, "http://a", "/"), "b=2");
    }

    #[test]
    fn jar_is_bounded_and_shows_no_values() {
        let jar = Jar::default();
        let long = format!("long={}", "x".repeat(5000));
        keep(&jar, "http://a", "/", &[&long, "=", "", "no cookie"]);
        assert_eq!(sent(&jar, "http://a", "/"), "");
        for number in 0..200 {
            keep(&jar, "http://a", "/", &[&format!("c{number}=secret")]);
        }
        assert_eq!(sent(&jar, "http://a", "/").split("; ").count(), MAX_COOKIES);
        keep(&jar, "http://a", "/", &["c0=new"]);
        assert!(sent(&jar, "http://a", "/").contains("c0=new"));
        assert_eq!(format!("{jar:?}"), "Jar { cookies: 100 }");
    }
}
