//! The chat's files.

use sockeye::StaticFile;

/// What the pages need to be allowed, for the header of that name: pictures are shown from memory; nothing of
/// another origin is loaded, nothing inline runs, and no page of another origin can have people
/// click on this one in disguise.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'none'";

/// The page and what belongs to it, by their names; the page itself, which comes first, has none.
///
/// The path is the one under which this server speaks Socket.IO, without a slash at its end. It
/// gets into the page as it is, so it must not hold what means something to HTML.
pub fn pages(socket_path: &str) -> Vec<StaticFile> {
    let page = PAGE.replace(
        PATH_IN_PAGE,
        &format!(r#"<meta name="socket-path" content="{socket_path}/">"#),
    );
    vec![
        StaticFile::new("", "text/html; charset=utf-8", page),
        StaticFile::new("chat.css", "text/css; charset=utf-8", STYLE),
        StaticFile::new("chat.js", "text/javascript; charset=utf-8", SCRIPT),
    ]
}

const PAGE: &str = include_str!("../assets/chat.html");
const STYLE: &str = include_str!("../assets/chat.css");
const SCRIPT: &str = include_str!("../assets/chat.js");

/// Where the page says which path it connects with.
const PATH_IN_PAGE: &str = r#"<meta name="socket-path" content="/socket.io/">"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_says_the_path_once() {
        assert_eq!(PAGE.matches(PATH_IN_PAGE).count(), 1);
    }
}
