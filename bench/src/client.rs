//! The load: many Socket.IO clients over WebSocket in one thread, no heavier than counting replies takes.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::{
    Result,
    frame::{self, Frame},
};

/// Clients of one server, each joined to the namespace `/`.
pub(crate) struct Swarm {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    /// What is read lands here, so that a client owns no read buffer.
    scratch: Box<[u8]>,
    pong: Vec<u8>,
}

impl Swarm {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            scratch: vec![0; 256 * 1024].into_boxed_slice(),
            pong: frame::masked_text("3"),
        })
    }

    /// Opens more clients, one after the other.
    pub(crate) fn open(&mut self, server: SocketAddr, count: usize) -> Result<()> {
        for number in 0..count {
            let at = self.clients.len();
            let mut client = Client::open(server, at)
                .map_err(|error| format!("client {} could not join: {error}", at + 1))?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            registry.register(&mut client.stream, Token(at), interest)?;
            self.clients.push(client);
            // Those that are open already want their pings answered meanwhile.
            if number % 500 == 499 {
                while self.turn(Duration::ZERO, |_, _| Ok(()))? {}
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn send(&mut self, client: usize, frames: &[u8]) -> Result<()> {
        let client = &mut self.clients[client];
        client.outbox.extend_from_slice(frames);
        client.flush()
    }

    /// Waits at most `wait`, then takes in what came. `on_message` sees every Engine.IO packet but pings and adds
    /// the frames to answer with to its second argument, which are written together. Returns whether anything came.
    pub(crate) fn turn(
        &mut self,
        wait: Duration,
        mut on_message: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<bool> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            other => other?,
        }
        for event in &self.events {
            let client = &mut self.clients[event.token().0];
            if event.is_readable() {
                client.read(&mut self.scratch, &self.pong, &mut on_message)?;
            }
            client.flush()?;
        }
        Ok(!self.events.is_empty())
    }
}

struct Client {
    stream: mio::net::TcpStream,
    /// The beginning of a frame whose end is still to come.
    partial: Vec<u8>,
    /// What the socket would not take yet.
    outbox: Vec<u8>,
}

impl Client {
    /// Connects and joins `/`, blocking: a server answers in microseconds, and nothing is measured meanwhile.
    fn open(server: SocketAddr, number: usize) -> Result<Self> {
        let socket = connect(server, number)?;
        socket.set_tcp_nodelay(true)?;
        // Closed with a reset, so that no port waits out its minute.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut stream = TcpStream::from(socket);
        write!(
            stream,
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
             Host: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )?;
        let mut input = Input::default();
        let head = input.until(&mut stream, |bytes| {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            end.map(|at| at + 4)
        })?;
        if !head.starts_with(b"HTTP/1.1 101 ") {
            let status = String::from_utf8_lossy(&head);
            return Err(format!("no upgrade: {}", status.lines().next().unwrap_or("")).into());
        }
        input.expect(&mut stream, b"0{")?;
        stream.write_all(&frame::masked_text("40"))?;
        input.expect(&mut stream, b"40{")?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: mio::net::TcpStream::from_std(stream),
            partial: input.0,
            outbox: Vec::new(),
        })
    }

    fn read(
        &mut self,
        scratch: &mut [u8],
        pong: &[u8],
        on_message: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        loop {
            let kept = self.partial.len();
            scratch[..kept].copy_from_slice(&self.partial);
            let room = scratch.len() - kept;
            let read = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut rest = &scratch[..kept + read];
            while let Some(Frame {
                opcode, payload, ..
            }) = frame::parse(rest)
            {
                let (whole, after) = rest.split_at(payload.end);
                let message = &whole[payload];
                match (opcode, message) {
                    (frame::TEXT, b"2") => self.outbox.extend_from_slice(pong),
                    (frame::TEXT, message) => on_message(message, &mut self.outbox)?,
                    (8, _) => return Err("the server closed a WebSocket".into()),
                    (other, _) => return Err(format!("unexpected opcode {other}").into()),
                }
                rest = after;
            }
            self.partial.clear();
            self.partial.extend_from_slice(rest);
            // A short read took all there was, and epoll tells of what comes later.
            if read < room {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(written) if written == self.outbox.len() => self.outbox.clear(),
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn connect(server: SocketAddr, number: usize) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    match socket.connect(&server.into()) {
        // An address has some 28,000 ports to connect from; the loopback network has many addresses. They are not
        // used from the start, because `bind` takes milliseconds to find a port once some ten thousand are in use.
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let last = u8::try_from(2 + number / 10_000)?;
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
            socket.connect(&server.into())?;
            Ok(socket)
        }
        other => Ok(other.map(|()| socket)?),
    }
}

/// What was read and not yet used while a client opens.
#[derive(Default)]
struct Input(Vec<u8>);

impl Input {
    /// Reads until `end` finds one, and takes what is before it.
    fn until(
        &mut self,
        stream: &mut TcpStream,
        end: impl Fn(&[u8]) -> Option<usize>,
    ) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = end(&self.0) {
                return Ok(self.0.drain(..at).collect());
            }
            let mut chunk = [0; 1024];
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            self.0.extend_from_slice(&chunk[..read]);
        }
    }

    /// Reads one packet that begins like this. A ping may come first: some servers send one at once.
    fn expect(&mut self, stream: &mut TcpStream, prefix: &[u8]) -> Result<()> {
        loop {
            let bytes = self.until(stream, |bytes| {
                frame::parse(bytes).map(|frame| frame.payload.end)
            })?;
            let payload = frame::parse(&bytes).map(|frame| &bytes[frame.payload]);
            match payload.unwrap_or_default() {
                payload if payload.starts_with(prefix) => return Ok(()),
                b"2" => stream.write_all(&frame::masked_text("3"))?,
                other => {
                    return Err(format!(
                        "expected {}…, got {}",
                        String::from_utf8_lossy(prefix),
                        String::from_utf8_lossy(other)
                    )
                    .into());
                }
            }
        }
    }
}
