//! What the command says of itself.

use crate::server::{run, sockeye};

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

#[test]
fn version_is_that_of_sockeye() {
    let ended = run(&["--version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(ended.stdout, format!("sockeye {version}\n"));
}

#[test]
fn arguments_and_options_stand_in_order_under_their_own_headings() {
    let help = run(&["emit", "--help"]).stdout;
    let places = [
        "Arguments:\n",
        "\n  <URL> ",
        "\n  <EVENT> ",
        "\n  [ARGUMENT]... ",
        "\nOptions:\n",
        "--ack ",
        "--timeout <TIME>",
        "--help ",
        "\nConnection:\n",
        "--auth <JSON>",
        "\nExit codes:",
    ];
    let places = places.map(|part| (help.find(part), part));
    assert!(places.is_sorted(), "{places:?}: {help}");
    for (command, option, heading) in [
        ("connect", "--stay", "\nConnection:\n"),
        ("bench", "--json", "\nConnection:\n"),
    ] {
        let help = run(&[command, "--help"]).stdout;
        assert!(help.find(option) < help.find(heading), "{help}");
    }
}

#[test]
fn help_is_as_wide_as_the_terminal() {
    for (columns, fits) in [("60", 60), ("80", 80), ("300", 100)] {
        for command in ["serve", "connect", "emit", "bench"] {
            let output = sockeye()
                .args([command, "--help"])
                .env("COLUMNS", columns)
                .output()
                .unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            let text = help.split("\nExamples:").next().unwrap();
            for line in text.lines() {
                assert!(line.chars().count() <= fits, "{command}: {line:?}");
            }
            // A paragraph is filled, however wide it is.
            let codes = text.split("Exit codes:").nth(1).unwrap_or_default();
            let paragraph: Vec<_> = codes.lines().take_while(|line| !line.is_empty()).collect();
            for line in paragraph.iter().rev().skip(1) {
                assert!(line.chars().count() + 25 > fits, "{command}: {line:?}");
            }
        }
    }
}
