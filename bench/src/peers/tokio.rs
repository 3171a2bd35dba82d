//! A bare loop on tokio: each length-prefixed frame that comes in goes out again, and nothing else happens.
//!
//! The way anybody would write it who has no protocol to speak: a task and a buffer for each connection, all frames
//! of a read answered with one write. What Socket.IO costs on top of a stream is the distance to it.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use crate::{Result, prefixed};

// All connections on one thread is the cheapest that tokio can do here, as there is one core.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn serve(path: &str) -> Result<()> {
    let listener = UnixListener::bind(path)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that fails is over, and of no interest to the others.
        tokio::spawn(echo(stream));
    }
}

async fn echo(mut stream: UnixStream) -> io::Result<()> {
    let mut input = Vec::with_capacity(4096);
    let mut output = Vec::new();
    while stream.read_buf(&mut input).await? > 0 {
        let mut used = 0;
        while let Some(payload) = prefixed::parse(&input[used..]) {
            let frame = &input[used..used + payload.end];
            prefixed::push_text(&mut output, &frame[payload]);
            used += frame.len();
        }
        input.drain(..used);
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}
