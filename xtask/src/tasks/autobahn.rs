use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Task;
use crate::process::{Background, free_port, heading, run};
use crate::tools::venv;
use crate::workspace::Workspace;
use crate::{Error, Result};

pub(crate) const TASK: Task = Task {
    name: "autobahn",
    summary: "run the Autobahn cases against the WebSocket codec",
    usage: "usage: cargo xtask autobahn [server | client]

  server   the example ws_echo is driven by the suite
  client   the example autobahn_client calls on the suite

Both without a word. Needs Python 3 with venv; the suite is installed below the target folder. Reports
are in target/autobahn. Cases 12 and 13 are left out, as no compression is agreed on.",
    run: |workspace, mut args| {
        let role = args.positional();
        args.finish()?;
        match role.as_deref() {
            None => server(workspace).and_then(|()| client(workspace)),
            Some("server") => server(workspace),
            Some("client") => client(workspace),
            Some(other) => Err(format!("{other:?} is neither server nor client").into()),
        }
    },
};

/// The suite, as Python 3 can run it.
const SUITE: &str = "kosoku==0.1.0";
const COMPRESSION_CASES: [&str; 4] = ["-x", "12.*", "-x", "13.*"];
/// A case that says nothing about the peer's faults; everything else is one.
const GOOD: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];
/// Time for the suite to write its reports and end.
const END_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn server(workspace: &Workspace) -> Result {
    heading("Autobahn against our server");
    let suite = suite(workspace)?;
    let echo = workspace.build_example("sockeye", "ws_echo")?;
    let reports = reports(workspace, "server")?;
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let mut echo = Background::start(Command::new(echo).arg(&address))?;
    echo.wait_for_port(port)?;
    let mut fuzzer = Command::new(suite);
    fuzzer.args(["-m", "fuzzingclient", "-p", "2"]);
    fuzzer
        .args(COMPRESSION_CASES)
        .arg("-o")
        .arg(&reports)
        .arg(address);
    let outcome = run(&mut fuzzer);
    // It ends with an error if a case failed, and then the table is wanted most.
    judge(&reports).and(outcome)
}

pub(crate) fn client(workspace: &Workspace) -> Result {
    heading("Autobahn against our client");
    let suite = suite(workspace)?;
    let client = workspace.build_example("sockeye-websocket", "autobahn_client")?;
    let reports = reports(workspace, "client")?;
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let mut fuzzer = Command::new(suite);
    fuzzer.args(["-m", "fuzzingserver"]);
    fuzzer
        .args(COMPRESSION_CASES)
        .arg("-o")
        .arg(&reports)
        .arg(&address);
    let mut fuzzer = Background::start(&fuzzer)?;
    fuzzer.wait_for_port(port)?;
    run(Command::new(client).arg(address))?;
    let outcome = fuzzer.wait_for_end(END_TIMEOUT);
    judge(&reports).and(outcome)
}

/// The console script: the package has no `__main__`.
fn suite(workspace: &Workspace) -> Result<PathBuf> {
    Ok(venv(workspace, "autobahn", &[SUITE])?.join("kosoku"))
}

fn reports(workspace: &Workspace, role: &str) -> Result<PathBuf> {
    let folder = workspace.target().join("autobahn").join(role);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Prints how each group of cases went, and fails on any that went wrong.
fn judge(reports: &Path) -> Result {
    let index = fs::read(reports.join("index.json"));
    let index = index.map_err(|_| "the suite left no report behind")?;
    let index: Value = serde_json::from_slice(&index)?;
    let agents = index.as_object().ok_or("index.json holds no object")?;
    let cases = agents.values().filter_map(Value::as_object).flatten();

    let mut groups: BTreeMap<u32, BTreeMap<String, usize>> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut total = 0;
    for (case, report) in cases {
        total += 1;
        let word = |key: &str| report[key].as_str().unwrap_or("MISSING").to_owned();
        let (behavior, close) = (word("behavior"), word("behaviorClose"));
        if !GOOD.contains(&behavior.as_str()) || !GOOD.contains(&close.as_str()) {
            failures.push(format!("{case}: {behavior}, closing {close}"));
        }
        *groups
            .entry(group(case)?)
            .or_default()
            .entry(behavior)
            .or_default() += 1;
    }
    if total == 0 {
        return Err("the suite ran no case".into());
    }

    println!("\ncases  outcome");
    for (group, outcomes) in groups {
        let outcomes: Vec<_> = outcomes
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        println!("{group:>5}  {}", outcomes.join(", "));
    }
    println!("total  {total} cases, {} failed", failures.len());
    if failures.is_empty() {
        return Ok(());
    }
    let (list, folder) = (failures.join("\n  "), reports.display());
    Err(format!("these cases failed (reports in {folder}):\n  {list}").into())
}

fn group(case: &str) -> Result<u32> {
    let group = case.split('.').next().and_then(|group| group.parse().ok());
    group.ok_or_else(|| Error::from(format!("{case:?} is no case")))
}
