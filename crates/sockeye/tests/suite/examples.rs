//! The example programs that others rely on, or that show more than one process, as these run.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use sockeye_testkit::SocketDir;

/// A running example; killed when dropped.
struct Example {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Example {
    /// Starts it with a directory for its temporary files. Cargo builds examples before it runs
    /// the tests of a package, and puts them beside these.
    fn start(name: &str, dir: &SocketDir, args: &[&str]) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests
            .ancestors()
            .nth(2)
            .unwrap()
            .join("examples")
            .join(name);
        assert!(
            program.exists(),
            "cargo builds the examples where all tests of the package are run, or by --examples"
        );
        let mut child = Command::new(program)
            .args(args)
            .env("TMPDIR", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// The next line, without its end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let len = self.stdout.read_line(&mut line).unwrap();
        (len > 0).then(|| line.trim_end().to_owned())
    }

    /// Reads on until a line that begins like this.
    fn until(&mut self, start: &str) {
        while !self.line().unwrap().starts_with(start) {}
    }

    /// Sends a signal, by its name without `SIG`, and waits for the end.
    fn signal(&mut self, name: &str) -> ExitStatus {
        let (name, pid) = (format!("-{name}"), self.child.id().to_string());
        let kill = Command::new("kill").args([name, pid]).status();
        assert!(kill.unwrap().success());
        self.child.wait().unwrap()
    }

    /// All lines that are left, of an example that ends well.
    fn rest(&mut self) -> Vec<String> {
        let lines = std::iter::from_fn(|| self.line()).collect();
        assert!(self.child.wait().unwrap().success(), "{lines:?}");
        lines
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a line to a socket file, as `printf … | nc -U` does, and reads the answer.
fn ask(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

fn is_empty(dir: &SocketDir) -> bool {
    dir.path().read_dir().unwrap().next().is_none()
}

#[test]
fn sum_asks_itself_in_both_dialects() {
    let dir = SocketDir::new("example-sum");
    let lines = Example::start("sum", &dir, &[]).rest();
    let sums = ["  1 + 2 + 3 = 6", "  -5 + 40 = 35"];
    assert_eq!(lines[..3], ["Packets:", sums[0], sums[1]]);
    assert_eq!(lines[3..], ["Lines:", sums[0], sums[1]]);
    assert!(is_empty(&dir));
}

#[test]
#[cfg(feature = "msgpack")]
fn msgpack_hands_over_bytes_among_other_values() {
    let dir = SocketDir::new("example-msgpack");
    let lines = Example::start("msgpack", &dir, &[]).rest();
    assert_eq!(lines, ["line of 2026-11-28T22:26:13.007Z: 4 bytes"]);
}

#[test]
fn sum_answers_lines_of_others_until_it_is_interrupted() {
    let dir = SocketDir::new("example-sum-stays");
    let socket = dir.socket();
    let mut sum = Example::start("sum", &dir, &[socket.to_str().unwrap()]);
    sum.until("listening on unix:");
    let line = "{\"eventName\":\"sum\",\"args\":[[1,2,3]]}\r\n";
    let result = "{\"eventName\":\"result\",\"args\":[6]}\r\n";
    assert_eq!(ask(&socket, line), result);
    let line = "{\"eventName\":\"sum\",\"args\":[[1,2,3]],\"id\":0}\r\n";
    assert_eq!(ask(&socket, line), "{\"ack\":0,\"args\":[6]}\r\n");
    assert!(sum.signal("INT").success());
    assert!(is_empty(&dir));
}

#[test]
fn ipc_hands_the_job_of_a_killed_worker_to_another() {
    let dir = SocketDir::new("example-ipc");
    let lines = Example::start("ipc", &dir, &[]).rest();
    let killed = lines.iter().position(|line| line == "killing worker 1");
    let left = "worker 1 has left job ";
    let left = lines.iter().position(|line| line.starts_with(left));
    assert!(killed.is_some() && killed < left, "{lines:?}");
    let end = "24 jobs, each done once; 1 handed to another worker";
    assert_eq!(lines.last().unwrap(), end);
    assert!(is_empty(&dir));
}

#[test]
fn ipc_can_be_interrupted() {
    let dir = SocketDir::new("example-ipc-interrupt");
    let mut ipc = Example::start("ipc", &dir, &[]);
    ipc.until("killing worker 1");
    assert!(ipc.signal("INT").success());
    assert!(is_empty(&dir));
}

#[test]
fn conformance_leaves_no_socket_file_when_it_is_told_to_end() {
    let dir = SocketDir::new("example-conformance");
    for bare in [&["--engine"][..], &[]] {
        for signal in ["INT", "TERM"] {
            let url = dir.url();
            let args = [&["127.0.0.1:0", "--listen", &url], bare].concat();
            let mut conformance = Example::start("conformance", &dir, &args);
            conformance.until("listening on unix:");
            let _connected = UnixStream::connect(dir.socket()).unwrap();
            assert!(conformance.signal(signal).success(), "{signal} {bare:?}");
            assert!(is_empty(&dir), "{signal} {bare:?}");
        }
    }
}

#[test]
fn conformance_answers_lines() {
    let dir = SocketDir::new("example-conformance-lines");
    let args = ["127.0.0.1:0", "--listen", &dir.url()];
    let mut conformance = Example::start("conformance", &dir, &args);
    conformance.until("listening on unix:");
    let line = "{\"eventName\":\"message-with-ack\",\"args\":[1,\"é\"],\"id\":7}\n";
    let mut stream = UnixStream::connect(dir.socket()).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    stream
        .write_all(b"{\"eventName\":\"message\",\"args\":[{}]}\n")
        .unwrap();
    let lines: Vec<_> = BufReader::new(stream)
        .lines()
        .take(3)
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        lines,
        [
            r#"{"eventName":"auth","args":[{}]}"#,
            r#"{"ack":7,"args":[1,"\u00e9"]}"#,
            r#"{"eventName":"message-back","args":[{}]}"#,
        ]
    );
}

#[test]
fn bench_server_leaves_no_socket_file_when_it_is_interrupted() {
    let dir = SocketDir::new("example-bench-server");
    let args = ["127.0.0.1:0", "--listen", &dir.url()];
    let mut server = Example::start("bench_server", &dir, &args);
    server.until("listening on unix:");
    let line = "{\"eventName\":\"echo\",\"args\":[5],\"id\":0}\n";
    assert_eq!(ask(&dir.socket(), line), "{\"ack\":0,\"args\":[5]}\r\n");
    assert!(server.signal("INT").success());
    assert!(is_empty(&dir));
}

#[test]
fn compression_shows_that_it_saves_something() {
    let dir = SocketDir::new("example-compression");
    let lines = Example::start("compression", &dir, &[]).rest();
    let bytes = |start: &str| -> usize {
        let line = lines.iter().find_map(|line| line.strip_prefix(start));
        line.unwrap()
            .strip_suffix(" bytes")
            .unwrap()
            .parse()
            .unwrap()
    };
    let (packed, plain) = (bytes("compress(true): "), bytes("compress(false): "));
    assert!(packed < plain / 4, "{packed} of {plain}");
}
