use std::process::Command;

/// What cargo answers.
pub(crate) fn cargo(args: &[&str]) -> String {
    // Asked for when the test runs, not when it was built: checkouts may share a target directory.
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let output = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(here)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
