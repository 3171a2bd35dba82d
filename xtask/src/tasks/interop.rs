use std::path::{Path, PathBuf};
use std::process::Command;

use super::Task;
use crate::Result;
use crate::process::{heading, quote, run};
use crate::tools::{self, node, node_modules};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "interop",
    summary: "run real JavaScript and Python peers against the server and the client",
    usage: "usage: cargo xtask interop [--filter TEXT]

  --filter TEXT   only the cells of the socket.io-client matrix whose \"version transport case\" holds
                  every word of TEXT, and no other suite

Builds the examples in release mode and runs the suites of interop/. Needs Node.js 20 and Python 3.9.",
    run: |workspace, mut args| {
        let filter = args.value("--filter")?;
        args.finish()?;
        javascript(workspace, filter.as_deref())?;
        if filter.is_some() {
            return Ok(());
        }
        python(workspace)
    },
};

pub(crate) const BROWSER_TASK: Task = Task {
    name: "browser",
    summary: "drive the demo chat in Chromium",
    usage: "usage: cargo xtask browser [OPTIONS OF interop/browser.mjs]

Needs Node.js 20 and Chromium; CHROMIUM may name its path.",
    run: |workspace, args| browser(workspace, args.rest()),
};

pub(crate) const ABUSE_TASK: Task = Task {
    name: "abuse",
    summary: "attack the server, and look at what it keeps in memory",
    usage: "usage: cargo xtask abuse [OPTIONS OF interop/abuse.mjs]

  --short         a fifth of everything
  --filter TEXT   only attacks whose name holds TEXT

Builds the conformance example in release mode. Needs Node.js 20, and Linux for its /proc.",
    run: |workspace, args| abuse(workspace, args.rest()),
};

/// The suites that run in Node. One that fails does not keep the others from running.
pub(crate) fn javascript(workspace: &Workspace, filter: Option<&str>) -> Result {
    let suites = Suites::prepare(workspace)?;
    let conformance = workspace.build_example("sockeye", "conformance")?;
    let mut matrix = suites.against("run.mjs", &conformance);
    if let Some(filter) = filter {
        return run(matrix.arg("--filter").arg(filter));
    }
    let echo = workspace.build_example("sockeye", "ws_echo")?;
    let probe = workspace.build_example("sockeye", "client_probe")?;
    let mut servers = suites.against("client.mjs", &conformance);
    servers.arg("--probe").arg(shell(&probe));
    // One of the servers is python-socketio's; the suite says so when it has to leave that out.
    if tools::python().is_ok() {
        servers
            .arg("--python")
            .arg(packages(workspace)?.join("python"));
    }
    let mut plain_servers = suites.command("lines.mjs");
    plain_servers
        .arg("--client")
        .arg(format!("{} {{}} --dialect lines", shell(&probe)));
    let mut own_client = suites.command("--test");
    own_client.arg("sockeye-js.test.mjs");
    let mut compression = suites.against("compression.mjs", &conformance);
    compression.arg("--echo").arg(shell(&echo));
    // A browser is one peer of several; the suite says so when it has to leave it out.
    if let Ok(chromium) = tools::chromium() {
        compression.arg("--chromium").arg(chromium);
    }
    let command = workspace.build_command()?;
    let mut recovery = suites.against("recovery.mjs", &conformance);
    recovery.arg("--sockeye").arg(shell(&command));
    let mut rooms = suites.command("rooms.mjs");
    rooms.arg("--sockeye").arg(shell(&command));
    all(&mut [
        ("socket.io-client, every generation", matrix),
        (
            "The protocols by hand",
            suites.against("engine.mjs", &conformance),
        ),
        ("ws and broken frames", suites.against("ws.mjs", &echo)),
        ("compression", compression),
        ("networks that are cut", recovery),
        (
            "plain peers on bare streams",
            suites.against("lines.mjs", &conformance),
        ),
        ("one room for every transport", rooms),
        ("sockeye.js in Node", own_client),
        ("the client, every generation of servers", servers),
        ("the client, plain servers", plain_servers),
    ])
}

fn all(suites: &mut [(&str, Command)]) -> Result {
    let mut failures = Vec::new();
    for (name, suite) in suites {
        heading(name);
        failures.extend(run(suite).err().map(|error| error.to_string()));
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(failures.join("\n").into())
}

/// The suite that runs in Python.
pub(crate) fn python(workspace: &Workspace) -> Result {
    let conformance = workspace.build_example("sockeye", "conformance")?;
    heading("python-socketio");
    let mut python = Command::new(packages(workspace)?.join("python"));
    python
        .arg("run.py")
        .arg("--server")
        .arg(shell(&conformance));
    run(python.current_dir(workspace.root().join("interop/python")))
}

/// The programs of the virtual environment that has `python-socketio`.
fn packages(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = ["-r", "interop/python/requirements.txt"];
    tools::venv(workspace, "interop", &requirements)
}

/// The suite that runs in a real browser.
pub(crate) fn browser(workspace: &Workspace, options: Vec<String>) -> Result {
    let chromium = tools::chromium()?;
    let suites = Suites::prepare(workspace)?;
    let command = workspace.build_command()?;
    let first = workspace.build_example("sockeye", "first")?;
    heading("Chromium");
    let mut browser = suites.against("browser.mjs", &command);
    browser.arg("--first").arg(shell(&first));
    run(browser.arg("--chromium").arg(chromium).args(options))
}

/// The suite that abuses the server.
pub(crate) fn abuse(workspace: &Workspace, options: Vec<String>) -> Result {
    let suites = Suites::prepare(workspace)?;
    let conformance = workspace.build_example("sockeye", "conformance")?;
    heading("Abuse");
    run(suites.against("abuse.mjs", &conformance).args(options))
}

/// The folder `interop/`, with its packages installed.
#[derive(Debug)]
struct Suites {
    node: PathBuf,
    folder: PathBuf,
}

impl Suites {
    fn prepare(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root().join("interop");
        let node = node()?;
        node_modules(&folder)?;
        Ok(Self { node, folder })
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.node);
        command.arg(script).current_dir(&self.folder);
        command
    }

    /// A suite that starts the server under test by itself.
    fn against(&self, script: &str, server: &Path) -> Command {
        let mut command = self.command(script);
        command.arg("--server").arg(shell(server));
        command
    }
}

/// The suites give the server's command to a shell.
fn shell(program: &Path) -> String {
    quote(&program.to_string_lossy())
}
