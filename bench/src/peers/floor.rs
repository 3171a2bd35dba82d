//! What the system calls alone cost: an epoll loop that plays just enough Socket.IO for the load to talk to it.
//!
//! It checks nothing, keeps no timers and knows the two events by their bytes. No real server can be cheaper, so the
//! distance to it is what a server's own work costs.

use std::io::{self, Read, Write};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use crate::{Result, frame};

const LISTENER: Token = Token(usize::MAX);

struct Floor {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    scratch: Box<[u8]>,
}

struct Connection {
    stream: TcpStream,
    upgraded: bool,
    partial: Vec<u8>,
    outbox: Vec<u8>,
}

pub(crate) fn serve(address: &str) -> Result<()> {
    let mut listener = TcpListener::bind(address.parse()?)?;
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        poll,
        listener,
        connections: Vec::new(),
        scratch: vec![0; 64 * 1024].into_boxed_slice(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        floor.poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                floor.accept()?;
                continue;
            }
            let at = event.token().0;
            let alive = !event.is_readable() || floor.read(at).unwrap_or(false);
            let connection = &mut floor.connections[at];
            if !alive || connection.as_mut().is_some_and(|it| it.flush().is_err()) {
                *connection = None;
            }
        }
    }
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(self.connections.len());
            self.poll
                .registry()
                .register(&mut stream, token, interest)?;
            self.connections.push(Some(Connection {
                stream,
                upgraded: false,
                partial: Vec::new(),
                outbox: Vec::new(),
            }));
        }
    }

    /// Whether the connection is still open.
    fn read(&mut self, at: usize) -> io::Result<bool> {
        let mut casts = Vec::new();
        let Some(connection) = &mut self.connections[at] else {
            return Ok(true);
        };
        let open = connection.read(&mut self.scratch, &mut casts)?;
        if !casts.is_empty() {
            for other in self.connections.iter_mut().flatten() {
                other.outbox.extend_from_slice(&casts);
                // One that is gone is noticed when its own events are handled.
                let _ = other.flush();
            }
        }
        Ok(open)
    }
}

impl Connection {
    fn read(&mut self, scratch: &mut [u8], casts: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let kept = self.partial.len();
            scratch[..kept].copy_from_slice(&self.partial);
            let room = scratch.len() - kept;
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let used = self.handle(&mut scratch[..kept + read], casts);
            self.partial.clear();
            self.partial.extend_from_slice(&scratch[used..kept + read]);
            if self.partial.is_empty() {
                // An idle connection keeps no buffer: this is also the floor of the memory.
                self.partial = Vec::new();
            }
            if read < room {
                return Ok(true);
            }
        }
    }

    /// How many bytes of `input` are done with.
    fn handle(&mut self, input: &mut [u8], casts: &mut Vec<u8>) -> usize {
        if !self.upgraded {
            if !input.ends_with(b"\r\n\r\n") {
                return 0;
            }
            self.upgraded = true;
            self.outbox.extend_from_slice(UPGRADED);
            frame::push_text(&mut self.outbox, &[OPEN], None);
            return input.len();
        }
        let mut used = 0;
        while let Some(frame) = frame::parse(&input[used..]) {
            let whole = &mut input[used..used + frame.payload.end];
            used += whole.len();
            let payload = &mut whole[frame.payload];
            unmask_words(payload, frame.mask.unwrap_or_default());
            let payload = &*payload;
            if payload == b"40" {
                frame::push_text(&mut self.outbox, &[br#"40{"sid":"floor"}"#], None);
            } else if payload.starts_with(br#"42["cast","#) {
                frame::push_text(casts, &[payload], None);
            } else if let Some((id, argument)) = echo(payload) {
                frame::push_text(&mut self.outbox, &[b"43", id, b"[", argument], None);
            }
        }
        used
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.outbox.capacity() > 4096 {
            self.outbox = Vec::new();
        }
        Ok(())
    }
}

/// Splits `42ID["echo",ARGUMENT]` into the id and the argument with its bracket.
fn echo(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = payload.strip_prefix(b"42")?;
    let bracket = rest.iter().position(|&byte| byte == b'[')?;
    let (id, rest) = rest.split_at(bracket);
    Some((id, rest.strip_prefix(br#"["echo","#)?))
}

/// Eight bytes at a time: byte by byte this would be most of the floor's own work.
fn unmask_words(payload: &mut [u8], mask: [u8; 4]) {
    let key = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    frame::unmask(tail, mask);
}

/// The accept value belongs to the one key that the load sends.
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const OPEN: &[u8] =
    br#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
