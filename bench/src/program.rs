//! A client in a process of its own, as the example `bench_client` is.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::{Result, server::Killed};

/// A running client; killed when dropped.
pub(crate) struct Program {
    child: Killed,
    output: Option<BufReader<ChildStdout>>,
    /// It ends when this does.
    _input: Option<ChildStdin>,
}

impl Program {
    pub(crate) fn new(mut child: Child) -> Self {
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Self {
            child: Killed::new(child),
            output: output.map(BufReader::new),
            _input: input,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits for the next line that it prints.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let output = self.output.as_mut().ok_or("the client has no output")?;
        if output.read_line(&mut line)? == 0 {
            return Err("the client ended too early".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits for this line.
    pub(crate) fn expect(&mut self, wanted: &str) -> Result<()> {
        match self.line()? {
            line if line == wanted => Ok(()),
            line => Err(format!("the client said {line}, not {wanted}").into()),
        }
    }
}
