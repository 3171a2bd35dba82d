use super::Task;
use crate::Result;
use crate::process::run;
use crate::tools::{node, node_modules};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "bench",
    summary: "compare what the server and the client cost with their peers",
    usage: "usage: cargo xtask bench [OPTIONS OF THE BENCHMARK]

Builds the examples bench_server and bench_client, and runs bench/ with them. Options are passed on, for example
`cargo xtask bench --rounds 3 --only echo,client-echo`; `cargo xtask bench -- --help` lists them.
Node.js takes part if it is installed.",
    run: |workspace, args| bench(workspace, args.rest()),
};

fn bench(workspace: &Workspace, options: Vec<String>) -> Result {
    let server = workspace.build_example("sockeye", "bench_server")?;
    let client = workspace.build_example("sockeye", "bench_client")?;
    let folder = workspace.root().join("bench");
    match node() {
        Ok(_) => node_modules(&folder.join("node"))?,
        Err(why) => eprintln!("without Node: {why}"),
    }
    let mut bench = workspace.cargo(["run", "--release", "--target-dir"]);
    bench.arg(workspace.target().join("bench")).arg("--");
    for (option, program) in [("--server-bin", server), ("--client-bin", client)] {
        if !options.iter().any(|word| word.starts_with(option)) {
            bench.arg(option).arg(program);
        }
    }
    run(bench.args(options).current_dir(folder))
}
