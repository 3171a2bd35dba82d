use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use sockeye_engine_proto::WireKind;
use sockeye_testkit::EngineRig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::{Answer, PostBody};
use super::{ConnectUrl, DialConfig, DialError, Dialer, dialer, local, url, with};

/// Reads the head of a request and whatever of the body `Content-Length` announces.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(String::from_utf8(read).unwrap());
            }
        }
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            return None;
        }
    }
}

/// A server that gives every connection these bytes after its first request, and keeps it open.
async fn answering(bytes: impl Into<Vec<u8>>) -> ConnectUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("http", &listener);
    let bytes = bytes.into();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            // A client that has seen enough hangs up.
            let _ = stream.write_all(&bytes).await;
            open.push(stream);
        }
    });
    url
}

async fn get(dialer: &Dialer, url: &ConnectUrl) -> Result<Answer, DialError> {
    dialer
        .request(url, "/engine.io/?EIO=4", &HeaderMap::new(), None)
        .await
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn session_is_polled_from_an_engine() {
    let rig = EngineRig::tcp(Default::default()).await;
    let dialer = dialer();
    let url = url(&format!("http://{}", rig.net.address()));
    let none = HeaderMap::new();
    let open = dialer
        .request(&url, "/engine.io/?EIO=4&transport=polling", &none, None)
        .await
        .unwrap();
    assert_eq!(
        (open.status, open.content),
        (StatusCode::OK, WireKind::Text)
    );
    let open = String::from_utf8(open.body.to_vec()).unwrap();
    let sid = open.split(r#""sid":""#).nth(1).unwrap();
    let sid = sid.split('"').next().unwrap();
    let target = format!("/engine.io/?EIO=4&transport=polling&sid={sid}");

    // The GET waits on one connection while the POST goes over another.
    let poll = tokio::spawn(dialer.request(&url, &target, &none, None));
    let body = PostBody::Text(Bytes::from_static(b"4hello"));
    let posted = dialer.request(&url, &target, &none, Some(body)).await;
    assert_eq!(&posted.unwrap().body[..], b"ok");
    let polled = poll.await.unwrap().unwrap();
    assert_eq!(&polled.body[..], b"4hello");

    // Any other status is an answer as well.
    let lost = "/engine.io/?EIO=4&transport=polling&sid=nobody";
    let lost = dialer.request(&url, lost, &none, None).await.unwrap();
    assert_eq!(lost.status, StatusCode::BAD_REQUEST);
    assert!(lost.body.starts_with(br#"{"code":1"#), "{lost:?}");
}

#[tokio::test]
async fn connection_is_kept_for_the_next_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, url) = (dialer(), local("http", &listener));
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            read_request(&mut stream).await.unwrap();
            stream.write_all(ok("2").as_bytes()).await.unwrap();
        }
    };
    let client = async {
        for _ in 0..3 {
            assert_eq!(&get(&dialer, &url).await.unwrap().body[..], b"2");
        }
    };
    tokio::join!(server, client);
}

#[tokio::test(start_paused = true)]
async fn connection_that_rests_too_long_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, url) = (dialer(), local("http", &listener));
    let server = async {
        let mut connections = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await.unwrap();
            stream.write_all(ok("2").as_bytes()).await.unwrap();
            connections.push(stream);
        }
        // This side hangs up by itself.
        assert_eq!(read_request(&mut connections[0]).await, None);
    };
    let client = async {
        get(&dialer, &url).await.unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        get(&dialer, &url).await.unwrap();
    };
    tokio::join!(server, client);
}

#[tokio::test(start_paused = true)]
async fn connection_that_rests_too_long_is_closed_without_another_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, url) = (dialer(), local("http", &listener));
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        stream.write_all(ok("2").as_bytes()).await.unwrap();
        assert_eq!(read_request(&mut stream).await, None);
    };
    let (_, answer) = tokio::join!(server, get(&dialer, &url));
    answer.unwrap();
}

#[tokio::test]
async fn request_that_meets_a_closed_connection_goes_over_a_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, url) = (dialer(), local("http", &listener));
    let server = async {
        for _ in 0..5 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await.unwrap();
            // It says nothing of hanging up, and does.
            stream.write_all(ok("2").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(read_request(&mut stream).await, None);
        }
    };
    let client = async {
        for _ in 0..5 {
            assert_eq!(&get(&dialer, &url).await.unwrap().body[..], b"2");
            // The end has arrived when hyper's task has seen it; that it has, the pool tells.
            while dialer.0.pool.has_fresh() {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(server, client);
}

/// A server that reads one request of each connection, says nothing of hanging up, and does when the
/// next request comes, or has come.
async fn server_that_hangs_up(listener: TcpListener, seen: mpsc::UnboundedSender<String>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let seen = seen.clone();
        tokio::spawn(async move {
            let request = read_request(&mut stream).await.unwrap();
            seen.send(request).unwrap();
            stream.write_all(ok("2").as_bytes()).await.unwrap();
            let _ = stream.readable().await;
        });
    }
}

#[tokio::test]
async fn get_that_crosses_the_hanging_up_goes_over_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, url) = (dialer(), local("http", &listener));
    let (sender, mut seen) = mpsc::unbounded_channel();
    tokio::spawn(server_that_hangs_up(listener, sender));
    for _ in 0..5 {
        assert_eq!(&get(&dialer, &url).await.unwrap().body[..], b"2");
        assert!(seen.recv().await.unwrap().starts_with("GET "));
    }
    // What that server does is known now, so that no POST crosses it.
    for _ in 0..3 {
        let body = PostBody::Text(Bytes::from_static(b"2"));
        let none = HeaderMap::new();
        let posted = dialer.request(&url, "/", &none, Some(body)).await.unwrap();
        assert_eq!(&posted.body[..], b"2");
        assert!(seen.recv().await.unwrap().starts_with("POST "));
    }
}

#[tokio::test]
async fn post_that_crosses_the_hanging_up_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, url) = (dialer(), local("http", &listener));
    let (sender, mut seen) = mpsc::unbounded_channel();
    tokio::spawn(server_that_hangs_up(listener, sender));
    get(&dialer, &url).await.unwrap();
    assert!(seen.recv().await.unwrap().starts_with("GET "));
    let body = PostBody::Text(Bytes::from_static(b"2"));
    let none = HeaderMap::new();
    let error = dialer.request(&url, "/", &none, Some(body)).await;
    assert!(matches!(error, Err(DialError::Http { .. })), "{error:?}");
    assert!(seen.is_empty());
}

#[tokio::test]
async fn request_says_what_is_expected_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, url) = (dialer(), local("http", &listener));
    let mut headers = HeaderMap::new();
    headers.insert("x-token", HeaderValue::from_static("secret"));
    headers.insert("content-length", HeaderValue::from_static("999"));
    let body = PostBody::Text(Bytes::from_static(b"2"));
    let posting = tokio::spawn(dialer.request(&url, "/p/?a=%20b", &headers, Some(body)));
    let (mut stream, _) = listener.accept().await.unwrap();
    let request = read_request(&mut stream).await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /p/?a=%20b HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", listener.local_addr().unwrap());
    let agent = concat!("user-agent: sockeye/", env!("CARGO_PKG_VERSION"));
    let mut expected = vec![
        "accept: */*",
        "content-length: 1",
        "content-type: text/plain;charset=UTF-8",
        &host,
        agent,
        "x-token: secret",
    ];
    expected.sort_unstable();
    assert_eq!((lines, body), (expected, "2"));
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: Application/Octet-Stream; a=b\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\n\x01\x02\r\n0\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    let answer = posting.await.unwrap().unwrap();
    assert_eq!(answer.content, WireKind::Binary);
    assert_eq!(&answer.body[..], b"\x01\x02");

    headers.insert(USER_AGENT, HeaderValue::from_static("mine"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/plain"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    let body = PostBody::Binary(Bytes::from_static(b"2"));
    let _posting = tokio::spawn(dialer.request(&url, "/", &headers, Some(body)));
    let request = read_request(&mut stream).await.unwrap();
    for line in [
        "user-agent: mine",
        "accept: text/plain",
        "content-type: application/octet-stream",
    ] {
        assert!(request.contains(&format!("{line}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn redirection_is_an_error_that_says_where_to() {
    let to = "/elsewhere/?a=secret";
    let found = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let url = answering(found).await;
    let error = get(&dialer(), &url).await.unwrap_err();
    let text = format!("{url} answered 302 Found, which leads to /elsewhere/");
    assert_eq!(error.to_string(), text);

    // Where it leads is what the server says, be it for the eyes of a terminal.
    let nonsense = "x\u{1b}[31m".repeat(200);
    let found = format!("HTTP/1.1 307 No\r\nLocation: \u{fc}{nonsense}\r\n\r\n");
    let error = get(&dialer(), &answering(found).await).await.unwrap_err();
    assert!(error.to_string().len() < 2000 && !error.to_string().contains('\u{1b}'));

    // Without a place there is nothing to say but the status.
    let answer = answering("HTTP/1.1 304 Not Modified\r\n\r\n").await;
    let answer = get(&dialer(), &answer).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn header_or_path_that_cannot_be_written_is_refused() {
    let error = dialer()
        .request(&url("http://localhost"), "/a b", &HeaderMap::new(), None)
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::Request { .. }), "{error:?}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn body_past_the_limit_is_refused() {
    let dialer = Dialer::new(Default::default(), 4).unwrap();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n";
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\n\r\nabcde";
    for answer in [chunked, announced, endless] {
        let error = get(&dialer, &answering(answer).await).await.unwrap_err();
        assert!(
            matches!(error, DialError::TooLarge { limit: 4, .. }),
            "{error:?}"
        );
    }
    let answer = get(&dialer, &answering(ok("abcd")).await).await.unwrap();
    assert_eq!(&answer.body[..], b"abcd");
}

#[tokio::test(start_paused = true)]
async fn request_without_an_answer_times_out() {
    let after = Duration::from_secs(7);
    let dialer = with(DialConfig::default().request_timeout(Some(after))).unwrap();
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"] {
        let url = answering(answer).await;
        let begin = tokio::time::Instant::now();
        let error = get(&dialer, &url).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{url} did not answer within 7s"));
        assert!(begin.elapsed() >= after && begin.elapsed() < after * 2);
    }
}

#[tokio::test]
async fn dropped_request_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let getting = tokio::spawn({
        let request = dialer().request(&local("http", &listener), "/", &HeaderMap::new(), None);
        async move { request.await.map(drop) }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await.unwrap();
    getting.abort();
    assert_eq!(read_request(&mut stream).await, None);
}

#[tokio::test]
async fn hostile_answers_are_errors() {
    let endless_head = format!(
        "HTTP/1.1 200 OK\r\n{}",
        "X-More: of the same and never an end\r\n".repeat(50_000)
    );
    let answers: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
        b"HTTP/1.1 200\x00 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        endless_head.as_bytes(),
    ];
    for answer in answers {
        let url = answering(answer).await;
        let error = get(&dialer(), &url).await.unwrap_err();
        assert!(matches!(error, DialError::Http { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("no answer from {url}"));
        assert!(std::error::Error::source(&error).is_some());

        let none = HeaderMap::new();
        let error = dialer()
            .websocket(&url, "/", &none, None)
            .await
            .unwrap_err();
        let is_named = matches!(error, DialError::Http { .. } | DialError::Refused { .. });
        assert!(is_named, "{error:?}");
    }
}

#[tokio::test]
async fn connection_that_ends_early_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("http", &listener);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            let start = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab";
            stream.write_all(start).await.unwrap();
        }
    });
    let error = get(&dialer(), &url).await.unwrap_err();
    assert!(matches!(error, DialError::Http { .. }), "{error:?}");
}

#[tokio::test]
async fn name_of_a_header_is_no_secret_but_its_value_stays_out_of_errors() {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("authorization"),
        HeaderValue::from_static("Bearer secret"),
    );
    let url = answering("nonsense\r\n\r\n").await;
    let target = "/?token=secret";
    let error = dialer().request(&url, target, &headers, None).await;
    let error = error.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[cfg(not(feature = "cookies"))]
#[test]
fn cookies_take_their_feature() {
    let error = with(DialConfig::default().cookies(true)).unwrap_err();
    assert!(matches!(error, crate::ConnectorError::NoCookies));
}

#[cfg(feature = "cookies")]
#[tokio::test]
async fn cookies_come_back_on_both_transports() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("http", &listener);
    let dialer = with(DialConfig::default().cookies(true)).unwrap();
    let server = async {
        let mut seen = Vec::new();
        let mut open = Vec::new();
        let answers = [
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\nContent-Length: 0\r\n",
            "HTTP/1.1 403 Forbidden\r\nSet-Cookie: a=2; Path=/\r\nContent-Length: 0\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        ];
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await.unwrap();
            let cookie = request
                .lines()
                .find_map(|line| line.strip_prefix("cookie: "));
            seen.push(cookie.map(str::to_owned));
            let answer = format!("{answer}Connection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            open.push(stream);
        }
        seen
    };
    let client = async {
        get(&dialer, &url).await.unwrap();
        let opened = dialer
            .websocket(&url, "/socket.io/", &HeaderMap::new(), None)
            .await;
        assert!(
            matches!(opened, Err(DialError::Refused { .. })),
            "{opened:?}"
        );
        get(&dialer, &url).await.unwrap();
    };
    let (seen, ()) = tokio::join!(server, client);
    let expected = [None, Some("a=1".to_owned()), Some("a=2".to_owned())];
    assert_eq!(seen, expected);
}
