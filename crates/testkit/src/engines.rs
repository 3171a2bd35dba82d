//! The engines that clusters are built on: started for a test on free ports of this machine, with their files in a temporary
//! folder, and gone with it.
//!
//! An engine whose program is not there is said to be skipped, and the test with it; under `SOCKEYE_REQUIRE_ENGINES=1` the
//! test fails instead. What an engine needs to be up is found out by asking it again and again, as nothing else tells.

mod authority;
mod redis;
mod service;
mod way;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use authority::Signed;
use service::{PATIENCE, Service, run};
pub use way::Way;

use crate::SocketDir;

/// An engine that is running, or can be started again where it was.
#[derive(Debug)]
pub struct Engine {
    kind: Kind,
    ports: Vec<u16>,
    /// Keep other tests from its ports, also while it is stopped.
    _claims: Vec<UdpSocket>,
    services: Vec<Service>,
    folder: SocketDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Redis,
    RedisCluster,
    RedisSentinel,
    RedisTls,
    RedisClusterTls,
    RedisSentinelTls,
    Valkey,
    Postgres,
    PostgresTls,
    Mongo,
    Nats,
    NatsTls,
    NatsCluster,
}

/// A Redis server alone.
#[must_use]
pub fn redis(test: &str) -> Option<Engine> {
    Engine::new(Kind::Redis, 1, test)
}

/// A Redis Cluster of three servers.
#[must_use]
pub fn redis_cluster(test: &str) -> Option<Engine> {
    Engine::new(Kind::RedisCluster, 3, test)
}

/// A Redis Cluster of three servers, each with another one that takes its place when it is gone.
#[must_use]
pub fn redis_cluster_with_replicas(test: &str) -> Option<Engine> {
    Engine::new(Kind::RedisCluster, 6, test)
}

/// A Redis server, one that has what it has, and a sentinel, which makes the second the first one's successor.
#[must_use]
pub fn redis_sentinel(test: &str) -> Option<Engine> {
    Engine::new(Kind::RedisSentinel, 3, test)
}

/// A Redis server alone that speaks TLS and nothing else. Its certificate is for 127.0.0.1, and the engine's
/// [authority](Engine::authority) has signed it.
#[must_use]
pub fn redis_tls(test: &str) -> Option<Engine> {
    Engine::new(Kind::RedisTls, 1, test)
}

/// A Redis Cluster of three servers that speak TLS among each other and with whoever its URL is for. They have the same
/// certificate as [`redis_tls`].
#[must_use]
pub fn redis_cluster_tls(test: &str) -> Option<Engine> {
    Engine::new(Kind::RedisClusterTls, 6, test)
}

/// A Redis server, and a sentinel that knows it as the primary. Both speak TLS, with the same certificate as [`redis_tls`].
#[must_use]
pub fn redis_sentinel_tls(test: &str) -> Option<Engine> {
    Engine::new(Kind::RedisSentinelTls, 4, test)
}

/// A Valkey server alone.
#[must_use]
pub fn valkey(test: &str) -> Option<Engine> {
    Engine::new(Kind::Valkey, 1, test)
}

/// A Postgres server with one user, `postgres`, who needs no password.
#[must_use]
pub fn postgres(test: &str) -> Option<Engine> {
    Engine::new(Kind::Postgres, 1, test)
}

/// The same with a certificate as that of [`redis_tls`], and with another user, `app`, whose password is `secret`, and who has to
/// come over TLS.
#[must_use]
pub fn postgres_tls(test: &str) -> Option<Engine> {
    Engine::new(Kind::PostgresTls, 1, test)
}

/// A server that speaks MongoDB's protocol, as a replica set of one.
#[must_use]
pub fn mongo(test: &str) -> Option<Engine> {
    Engine::new(Kind::Mongo, 1, test)
}

/// A NATS server with JetStream.
#[must_use]
pub fn nats(test: &str) -> Option<Engine> {
    nats_with(test, "jetstream: enabled")
}

/// A NATS server with this in its file of settings.
#[must_use]
pub fn nats_with(test: &str, settings: &str) -> Option<Engine> {
    Engine::with_settings(Kind::Nats, 1, test, settings)
}

/// A NATS server that speaks TLS and nothing else, with the same certificate as [`redis_tls`], and asks for one that the same
/// [authority](Engine::authority) has signed, which its [own](Engine::certificate) is.
#[must_use]
pub fn nats_tls(test: &str) -> Option<Engine> {
    Engine::new(Kind::NatsTls, 1, test)
}

/// Two NATS servers that are one cluster, and that let go of who is too slow for them soon.
#[must_use]
pub fn nats_cluster(test: &str) -> Option<Engine> {
    // The last one is that on which they meet.
    Engine::new(Kind::NatsCluster, 3, test)
}

impl Engine {
    fn new(kind: Kind, nodes: usize, test: &str) -> Option<Self> {
        Self::with_settings(kind, nodes, test, "")
    }

    /// With what its file of settings says; only NATS has one.
    fn with_settings(kind: Kind, nodes: usize, test: &str, settings: &str) -> Option<Self> {
        // Tests of one process may give theirs the same name.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (ports, claims) = (0..nodes).map(|_| free_port()).unzip();
        let mut engine = Self {
            kind,
            ports,
            _claims: claims,
            services: Vec::new(),
            folder: SocketDir::new(&format!("{kind:?}-{test}-{number}")),
        };
        let file = engine.folder.path().join(SETTINGS);
        fs::write(file, settings).expect("its folder is there");
        match engine.prepare() {
            Ok(services) => engine.services = services,
            Err(missing) => {
                let required = std::env::var_os("SOCKEYE_REQUIRE_ENGINES");
                assert!(required.is_none_or(|value| value != "1"), "{missing}");
                eprintln!("skipped: {missing}");
                return None;
            }
        }
        engine.start();
        Some(engine)
    }

    /// What is to be started, and how; what there is to be done before.
    fn prepare(&self) -> Result<Vec<Service>, String> {
        let folder = self.folder.path();
        let port = self.ports[0].to_string();
        match self.kind {
            Kind::Redis => Ok(redis::alone(&redis::program()?, self.ports[0], folder)),
            Kind::Valkey => Ok(redis::alone(&redis::valkey()?, self.ports[0], folder)),
            Kind::RedisTls => {
                let program = redis::program()?;
                let signed = Signed::write(folder);
                Ok(vec![redis::with_tls(
                    &program,
                    self.ports[0],
                    folder,
                    &signed,
                )])
            }
            Kind::RedisCluster => redis::cluster(&self.ports, folder),
            Kind::RedisSentinel => redis::sentinel(&self.ports, folder),
            Kind::RedisClusterTls | Kind::RedisSentinelTls => {
                let program = redis::program()?;
                let signed = Signed::write(folder);
                let (plain, tls) = self.ports.split_at(self.ports.len() / 2);
                Ok(match self.kind {
                    Kind::RedisClusterTls => {
                        redis::cluster_with_tls(&program, (plain, tls), folder, &signed)
                    }
                    _ => redis::sentinel_with_tls(&program, (plain, tls), folder, &signed),
                })
            }
            Kind::Postgres => prepare_postgres(folder, &port, false),
            Kind::PostgresTls => prepare_postgres(folder, &port, true),
            Kind::Mongo => {
                let program = std::env::var("SECANTUSD");
                let program = program.unwrap_or_else(|_| "secantusd-py".to_owned());
                let advice = "pip install --pre secantusdb==0.7.0b3, and SECANTUSD may name it";
                let mut service = Service::new(&find(&program, advice)?);
                let data = folder.join("data");
                service.args(["--host", HOST, "--port", &port, "--cache-size", "64M"]);
                // As MongoDB does by itself before it says that it has something.
                service.args(["--sync-on-commit"]);
                service.args(["--storage-path", &data.to_string_lossy()]);
                Ok(vec![service])
            }
            Kind::Nats => {
                let mut service =
                    Service::new(&find("nats-server", "Debian's package nats-server")?);
                let settings = folder.join(SETTINGS);
                service.args(["--config", &settings.to_string_lossy()]);
                service.args(["--addr", HOST, "--port", &port]);
                service.args(["--store_dir", &folder.to_string_lossy()]);
                Ok(vec![service])
            }
            Kind::NatsTls => {
                let mut service =
                    Service::new(&find("nats-server", "Debian's package nats-server")?);
                let Signed {
                    authority,
                    cert,
                    key,
                } = Signed::write(folder);
                let [authority, cert, key] =
                    [authority, cert, key].map(|file| file.display().to_string());
                service.args(["--addr", HOST, "--port", &port]);
                service.args(["--tlsverify", "--tlscacert", &authority]);
                service.args(["--tlscert", &cert, "--tlskey", &key]);
                Ok(vec![service])
            }
            Kind::NatsCluster => self.nats_cluster(),
        }
    }

    /// Two NATS servers, of which the second calls the first.
    fn nats_cluster(&self) -> Result<Vec<Service>, String> {
        let program = find("nats-server", "Debian's package nats-server")?;
        let config = self.folder.path().join("nats.conf");
        let limits = "write_deadline: \"1s\"\nmax_pending: 1MB\n";
        fs::write(&config, limits).expect("its folder is there");
        let meeting = format!("nats://{HOST}:{}", self.ports[2]);
        let servers = self.ports[..2].iter().enumerate().map(|(number, port)| {
            let mut service = Service::new(&program);
            service.args(["--config", &config.to_string_lossy()]);
            service.args(["--addr", HOST, "--port", &port.to_string()]);
            service.args(["--cluster_name", "test"]);
            let own = format!("nats://{HOST}:-1");
            match number {
                0 => service.args(["--cluster", &meeting]),
                _ => service.args(["--cluster", &own, "--routes", &meeting]),
            }
            service
        });
        Ok(servers.collect())
    }

    /// Starts it again after it was [stopped](Self::stop), on the same ports, with what it has in its files.
    pub fn start(&mut self) {
        if matches!(self.kind, Kind::Postgres | Kind::PostgresTls) {
            // What a crash leaves behind could name a process that is somebody else's by now.
            let _ = fs::remove_file(self.folder.path().join("data/postmaster.pid"));
        }
        for (service, port) in self.services.iter_mut().zip(&self.ports) {
            service.start(|| is_up(self.kind, *port));
        }
        match self.kind {
            Kind::RedisCluster => redis::form_cluster(&self.ports, &self.ports),
            Kind::RedisClusterTls => redis::form_cluster(&self.ports[..3], &self.ports[3..]),
            Kind::RedisSentinelTls => redis::await_primary(self.ports[1]),
            Kind::RedisSentinel => redis::await_sentinel(&self.ports),
            _ => {}
        }
    }

    /// Ends it at once, as a crash does.
    ///
    /// # Panics
    ///
    /// If somebody listens on its ports even then.
    pub fn stop(&mut self) {
        for service in &mut self.services {
            service.stop();
        }
        // A process that Postgres has just made for a connection listens on its port as well, until it notices.
        let end = Instant::now() + PATIENCE;
        // There is none on ports of what could not be started.
        let ports = &self.ports[..self.services.len()];
        while ports.iter().any(|port| is_open(*port)) {
            assert!(Instant::now() < end, "{ports:?} are in use");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends one of its servers at once.
    pub fn stop_one(&mut self, server: usize) {
        self.services[server].stop();
    }

    /// Stops it without ending it: it says nothing any more, and its connections stay.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        for service in &self.services {
            service.signal(name);
        }
    }

    /// Sends a signal to one of its servers: `USR2`, say.
    pub fn signal_one(&self, server: usize, name: &str) {
        self.services[server].signal(name);
    }

    /// The port, of the first of its servers.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The ports of all of its servers.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// All of its servers, with commas between them, as in a URL.
    #[must_use]
    pub fn hosts(&self) -> String {
        let hosts: Vec<_> = self
            .ports
            .iter()
            .map(|port| format!("{HOST}:{port}"))
            .collect();
        hosts.join(",")
    }

    /// Its URL, in the form that its clients know.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts = self.hosts();
        match self.kind {
            Kind::Redis | Kind::RedisCluster | Kind::Valkey => format!("redis://{hosts}"),
            Kind::RedisTls => format!("rediss://{hosts}"),
            // The first half of its ports is for the tests themselves.
            Kind::RedisClusterTls => format!("rediss://{HOST}:{}", self.ports[3]),
            Kind::RedisSentinelTls => format!("rediss://{HOST}:{}?sentinel=main", self.ports[3]),
            // The last one is the sentinel.
            Kind::RedisSentinel => format!("redis://{HOST}:{}?sentinel=main", self.ports[2]),
            Kind::Postgres => format!("postgres://postgres@{hosts}/postgres"),
            Kind::PostgresTls => format!("postgres://app:secret@{hosts}/postgres"),
            Kind::Mongo => format!("mongodb://{hosts}/sockeye"),
            Kind::Nats => format!("nats://{hosts}"),
            Kind::NatsTls => format!("tls://{hosts}"),
            Kind::NatsCluster => {
                format!("nats://{HOST}:{},{HOST}:{}", self.ports[0], self.ports[1])
            }
        }
    }

    /// The folder of its files; the socket file of a Postgres is there too.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with the certificate of the authority that has signed that of the engine, if it speaks TLS.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The files with the certificate of the engine itself and with its key.
    #[must_use]
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        let folder = self.folder.path();
        (folder.join("cert.pem"), folder.join("key.pem"))
    }

    /// Sends a command to the first server of a Redis, and gives the answer as it comes over the wire.
    #[must_use]
    pub fn redis_command(&self, command: &str) -> String {
        self.redis_command_to(0, command)
    }

    /// Sends a command to one of its servers.
    #[must_use]
    pub fn redis_command_to(&self, server: usize, command: &str) -> String {
        redis::command(self.ports[server], command).expect("Redis answers")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn prepare_postgres(folder: &Path, port: &str, tls: bool) -> Result<Vec<Service>, String> {
    let programs = postgres_programs()?;
    let data = folder.join("data");
    // The server refuses to run as root.
    let user = is_root().then_some("postgres");
    if let Some(user) = user {
        let mut chown = Command::new("chown");
        run(chown.arg(user).arg(folder));
    }
    let mut init = Service::new(&programs.join("initdb")).user(user);
    init.args(["--no-sync", "--auth=trust", "--username=postgres"]);
    init.args([
        "--encoding=UTF8",
        "--locale=C",
        "-D",
        &data.to_string_lossy(),
    ]);
    run(&mut init.command());
    let mut service = Service::new(&programs.join("postgres")).user(user);
    service.args(["-D", &data.to_string_lossy(), "-p", port]);
    let sockets = format!("unix_socket_directories={}", folder.display());
    for setting in [
        "fsync=off",
        "listen_addresses=127.0.0.1",
        "dynamic_shared_memory_type=mmap",
        &sockets,
    ] {
        service.args(["-c", setting]);
    }
    if tls {
        let signed = Signed::write(folder);
        // It takes no key that others can read.
        let mut own = Command::new("chown");
        run(own.arg(user.unwrap_or("root")).arg(&signed.key));
        for (name, file) in [
            ("ssl_cert_file", &signed.cert),
            ("ssl_key_file", &signed.key),
        ] {
            service.args(["-c", &format!("{name}={}", file.display())]);
        }
        service.args(["-c", "ssl=on"]);
        let rules = "hostssl all app all scram-sha-256\nlocal all all trust\n\
                     host all postgres all trust\n";
        fs::write(data.join("pg_hba.conf"), rules).expect("its folder is there");
        make_user(&programs, user, &data);
    }
    Ok(vec![service])
}

/// Before the server is started, by one that speaks to nobody else.
fn make_user(programs: &Path, user: Option<&'static str>, data: &Path) {
    let mut single = Service::new(&programs.join("postgres")).user(user);
    single.args(["--single", "-D", &data.to_string_lossy()]);
    single.args(["-c", "dynamic_shared_memory_type=mmap", "postgres"]);
    let mut command = single.command();
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("setpriv is there");
    let mut input = child.stdin.take().expect("it is a pipe");
    let make = "CREATE ROLE app LOGIN PASSWORD 'secret';\nGRANT ALL ON SCHEMA public TO app;\n";
    input.write_all(make.as_bytes()).expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success(), "there is no user");
}

fn postgres_programs() -> Result<PathBuf, String> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<_> = installed
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    folders.sort();
    folders.reverse();
    folders.extend(path());
    let there = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    folders
        .into_iter()
        .find(there)
        .ok_or_else(|| "initdb and postgres are not there (Debian's package postgresql)".to_owned())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// Whether a server answers. Postgres accepts connections before it is ready, and says that it is not.
fn is_up(kind: Kind, port: u16) -> bool {
    match kind {
        Kind::Redis
        | Kind::RedisCluster
        | Kind::RedisSentinel
        | Kind::RedisClusterTls
        | Kind::RedisSentinelTls
        | Kind::Valkey => redis::command(port, "PING").is_ok_and(|answer| answer == "+PONG"),
        Kind::Postgres | Kind::PostgresTls => {
            let parameters = b"\0\0\0\x23\0\x03\0\0user\0postgres\0database\0postgres\0\0";
            let mut first = [0; 1];
            let asked = ask(port, &with_len(parameters), &mut first);
            asked.is_ok() && first == *b"R"
        }
        Kind::Nats | Kind::NatsTls | Kind::NatsCluster => {
            let mut first = [0; 4];
            ask(port, b"", &mut first).is_ok() && first == *b"INFO"
        }
        Kind::Mongo | Kind::RedisTls => is_open(port),
    }
}

/// A message of Postgres, with its real length in front.
fn with_len(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).expect("it is short");
    let mut message = message.to_vec();
    message[..4].copy_from_slice(&len.to_be_bytes());
    message
}

fn is_open(port: u16) -> bool {
    TcpStream::connect((HOST, port)).is_ok()
}

const SETTINGS: &str = "settings.conf";

fn ask(port: u16, question: &[u8], answer: &mut [u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((HOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(question)?;
    stream.read_exact(answer)
}

/// A port that stays free while nobody listens on it, as long as the claim is held: connections of other programs get theirs
/// from 32768 on, or higher, and for tests the same port of UDP, which no engine uses, stands for the claim.
fn free_port() -> (u16, UdpSocket) {
    let ports = u64::from(PORTS.end - PORTS.start);
    loop {
        let port = RandomState::new().hash_one(std::process::id()) % ports;
        let port = PORTS.start + u16::try_from(port).expect("it is in the range");
        if let Ok(claim) = UdpSocket::bind((HOST, port))
            && TcpListener::bind((HOST, port)).is_ok()
        {
            return (port, claim);
        }
    }
}

/// The nodes of a Redis Cluster speak to each other 10,000 above theirs.
const PORTS: Range<u16> = 10_000..20_000;

fn path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn find(program: &str, advice: &str) -> Result<PathBuf, String> {
    let found = match program.contains('/') {
        true => Some(PathBuf::from(program)).filter(|file| file.exists()),
        false => path()
            .map(|folder| folder.join(program))
            .find(|file| file.exists()),
    };
    found.ok_or_else(|| format!("{program} is not there ({advice})"))
}

const HOST: &str = "127.0.0.1";
