//! What the command says of itself.

use crate::server::run;

#[test]
fn commands_are_listed() {
    let ended = run(&["--help"]);
    assert_eq!(ended.code, Some(0));
    for command in ["serve", "connect", "emit", "bench"] {
        assert!(
            ended.stdout.contains(&format!("\n  {command} ")),
            "{ended:?}"
        );
    }
}

#[test]
fn every_command_tells_its_options_exit_codes_and_examples() {
    for command in ["connect", "emit", "bench"] {
        let ended = run(&[command, "--help"]);
        assert_eq!(ended.code, Some(0), "{command}");
        for part in [
            "Usage: sockeye ",
            "<URL>",
            "--auth <JSON>",
            "--header <NAME: VALUE>",
            "--namespace <NAME>",
            "--transport <TRANSPORT>",
            "--protocol <PROTOCOL>",
            "--dialect <DIALECT>",
            "--insecure",
            "--path <PATH>",
            "--timeout <TIME>",
            "Exit codes: 0 done",
            "Examples:\n  ",
        ] {
            assert!(
                ended.stdout.contains(part),
                "{command}: {part}: {}",
                ended.stdout
            );
        }
        let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(110), "{command}: {widest:?}");
    }
}
