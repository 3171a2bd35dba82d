//! Starting and stopping the servers that are measured.

use std::{
    env, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Result, options::Options, proc::Cores};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sockeye,
    Socketioxide,
    Node,
    Floor,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Sockeye, Self::Socketioxide, Self::Node, Self::Floor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sockeye => "sockeye",
            Self::Socketioxide => "socketioxide",
            Self::Node => "node",
            Self::Floor => "floor",
        }
    }
}

/// The servers that can be started here.
pub(crate) struct Servers {
    pub(crate) found: Vec<Kind>,
    server_bin: PathBuf,
    cores: Cores,
}

impl Servers {
    /// Keeps those of the wanted servers that are there, and says what is missing.
    pub(crate) fn find(options: &Options) -> Result<Self> {
        let mut found = options.servers.clone();
        found.retain(|kind| {
            let missing = match kind {
                Kind::Sockeye if !options.server_bin.is_file() => format!(
                    "{} does not exist; build it with `cargo build --release --example bench_server`",
                    options.server_bin.display()
                ),
                Kind::Node if !node_folder().join("node_modules/socket.io").is_dir() => {
                    format!("run `npm ci` in {} first", node_folder().display())
                }
                _ => return true,
            };
            eprintln!("without {}: {missing}", kind.name());
            false
        });
        if found.is_empty() {
            return Err("no server to measure".into());
        }
        Ok(Self {
            found,
            server_bin: options.server_bin.clone(),
            cores: Cores::find()?,
        })
    }

    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start(&self, kind: Kind) -> Result<Server> {
        let address = free_address()?;
        let mut command = match kind {
            Kind::Sockeye => Command::new(&self.server_bin),
            Kind::Socketioxide | Kind::Floor => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["serve", kind.name()]);
                command
            }
            Kind::Node => {
                let mut command = Command::new("node");
                command.arg(node_folder().join("server.mjs"));
                command
            }
        };
        command
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = self.cores.start_server(|| command.spawn())?;
        let mut server = Server { child, address };
        children().push(server.pid());
        server.wait_until_listening()?;
        Ok(server)
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended at once: {status}").into());
            }
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("the server does not listen".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.pid();
        let _ = self.child.kill();
        let _ = self.child.wait();
        children().retain(|&child| child != pid);
    }
}

/// A signal ends this program without running destructors, so the servers are then killed here.
pub(crate) fn kill_children_on_signal() -> Result<()> {
    ctrlc::set_handler(|| {
        for &pid in children().iter() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        process::exit(130);
    })?;
    Ok(())
}

fn children() -> std::sync::MutexGuard<'static, Vec<u32>> {
    static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    CHILDREN
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn node_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node")
}
