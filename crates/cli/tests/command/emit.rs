//! `sockeye emit`.

use std::fs;
use std::process::Stdio;

use sockeye::Handshake;

use crate::plain::{PlainPeer, PlainServer};
use crate::server::{Server, run, sockeye, unused_path};

#[test]
fn answer_is_printed_one_argument_a_line() {
    let server = Server::start(&[]);
    let url = server.url();
    for transport in ["polling", "websocket", "upgrade"] {
        let ended = run(&[
            "emit",
            &url,
            "echo",
            "1.50",
            "two words",
            "-3",
            r#"{"b": 1, "a": []}"#,
            "--ack",
            "--transport",
            transport,
        ]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(
            ended.stdout,
            "1.50\n\"two words\"\n-3\n{\"b\":1,\"a\":[]}\n"
        );
        assert_eq!(ended.stderr, "");
    }
}

#[cfg(unix)]
#[test]
fn answer_that_nobody_reads_is_no_failure() {
    let server = Server::start(&[]);
    let url = server.url();
    for command in [
        &["emit", &url, "echo", "1", "--ack"][..],
        &["bench", &url, "--duration", "100ms", "-c", "1"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = sockeye()
            .args(command)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), &*stderr),
            (Some(0), ""),
            "{command:?}"
        );
    }
}

#[test]
fn url_is_shown_without_its_secrets() {
    let server = Server::start(&[]);
    let stranger = format!("{}/?token=hush", server.url());
    let wrong = "nonsense://me:hush@localhost/?token=hush";
    for (args, shown) in [
        (
            &["emit", &stranger, "e", "--path", "/other"][..],
            server.url(),
        ),
        (&["emit", wrong, "e"], "nonsense://localhost/".to_owned()),
    ] {
        let ended = run(args);
        assert!(ended.stderr.contains(&shown), "{ended:?}");
        assert!(!ended.stderr.contains("hush"), "{ended:?}");
    }
    let options = ["--duration", "100ms", "-c", "1", "--json"];
    let ended = run(&[&["bench", &stranger][..], &options].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let results: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(results["url"], format!("{}/", server.url()));
}

#[cfg(unix)]
#[test]
fn file_travels_as_bytes_over_a_socket_file() {
    let (socket, file) = (unused_path("emit.sock"), unused_path("bytes"));
    let socket = socket.to_str().unwrap();
    let _server = Server::start(&["--listen", &format!("unix:{socket}")]);
    fs::write(&file, b"\0\xff\n").unwrap();
    let attached = format!("@{}", file.display());
    let ended = run(&["emit", "--ack", socket, "echo", &attached]);
    fs::remove_file(&file).unwrap();
    fs::remove_file(socket).unwrap();
    assert_eq!(ended.stdout, "{\"base64\":\"AP8K\"}\n", "{ended:?}");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn standard_input_is_sent_as_bytes() {
    let server = Server::start(&[]);
    let mut child = sockeye()
        .args(["emit", &server.url(), "echo", "@-", "--ack"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"hello").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"{\"base64\":\"aGVsbG8=\"}\n");
}

#[test]
fn event_has_arrived_when_the_command_is_done() {
    let server = PlainServer::start();
    let args = ["emit", &server.url, "news", "[1,2]", "--dialect", "lines"];
    let mut child = sockeye().args(args).spawn().unwrap();
    let mut peer = server.accept();
    assert_eq!(peer.line(), r#"{"eventName":"news","args":[[1,2]]}"#);
    peer.hang_up();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_headers_and_namespace_go_along() {
    let io = sockeye::Server::new();
    io.of("/shown").on("what", |handshake: Handshake| {
        let auth: serde_json::Value = handshake.auth()?;
        let header = |name: &str| handshake.header(name).map(str::to_owned);
        Ok::<_, serde_json::Error>((auth, [header("x-token"), header("x-other")]))
    });
    let listener = io.listen("http://127.0.0.1:0").await.unwrap();
    let url = listener.url();
    for transport in ["polling", "websocket"] {
        let url = url.clone();
        let command = move || {
            run(&[
                "emit",
                &url,
                "what",
                "--ack",
                "--transport",
                transport,
                "--auth",
                r#"{"token":"t"}"#,
                "-H",
                "x-token: a: b",
                "--header",
                "X-Other:c",
                "-n",
                "shown",
            ])
        };
        let ended = tokio::task::spawn_blocking(command).await.unwrap();
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), "{\"token\":\"t\"}\n[\"a: b\",\"c\"]\n"),
            "{ended:?}"
        );
    }
    io.close().await;
}

/// The first connection shows by what comes on it that there are no packets to be had, and the
/// next one speaks lines; all without an option, as `auto` is the default.
fn finds_out_that_a_server_is_plain(show: impl FnOnce(PlainPeer) -> Option<PlainPeer>) {
    let server = PlainServer::start();
    let child = sockeye()
        .args(["emit", &server.url, "sum", "[1,2]", "--ack"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _stays_connected = show(server.accept());
    let mut peer = server.accept();
    assert_eq!(peer.line(), r#"{"eventName":"sum","args":[[1,2]],"id":0}"#);
    peer.send(r#"{"ack":0,"args":[3]}"#);
    peer.hang_up();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"3\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn plain_server_is_known_by_its_greeting() {
    finds_out_that_a_server_is_plain(|mut peer| {
        peer.send(r#"{"eventName":"hello"}"#);
        Some(peer)
    });
}

#[test]
fn plain_server_is_known_by_its_hanging_up() {
    finds_out_that_a_server_is_plain(|_peer| None);
}

#[test]
fn plain_server_is_known_by_its_silence() {
    // The client gives it three seconds.
    finds_out_that_a_server_is_plain(Some);
}

#[test]
fn namespace_that_is_not_there_is_2_and_explained() {
    let server = Server::start(&[]);
    let ended = run(&["emit", &server.url(), "echo", "-n", "nowhere"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let start = "error: the server refuses: Invalid namespace. ";
    assert!(ended.stderr.starts_with(start), "{ended:?}");
}

#[test]
fn server_that_is_not_there_is_2() {
    let nowhere = unused_path("nobody.sock");
    let ended = run(&["emit", nowhere.to_str().unwrap(), "echo"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("cannot connect to"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[test]
#[cfg(unix)]
fn host_without_a_scheme_is_2_and_explained() {
    let ended = run(&["emit", "no-host.example", "echo"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for part in [
        "taken for the path of a socket",
        "write http:// or https:// in front",
    ] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
}

#[test]
fn wrong_path_of_requests_is_2_and_explained() {
    let server = Server::start(&[]);
    let ended = run(&["emit", &server.url(), "echo", "--path", "/wrong"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("say so by --path"), "{ended:?}");
}

#[test]
fn no_answer_in_time_is_3() {
    let server = Server::start(&[]);
    let url = server.url();
    let ended = run(&["emit", &url, "unknown", "--ack", "--timeout", "50ms"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("no answer within 50ms"), "{ended:?}");
}

#[test]
fn connection_that_is_lost_before_the_answer_is_4() {
    let server = PlainServer::start();
    let mut child = sockeye()
        .args(["emit", &server.url, "sum", "--ack", "--dialect", "lines"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peer = server.accept();
    assert_eq!(peer.line(), r#"{"eventName":"sum","id":0}"#);
    drop(peer);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn what_cannot_be_right_is_1() {
    for (args, part) in [
        (&["emit"][..], "required arguments"),
        (&["emit", "nonsense", "a"], "the scheme must be"),
        (&["emit", "http://localhost", "a", "{b"], "is not JSON"),
        (
            &["emit", "http://localhost", "a", "@/no/such"],
            "cannot be read",
        ),
        (
            &["emit", "http://localhost", "a", "--auth", "b"],
            "a JSON object",
        ),
        (
            &["emit", "http://localhost", "a", "-H", "b"],
            "with a colon",
        ),
        (
            &["emit", "http://localhost", "a", "--timeout", "5"],
            "ms, s, m, h",
        ),
        (
            &["emit", "http://localhost", "a", "--protocol", "5"],
            "possible values",
        ),
        (&["nothing"], "unrecognized subcommand"),
    ] {
        let ended = run(args);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(part), "{args:?}: {ended:?}");
    }
}

#[test]
fn answer_is_safe_for_a_terminal_and_means_the_same() {
    const NASTY: &str = "\u{9b}31m\u{7f}\u{202e}\u{2028}";
    let server = Server::start(&[]);
    let json = serde_json::to_string(NASTY).unwrap();
    let ended = run(&["emit", &server.url(), "echo", &json, "--ack"]);
    assert!(
        !ended
            .stdout
            .contains(|char| NASTY.contains(char) && char > '~'),
        "{ended:?}"
    );
    assert_eq!(
        serde_json::from_str::<String>(&ended.stdout).unwrap(),
        NASTY
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_is_safe_for_a_terminal() {
    let io = sockeye::Server::new();
    io.middleware(|| {
        let refusal = sockeye::Refusal::new("\u{9b}2J no\u{202e}");
        Err::<(), _>(refusal.with_data(serde_json::json!("\u{7f}")))
    });
    let listener = io.listen("http://127.0.0.1:0").await.unwrap();
    let url = listener.url();
    let ended = tokio::task::spawn_blocking(move || run(&["emit", &url, "what"]));
    let ended = ended.await.unwrap();
    let text = "error: the server refuses: \\u009b2J no\\u202e \"\\u007f\"\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(2), text));
    io.close().await;
}
