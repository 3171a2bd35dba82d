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
