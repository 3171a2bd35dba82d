//! Sockets that come back to another server of the cluster than the one on which they lost their connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use sockeye_adapter::Target;
use sockeye_server::{Args, Data, RecoveryConfig, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Log, Peer, ServerRig};
use tokio::sync::Notify;

use crate::hub::Hub;
use crate::settled;

fn server(
    hub: &Arc<Hub>,
    name: &'static str,
    config: RecoveryConfig,
    log: &Log<String>,
) -> ServerRig {
    let config = ServerConfig::default()
        .cluster(hub.server(name))
        .recovery(config);
    let io = Server::with_config(config).unwrap();
    io.on("echo", |args: Args| args);
    io.on("join", |socket: Socket, Data(room): Data<String>| {
        socket.join(room);
        true
    });
    let told = log.clone();
    io.on_connect(move |socket: Socket| {
        let rooms = socket.rooms().len();
        let is_back = socket.recovered();
        told.push(format!(
            "{name}: {is_back} {rooms} {:?}",
            socket.shared_data()
        ));
    });
    let told = log.clone();
    io.on_recovery_expired(move |_| told.push(format!("{name}: expired")));
    ServerRig::memory(&io)
}

fn two(config: RecoveryConfig) -> ([ServerRig; 2], Log<String>) {
    two_of(&Arc::new(Hub::with_store()), config)
}

fn two_of(hub: &Arc<Hub>, config: RecoveryConfig) -> ([ServerRig; 2], Log<String>) {
    let log = Log::virtual_time();
    let rigs = ["a", "b"].map(|name| server(hub, name, config, &log));
    (rigs, log)
}

/// A client that knows how to come back.
struct Guest {
    peer: Peer,
    answer: Answer,
    /// What came before the answer.
    missed: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    sid: String,
    pid: String,
    offset: Option<String>,
}

impl Guest {
    async fn join(rig: &ServerRig, auth: &str) -> Self {
        let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
        peer.send(&format!("0{auth}")).await;
        let mut missed = Vec::new();
        loop {
            let text = peer.text().await;
            if let Some(json) = text.strip_prefix('0') {
                let answer = serde_json::from_str(json).unwrap();
                return Self {
                    peer,
                    answer,
                    missed,
                };
            }
            missed.push(text);
        }
    }

    async fn enter(&mut self, room: &str) {
        self.peer.send(&format!(r#"2777["join","{room}"]"#)).await;
        self.peer.expect("3777[true]").await;
    }

    fn auth(&self, offset: &str) -> String {
        json!({ "pid": self.answer.pid, "offset": offset }).to_string()
    }

    /// What it shows if it has got no event. Who has come back is told no beginning, and keeps the one that it had.
    fn first_auth(&self) -> String {
        self.auth(self.answer.offset.as_deref().unwrap_or("0"))
    }

    /// Loses its connection, which its server notices.
    async fn lose(self, rig: &ServerRig) -> (String, String) {
        let auth = self.first_auth();
        let id = self.answer.sid;
        drop(self.peer);
        rig.net
            .until("it is gone", || rig.io.socket(&id).is_none())
            .await;
        (id, auth)
    }
}

#[tokio::test(start_paused = true)]
async fn socket_comes_back_to_another_server_with_what_it_has_missed() {
    let ([a, b], log) = two(RecoveryConfig::default());
    let mut guest = Guest::join(&a, "").await;
    guest.enter("news").await;
    let socket = a.io.socket(&guest.answer.sid).unwrap();
    socket.set_shared_data(json!({ "seat": 7 })).unwrap();
    a.io.to("news").emit("x", 0).unwrap();
    guest.peer.expect(r#"2["x",0,"1"]"#).await;
    let seen = guest.auth("1");
    let (id, _) = guest.lose(&a).await;

    b.io.to("news").emit("x", 1).unwrap();
    settled().await;
    a.io.emit("x", 2).unwrap();
    settled().await;
    a.io.to("sport").emit("x", 3).unwrap();
    b.io.volatile().emit("x", 4).unwrap();
    b.io.to(id.as_str()).emit("x", 5).unwrap();
    b.io.except("news").emit("x", 6).unwrap();
    settled().await;
    let mut back = Guest::join(&b, &seen).await;
    assert_eq!(back.answer.sid, id);
    assert_eq!(
        back.missed,
        [r#"2["x",1,"2"]"#, r#"2["x",2,"3"]"#, r#"2["x",5,"5"]"#]
    );
    assert_eq!(
        log.take(2).await,
        [
            "a: false 1 None",
            r#"b: true 2 Some(Object {"seat": Number(7)})"#
        ]
    );

    // It is a socket of that server like any other, in its rooms.
    a.io.to("news").emit("x", 7).unwrap();
    back.peer.expect(r#"2["x",7,"7"]"#).await;
    b.io.socket(&id).unwrap().emit("x", 8).unwrap();
    back.peer.expect(r#"2["x",8,"8"]"#).await;
    back.peer.expect_nothing(1).await;
}

#[tokio::test(start_paused = true)]
async fn socket_comes_back_once_and_again_after_the_next_loss() {
    let ([a, b], _log) = two(RecoveryConfig::default());
    let guest = Guest::join(&a, "").await;
    let (id, auth) = guest.lose(&a).await;
    let back = Guest::join(&b, &auth).await;
    assert_eq!(back.answer.sid, id);
    // Whoever knows the same is too late, and the socket is where it is.
    let other = Guest::join(&a, &auth).await;
    assert_ne!(other.answer.sid, id);
    assert!(b.io.socket(&id).is_some());
    let (_, again) = back.lose(&b).await;
    let third = Guest::join(&a, &again).await;
    assert_eq!(third.answer.sid, id);
}

/// Whoever comes back waits at the door; the first is notified when somebody does, and the second lets him in.
fn doorkeeper(rig: &ServerRig) -> (Arc<Notify>, Arc<Notify>) {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, waiting) = (Arc::clone(&asked), Arc::clone(&go_on));
    rig.io.middleware(move |socket: Socket| {
        let (told, waiting) = (Arc::clone(&told), Arc::clone(&waiting));
        async move {
            if socket.recovered() {
                told.notify_one();
                waiting.notified().await;
            }
        }
    });
    (asked, go_on)
}

#[tokio::test(start_paused = true)]
async fn events_that_come_while_it_is_on_its_way_in_come_once() {
    let config = RecoveryConfig::default().skip_middlewares(false);
    let ([a, b], _log) = two(config);
    let (asked, go_on) = doorkeeper(&b);
    let guest = Guest::join(&a, "").await;
    let (id, auth) = guest.lose(&a).await;
    a.io.emit("x", 1).unwrap();
    settled().await;
    let door = ServerRig::memory(&b.io);
    let back = tokio::spawn(async move { Guest::join(&door, &auth).await });
    asked.notified().await;
    for (rig, number) in [(&a, 2), (&b, 3)] {
        rig.io.emit("x", number).unwrap();
        settled().await;
    }
    go_on.notify_one();
    let mut back = back.await.unwrap();
    assert_eq!(back.answer.sid, id);
    let expected = [1, 2, 3].map(|number| format!(r#"2["x",{number},"{number}"]"#));
    assert_eq!(back.missed, expected);
    b.io.emit("x", 4).unwrap();
    back.peer.expect(r#"2["x",4,"4"]"#).await;
    back.peer.expect_nothing(1).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_stays_away_for_too_long_is_new_and_the_application_is_told() {
    let time = Duration::from_secs(10);
    let ([a, b], log) = two(RecoveryConfig::default().max_disconnection(time));
    let guest = Guest::join(&a, "").await;
    let (id, auth) = guest.lose(&a).await;
    tokio::time::sleep(time + Duration::from_secs(1)).await;
    let other = Guest::join(&b, &auth).await;
    assert_ne!(other.answer.sid, id);
    assert_eq!(
        log.take(3).await,
        ["a: false 1 None", "a: expired", "b: false 1 None"]
    );
}

/// An adapter that counts nobody does not hand an event on, so that between the way in and being in there may be no moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_that_comes_back_is_counted_at_every_moment() {
    // The more it has missed, the longer it is between the two.
    const MISSED: usize = 2000;
    let hub = Arc::new(Hub::with_store());
    let config = RecoveryConfig::default().skip_middlewares(false);
    let ([a, b], _log) = two_of(&hub, config);
    let (asked, go_on) = doorkeeper(&b);
    let guest = Guest::join(&a, "").await;
    let (id, auth) = guest.lose(&a).await;
    for number in 0..MISSED {
        a.io.emit("x", number).unwrap();
    }
    let store = hub.store().unwrap();
    let is_logged = || store.last() == MISSED;
    b.net.until("all is logged", is_logged).await;
    let door = ServerRig::memory(&b.io);
    let back = tokio::spawn(async move { Guest::join(&door, &auth).await });
    asked.notified().await;
    let is_in = Arc::new(AtomicBool::new(false));
    let (local, is_over) = (hub.local("b"), Arc::clone(&is_in));
    let watching = std::thread::spawn(move || {
        go_on.notify_one();
        while !is_over.load(Ordering::Acquire) {
            assert_ne!(local.count(&Target::all()), 0, "it is nowhere");
        }
    });
    let back = back.await.unwrap();
    is_in.store(true, Ordering::Release);
    watching.join().expect("it is counted");
    assert_eq!(back.answer.sid, id);
    assert_eq!(back.missed.len(), MISSED);
}

#[tokio::test(start_paused = true)]
async fn socket_that_has_come_back_stays_kept_though_its_earlier_server_forgets_it() {
    let hub = Arc::new(Hub::with_store());
    let config = RecoveryConfig::default().save_early(Duration::from_millis(1));
    let ([a, b], _log) = two_of(&hub, config);
    let guest = Guest::join(&a, "").await;
    // Its server has noticed nothing.
    let back = Guest::join(&b, &guest.first_auth()).await;
    assert_eq!(back.answer.sid, guest.answer.sid);
    a.net
        .until("it is gone", || a.io.sockets().is_empty())
        .await;
    let (store, pid) = (hub.store().unwrap(), &guest.answer.pid);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(store.keeps(pid));

    // Whoever is sent away is forgotten.
    b.io.disconnect_sockets();
    b.net
        .until("it is gone", || b.io.sockets().is_empty())
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!store.keeps(pid));
}
