use std::io::Write;
use std::process::{Command, Stdio};

use super::Task;
use crate::Result;
use crate::process::find_program;
use crate::workspace::Workspace;

/// What the browser client promises.
const LIMIT: usize = 6_000;
const FILE: &str = "crates/server/browser/sockeye.js";

pub(crate) const TASK: Task = Task {
    name: "size",
    summary: "check that the browser client is under 6 kB gzipped",
    usage: "usage: cargo xtask size

Compresses crates/server/browser/sockeye.js with gzip -9 and fails if it comes out at 6,000 bytes or more.",
    run: |workspace, args| {
        args.finish()?;
        size(workspace)
    },
};

pub(crate) fn size(workspace: &Workspace) -> Result {
    let source = std::fs::read(workspace.root().join(FILE))?;
    let size = gzip(source.clone())?.len();
    println!("{FILE}: {} bytes, {size} gzipped, of {LIMIT}", source.len());
    if size >= LIMIT {
        return Err(format!("{FILE} has to stay under {LIMIT} bytes gzipped").into());
    }
    Ok(())
}

fn gzip(source: Vec<u8>) -> Result<Vec<u8>> {
    let gzip = find_program(&["gzip"]).ok_or("gzip is not on the PATH")?;
    let mut child = Command::new(gzip)
        .args(["-9", "--no-name", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("gzip has no standard input")?;
    // On a thread, as gzip stops reading when nobody takes its output.
    let feeder = std::thread::spawn(move || stdin.write_all(&source));
    let output = child.wait_with_output()?;
    feeder.join().map_err(|_| "cannot feed gzip")??;
    if !output.status.success() {
        return Err(format!("gzip ended with {}", output.status).into());
    }
    Ok(output.stdout)
}
