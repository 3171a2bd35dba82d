//! What NATS wants to be shown by whoever connects, and what it lets them do.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use futures_util::StreamExt;
use nkeys::KeyPair;
use serde_json::{Value, json};
use sockeye_adapter::{ClusterChange, ClusterState};
use sockeye_adapter_nats::Nats;
use sockeye_testkit::cluster::{
    Engine, broadcasts_reach_the_sockets_of_all_servers_once, eventually, meet, settled,
};
use sockeye_testkit::engines;

/// What somebody says of somebody, signed, as an operator's servers want it.
fn claim(by: &KeyPair, of: &KeyPair, what: &Value) -> String {
    let claims = json!({
        "jti": "1", "iat": 1_700_000_000, "iss": by.public_key(), "sub": of.public_key(), "name": "test", "nats": what,
    });
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let encode = |json: &Value| BASE64.encode(json.to_string());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let signature = by.sign(text.as_bytes()).expect("it has a seed");
    format!("{text}.{}", BASE64.encode(signature))
}

/// A cluster forms with what `right` says, and not with what `wrong` says.
async fn only_the_right_one_is_let_in(
    server: &engines::Engine,
    right: impl Fn(Nats) -> Nats + Send + Sync + 'static,
    wrong: impl Fn(Nats) -> Nats + Send + Sync + 'static,
) {
    let url = server.url();
    let nats = move || Nats::new(&url).expect("a URL of NATS");
    let again = nats.clone();
    let engine = Engine::with_config(move |config| wrong(again()).cluster(config));
    let node = engine.node("stranger");
    let cluster = node.io.cluster().expect("a cluster");
    eventually("it is refused", async || {
        matches!(cluster.state(), ClusterState::Degraded(why) if why.contains("Authorization"))
    })
    .await;
    let engine = Engine::with_config(move |config| right(nats()).cluster(config));
    broadcasts_reach_the_sockets_of_all_servers_once(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_may_not_subscribe_stays_degraded_until_it_may() {
    let denied = r#"subscribe: { deny: "socket.io.*.node.>" }"#;
    let Some((engine, server)) = user("denied", denied) else {
        return;
    };
    let node = engine.node("deaf");
    let cluster = node.io.cluster().expect("a cluster");
    let is_refused = || {
        let state = cluster.state();
        matches!(state, ClusterState::Degraded(why) if why.contains("Subscription"))
    };
    eventually("it is refused", async || is_refused()).await;
    node.io.emit("x", ()).expect("sent");
    eventually("it is connected", async || cluster.counts().published > 1).await;
    assert!(is_refused(), "{:?}", cluster.state());
    set(&server, "");
    eventually("it is up", async || cluster.state() == ClusterState::Up).await;
}

/// A cluster of servers that are the one user there is.
fn user(test: &str, permissions: &str) -> Option<(Engine, engines::Engine)> {
    let server = engines::nats_with(test, &settings(permissions))?;
    let url = format!("nats://app:secret@127.0.0.1:{}", server.port());
    let engine = Engine::with_config(move |config| Nats::new(&url).expect("a URL").cluster(config));
    Some((engine, server))
}

fn settings(permissions: &str) -> String {
    format!(
        "authorization {{ users: [ {{ user: app, password: secret, permissions: {{ {permissions} }} }} ] }}"
    )
}

fn set(server: &engines::Engine, permissions: &str) {
    let file = server.folder().join("settings.conf");
    std::fs::write(file, settings(permissions)).expect("its folder is there");
    server.signal_one(0, "HUP");
}

/// What may not be published is lost, and nothing else is wrong with the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_may_not_publish_to_a_room_does_all_else() {
    let denied = r#"publish: { deny: "socket.io.*.room.secret" }"#;
    let Some((engine, _server)) = user("mute", denied) else {
        return;
    };
    let nodes = ["near", "far"].map(|name| engine.node(name));
    meet(&nodes).await;
    let mut peer = nodes[1].peer(&["secret", "room"]).await;
    settled(&nodes).await;
    let cluster = nodes[0].io.cluster().expect("a cluster");
    let mut changes = cluster.changes();
    nodes[0].io.to("secret").emit("x", ()).expect("sent");
    cluster.settled().await;
    assert_eq!(cluster.counts().failed, 1, "{:?}", cluster.state());
    assert_eq!(cluster.state(), ClusterState::Up);
    let change = changes.next().await;
    assert!(
        matches!(change, Some(ClusterChange::Gap { .. })),
        "{change:?}"
    );
    nodes[0].io.to("room").emit("y", ()).expect("sent");
    assert_eq!(peer.text().await, r#"2["y"]"#);
    assert_eq!(cluster.state(), ClusterState::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_may_not_hear_any_more_is_degraded_until_it_may_again() {
    let Some((engine, server)) = user("deafened", "") else {
        return;
    };
    let node = engine.node("deafened");
    let cluster = node.io.cluster().expect("a cluster");
    cluster.ready().await;
    set(&server, r#"subscribe: { deny: "socket.io.*.node.>" }"#);
    eventually("it is refused", async || {
        matches!(cluster.state(), ClusterState::Degraded(why) if why.contains("Subscription"))
    })
    .await;
    set(&server, "");
    eventually("it is up", async || cluster.state() == ClusterState::Up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_of_a_user_is_let_in() {
    let user = KeyPair::new_user();
    let settings = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        user.public_key()
    );
    let Some(server) = engines::nats_with("nkey", &settings) else {
        return;
    };
    let seeds = [user, KeyPair::new_user()].map(|pair| pair.seed().expect("it has one"));
    let [right, wrong] =
        seeds.map(|seed| move |nats: Nats| nats.nkey(&seed).expect("a seed of a user"));
    only_the_right_one_is_let_in(&server, right, wrong).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_of_an_operator_is_let_in() {
    let [operator, account, user] = [
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_user(),
    ];
    let unlimited = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    let of_operator = claim(
        &operator,
        &operator,
        &json!({ "type": "operator", "version": 2 }),
    );
    let of_account = json!({ "type": "account", "version": 2, "limits": unlimited });
    let of_account = claim(&operator, &account, &of_account);
    let settings = format!(
        "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_account} }}",
        account.public_key()
    );
    let Some(server) = engines::nats_with("operator", &settings) else {
        return;
    };
    let of_user = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let of_user = claim(&account, &user, &of_user);
    let seeds = [user, KeyPair::new_user()].map(|pair| pair.seed().expect("it has one"));
    let [right, wrong] = seeds.map(|seed| {
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        move |nats: Nats| nats.credentials(&text).expect("credentials")
    });
    only_the_right_one_is_let_in(&server, right, wrong).await;
}

/// The permissions that the guide's chapter on clusters gives a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_needs_no_subjects_but_those_of_its_prefix() {
    let settings = r#"authorization { users = [ { user: sockeye, password: SECRET, permissions: {
        publish: ["socket.io.>"], subscribe: ["socket.io.>"] } } ] }"#;
    let Some(server) = engines::nats_with("permissions", settings) else {
        return;
    };
    let account =
        |password: &'static str| move |nats: Nats| nats.user_and_password("sockeye", password);
    only_the_right_one_is_let_in(&server, account("SECRET"), account("GUESS")).await;
}
