//! The server inside other tower applications.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use sockeye_server::{
    ConnectionInfo, Data, Extension, ExtractError, Handshake, Server, ServerConfig,
};
use sockeye_testkit::{Case, Log, Net, Peer, Request, ServerRig};
use tokio::net::TcpListener;

fn server() -> Server {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    io
}

/// Serves this on a free port.
async fn serve(app: Router) -> Net {
    serve_at(app, "/socket.io/").await
}

/// The same for peers that ask below this path.
async fn serve_at(app: Router, path: &str) -> Net {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    Net::tcp(address, path)
}

/// Sees to it that Socket.IO is there, on every transport, and the site beside it.
async fn expect_both(net: &Net) {
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut peer = Peer::open(net, case).await;
        peer.join("/").await;
        peer.send(r#"21["echo","hello"]"#).await;
        peer.expect(r#"31["hello"]"#).await;
    }
    let site = net.request(&Request::get("/")).await;
    assert_eq!(site.brief(), (200, "the site"));
    let missing = net.request(&Request::get("/missing")).await;
    assert_eq!(missing.brief(), (404, "nothing here"));
}

/// An application that has an answer for everything.
fn site() -> Router {
    Router::new()
        .route("/", get(async || "the site"))
        .fallback(async || (StatusCode::NOT_FOUND, "nothing here"))
}

#[tokio::test]
async fn axum_application_with_the_layer_serves_both() {
    let io = server();
    let app = Router::new()
        .route("/", get(async || "the site"))
        .layer(io.layer());
    let net = serve(app).await;
    let site = net.request(&Request::get("/")).await;
    assert_eq!(site.brief(), (200, "the site"));
    let missing = net.request(&Request::get("/missing")).await;
    assert_eq!(missing.status, 404);
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        let mut peer = Peer::open(&net, case).await;
        peer.join("/").await;
        peer.send(r#"21["echo","hello"]"#).await;
        peer.expect(r#"31["hello"]"#).await;
        if case.is_polling() {
            peer.client.upgrade().await;
            peer.send(r#"22["echo","upgraded"]"#).await;
            peer.expect(r#"32["upgraded"]"#).await;
        }
    }
}

#[tokio::test]
async fn service_can_be_mounted_as_a_fallback() {
    let io = server();
    let app = Router::new()
        .route("/", get(async || "the site"))
        .fallback_service(io.service());
    let net = serve(app).await;
    let mut peer = Peer::open(&net, Case::WEBSOCKET).await;
    peer.join("/").await;
    peer.expect_nothing(1).await;
    let missing = net.request(&Request::get("/missing")).await;
    assert_eq!(missing.status, 404);
}

/// Which is why the guide says to add it to the outermost router: axum asks the layers of a router
/// for what the router has, and what none has goes to the outermost one's fallback.
#[tokio::test]
async fn layer_of_a_router_inside_another_is_not_asked() {
    let io = server();
    let inner = || {
        Router::new()
            .route("/inner", get(async || "inner"))
            .layer(io.layer())
    };
    let merged = site().merge(inner());
    let nested = site().nest("/api", inner());
    for (app, path) in [(merged, "/socket.io/"), (nested, "/api/socket.io/")] {
        let net = serve_at(app, path).await;
        let answer = net.get(&Case::POLLING.query()).await;
        assert_eq!(answer.brief(), (404, "nothing here"));
    }
}

#[tokio::test]
async fn layer_around_merged_and_nested_routers_serves_all() {
    let io = server();
    let inner = Router::new().route("/inner", get(async || "inner"));
    let app = site()
        .merge(inner.clone())
        .nest("/api", inner)
        .layer(io.layer());
    let net = serve(app).await;
    expect_both(&net).await;
    for path in ["/inner", "/api/inner"] {
        let answer = net.request(&Request::get(path)).await;
        assert_eq!(answer.brief(), (200, "inner"));
    }
}

#[tokio::test]
async fn service_with_routes_can_be_merged() {
    let io = server();
    let realtime = Router::new()
        .route_service("/socket.io/", io.service())
        .route_service("/socket.io/{file}", io.service());
    let net = serve(site().merge(realtime)).await;
    expect_both(&net).await;
    let client = net.request(&Request::get("/socket.io/sockeye.js")).await;
    assert_eq!(client.status, 200);
}

#[tokio::test]
async fn service_can_be_nested_below_a_prefix() {
    let io = server();
    let net = serve_at(site().nest_service("/api", io.service()), "/api/socket.io/").await;
    expect_both(&net).await;
    let client = net
        .request(&Request::get("/api/socket.io/sockeye.js"))
        .await;
    assert_eq!(client.status, 200);
}

#[tokio::test]
async fn service_can_be_nested_as_its_own_path() {
    let config = ServerConfig::default().engine(|engine| engine.path("/"));
    let io = Server::with_config(config).unwrap();
    io.on("echo", |Data(text): Data<String>| text);
    let app = site().nest_service("/socket.io", io.service());
    let net = serve(app).await;
    expect_both(&net).await;
    let client = net.request(&Request::get("/socket.io/sockeye.js")).await;
    assert_eq!(client.status, 200);
}

#[tokio::test]
async fn servers_share_an_application_by_their_paths() {
    let nested = || {
        let config = ServerConfig::default().engine(|engine| engine.path("/"));
        Server::with_config(config).unwrap()
    };
    let servers = [("/socket.io", nested()), ("/live", nested())];
    let mut app = site();
    for (path, io) in &servers {
        let name = *path;
        io.on("who", move || name);
        app = app.nest_service(path, io.service());
    }
    let net = serve(app).await;
    for (path, io) in &servers {
        let net = Net::tcp(net.address(), &format!("{path}/"));
        let mut peer = Peer::open(&net, Case::WEBSOCKET).await;
        peer.join("/").await;
        peer.send(r#"21["who"]"#).await;
        peer.expect(&format!(r#"31["{path}"]"#)).await;
        assert_eq!(io.sockets().len(), 1);
    }
}

#[tokio::test]
async fn fallback_of_a_nested_router_can_be_the_service() {
    let io = server();
    let inner = Router::new()
        .route("/inner", get(async || "inner"))
        .fallback_service(io.service());
    let net = serve_at(site().nest("/api", inner), "/api/socket.io/").await;
    expect_both(&net).await;
}

#[tokio::test]
async fn address_in_the_request_ends_up_in_the_handshake() {
    let io = server();
    let log = Log::new();
    let entries = log.clone();
    io.on_connect(move |handshake: Handshake| {
        entries.push((handshake.remote_addr(), handshake.is_secure()));
    });
    let address: SocketAddr = "192.0.2.7:1234".parse().unwrap();
    let info = ConnectionInfo {
        remote_addr: Some(address),
        secure: true,
    };
    let app = Router::new()
        .fallback_service(io.service())
        .layer(axum::Extension(info));
    let net = serve(app).await;
    let mut peer = Peer::open(&net, Case::WEBSOCKET).await;
    peer.join("/").await;
    assert_eq!(log.next().await, (Some(address), true));
}

/// Who a layer in front of the server has found.
#[derive(Clone, Debug, PartialEq)]
struct User(String);

/// A layer as those of sessions and tokens are.
async fn log_in(mut request: axum::extract::Request, next: Next) -> Response {
    request.extensions_mut().insert(User("Ann".to_owned()));
    next.run(request).await
}

#[tokio::test]
async fn what_a_layer_found_out_about_a_request_reaches_handlers() {
    let io = Server::new();
    io.on(
        "whoami",
        async |handshake: Handshake, Extension(User(name)): Extension<User>| {
            assert_eq!(handshake.extension(), Some(&User(name.clone())));
            name
        },
    );
    io.of("/members")
        .middleware(|user: Result<Extension<User>, ExtractError>| {
            user.map(drop).map_err(|_| "log in first")
        });
    let app = Router::new()
        .fallback_service(io.service())
        .layer(axum::middleware::from_fn(log_in));
    let net = serve(app).await;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut peer = Peer::open(&net, case).await;
        peer.join("/").await;
        peer.send(r#"21["whoami"]"#).await;
        peer.expect(r#"31["Ann"]"#).await;
        if case.is_polling() {
            peer.client.upgrade().await;
            peer.send(r#"22["whoami"]"#).await;
            peer.expect(r#"32["Ann"]"#).await;
        }
        peer.join("/members").await;
    }
}

#[tokio::test]
async fn extension_that_a_request_has_not_is_an_error_of_the_event() {
    let io = Server::new();
    let log = Log::new();
    let errors = log.clone();
    io.on_error(move |_, error| errors.push(format!("{error:#}")));
    io.on("whoami", |Extension(User(name)): Extension<User>| name);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"21["whoami"]"#).await;
    peer.expect(r#"31[{"error":{"message":"internal error"}}]"#)
        .await;
    let error = log.next().await;
    assert!(error.contains("no extension of type"), "{error}");
    assert!(error.ends_with("User"), "{error}");
}

#[tokio::test]
async fn handlers_can_take_the_server_itself() {
    let io = Server::new();
    io.of("/admin").on("count", async |io: Server| {
        io.emit("counted", io.sockets().len()).unwrap();
        io.connection_count()
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/admin").await;
    peer.send(r#"2/admin,1["count"]"#).await;
    peer.expect(r#"2["counted",1]"#).await;
    peer.expect("3/admin,1[1]").await;
}
