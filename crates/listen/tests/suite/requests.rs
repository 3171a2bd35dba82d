//! What is answered to HTTP requests that are refused, and what hooks and options add to answers.

use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::{Message, SendOptions, TransportKind};
use sockeye_listen::{Cookie, Cors, EngineConfig, MissingRevision, StaticFile};
use sockeye_testkit::{Case, Client, EngineRig, Request, WebSocket};

fn config() -> EngineConfig {
    EngineConfig::default()
}

const UNKNOWN_TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;
const UNKNOWN_SESSION: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_METHOD: &str = r#"{"code":2,"message":"Bad handshake method"}"#;
const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;
const UNSUPPORTED: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;

#[tokio::test]
async fn refusals_are_json_with_code_and_message() {
    let rig = EngineRig::tcp(config()).await;
    for (query, body) in [
        ("", UNKNOWN_TRANSPORT),
        ("EIO=4", UNKNOWN_TRANSPORT),
        ("EIO=4&transport=tobi", UNKNOWN_TRANSPORT),
        ("EIO=4&transport=constructor", UNKNOWN_TRANSPORT),
        ("EIO=4&transport=__proto__", UNKNOWN_TRANSPORT),
        ("EIO=4&transport=webtransport", UNKNOWN_TRANSPORT),
        ("EIO=4&transport=tcp", UNKNOWN_TRANSPORT),
        ("EIO=4&transport=polling&sid=nobody", UNKNOWN_SESSION),
        ("EIO=4&transport=polling&sid=", UNKNOWN_SESSION),
        (
            "EIO=4&transport=polling&sid=01234567890123456789",
            UNKNOWN_SESSION,
        ),
        ("EIO=4&transport=websocket", BAD_REQUEST),
        ("EIO=5&transport=polling", UNSUPPORTED),
        ("EIO=&transport=polling", UNSUPPORTED),
        ("transport=polling", UNSUPPORTED),
    ] {
        let answer = rig.net.get(query).await;
        assert_eq!(answer.brief(), (400, body), "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(rig.engine.session_count(), 0);
}

#[tokio::test]
async fn handshake_by_another_method_than_get_is_refused() {
    let rig = EngineRig::tcp(config()).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = rig.net.to_get(&Case::POLLING.query()).method(method);
        let answer = rig.net.request(&request).await;
        assert_eq!(answer.brief(), (400, BAD_METHOD), "{method}");
    }
}

#[tokio::test]
async fn unexpected_method_with_a_session_leaves_it_alone() {
    let rig = EngineRig::tcp(config()).await;
    let mut client = Client::open(&rig.net, Case::POLLING).await;
    let request = rig.net.to_get(&client.query()).method("PUT");
    assert_eq!(rig.net.request(&request).await.brief(), (500, ""));
    client.send_text("still here").await;
    assert_eq!(client.text().await, "still here");
}

#[tokio::test]
async fn refused_upgrade_is_bare_text_with_status_400() {
    let rig = EngineRig::tcp(config().allow_v3(false)).await;
    for (query, text) in [
        ("EIO=4&transport=tobi", "Transport unknown"),
        ("EIO=4&transport=websocket&sid=nobody", "Session ID unknown"),
        ("EIO=4&transport=polling", "Bad request"),
        ("EIO=3&transport=websocket", "Unsupported protocol version"),
        ("transport=websocket", "Unsupported protocol version"),
    ] {
        let answer = WebSocket::connect(&rig.net, query).await.unwrap_err();
        assert_eq!(answer.brief(), (400, text), "{query}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.header("content-type"), Some("text/html"));
    }
}

#[tokio::test]
async fn broken_websocket_handshake_is_a_bad_request() {
    let rig = EngineRig::tcp(config()).await;
    let good = rig
        .net
        .to_get(&Case::WEBSOCKET.query())
        .header("upgrade", "websocket")
        .header("connection", "upgrade");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for request in [
        good.clone(),
        good.clone().header("sec-websocket-key", key),
        good.clone()
            .header("sec-websocket-version", "8")
            .header("sec-websocket-key", key),
        good.header("sec-websocket-version", "13")
            .header("sec-websocket-key", "short"),
    ] {
        let answer = rig.net.request(&request).await;
        assert_eq!(answer.brief(), (400, "Bad request"));
    }
    assert_eq!(rig.engine.session_count(), 0);
}

#[tokio::test]
async fn transport_that_is_off_is_unknown() {
    let polling_only = config().transports([TransportKind::Polling]);
    let rig = EngineRig::tcp(polling_only).await;
    let answer = WebSocket::connect(&rig.net, &Case::WEBSOCKET.query()).await;
    assert_eq!(answer.unwrap_err().brief(), (400, "Transport unknown"));
    let client = Client::open(&rig.net, Case::POLLING).await;
    assert!(client.open_packet().upgrades.is_empty());

    let websocket_only = config().transports([TransportKind::WebSocket]);
    let rig = EngineRig::tcp(websocket_only).await;
    let answer = rig.net.get(&Case::POLLING.query()).await;
    assert_eq!(answer.brief(), (400, UNKNOWN_TRANSPORT));
    Client::open(&rig.net, Case::WEBSOCKET).await;
}

#[tokio::test]
async fn upgrades_that_are_off_are_not_announced() {
    let rig = EngineRig::tcp(config().allow_upgrades(false)).await;
    let client = Client::open(&rig.net, Case::POLLING).await;
    assert!(client.open_packet().upgrades.is_empty());
}

#[tokio::test]
async fn revision_3_can_be_turned_off() {
    let rig = EngineRig::tcp(config().allow_v3(false)).await;
    let answer = rig.net.get(&Case::POLLING_V3.query()).await;
    assert_eq!(answer.brief(), (400, UNSUPPORTED));
    Client::open(&rig.net, Case::POLLING).await;
}

#[tokio::test]
async fn missing_revision_can_mean_3() {
    let rig = EngineRig::tcp(config().missing_revision(MissingRevision::V3)).await;
    let answer = rig.net.get("transport=polling").await;
    assert_eq!(answer.status, 200);
    let (length, packet) = answer.text().split_once(':').unwrap();
    assert_eq!(length.parse(), Ok(packet.len()));
    assert!(packet.starts_with("0{"), "{packet}");

    let closed = config().missing_revision(MissingRevision::V3);
    let rig = EngineRig::tcp(closed.allow_v3(false)).await;
    let answer = rig.net.get("transport=polling").await;
    assert_eq!(answer.brief(), (400, UNSUPPORTED));
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let rig = EngineRig::tcp(config()).await;
    for path in ["/", "/engine.iox", "/favicon.ico"] {
        let request = Request::get(&format!("{path}?{}", Case::POLLING.query()));
        assert_eq!(rig.net.request(&request).await.brief(), (404, ""), "{path}");
        // Nobody is left waiting with an upgrade that is for somebody else.
        let upgrade = Request::get(&format!("{path}?{}", Case::WEBSOCKET.query()))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(rig.net.request(&upgrade).await.brief(), (404, ""), "{path}");
    }
    for path in ["/engine.io", "/engine.io/", "/engine.io/more"] {
        let request = Request::get(&format!("{path}?{}", Case::POLLING.query()));
        assert_eq!(rig.net.request(&request).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn allow_request_decides_about_handshakes_only() {
    let guarded = config().allow_request(|handshake| async move {
        // A decision that takes its time is waited for.
        tokio::task::yield_now().await;
        match handshake.query_value("token").as_deref() {
            Some("right") => Ok(()),
            _ => Err("say \"please\"".to_owned()),
        }
    });
    let rig = EngineRig::tcp(guarded).await;
    let refused = rig.net.get(&Case::POLLING.query()).await;
    let body = r#"{"code":4,"message":"say \"please\""}"#;
    assert_eq!(refused.brief(), (403, body));
    let refused = WebSocket::connect(&rig.net, &Case::WEBSOCKET.query()).await;
    assert_eq!(refused.unwrap_err().brief(), (400, "say \"please\""));
    assert_eq!(rig.engine.session_count(), 0);

    // Later requests of the session do not carry the token.
    let mut client = Client::open_with(&rig.net, Case::POLLING, "&token=right").await;
    client.send_text("hello").await;
    assert_eq!(client.text().await, "hello");
    client.upgrade().await;
    Client::open_with(&rig.net, Case::WEBSOCKET, "&token=right").await;
}

#[tokio::test]
async fn known_session_with_another_revision_is_a_bad_request() {
    let mut rig = EngineRig::tcp(config()).await;
    for (case, others) in [
        (Case::POLLING, ["EIO=3", "EIO=5", "a=b"]),
        (Case::POLLING_V3, ["EIO=4", "EIO=4", "EIO=4"]),
    ] {
        let (mut client, _session) = rig.open(case).await;
        for eio in others {
            let query = format!("{eio}&transport=polling&sid={}", client.sid());
            assert_eq!(rig.net.get(&query).await.brief(), (400, BAD_REQUEST));
            let posted = rig.net.post(&query, "4x").await;
            assert_eq!(posted.brief(), (400, BAD_REQUEST));
            let query = format!("{eio}&transport=websocket&sid={}", client.sid());
            let refused = WebSocket::connect(&rig.net, &query).await.unwrap_err();
            assert_eq!(refused.brief(), (400, "Bad request"));
        }
        client.send_text("undisturbed").await;
        assert_eq!(client.text().await, "undisturbed");
    }
}

#[tokio::test]
async fn session_beyond_the_limit_is_refused() {
    let mut rig = EngineRig::tcp(config().max_sessions(2)).await;
    let (first, mut session) = rig.open(Case::POLLING).await;
    let second = Client::open(&rig.net, Case::WEBSOCKET).await;
    let refused = rig.net.get(&Case::POLLING.query()).await;
    assert_eq!(refused.status, 403);
    let refused = WebSocket::connect(&rig.net, &Case::WEBSOCKET.query()).await;
    assert_eq!(refused.unwrap_err().status, 400);
    first.post("1").await;
    session.closed().await;
    Client::open(&rig.net, Case::POLLING).await;
    drop(second);
}

#[tokio::test]
async fn one_connection_opens_no_more_sessions_than_its_address_may_have() {
    for config in [
        config().max_sessions_per_address(2),
        config().max_connections_per_address(2),
    ] {
        let mut rig = EngineRig::tcp(config).await;
        let handshake = rig.net.to_get(&Case::POLLING.query());
        let mut http = rig.net.http().await;
        for status in [200, 200, 403, 403] {
            let answer = http.request(&handshake).await;
            assert_eq!(answer.status, status);
            let why = "the server takes no more sessions from this address";
            assert_eq!(status == 403, answer.text().contains(why));
        }
        // There is room again when one of them is over.
        let session = rig.session().await;
        session.handle.vanish();
        rig.net
            .until("room", || rig.engine.session_count() == 1)
            .await;
        assert_eq!(http.request(&handshake).await.status, 200);
        assert_eq!(rig.engine.session_count(), 2);
    }
}

#[tokio::test]
async fn closing_engine_refuses_handshakes() {
    let rig = EngineRig::tcp(config()).await;
    // The connection is there before the listener stops accepting.
    let memory = sockeye_testkit::Net::memory(rig.engine.service(), "/engine.io/");
    rig.engine.close().await;
    assert_eq!(memory.get(&Case::POLLING.query()).await.status, 403);
}

#[tokio::test]
async fn polling_answers_have_their_headers() {
    let mut rig = EngineRig::tcp(config()).await;
    let opened = rig.net.get(&Case::POLLING.query()).await;
    assert_eq!(
        opened.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    assert_eq!(opened.header("x-xss-protection"), None);
    assert_eq!(opened.header("set-cookie"), None);
    rig.session().await;

    let (client, session) = rig.open(Case::POLLING_V3).await;
    let posted = client.post("2:4a").await;
    assert_eq!(posted.header("content-type"), Some("text/html"));
    assert_eq!(posted.header("cache-control"), Some("no-store"));
    let polled = client.get().await;
    assert_eq!(
        polled.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    let message = Message::binary(&b"\x0a\x0b"[..]);
    session
        .handle
        .send(&[message], SendOptions::default())
        .unwrap();
    let polled = client.get().await;
    assert_eq!(
        polled.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(polled.body, b"\x01\x03\xff\x04\x0a\x0b");

    let explorer = rig
        .net
        .to_get(&Case::POLLING.query())
        .header("user-agent", "Mozilla/5.0 (compatible;MSIE 9.0)");
    let opened = rig.net.request(&explorer).await;
    assert_eq!(opened.header("x-xss-protection"), Some("0"));
}

#[tokio::test]
async fn old_browsers_of_revision_3_get_binary_payloads() {
    let rig = EngineRig::tcp(config()).await;
    let query = format!("{}&t=1412000000000-0", Case::POLLING_V3.query());
    let opened = rig.net.get(&query).await;
    assert_eq!(
        opened.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(opened.body[0], 0);
    let opened = rig.net.get(&format!("{query}&b64=1")).await;
    assert_eq!(
        opened.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
}

#[tokio::test]
async fn cookie_comes_with_polling_handshakes_only() {
    let rig = EngineRig::tcp(config().cookie(Cookie::new("io"))).await;
    let opened = rig.net.get(&Case::POLLING.query()).await;
    let json = opened.text().strip_prefix('0').unwrap();
    let sid = json
        .strip_prefix(r#"{"sid":""#)
        .and_then(|json| json.get(..20))
        .unwrap();
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.starts_with(&format!("io={sid};")), "{cookie}");
    assert!(cookie.contains("HttpOnly"), "{cookie}");
    let posted = rig
        .net
        .post(&format!("{}&sid={sid}", Case::POLLING.query()), "4x")
        .await;
    assert_eq!(posted.header("set-cookie"), None);
}

#[tokio::test]
async fn cors_headers_are_on_answers_and_refusals() {
    let cors = Cors::origins(["http://a.example"])
        .credentials(true)
        .exposed_headers("x-a");
    let rig = EngineRig::tcp(config().cors(cors)).await;
    for query in [Case::POLLING.query(), "transport=tobi".to_owned()] {
        let request = rig.net.to_get(&query).header("origin", "http://a.example");
        let answer = rig.net.request(&request).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some("http://a.example"));
        let credentials = answer.header("access-control-allow-credentials");
        assert_eq!(credentials, Some("true"));
        let exposed = answer.header("access-control-expose-headers");
        assert_eq!(exposed, Some("x-a"));
        assert_eq!(answer.header("vary"), Some("Origin"));

        let request = rig.net.to_get(&query).header("origin", "http://b.example");
        let answer = rig.net.request(&request).await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn preflight_is_answered_with_204() {
    let cors = Cors::any().max_age(Duration::from_secs(60));
    let rig = EngineRig::tcp(config().cors(cors)).await;
    let request = rig
        .net
        .to_get(&Case::POLLING.query())
        .method("OPTIONS")
        .header("origin", "http://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-token");
    let answer = rig.net.request(&request).await;
    assert_eq!(answer.brief(), (204, ""));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let methods = answer.header("access-control-allow-methods").unwrap();
    assert!(methods.contains("POST"), "{methods}");
    let headers = answer.header("access-control-allow-headers");
    assert_eq!(headers, Some("x-token"));
    assert_eq!(answer.header("access-control-max-age"), Some("60"));
    assert_eq!(rig.engine.session_count(), 0);
}

#[tokio::test]
async fn header_hooks_see_their_requests() {
    let hooked = config()
        .initial_headers(|headers, _| {
            headers.insert("x-first", "yes".parse().unwrap());
        })
        .headers(|headers, parts| {
            let method = parts.method.as_str().parse().unwrap();
            headers.insert("x-method", method);
        });
    let rig = EngineRig::tcp(hooked).await;
    let client = Client::open(&rig.net, Case::POLLING).await;
    let opened = rig.net.get(&Case::POLLING.query()).await;
    assert_eq!(opened.header("x-first"), Some("yes"));
    assert_eq!(opened.header("x-method"), Some("GET"));
    let posted = client.post("4x").await;
    assert_eq!(posted.header("x-first"), None);
    assert_eq!(posted.header("x-method"), Some("POST"));
    let refused = rig.net.get("transport=tobi").await;
    assert_eq!(refused.header("x-first"), None);
    assert_eq!(refused.header("x-method"), Some("GET"));

    let upgrade = |query: String| {
        rig.net
            .to_get(&query)
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let opened = rig.net.request(&upgrade(Case::WEBSOCKET.query())).await;
    assert_eq!(opened.status, 101);
    assert_eq!(opened.header("x-first"), Some("yes"));
    assert_eq!(opened.header("x-method"), Some("GET"));
    let query = format!("{}&sid={}", Case::WEBSOCKET.query(), client.sid());
    let joined = rig.net.request(&upgrade(query)).await;
    assert_eq!(joined.status, 101);
    assert_eq!(joined.header("x-first"), None);
    assert_eq!(joined.header("x-method"), Some("GET"));
}

#[tokio::test]
async fn first_subprotocol_is_echoed() {
    let rig = EngineRig::tcp(config()).await;
    let request = rig
        .net
        .to_get(&Case::WEBSOCKET.query())
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "first, second")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = rig.net.request(&request).await;
    assert_eq!(answer.header("sec-websocket-protocol"), Some("first"));
}

#[tokio::test]
async fn files_are_served_below_the_path() {
    let file = StaticFile::new("a.js", "text/javascript", "plain").encoded("gzip", "packed");
    let rig = EngineRig::tcp(config().file(Arc::new(file))).await;
    let request = Request::get("/engine.io/a.js?v=1").header("accept-encoding", "gzip");
    let answer = rig.net.request(&request).await;
    assert_eq!(answer.brief(), (200, "packed"));
    assert_eq!(answer.header("content-type"), Some("text/javascript"));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let tag = answer.header("etag").unwrap();
    let request = Request::get("/engine.io/a.js").header("if-none-match", tag);
    assert_eq!(rig.net.request(&request).await.brief(), (304, ""));
    let missing = Request::get("/engine.io/b.js");
    let answer = rig.net.request(&missing).await;
    assert_eq!(answer.brief(), (400, UNKNOWN_TRANSPORT));
}
