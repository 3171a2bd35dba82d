//! Requests in the words of older servers, some of which Node's adapters still have, as another client of Redis sees them.

use futures_util::StreamExt;
use redis::AsyncCommands;
use redis::aio::{MultiplexedConnection, PubSub};
use serde_json::{Value, json};
use sockeye_adapter_redis::Redis;
use sockeye_testkit::cluster::{Engine, Node};
use sockeye_testkit::engines;

/// A server that is none of ours, by what it says and hears.
struct Other {
    said: MultiplexedConnection,
    heard: PubSub,
}

impl Other {
    async fn new(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a URL of Redis");
        let mut heard = client.get_async_pubsub().await.expect("Redis is there");
        let subscribed = heard.subscribe("socket.io-response#/#").await;
        subscribed.expect("it can be subscribed to");
        let said = client.get_multiplexed_async_connection().await;
        Self {
            said: said.expect("Redis is there"),
            heard,
        }
    }

    async fn say(&mut self, request: &Value) {
        let published = self
            .said
            .publish::<_, _, usize>("socket.io-request#/#", request.to_string());
        assert!(published.await.expect("it is published") > 0);
    }

    /// The next answer, without who gives it; lists in their order.
    async fn answer(&mut self) -> Value {
        let message = self.heard.on_message().next().await.expect("an answer");
        let mut answer: Value = serde_json::from_slice(message.get_payload_bytes()).expect("JSON");
        let fields = answer.as_object_mut().expect("an object");
        assert!(fields.remove("uid").is_some());
        for value in fields.values_mut() {
            if let Value::Array(items) = value {
                items.sort_by_key(Value::to_string);
            }
        }
        answer
    }

    async fn ask(&mut self, request: Value) -> Value {
        self.say(&request).await;
        self.answer().await
    }
}

async fn node(redis: &engines::Engine) -> Node {
    let url = redis.url();
    let engine = Engine::new(move || Redis::new(&url).expect("a URL of Redis"));
    let [node] = engine.nodes().await;
    node
}

fn sorted<const N: usize>(mut texts: [&str; N]) -> Value {
    texts.sort_unstable();
    json!(texts.to_vec())
}

#[tokio::test]
async fn old_servers_learn_of_sockets_and_rooms() {
    let Some(redis) = engines::redis("legacy-questions") else {
        return;
    };
    let node = node(&redis).await;
    let (a, b) = (node.peer(&["red", "blue"]).await, node.peer(&["red"]).await);
    let mut other = Other::new(&redis.url()).await;
    // `adapter.allRooms()` of @socket.io/redis-adapter 8, and `allSockets()` of 7 and earlier.
    let answer = other.ask(json!({"uid": "9h4_Td", "requestId": "a", "type": 1}));
    let rooms = sorted(["red", "blue", &a.id, &b.id]);
    assert_eq!(answer.await, json!({"requestId": "a", "rooms": rooms}));
    for (rooms, expected) in [
        (json!([]), sorted([&a.id, &b.id])),
        (json!(["blue", "green"]), sorted([&a.id])),
        (json!(["green"]), json!([])),
    ] {
        let answer = other.ask(json!({"requestId": "b", "type": 0, "rooms": rooms}));
        assert_eq!(answer.await, json!({"requestId": "b", "sockets": expected}));
    }
    // The same of Socket.IO 2, which has other numbers, and more to ask.
    let answer = other.ask(json!({"requestid": "c", "type": 0, "rooms": ["blue"]}));
    let expected = json!({"requestid": "c", "clients": [a.id]});
    assert_eq!(answer.await, expected);
    let answer = other.ask(json!({"requestid": "d", "type": 2}));
    let rooms = sorted(["red", "blue", &a.id, &b.id]);
    assert_eq!(answer.await, json!({"requestid": "d", "rooms": rooms}));
    other
        .say(&json!({"requestid": "nobody", "type": 1, "sid": "AAAAAAAAAAAAAAAAAAAA"}))
        .await;
    let answer = other.ask(json!({"requestid": "e", "type": 1, "sid": b.id}));
    let rooms = sorted(["red", &b.id]);
    assert_eq!(answer.await, json!({"requestid": "e", "rooms": rooms}));
    let answer = other.ask(json!({"requestid": "f", "type": 5, "data": [1]}));
    assert_eq!(answer.await, json!({"requestid": "f", "data": null}));
}

#[tokio::test]
async fn old_servers_move_and_disconnect_one_socket() {
    let Some(redis) = engines::redis("legacy-sockets") else {
        return;
    };
    let node = node(&redis).await;
    let mut a = node.peer(&[]).await;
    // Who is in a room of that name is not meant.
    let b = node.peer(&[&a.id]).await;
    let mut other = Other::new(&redis.url()).await;
    let members = |room: &str| {
        let sockets = node.io.to(room).sockets();
        sockets
            .iter()
            .map(|socket| socket.id().to_owned())
            .collect::<Vec<_>>()
    };
    // Who does not have it does nothing, and says nothing.
    let strange = json!({"requestId": "x", "type": 2, "sid": "nobody", "room": "red"});
    other.say(&strange).await;
    let answer = other.ask(json!({"requestId": "a", "type": 2, "sid": a.id, "room": "red"}));
    assert_eq!(answer.await, json!({"requestId": "a"}));
    assert_eq!(members("red"), [a.id.as_str()]);
    let answer = other.ask(json!({"requestId": "b", "type": 3, "sid": a.id, "room": "red"}));
    assert_eq!(answer.await, json!({"requestId": "b"}));
    assert!(members("red").is_empty());
    // Socket.IO 2.
    let answer = other.ask(json!({"requestid": "c", "type": 3, "sid": a.id, "room": "red"}));
    assert_eq!(answer.await, json!({"requestid": "c"}));
    assert_eq!(members("red"), [a.id.as_str()]);
    let answer = other.ask(json!({"requestId": "d", "type": 4, "sid": a.id, "close": true}));
    assert_eq!(answer.await, json!({"requestId": "d"}));
    a.ended().await;
    assert!(node.io.socket(&b.id).is_some());
}
