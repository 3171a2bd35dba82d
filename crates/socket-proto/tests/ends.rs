//! Both ends of a connection in memory: whatever they do, and however their packets cross, nothing is lost, doubled or
//! delivered to the wrong stay in a namespace.
//!
//! Each wish to join has a number, and each packet knows for which of them it was sent. So the test always knows what
//! the other end must make of the packet, without asking either end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use serde_json::json;
use sockeye_socket_proto::{
    Attachments, ClientConnection, ClientInput, Connection, ConnectionConfig, Input, JoinError,
    Leaving, NamespaceKey, SocketRevision, encode_ack, encode_connect_accepted,
    encode_connect_error, encode_connect_request, encode_disconnect, encode_event,
};

const NAMESPACES: [&str; 4] = ["/", "/a", "/é", "/a/b"];

#[derive(Debug, Clone)]
enum Op {
    Join(usize),
    Leave(usize),
    ClientEmit(usize, usize, bool),
    ClientAck,
    Accept(usize, usize),
    Refuse(usize),
    Kick(usize),
    ServerEmit(usize, usize, bool),
    ServerAck,
    ToServer(usize),
    ToClient(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let n = 0..NAMESPACES.len();
    prop_oneof![
        3 => n.clone().prop_map(Op::Join),
        2 => n.clone().prop_map(Op::Leave),
        4 => (n.clone(), 0usize..3, any::<bool>()).prop_map(|(n, parts, ack)| Op::ClientEmit(n, parts, ack)),
        1 => Just(Op::ClientAck),
        3 => (n.clone(), 0usize..3).prop_map(|(n, missed)| Op::Accept(n, missed)),
        1 => n.clone().prop_map(Op::Refuse),
        1 => n.clone().prop_map(Op::Kick),
        4 => (n, 0usize..3, any::<bool>()).prop_map(|(n, parts, ack)| Op::ServerEmit(n, parts, ack)),
        1 => Just(Op::ServerAck),
        5 => (1usize..6).prop_map(Op::ToServer),
        5 => (1usize..6).prop_map(Op::ToClient),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_or_misrouted(
        ops in prop::collection::vec(op(), 0..120),
        v4 in any::<bool>(),
    ) {
        let mut world = World::new(if v4 { SocketRevision::V4 } else { SocketRevision::V5 });
        for op in &ops {
            world.apply(op);
            world.check();
        }
        world.settle();
    }
}

/// What a packet is, and for which wish to join it was sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    wish: u64,
    namespace: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// A wish, the server's yes or its no.
    Connect,
    Accept,
    Refuse,
    Disconnect,
    /// `serial` is told in the arguments.
    Event {
        serial: u64,
        ack_id: Option<u64>,
        missed: bool,
    },
    Ack {
        serial: u64,
        id: u64,
    },
}

#[derive(Debug)]
enum Message {
    Text(String, Sent),
    Binary(Bytes),
}

/// What is on its way to one end.
#[derive(Debug, Default)]
struct Pipe {
    messages: VecDeque<Message>,
    /// The packet that lacks attachments at the receiver: whether somebody was there for it, and how many it lacks.
    partial: Option<(Sent, bool, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Asked,
    Joined,
    /// Only at the client: given up before the answer.
    Abandoned,
}

#[derive(Debug, Clone, Copy)]
struct Stay {
    wish: u64,
    key: NamespaceKey,
    place: Place,
}

/// One end's stays by namespace, as they should be.
type Stays = BTreeMap<usize, Stay>;

struct World {
    revision: SocketRevision,
    client: ClientConnection,
    server: Connection,
    at_client: Stays,
    at_server: Stays,
    to_client: Pipe,
    to_server: Pipe,
    /// Acknowledgements that are due, with the stay in which they were asked for.
    client_owes: Vec<(usize, u64, u64)>,
    server_owes: Vec<(usize, u64, u64)>,
    /// Namespaces in which there has been a stay, which no session can be restored in.
    used: BTreeSet<usize>,
    wishes: u64,
    serials: u64,
}

impl World {
    fn new(revision: SocketRevision) -> Self {
        let config = ConnectionConfig::default();
        let mut world = Self {
            revision,
            client: ClientConnection::new(revision, &config),
            server: Connection::server(revision, &config, Instant::now()),
            at_client: Stays::new(),
            at_server: Stays::new(),
            to_client: Pipe::default(),
            to_server: Pipe::default(),
            client_owes: Vec::new(),
            server_owes: Vec::new(),
            used: BTreeSet::new(),
            wishes: 0,
            serials: 0,
        };
        // The wish that revision 4 does not utter has the number 0.
        if let Some(Input::Connect { key, .. }) = world.server.implicit_connect() {
            let place = Place::Asked;
            let stay = Stay {
                wish: 0,
                key,
                place,
            };
            world.at_server.insert(0, stay);
        }
        world
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Join(n) => self.join(n),
            Op::Leave(n) => self.leave(n),
            Op::ClientEmit(n, parts, ack) => {
                if let Some(stay) = stay_in(&self.at_client, n, Place::Joined) {
                    let event = self.event(n, stay.wish, parts, ack, false);
                    self.to_server.messages.extend(event);
                }
            }
            Op::ServerEmit(n, parts, ack) => {
                if let Some(stay) = stay_in(&self.at_server, n, Place::Joined) {
                    let event = self.event(n, stay.wish, parts, ack, false);
                    self.to_client.messages.extend(event);
                }
            }
            Op::ClientAck => {
                if let Some((n, wish, id)) = self.client_owes.pop()
                    && is_in(&self.at_client, n, wish)
                {
                    let ack = self.ack(n, wish, id);
                    self.to_server.messages.extend(ack);
                }
            }
            Op::ServerAck => {
                if let Some((n, wish, id)) = self.server_owes.pop()
                    && is_in(&self.at_server, n, wish)
                {
                    let ack = self.ack(n, wish, id);
                    self.to_client.messages.extend(ack);
                }
            }
            Op::Accept(n, missed) => self.accept(n, missed),
            Op::Refuse(n) => {
                if let Some(stay) = stay_in(&self.at_server, n, Place::Asked) {
                    self.at_server.remove(&n);
                    self.server.refuse(stay.key);
                    let text = text(|buf| {
                        let none = None::<&()>;
                        encode_connect_error(buf, 5, self.revision, NAMESPACES[n], "no", none)
                            .expect("a message is JSON")
                    });
                    self.tell_client(n, stay.wish, What::Refuse, text);
                }
            }
            Op::Kick(n) => {
                if let Some(stay) = stay_in(&self.at_server, n, Place::Joined) {
                    self.at_server.remove(&n);
                    self.server.leave(stay.key);
                    let text = text(|buf| encode_disconnect(buf, 5, NAMESPACES[n]));
                    self.tell_client(n, stay.wish, What::Disconnect, text);
                }
            }
            Op::ToServer(count) => (0..count).for_each(|_| self.deliver_to_server()),
            Op::ToClient(count) => (0..count).for_each(|_| self.deliver_to_client()),
        }
    }

    fn join(&mut self, n: usize) {
        let joined = self.client.join(NAMESPACES[n]);
        match self.at_client.get(&n).map(|stay| stay.place) {
            Some(Place::Asked | Place::Joined) => return assert_eq!(joined, Err(JoinError::Twice)),
            Some(Place::Abandoned) => return assert_eq!(joined, Err(JoinError::Unanswered)),
            None => {}
        }
        let key = joined.expect("there is room");
        let mut place = Place::Asked;
        let mut wish = 0;
        if self.client.needs_request(key) {
            self.wishes += 1;
            wish = self.wishes;
            let text = text(|buf| {
                let auth = json!({ "wish": wish.to_string() });
                let revision = self.revision;
                encode_connect_request(buf, 5, revision, NAMESPACES[n], None, Some(&auth), None)
                    .expect("an object")
            });
            self.tell_server(n, wish, What::Connect, text);
        } else {
            assert_eq!((n, self.revision), (0, SocketRevision::V4));
            if self.client.is_joined(key) {
                place = Place::Joined;
            }
        }
        self.at_client.insert(n, Stay { wish, key, place });
    }

    fn leave(&mut self, n: usize) {
        let Some(stay) = self.at_client.get_mut(&n) else {
            return;
        };
        let Stay { wish, key, .. } = *stay;
        match (self.client.leave(key), stay.place) {
            (Leaving::Now, Place::Joined) => {
                self.at_client.remove(&n);
                self.send_disconnect(n, wish);
            }
            (Leaving::OnceAnswered, Place::Asked) => stay.place = Place::Abandoned,
            (Leaving::NotThere, Place::Abandoned) => {}
            other => panic!("{other:?}"),
        }
    }

    fn send_disconnect(&mut self, n: usize, wish: u64) {
        let text = text(|buf| encode_disconnect(buf, 5, NAMESPACES[n]));
        self.tell_server(n, wish, What::Disconnect, text);
    }

    fn accept(&mut self, n: usize, missed: usize) {
        let Some(stay) = stay_in(&self.at_server, n, Place::Asked) else {
            return;
        };
        // The first stay may be one of a session that is restored.
        if self.used.insert(n) && self.revision == SocketRevision::V5 {
            for parts in 0..missed {
                let event = self.event(n, stay.wish, parts, false, true);
                self.to_client.messages.extend(event);
            }
        }
        self.server.accept(stay.key);
        let place = Place::Joined;
        self.at_server.insert(n, Stay { place, ..stay });
        let sid = stay.wish.to_string();
        let text =
            text(|buf| encode_connect_accepted(buf, 5, self.revision, NAMESPACES[n], &sid, None));
        self.tell_client(n, stay.wish, What::Accept, text);
    }

    fn tell_client(&mut self, namespace: usize, wish: u64, what: What, text: String) {
        let sent = Sent {
            wish,
            namespace,
            what,
        };
        self.to_client.messages.push_back(Message::Text(text, sent));
    }

    fn tell_server(&mut self, namespace: usize, wish: u64, what: What, text: String) {
        let sent = Sent {
            wish,
            namespace,
            what,
        };
        self.to_server.messages.push_back(Message::Text(text, sent));
    }

    /// The messages of an event that tells its number, with as many attachments as `parts`.
    fn event(
        &mut self,
        n: usize,
        wish: u64,
        parts: usize,
        ack: bool,
        missed: bool,
    ) -> Vec<Message> {
        self.serials += 1;
        let serial = self.serials;
        let ack_id = ack.then_some(serial);
        let mut attachments = Attachments::default();
        let args = (serial, bytes_of(serial, parts));
        let text = text(|buf| {
            encode_event(buf, 5, NAMESPACES[n], ack_id, "e", &args, &mut attachments)
                .expect("numbers and bytes")
        });
        let what = What::Event {
            serial,
            ack_id,
            missed,
        };
        messages(text, n, wish, what, attachments)
    }

    fn ack(&mut self, n: usize, wish: u64, id: u64) -> Vec<Message> {
        self.serials += 1;
        let serial = self.serials;
        let mut attachments = Attachments::default();
        let args = (
            serial,
            bytes_of(serial, usize::from(serial.is_multiple_of(2))),
        );
        let text = text(|buf| {
            encode_ack(buf, 5, NAMESPACES[n], id, &args, &mut attachments)
                .expect("numbers and bytes")
        });
        messages(text, n, wish, What::Ack { serial, id }, attachments)
    }

    fn deliver_to_server(&mut self) {
        let Some(message) = self.to_server.messages.pop_front() else {
            return;
        };
        let text;
        let there = |stays: &Stays, sent: &Sent| match sent.what {
            What::Connect => true,
            _ => is_in(stays, sent.namespace, sent.wish),
        };
        let input = match message {
            Message::Text(string, sent) => {
                let is_there = there(&self.at_server, &sent);
                let owed = attachments_of(&string);
                self.to_server.partial = Some((sent, is_there, owed));
                text = string;
                self.server.handle_text(&text)
            }
            Message::Binary(data) => self.server.handle_binary(data),
        };
        let input = input.expect("our client keeps to the protocol");
        let Some((sent, was_there)) = self.to_server.completed() else {
            return assert_eq!(input, None);
        };
        let (n, wish) = (sent.namespace, sent.wish);
        if !was_there || !there(&self.at_server, &sent) {
            return assert_eq!(input, None, "{sent:?}");
        }
        let input = input.unwrap_or_else(|| panic!("{sent:?} was lost"));
        match (sent.what, input) {
            (
                What::Connect,
                Input::Connect {
                    key,
                    namespace,
                    query,
                    auth,
                },
            ) => {
                assert_eq!(namespace, NAMESPACES[n]);
                let said = match self.revision {
                    SocketRevision::V5 => auth.map(str::to_owned),
                    SocketRevision::V4 => query.map(|query| format!("{{{query}}}")),
                };
                let number = said.expect("it says which").replace(['"', '{', '}'], "");
                assert_eq!(number[5..].parse(), Ok(wish));
                let place = Place::Asked;
                let before = self.at_server.insert(n, Stay { wish, key, place });
                assert!(before.is_none());
            }
            (What::Disconnect, Input::Disconnect { key }) => {
                assert_eq!(key, self.at_server[&n].key);
                self.at_server.remove(&n);
            }
            (
                What::Event { serial, ack_id, .. },
                Input::Event {
                    key,
                    args,
                    ack_id: id,
                    ..
                },
            ) => {
                assert_eq!((key, id), (self.at_server[&n].key, ack_id));
                let (number, bytes): (u64, Vec<Bytes>) = args.deserialize().expect("ours");
                assert_eq!(bytes, bytes_of(number, bytes.len()));
                assert_eq!(number, serial);
                self.server_owes.extend(id.map(|id| (n, wish, id)));
            }
            (What::Ack { serial, id }, Input::Ack { key, id: at, args }) => {
                assert_eq!((key, at), (self.at_server[&n].key, id));
                assert_eq!(args.deserialize::<(u64,)>().expect("ours"), (serial,));
            }
            (what, input) => panic!("{what:?} became {input:?}"),
        }
    }

    fn deliver_to_client(&mut self) {
        let Some(message) = self.to_client.messages.pop_front() else {
            return;
        };
        let there = |stays: &Stays, sent: &Sent| {
            let stay = stays.get(&sent.namespace);
            stay.is_some_and(|stay| match sent.what {
                _ if stay.wish != sent.wish => false,
                What::Event { missed: true, .. } => stay.place == Place::Asked,
                What::Accept | What::Refuse => stay.place != Place::Joined,
                _ => stay.place == Place::Joined,
            })
        };
        let text;
        let input = match message {
            Message::Text(string, sent) => {
                let is_there = there(&self.at_client, &sent);
                let owed = attachments_of(&string);
                self.to_client.partial = Some((sent, is_there, owed));
                text = string;
                self.client.handle_text(&text)
            }
            Message::Binary(data) => self.client.handle_binary(data),
        };
        let input = input.expect("our server keeps to the protocol");
        let Some((sent, was_there)) = self.to_client.completed() else {
            return assert_eq!(input, None);
        };
        let (n, wish) = (sent.namespace, sent.wish);
        if !was_there || !there(&self.at_client, &sent) {
            if n == 0 && wish == 0 && sent.what == What::Refuse {
                // Nobody had asked for `/`, so it is said to all.
                assert!(matches!(input, Some(ClientInput::ErrorOfAll { .. })));
                return;
            }
            return assert_eq!(input, None, "{sent:?}");
        }
        let input = input.unwrap_or_else(|| panic!("{sent:?} was lost"));
        let stay = self.at_client[&n];
        assert_eq!(input.key(), Some(stay.key), "{sent:?} was misrouted");
        match (sent.what, input) {
            (What::Accept, ClientInput::Connected { sid, .. }) => {
                assert_eq!(stay.place, Place::Asked);
                let expected = (self.revision == SocketRevision::V5).then(|| wish.to_string());
                assert_eq!(sid.as_deref(), expected.as_deref());
                let place = Place::Joined;
                self.at_client.insert(n, Stay { place, ..stay });
            }
            (What::Accept, ClientInput::Abandoned { key }) => {
                assert_eq!(stay.place, Place::Abandoned);
                assert_eq!(self.client.namespace(key), Some(NAMESPACES[n]));
                self.at_client.remove(&n);
                self.send_disconnect(n, wish);
            }
            (What::Refuse, ClientInput::Refused { message, .. }) => {
                assert_eq!(message, "no");
                self.at_client.remove(&n);
            }
            (What::Disconnect, ClientInput::Disconnected { .. }) => {
                self.at_client.remove(&n);
            }
            (
                What::Event { serial, ack_id, .. },
                ClientInput::Event {
                    args, ack_id: id, ..
                },
            ) => {
                assert_eq!(id, ack_id);
                let (number, bytes): (u64, Vec<Bytes>) = args.deserialize().expect("ours");
                assert_eq!(bytes, bytes_of(number, bytes.len()));
                assert_eq!(number, serial);
                self.client_owes.extend(id.map(|id| (n, wish, id)));
            }
            (What::Ack { serial, id }, ClientInput::Ack { id: at, args, .. }) => {
                assert_eq!(at, id);
                assert_eq!(args.deserialize::<(u64,)>().expect("ours"), (serial,));
            }
            (what, input) => panic!("{what:?} became {input:?}"),
        }
    }

    /// Both ends agree with the test.
    fn check(&self) {
        for (n, name) in NAMESPACES.iter().enumerate() {
            let joined = stay_in(&self.at_client, n, Place::Joined).map(|stay| stay.key);
            assert_eq!(self.client.find(name), joined);
            if let Some(stay) = self.at_client.get(&n) {
                assert_eq!(self.client.namespace(stay.key), Some(*name));
                assert_eq!(self.client.is_joined(stay.key), joined.is_some());
            }
            let joined = stay_in(&self.at_server, n, Place::Joined).map(|stay| stay.key);
            assert_eq!(self.server.find(name), joined);
        }
    }

    /// Everything arrives and every wish is granted: then both ends are in the same namespaces.
    fn settle(&mut self) {
        while !(self.to_client.messages.is_empty()
            && self.to_server.messages.is_empty()
            && self
                .at_server
                .values()
                .all(|stay| stay.place == Place::Joined))
        {
            for n in 0..NAMESPACES.len() {
                self.accept(n, 1);
            }
            self.deliver_to_client();
            self.deliver_to_server();
            self.check();
        }
        if self.revision == SocketRevision::V4 && !self.at_client.contains_key(&0) {
            // It may have been let in without a wish; then it can have it now.
            self.join(0);
            if self.at_client[&0].place != Place::Joined {
                return self.settle();
            }
        }
        let wishes = |stays: &Stays| {
            stays
                .iter()
                .map(|(n, stay)| (*n, stay.wish, stay.place))
                .collect::<Vec<_>>()
        };
        assert_eq!(wishes(&self.at_client), wishes(&self.at_server));
    }
}

impl Pipe {
    /// One more message of the packet on its way has come: the packet, if it was the last one, and whether somebody
    /// was there for it when the first one came.
    fn completed(&mut self) -> Option<(Sent, bool)> {
        let (_, _, owed) = self.partial.as_mut().expect("a text comes first");
        if *owed > 0 {
            *owed -= 1;
            return None;
        }
        self.partial.take().map(|(sent, there, _)| (sent, there))
    }
}

fn stay_in(stays: &Stays, n: usize, place: Place) -> Option<Stay> {
    stays.get(&n).copied().filter(|stay| stay.place == place)
}

fn is_in(stays: &Stays, n: usize, wish: u64) -> bool {
    stay_in(stays, n, Place::Joined).is_some_and(|stay| stay.wish == wish)
}

fn bytes_of(serial: u64, parts: usize) -> Vec<Bytes> {
    let part = |n: usize| Bytes::from(format!("{serial}.{n}"));
    (0..parts).map(part).collect()
}

fn messages(
    text: String,
    namespace: usize,
    wish: u64,
    what: What,
    mut attachments: Attachments,
) -> Vec<Message> {
    let sent = Sent {
        wish,
        namespace,
        what,
    };
    std::iter::once(Message::Text(text, sent))
        .chain(attachments.drain().map(Message::Binary))
        .collect()
}

fn attachments_of(text: &str) -> usize {
    text.matches("_placeholder").count()
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> usize) -> String {
    let mut buf = Vec::new();
    let start = write(&mut buf);
    String::from_utf8(buf.split_off(start)).expect("packets are text")
}
