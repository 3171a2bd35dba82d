use std::fs;
use std::path::Path;
use std::process::Command;

use super::Task;
use crate::Result;
use crate::process::{heading, run};
use crate::workspace::{Package, Workspace};

pub(crate) const TASK: Task = Task {
    name: "package",
    summary: "pack the crates as for publishing, and check each as it is in its package",
    usage: "usage: cargo xtask package

Packs all crates that are published, and what is not committed too, unpacks the packages into a workspace of their own,
and runs cargo check on each alone, without what the repository has around it. That also finds a feature of a
dependency that only another crate asks for.",
    run: |workspace, args| {
        args.finish()?;
        package(workspace)
    },
};

pub(crate) fn package(workspace: &Workspace) -> Result {
    heading("Packages");
    let (published, others): (Vec<_>, Vec<_>) = workspace
        .packages()
        .iter()
        .partition(|package| package.is_published);
    // Cargo's own verification keeps what it has unpacked for as long as the version is the same, and so would
    // look at old code.
    let mut package = workspace.cargo(["package", "--workspace", "--allow-dirty", "--no-verify"]);
    package.args(others.iter().flat_map(|other| ["--exclude", &other.name]));
    run(&mut package)?;

    let folder = workspace.target().join("packages");
    unpack(workspace, &published, &folder)?;
    for package in published {
        let mut check = workspace.cargo(["check", "--quiet", "--package", &package.name]);
        check.arg("--manifest-path").arg(folder.join("Cargo.toml"));
        run(check.arg("--target-dir").arg(workspace.target()))?;
    }
    Ok(())
}

/// Makes a workspace of what is in the packages, with the same versions of what is not.
fn unpack(workspace: &Workspace, packages: &[&Package], folder: &Path) -> Result {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let (mut members, mut patches) = (String::new(), String::new());
    for Package { name, version, .. } in packages {
        let unpacked = format!("{name}-{version}");
        let packed = workspace
            .target()
            .join("package")
            .join(format!("{unpacked}.crate"));
        // With the time of now: that of the package never changes, and cargo would take what it has built of others for this.
        run(Command::new("tar")
            .arg("-xzmf")
            .arg(packed)
            .arg("-C")
            .arg(folder))?;
        members += &format!("    {unpacked:?},\n");
        patches += &format!("{name} = {{ path = {unpacked:?} }}\n");
    }
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\n{members}]\n\n[patch.crates-io]\n{patches}"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(
        workspace.root().join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    Ok(())
}
