//! Starting and stopping the servers that are measured.

use std::{
    env, fs, io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{SockAddr, Socket, Type};
use tempfile::TempDir;

use crate::{
    Result,
    dialect::Dialect,
    options::Options,
    proc::{Cores, Part},
    program::Program,
};

/// What is compared: a server, or in the scenarios of clients the client of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sockeye,
    /// The same program, spoken to in lines.
    SockeyeLines,
    /// The same program, without the compression that it is compared with.
    SockeyePlain,
    Socketioxide,
    Node,
    Floor,
    Tokio,
    NodeNet,
    /// The client over a Unix-domain socket.
    SockeyeUnix,
    /// A client.
    RustSocketio,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Sockeye,
        Self::SockeyeLines,
        Self::SockeyePlain,
        Self::Socketioxide,
        Self::Node,
        Self::Floor,
        Self::Tokio,
        Self::NodeNet,
        Self::SockeyeUnix,
        Self::RustSocketio,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sockeye => "sockeye",
            Self::SockeyeLines => "sockeye-lines",
            Self::SockeyePlain => "sockeye-plain",
            Self::Socketioxide => "socketioxide",
            Self::Node => "node",
            Self::Floor => "floor",
            Self::Tokio => "tokio",
            Self::NodeNet => "node-net",
            Self::SockeyeUnix => "sockeye-unix",
            Self::RustSocketio => "rust_socketio",
        }
    }
}

/// What a server is reached over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    WebSocket,
    /// A WebSocket on which the server compresses.
    Deflate,
    Unix,
}

impl Carrier {
    /// What is spoken with such a server over this, if it can be reached so.
    pub(crate) fn dialect(self, kind: Kind) -> Option<Dialect> {
        match (self, kind) {
            (Self::WebSocket, Kind::Sockeye | Kind::Socketioxide | Kind::Node | Kind::Floor) => {
                Some(Dialect::WebSocket)
            }
            (Self::Deflate, Kind::Sockeye | Kind::Node) => Some(Dialect::Deflate),
            (Self::Deflate, Kind::SockeyePlain) => Some(Dialect::WebSocket),
            (Self::Unix, Kind::Sockeye) => Some(Dialect::Native),
            (Self::Unix, Kind::SockeyeLines | Kind::NodeNet) => Some(Dialect::Lines),
            (Self::Unix, Kind::Tokio) => Some(Dialect::Mirror),
            _ => None,
        }
    }
}

/// Where a server listens, and what is spoken there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SockAddr,
    pub(crate) dialect: Dialect,
}

/// The servers that can be started here.
pub(crate) struct Servers {
    pub(crate) found: Vec<Kind>,
    server_bin: PathBuf,
    client_bin: PathBuf,
    cores: Cores,
    /// Where the socket files are.
    sockets: TempDir,
}

impl Servers {
    /// Keeps those of the wanted servers that are there, and says what is missing.
    pub(crate) fn find(options: &Options) -> Result<Self> {
        let mut found = options.servers().to_vec();
        found.retain(|kind| {
            let missing = match kind {
                Kind::Sockeye
                | Kind::SockeyeLines
                | Kind::SockeyePlain
                | Kind::SockeyeUnix
                | Kind::RustSocketio
                    if !options.common.server_bin.is_file() =>
                format!(
                    "{} does not exist; build it with `cargo build --release --example bench_server`",
                    options.common.server_bin.display()
                ),
                Kind::NodeNet if Command::new("node").arg("--version").output().is_err() => {
                    "Node.js is not on the PATH".to_owned()
                }
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
        let sockets = tempfile::Builder::new()
            .prefix("sockeye-bench-")
            .tempdir()?;
        let path = sockets.path().to_owned();
        kill_children_on_signal(move || {
            let _ = fs::remove_dir_all(&path);
        })?;
        Ok(Self {
            found,
            server_bin: options.common.server_bin.clone(),
            client_bin: options.client_bin.clone(),
            cores: Cores::find()?,
            sockets,
        })
    }

    /// Starts a server on a free port, or a socket file, and waits until it listens.
    pub(crate) fn start(&self, part: Part, kind: Kind, carrier: Carrier) -> Result<Server> {
        let dialect = carrier.dialect(kind);
        let dialect = dialect.ok_or_else(|| format!("{carrier:?} does not lead to {kind:?}"))?;
        let port = free_address()?;
        let path = self.sockets.path().join("socket");
        let (address, argument) = match carrier {
            Carrier::WebSocket | Carrier::Deflate => {
                (SockAddr::from(port), port.to_string().into())
            }
            Carrier::Unix => (SockAddr::unix(&path)?, path.clone().into_os_string()),
        };
        let mut command = match kind {
            Kind::SockeyeUnix | Kind::RustSocketio => return Err("this is no server".into()),
            Kind::Sockeye | Kind::SockeyeLines | Kind::SockeyePlain => {
                Command::new(&self.server_bin)
            }
            Kind::Socketioxide | Kind::Floor | Kind::Tokio => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["serve", kind.name()]);
                command
            }
            Kind::Node | Kind::NodeNet => {
                let script = if kind == Kind::Node {
                    "server.mjs"
                } else {
                    "net.mjs"
                };
                let mut command = Command::new("node");
                command.arg(node_folder().join(script));
                command
            }
        };
        match (kind, carrier) {
            (Kind::Sockeye | Kind::SockeyeLines, Carrier::Unix) => {
                let url = format!("unix:{}", path.display());
                command.args([port.to_string().as_str(), "--listen", &url])
            }
            _ => command.arg(argument),
        };
        if dialect == Dialect::Deflate {
            command.arg("--deflate");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // The last server was killed, and left its own.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let child = self.cores.start(part, || command.spawn())?;
        let target = Target { address, dialect };
        Server::started(Killed::new(child), target)
    }

    /// Starts a client, with such a mode and options, that connects to this server.
    pub(crate) fn start_client(
        &self,
        kind: Kind,
        server: &Server,
        mode: &str,
        options: &[(&str, String)],
    ) -> Result<Program> {
        let mut command = match kind {
            Kind::Sockeye | Kind::SockeyeUnix if !self.client_bin.is_file() => {
                return Err(format!(
                    "{} does not exist; build it with `cargo build --release --example bench_client`",
                    self.client_bin.display()
                )
                .into());
            }
            Kind::Sockeye | Kind::SockeyeUnix => Command::new(&self.client_bin),
            Kind::Node => {
                let mut command = Command::new("node");
                command.arg(node_folder().join("client.mjs"));
                command
            }
            _ => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["client", kind.name()]);
                command
            }
        };
        let address = &server.target.address;
        let url = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => format!("http://{address}"),
            (None, Some(path)) => format!("unix:{}", path.display()),
            (None, None) => return Err("the server has no address".into()),
        };
        command.args([mode, &url]);
        for (name, value) in options {
            command.args([name, value.as_str()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = self.cores.start(Part::Measured, || command.spawn())?;
        Ok(Program::new(child))
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Killed,
    pub(crate) target: Target,
}

impl Server {
    /// One that was just started, when it listens.
    pub(crate) fn started(child: Killed, target: Target) -> Result<Self> {
        let mut server = Self { child, target };
        server.wait_until_listening()?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.0.try_wait()? {
                return Err(format!("the server ended at once: {status}").into());
            }
            let address = &self.target.address;
            let probe = Socket::new(address.domain(), Type::STREAM, None)?;
            if probe.connect(address).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("the server does not listen".into())
    }
}

/// A process that is killed when this is dropped, and when the benchmark is interrupted.
pub(crate) struct Killed(pub(crate) Child);

impl Killed {
    pub(crate) fn new(child: Child) -> Self {
        children().push(child.id());
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let pid = self.pid();
        let _ = self.0.kill();
        let _ = self.0.wait();
        children().retain(|&child| child != pid);
    }
}

/// A signal ends this program without running destructors, so the processes are then killed here, and what else there is
/// to be done is done.
pub(crate) fn kill_children_on_signal(mut and: impl FnMut() + Send + 'static) -> Result<()> {
    ctrlc::set_handler(move || {
        for &pid in children().iter() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        and();
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

pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

pub(crate) fn node_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node")
}
