//! `sockeye connect` in a pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::plain::PlainServer;
use crate::server::{Server, run, sockeye};
#[cfg(unix)]
use crate::server::{signal, unused_path};

/// A command that is being talked to; killed when dropped.
struct Pipe {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Pipe {
    fn start(url: &str, options: &[&str]) -> Self {
        let mut child = sockeye()
            .args(["connect", url])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line; null at the end.
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        match line.as_str() {
            "" => Value::Null,
            line => serde_json::from_str(line).unwrap(),
        }
    }

    /// The next line of this type.
    fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let line = self.line();
            assert!(!line.is_null(), "no {kind} came");
            if line["type"] == kind {
                return line;
            }
        }
    }

    fn end_input(&mut self) {
        self.stdin = None;
    }

    /// How it ended.
    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_go_in_and_json_lines_come_out() {
    let server = Server::start(&[]);
    let mut pipe = Pipe::start(&server.url(), &[]);
    let connected = pipe.line();
    assert_eq!(connected["type"], "connected");
    assert_eq!(connected["namespace"], "/");
    assert_eq!(connected["id"].as_str().unwrap().len(), 20);

    pipe.send(r#"?echo {"a": [1, 2]} 'two words' three"#);
    let answer = json!({"type": "ack", "ack": 1, "event": "echo", "args": [{"a": [1, 2]}, "two words", "three"]});
    assert_eq!(pipe.line(), answer);
    pipe.send(r#"{"event":"echo","args":[1.5],"ack":true}"#);
    let answer = json!({"type": "ack", "ack": 2, "event": "echo", "args": [1.5]});
    assert_eq!(pipe.line(), answer);
    pipe.send(r#"join {"name":"Ann","room":"lobby"}"#);
    pipe.send("message hello");
    let message = pipe.wait_for("event");
    let message = match message["event"] == "message" {
        true => message,
        false => pipe.wait_for("event"),
    };
    assert_eq!(message["args"][0]["text"], "hello");

    pipe.send("/quit");
    let farewell = pipe.wait_for("disconnected");
    assert_eq!(farewell["reason"], "io client disconnect");
    assert_eq!(pipe.line(), Value::Null);
    assert_eq!(pipe.code(), Some(0));
}

#[test]
fn end_of_input_waits_for_answers() {
    let server = PlainServer::start();
    let mut pipe = Pipe::start(&server.url, &["--dialect", "lines"]);
    let mut peer = server.accept();
    pipe.wait_for("connected");
    pipe.send("?sum 1 2");
    pipe.end_input();
    assert_eq!(peer.line(), r#"{"eventName":"sum","args":[1,2],"id":0}"#);
    peer.send(r#"{"ack":0,"args":[3]}"#);
    assert_eq!(pipe.wait_for("ack")["args"], json!([3]));
    peer.hang_up();
    assert_eq!(pipe.code(), Some(0));
}

#[test]
fn burst_keeps_its_order() {
    const BURST: u64 = 5000;
    let server = PlainServer::start();
    let mut pipe = Pipe::start(&server.url, &["--dialect", "lines", "--stay"]);
    let mut peer = server.accept();
    pipe.wait_for("connected");
    let line = |number| format!(r#"{{"eventName":"tick","args":[{number}]}}"#);
    let burst: Vec<_> = (0..BURST).map(line).collect();
    let burst = burst.join("\r\n");
    let sending = std::thread::spawn(move || peer.send(&burst));
    for number in 0..BURST {
        assert_eq!(pipe.wait_for("event")["args"], json!([number]));
    }
    sending.join().unwrap();
}

#[test]
fn no_answer_in_time_is_3() {
    let server = Server::start(&[]);
    let mut pipe = Pipe::start(&server.url(), &["--timeout", "50ms"]);
    pipe.send("?unknown");
    pipe.end_input();
    let line = pipe.wait_for("no-ack");
    assert_eq!(line["event"], "unknown");
    assert_eq!(line["error"], "operation has timed out");
    assert_eq!(pipe.code(), Some(3));
}

#[test]
fn question_of_the_server_is_answered_once() {
    let server = PlainServer::start();
    let mut pipe = Pipe::start(&server.url, &["--dialect", "lines"]);
    let mut peer = server.accept();
    pipe.wait_for("connected");
    peer.send(r#"{"eventName":"ready?","args":["now"],"id":7}"#);
    let question = json!({"type": "event", "event": "ready?", "args": ["now"], "answer": 1});
    assert_eq!(pipe.line(), question);
    pipe.send(r#"/answer 1 yes {"in": 5}"#);
    assert_eq!(peer.line(), r#"{"ack":7,"args":["yes",{"in": 5}]}"#);
    pipe.send(r#"{"answer":1}"#);
    let error = pipe.wait_for("error");
    assert_eq!(error["line"], 2);
    assert_eq!(
        error["error"],
        "no event with the number 1 waits for an answer"
    );
    pipe.end_input();
    peer.hang_up();
    assert_eq!(pipe.code(), Some(1));
}

#[test]
fn mistake_in_a_line_is_told_and_the_others_are_sent() {
    let server = Server::start(&[]);
    let mut pipe = Pipe::start(&server.url(), &[]);
    pipe.send("echo \"no end");
    pipe.send("?echo 1");
    pipe.end_input();
    let error = pipe.wait_for("error");
    assert_eq!(error["line"], 1);
    assert_eq!(error["error"], "there is no end to what begins at \"no end");
    assert_eq!(pipe.wait_for("ack")["args"], json!([1]));
    assert_eq!(pipe.code(), Some(1));
}

#[test]
fn lost_connection_comes_back_and_lines_wait_for_it() {
    let server = PlainServer::start();
    let mut pipe = Pipe::start(&server.url, &["--dialect", "lines"]);
    let peer = server.accept();
    pipe.wait_for("connected");
    drop(peer);
    assert_eq!(pipe.wait_for("disconnected")["reason"], "transport close");
    assert!(pipe.wait_for("reconnecting")["delay_ms"].as_u64().unwrap() > 0);
    pipe.send("hello");
    let mut peer = server.accept();
    pipe.wait_for("connected");
    assert_eq!(peer.line(), r#"{"eventName":"hello"}"#);
    pipe.end_input();
    peer.hang_up();
    assert_eq!(pipe.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn crashed_server_is_noticed_and_the_next_one_on_its_socket_file_is_found() {
    let socket = unused_path("crash.sock");
    let url = format!("unix:{}", socket.display());
    let options = ["--listen", &url];
    let server = Server::start(&options);
    let mut pipes = ["native", "lines"].map(|dialect| {
        let mut pipe = Pipe::start(&url, &["--dialect", dialect]);
        pipe.wait_for("connected");
        pipe
    });
    server.crash();
    for pipe in &mut pipes {
        let end = pipe.wait_for("disconnected");
        let reason = end["reason"].as_str().unwrap();
        assert!(
            ["transport close", "transport error"].contains(&reason),
            "{end}"
        );
        pipe.wait_for("reconnecting");
    }
    assert!(socket.exists(), "what a crash leaves behind");
    let mut server = Server::start(&options);
    for pipe in &mut pipes {
        pipe.wait_for("connected");
        pipe.send("?echo back");
        assert_eq!(pipe.wait_for("ack")["args"], json!(["back"]));
    }
    server.signal("TERM");
    for pipe in &mut pipes {
        pipe.wait_for("disconnected");
    }
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn lost_connection_that_is_not_to_come_back_is_4() {
    let server = PlainServer::start();
    let mut pipe = Pipe::start(&server.url, &["--dialect", "lines", "--no-reconnect"]);
    let peer = server.accept();
    pipe.wait_for("connected");
    drop(peer);
    pipe.wait_for("disconnected");
    assert_eq!(pipe.code(), Some(4));
}

#[test]
fn server_that_is_not_there_is_2() {
    let ended = run(&["connect", "/no/such.sock"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(2), ""),
        "{ended:?}"
    );
}

#[cfg(unix)]
#[test]
fn interrupt_closes_gracefully_and_the_end_of_input_need_not_end_it() {
    let server = PlainServer::start();
    let mut pipe = Pipe::start(&server.url, &["--dialect", "lines", "--stay"]);
    let mut peer = server.accept();
    pipe.end_input();
    pipe.wait_for("connected");
    peer.send(r#"{"eventName":"news","args":[]}"#);
    assert_eq!(
        pipe.line(),
        json!({"type": "event", "event": "news", "args": []})
    );
    signal(&pipe.child, "INT");
    peer.hang_up();
    pipe.wait_for("disconnected");
    assert_eq!(pipe.code(), Some(0));
}

/// What is sent to a server that answers `echo`, and what comes of it.
fn pipe_through(server: &Server, input: &[u8]) -> (Vec<Value>, String, Option<i32>) {
    let mut child = sockeye()
        .args(["connect", &server.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), text, output.status.code())
}

#[test]
fn byte_order_mark_in_front_of_the_input_is_dropped() {
    let server = Server::start(&[]);
    let (lines, _, code) = pipe_through(&server, "\u{feff}?echo 1\n?echo \u{feff}2\n".as_bytes());
    let ack = |number: u64, args: Value| json!({"type": "ack", "ack": number, "event": "echo", "args": args});
    assert_eq!(
        lines[1..3],
        [ack(1, json!([1])), ack(2, json!(["\u{feff}2"]))]
    );
    assert_eq!(code, Some(0));
}

#[test]
fn line_that_is_no_text_is_one_bad_line() {
    let server = Server::start(&[]);
    let (mut lines, _, code) = pipe_through(&server, b"?echo 1\n?echo \xff\n?echo 3\n");
    let wanted =
        json!({"type": "error", "line": 2, "error": "the line is not UTF-8, from its byte 7 on"});
    let errors: Vec<_> = lines
        .extract_if(.., |line| line["type"] == "error")
        .collect();
    assert_eq!(errors, [wanted]);
    assert_eq!(
        (&lines[1]["args"], &lines[2]["args"]),
        (&json!([1]), &json!([3]))
    );
    assert_eq!(code, Some(1));
}

#[test]
fn answers_come_in_the_order_in_which_they_were_given() {
    let server = Server::start(&[]);
    let input: String = (1..=500).map(|n| format!("?echo {n}\n")).collect();
    let (lines, _, code) = pipe_through(&server, input.as_bytes());
    let answers = lines.iter().filter(|line| line["type"] == "ack");
    let numbers: Vec<_> = answers
        .map(|line| line["args"][0].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
    assert_eq!(code, Some(0));
}

#[test]
fn output_is_safe_for_a_terminal_and_means_the_same() {
    const NASTY: &str = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}\u{e0041}";
    let server = PlainServer::start();
    let mut child = sockeye()
        .args(["connect", &server.url, "--dialect", "lines"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peer = server.accept();
    let event = json!({"eventName": NASTY, "args": [NASTY, {NASTY: [NASTY]}]});
    peer.send(&event.to_string());
    // A name that must not be used is told as an error, with the name in it.
    let mut stdin = child.stdin.take().unwrap();
    let line = format!("?{}\n", json!(NASTY));
    stdin.write_all(line.as_bytes()).unwrap();
    let asked: Value = serde_json::from_str(&peer.line()).unwrap();
    assert_eq!(asked["eventName"], NASTY);
    peer.send(&json!({"ack": 0, "args": [NASTY]}).to_string());
    drop(stdin);
    peer.hang_up();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| lines.iter().find(|line| line["type"] == kind).unwrap();
    assert_eq!(of("event")["event"], NASTY);
    assert_eq!(of("event")["args"], json!([NASTY, {NASTY: [NASTY]}]));
    assert_eq!(of("ack")["args"], json!([NASTY]));
    for char in NASTY.chars().filter(|char| !char.is_ascii_graphic()) {
        assert!(!text.contains(char), "{char:?}: {text:?}");
    }
}

#[test]
fn what_went_wrong_is_said_once() {
    let server = PlainServer::start();
    let mut pipe = Pipe::start(&server.url, &["--dialect", "lines"]);
    let mut peer = server.accept();
    pipe.wait_for("connected");
    peer.send(r#"{"eventName":"disconnect","args":[]}"#);
    let error = pipe.wait_for("error")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("undecodable packet"), "{error}");
    assert_eq!(error.matches("is reserved").count(), 1, "{error}");
    pipe.end_input();
    peer.hang_up();
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_an_error() {
    let server = Server::start(&[]);
    let url = server.url();
    for args in [
        &["connect", &url][..],
        &["emit", &url, "echo", "1", "--ack"],
        &["--help"],
    ] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut child = sockeye()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(
            args == ["--help"] || error.contains("No space left"),
            "{error}"
        );
    }
}

/// A server that says this to whoever comes, whatever they say, or nothing before they have.
fn stranger(greeting: &'static str, waits: bool) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buf = [0; 4096];
            if waits {
                let _ = std::io::Read::read(&mut stream, &mut buf);
            }
            let _ = stream.write_all(greeting.as_bytes());
            // Until the client has gone.
            while std::io::Read::read(&mut stream, &mut buf).is_ok_and(|len| len > 0) {}
        }
    });
    address.to_string()
}

#[test]
fn who_is_no_socket_io_server_is_described() {
    let ssh = stranger("SSH-2.0-OpenSSH_9.2\r\n", true);
    let greeter = stranger("220 mail.example ESMTP\r\n", false);
    let web = stranger(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 17\r\n\r\n<p>Hello there</p",
        true,
    );
    for (url, said) in [
        (
            format!("tcp://{ssh}"),
            r#"neither packets nor lines of JSON, but begins with "SSH-2.0-OpenSSH_9.2""#,
        ),
        (
            format!("tcp://{greeter}"),
            r#"begins with "220 mail.example ESMTP""#,
        ),
        (
            format!("tcp://{web}"),
            "A web server's URL begins with http://",
        ),
        (format!("http://{ssh}"), "does not speak HTTP"),
        (format!("http://{greeter}"), "does not speak HTTP"),
        (format!("http://{web}"), "say so by --path"),
        (format!("ws://{web}"), "a web page"),
    ] {
        for command in ["connect", "bench"] {
            let ended = run(&[command, &url, "--connect-timeout", "10s"]);
            assert_eq!(ended.code, Some(2), "{command} {url}: {ended:?}");
            let start = format!("error: there is no Socket.IO server at {url}: ");
            assert!(
                ended.stderr.starts_with(&start),
                "{command} {url}: {ended:?}"
            );
            assert!(ended.stderr.contains(said), "{command} {url}: {ended:?}");
        }
    }
}
