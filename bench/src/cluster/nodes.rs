//! The engine, and the servers on it.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use super::Options;
use crate::{
    Result,
    dialect::Dialect,
    proc::{Cores, Part},
    server::{Killed, Server, Target, free_address, node_folder},
};

/// Whose servers form the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Sockeye,
    Node,
}

impl Peer {
    pub(super) const ALL: [Self; 2] = [Self::Sockeye, Self::Node];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sockeye => "sockeye",
            Self::Node => "node",
        }
    }
}

/// What starts them.
pub(super) struct Nodes {
    server_bin: PathBuf,
    cores: Cores,
}

impl Nodes {
    pub(super) fn new(options: &Options) -> Result<Self> {
        if options.peers().contains(&Peer::Sockeye) && !options.common.server_bin.is_file() {
            let path = options.common.server_bin.display();
            return Err(format!(
                "{path} does not exist; build it with `cargo build --release --example bench_server`"
            )
            .into());
        }
        // Engines are started by a script there, whoever is measured.
        for folder in [node_folder(), interop_folder()] {
            if !folder.join("node_modules").is_dir() {
                return Err(format!("run `npm ci` in {} first", folder.display()).into());
            }
        }
        Ok(Self {
            server_bin: options.common.server_bin.clone(),
            cores: Cores::find()?,
        })
    }

    /// Starts an engine, beside the load.
    pub(super) fn engine(&self, name: &str) -> Result<Engine> {
        let mut command = Command::new("node");
        command
            .args(["cluster/engine.mjs", name])
            .current_dir(interop_folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = self.cores.start(Part::Load, || command.spawn())?;
        let output = child.stdout.take().ok_or("the engine has no output")?;
        let mut engine = Engine {
            input: child.stdin.take(),
            child,
            url: String::new(),
        };
        BufReader::new(output).read_line(&mut engine.url)?;
        engine.url.truncate(engine.url.trim_end().len());
        match engine.url.is_empty() {
            true => Err("the engine did not start".into()),
            false => Ok(engine),
        }
    }

    /// Starts a server, alone or on an engine, and waits until it listens.
    pub(super) fn server(&self, peer: Peer, engine: Option<&Engine>) -> Result<Server> {
        let address = free_address()?;
        let mut command = match peer {
            Peer::Sockeye => Command::new(&self.server_bin),
            Peer::Node => {
                let mut command = Command::new("node");
                command.arg(node_folder().join("server.mjs"));
                command
            }
        };
        command.arg(address.to_string());
        if let Some(engine) = engine {
            command.args(["--cluster", &engine.url]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = self.cores.start(Part::Measured, || command.spawn())?;
        let target = Target {
            address: address.into(),
            dialect: Dialect::WebSocket,
        };
        Server::started(Killed::new(child), target)
    }
}

/// An engine and the script that looks after it, which ends it when its input does: also when this process is killed.
pub(super) struct Engine {
    child: Child,
    input: Option<ChildStdin>,
    url: String,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

fn interop_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../interop")
}
