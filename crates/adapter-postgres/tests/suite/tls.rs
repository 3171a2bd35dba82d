//! Connections to Postgres over TLS, by a user with a password.

use sockeye_adapter::ClusterState;
use sockeye_adapter_postgres::Postgres;
use sockeye_testkit::cluster::{
    Engine, broadcasts_reach_the_sockets_of_all_servers_once, eventually,
};
use sockeye_testkit::engines;

fn engine(url: &str) -> Engine {
    let url = url.to_owned();
    Engine::new(move || Postgres::new(&url).expect("a URL of Postgres"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_as_the_url_says() {
    let Some(server) = engines::postgres_tls("modes") else {
        return;
    };
    let ca = server.authority();
    // The first is `prefer`, and the server lets nobody in who is not over TLS.
    for query in [
        "".to_owned(),
        "?sslmode=require".to_owned(),
        format!("?sslmode=verify-full&sslrootcert={}", ca.display()),
    ] {
        let engine = engine(&format!("{}{query}", server.url()));
        broadcasts_reach_the_sockets_of_all_servers_once(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_trusted_is_told() {
    let (Some(server), Some(other)) =
        (engines::postgres_tls("one"), engines::postgres_tls("other"))
    else {
        return;
    };
    let strange = format!(
        "?sslmode=require&sslrootcert={}",
        other.authority().display()
    );
    let wrong = server.url().replace("secret", "guess");
    for (url, reason) in [
        (
            format!("{}?sslmode=verify-full", server.url()),
            "invalid peer certificate",
        ),
        (
            format!("{}{strange}", server.url()),
            "invalid peer certificate",
        ),
        (format!("{}?sslmode=disable", server.url()), "no encryption"),
        (wrong, "password authentication failed"),
    ] {
        let node = engine(&url).node("alone");
        let cluster = node.io.cluster().expect("a cluster");
        eventually(
            reason,
            async || matches!(cluster.state(), ClusterState::Degraded(why) if why.contains(reason)),
        )
        .await;
    }
}
