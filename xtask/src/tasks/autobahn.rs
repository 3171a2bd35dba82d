use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Task;
use crate::process::{Background, capture, free_port, heading, run};
use crate::tools::venv;
use crate::workspace::Workspace;
use crate::{Error, Result};

pub(crate) const TASK: Task = Task {
    name: "autobahn",
    summary: "run the Autobahn cases against the WebSocket codec",
    usage: "usage: cargo xtask autobahn [server | client] [--short]

  server   the example ws_echo is driven by the suite
  client   the example autobahn_client calls on the suite

Both without a word. Needs Python 3 with venv; the suite is installed below the target folder. Reports
are in target/autobahn. The cases of compression, 12 and 13, are run twice: with messages that are compressed
each by itself, and with messages that refer to those before them. They take nearly all of the time: with --short, it is
a ninth of them.",
    run: |workspace, mut args| {
        let cases = match args.flag("--short") {
            true => Cases {
                first: &[&UNCOMPRESSED_CASES, &FEW_COMPRESSION_CASES],
                again: &[&FEW_COMPRESSION_CASES],
            },
            false => Cases {
                first: &[],
                again: &[&["12.*", "13.*"]],
            },
        };
        let role = args.positional();
        args.finish()?;
        match role.as_deref() {
            None => server(workspace, cases).and_then(|()| client(workspace, cases)),
            Some("server") => server(workspace, cases),
            Some("client") => client(workspace, cases),
            Some(other) => Err(format!("{other:?} is neither server nor client").into()),
        }
    },
};

/// The suite, as Python 3 can run it.
const SUITE: &str = "kosoku==0.1.0";
/// Which cases are run: all, if nothing is said.
#[derive(Clone, Copy)]
struct Cases {
    first: &'static [&'static [&'static str]],
    /// Once more, with context takeover.
    again: &'static [&'static [&'static str]],
}

const UNCOMPRESSED_CASES: [&str; 9] = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*",
];
/// Each kind of message and each offer: messages of 8 KiB, and messages in fragments. To the suite, a case whose name goes on
/// behind the pattern is meant as well.
const FEW_COMPRESSION_CASES: [&str; 4] = ["12.*.6", "12.*.11", "13.*.6", "13.*.11"];
/// A client that wants to keep messages in mind does not say that it could do without, and some servers of the suite take
/// nothing else: they agree on nothing, which is no fault.
const NO_AGREEMENT: &str = "UNIMPLEMENTED";
const TAKEOVER_CLIENT: &str = "client-takeover";
/// A case that says nothing about the peer's faults; everything else is one.
const GOOD: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];
/// Time for the suite to write its reports and end.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds and installs all that both roles need.
pub(crate) fn prepare(workspace: &Workspace) -> Result {
    suite(workspace)?;
    workspace.build_example("ws_echo")?;
    workspace.build_example("autobahn_client")?;
    Ok(())
}

fn server(workspace: &Workspace, cases: Cases) -> Result {
    drive_server(workspace, "server", "--deflate", cases.first)?;
    let role = "server-takeover";
    drive_server(workspace, role, "--deflate-takeover", cases.again)
}

fn drive_server(workspace: &Workspace, role: &str, option: &str, cases: &[&[&str]]) -> Result {
    heading(&format!("Autobahn against our server ({option})"));
    let suite = suite(workspace)?;
    let echo = workspace.build_example("ws_echo")?;
    let reports = reports(workspace, role)?;
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let mut echo = Background::start(Command::new(echo).args([&address, option]))?;
    echo.wait_for_port(port)?;
    let mut fuzzer = Command::new(suite);
    fuzzer.args(["-m", "fuzzingclient", "-p", "2"]);
    fuzzer
        .args(chosen(cases))
        .arg("-o")
        .arg(&reports)
        .arg(address);
    let outcome = run(&mut fuzzer);
    // It ends with an error if a case failed, and then the table is wanted most.
    judge(&reports).and(outcome)
}

fn client(workspace: &Workspace, cases: Cases) -> Result {
    call_client(workspace, "client", &[], cases.first)?;
    let (role, option) = (TAKEOVER_CLIENT, ["takeover"]);
    call_client(workspace, role, &option, cases.again)
}

/// The options of the suite that choose cases.
fn chosen<'c>(cases: &'c [&'c [&'c str]]) -> impl Iterator<Item = &'c str> {
    cases
        .iter()
        .copied()
        .flatten()
        .flat_map(|case| ["-i", case])
}

fn call_client(workspace: &Workspace, role: &str, option: &[&str], cases: &[&[&str]]) -> Result {
    heading(&format!("Autobahn against our client {}", option.join(" ")));
    let suite = suite(workspace)?;
    let client = workspace.build_example("autobahn_client")?;
    let reports = reports(workspace, role)?;
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let mut fuzzer = Command::new(suite);
    fuzzer.args(["-m", "fuzzingserver"]);
    fuzzer
        .args(chosen(cases))
        .arg("-o")
        .arg(&reports)
        .arg(&address);
    let mut fuzzer = Background::start(&fuzzer)?;
    fuzzer.wait_for_port(port)?;
    run(Command::new(client).arg(address).args(option))?;
    let outcome = fuzzer.wait_for_end(END_TIMEOUT);
    // To the suite itself, a case without an agreement is a failure.
    judge(&reports).and(match role {
        TAKEOVER_CLIENT => Ok(()),
        _ => outcome,
    })
}

/// The console script: the package has no `__main__`.
fn suite(workspace: &Workspace) -> Result<PathBuf> {
    let programs = venv(workspace, "autobahn", &[SUITE])?;
    let find = "import kosoku; print(kosoku.__path__[0], end='')";
    let package = capture(Command::new(programs.join("python")).args(["-c", find]))?;
    mend(&Path::new(&package).join("cases/case12_x_x.py"))?;
    Ok(programs.join("kosoku"))
}

/// The cases of compression were written for Python 2, where bytes are text. This version of the suite fails on its own
/// empty binary messages, and on the texts that come back, of which it has a character for each byte.
fn mend(cases: &Path) -> Result {
    let before = fs::read_to_string(cases)?;
    let mut source = before.clone();
    for (wrong, right) in [
        (
            "      msg = ''\n",
            "      msg = b'' if self.TESTDATA['binary'] else ''\n",
        ),
        (
            "def onMessage(self, msg, binary):\n   m = ",
            "def onMessage(self, msg, binary):\n   msg = msg if isinstance(msg, bytes) else msg.encode('latin-1')\n   m = ",
        ),
    ] {
        if !source.contains(right) && !source.contains(wrong) {
            return Err(format!("{} is not as it was", cases.display()).into());
        }
        source = source.replace(wrong, right);
    }
    // The other role may be reading it.
    if source != before {
        fs::write(cases, source)?;
    }
    Ok(())
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
        let is_good = GOOD.contains(&behavior.as_str())
            || behavior == NO_AGREEMENT && reports.ends_with(TAKEOVER_CLIENT);
        if !is_good || !GOOD.contains(&close.as_str()) {
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
