//! A server in the hands of a test: it speaks lines, and says just what it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

pub(crate) struct PlainServer {
    listener: TcpListener,
    pub(crate) url: String,
}

/// One client of it.
pub(crate) struct PlainPeer(BufReader<TcpStream>);

impl PlainServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    pub(crate) fn accept(&self) -> PlainPeer {
        PlainPeer(BufReader::new(self.listener.accept().unwrap().0))
    }
}

impl PlainPeer {
    pub(crate) fn send(&mut self, line: &str) {
        let stream = self.0.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// The next line without its end; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for the end of the stream, and ends the other half, too.
    pub(crate) fn hang_up(mut self) {
        assert_eq!(self.line(), "");
    }
}
