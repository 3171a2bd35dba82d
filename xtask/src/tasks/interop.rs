use std::path::{Path, PathBuf};
use std::process::Command;

use super::Task;
use crate::Result;
use crate::process::{Suite, heading, quote, run, run_side_by_side};
use crate::tools::{self, node, node_modules};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "interop",
    summary: "run real JavaScript and Python peers against the server and the client",
    usage: "usage: cargo xtask interop [--filter TEXT]

  --filter TEXT   only the cells of the socket.io-client matrix whose \"version transport case\" holds
                  every word of TEXT, and no other suite

Builds the examples and runs the suites of interop/. Needs Node.js 20 and Python 3.9.",
    run: |workspace, mut args| {
        let filter = args.value("--filter")?;
        args.finish()?;
        if let Some(filter) = filter {
            return cells(workspace, &filter);
        }
        let mut suites = javascript(workspace)?;
        suites.push(python(workspace)?);
        run_side_by_side(suites)
    },
};

pub(crate) const BROWSER_TASK: Task = Task {
    name: "browser",
    summary: "drive the demo chat in Chromium",
    usage: "usage: cargo xtask browser [OPTIONS OF interop/browser.mjs]

Needs Node.js 20 and Chromium; CHROMIUM may name its path.",
    run: |workspace, args| {
        let (name, mut suite) = browser(workspace, args.rest())?;
        heading(&name);
        run(&mut suite)
    },
};

pub(crate) const ABUSE_TASK: Task = Task {
    name: "abuse",
    summary: "attack the server, and look at what it keeps in memory",
    usage: "usage: cargo xtask abuse [OPTIONS OF interop/abuse.mjs]

  --build         build what is attacked, and nothing more
  --short         a fifth of everything
  --filter TEXT   only attacks whose name holds TEXT

Builds the conformance example with optimizations. Needs Node.js 20, and Linux for its /proc.",
    run: |workspace, mut args| {
        if args.flag("--build") {
            args.finish()?;
            return abused(workspace).map(drop);
        }
        abuse(workspace, args.rest())
    },
};

/// Some cells of the matrix of clients and transports.
fn cells(workspace: &Workspace, filter: &str) -> Result {
    let suites = Suites::prepare(workspace)?;
    let conformance = workspace.build_example("conformance")?;
    let mut matrix = suites.against("run.mjs", &conformance);
    run(matrix.arg("--filter").arg(filter))
}

/// The suites that run in Node.
pub(crate) fn javascript(workspace: &Workspace) -> Result<Vec<Suite>> {
    let suites = Suites::prepare(workspace)?;
    let conformance = workspace.build_example("conformance")?;
    let mut matrix = suites.against("run.mjs", &conformance);
    // A peer that waits for the processor for 200 ms is taken for dead, and another suite runs beside this one.
    matrix.args(["--jobs", "1"]);
    let echo = workspace.build_example("ws_echo")?;
    let hooks = workspace.build_example("hooks")?;
    let admin = workspace.build_example("admin")?;
    let probe = workspace.build_example("client_probe")?;
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
    let mut nats = suites.command("--test");
    nats.arg("nats-adapter.test.mjs");
    let mut compression = suites.against("compression.mjs", &conformance);
    compression.arg("--echo").arg(shell(&echo));
    let mut old_browsers = suites.against("old-browsers.mjs", &conformance);
    let mut page = suites.against("admin.mjs", &admin);
    // A browser is one peer of several; the suites say so when they have to leave it out.
    if let Ok(chromium) = tools::chromium() {
        compression.arg("--chromium").arg(&chromium);
        old_browsers.arg("--chromium").arg(&chromium);
        page.arg("--chromium").arg(chromium);
    }
    let command = workspace.build_command()?;
    let mut recovery = suites.against("recovery.mjs", &conformance);
    recovery.arg("--sockeye").arg(shell(&command));
    let mut rooms = suites.command("rooms.mjs");
    rooms.arg("--sockeye").arg(shell(&command));
    let suites = [
        // What takes longest begins first.
        ("the client, every generation of servers", servers),
        ("socket.io-client, every generation", matrix),
        (
            "The protocols by hand",
            suites.against("engine.mjs", &conformance),
        ),
        ("ws and broken frames", suites.against("ws.mjs", &echo)),
        ("networks that are cut", recovery),
        ("sockeye.js in Node", own_client),
        ("the adapter for Node's servers on NATS", nats),
        (
            "what the application is told",
            suites.against("hooks.mjs", &hooks),
        ),
        (
            "plain peers on bare streams",
            suites.against("lines.mjs", &conformance),
        ),
        ("one room for every transport", rooms),
        ("the client, plain servers", plain_servers),
        // A browser leaves little of the processor to those above, which notice who is late.
        ("compression", compression),
        ("old clients in a browser", old_browsers),
        ("an administrator's page", page),
    ];
    Ok(suites.map(|(name, suite)| (name.to_owned(), suite)).into())
}

/// The suite that runs in Python.
pub(crate) fn python(workspace: &Workspace) -> Result<Suite> {
    let conformance = workspace.build_example("conformance")?;
    let mut python = Command::new(packages(workspace)?.join("python"));
    python
        .arg("run.py")
        .arg("--server")
        .arg(shell(&conformance));
    python.current_dir(workspace.root().join("interop/python"));
    Ok(("python-socketio".to_owned(), python))
}

/// The programs of the virtual environment that has `python-socketio`.
fn packages(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = ["-r", "interop/python/requirements.txt"];
    tools::venv(workspace, "interop", &requirements)
}

/// The suite that runs in a real browser.
pub(crate) fn browser(workspace: &Workspace, options: Vec<String>) -> Result<Suite> {
    let chromium = tools::chromium()?;
    let suites = Suites::prepare(workspace)?;
    let command = workspace.build_command()?;
    let first = workspace.build_example("first")?;
    let mut browser = suites.against("browser.mjs", &command);
    browser.arg("--first").arg(shell(&first));
    browser.arg("--chromium").arg(chromium).args(options);
    Ok(("Chromium".to_owned(), browser))
}

fn abused(workspace: &Workspace) -> Result<PathBuf> {
    workspace.build_quick("conformance")
}

/// The suite that abuses the server.
fn abuse(workspace: &Workspace, options: Vec<String>) -> Result {
    let suites = Suites::prepare(workspace)?;
    let conformance = abused(workspace)?;
    heading("Abuse");
    run(suites.against("abuse.mjs", &conformance).args(options))
}

/// The folder `interop/`, with its packages installed.
#[derive(Debug)]
pub(crate) struct Suites {
    node: PathBuf,
    folder: PathBuf,
}

impl Suites {
    pub(crate) fn prepare(workspace: &Workspace) -> Result<Self> {
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
    pub(crate) fn against(&self, script: &str, server: &Path) -> Command {
        let mut command = self.command(script);
        command.arg("--server").arg(shell(server));
        command
    }
}

/// The suites give the server's command to a shell.
pub(crate) fn shell(program: &Path) -> String {
    quote(&program.to_string_lossy())
}
