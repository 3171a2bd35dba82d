//! The load: many clients in one thread, no heavier than counting replies takes.

mod inflater;
mod joined;

use std::{
    io::{self, Read, Write},
    os::fd::AsRawFd,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use socket2::Socket;

use crate::{Result, dialect::Dialect, server::Target};

use inflater::Inflater;
pub(crate) use joined::Joined;

/// Clients of one server, each joined to the namespace `/`.
pub(crate) struct Swarm {
    target: Target,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    /// What is read lands here, so that a client owns no read buffer.
    scratch: Box<[u8]>,
    /// The text of a message that came compressed.
    text: Vec<u8>,
    pong: Vec<u8>,
}

impl Swarm {
    pub(crate) fn new(target: &Target) -> io::Result<Self> {
        Ok(Self {
            target: target.clone(),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            scratch: vec![0; 256 * 1024].into_boxed_slice(),
            text: Vec::new(),
            pong: target.dialect.pack("3"),
        })
    }

    /// Opens more clients, one after the other.
    pub(crate) fn open(&mut self, count: usize) -> Result<()> {
        for number in 0..count {
            let at = self.clients.len();
            let client = Client::open(&self.target, at)
                .map_err(|error| format!("client {} could not join: {error}", at + 1))?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            registry.register(
                &mut SourceFd(&client.socket.as_raw_fd()),
                Token(at),
                interest,
            )?;
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

    /// How many messages have come compressed.
    pub(crate) fn inflated(&self) -> u64 {
        self.clients
            .iter()
            .map(|client| client.inflater.inflated())
            .sum()
    }

    /// Sends messages that are packed already.
    pub(crate) fn send(&mut self, client: usize, packed: &[u8]) -> Result<()> {
        let client = &mut self.clients[client];
        client.outbox.extend_from_slice(packed);
        client.flush()
    }

    /// Waits at most `wait`, then takes in what came. `on_message` sees every message but pings and adds what to
    /// answer with, packed, to its second argument, which is written together. Returns whether anything came.
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
                let (dialect, pong) = (self.target.dialect, &self.pong);
                let buffers = (&mut *self.scratch, &mut self.text);
                client.read(dialect, buffers, pong, &mut on_message)?;
            }
            client.flush()?;
        }
        Ok(!self.events.is_empty())
    }
}

struct Client {
    socket: Socket,
    /// The beginning of a message whose end is still to come.
    partial: Vec<u8>,
    /// What the socket would not take yet.
    outbox: Vec<u8>,
    inflater: Inflater,
}

impl Client {
    fn open(target: &Target, number: usize) -> Result<Self> {
        let Joined {
            socket,
            input,
            inflater,
            ..
        } = Joined::open(target, number)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            partial: input,
            outbox: Vec::new(),
            inflater,
        })
    }

    fn read(
        &mut self,
        dialect: Dialect,
        (scratch, text): (&mut [u8], &mut Vec<u8>),
        pong: &[u8],
        on_message: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        loop {
            let kept = self.partial.len();
            scratch[..kept].copy_from_slice(&self.partial);
            let room = scratch.len() - kept;
            let read = match self.socket.read(&mut scratch[kept..]) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut rest = &scratch[..kept + read];
            while let Some(piece) = dialect.parse(rest)? {
                let message = self.inflater.read(&piece, rest, text)?;
                match dialect.is_ping(message) {
                    true => self.outbox.extend_from_slice(pong),
                    false => on_message(message, &mut self.outbox)?,
                }
                rest = &rest[piece.used..];
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
            match self.socket.write(&self.outbox) {
                Ok(written) if written == self.outbox.len() => self.outbox.clear(),
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
