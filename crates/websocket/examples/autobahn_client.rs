//! An echo client for the Autobahn suite: `autobahn_client HOST:PORT [takeover]` calls on a fuzzing server, lets it run
//! every case, and asks for the reports. It offers compression, with context takeover if told to.
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
    CloseState, Decoded, Decoder, Deflate, DeflateConfig, Deflater, Event, Inflater, Limits,
    OpCode, ProtocolError, Role, encode_close, encode_frame,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const AGENT: &str = "sockeye";
/// How much is read at once when the decoder does not ask for more.
const READ_SIZE: usize = 64 << 10;
/// After the closing handshake the server ends the connection; this is how long it may take.
const LINGER: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: autobahn_client HOST:PORT [takeover]");
        return ExitCode::FAILURE;
    };
    let takeover = std::env::args().nth(2).is_some();
    let compression = DeflateConfig::default()
        .threshold(0)
        .context_takeover(takeover);
    match run_suite(&address, compression) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_suite(address: &str, compression: DeflateConfig) -> Result {
    let open = |path: &str| Connection::open(address, path, compression);
    let mut count = None;
    open("/getCaseCount")?.run(|text| {
        count = Some(text.to_owned());
        false
    })?;
    let count: usize = count
        .ok_or("the server did not say how many cases")?
        .parse()?;
    for case in 1..=count {
        let path = format!("/runCase?case={case}&agent={AGENT}");
        // Some cases end the connection in the middle on purpose; the reports tell whether this was one.
        let outcome = open(&path).and_then(|case| case.run(|_| true));
        if let Err(error) = outcome {
            eprintln!("case {case} of {count}: {error}");
        }
    }
    open(&format!("/updateReports?agent={AGENT}"))?.run(|_| false)
}

/// One WebSocket connection, after its handshake.
struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    compression: Option<Compression>,
    state: CloseState,
    /// What has come and is not decoded yet.
    input: Vec<u8>,
    /// What one turn of the loop has to say.
    output: Vec<u8>,
}

/// One of each for this connection alone: a server would rather have one of each for every thread.
struct Compression {
    deflater: Deflater,
    inflater: Inflater,
}

impl Compression {
    fn new(agreed: Deflate) -> Self {
        Self {
            deflater: Deflater::new(agreed.level(), agreed.window_bits(), agreed.context()),
            inflater: Inflater::new(agreed.peer_context()),
        }
    }
}

impl Connection {
    fn open(address: &str, path: &str, compression: DeflateConfig) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random().to_ne_bytes());
        key[8..].copy_from_slice(&random().to_ne_bytes());
        let request = ClientRequest::new(key).deflate(Some(compression));

        let mut head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in request.headers() {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;

        let (head, input) = read_head(&mut stream)?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| line.split_once(':'));
        let accepted = request.verify(
            status.ok_or("the response has no status")?.parse()?,
            headers.map(|(name, value)| (name, value.trim().as_bytes())),
        )?;
        Ok(Self {
            stream,
            // Cases 9.3.1 and 9.4.1 have messages of 4 MiB in pieces of 64 bytes.
            decoder: Decoder::new(Role::Client, Limits::default().max_fragments(100_000))
                .deflate(accepted.deflate),
            compression: accepted.deflate.map(Compression::new),
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
            let decoded = match self.decoder.decode(&mut self.input[at..]) {
                Ok(Decoded::Event { event, used }) => Ok((event, used)),
                Ok(Decoded::Deflated { message, used }) => match &mut self.compression {
                    Some(compression) => message
                        .inflate(&mut compression.inflater)
                        .map(|event| (event, used)),
                    None => Err(ProtocolError::Inflate),
                },
                Ok(Decoded::Skip { used }) => {
                    at += used;
                    continue;
                }
                Ok(Decoded::NeedMore { total }) => {
                    self.input.drain(..at);
                    return Ok(total);
                }
                Err(error) => Err(error),
            };
            let (event, used) = match decoded {
                Ok(event) => event,
                Err(error) => {
                    if self.state.handle_sent() {
                        let reason = error.to_string();
                        let close = Some((error.close_code(), reason.as_str()));
                        encode_close(&mut self.output, close, mask());
                    }
                    return Err(error);
                }
            };
            let (out, compression) = (&mut self.output, self.compression.as_mut());
            match event {
                Event::Text(text) => {
                    if on_text(&text) {
                        echo(out, compression, OpCode::Text, text.as_bytes());
                    }
                }
                Event::Binary(data) => {
                    echo(out, compression, OpCode::Binary, &data);
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

/// Says a message again: compressed, if that was agreed on and makes it shorter.
fn echo(out: &mut Vec<u8>, compression: Option<&mut Compression>, op: OpCode, payload: &[u8]) {
    let is_sent = compression
        .is_some_and(|compression| compression.deflater.encode_frame(out, op, payload, mask()));
    if !is_sent {
        encode_frame(out, op, payload, mask());
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
