//! What only old clients ask for: scripts for answers, and first packets in the handshake.

use sockeye_engine::{CloseReason, Message, SendOptions};
use sockeye_listen::EngineConfig;
use sockeye_testkit::{Case, EngineRig, Request, Seen};

const JSONP: &str = "EIO=3&transport=polling&j=0";

fn jsonp() -> EngineConfig {
    EngineConfig::default().jsonp(true)
}

/// Opens a session by a script; gives the query of its further requests.
async fn open(rig: &EngineRig, query: &str) -> String {
    let opened = rig.net.get(query).await;
    assert_eq!(opened.status, 200);
    let script = "text/javascript; charset=UTF-8";
    assert_eq!(opened.header("content-type"), Some(script));
    let json = opened.text().strip_prefix("___eio[0](");
    let json = json.and_then(|json| json.strip_suffix(");"));
    let payload: String = serde_json::from_str(json.expect("a script")).expect("a string");
    let sid = payload.split('"').nth(3).expect("an open packet");
    format!("{query}&sid={sid}")
}

fn form(rig: &EngineRig, query: &str, body: &str) -> Request {
    rig.net
        .to_get(query)
        .method("POST")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

#[tokio::test]
async fn page_that_can_only_load_scripts_has_a_session() {
    let mut rig = EngineRig::tcp(jsonp()).await;
    for (case, text, binary) in [
        (
            "EIO=3",
            r#"___eio[0]("7:4né\"\\😀");"#,
            r#"___eio[0]("6:b4Cgs=");"#,
        ),
        (
            "EIO=4",
            r#"___eio[0]("4né\"\\😀");"#,
            r#"___eio[0]("bCgs=");"#,
        ),
    ] {
        let query = open(&rig, &format!("{case}&transport=polling&j=0")).await;
        let mut session = rig.session().await;
        session.text("né\"\\😀");
        assert_eq!(rig.net.get(&query).await.brief(), (200, text));
        let data = Message::binary(&b"\x0a\x0b"[..]);
        session
            .handle
            .send(&[data], SendOptions::default())
            .unwrap();
        assert_eq!(rig.net.get(&query).await.brief(), (200, binary));

        let packet = match case {
            "EIO=3" => "d=7:4a\\nb\\\\n%2b",
            _ => "d=4a\\nb\\\\n%2b",
        };
        let posted = rig.net.request(&form(&rig, &query, packet)).await;
        assert_eq!(posted.brief(), (200, "ok"));
        assert_eq!(posted.header("content-type"), Some("text/html"));
        assert_eq!(session.seen().await, Some(Seen::Text("a\nb\\n+".into())));
    }
}

#[tokio::test]
async fn form_without_packets_closes_the_session() {
    let mut rig = EngineRig::tcp(jsonp()).await;
    for body in ["", "e=4a", "d=", "d", "d=x"] {
        let query = open(&rig, JSONP).await;
        let mut session = rig.session().await;
        let posted = rig.net.request(&form(&rig, &query, body)).await;
        assert_eq!(posted.brief(), (400, ""), "{body:?}");
        session.closed().await;
    }
}

#[tokio::test]
async fn form_beyond_the_limit_is_refused_as_it_comes() {
    let mut rig = EngineRig::tcp(jsonp().limits(|limits| limits.max_payload(100))).await;
    let query = open(&rig, JSONP).await;
    let mut session = rig.session().await;
    let body = format!("d={}", "%34".repeat(40));
    let posted = rig.net.request(&form(&rig, &query, &body)).await;
    assert_eq!(posted.status, 413);
    assert_eq!(session.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn scripts_are_refused_by_default() {
    let rig = EngineRig::tcp(EngineConfig::default()).await;
    let refused = (400, r#"{"code":0,"message":"Transport unknown"}"#);
    assert_eq!(rig.net.get(JSONP).await.brief(), refused);
    let mut rig = EngineRig::tcp(EngineConfig::default()).await;
    let (client, session) = rig.open(Case::POLLING_V3).await;
    session.text("secret");
    let query = format!("{}&j=0", client.query());
    assert_eq!(rig.net.get(&query).await.brief(), refused);
    assert_eq!(client.get().await.brief(), (200, "7:4secret"));
}

#[tokio::test]
async fn script_is_compressed_as_other_answers_are() {
    let mut rig = EngineRig::tcp(jsonp()).await;
    let query = open(&rig, JSONP).await;
    let session = rig.session().await;
    let options = SendOptions {
        compress: true,
        ..SendOptions::default()
    };
    let message = Message::text(&"x".repeat(5000));
    session.handle.send(&[message], options).unwrap();
    let request = rig.net.to_get(&query).header("accept-encoding", "gzip");
    let answer = rig.net.request(&request).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/javascript; charset=UTF-8")
    );
    assert!(answer.body.len() < 500);
}

#[tokio::test]
async fn only_pages_of_the_named_origins_open_sessions() {
    let rig = EngineRig::tcp(EngineConfig::default().origins(["example.org:80"])).await;
    let ask = async |origin: &str| {
        let request = rig.net.to_get(&Case::POLLING_V3.query());
        let answer = rig.net.request(&request.header("origin", origin)).await;
        let allowed = answer.header("access-control-allow-origin");
        (answer.status, allowed.map(str::to_owned))
    };
    let origin = "http://example.org";
    assert_eq!(ask(origin).await, (200, Some(origin.into())));
    assert_eq!(ask("http://example.com").await, (403, None));
    let silent = rig.net.get(&Case::POLLING.query()).await;
    assert_eq!(silent.brief(), (403, r#"{"code":4,"message":"Forbidden"}"#));
}
