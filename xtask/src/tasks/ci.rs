use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::test::Peers;
use super::{Task, autobahn, check, fuzz, size, stalls, test};
use crate::Result;
use crate::process::{Suite, find_program, run_beside, run_side_by_side, yellow};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "ci",
    summary: "everything that has to pass before a change goes in",
    usage: "usage: cargo xtask ci

check lints, test --require-all (Rust, JavaScript, Python, browser), size, fuzz for five seconds a target; and then, two at
a time, autobahn --short in both roles, abuse --short, cluster, rolling with and without --kill, and failures --quick; and
stalls for ten seconds a transport. Beside all these tests, with what they leave of the processor: oldest, package, check
rest, and the building of what is fuzzed and attacked.",
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
    let mut beside = vec!["oldest", "package", "check rest"];
    if can_fuzz() {
        beside.push("fuzz --build");
    }
    if cfg!(target_os = "linux") {
        beside.push("abuse --build");
    }
    let beside = beside.into_iter().map(|task| this.task(task)).collect();
    let outcome = run_beside(beside, || suites(workspace, &this, &mut times));
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
    tasks.push("failures --quick");
    let suites = tasks.into_iter().map(|task| this.task(task)).collect();
    times.of("suites", run_side_by_side(suites))?;
    // Leaves nothing of the processor to others.
    times.of("stalls", stalls::stalls(workspace, STALL_SECONDS))
}

/// The matrix on the engines that both kinds of servers can use. Of MongoDB there are only the sockets that come back: beside other
/// suites, what plays it here needs longer for a message and its answers than acks are waited for.
const CLUSTERS: &str = "cluster --engine redis,redis-cluster,sharded,sharded-static,sharded-private,streams,streams-recovery,postgres,mongo-recovery,nats,nats-mickl";

/// Long enough to see that a target works; to find something new takes hours anyway.
const FUZZ_SECONDS: u32 = 5;

/// For each transport.
const STALL_SECONDS: u32 = 10;

fn can_fuzz() -> bool {
    find_program(&["c++", "g++", "clang++"]).is_some()
}

fn fuzz(workspace: &Workspace) -> Result {
    if !can_fuzz() {
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
