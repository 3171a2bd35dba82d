//! Layers around the engine's answers, and what is told of requests that are refused.

use std::error::Error;

use http::{HeaderValue, Request, Response, StatusCode};
use sockeye_listen::{Body, ConnectionInfo, Cors, EngineConfig, RequestBody, RequestService};
use sockeye_testkit::{Case, Client, EngineRig, Log, Net, WebSocket};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt, service_fn};

type BoxError = Box<dyn Error + Send + Sync>;

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq)]
struct User(String);

/// Lets in who says who they are, and tells everybody else apart from `nobody`, for whom it fails.
async fn authenticate(
    mut inner: RequestService,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, BoxError> {
    tokio::task::yield_now().await;
    let user = request.headers().get("x-user");
    let Some(user) = user.and_then(|user| user.to_str().ok()) else {
        let mut response = Response::new(Body::from("who are you?"));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return Ok(response);
    };
    if user == "nobody" {
        return Err("the users are gone".into());
    }
    let user = User(user.to_owned());
    request.extensions_mut().insert(user);
    let mut response = inner.call(request).await?;
    let seen = HeaderValue::from_static("yes");
    response.headers_mut().insert("x-seen", seen);
    Ok(response)
}

fn authenticating() -> EngineConfig {
    EngineConfig::default().layer(layer_fn(|inner: RequestService| {
        service_fn(move |request| authenticate(inner.clone(), request))
    }))
}

/// Tells of each request that it sees.
fn telling(
    log: &Log<String>,
    name: &'static str,
) -> impl Layer<
    RequestService,
    Service: Service<
        Request<RequestBody>,
        Response = Response<Body>,
        Error = BoxError,
        Future: Send,
    > + Clone
                 + Send
                 + Sync
                 + 'static,
> + Send
+ Sync
+ use<> {
    let log = log.clone();
    layer_fn(move |inner: RequestService| {
        let log = log.clone();
        inner.map_request(move |request: Request<RequestBody>| {
            log.push(format!("{name} {}", request.method()));
            request
        })
    })
}

fn refusals(config: EngineConfig, log: &Log<String>) -> EngineConfig {
    let log = log.clone();
    config.on_connection_error(move |error| {
        let request = error.request();
        let known = request.extensions.get::<ConnectionInfo>();
        assert!(known.is_some_and(|info| info.remote_addr.is_some()));
        let cause = error.source().map(ToString::to_string);
        let (code, context) = (error.code(), error.context().unwrap_or("-"));
        let line = format!("{} {code} {context} {:?}", request.method, cause);
        assert!(error.to_string().starts_with(error.message()));
        log.push(line);
    })
}

async fn as_user(net: &Net, query: &str, user: &str) -> sockeye_testkit::Response {
    net.request(&net.to_get(query).header("x-user", user)).await
}

#[tokio::test]
async fn layer_may_refuse_before_there_is_a_session() {
    let log = Log::new();
    let rig = EngineRig::tcp(refusals(authenticating(), &log)).await;
    let query = Case::POLLING.query();
    let answer = rig.net.get(&query).await;
    assert_eq!(answer.brief(), (401, "who are you?"));
    let answer = WebSocket::connect(&rig.net, &Case::WEBSOCKET.query()).await;
    assert_eq!(answer.unwrap_err().brief(), (401, "who are you?"));
    assert_eq!(rig.engine.session_count(), 0);
    assert!(log.rest().is_empty(), "it was the layer's own answer");
    // One that fails is told of.
    let answer = as_user(&rig.net, &query, "nobody").await;
    assert_eq!(
        answer.brief(),
        (400, r#"{"code":3,"message":"Bad request"}"#)
    );
    let expected = r#"GET 3 MIDDLEWARE_FAILURE Some("the users are gone")"#;
    assert_eq!(log.next().await, expected);
    assert_eq!(rig.engine.session_count(), 0);
}

#[tokio::test]
async fn what_a_layer_adds_is_kept_with_the_handshake_and_sent_with_the_answer() {
    let mut rig = EngineRig::tcp(authenticating()).await;
    let answer = as_user(&rig.net, &Case::POLLING.query(), "ann").await;
    assert_eq!((answer.status, answer.header("x-seen")), (200, Some("yes")));
    let session = rig.session().await;
    assert_eq!(session.handshake.extension(), Some(&User("ann".to_owned())));
    assert_eq!(session.handshake.extensions().len(), 1);
    assert!(session.handshake.remote_addr().is_some());
}

#[tokio::test]
async fn everything_works_through_layers() {
    let log = Log::new();
    let config = EngineConfig::default()
        .layer(telling(&log, "outer"))
        .layer(telling(&log, "inner"));
    let rig = EngineRig::tcp(config).await;
    let mut client = Client::open(&rig.net, Case::POLLING).await;
    client.send_text("ä".repeat(100_000).as_str()).await;
    assert_eq!(client.text().await.len(), 200_000);
    for method in ["GET", "POST", "GET"] {
        assert_eq!(log.next().await, format!("outer {method}"));
        assert_eq!(log.next().await, format!("inner {method}"));
    }
    client.upgrade().await;
    client.send_text("on the websocket").await;
    assert_eq!(client.text().await, "on the websocket");
    let mut direct = Client::open(&rig.net, Case::WEBSOCKET_V3).await;
    direct.send_text("at once").await;
    assert_eq!(direct.text().await, "at once");
}

#[tokio::test]
async fn preflight_requests_do_not_get_to_layers() {
    let log = Log::new();
    let config = EngineConfig::default()
        .cors(Cors::any())
        .layer(telling(&log, "layer"));
    let rig = EngineRig::tcp(config).await;
    let request = rig.net.to_get("").method("OPTIONS");
    let request = request
        .header("origin", "https://app.example")
        .header("access-control-request-method", "GET");
    assert_eq!(rig.net.request(&request).await.status, 204);
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn refused_requests_are_told_with_code_and_context() {
    let log = Log::new();
    let config = refusals(EngineConfig::default().allow_v3(false), &log);
    let config = config.allow_request(async |handshake| match handshake.header("x-user") {
        Some("mallory") => Err("not you".to_owned()),
        _ => Ok(()),
    });
    let rig = EngineRig::tcp(config).await;
    let mut client = Client::open(&rig.net, Case::POLLING).await;
    let websocket_session = Client::open(&rig.net, Case::WEBSOCKET).await;
    let mismatch = format!("EIO=4&transport=polling&sid={}", websocket_session.sid());
    let revision = format!("EIO=3&transport=polling&sid={}", client.sid());
    for (query, expected) in [
        ("EIO=4&transport=tobi", "GET 0 - None"),
        ("EIO=4&transport=polling&sid=nobody", "GET 1 - None"),
        (
            "EIO=4&transport=websocket",
            "GET 3 TRANSPORT_HANDSHAKE_ERROR None",
        ),
        (&mismatch, "GET 3 TRANSPORT_MISMATCH None"),
        (&revision, "GET 3 PROTOCOL_MISMATCH None"),
        ("EIO=3&transport=polling", "GET 5 - None"),
    ] {
        rig.net.get(query).await;
        assert_eq!(log.next().await, expected, "{query}");
    }
    as_user(&rig.net, &Case::POLLING.query(), "mallory").await;
    assert_eq!(log.next().await, "GET 4 - None");
    let request = rig.net.to_get(&Case::POLLING.query()).method("PUT");
    rig.net.request(&request).await;
    assert_eq!(log.next().await, "PUT 2 - None");
    // What is wrong with a request of a session is that session's affair.
    let request = rig.net.to_get(&client.query()).method("PUT");
    assert_eq!(rig.net.request(&request).await.status, 500);
    client.send_text("still here").await;
    assert!(log.rest().is_empty());
}
