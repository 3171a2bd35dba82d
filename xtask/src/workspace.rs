use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{capture, cargo, run};
use crate::{Error, Result};

/// Where things are.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    packages: Vec<Package>,
}

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The oldest Rust that it says it can be built with.
    pub(crate) rust_version: String,
    pub(crate) is_published: bool,
}

/// What is the same for all builds that are to share what was built.
pub(crate) const ALL: [&str; 2] = ["--workspace", "--all-features"];

impl Workspace {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and the user's configuration count.
    pub(crate) fn find() -> Result<Self> {
        // Where cargo runs this from, not where it was built: checkouts may share a target directory.
        let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
        let mut metadata = Command::new(cargo());
        metadata
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(here);
        let metadata: Value = serde_json::from_str(&capture(&mut metadata)?)?;
        let path = |key: &str| -> Result<PathBuf> {
            let path = metadata[key].as_str();
            Ok(path.ok_or_else(|| Error::from(format!("no {key}")))?.into())
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            packages: metadata["packages"]
                .as_array()
                .into_iter()
                .flatten()
                .map(package)
                .collect(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// A command of cargo in the root of the workspace.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(cargo());
        command.args(args).current_dir(&self.root);
        command
    }

    /// Builds an example with all assertions, for the suites, and tells where it is.
    pub(crate) fn build_example(&self, example: &str) -> Result<PathBuf> {
        self.build(&["--example", example])?;
        Ok(self.built("debug", &format!("examples/{example}")))
    }

    /// Builds the `sockeye` command with all assertions, for the suites, and tells where it is.
    pub(crate) fn build_command(&self) -> Result<PathBuf> {
        // The example makes cargo look at what tests and examples need as well, and so take what the tests have had built: by
        // itself the command has other features of what it stands on, with which all of that would be built once more.
        self.build(&["--bin", "sockeye", "--example", "conformance"])?;
        Ok(self.built("debug", "sockeye"))
    }

    /// With the features of the whole workspace, like the Rust tests, so that hardly anything is left to be built.
    fn build(&self, programs: &[&str]) -> Result {
        let mut build = self.cargo(["build"]);
        run(build.args(ALL).args(programs))
    }

    /// Builds an example in release mode with these features more, for what measures it, and tells where it is.
    pub(crate) fn build_release(&self, example: &str, features: &str) -> Result<PathBuf> {
        let mut build = self.cargo(["build", "--release", "--package", "sockeye"]);
        build.args(["--example", example, "--features", features]);
        run(&mut build)?;
        Ok(self.built("release", &format!("examples/{example}")))
    }

    /// Builds an example for suites that would take too long with one as the tests have it.
    pub(crate) fn build_quick(&self, example: &str) -> Result<PathBuf> {
        let mut build = self.cargo(["build", "--profile", "quick", "--package", "sockeye"]);
        run(build.args(["--example", example]))?;
        Ok(self.built("quick", &format!("examples/{example}")))
    }

    fn built(&self, profile: &str, name: &str) -> PathBuf {
        let folder = self.target.join(profile);
        folder.join(format!("{name}{EXE_SUFFIX}"))
    }
}

fn package(package: &Value) -> Package {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    Package {
        name: text("name"),
        version: text("version"),
        rust_version: text("rust_version"),
        // The registries that it may go to; none given is all.
        is_published: package["publish"].is_null(),
    }
}
