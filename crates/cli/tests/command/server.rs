//! A server to try things on, and how the command is run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

/// A server on a port of its own; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    log: Option<JoinHandle<String>>,
    /// What it wrote until its addresses were complete.
    pub(crate) welcome: String,
    pub(crate) address: String,
}

pub(crate) fn sockeye() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.env_remove("RUST_LOG").env_remove("NO_COLOR");
    command
}

impl Server {
    pub(crate) fn start(options: &[&str]) -> Self {
        let logs = options.iter().any(|option| option.starts_with("-v"));
        let mut child = sockeye()
            .args(["serve", "--listen", "http://127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(match logs {
                true => Stdio::piped(),
                false => Stdio::inherit(),
            })
            .spawn()
            .unwrap();
        // Read all the time, as a server whose log is full would wait.
        let log = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut log = String::new();
                stderr.read_to_string(&mut log).unwrap();
                log
            })
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut welcome = String::new();
        while !welcome.contains("Ctrl-C") {
            assert_ne!(stdout.read_line(&mut welcome).unwrap(), 0, "{welcome}");
        }
        let url = welcome
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let address = url.unwrap().trim_start_matches("http://").to_owned();
        Self {
            child,
            stdout,
            log,
            welcome,
            address,
        }
    }

    /// Sends a signal, by its name without `SIG`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Ends it as a crash would: it has no time to say or remove anything.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end; what it has logged, if it was started with a `-v`.
    #[cfg(unix)]
    pub(crate) fn stop(mut self) -> String {
        self.signal("TERM");
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    /// Head and body of the answer to a request.
    pub(crate) fn request(&self, method: &str, target: &str, body: &str) -> (String, String) {
        self.request_with("", method, target, body)
    }

    /// The same with more headers, each a whole line.
    pub(crate) fn request_with(
        &self,
        headers: &str,
        method: &str,
        target: &str,
        body: &str,
    ) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, len) = (&self.address, body.len());
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-length: {len}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn get(&self, target: &str) -> (String, String) {
        self.request("GET", target, "")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody in the chat, over long-polling.
pub(crate) struct Visitor<'a> {
    server: &'a Server,
    target: String,
    /// Packets that were received and not asked for yet.
    packets: Vec<String>,
}

impl<'a> Visitor<'a> {
    pub(crate) fn enter(server: &'a Server) -> Self {
        let target = "/socket.io/?EIO=4&transport=polling";
        let (_, open) = server.get(target);
        let sid = open.split('"').nth(3).unwrap();
        let mut visitor = Visitor {
            server,
            target: format!("{target}&sid={sid}"),
            packets: Vec::new(),
        };
        visitor.send("40");
        visitor.wait_for("40{");
        visitor
    }

    pub(crate) fn send(&self, packet: &str) {
        let (_, answer) = self.server.request("POST", &self.target, packet);
        assert_eq!(answer, "ok");
    }

    /// The next packet that begins like this.
    pub(crate) fn wait_for(&mut self, start: &str) -> String {
        loop {
            if let Some(at) = self
                .packets
                .iter()
                .position(|packet| packet.starts_with(start))
            {
                return self.packets.remove(at);
            }
            let (head, body) = self.server.get(&self.target);
            assert!(head.starts_with("http/1.1 200"), "{head}");
            self.packets.extend(body.split('\u{1e}').map(str::to_owned));
        }
    }
}

/// Sends a signal to a process, by its name without `SIG`.
#[cfg(unix)]
pub(crate) fn signal(process: &Child, name: &str) {
    let (name, pid) = (format!("-{name}"), process.id().to_string());
    let kill = Command::new("kill").args([name, pid]).status();
    assert!(kill.unwrap().success());
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command that needs no input to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    let output = sockeye().args(args).stdin(Stdio::null()).output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A path that no other test uses, with nothing there.
pub(crate) fn unused_path(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir();
    let path = directory.join(format!("sockeye-{}-{number}-{name}", std::process::id()));
    assert!(!path.exists());
    path
}
