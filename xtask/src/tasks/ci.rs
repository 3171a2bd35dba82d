use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::test::Peers;
use super::{Task, autobahn, check, fuzz, size, test};
use crate::Result;
use crate::process::{Suite, find_program, run_beside, run_side_by_side, yellow};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "ci",
    summary: "everything that has to pass before a change goes in",
    usage: "usage: cargo xtask ci

check lints, test --require-all (Rust, JavaScript, Python, browser), size, fuzz for five seconds a target; and then, two at
a time, autobahn --short in both roles, abuse --short, cluster, rolling with and without --kill, failures --quick, and
stalls for twenty seconds a transport. Beside all these tests, with what they leave of the processor: oldest, package
and check rest.",
    run: |workspace, args| {
        args.finish()?;
        ci(workspace)
    },
};

fn ci(workspace: &Workspace) -> Result {
    let this = ThisProgram::kept(workspace)?;
    let mut times = Times::default();
    times.of("lints", check::lints(workspace))?;
    times.of("building the tests", test::build(workspace))?;
    let beside = ["oldest", "package", "check rest"].map(|task| this.task(task));
    let outcome = run_beside(beside.into(), || suites(workspace, &this, &mut times));
    times.of("what ran beside them, after them", outcome)?;
    eprintln!("\n{}", times.table);
    Ok(())
}

fn suites(workspace: &Workspace, this: &ThisProgram, times: &mut Times) -> Result {
    times.of("tests", test::test(workspace, Peers::All))?;
    size::size(workspace)?;
    times.of("fuzz", fuzz(workspace))?;
    // The first to need something would build it while the others wait.
    autobahn::prepare(workspace)?;
    let mut tasks = vec!["autobahn server --short", "autobahn client --short"];
    if cfg!(target_os = "linux") {
        tasks.push("abuse --short");
    } else {
        eprintln!("{} the abuse suite needs Linux", yellow("skipped:"));
    }
    tasks.extend([CLUSTERS, "rolling", "rolling --kill"]);
    tasks.extend(["failures --quick", "stalls --seconds 20"]);
    let suites = tasks.into_iter().map(|task| this.task(task)).collect();
    times.of("suites", run_side_by_side(suites))
}

/// The matrix on the engines that both kinds of servers can use.
const CLUSTERS: &str = "cluster --engine redis,redis-cluster,sharded,sharded-static,sharded-private,streams,streams-recovery,postgres,mongo,mongo-recovery,nats,nats-mickl";

/// Long enough to see that a target works; to find something new takes hours anyway.
const FUZZ_SECONDS: u32 = 5;

fn fuzz(workspace: &Workspace) -> Result {
    if find_program(&["c++", "g++", "clang++"]).is_none() {
        eprintln!("{} fuzzing needs a C++ compiler", yellow("skipped:"));
        return Ok(());
    }
    fuzz::fuzz(workspace, FUZZ_SECONDS, None)
}

/// A copy of this program, for tasks that are to run as programs of their own. The tests have it built once more, in the place
/// where it was.
struct ThisProgram(PathBuf);

impl ThisProgram {
    fn kept(workspace: &Workspace) -> Result<Self> {
        let name = format!("ci-xtask{}", std::env::consts::EXE_SUFFIX);
        let copy = workspace.target().join(name);
        fs::copy(std::env::current_exe()?, &copy)?;
        Ok(Self(copy))
    }

    fn task(&self, words: &str) -> Suite {
        let mut task = Command::new(&self.0);
        task.args(words.split(' '))
            .env("SOCKEYE_REQUIRE_ENGINES", "1");
        (words.to_owned(), task)
    }
}

/// How long what takes long has taken.
struct Times {
    since: Instant,
    table: String,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            table: String::new(),
        }
    }
}

impl Times {
    /// Notes the time since the one before.
    fn of(&mut self, name: &str, outcome: Result) -> Result {
        let now = Instant::now();
        let seconds = now.duration_since(self.since).as_secs();
        self.since = now;
        self.table += &format!("{seconds:5} s  {name}\n");
        outcome.inspect_err(|_| eprintln!("\n{}", self.table))
    }
}
