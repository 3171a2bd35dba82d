//! `sockeye bench`.

use serde_json::Value;

use crate::server::{Server, run};

#[test]
fn results_are_a_table_for_people() {
    let server = Server::start(&[]);
    let options = [
        "--duration",
        "200ms",
        "-c",
        "3",
        "--in-flight",
        "2",
        "--binary",
    ];
    let ended = run(&[&["bench", &server.url()][..], &options].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["by websocket", "answered", "/s", "p99.9", "max"] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    // No live line, and no colours, where nobody watches.
    assert_eq!(ended.stderr, "");
    assert!(!ended.stdout.contains('\u{1b}'), "{ended:?}");
}

#[test]
fn results_are_an_object_for_machines() {
    let server = Server::start(&[]);
    let options = [
        "--duration",
        "200ms",
        "--rate",
        "100",
        "--json",
        "-t",
        "polling",
    ];
    let ended = run(&[&["bench", &server.url()][..], &options].concat());
    let results: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(results["transport"], "polling");
    assert_eq!(results["connections"], 10);
    // The first is due at once, the last one before the end; a slow machine may not get as far.
    // On a busy machine the end is late, and some more are due by then.
    let due = results["seconds"].as_f64().unwrap() * 100.0 + 1.0;
    let answered = results["answered"].as_f64().unwrap();
    assert!((1.0..=due).contains(&answered), "{results}");
    let latency = |name: &str| results["latency_us"][name].as_f64().unwrap();
    assert!(
        latency("p50") > 0.0 && latency("p50") <= latency("max"),
        "{results}"
    );
}

#[test]
fn server_that_answers_nothing_is_3() {
    let server = Server::start(&[]);
    let options = [
        "--duration",
        "50ms",
        "--timeout",
        "500ms",
        "--event",
        "unknown",
    ];
    let ended = run(&[&["bench", &server.url()][..], &options].concat());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        ended.stdout.contains("timeouts               10"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("may not know the event unknown"),
        "{ended:?}"
    );
}

#[test]
fn server_that_is_not_there_is_2() {
    let ended = run(&["bench", "/no/such.sock"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(2), ""),
        "{ended:?}"
    );
}
