//! As much of HTTP as a script needs.

use super::pipe::Pipe;

/// The head of a message: its first line, and its headers with names in lower case.
pub(super) struct Head {
    pub(super) first: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    /// Reads one.
    pub(super) async fn read(pipe: &mut Pipe) -> Self {
        let head = pipe.until("\r\n\r\n").await;
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Self {
            first,
            headers: headers.collect(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    /// The headers as the WebSocket handshake takes them.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1);
        let status = status.and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{:?} is no answer of HTTP", self.first))
    }

    /// What an answer says that refuses.
    pub(super) async fn refusal(&self, pipe: &mut Pipe) -> (u16, String) {
        let body = self.body(pipe).await;
        (self.status(), String::from_utf8_lossy(&body).into_owned())
    }

    /// Reads the body, whose length the head has.
    pub(super) async fn body(&self, pipe: &mut Pipe) -> Vec<u8> {
        let length = self.header("content-length");
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        while pipe.unread().len() < length {
            assert!(pipe.fill().await, "the body ended too early");
        }
        pipe.unread().drain(..length).collect()
    }
}

/// A message without a body.
pub(super) fn head(
    first: &str,
    headers: impl IntoIterator<Item = (impl AsRef<str>, String)>,
) -> String {
    let mut head = format!("{first}\r\n");
    for (name, value) in headers {
        head += &format!("{}: {value}\r\n", name.as_ref());
    }
    head + "\r\n"
}
