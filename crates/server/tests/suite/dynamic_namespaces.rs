//! Namespaces that come into being when a peer asks for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye_server::{
    Captures, Data, ExtractError, Handshake, Namespace, NamespaceRequest, ParentNamespace,
    PatternError, RecoveryConfig, Refusal, Server, ServerConfig, Socket, State,
};
use sockeye_testkit::{Case, Log, Peer, ServerRig};
use tokio::sync::Notify;

const CASES: [Case; 4] = [
    Case::POLLING,
    Case::WEBSOCKET,
    Case::POLLING_V3,
    Case::WEBSOCKET_V3,
];

fn names(namespaces: &[Namespace]) -> Vec<&str> {
    let mut names: Vec<_> = namespaces.iter().map(Namespace::name).collect();
    names.sort_unstable();
    names
}

/// Waits until nobody has a handle of a namespace any more: a connection's task may let go a little later than its peer
/// hears of it.
async fn gone(io: &Server, name: &str) {
    while io.namespace(name).is_some() {
        tokio::task::yield_now().await;
    }
}

fn echo(io: &Server) {
    io.on("echo", |Data(value): Data<String>| value);
}

async fn refused(peer: &mut Peer, name: &str, message: &str) {
    peer.send(&format!("0{name}")).await;
    let text = match peer.client.case().is_v3() {
        true if message == "Invalid namespace" => format!(r#"4{name},{{"message":"{message}"}}"#),
        true => format!(r#"4{name},"{message}""#),
        false => format!(r#"4{name},{{"message":"{message}"}}"#),
    };
    peer.expect(&text).await;
}

#[tokio::test]
async fn pattern_makes_namespaces_for_all_transports_and_revisions() {
    let io = Server::new();
    echo(&io);
    let parent = io.of_pattern("/chat/{room}").unwrap();
    parent.on(
        "room",
        |socket: Socket, Captures(room): Captures<String>| {
            (room, socket.namespace().capture("room").map(str::to_owned))
        },
    );
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let mut peer = rig.connect_as(case).await;
        peer.join("/chat/a b").await;
        peer.send(r#"2/chat/a b,1["room"]"#).await;
        peer.expect(r#"3/chat/a b,1["a b","a b"]"#).await;
        assert_eq!(names(&parent.children()), ["/chat/a b"]);
        refused(&mut peer, "/chat/a/b", "Invalid namespace").await;
        refused(&mut peer, "/other", "Invalid namespace").await;
        peer.send("1/chat/a b").await;
        peer.expect_nothing(7).await;
        gone(&io, "/chat/a b").await;
        assert_eq!(names(&io.namespaces()), ["/"]);
    }
}

#[tokio::test]
async fn last_to_leave_takes_the_namespace_along() {
    let io = Server::new();
    echo(&io);
    let parent = io.of_pattern("/{name}").unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut peers = rig.connect_many(2).await;
    for peer in &mut peers {
        peer.join("/a").await;
    }
    let first = io.namespace("a").unwrap();
    assert_eq!(first.sockets().len(), 2);
    drop(first);
    let mut last = peers.pop().unwrap();
    drop(peers);
    while io.namespace("/a").unwrap().sockets().len() == 2 {
        tokio::task::yield_now().await;
    }
    last.send("1/a").await;
    last.expect_nothing(1).await;
    gone(&io, "/a").await;
    assert!(parent.children().is_empty());
    // Once more, and by the end of the connection.
    last.join("/a").await;
    drop(last);
    gone(&io, "/a").await;
}

#[tokio::test]
async fn handle_keeps_a_namespace_and_cleanup_can_be_switched_off() {
    let io = Server::new();
    let parent = io.of_pattern("/{name}").unwrap();
    let child = parent.child("a").unwrap();
    assert_eq!(io.namespace("/a"), Some(child.clone()));
    assert_eq!(parent.child("/a"), Some(child.clone()));
    assert_eq!(parent.child("/a/b"), None);
    drop(child);
    assert_eq!(io.namespace("/a"), None);

    let config = ServerConfig::default().cleanup_empty_namespaces(false);
    let io = Server::with_config(config).unwrap();
    let parent = io.of_pattern("/{name}").unwrap();
    drop(parent.child("a").unwrap());
    assert_eq!(names(&parent.children()), ["/a"]);
}

#[tokio::test]
async fn parent_is_for_all_children_whenever_they_were_made() {
    let io = Server::new();
    echo(&io);
    let log = Log::new();
    let parent = io.of_pattern("/{name}").unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/a").await;
    let entries = log.clone();
    parent
        .on("hello", |Captures(name): Captures<String>| name)
        .on_any(move |socket: Socket| entries.push(socket.namespace().name().to_owned()));
    peer.join("/b").await;
    for name in ["a", "b"] {
        peer.send(&format!(r#"2/{name},1["hello"]"#)).await;
        peer.expect(&format!(r#"3/{name},1["{name}"]"#)).await;
        assert_eq!(log.next().await, format!("/{name}"));
    }
    // What one child has beside is behind that, and no other's.
    let child = io.namespace("/a").unwrap();
    child.on("hello", |socket: Socket| socket.emit("again", ()));
    assert_eq!(child.listener_count("hello"), 1);
    for _ in 0..2 {
        peer.send(r#"2/a,1["hello"]"#).await;
        peer.expect(r#"3/a,1["a"]"#).await;
        peer.expect(r#"2/a,["again"]"#).await;
    }
    peer.send(r#"2/b,1["hello"]"#).await;
    peer.expect(r#"3/b,1["b"]"#).await;
    parent.off("hello");
    peer.send(r#"2/a,["hello"]"#).await;
    peer.expect(r#"2/a,["again"]"#).await;
}

#[tokio::test]
async fn middlewares_of_the_parent_are_asked_first() {
    let io = Server::new();
    echo(&io);
    let log = Log::new();
    let parent = io.of_pattern("/{name}").unwrap();
    let (first, second) = (log.clone(), log.clone());
    parent.middleware(move |Captures(name): Captures<String>| {
        first.push(format!("parent of {name}"));
        match name.as_str() {
            "no" => Err(Refusal::new("not this one")),
            _ => Ok(()),
        }
    });
    io.on_new_namespace(move |namespace| {
        let second = second.clone();
        let name = namespace.name().to_owned();
        namespace.middleware(move || second.push(format!("child {name}")));
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/yes").await;
    assert_eq!(log.next().await, "parent of yes");
    assert_eq!(log.next().await, "child /yes");
    refused(&mut peer, "/no", "not this one").await;
    assert_eq!(log.next().await, "parent of no");
    gone(&io, "/no").await;
    assert_eq!(names(&parent.children()), ["/yes"]);
}

#[tokio::test]
async fn broadcasts_of_the_parent_reach_all_children() {
    let io = Server::new();
    echo(&io);
    let parent = io.of_pattern("/{name}").unwrap();
    parent.emit("nobody", ()).unwrap();
    assert!(parent.emit("connect", ()).is_err());
    let other = io.of_pattern("/other/{name}").unwrap();
    let expected = parent.clone();
    parent.on("parent", move |parent: ParentNamespace| parent == expected);
    io.on("parent", |parent: Result<ParentNamespace, ExtractError>| {
        parent.is_ok()
    });
    parent.on("join", |socket: Socket, Data(room): Data<String>| {
        socket.join(room);
        true
    });
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let mut peer = rig.connect_as(case).await;
        for name in ["/a", "/b", "/other/a"] {
            peer.join(name).await;
        }
        peer.send(r#"2/b,1["join","room"]"#).await;
        peer.expect("3/b,1[true]").await;
        for (packet, answer) in [
            (r#"2/a,2["parent"]"#, "3/a,2[true]"),
            (r#"22["parent"]"#, "32[false]"),
        ] {
            peer.send(packet).await;
            peer.expect(answer).await;
        }
        parent.emit("all", (1, "ä")).unwrap();
        let mut got = [peer.text().await, peer.text().await];
        got.sort();
        let text = match case.is_v3() {
            true => "\\u00e4",
            false => "ä",
        };
        let expected = ["a", "b"].map(|name| format!(r#"2/{name},["all",1,"{text}"]"#));
        let unescaped = ["a", "b"].map(|name| format!(r#"2/{name},["all",1,"ä"]"#));
        assert!(got == expected || got == unescaped, "{got:?}");
        parent.to("room").emit("some", ()).unwrap();
        peer.expect(r#"2/b,["some"]"#).await;
        assert_eq!(parent.all().sockets().len(), 2);
        parent.except("room").sockets_join("late");
        parent.to("late").emit("late", ()).unwrap();
        peer.expect(r#"2/a,["late"]"#).await;
        other.emit("other", ()).unwrap();
        peer.expect(r#"2/other/a,["other"]"#).await;
        parent.all().disconnect_sockets();
        let mut left = [peer.text().await, peer.text().await];
        left.sort();
        assert_eq!(left, ["1/a,", "1/b,"]);
        peer.send("1/other/a,").await;
        gone(&io, "/other/a").await;
    }
}

#[tokio::test]
async fn function_decides_by_name_auth_and_state() {
    #[derive(Clone)]
    struct Tenants(Arc<[&'static str]>);
    #[derive(serde::Deserialize)]
    struct Credentials {
        token: String,
    }

    let io = Server::new();
    echo(&io);
    io.state(Tenants(["/acme", "/emca"].into()));
    let parent = io.of_fn(
        async |request: NamespaceRequest, State(Tenants(tenants)): State<Tenants>, io: Server| {
            tokio::task::yield_now().await;
            assert!(io.namespace("/").is_some());
            let credentials = request.handshake().auth::<Credentials>();
            let token = credentials.map(|credentials| credentials.token);
            tenants.contains(&request.name()) && token.is_ok_and(|token| token == "secret")
        },
    );
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let (good, bad) = match case.is_v3() {
            true => ("?token=secret", "?token=x"),
            false => (r#",{"token":"secret"}"#, r#",{"token":"x"}"#),
        };
        let mut peer = rig.connect_as(case).await;
        peer.send(&format!("0/acme{good}")).await;
        let welcome = peer.text().await;
        assert!(welcome.starts_with("0/acme"), "{welcome}");
        assert_eq!(names(&parent.children()), ["/acme"]);
        let mut other = rig.connect_as(case).await;
        for refused in [format!("0/acme{bad}"), format!("0/nobody{good}")] {
            // Although the namespace is there: it is each peer that is decided about.
            other.send(&refused).await;
            let answer = other.text().await;
            assert!(
                answer.ends_with(r#"{"message":"Invalid namespace"}"#),
                "{answer}"
            );
        }
        // Nobody knows what else the function accepts.
        assert!(parent.child("/acme").is_some());
        peer.send("1/acme,").await;
        gone(&io, "/acme").await;
    }
}

#[tokio::test]
async fn function_that_fails_accepts_nobody_and_the_next_one_is_asked() {
    let io = Server::new();
    io.of_fn(|| -> bool { panic!("not today") });
    io.of_fn(async || -> bool {
        tokio::task::yield_now().await;
        panic!("not today either")
    });
    io.of_fn(|State(_): State<u8>| true);
    let plain = io.of_fn(|request: NamespaceRequest, handshake: Handshake| {
        handshake.query_value("EIO").is_some() && request.name() == "/plain"
    });
    io.of_pattern("/by/{pattern}").unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/plain").await;
    assert_eq!(names(&plain.children()), ["/plain"]);
    peer.join("/by/pattern").await;
    refused(&mut peer, "/nobody", "Invalid namespace").await;
}

#[tokio::test]
async fn connection_goes_on_while_a_function_thinks_and_can_end_meanwhile() {
    let io = Server::new();
    echo(&io);
    let release = Arc::new(Notify::new());
    io.state(Arc::clone(&release));
    let asked: Log<()> = Log::new();
    io.state(asked.clone());
    let parent = io.of_fn(
        async |State(release): State<Arc<Notify>>, State(asked): State<Log<()>>| {
            asked.push(());
            release.notified().await;
            true
        },
    );
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send("0/slow,").await;
    asked.next().await;
    peer.expect_nothing(1).await;
    release.notify_waiters();
    let welcome = peer.text().await;
    assert!(welcome.starts_with("0/slow,{"), "{welcome}");
    assert_eq!(parent.children().len(), 1);
    peer.send("0/slower,").await;
    asked.next().await;
    drop(peer);
    gone(&io, "/slow").await;
    while io.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(parent.children().is_empty());
}

#[tokio::test]
async fn namespace_that_was_made_by_name_is_not_dynamic() {
    let io = Server::new();
    echo(&io);
    let static_before = io.of("/static");
    let parent = io.of_fn(|| false);
    io.of_pattern("/{name}").unwrap().on("who", || "parent");
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    // Nobody is asked, and nothing of the parent's is there.
    peer.join("/static").await;
    assert!(!static_before.has_listeners("who"));
    assert!(parent.children().is_empty());
    peer.send(r#"2/static,["who"]"#).await;
    peer.expect_nothing(1).await;
    // One that looks like the parent's is of it, and stays.
    let kept = io.of("/kept");
    kept.on("who too", || "child");
    drop(kept);
    peer.join("/kept").await;
    peer.send(r#"2/kept,1["who"]"#).await;
    peer.expect(r#"3/kept,1["parent"]"#).await;
    peer.send(r#"2/kept,2["who too"]"#).await;
    peer.expect(r#"3/kept,2["child"]"#).await;
    assert_eq!(io.of("kept").capture("name"), Some("kept"));
    // One that is there already stays from when it is named.
    peer.join("/there").await;
    let _ = io.of("/there");
    drop(peer);
    while io.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&io.namespaces()), ["/", "/kept", "/static", "/there"]);
}

#[tokio::test]
async fn first_kind_that_fits_counts() {
    let io = Server::new();
    echo(&io);
    let first = io.of_pattern("/a/{x}").unwrap();
    let second = io.of_pattern("/{*all}").unwrap();
    assert_eq!(io.of_pattern("a/{x}").unwrap(), first);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    for name in ["/a/b", "/a/b/c"] {
        peer.join(name).await;
    }
    assert_eq!(names(&first.children()), ["/a/b"]);
    assert_eq!(names(&second.children()), ["/a/b/c"]);
    assert_eq!(second.child("/a/b"), None, "it is of another kind");
    assert!(matches!(
        io.of_pattern("/{a}{b}"),
        Err(PatternError::Ambiguous(_))
    ));
}

#[cfg(feature = "regex")]
#[tokio::test]
async fn regular_expression_makes_namespaces() {
    let io = Server::new();
    echo(&io);
    let parent = io.of_regex(r"^/(\w+)-(?<id>\d+)(?<tail>-x)?$").unwrap();
    assert_eq!(
        io.of_regex(r"^/(\w+)-(?<id>\d+)(?<tail>-x)?$").unwrap(),
        parent
    );
    parent.on(
        "captures",
        |socket: Socket, Captures((kind, id, tail)): Captures<(String, u32, Option<String>)>| {
            assert_eq!(socket.namespace().capture("1"), Some(&*kind));
            (kind, id, tail)
        },
    );
    assert!(matches!(io.of_regex("("), Err(PatternError::Regex(_))));
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let mut peer = rig.connect_as(case).await;
        peer.join("/order-17").await;
        peer.send(r#"2/order-17,1["captures"]"#).await;
        peer.expect(r#"3/order-17,1["order",17,null]"#).await;
        refused(&mut peer, "/order-", "Invalid namespace").await;
        peer.send("1/order-17,").await;
        gone(&io, "/order-17").await;
    }
}

#[tokio::test]
async fn captures_that_do_not_fit_fail_the_event_and_refuse_the_socket() {
    let io = Server::new();
    echo(&io);
    let log = Log::new();
    let parent = io.of_pattern("/{number}").unwrap();
    parent.middleware(|Captures(_): Captures<u8>| ());
    parent.on("text", |Captures(_): Captures<(u8, u8)>| true);
    let entries = log.clone();
    parent.on_error(move |_, error| entries.push(error.to_string()));
    io.on("none", |captures: Result<Captures<u8>, ExtractError>| {
        captures.unwrap_err().to_string()
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send("0/300,").await;
    let answer = peer.text().await;
    assert!(answer.starts_with("4/300,"), "{answer}");
    peer.join("/7").await;
    peer.send(r#"2/7,["text"]"#).await;
    let mut said = log.next().await;
    while !said.contains("\"text\"") {
        said = log.next().await;
    }
    assert!(said.contains("the namespace's name does not fit"), "{said}");
    peer.send(r#"21["none"]"#).await;
    let answer = peer.text().await;
    assert!(answer.contains("is not available"), "{answer}");
}

#[tokio::test]
async fn number_of_namespaces_is_bounded() {
    let config = ServerConfig::default().max_dynamic_namespaces(2);
    let io = Server::with_config(config).unwrap();
    echo(&io);
    let parent = io.of_pattern("/{name}").unwrap();
    let _ = (io.of("/kept"), io.of("/kept too"));
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let mut peer = rig.connect_as(case).await;
        peer.join("/a").await;
        peer.join("/b").await;
        refused(&mut peer, "/c", "Too many namespaces").await;
        assert!(parent.child("/c").is_none());
        peer.join("/kept").await;
        peer.send("1/a,").await;
        peer.expect_nothing(3).await;
        gone(&io, "/a").await;
        peer.join("/c").await;
        peer.send("1/b,").await;
        peer.send("1/c,").await;
        gone(&io, "/b").await;
        gone(&io, "/c").await;
    }
}

#[tokio::test]
async fn one_connection_makes_a_part_of_the_namespaces_only() {
    let config = ServerConfig::default().max_dynamic_namespaces_per_connection(2);
    let io = Server::with_config(config).unwrap();
    echo(&io);
    io.of_pattern("/{name}").unwrap();
    let asked = io.of_fn(async |request: NamespaceRequest| request.name().starts_with("/of/fn/"));
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let mut peer = rig.connect_as(case).await;
        peer.join("/a").await;
        peer.join("/of/fn/b").await;
        refused(&mut peer, "/c", "Too many namespaces").await;
        refused(&mut peer, "/of/fn/c", "Too many namespaces").await;
        // What others make is there for it, too.
        let mut other = rig.connect_as(case).await;
        other.join("/c").await;
        peer.join("/c").await;
        // In its place it may make another one, but not while somebody else is still there.
        other.join("/a").await;
        peer.send("1/a,").await;
        refused(&mut peer, "/d", "Too many namespaces").await;
        other.send("1/a,").await;
        gone(&io, "/a").await;
        peer.join("/d").await;
        for name in ["/of/fn/b", "/c", "/d"] {
            peer.send(&format!("1{name},")).await;
        }
        other.send("1/c,").await;
        for name in ["/of/fn/b", "/c", "/d"] {
            gone(&io, name).await;
        }
    }
    assert!(asked.children().is_empty());
}

#[tokio::test]
async fn namespace_that_only_lost_sockets_keep_makes_room_for_another() {
    let config = ServerConfig::default()
        .max_dynamic_namespaces(2)
        .recovery(RecoveryConfig::default());
    let io = Server::with_config(config).unwrap();
    let log = Log::new();
    let entries = log.clone();
    let gone = log.clone();
    let parent = io.of_pattern("/{name}").unwrap();
    parent.on_disconnect(move || gone.push("gone".to_owned()));
    io.on_new_namespace(move |namespace| {
        let (entries, name) = (entries.clone(), namespace.name().to_owned());
        namespace.on_recovery_expired(move |_| entries.push(name.clone()));
    });
    let rig = ServerRig::tcp(&io).await;
    // Nothing of its connection is left, either.
    let lost = async |peer: Peer| {
        let count = io.connection_count() - 1;
        drop(peer);
        assert_eq!(log.next().await, "gone");
        let is_gone = || io.connection_count() == count;
        rig.net.until("it is gone", is_gone).await;
    };
    let visit = async |name: &str, expired: &[&str]| {
        let mut peer = rig.connect().await;
        peer.join(name).await;
        assert_eq!(log.take(expired.len()).await, expired);
        lost(peer).await;
    };
    visit("/used", &[]).await;
    visit("/left", &[]).await;
    let mut stays = rig.connect().await;
    stays.join("/used").await;
    let mut peer = rig.connect().await;
    peer.join("/new").await;
    assert_eq!(log.next().await, "/left");
    assert!(io.namespace("/left").is_none() && io.namespace("/used").is_some());
    // Somebody is in both.
    refused(&mut peer, "/more", "Too many namespaces").await;
    // When there is nobody but those who may come back, the one that was left first goes first.
    lost(peer).await;
    lost(stays).await;
    visit("/more", &["/used"; 2]).await;
    visit("/most", &["/new"]).await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn new_namespaces_are_told_of_before_anybody_is_in() {
    let io = Server::new();
    echo(&io);
    let log = Log::new();
    let entries = log.clone();
    let handle = io.clone();
    io.on_new_namespace(move |namespace| {
        assert!(namespace.sockets().is_empty());
        // It may look for it, and make others.
        assert_eq!(handle.of(namespace.name()), *namespace);
        let _ = handle.of("/made in between");
        entries.push(namespace.name().to_owned());
        namespace.on("hello", || "from the watcher");
    });
    io.on_new_namespace(|_| panic!("not a good one"));
    let _ = io.of("/static");
    let _ = io.of("/static");
    assert_eq!(log.next().await, "/made in between");
    assert_eq!(log.next().await, "/static");
    io.of_pattern("/{name}").unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/dynamic").await;
    assert_eq!(log.next().await, "/dynamic");
    peer.send(r#"2/dynamic,1["hello"]"#).await;
    peer.expect(r#"3/dynamic,1["from the watcher"]"#).await;
    assert!(log.rest().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_get_one_namespace() {
    let io = Server::new();
    echo(&io);
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    io.on_new_namespace(move |namespace| {
        count.fetch_add(1, Ordering::Relaxed);
        namespace.on_connect(|socket: Socket| socket.emit("welcome", ()));
    });
    let by_name = io.of_pattern("/name/{n}").unwrap();
    let by_function = io.of_fn(async || {
        tokio::task::yield_now().await;
        true
    });
    let rig = Arc::new(ServerRig::tcp(&io).await);
    for round in 0..20 {
        let name = match round % 2 {
            0 => format!("/name/{round}"),
            _ => format!("/function/{round}"),
        };
        let before = made.load(Ordering::Relaxed);
        let peers: Vec<_> = (0..16)
            .map(|_| {
                let (rig, name) = (Arc::clone(&rig), name.clone());
                tokio::spawn(async move {
                    let mut peer = rig.connect().await;
                    peer.join(&name).await;
                    peer.expect(&format!(r#"2{name},["welcome"]"#)).await;
                    peer
                })
            })
            .collect();
        let mut joined = Vec::new();
        for peer in peers {
            joined.push(peer.await.unwrap());
        }
        assert_eq!(made.load(Ordering::Relaxed), before + 1);
        let namespace = io.namespace(&name).unwrap();
        assert_eq!(namespace.sockets().len(), 16);
        drop((namespace, joined));
        gone(&io, &name).await;
    }
    assert!(by_name.children().is_empty() && by_function.children().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespace_that_goes_while_it_is_asked_for_comes_again() {
    let io = Server::new();
    echo(&io);
    io.of_pattern("/{name}").unwrap();
    let rig = Arc::new(ServerRig::tcp(&io).await);
    let peers: Vec<_> = (0..4)
        .map(|_| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move {
                let mut peer = rig.connect().await;
                for round in 0..200 {
                    peer.join("/a").await;
                    peer.send("1/a,").await;
                    peer.expect_nothing(round).await;
                }
            })
        })
        .collect();
    for peer in peers {
        peer.await.unwrap();
    }
    gone(&io, "/a").await;
}

#[tokio::test]
async fn socket_that_has_left_a_dynamic_namespace_does_not_keep_it() {
    let io = Server::new();
    echo(&io);
    let log = Log::new();
    let parent = io.of_pattern("/{name}").unwrap();
    let entries = log.clone();
    parent.on_close(move |socket: Socket| entries.push(socket.namespace().name().to_owned()));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/left").await;
    peer.join("/stayed").await;
    peer.send("1/left,").await;
    peer.expect_nothing(1).await;
    gone(&io, "/left").await;
    drop(peer);
    assert_eq!(log.next().await, "/stayed");
    gone(&io, "/stayed").await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn outgoing_events_are_heard_by_parent_child_and_socket_alone() {
    let io = Server::new();
    echo(&io);
    let parent = io.of_pattern("/{name}").unwrap();
    let child = parent.child("a").unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/a").await;
    let socket = child.sockets().pop().unwrap();
    let log = Log::new();
    let note = |who: &'static str| {
        let log = log.clone();
        move || log.push(who)
    };
    for place in ["parent", "child", "socket"] {
        match place {
            "parent" => parent.on_any_outgoing(note(place)),
            "child" => child.on_any_outgoing(note(place)),
            _ => socket.on_any_outgoing(note(place)),
        };
        socket.emit("x", ()).unwrap();
        child.emit("x", ()).unwrap();
        assert_eq!(log.take(2).await, [place; 2]);
        parent.off_any_outgoing();
        child.off_any_outgoing();
        socket.off_any_outgoing();
        child.emit("x", ()).unwrap();
        for _ in 0..3 {
            peer.expect(r#"2/a,["x"]"#).await;
        }
        assert!(log.rest().is_empty(), "{place}");
    }
}
