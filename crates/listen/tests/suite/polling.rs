//! Long-polling: its two kinds of requests, and what they do to each other.

use sockeye_engine::CloseReason;
use sockeye_listen::EngineConfig;
use sockeye_testkit::{Case, Client, EngineRig, Http, Seen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn config() -> EngineConfig {
    EngineConfig::default()
}

#[tokio::test]
async fn poll_waits_for_something_to_send() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, session) = rig.open(Case::POLLING).await;
    let mut polling = client.begin_get().await;
    // A POST that is answered while the GET is not: the GET waits.
    assert_eq!(client.post("6").await.brief(), (200, "ok"));
    session.text("at last");
    assert_eq!(polling.response().await.unwrap().brief(), (200, "4at last"));
}

#[tokio::test]
async fn one_poll_takes_everything_that_waits() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, session) = rig.open(Case::POLLING).await;
    for text in ["a", "né", "c"] {
        session.text(text);
    }
    let answer = client.get().await;
    assert_eq!(answer.brief(), (200, "4a\u{1e}4né\u{1e}4c"));

    let (client, session) = rig.open(Case::POLLING_V3).await;
    for text in ["a", "n€", "😀"] {
        session.text(text);
    }
    assert_eq!(client.get().await.brief(), (200, "2:4a3:4n€3:4😀"));
}

#[tokio::test]
async fn payload_is_cut_at_the_limit_that_was_announced() {
    let mut rig = EngineRig::tcp(config().limits(|limits| limits.max_payload(1000))).await;
    let (client, session) = rig.open(Case::POLLING).await;
    let text = "x".repeat(399);
    for _ in 0..5 {
        session.text(&text);
    }
    let sizes = [client.get().await, client.get().await, client.get().await]
        .map(|answer| answer.body.len());
    assert_eq!(sizes, [801, 801, 400]);
}

#[tokio::test]
async fn second_poll_closes_the_session() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let mut first = client.begin_get().await;
    let mut second = client.begin_get().await;
    let first = first.response().await.unwrap();
    let second = second.response().await.unwrap();
    // The one that was pending gets the close packet; on the way they may overtake each other.
    let mut answers = [first.brief(), second.brief()];
    answers.sort_unstable();
    assert_eq!(answers, [(200, "1"), (400, "")]);
    assert_eq!(session.closed().await, CloseReason::TransportError);
    assert_eq!(client.get().await.status, 400);
}

#[tokio::test]
async fn second_post_closes_the_session() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let mut first = rig.net.http().await;
    let head = rig
        .net
        .to_get(&client.query())
        .method("POST")
        .header("content-length", "10");
    first.write(&head.to_bytes()).await;
    // Half of a body keeps the first one open. Which of the two arrives first does not matter.
    first.write(b"4half").await;
    let second = loop {
        let answer = client.post("4x").await;
        if answer.status == 400 {
            break answer;
        }
    };
    assert_eq!(second.brief(), (400, ""));
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn octet_stream_is_refused_under_revision_4() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let request = rig
        .net
        .to_get(&client.query())
        .method("POST")
        .header("content-type", "application/octet-stream")
        .body("4x");
    assert_eq!(rig.net.request(&request).await.brief(), (400, ""));
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn octet_stream_is_binary_framing_under_revision_3() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING_V3).await;
    let request = rig
        .net
        .to_get(&client.query())
        .method("POST")
        .header("content-type", "application/octet-stream")
        .body(*b"\x00\x04\xff4n\xc3\xa9\x01\x03\xff\x04\x0a\x0b");
    assert_eq!(rig.net.request(&request).await.brief(), (200, "ok"));
    assert_eq!(session.seen().await, Some(Seen::Text("né".into())));
    assert_eq!(session.seen().await, Some(Seen::Binary(b"\x0a\x0b".into())));
}

#[tokio::test]
async fn body_beyond_the_limit_is_413_and_ends_the_session() {
    let mut rig = EngineRig::tcp(config().limits(|limits| limits.max_payload(100))).await;
    let (mut client, mut session) = rig.open(Case::POLLING).await;
    client.send_text(&"x".repeat(99)).await;
    assert_eq!(client.text().await.len(), 99);
    let body = format!("4{}", "x".repeat(100));
    let answer = client.post(body).await;
    assert_eq!(answer.brief(), (413, ""));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn body_beyond_the_limit_may_be_written_to_its_end() {
    let mut rig = EngineRig::tcp(config().limits(|limits| limits.max_payload(100_000))).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let head = rig.net.to_get(&client.query()).method("POST");
    let mut http = rig.net.http().await;
    let head = head.header("content-length", "150000");
    http.write(&head.to_bytes()).await;
    // The answer does not wait for what it refuses.
    assert_eq!(http.response().await.unwrap().brief(), (413, ""));
    assert_eq!(session.closed().await, CloseReason::TransportError);
    let (mut stream, _) = http.into_parts();
    for _ in 0..3 {
        stream.write_all(&[b'x'; 50_000]).await.unwrap();
    }
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "no reset");
}

#[tokio::test]
async fn chunked_body_beyond_the_limit_is_413_too() {
    let mut rig = EngineRig::tcp(config().limits(|limits| limits.max_payload(100))).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let mut http = begin_chunked(&rig, &client).await;
    let chunk = format!("40\r\n{}\r\n", "x".repeat(64));
    http.write(chunk.as_bytes()).await;
    http.write(chunk.as_bytes()).await;
    assert_eq!(http.response().await.unwrap().brief(), (413, ""));
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn body_in_more_chunks_than_there_may_be_is_413() {
    let mut rig = EngineRig::tcp(config().max_body_chunks(100)).await;
    let (mut client, session) = rig.open(Case::POLLING).await;
    let mut http = begin_chunked(&rig, &client).await;
    let body = format!("1\r\n4\r\n{}0\r\n\r\n", "1\r\nx\r\n".repeat(99));
    http.write(body.as_bytes()).await;
    assert_eq!(http.response().await.unwrap().brief(), (200, "ok"));
    assert_eq!(client.text().await, "x".repeat(99));

    let mut session = session;
    let mut http = begin_chunked(&rig, &client).await;
    let body = format!("1\r\n4\r\n{}", "1\r\nx\r\n".repeat(100));
    http.write(body.as_bytes()).await;
    let answer = http.response().await.unwrap();
    assert_eq!(answer.brief(), (413, ""));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn ten_thousand_chunks_are_taken_and_no_more() {
    let mut rig = EngineRig::tcp(config()).await;
    for (chunks, status) in [(10_000, 200), (10_001, 413)] {
        let (client, mut session) = rig.open(Case::POLLING).await;
        let mut http = begin_chunked(&rig, &client).await;
        let body = format!("1\r\n4\r\n{}0\r\n\r\n", "1\r\nx\r\n".repeat(chunks - 1));
        http.write(body.as_bytes()).await;
        assert_eq!(http.response().await.unwrap().status, status);
        match status {
            200 => assert!(matches!(session.seen().await, Some(Seen::Text(_)))),
            _ => assert_eq!(session.closed().await, CloseReason::TransportError),
        }
    }
}

#[tokio::test]
async fn body_of_known_length_may_come_in_any_number_of_pieces() {
    let mut rig = EngineRig::tcp(config().max_body_chunks(1)).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let head = rig.net.to_get(&client.query()).method("POST");
    let mut http = rig.net.http().await;
    let body = format!("4{}", "x".repeat(1_000_000 / 2));
    let head = head.header("content-length", body.len().to_string());
    http.write(&head.to_bytes()).await;
    // More than the HTTP library reads at once.
    http.write(body.as_bytes()).await;
    assert_eq!(http.response().await.unwrap().brief(), (200, "ok"));
    assert_eq!(session.seen().await, Some(Seen::Text(body[1..].into())));
}

/// Begins a POST whose body comes in chunks.
async fn begin_chunked(rig: &EngineRig, client: &Client) -> Http {
    let head = rig
        .net
        .to_get(&client.query())
        .method("POST")
        .header("transfer-encoding", "chunked");
    let mut http = rig.net.http().await;
    http.write(&head.to_bytes()).await;
    http
}

#[tokio::test]
async fn chunked_and_split_bodies_are_accepted() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let head = rig.net.to_get(&client.query()).method("POST");
    let mut http = rig.net.http().await;
    let chunked = head.clone().header("transfer-encoding", "chunked");
    http.write(&chunked.to_bytes()).await;
    for part in ["2\r\n4h\r\n", "1\r\ni\r\n", "0\r\n\r\n"] {
        http.write(part.as_bytes()).await;
    }
    assert_eq!(http.response().await.unwrap().brief(), (200, "ok"));
    assert_eq!(session.seen().await, Some(Seen::Text("hi".into())));

    let sized = head.header("content-length", "3");
    http.write(&sized.to_bytes()).await;
    http.write(b"4h").await;
    http.write(b"o").await;
    assert_eq!(http.response().await.unwrap().brief(), (200, "ok"));
    assert_eq!(session.seen().await, Some(Seen::Text("ho".into())));
}

#[tokio::test]
async fn empty_body_is_a_parse_error() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    assert_eq!(client.post("").await.brief(), (400, ""));
    assert_eq!(session.closed().await, CloseReason::ParseError);
}

#[tokio::test]
async fn packets_before_an_undecodable_one_count() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let answer = client.post("4good\u{1e}x\u{1e}4lost").await;
    assert_eq!(answer.brief(), (400, ""));
    assert_eq!(session.seen().await, Some(Seen::Text("good".into())));
    assert_eq!(
        session.seen().await,
        Some(Seen::Close(CloseReason::ParseError))
    );
}

#[tokio::test]
async fn too_many_packets_are_a_parse_error() {
    let mut rig = EngineRig::tcp(config().limits(|limits| limits.max_packets_per_payload(3))).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let answer = client.post("4a\u{1e}4b\u{1e}4c").await;
    assert_eq!(answer.brief(), (200, "ok"));
    let answer = client.post("4a\u{1e}4b\u{1e}4c\u{1e}4d").await;
    assert_eq!(answer.brief(), (400, ""));
    assert_eq!(session.closed().await, CloseReason::ParseError);
}

#[tokio::test]
async fn undecodable_packet_frees_the_pending_poll() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let mut polling = client.begin_get().await;
    session.text("sync");
    assert_eq!(polling.response().await.unwrap().brief(), (200, "4sync"));
    let mut polling = client.begin_get().await;
    let answer = client.post("x").await;
    assert_eq!(answer.brief(), (400, ""));
    // If the GET came first it gets the close packet, otherwise there is no session for it.
    let polled = polling.response().await.unwrap();
    assert!(
        [
            (200, "1"),
            (400, r#"{"code":1,"message":"Session ID unknown"}"#)
        ]
        .contains(&polled.brief()),
        "{polled:?}"
    );
    assert_eq!(session.closed().await, CloseReason::ParseError);
}

#[tokio::test]
async fn dropped_poll_is_a_transport_error() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let polling = client.begin_get().await;
    // Whether the GET has been seen before it is dropped or only then: the session ends.
    let answer = client.post("6").await;
    assert_eq!(answer.brief(), (200, "ok"));
    drop(polling);
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn dropped_post_is_a_transport_error() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, mut session) = rig.open(Case::POLLING).await;
    let head = rig
        .net
        .to_get(&client.query())
        .method("POST")
        .header("content-length", "100");
    let mut http = rig.net.http().await;
    http.write(&head.to_bytes()).await;
    http.write(b"4half").await;
    drop(http);
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn many_requests_may_share_a_connection() {
    let mut rig = EngineRig::tcp(config()).await;
    let (client, _session) = rig.open(Case::POLLING).await;
    let mut http = rig.net.http().await;
    for n in 0..20 {
        let post = rig.net.to_get(&client.query()).method("POST");
        let answer = http.request(&post.body(format!("4{n}"))).await;
        assert_eq!(answer.brief(), (200, "ok"));
        let answer = http.request(&rig.net.to_get(&client.query())).await;
        assert_eq!(answer.brief(), (200, format!("4{n}").as_str()));
    }
}

#[tokio::test]
async fn session_id_of_one_is_no_key_to_another() {
    let mut rig = EngineRig::tcp(config()).await;
    let (one, _session) = rig.open(Case::POLLING).await;
    let (other, session) = rig.open(Case::POLLING).await;
    assert_ne!(one.sid(), other.sid());
    session.text("for the other");
    assert_eq!(other.get().await.text(), "4for the other");
}
