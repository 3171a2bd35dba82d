//! What is in the collection, as others find it there.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};
use mongodb::{Client, Collection};
use serde_json::{Value, json};
use sockeye_adapter_mongo::Mongo;
use sockeye_server::adapter::ClusterChange;
use sockeye_testkit::cluster::{Engine, Node, eventually, settled};
use sockeye_testkit::{Case, Peer, engines};

/// An engine, and its collection.
async fn started(by_age: bool) -> Option<(Engine, Collection<Document>)> {
    let server = engines::mongo("wire")?;
    let url = server.url();
    let client = Client::with_uri_str(&url).await.expect("a URL of MongoDB");
    let database = client.default_database().expect("it is in the URL");
    let engine = Engine::new(move || {
        let mongo = Mongo::new(&url).expect("a URL of MongoDB");
        match by_age {
            true => mongo.expire_after(Duration::from_secs(3600)),
            false => mongo,
        }
    });
    let engine = engine.recovering().keeping(server);
    Some((engine, database.collection("socket.io-adapter-events")))
}

/// The documents of one type, without their ids.
async fn documents(events: &Collection<Document>, kind: i32) -> Vec<Document> {
    let found = events
        .find(doc! { "type": kind })
        .await
        .expect("it answers");
    let mut found: Vec<_> = found.try_collect().await.expect("documents");
    for document in &mut found {
        document.remove("_id");
    }
    found
}

/// Joins as somebody, and gives what the server says of it, and the events that it has missed, which come before.
async fn join(node: &Node, auth: &str) -> (Peer, Value, Vec<String>) {
    let mut peer = Peer::open(&node.rig.net, Case::WEBSOCKET).await;
    peer.send(&format!("0{auth}")).await;
    let mut missed = Vec::new();
    loop {
        let text = peer.text().await;
        match text.strip_prefix('0') {
            Some(answer) => return (peer, serde_json::from_str(answer).expect("JSON"), missed),
            None => missed.push(text),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_have_the_form_of_nodes() {
    let Some((engine, events)) = started(false).await else {
        return;
    };
    let nodes = engine.nodes::<2>().await;
    let value =
        json!([1, 2_147_483_648_u64, 9_007_199_254_740_993_i64, 1.5, "é", null, { "k": true }]);
    nodes[0]
        .io
        .to("room")
        .except("other")
        .emit("x", value)
        .expect("sent");
    let bytes = bytes::Bytes::from_static(b"\x00\xff");
    nodes[0].io.emit("bytes", bytes).expect("sent");
    settled(&nodes).await;
    let hello = &documents(&events, 1).await[0];
    assert_eq!(hello.keys().collect::<Vec<_>>(), ["type", "uid", "nsp"]);
    let uid = hello.get_str("uid").expect("a text");
    assert_eq!(
        (uid.len(), hello.get_str("nsp").expect("a text")),
        (16, "/")
    );
    let broadcasts = documents(&events, 3).await;
    let values: Vec<Bson> = vec![
        1_i32.into(),
        2_147_483_648_f64.into(),
        9_007_199_254_740_993_i64.into(),
        1.5.into(),
        "é".into(),
        Bson::Null,
        doc! { "k": true }.into(),
    ];
    let opts = doc! { "rooms": ["room"], "except": ["other"], "flags": {} };
    let data = doc! { "packet": { "type": 2, "data": ["x", values] }, "opts": opts };
    let uid = broadcasts[0].get_str("uid").expect("a text");
    assert_eq!(
        broadcasts[0],
        doc! { "type": 3, "data": data, "uid": uid, "nsp": "/" }
    );
    let subtype = BinarySubtype::Generic;
    let bytes = Binary {
        subtype,
        bytes: vec![0, 255],
    };
    let packet = doc! { "type": 2, "data": ["bytes", bytes] };
    let data = broadcasts[1].get_document("data").expect("data");
    assert_eq!(data.get_document("packet").ok(), Some(&packet));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collections_that_forget_by_age_know_it() {
    let Some((engine, events)) = started(true).await else {
        return;
    };
    let nodes = engine.nodes::<2>().await;
    nodes[0].io.emit("x", 1).expect("sent");
    settled(&nodes).await;
    for kind in [1, 3, 9] {
        let documents = documents(&events, kind).await;
        let first = documents.first().expect("there is one");
        assert!(first.get_datetime("createdAt").is_ok(), "{first}");
    }
    let indexes: Vec<_> = events
        .list_indexes()
        .await
        .expect("a list")
        .try_collect()
        .await
        .expect("indexes");
    let ages = indexes
        .iter()
        .filter_map(|index| index.options.as_ref()?.expire_after);
    assert_eq!(ages.collect::<Vec<_>>(), [Duration::from_secs(3600)]);
}

/// A session as Node writes it is taken, and written again in the same form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_of_nodes_is_taken_over_and_given_back() {
    for by_age in [false, true] {
        let Some((engine, events)) = started(by_age).await else {
            return;
        };
        let nodes = engine.nodes::<2>().await;
        let event = |number: i32, room: &str| {
            let opts = doc! { "rooms": [room], "except": [], "flags": {} };
            let packet = doc! { "type": 2, "data": ["x", number] };
            let data = doc! { "packet": packet, "opts": opts };
            // Of no server, as one would be waited for.
            doc! { "_id": ObjectId::new(), "type": 3, "data": data, "uid": "emitter", "nsp": "/" }
        };
        let subtype = BinarySubtype::Generic;
        let data = doc! { "u": 1, "b": Binary { subtype, bytes: vec![1] } };
        let session = doc! {
            "sid": "SYHNtLy9kSl85S6NAAAA",
            "pid": "F7DXpwtMqQ_QbPpYAAAB",
            "rooms": ["SYHNtLy9kSl85S6NAAAA", "re", "room1"],
            "data": data,
        };
        let saved = doc! { "type": 13, "data": &session, "uid": "31397d5f14c432df", "nsp": "/" };
        let (first, second, third) = (event(1, "room1"), event(2, "other"), event(3, "re"));
        let offset = first.get_object_id("_id").expect("an id").to_hex();
        let third_id = third.get_object_id("_id").expect("an id").to_hex();
        for document in [&first, &saved, &second, &third] {
            events.insert_one(document).await.expect("inserted");
        }
        settled(&nodes).await;
        let auth = json!({ "pid": "F7DXpwtMqQ_QbPpYAAAB", "offset": offset }).to_string();
        let (peer, answer, missed) = join(&nodes[1], &auth).await;
        assert_eq!(answer["sid"], "SYHNtLy9kSl85S6NAAAA");
        assert_eq!(answer["pid"], "F7DXpwtMqQ_QbPpYAAAB");
        assert_eq!(missed, [format!(r#"2["x",3,"{third_id}"]"#)]);
        // It is taken, for nobody else to have it.
        let (_, answer, _) = join(&nodes[0], &auth).await;
        assert_ne!(answer["sid"], "SYHNtLy9kSl85S6NAAAA");
        let tombstone = doc! { "pid": "F7DXpwtMqQ_QbPpYAAAB", "tombstone": true };
        let saved = async || {
            let all = documents(&events, 13).await;
            let all = all
                .into_iter()
                .map(|mut document| match document.remove("data") {
                    Some(Bson::Document(data)) => data,
                    other => panic!("{other:?}"),
                });
            let is_own = |data: &Document| data.get("pid") == session.get("pid");
            all.filter(is_own).collect::<Vec<_>>()
        };
        match by_age {
            true => assert!(saved().await.is_empty()),
            false => assert_eq!(saved().await, [session.clone(), tombstone]),
        }
        drop(peer);
        let before = if by_age { 0 } else { 2 };
        eventually("it is kept", async || saved().await.len() > before).await;
        let mut again = saved().await.swap_remove(before);
        // They are a set.
        let mut rooms = again.get_array("rooms").expect("rooms").clone();
        rooms.sort_by_key(ToString::to_string);
        again.insert("rooms", rooms);
        assert_eq!(again, session);
    }
}

/// Of several servers that are asked for the same socket at the same time, one has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_comes_back_once() {
    for by_age in [false, true] {
        let Some((engine, events)) = started(by_age).await else {
            return;
        };
        let nodes = engine.nodes::<3>().await;
        let (_peer, ..) = join(&nodes[0], "").await;
        nodes[0].io.emit("x", 1).expect("sent");
        settled(&nodes).await;
        let event = events
            .find_one(doc! { "type": 3 })
            .await
            .expect("it answers")
            .expect("an event");
        let offset = event.get_object_id("_id").expect("an id").to_hex();
        for round in 0..10 {
            let pid = format!("F7DXpwtMqQ_QbPpYAA{round:02}");
            let sid = format!("SYHNtLy9kSl85S6NAA{round:02}");
            let session = doc! { "sid": &sid, "pid": &pid, "rooms": [&sid] };
            let until = DateTime::from_millis(DateTime::now().timestamp_millis() + 60_000);
            let saved =
                doc! { "type": 13, "data": session, "uid": "a", "nsp": "/", "until": until };
            events.insert_one(saved).await.expect("inserted");
            let auth = json!({ "pid": pid, "offset": offset }).to_string();
            let (first, second, third) = tokio::join!(
                join(&nodes[0], &auth),
                join(&nodes[1], &auth),
                join(&nodes[2], &auth)
            );
            let same = [&first, &second, &third]
                .into_iter()
                .filter(|(_, answer, _)| answer["sid"] == *sid);
            assert_eq!(same.count(), 1, "in round {round}");
        }
    }
}

/// Where the change stream cannot be followed from where it was left, that is told, and all goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn place_that_is_lost_is_a_gap() {
    let Some((engine, events)) = started(false).await else {
        return;
    };
    let nodes = engine.nodes::<2>().await;
    let mut peer = nodes[1].peer(&[]).await;
    nodes[0].io.emit("x", 1).expect("sent");
    assert!(peer.text().await.starts_with(r#"2["x",1,""#));
    let mut changes = nodes[1].io.cluster().expect("a cluster").changes();
    events.drop().await.expect("dropped");
    let mut is_told = false;
    eventually("the gap is told", async || {
        while let Some(Some(change)) = changes.next().now_or_never() {
            is_told |= matches!(change, ClusterChange::Gap { .. });
        }
        is_told
    })
    .await;
    settled(&nodes).await;
    nodes[0].io.emit("x", 2).expect("sent");
    assert!(peer.text().await.starts_with(r#"2["x",2"#));
}
