//! Tasks of the repository, run as `cargo xtask COMMAND`.

mod args;
mod process;
mod tasks;
mod tools;
mod workspace;

use std::process::ExitCode;

use crate::args::Args;
use crate::tasks::TASKS;
use crate::workspace::Workspace;

type Error = Box<dyn std::error::Error>;
type Result<T = (), E = Error> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(name) = words.next() else {
        print!("{}", overview());
        return ExitCode::FAILURE;
    };
    if matches!(name.as_str(), "-h" | "--help" | "help") {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprint!("there is no task {name:?}\n\n{}", overview());
        return ExitCode::FAILURE;
    };
    let args = Args::new(words);
    if args.asks_for_help() {
        println!("{}\n\n{}", task.summary, task.usage);
        return ExitCode::SUCCESS;
    }
    match Workspace::find().and_then(|workspace| (task.run)(&workspace, args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{} cargo xtask {name}: {error}", process::red("failed:"));
            ExitCode::FAILURE
        }
    }
}

fn overview() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND [OPTIONS]\n\n");
    for task in TASKS {
        text += &format!("  {:<10} {}\n", task.name, task.summary);
    }
    text + "\n`cargo xtask COMMAND --help` tells more.\n"
}
