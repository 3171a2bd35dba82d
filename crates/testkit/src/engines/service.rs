//! Processes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that runs beside the test, killed when this is dropped.
#[derive(Debug)]
pub(super) struct Service {
    program: PathBuf,
    args: Vec<String>,
    user: Option<&'static str>,
    child: Option<Child>,
}

impl Service {
    pub(super) fn new(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            user: None,
            child: None,
        }
    }

    pub(super) fn args<const N: usize>(&mut self, args: [&str; N]) {
        self.args.extend(args.map(str::to_owned));
    }

    /// Runs it as somebody else.
    pub(super) fn user(mut self, user: Option<&'static str>) -> Self {
        self.user = user;
        self
    }

    /// The command that it is run by. When a signal ends the test, nothing is dropped, so the system is asked to end the
    /// program then.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        if let Some(user) = self.user {
            command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        }
        command.args(["--pdeathsig", "KILL", "--"]);
        command.arg(&self.program).args(&self.args);
        command.current_dir("/").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts it, and waits until it is up.
    pub(super) fn start(&mut self, is_up: impl Fn() -> bool) {
        let mut child = self.command().spawn().expect("setpriv is there");
        let end = Instant::now() + PATIENCE;
        while !is_up() {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("{} has ended: {status}", self.program.display());
            }
            assert!(Instant::now() < end, "{} is not up", self.program.display());
            std::thread::sleep(POLL_INTERVAL);
        }
        self.child = Some(child);
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a program that has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal to the program and to all that it has started.
    pub(super) fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let mut kill = Command::new("kill");
            kill.arg(format!("-{name}")).arg(child.id().to_string());
            // One of these may have ended by itself.
            let _ = kill.args(started_by(child.id())).output();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The processes that this one has started.
fn started_by(parent: u32) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|process| process.file_name().into_string().ok());
    ids.filter(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Behind the name, which may have anything in it, come the state and the parent.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        behind.split_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}

/// Runs a program to its end.
pub(super) fn run(command: &mut Command) {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// How long something may take on a machine that has much to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
