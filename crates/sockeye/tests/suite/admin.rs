//! What the page `@socket.io/admin-ui` is told of a server, and may do there.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use sockeye::admin::{AdminConfig, Credentials, MemorySessions, Mode, instrument};
use sockeye::cluster::MemoryHub;
use sockeye::testing::{self, Client};
use sockeye::{
    Args, Bytes, ConnectError, Data, Refusal, Revision, Server, ServerConfig, Socket,
    TransportKind, Value, json,
};

/// Of `correct horse`.
const HASH: &str = "$2b$04$RtUxz7y8RotfvMAp04Ohx.2N7sW1eEpXV8AYZtrh/W6orpG0zxqtK";

fn protected() -> AdminConfig {
    AdminConfig::new(Credentials::new("ann", HASH).unwrap())
}

fn app(config: AdminConfig) -> testing::Server {
    with(ServerConfig::default(), config)
}

fn with(server: ServerConfig, config: AdminConfig) -> testing::Server {
    let io = Server::with_config(server).unwrap();
    instrument(&io, config).unwrap();
    for name in ["/", "/chat"] {
        io.of(name)
            .on("join", |socket: Socket, Data(room): Data<String>| {
                socket.join(room);
                true
            })
            .on("leave", |socket: Socket, Data(room): Data<String>| {
                socket.leave(&room);
                true
            })
            .on("echo", |args: Args| args);
    }
    testing::Server::new(io)
}

/// A page that has been told of all there is.
async fn page(app: &testing::Server) -> Client {
    let page = app.connect("/admin").await.unwrap();
    page.next_event("all_sockets").await;
    page
}

/// Waits for an event about a socket that is not the page itself.
async fn of(page: &Client, what: &str, namespace: &str) -> Vec<Value> {
    loop {
        let args: Args = page.next(what).await;
        let args: Vec<Value> = args
            .iter()
            .map(|arg| serde_json::from_str(arg).unwrap())
            .collect();
        let about = args[0].as_str().or_else(|| args[0]["nsp"].as_str());
        if about == Some(namespace) {
            return args;
        }
    }
}

fn is_date(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

#[tokio::test(start_paused = true)]
async fn page_is_told_of_sockets_and_rooms() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    let alice = app.connect("/chat").await.unwrap();
    let id = alice.id().unwrap().to_string();

    let joined = of(&page, "room_joined", "/chat").await;
    assert_eq!(joined[..3], [json!("/chat"), json!(id), json!(id)]);
    let connected = of(&page, "socket_connected", "/chat").await;
    let socket = connected[0].as_object().unwrap();
    assert_eq!(socket["id"], id);
    assert_eq!(socket["transport"], "websocket");
    assert_eq!(socket["rooms"], json!([id]));
    assert_eq!(socket["data"], json!({}));
    assert_eq!(socket["clientId"].as_str().unwrap().len(), 12);
    assert_eq!(socket["handshake"]["query"]["EIO"], "4");
    assert!(is_date(&connected[1]));

    let _: bool = alice.emit_with_ack("join", "red").await.unwrap();
    let joined = of(&page, "room_joined", "/chat").await;
    assert_eq!(joined[..3], [json!("/chat"), json!("red"), json!(id)]);
    assert!(is_date(&joined[3]));
    let _: bool = alice.emit_with_ack("leave", "red").await.unwrap();
    let left = of(&page, "room_left", "/chat").await;
    assert_eq!(left[..3], [json!("/chat"), json!("red"), json!(id)]);

    alice.disconnect();
    let left = of(&page, "room_left", "/chat").await;
    assert_eq!(left[..3], [json!("/chat"), json!(id), json!(id)]);
    let gone = of(&page, "socket_disconnected", "/chat").await;
    let reason = "client namespace disconnect";
    assert_eq!(gone[..3], [json!("/chat"), json!(id), json!(reason)]);
    assert!(is_date(&gone[3]));
}

#[tokio::test(start_paused = true)]
async fn page_is_told_of_events_both_ways_with_their_attachments() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    let alice = app.connect("/chat").await.unwrap();
    let id = alice.id().unwrap().to_string();

    let data = Bytes::from_static(b"abc");
    let _: Args = alice
        .emit_with_ack("echo", (1, &data, "]\""))
        .await
        .unwrap();
    type Told = (String, String, (String, u32, Bytes, String), String);
    let (namespace, who, what, date) = page.next::<Told>("event_received").await;
    assert_eq!((&*namespace, &*who), ("/chat", &*id));
    assert_eq!(what, ("echo".to_owned(), 1, data, "]\"".to_owned()));
    assert!(is_date(&json!(date)));

    app.of("/chat").emit("news", ()).unwrap();
    let (.., what, _) = page
        .next::<(Value, Value, Vec<String>, Value)>("event_sent")
        .await;
    assert_eq!(what, ["news"]);
    // Nor is it told of what it is told.
    page.emit("join", ("/admin", "r")).unwrap();
    testing::settle().await;
    let names = page.take_events();
    assert!(names.iter().all(|event| !event.name.starts_with("event_")));
}

#[tokio::test(start_paused = true)]
async fn of_large_events_the_size_is_told() {
    let app = app(AdminConfig::unprotected().max_event_bytes(100));
    let page = page(&app).await;
    app.connect("/")
        .await
        .unwrap()
        .emit("large", "x".repeat(200))
        .unwrap();
    let (.., what, _) = page
        .next::<(Value, Value, Vec<String>, Value)>("event_received")
        .await;
    assert_eq!(what, ["large", "(207 bytes)"]);
}

#[tokio::test(start_paused = true)]
async fn page_is_told_of_upgrades_and_of_data_that_change() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    let kinds = [TransportKind::Polling, TransportKind::WebSocket];
    let alice = app
        .connect("/")
        .with(move |client| {
            client.config(move |config| config.connector(|connector| connector.transports(kinds)))
        })
        .await
        .unwrap();
    let connected = of(&page, "socket_connected", "/").await;
    assert_eq!(connected[0]["transport"], "polling");
    let id = alice.id().unwrap().to_string();
    let updated = of_updated(&page).await;
    let expected = json!({ "id": id, "nsp": "/", "transport": "websocket" });
    assert_eq!(updated, expected);

    let socket = app.socket(&id).unwrap();
    socket.set_shared_data(json!({ "name": "Ann" })).unwrap();
    let expected = json!({ "id": id, "nsp": "/", "data": { "name": "Ann" } });
    assert_eq!(of_updated(&page).await, expected);
    testing::pass(Duration::from_secs(10)).await;
    let again = page.take_events();
    let again = again
        .iter()
        .filter(|event| &*event.name == "socket_updated");
    assert_eq!(again.count(), 0, "it is told once");
}

async fn of_updated(page: &Client) -> Value {
    page.next("socket_updated").await
}

#[tokio::test(start_paused = true)]
async fn page_that_comes_late_is_told_of_all_sockets() {
    let app = app(AdminConfig::unprotected());
    let alice = app.connect("/").await.unwrap();
    let _: bool = alice.emit_with_ack("join", "red").await.unwrap();
    let bob = app.connect("/chat").await.unwrap();
    let page = app.connect("/admin").await.unwrap();
    let sockets: Vec<Value> = page.next::<(Vec<Value>,)>("all_sockets").await.0;
    assert_eq!(sockets.len(), 3, "the page's own is one");
    let find = |id: &str| sockets.iter().find(|socket| socket["id"] == id).unwrap();
    let id = alice.id().unwrap().to_string();
    let rooms = find(&id)["rooms"].as_array().unwrap();
    assert!(rooms.contains(&json!("red")) && rooms.contains(&json!(id)));
    assert_eq!(find(&bob.id().unwrap())["nsp"], "/chat");
    let mut clients: Vec<_> = sockets
        .iter()
        .map(|socket| socket["clientId"].to_string())
        .collect();
    clients.sort();
    clients.dedup();
    assert_eq!(clients.len(), 3, "each has a connection of its own");
}

#[tokio::test(start_paused = true)]
async fn sockets_of_one_connection_are_one_client() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    let alice = app.connect("/").await.unwrap();
    let other = alice.client().socket("/chat");
    other.connect().await.unwrap();
    let first = of(&page, "socket_connected", "/").await;
    let second = of(&page, "socket_connected", "/chat").await;
    assert_eq!(first[0]["clientId"], second[0]["clientId"]);
}

#[tokio::test(start_paused = true)]
async fn sockets_that_are_refused_are_not_told() {
    let io = Server::new();
    instrument(&io, AdminConfig::unprotected()).unwrap();
    io.middleware(|socket: Socket| {
        socket.join("red");
        Err::<(), _>(Refusal::new("no"))
    });
    let app = testing::Server::new(io);
    let page = page(&app).await;
    testing::settle().await;
    let _ = page.take_events();
    assert!(app.connect("/").await.is_err());
    page.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn page_emits_moves_and_disconnects_sockets() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    let alice = app.connect("/chat").await.unwrap();
    let bob = app.connect("/chat").await.unwrap();
    let id = alice.id().unwrap().to_string();

    page.emit("emit", ("/chat", (), "all", 1, Bytes::from_static(b"x")))
        .unwrap();
    for client in [&alice, &bob] {
        let (n, data): (u32, Bytes) = client.next("all").await;
        assert_eq!((n, &data[..]), (1, &b"x"[..]));
    }
    page.emit("emit", ("/chat", &id, "one")).unwrap();
    alice.next_event("one").await;
    bob.hears_nothing().await;

    page.emit("join", ("/chat", "red", &id)).unwrap();
    page.emit("join", ("/chat", "everybody")).unwrap();
    testing::settle().await;
    let chat = app.of("/chat");
    let count = |room: &str| chat.to(room).sockets().len();
    assert_eq!((count("red"), count("everybody")), (1, 2));
    page.emit("leave", ("/chat", "everybody", "red")).unwrap();
    testing::settle().await;
    assert_eq!(count("everybody"), 1);
    page.emit("leave", ("/chat", "everybody", Value::Null))
        .unwrap();
    testing::settle().await;
    assert_eq!(count("everybody"), 0);

    page.emit("_disconnect", ("/chat", false, &id)).unwrap();
    alice.until_disconnected().await;
    assert!(bob.connected());
    page.emit("_disconnect", ("/chat", true)).unwrap();
    bob.until_disconnected().await;

    // What makes no sense does no harm, and makes no namespaces.
    page.emit("emit", ("/nowhere", (), "x")).unwrap();
    page.emit("emit", ("/chat", (), "disconnect")).unwrap();
    page.emit("emit", 7).unwrap();
    page.emit("_disconnect", ("/chat", "yes", [1])).unwrap();
    testing::settle().await;
    assert!(app.namespace("/nowhere").is_none());
    assert!(page.connected());
}

#[tokio::test(start_paused = true)]
async fn features_are_what_the_page_may_do_and_is_told() {
    let all = [
        "EMIT",
        "JOIN",
        "LEAVE",
        "DISCONNECT",
        "MJOIN",
        "MLEAVE",
        "MDISCONNECT",
        "AGGREGATED_EVENTS",
        "ALL_EVENTS",
    ];
    let open = AdminConfig::unprotected;
    for (config, features) in [
        (open(), &all[..]),
        (open().mode(Mode::Production), &all[..8]),
        (open().read_only(true), &all[7..]),
        (open().read_only(true).mode(Mode::Production), &all[7..8]),
    ] {
        let app = app(config);
        let page = app.connect("/admin").await.unwrap();
        let config: Value = page.next("config").await;
        assert_eq!(config, json!({ "supportedFeatures": features }));
    }
}

#[tokio::test(start_paused = true)]
async fn read_only_page_changes_nothing() {
    let app = app(AdminConfig::unprotected().read_only(true));
    let page = page(&app).await;
    let alice = app.connect("/").await.unwrap();
    page.emit("emit", ("/", (), "all")).unwrap();
    page.emit("join", ("/", "red")).unwrap();
    page.emit("_disconnect", ("/", true)).unwrap();
    alice.hears_nothing().await;
    assert!(alice.connected());
    assert_eq!(app.to("red").sockets().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn production_tells_figures_alone() {
    let app = app(AdminConfig::unprotected().mode(Mode::Production));
    let page = app.connect("/admin").await.unwrap();
    let alice = app.connect("/").await.unwrap();
    let _: Args = alice.emit_with_ack("echo", 1).await.unwrap();
    testing::pass(Duration::from_secs(5)).await;
    let names = page.take_events();
    let mut names: Vec<_> = names.iter().map(|event| &*event.name).collect();
    names.dedup();
    assert_eq!(names, ["config", "server_stats"]);
}

#[tokio::test(start_paused = true)]
async fn figures_are_told_every_two_seconds_with_what_was_counted() {
    let app = app(AdminConfig::unprotected().server_id("one"));
    let page = app.connect("/admin").await.unwrap();
    let first: Value = page.next("server_stats").await;
    let alice = app.connect("/").over(TransportKind::Polling).await.unwrap();
    let _: Args = alice.emit_with_ack("echo", "x".repeat(1000)).await.unwrap();
    let began = tokio::time::Instant::now();
    let second: Value = page.next("server_stats").await;
    let _: Value = page.next("server_stats").await;
    assert!((2..=4).contains(&began.elapsed().as_secs()));

    assert_eq!(first["serverId"], "one");
    assert_eq!(first["pid"], std::process::id());
    assert!(first["hostname"].is_string() && first["uptime"].is_f64());
    assert_eq!(
        (&first["clientsCount"], &second["clientsCount"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(second["pollingClientsCount"], 1);
    let namespaces = second["namespaces"].as_array().unwrap();
    assert!(namespaces.contains(&json!({ "name": "/", "socketsCount": 1 })));
    assert!(namespaces.contains(&json!({ "name": "/chat", "socketsCount": 0 })));

    let sum = |kind: &str| {
        let events = second["aggregatedEvents"].as_array().unwrap();
        let of_kind = events.iter().filter(|event| event["type"] == kind);
        of_kind
            .map(|event| event["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (sum("rawConnection"), sum("packetsIn")),
        (1, 2),
        "CONNECT and the event"
    );
    let event = format!("420[\"echo\",\"{}\"]", "x".repeat(1000)).len() as u64 - 1;
    assert_eq!(
        sum("bytesIn"),
        1 + event,
        "without the type of the engine's packet"
    );
    assert!(sum("packetsOut") >= 2 && sum("bytesOut") > 1000);

    alice.disconnect();
    alice.client().close().await;
    let ended = async || {
        let stats: Value = page.next("server_stats").await;
        let events = stats["aggregatedEvents"].as_array().unwrap().clone();
        events
            .into_iter()
            .find(|event| event["type"] == "rawDisconnection")
    };
    let ended = match ended().await {
        Some(ended) => ended,
        None => ended().await.unwrap(),
    };
    assert_eq!(ended["subType"], "transport close");
    assert_eq!(ended["timestamp"].as_u64().unwrap() % 1000, 0);
}

async fn refusal(app: &testing::Server, auth: Value) -> String {
    match app.connect("/admin").auth(auth).await.unwrap_err() {
        ConnectError::Refused(refusal) => refusal.message().to_owned(),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_are_asked_for_or_a_session_of_somebody_who_has_shown_them() {
    let sessions = MemorySessions::new(10, Duration::from_secs(60));
    let app = app(protected().sessions(sessions));
    for wrong in [
        json!({}),
        json!({ "username": "ann" }),
        json!({ "username": "ann", "password": "wrong horse" }),
        json!({ "username": "bob", "password": "correct horse" }),
        json!({ "username": "ann", "password": HASH }),
        json!({ "username": ["ann"], "password": 7 }),
        json!({ "sessionId": "0".repeat(32) }),
        json!({ "sessionId": { "$ne": null } }),
        json!({ "username": "ann", "password": "x".repeat(10_000) }),
    ] {
        assert_eq!(refusal(&app, wrong).await, "invalid credentials");
    }
    let right = json!({ "username": "ann", "password": "correct horse" });
    let page = app.connect("/admin").auth(right).await.unwrap();
    let session: String = page.next("session").await;
    assert_eq!(session.len(), 32);
    page.disconnect();

    let again = json!({ "sessionId": session });
    let page = app.connect("/admin").auth(again).await.unwrap();
    page.next_event("config").await;
    testing::settle().await;
    assert!(
        page.take_events()
            .iter()
            .all(|event| &*event.name != "session")
    );
    testing::pass(Duration::from_secs(60)).await;
    assert_eq!(
        refusal(&app, json!({ "sessionId": session })).await,
        "invalid credentials"
    );
}

#[tokio::test(start_paused = true)]
async fn passwords_are_checked_a_few_at_a_time() {
    let app = app(protected());
    let wrong = json!({ "username": "ann", "password": "wrong" });
    let attempts = (0..100).map(|_| refusal(&app, wrong.clone()));
    let answers = futures_util::future::join_all(attempts).await;
    let count = |said: &str| answers.iter().filter(|answer| *answer == said).count();
    let (wrong_ones, busy) = (count("invalid credentials"), count("too many attempts"));
    assert!(
        wrong_ones >= 32 && busy > 0,
        "{wrong_ones} were checked, {busy} were not"
    );
    assert_eq!(wrong_ones + busy, 100);
    assert_eq!(refusal(&app, wrong).await, "invalid credentials");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_secret_is_not_told() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    let mut peer = app
        .peer(TransportKind::WebSocket)
        .query("token=hush&page=1")
        .header("Authorization", "Bearer hush")
        .header("Cookie", "sid=hush")
        .header("X-Forwarded-For", "192.0.2.7")
        .await;
    peer.send("40{\"password\":\"hush\"}").await;
    let told = of(&page, "socket_connected", "/").await;
    let handshake = &told[0]["handshake"];
    assert_eq!(handshake["headers"]["cookie"], "***");
    assert_eq!(handshake["query"]["token"], "***");
    assert_eq!(handshake["query"]["page"], "1");
    assert_eq!(handshake["address"], "192.0.2.7");
    assert!(handshake.get("auth").is_none());
    assert!(!told[0].to_string().contains("hush"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn session_of_an_old_client_is_not_told_and_its_socket_is_found() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    let peer = app.peer(TransportKind::WebSocket).revision(Revision::V3);
    let mut peer = peer.await;
    let open: Value = serde_json::from_str(peer.open_packet()).unwrap();
    let secret = open["sid"].as_str().unwrap();
    let told = of(&page, "socket_connected", "/").await;
    let id = told[0]["id"].as_str().unwrap();
    assert_eq!(told[0]["rooms"], json!([id]));
    peer.expect("40").await;
    of(&page, "room_joined", "/").await;
    page.emit("join", ("/", "red", id)).unwrap();
    assert_eq!(
        of(&page, "room_joined", "/").await[1..3],
        [json!("red"), json!(id)]
    );
    page.emit("emit", ("/", id, "hello")).unwrap();
    peer.expect("42[\"hello\"]").await;
    peer.send("42[\"hi\"]").await;
    assert_eq!(of(&page, "event_received", "/").await[1], id);
    let late = app.connect("/admin").await.unwrap();
    let all: Value = late.next::<(Value,)>("all_sockets").await.0;
    assert!(all.to_string().contains(id));
    page.emit("_disconnect", ("/", true, id)).unwrap();
    assert_eq!(of(&page, "socket_disconnected", "/").await[1], id);
    let events = page.take_events();
    let shown = format!(
        "{told:?} {all} {:?}",
        events
            .iter()
            .map(|event| event.args.as_json())
            .collect::<Vec<_>>()
    );
    assert!(!shown.contains(&secret[..8]), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn pages_of_all_servers_of_a_cluster_see_all() {
    let hub = MemoryHub::new();
    let server = |id: &str| {
        let config = ServerConfig::default().cluster(hub.server());
        with(config, AdminConfig::unprotected().server_id(id))
    };
    let (one, other) = (server("one"), server("other"));
    let early = one.connect("/chat").await.unwrap();
    let page = app_page(&other).await;
    let ids: Vec<_> = page.1.iter().map(|socket| socket["id"].clone()).collect();
    let early = early.id().unwrap().to_string();
    assert!(ids.contains(&json!(early)), "{ids:?}");
    let shown = page.1.iter().find(|socket| socket["id"] == *early).unwrap();
    assert_eq!(shown["transport"], "websocket");
    let page = page.0;

    let alice = one.connect("/chat").await.unwrap();
    let told = of(&page, "socket_connected", "/chat").await;
    assert_eq!(told[0]["id"], alice.id().unwrap().to_string());
    let mut servers = Vec::new();
    for _ in 0..4 {
        let stats: Value = page.next("server_stats").await;
        servers.push(stats["serverId"].as_str().unwrap().to_owned());
    }
    assert!(servers.contains(&"one".to_owned()) && servers.contains(&"other".to_owned()));
    page.emit("emit", ("/chat", early, "hello")).unwrap();
    page.emit("_disconnect", ("/chat", false)).unwrap();
    alice.until_disconnected().await;
}

async fn app_page(app: &testing::Server) -> (Client, Vec<Value>) {
    let page = app.connect("/admin").await.unwrap();
    let (all,) = page.next("all_sockets").await;
    (page, all)
}

#[tokio::test(start_paused = true)]
async fn dynamic_namespaces_are_shown_and_go_as_ever() {
    let io = Server::new();
    instrument(&io, AdminConfig::unprotected()).unwrap();
    let _ = io.of_pattern("/rooms/{name}").unwrap();
    let app = testing::Server::new(io);
    let page = page(&app).await;
    let alice = app.connect("/rooms/7").await.unwrap();
    of(&page, "socket_connected", "/rooms/7").await;
    alice.emit("hi", ()).unwrap();
    of(&page, "event_received", "/rooms/7").await;
    alice.disconnect();
    of(&page, "socket_disconnected", "/rooms/7").await;
    testing::settle().await;
    assert!(app.namespace("/rooms/7").is_none());
}

#[tokio::test(start_paused = true)]
async fn server_without_pages_tells_nobody_and_goes_when_it_is_dropped() {
    let app = app(AdminConfig::unprotected());
    let page = page(&app).await;
    page.client().close().await;
    drop(page);
    let alice = app.connect("/").await.unwrap();
    let _: Args = alice.emit_with_ack("echo", 1).await.unwrap();
    testing::settle().await;
    alice.client().close().await;
    // A client of a test keeps the door.
    drop(alice);
    let weak = app.downgrade();
    app.close().await;
    drop(app);
    testing::pass(Duration::from_secs(5)).await;
    assert!(weak.upgrade().is_none(), "handlers and tasks keep nothing");
    assert!(weak.namespace("/").is_none());
}
