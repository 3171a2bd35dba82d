//! Programs that are not Rust: found if they are there, with a word on how to get them if not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::process::{capture, find_program, run};
use crate::workspace::Workspace;

/// Node.js, new enough for the suites, with npm.
pub(crate) fn node() -> Result<PathBuf> {
    let advice =
        "install Node.js 20 or newer (nodejs.org, or your system's packages nodejs and npm)";
    let Some(node) = find_program(&["node", "nodejs"]) else {
        return Err(format!("Node.js is not on the PATH: {advice}").into());
    };
    if find_program(&[NPM]).is_none() {
        return Err(format!("npm is not on the PATH: {advice}").into());
    }
    let version = capture(Command::new(&node).arg("--version"))?;
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < 20) {
        let version = version.trim();
        return Err(format!("Node.js {version} is too old: {advice}").into());
    }
    Ok(node)
}

/// Installs what a `package-lock.json` names, unless that was done since it changed, and what is copied from this repository.
pub(crate) fn node_modules(folder: &Path) -> Result {
    let changed = |file: &str| folder.join(file).metadata()?.modified();
    let mut last = changed("package-lock.json")?;
    let lock = fs::read_to_string(folder.join("package-lock.json"))?;
    for copied in lock.split("\"file:").skip(1) {
        let copied = copied.split('"').next().unwrap_or_default();
        for file in fs::read_dir(folder.join(copied))? {
            last = last.max(file?.metadata()?.modified()?);
        }
    }
    // The file that npm itself leaves behind.
    if changed("node_modules/.package-lock.json").is_ok_and(|installed| installed >= last) {
        return Ok(());
    }
    let mut npm = Command::new(NPM);
    npm.args(["ci", "--no-audit", "--no-fund"]);
    run(npm.current_dir(folder))
}

/// Whether Python 3 with its venv module is there.
pub(crate) fn python() -> Result<PathBuf> {
    let advice = "install Python 3.9 or newer with venv (python.org, or your system's packages \
                  python3 and python3-venv)";
    let Some(python) = find_program(&["python3", "python"]) else {
        return Err(format!("Python is not on the PATH: {advice}").into());
    };
    let ready = Command::new(&python)
        .args([
            "-c",
            "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))",
        ])
        .stderr(std::process::Stdio::null())
        .status()?;
    if !ready.success() {
        return Err(format!("this Python is too old or has no venv: {advice}").into());
    }
    Ok(python)
}

/// A virtual environment under the target folder with some packages, given as arguments of `pip install`.
///
/// Made anew when the packages change; gives the folder of its programs.
pub(crate) fn venv(workspace: &Workspace, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = workspace.target().join("venv").join(name);
    let programs = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let stamp = folder.join("installed.txt");
    let mut wanted = packages.join(" ");
    // A requirements file may change under the same name.
    for file in packages.iter().filter(|word| word.ends_with(".txt")) {
        wanted += &std::fs::read_to_string(workspace.root().join(file))?;
    }
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    run(Command::new(python()?)
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    let mut pip = Command::new(programs.join("python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run(pip.args(packages).current_dir(workspace.root()))?;
    std::fs::write(stamp, wanted)?;
    Ok(programs)
}

/// Chromium or a browser of its family.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    find_program(&names).ok_or_else(|| {
        "Chromium is not on the PATH: install it (Debian's package chromium), or set CHROMIUM to \
         the browser's path"
            .into()
    })
}

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };
