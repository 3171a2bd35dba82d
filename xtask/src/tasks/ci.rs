use std::process::Command;
use std::time::Instant;

use super::test::Peers;
use super::{Task, autobahn, check, fuzz, package, size, test};
use crate::Result;
use crate::process::{Suite, find_program, run_side_by_side, yellow};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "ci",
    summary: "everything that has to pass before a change goes in",
    usage: "usage: cargo xtask ci

check, package, test --require-all (Rust, JavaScript, Python, browser), size, fuzz for five seconds a target; and then,
two at a time, autobahn --short in both roles, abuse --short, cluster, rolling with and without --kill, failures --quick, and
stalls for twenty seconds a transport.",
    run: |workspace, args| {
        args.finish()?;
        ci(workspace)
    },
};

fn ci(workspace: &Workspace) -> Result {
    let mut times = Times::default();
    times.of("check", check::check(workspace))?;
    times.of("package", package::package(workspace))?;
    times.of("test", test::test(workspace, Peers::All))?;
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
    let suites = tasks.into_iter().map(own_task);
    let suites = suites.collect::<Result<_>>();
    times.of("suites", suites.and_then(run_side_by_side))?;
    eprintln!("\n{}", times.table);
    Ok(())
}

/// The matrix on the engines that both kinds of servers can use. Of MongoDB there are only the sockets that come back: with
/// hundreds of insertions at once Node's servers miss a message now and then, on what plays MongoDB here at least.
const CLUSTERS: &str = "cluster --engine redis,redis-cluster,sharded,sharded-static,sharded-private,streams,streams-recovery,postgres,mongo-recovery,nats";

/// Long enough to see that a target works; to find something new takes hours anyway.
const FUZZ_SECONDS: u32 = 5;

fn fuzz(workspace: &Workspace) -> Result {
    if find_program(&["c++", "g++", "clang++"]).is_none() {
        eprintln!("{} fuzzing needs a C++ compiler", yellow("skipped:"));
        return Ok(());
    }
    fuzz::fuzz(workspace, FUZZ_SECONDS, None)
}

/// A task of this program's, as a program of its own.
fn own_task(words: &str) -> Result<Suite> {
    let mut task = Command::new(std::env::current_exe()?);
    task.args(words.split(' '))
        .env("SOCKEYE_REQUIRE_ENGINES", "1");
    Ok((words.to_owned(), task))
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
