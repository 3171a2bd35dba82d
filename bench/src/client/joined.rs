//! A connection up to the moment at which the load begins.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use socket2::{SockAddr, Socket, Type};

use super::Inflater;
use crate::{Result, dialect::Dialect, server::Target};

/// A client that joined the namespace `/`; still blocking.
pub(crate) struct Joined {
    pub(crate) socket: Socket,
    dialect: Dialect,
    /// What was read and not yet used.
    pub(super) input: Vec<u8>,
    pub(super) inflater: Inflater,
}

impl Joined {
    /// Connects and joins, blocking: a server answers in microseconds, and nothing is measured meanwhile.
    ///
    /// `number` says how many connections there are already.
    pub(crate) fn open(target: &Target, number: usize) -> Result<Self> {
        let socket = connect(&target.address, number)?;
        if !target.address.is_unix() {
            socket.set_tcp_nodelay(true)?;
            // Closed with a reset, so that no port waits out its minute.
            socket.set_linger(Some(Duration::ZERO))?;
        }
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut joined = Self {
            socket,
            dialect: target.dialect,
            input: Vec::new(),
            inflater: Inflater::default(),
        };
        if matches!(target.dialect, Dialect::WebSocket | Dialect::Deflate) {
            joined.upgrade(target)?;
        }
        for (say, answer) in target.dialect.join() {
            if let Some(say) = say {
                joined.socket.write_all(&target.dialect.pack(say))?;
            }
            joined.take(|message| match message.starts_with(answer.as_bytes()) {
                true => Ok(()),
                false => Err(format!(
                    "expected {answer}…, got {}",
                    String::from_utf8_lossy(message)
                )
                .into()),
            })?;
        }
        Ok(joined)
    }

    fn upgrade(&mut self, target: &Target) -> Result<()> {
        let host = target.address.as_socket().ok_or("no host")?;
        let compressed = target.dialect == Dialect::Deflate;
        // What npm's `ws` offers, and with it Node's clients.
        let offer = match compressed {
            true => "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
            false => "",
        };
        write!(
            self.socket,
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
             Host: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
        )?;
        loop {
            let end = self.input.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else {
                self.read()?;
                continue;
            };
            let head: Vec<u8> = self.input.drain(..end + 4).collect();
            if head.starts_with(b"HTTP/1.1 101 ") {
                let agreed = head
                    .windows(DEFLATE.len())
                    .any(|piece| piece.eq_ignore_ascii_case(DEFLATE));
                return match agreed == compressed {
                    true => Ok(()),
                    false => Err("compression is not what was asked for".into()),
                };
            }
            let status = String::from_utf8_lossy(&head);
            return Err(format!("no upgrade: {}", status.lines().next().unwrap_or("")).into());
        }
    }

    /// Waits for a message and looks at it. Pings are answered on the way: some servers send one at once.
    pub(crate) fn take<T>(&mut self, look: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        loop {
            let Some(piece) = self.dialect.parse(&self.input)? else {
                self.read()?;
                continue;
            };
            let mut text = Vec::new();
            let message = self.inflater.read(&piece, &self.input, &mut text)?;
            if self.dialect.is_ping(message) {
                self.socket.write_all(&self.dialect.pack("3"))?;
                self.input.drain(..piece.used);
                continue;
            }
            let seen = look(message);
            self.input.drain(..piece.used);
            return seen;
        }
    }

    fn read(&mut self) -> Result<()> {
        let mut chunk = [0; 1024];
        let read = self.socket.read(&mut chunk)?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        self.input.extend_from_slice(&chunk[..read]);
        Ok(())
    }
}

const DEFLATE: &[u8] = b"permessage-deflate";

fn connect(server: &SockAddr, number: usize) -> Result<Socket> {
    let socket = Socket::new(server.domain(), Type::STREAM, None)?;
    match socket.connect(server) {
        // An address has some 28,000 ports to connect from; the loopback network has many addresses. They are not
        // used from the start, because `bind` takes milliseconds to find a port once some ten thousand are in use.
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            let last = u8::try_from(2 + number / 10_000)?;
            let socket = Socket::new(server.domain(), Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
            socket.connect(server)?;
            Ok(socket)
        }
        other => Ok(other.map(|()| socket)?),
    }
}
