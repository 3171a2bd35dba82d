//! `sockeye serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

#[cfg(unix)]
use crate::server::unused_path;
use crate::server::{Server, Visitor, run, sockeye};

fn failure(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn health_and_pages_are_served_on_the_port_that_is_told() {
    let server = Server::start(&[]);
    assert!(!server.address.ends_with(":0"));
    let (head, body) = server.get("/healthz");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, "ok");
    let (head, body) = server.get("/?name=Ann");
    assert!(
        head.contains("content-type: text/html; charset=utf-8"),
        "{head}"
    );
    assert!(
        head.contains("content-security-policy: default-src 'self';"),
        "{head}"
    );
    assert!(body.contains(r#"<meta name="socket-path" content="/socket.io/">"#));
    for (target, kind) in [
        ("/chat.css", "text/css"),
        ("/chat.js", "text/javascript"),
        ("/socket.io/sockeye.js", "javascript"),
    ] {
        let (head, _) = server.get(target);
        assert!(
            head.starts_with("http/1.1 200") && head.contains(kind),
            "{target}: {head}"
        );
    }
    assert!(server.get("/nothing").0.starts_with("http/1.1 404"));
}

#[test]
fn path_can_be_chosen() {
    let server = Server::start(&["--path", "/live/"]);
    assert!(server.get("/").1.contains(r#"content="/live/">"#));
    let (head, open) = server.get("/live/?EIO=4&transport=polling");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(open.starts_with("0{"), "{open}");
}

#[test]
fn without_the_demo_there_is_health_only() {
    let server = Server::start(&["--no-demo", "--no-v3", "--cors", "https://a.example"]);
    assert!(server.get("/").0.starts_with("http/1.1 404"));
    assert_eq!(server.get("/healthz").1, "ok");
    let (head, body) = server.get("/socket.io/?EIO=3&transport=polling");
    assert!(
        head.starts_with("http/1.1 400") && body.contains(r#""code":5"#),
        "{body}"
    );
}

#[test]
fn page_of_any_origin_is_served_with_the_credentials_that_socket_io_2_asks_with() {
    let server = Server::start(&["--no-demo", "--cors", "*"]);
    let origin = "origin: https://a.example\r\n";
    for revision in [3, 4] {
        let target = format!("/socket.io/?EIO={revision}&transport=polling");
        let (head, _) = server.request_with(origin, "GET", &target, "");
        for header in [
            "access-control-allow-origin: https://a.example",
            "access-control-allow-credentials: true",
            "vary: origin",
        ] {
            assert!(head.contains(header), "{head}");
        }
    }
}

#[test]
fn visitors_chat() {
    let server = Server::start(&[]);
    let mut ann = Visitor::enter(&server);
    ann.send(r#"420["message","too early"]"#);
    assert_eq!(
        ann.wait_for("430"),
        r#"430[{"error":"Join a room first."}]"#
    );
    ann.send(r#"421["join",{"name":" Ann ","room":"river"}]"#);
    let joined = ann.wait_for("431");
    assert!(
        joined.contains(r#""room":"river","name":"Ann""#),
        "{joined}"
    );
    assert!(joined.contains(r#"{"name":"lobby","people":0},{"name":"river","people":1}"#));

    let mut bob = Visitor::enter(&server);
    bob.send(r#"420["join",{"name":"Bob","room":"river"}]"#);
    bob.wait_for("430");
    let people = ann.wait_for(r#"42["people""#);
    assert!(
        people.contains(r#""name":"Ann""#) && people.contains(r#""name":"Bob""#),
        "{people}"
    );
    bob.send(r#"42["typing",true]"#);
    bob.send(r#"421["message","hello"]"#);
    assert!(
        ann.wait_for(r#"42["message""#)
            .contains(r#""text":"hello""#)
    );
    assert_eq!(bob.wait_for("431"), r#"431[{"id":1}]"#);
    // Wrong arguments are refused in the chat's form, and end nothing.
    bob.send(r#"422["message",{"no":"text"}]"#);
    assert!(
        bob.wait_for("432")
            .starts_with(r#"432[{"error":"This server does not"#)
    );
    bob.send("41");
    let people = ann.wait_for(r#"42["people""#);
    assert!(!people.contains("Bob"), "{people}");
}

#[test]
fn nobody_in_the_chat_learns_the_session_id_of_an_old_client() {
    let server = Server::start(&["-vvv"]);
    let target = "/socket.io/?EIO=3&transport=polling";
    let (_, open) = server.get(target);
    let session = open.split('"').nth(3).unwrap();
    let old = format!("{target}&sid={session}");
    for packet in [
        r#"420["join",{"name":"Old","room":"lobby"}]"#,
        r#"421["message","hi"]"#,
        r#"42["typing",true]"#,
        r#"42["join",7]"#,
    ] {
        let body = format!("{}:{packet}", packet.len());
        assert_eq!(server.request("POST", &old, &body).1, "ok");
    }
    let mut ann = Visitor::enter(&server);
    ann.send(r#"420["join",{"name":"Ann","room":"lobby"}]"#);
    let joined = ann.wait_for("430");
    assert!(
        joined.contains(r#""name":"Old""#) && joined.contains(r#""text":"hi""#),
        "{joined}"
    );
    assert!(!joined.contains(session), "{joined}");
    let body = "27:42[\"message\",\"hello again\"]";
    assert_eq!(server.request("POST", &old, body).1, "ok");
    let message = ann.wait_for(r#"42["message""#);
    assert!(!message.contains(session), "{message}");
    let (log, session) = (server.stop(), session.to_owned());
    assert!(log.contains("connected"), "{log}");
    assert!(!log.contains(&session), "{log}");
}

#[test]
fn log_tells_of_connects_joins_events_and_disconnects() {
    let visit = |option| {
        let server = Server::start(&[option]);
        let event = "a\u{9b}2J";
        for args in [
            &["join", r#"{"name":"Ann","room":"river"}"#][..],
            &[event, "hello"],
        ] {
            let ended = run(&[&["emit", &server.url()], args].concat());
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        server.stop()
    };
    for log in [visit("-v"), visit("-vv")] {
        for part in [
            " connected ",
            " disconnected ",
            "reason=",
            "event=join ",
            r"event=a\u009b2J ",
            "room=room river",
        ] {
            assert!(log.contains(part), "{part}: {log}");
        }
        assert!(!log.contains("hello"), "{log}");
    }
}

#[test]
fn page_cannot_be_put_into_another_one() {
    let server = Server::start(&[]);
    let (head, _) = server.get("/");
    assert!(head.contains("frame-ancestors 'none'"), "{head}");
}

#[test]
fn port_in_use_is_explained() {
    let server = Server::start(&[]);
    let url = format!("http://{}", server.address);
    let (code, text) = failure(sockeye().args(["serve", "--listen", &url]));
    assert_eq!(code, Some(1));
    assert!(
        text.starts_with(&format!("error: cannot listen on {url}: ")),
        "{text}"
    );
    assert!(
        text.contains("Another program listens there already"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[cfg(unix)]
#[test]
fn socket_in_use_is_explained_without_ports() {
    let socket = unused_path("taken.sock");
    let url = format!("unix:{}", socket.display());
    let _server = Server::start(&["--listen", &url]);
    let (code, text) = failure(sockeye().args(["serve", "--listen", &url]));
    assert_eq!(code, Some(1));
    let start = format!("error: cannot listen on {url}: another process listens on the socket. ");
    assert!(text.starts_with(&start), "{text}");
    assert!(text.contains("name another path"), "{text}");
    assert!(!text.contains("localhost"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    std::fs::remove_file(socket).unwrap();
}

#[cfg(unix)]
#[test]
fn file_in_the_way_of_a_socket_is_explained_and_stays() {
    let file = unused_path("precious");
    std::fs::write(&file, "precious").unwrap();
    let (code, text) = failure(sockeye().args(["serve", "--listen", file.to_str().unwrap()]));
    assert_eq!(code, Some(1));
    assert!(text.contains("move this file away"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn url_that_makes_no_sense_is_explained() {
    let (code, text) = failure(sockeye().args(["serve", "--listen", "localhost"]));
    assert_eq!(code, Some(1));
    assert!(
        text.contains("the scheme must be http, https, tcp, tls or unix. Write it like"),
        "{text}"
    );
}

#[test]
fn lines_that_are_not_for_a_terminal_have_no_colours() {
    let server = Server::start(&[]);
    assert!(!server.welcome.contains('\u{1b}'), "{:?}", server.welcome);
}

#[cfg(unix)]
#[test]
fn clients_beyond_the_limit_are_refused() {
    let server = Server::start(&["--max-sessions", "1"]);
    let _peer = open_websocket(&server);
    let (head, body) = server.get("/socket.io/?EIO=4&transport=polling");
    assert!(head.starts_with("http/1.1 403"), "{head}");
    assert!(body.contains("takes no more sessions"), "{body}");
    assert_eq!(server.get("/healthz").1, "ok");
}

#[cfg(unix)]
#[test]
fn connections_beyond_the_limit_are_refused() {
    for option in ["--max-connections", "--max-connections-per-address"] {
        let server = Server::start(&[option, "1"]);
        // Not an idle one, which would make room.
        let peer = open_websocket(&server);
        // Nothing is asked: to close a socket with unread bytes might take the answer with it.
        let mut answer = String::new();
        let mut refused = TcpStream::connect(&server.address).unwrap();
        refused.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{option}: {answer}");
        drop(peer);
    }
}

#[cfg(unix)]
#[test]
fn interrupt_closes_gracefully() {
    let mut server = Server::start(&[]);
    let mut peer = open_websocket(&server);
    server.signal("INT");
    // The last that comes is an empty close frame.
    let mut farewell = Vec::new();
    peer.read_to_end(&mut farewell).unwrap();
    assert!(farewell.ends_with(&[0x88, 0]), "{farewell:x?}");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    server.stdout.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("Closing"), "{rest}");
}

#[cfg(unix)]
#[test]
fn interrupt_and_termination_remove_the_socket_file() {
    for signal in ["INT", "TERM"] {
        let socket = unused_path("ends.sock");
        let mut server = Server::start(&["--listen", &format!("unix:{}", socket.display())]);
        assert!(socket.exists());
        server.signal(signal);
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(!socket.exists(), "{signal}");
    }
}

/// A session on a WebSocket, as far as its first frame.
#[cfg(unix)]
fn open_websocket(server: &Server) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(&server.address).unwrap();
    write!(
        &stream,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: {}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address
    )
    .unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[0], 0x81, "a text frame");
    stream
}

/// What is said of the server there, which is none.
fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// Where a server says that its metrics are.
fn metrics_of(server: &Server) -> &str {
    let (_, url) = server.welcome.split_once("Metrics are at http://").unwrap();
    url.split_once("/metrics").unwrap().0
}

#[test]
fn metrics_can_be_read_at_an_address_of_their_own() {
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--no-v3"]);
    let visitor = Visitor::enter(&server);
    visitor.send(r#"420["no such event"]"#);
    let (head, _) = server.get("/socket.io/?EIO=3&transport=polling");
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert!(server.get("/metrics").0.starts_with("http/1.1 404"));
    let page = scrape(metrics_of(&server));
    for line in [
        "# TYPE sockeye_connections gauge",
        r#"sockeye_connections{transport="polling",revision="4"} 1"#,
        r#"sockeye_connections_opened_total{transport="polling",revision="4"} 1"#,
        r#"sockeye_handshakes_refused_total{reason="unsupported revision"} 1"#,
        "sockeye_events_received_total 1",
        "sockeye_sockets 1",
        "sockeye_acks_pending 0",
        r#"sockeye_handler_seconds_bucket{le="+Inf"}"#,
        "# HELP sockeye_rooms Rooms that somebody is in",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
}

#[test]
fn metrics_that_cannot_be_served_are_an_error_that_helps() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let taken = metrics_of(&server);
    for (address, hint) in [(taken, "another port"), ("nowhere", "localhost:9464")] {
        let mut command = sockeye();
        command.args([
            "serve",
            "--listen",
            "http://127.0.0.1:0",
            "--metrics",
            address,
        ]);
        let (code, said) = failure(&mut command);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(address) && said.contains(hint), "{said}");
    }
}

#[test]
#[cfg(unix)]
fn nothing_secret_is_logged_however_much_is() {
    let server = Server::start(&["-vvv"]);
    let target = "/socket.io/?EIO=4&transport=polling&token=secret-query";
    let (_, open) = server.request_with("x-token: secret-header\r\n", "GET", target, "");
    let sid = open.split('"').nth(3).unwrap().to_owned();
    let target = format!("{target}&sid={sid}");
    let auth = r#"40{"token":"secret-auth","pid":"secret-pid0123456789","offset":"secret-offset"}"#;
    for packet in [auth, r#"42["say","secret-payload"]"#, "42[secret-garbage"] {
        server.request_with("cookie: secret-cookie\r\n", "POST", &target, packet);
    }
    let log = server.stop();
    for told in [
        "connection{n=1 remote=127.0.0.1:",
        "connected",
        "event=say",
        "session closed",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(!log.contains("secret"), "{log}");
    assert!(!log.contains(&sid), "{log}");
}
