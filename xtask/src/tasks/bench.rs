use super::Task;
use super::cluster::with_engines;
use crate::Result;
use crate::process::run;
use crate::tools::{node, node_modules};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "bench",
    summary: "compare what the server and the client cost with their peers",
    usage: "usage: cargo xtask bench [cluster] [OPTIONS OF THE BENCHMARK]

Builds the examples bench_server and bench_client, and runs bench/ with them. Options are passed on, for example
`cargo xtask bench --rounds 3 --only echo,client-echo`; `cargo xtask bench -- --help` lists them.
Node.js takes part if it is installed.

With `cluster`, it is servers of a cluster that are measured, with what comes behind: `cargo xtask bench cluster --engines
redis,nats`, and `cargo xtask bench cluster -- --help`. Node.js has to be there for that, and the engines.",
    run: |workspace, args| bench(workspace, args.rest()),
};

fn bench(workspace: &Workspace, mut options: Vec<String>) -> Result {
    let is_cluster = options.first().is_some_and(|word| word == "cluster");
    // The engines take longer to build than all else, and only clusters have them.
    let engines = if is_cluster {
        "mongo,nats,postgres,redis"
    } else {
        ""
    };
    let server = workspace.build_release("bench_server", engines)?;
    let folder = workspace.root().join("bench");
    match node() {
        Ok(_) => node_modules(&folder.join("node"))?,
        Err(why) => eprintln!("without Node: {why}"),
    }
    let mut bench = workspace.cargo(["run", "--release", "--target-dir"]);
    bench.arg(workspace.target().join("bench")).arg("--");
    let mut programs = vec![("--server-bin", server)];
    if is_cluster {
        // Its adapters are there, and what starts the engines.
        node_modules(&workspace.root().join("interop"))?;
        with_engines(workspace, &mut bench);
        bench.arg(options.remove(0));
        options.retain(|word| word != "--");
    } else {
        programs.push(("--client-bin", workspace.build_release("bench_client", "")?));
    }
    for (option, program) in programs {
        if !options.iter().any(|word| word.starts_with(option)) {
            bench.arg(option).arg(program);
        }
    }
    run(bench.args(options).current_dir(folder))
}
