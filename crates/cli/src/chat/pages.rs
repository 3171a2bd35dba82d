//! The chat's files.

use sockeye::StaticFile;

/// The page and what belongs to it; the page itself has no name. The path is the one under which
/// this server speaks Socket.IO, without a slash at its end.
pub(crate) fn pages(socket_path: &str) -> Vec<StaticFile> {
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

const PAGE: &str = include_str!("../../assets/chat.html");
const STYLE: &str = include_str!("../../assets/chat.css");
const SCRIPT: &str = include_str!("../../assets/chat.js");

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
