//! An echo client for the Autobahn suite: `autobahn_client HOST:PORT` calls on a fuzzing server, lets it run
//! every case, and asks for the reports.
//!
//! It is also a small WebSocket client on blocking sockets, with everything that such a thing needs.

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use sockeye_websocket::handshake::ClientRequest;
use sockeye_websocket::{
    CloseState, Decoded, Decoder, Event, Limits, OpCode, ProtocolError, Role, encode_close,
    encode_frame,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const AGENT: &str = "sockeye";
/// How much is read at once when the decoder does not ask for more.
const READ_SIZE: usize = 64 << 10;
/// After the closing handshake the server ends the connection; this is how long it may take.
const LINGER: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: autobahn_client HOST:PORT");
        return ExitCode::FAILURE;
    };
    match run_suite(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_suite(address: &str) -> Result {
    let mut count = None;
    Connection::open(address, "/getCaseCount")?.run(|text| {
        count = Some(text.to_owned());
        false
    })?;
    let count: usize = count
        .ok_or("the server did not say how many cases")?
        .parse()?;
    for case in 1..=count {
        let path = format!("/runCase?case={case}&agent={AGENT}");
        // Some cases end the connection in the middle on purpose; the reports tell whether this was one.
        let outcome = Connection::open(address, &path).and_then(|case| case.run(|_| true));
        if let Err(error) = outcome {
            eprintln!("case {case} of {count}: {error}");
        }
    }
    Connection::open(address, &format!("/updateReports?agent={AGENT}"))?.run(|_| false)
}

/// One WebSocket connection, after its handshake.
struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    state: CloseState,
    /// What has come and is not decoded yet.
    input: Vec<u8>,
    /// What one turn of the loop has to say.
    output: Vec<u8>,
}

impl Connection {
    fn open(address: &str, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random().to_ne_bytes());
        key[8..].copy_from_slice(&random().to_ne_bytes());
        let request = ClientRequest::new(key);

        let mut head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in request.headers() {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;

        let (head, input) = read_head(&mut stream)?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| line.split_once(':'));
        request.verify(
            status.ok_or("the response has no status")?.parse()?,
            headers.map(|(name, value)| (name, value.trim().as_bytes())),
        )?;
        Ok(Self {
            stream,
            // Cases 9.3.1 and 9.4.1 have messages of 4 MiB in pieces of 64 bytes.
            decoder: Decoder::new(Role::Client, Limits::default().max_fragments(100_000)),
            state: CloseState::Open,
            input,
            output: Vec::new(),
        })
    }

    /// Serves the connection to its end; a text is echoed if `on_text` says so, a binary message always.
    fn run(mut self, mut on_text: impl FnMut(&str) -> bool) -> Result {
        loop {
            let wanted = self.decode(&mut on_text);
            self.stream.write_all(&self.output)?;
            self.output.clear();
            // A server that broke the protocol has just been told so, which many cases are about.
            let Ok(wanted) = wanted else {
                return self.finish();
            };
            if self.state == CloseState::Finished {
                return self.finish();
            }
            if self.read(wanted)? == 0 {
                return Ok(());
            }
        }
    }

    /// Decodes what has come, and says how many bytes the decoder wants to see before it can go on.
    fn decode(&mut self, on_text: &mut impl FnMut(&str) -> bool) -> Result<usize, ProtocolError> {
        let mut at = 0;
        while self.state.may_receive() {
            let decoded = self.decoder.decode(&mut self.input[at..]);
            let (event, used) = match decoded {
                Ok(Decoded::Event { event, used }) => (event, used),
                Ok(Decoded::Skip { used }) => {
                    at += used;
                    continue;
                }
                Ok(Decoded::NeedMore { total }) => {
                    self.input.drain(..at);
                    return Ok(total);
                }
                Err(error) => {
                    if self.state.handle_sent() {
                        let reason = error.to_string();
                        let close = Some((error.close_code(), reason.as_str()));
                        encode_close(&mut self.output, close, mask());
                    }
                    return Err(error);
                }
            };
            match event {
                Event::Text(text) => {
                    if on_text(&text) {
                        encode_frame(&mut self.output, OpCode::Text, text.as_bytes(), mask());
                    }
                }
                Event::Binary(data) => {
                    encode_frame(&mut self.output, OpCode::Binary, &data, mask());
                }
                Event::Ping(data) => {
                    encode_frame(&mut self.output, OpCode::Pong, data, mask());
                }
                Event::Pong(_) => {}
                Event::Close(close) => {
                    if self.state.handle_received() && self.state.handle_sent() {
                        let answer = close.map(|close| (close.code, ""));
                        encode_close(&mut self.output, answer, mask());
                    }
                }
            }
            at += used;
        }
        Ok(0)
    }

    /// Reads behind what has come already: up to the end of a large frame, or what there is.
    fn read(&mut self, wanted: usize) -> Result<usize> {
        let old = self.input.len();
        self.input.resize(wanted.max(old + READ_SIZE), 0);
        let read = self.stream.read(&mut self.input[old..]);
        self.input.truncate(old + *read.as_ref().unwrap_or(&0));
        Ok(read?)
    }

    /// Nothing is left to be said: waits for the server to end the connection.
    fn finish(mut self) -> Result {
        match self.stream.shutdown(Shutdown::Write) {
            // The server was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
            outcome => outcome?,
        }
        self.stream.set_read_timeout(Some(LINGER))?;
        self.input.resize(READ_SIZE, 0);
        while self.stream.read(&mut self.input).is_ok_and(|read| read > 0) {}
        Ok(())
    }
}

/// Reads a head of HTTP/1.1, and what came behind it.
fn read_head(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(at) = head.windows(END.len()).position(|bytes| bytes == END) {
            let rest = head.split_off(at + END.len());
            return Ok((String::from_utf8(head)?, rest));
        }
        match stream.read(&mut chunk)? {
            0 => return Err("the connection ended before the response".into()),
            read => head.extend_from_slice(&chunk[..read]),
        }
    }
}

/// A fresh key for each frame of a client. A browser would draw it from a better source.
fn mask() -> Option<[u8; 4]> {
    let [a, b, c, d, ..] = random().to_ne_bytes();
    Some([a, b, c, d])
}

/// Randomness as the standard library has it: the keys of a hash map.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
