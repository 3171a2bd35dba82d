use super::Task;
use crate::Result;
use crate::process::run;
use crate::tools::{node, node_modules};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "bench",
    summary: "compare the server's cost with that of its peers",
    usage: "usage: cargo xtask bench [OPTIONS OF THE BENCHMARK]

Builds the example bench_server and runs bench/ against it. Options are passed on, for example
`cargo xtask bench --rounds 3 --only echo,stream-echo`; `cargo xtask bench -- --help` lists them.
Node.js takes part if it is installed.",
    run: |workspace, args| bench(workspace, args.rest()),
};

fn bench(workspace: &Workspace, options: Vec<String>) -> Result {
    let server = workspace.build_example("sockeye", "bench_server")?;
    let folder = workspace.root().join("bench");
    match node() {
        Ok(_) => node_modules(&folder.join("node"))?,
        Err(why) => eprintln!("without Node's server: {why}"),
    }
    let mut bench = workspace.cargo(["run", "--release", "--target-dir"]);
    bench.arg(workspace.target().join("bench")).arg("--");
    if !options.iter().any(|word| word.starts_with("--server-bin")) {
        bench.arg("--server-bin").arg(server);
    }
    run(bench.args(options).current_dir(folder))
}
