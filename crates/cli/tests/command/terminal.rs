//! `sockeye connect` at a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::plain::PlainServer;
use crate::server::{sockeye, unused_path};

/// A terminal with a command in it; killed when dropped.
struct Terminal {
    child: Child,
    terminal: File,
    /// What it has shown.
    output: String,
    /// The prompts that were waited for.
    prompts: usize,
}

impl Terminal {
    fn start(command: &mut Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let terminal = openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let inside = ioctl_tiocgptpeer(&terminal, flags).unwrap();
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child = command
            .stdin(end(&inside))
            .stdout(end(&inside))
            .stderr(end(&inside))
            .spawn()
            .unwrap();
        Self {
            child,
            terminal: terminal.into(),
            output: String::new(),
            prompts: 0,
        }
    }

    fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the next prompt. What is typed before the editor has the terminal may be lost.
    fn prompt(&mut self) {
        self.prompts += 1;
        while self.output.matches(PASTE_ON).count() < self.prompts {
            self.read();
        }
    }

    /// Waits until this has been shown; everything that was.
    fn wait_for(&mut self, text: &str) -> &str {
        while !self.output.contains(text) {
            self.read();
        }
        &self.output
    }

    fn read(&mut self) {
        let mut buffer = [0; 4096];
        let len = self.terminal.read(&mut buffer);
        let len = len.unwrap_or_else(|error| panic!("{error}: {:?}", self.output));
        self.output
            .push_str(&String::from_utf8_lossy(&buffer[..len]));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the editor sends when it has taken hold of the terminal: it wants to know of pastes.
const PASTE_ON: &str = "\u{1b}[?2004h";

#[test]
fn events_are_typed_and_shown_above_the_prompt() {
    let server = PlainServer::start();
    let state = unused_path("state");
    let mut terminal = Terminal::start(
        sockeye()
            .args(["connect", &server.url, "--dialect", "lines"])
            .env("XDG_STATE_HOME", &state)
            .env("TERM", "xterm"),
    );
    let mut peer = server.accept();
    terminal.prompt();

    // A whole line in one write, as from a terminal that is far away.
    terminal.press("?sum 1 2\r");
    assert_eq!(peer.line(), r#"{"eventName":"sum","args":[1,2],"id":0}"#);
    peer.send(r#"{"ack":0,"args":[3]}"#);
    terminal.prompt();
    let shown = terminal.wait_for(" ms)");
    assert!(
        shown.contains("answered\u{1b}[0m \u{1b}[33m3\u{1b}[0m"),
        "{shown:?}"
    );

    peer.send(r#"{"eventName":"ready?","args":["a\u009b"],"id":1}"#);
    let shown = terminal.wait_for("(/answer 1 …)");
    assert!(shown.contains(r#""a\u009b""#), "{shown:?}");
    // Half a name is completed, here to one that the server has used.
    terminal.press("/ans\t1 yes\r");
    assert_eq!(peer.line(), r#"{"ack":1,"args":["yes"]}"#);
    terminal.prompt();
    terminal.press("rea\t\r");
    assert_eq!(peer.line(), r#"{"eventName":"ready?"}"#);
    terminal.prompt();

    terminal.press("\u{4}");
    peer.hang_up();
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    let history = std::fs::read_to_string(state.join("sockeye/history")).unwrap();
    assert!(
        history.contains("?sum 1 2\n/answer 1 yes\nready?"),
        "{history}"
    );
    std::fs::remove_dir_all(state).unwrap();
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let server = PlainServer::start();
    let mut terminal = Terminal::start(
        sockeye()
            .args(["connect", &server.url, "--dialect", "lines"])
            .env("XDG_STATE_HOME", "/nonexistent")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1"),
    );
    let peer = server.accept();
    let shown = terminal.wait_for("connected");
    assert!(!shown.contains("\u{1b}[3"), "{shown:?}");
    // Ctrl-C twice is as good as Ctrl-D.
    terminal.prompt();
    terminal.press("\u{3}");
    terminal.wait_for("so does Ctrl-C again");
    terminal.prompt();
    terminal.press("\u{3}");
    peer.hang_up();
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
}

#[test]
fn nothing_that_a_server_says_acts_on_the_terminal() {
    const NASTY: &str = "x\u{9b}31m\u{202e}\u{7f}\u{200b}";
    const SAFE: &str = r"x\u009b31m\u202e\u007f\u200b";
    let server = PlainServer::start();
    let mut terminal = Terminal::start(
        sockeye()
            .args(["connect", &server.url, "--dialect", "lines"])
            .env("XDG_STATE_HOME", "/nonexistent")
            .env("TERM", "xterm"),
    );
    let mut peer = server.accept();
    terminal.prompt();
    peer.send(&serde_json::json!({"eventName": NASTY, "args": [NASTY]}).to_string());
    terminal.wait_for(&format!("\"{SAFE}\""));
    // The line is completed to the name.
    terminal.press("\"x\t\r");
    let sent: serde_json::Value = serde_json::from_str(&peer.line()).unwrap();
    assert_eq!(sent["eventName"], NASTY);
    terminal.prompt();
    let shown = terminal.output.clone();
    let found = shown
        .chars()
        .find(|char| NASTY[1..].contains(*char) && !char.is_ascii_graphic());
    assert_eq!(found, None, "{shown:?}");
    terminal.press("\u{4}");
    peer.hang_up();
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
}
