use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::BoxStream;

/// A request of HTTP/1.1, as it is written.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// One connection for requests.
pub struct Http {
    stream: BoxStream,
    read: Vec<u8>,
    patience: Duration,
}

impl Request {
    /// A GET request.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self {
            method: "GET".into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Changes the method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body, with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("content-length", length)
    }

    /// The request's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: test\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Response {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// Status and body, which is what most tests look at.
    #[must_use]
    pub fn brief(&self) -> (u16, &str) {
        (self.status, self.text())
    }
}

impl Http {
    /// Speaks HTTP on this stream.
    #[must_use]
    pub const fn new(stream: BoxStream, patience: Duration) -> Self {
        Self {
            stream,
            read: Vec::new(),
            patience,
        }
    }

    /// Sends a request and waits for the answer.
    pub async fn request(&mut self, request: &Request) -> Response {
        self.send(request).await;
        self.response().await.expect("an answer")
    }

    /// Sends a request without waiting.
    pub async fn send(&mut self, request: &Request) {
        self.write(&request.to_bytes()).await;
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("a write");
        self.stream.flush().await.expect("a flush");
    }

    /// Waits for the next answer; `None` if the connection ends first.
    pub async fn response(&mut self) -> Option<Response> {
        let patience = self.patience;
        match tokio::time::timeout(patience, self.read_response()).await {
            Ok(response) => response,
            Err(_) => panic!("no answer within {patience:?}"),
        }
    }

    /// The stream, and what was read too far.
    #[must_use]
    pub fn into_parts(self) -> (BoxStream, Vec<u8>) {
        (self.stream, self.read)
    }

    async fn read_response(&mut self) -> Option<Response> {
        let head_len = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let head: Vec<u8> = self.read.drain(..head_len).collect();
        let head = String::from_utf8(head).expect("a head of text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok());
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response {
            status: status.expect("a status line"),
            headers,
            body: Vec::new(),
        };
        let length = response.header("content-length").unwrap_or("0");
        let length = length.parse().expect("a length");
        let has_body = !matches!(response.status, 101 | 204 | 304);
        if has_body {
            while self.read.len() < length {
                self.read_more().await?;
            }
            response.body = self.read.drain(..length).collect();
        }
        Some(response)
    }

    async fn read_more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.read).await.ok()?;
        (read > 0).then_some(())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &String::from_utf8_lossy(&self.body))
            .finish()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
