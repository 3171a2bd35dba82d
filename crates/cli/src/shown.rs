//! URLs as they may be shown.

use std::borrow::Cow;

/// The URL of a server, which may be a wrong one, without what may be a secret: user and password, query and fragment. That is
/// what goes to terminals, logs of builds and files of results.
pub(crate) fn url(url: &str) -> Cow<'_, str> {
    if is_socket(url) {
        return url.into();
    }
    let place = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match place.find("://") {
        Some(at) => place.split_at(at + 3),
        None => ("", place),
    };
    // A password may have slashes in it where nobody has encoded them.
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{host}").into(),
        None => place.into(),
    }
}

/// Whether it is one of a Unix-domain socket, which has nothing but a path: as clients read it.
fn is_socket(url: &str) -> bool {
    url.starts_with("unix:") || url.starts_with(['/', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (given, shown) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://a/b?token=secret", "https://a/b"),
            ("https://a?token=secret", "https://a"),
            ("https://a/b#secret", "https://a/b"),
            ("https://me:secret@a:1/b", "https://a:1/b"),
            ("https://me:sec/ret@a:1/b?c", "https://a:1/b"),
            ("https://me:secret@", "https://"),
            ("me:secret@a:3000/b?token=secret", "a:3000/b"),
            ("tcp://[::1]:1/b?secret", "tcp://[::1]:1/b"),
            ("3000", "3000"),
            ("unix:@app", "unix:@app"),
            ("unix:/run/a?b#c@d", "unix:/run/a?b#c@d"),
            ("./a@b.sock", "./a@b.sock"),
            ("/run/app.sock", "/run/app.sock"),
            ("", ""),
        ] {
            assert_eq!(url(given), shown);
        }
    }
}
