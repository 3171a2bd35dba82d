use sockeye_socket_proto::Args;

use super::*;
use crate::session::{Session, SessionMark};
use crate::testing::made_here;
use crate::{Event, Opts, Value};

/// What Node inserts, as JSON, which for these says all.
const DOCUMENTS: &[&str] = &[
    r#"{"type":1,"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":2,"uid":"3cc1e9e41533feaf","nsp":"/admin"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["hello",1]},"opts":{"rooms":["room1"],"except":["r2"],"flags":{}}},"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["u",null,{"k":null}]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["q",1.5]},"requestId":"f0cfde971e85bc18","opts":{"rooms":[],"except":[],"flags":{"timeout":500}}},"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":11,"data":{"requestId":"f0cfde971e85bc18","clientCount":1},"uid":"3cc1e9e41533feaf","nsp":"/"}"#,
    r#"{"type":12,"data":{"requestId":"f0cfde971e85bc18","packet":"ans"},"uid":"3cc1e9e41533feaf","nsp":"/"}"#,
    r#"{"type":7,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"requestId":"8a2a04384c9b631b"},"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":4,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["r5"]},"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":6,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"close":true},"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":9,"data":{"packet":["ev",1]},"uid":"31397d5f14c432df","nsp":"/"}"#,
    r#"{"type":10,"data":{"requestId":"ad4516fefb259613","packet":"pong"},"uid":"3cc1e9e41533feaf","nsp":"/"}"#,
    r#"{"type":13,"data":{"sid":"SYHNtLy9kSl85S6NAAAA","pid":"F7DXpwtMqQ_QbPpYAAAB","rooms":["SYHNtLy9kSl85S6NAAAA","room1","re"],"data":{"u":1}},"uid":"3cc1e9e41533feaf","nsp":"/"}"#,
    r#"{"type":13,"data":{"pid":"F7DXpwtMqQ_QbPpYAAAB","tombstone":true},"uid":"3cc1e9e41533feaf","nsp":"/"}"#,
];

fn document(text: &str) -> Vec<(String, Field)> {
    let args = Value::wire(crate::value::Wire {
        form: crate::value::WireForm::Json,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    });
    let mut packed = Vec::new();
    args.write_msgpack(&mut packed).unwrap();
    let Field::Map(fields) = Field::unpack(&packed).unwrap() else {
        panic!("{text}");
    };
    fields
}

fn decoded(fields: &[(String, Field)]) -> Envelope {
    decode(fields, &Limits::default()).unwrap()
}

#[test]
fn what_node_writes_is_read_and_written_again() {
    for text in DOCUMENTS {
        let fields = document(text);
        let envelope = decoded(&fields);
        let (from, namespace) = (envelope.from.unwrap(), envelope.namespace.unwrap());
        for message in [envelope.message.clone(), made_here(envelope.message)] {
            let again = encode(&from, &namespace, &message).unwrap();
            assert_eq!(again, fields, "{text}");
        }
    }
}

#[test]
fn what_else_is_in_a_document_is_not_looked_at() {
    let mut fields = document(DOCUMENTS[0]);
    let mut deep = Field::Null;
    for _ in 0..200 {
        deep = Field::List(vec![deep]);
    }
    fields.insert(0, ("_id".to_owned(), deep));
    fields.push(("createdAt".to_owned(), Field::Date(0)));
    assert!(matches!(decoded(&fields).message, Message::Hello));
}

#[test]
fn bytes_and_dates_are_what_they_are() {
    let mut fields = document(DOCUMENTS[10]);
    let data = Field::List(vec![
        Field::Text("ev".to_owned()),
        Field::Bytes(vec![1, 2]),
        Field::Date(1_700_000_000_123),
        Field::Date(-1),
    ]);
    fields[1].1 = Field::Map(vec![("packet".to_owned(), data)]);
    let envelope = decoded(&fields);
    let Message::ServerSideEmit { event, .. } = &envelope.message else {
        panic!("it is one");
    };
    let (_, args) = event.decode(&Limits::default()).unwrap();
    assert_eq!(
        args.as_json(),
        r#"{"_placeholder":true,"num":0},"2023-11-14T22:13:20.123Z","1969-12-31T23:59:59.999Z""#
    );
    // What is passed on keeps them.
    let again = encode(&envelope.from.unwrap(), "/", &envelope.message).unwrap();
    assert_eq!(again, fields);
}

/// To others the number is that of a node that goes: taken for that, each session would evict a live one.
#[test]
fn thirteen_is_a_session_here_and_nowhere_else() {
    let Message::Session(SessionMark::Kept(Session { pid, .. })) =
        decoded(&document(DOCUMENTS[12])).message
    else {
        panic!("it is one");
    };
    assert_eq!(&*pid, "F7DXpwtMqQ_QbPpYAAAB");
    assert!(matches!(
        decoded(&document(DOCUMENTS[13])).message,
        Message::Session(SessionMark::Gone { .. })
    ));
    // A node that goes has a number that Node's servers do not know.
    let from = NodeId::new("a");
    let close = encode(&from, "/", &Message::Close).unwrap();
    assert_eq!(close[0], ("type".to_owned(), Field::Int(14)));
    assert!(matches!(decoded(&close).message, Message::Close));
    let mut later = document(DOCUMENTS[11]);
    later[0].1 = Field::Int(14);
    assert!(decode(&later, &Limits::default()).is_err());
    let session = decoded(&document(DOCUMENTS[12])).message;
    assert!(matches!(
        cluster::encode_json(&mut Vec::new(), &from, "/", &session),
        Err(EncodeError::NoWord(_))
    ));
}

#[test]
fn numbers_of_64_bits_are_kept_where_they_can_be() {
    let args = Args::new(&(i64::MAX, i64::MIN, u64::MAX)).unwrap();
    let message = Message::Broadcast {
        event: Event::new("n", args.as_raw()),
        opts: Opts::default(),
        request: None,
    };
    let fields = encode(&NodeId::new("a"), "/", &message).unwrap();
    let Message::Broadcast { event, .. } = decoded(&fields).message else {
        panic!("it is one");
    };
    let (_, args) = event.decode(&Limits::default()).unwrap();
    assert_eq!(
        args.as_json(),
        "9223372036854775807,-9223372036854775808,1.8446744073709552e+19"
    );
}

#[test]
fn hostile_nesting_is_refused() {
    let mut deep = Field::Null;
    for _ in 0..10_000 {
        deep = Field::List(vec![deep]);
    }
    let fields = [("data".to_owned(), deep)];
    assert!(decode(&fields, &Limits::default()).is_err());
    // Dropped piece by piece, as a stack would not do.
    let [(_, mut deep)] = fields;
    while let Field::List(mut items) = deep {
        deep = items.pop().unwrap();
    }
}
