//! The hot path of a connection that uses one namespace must not touch the heap.
#![expect(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use sockeye_engine_proto::lines::{Found, next_line};
use sockeye_socket_proto::lines::{self, Line, LinesConfig};
use sockeye_socket_proto::{
    Attachments, ClientConnection, ClientInput, Connection, ConnectionConfig, Input,
    SocketRevision, encode_ack, encode_event,
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `ptr` came from the system allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Point {
    n: [u8; 2],
}

#[test]
fn client_that_joins_the_main_namespace_and_receives_events_allocates_nothing() {
    let allocations = count(|| {
        let config = ConnectionConfig::default();
        let mut connection = ClientConnection::new(SocketRevision::V5, &config);
        let key = connection.join("/").unwrap();
        connection.handle_text(r#"0{"sid":"S"}"#).unwrap();
        assert!(connection.is_joined(key));
        for _ in 0..3 {
            let input = connection.handle_text(r#"27["echo",{"n":[1,2]}]"#);
            assert!(matches!(input, Ok(Some(ClientInput::Event { .. }))));
            let input = connection.handle_text("37[1]");
            assert!(matches!(input, Ok(Some(ClientInput::Ack { .. }))));
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn joining_the_main_namespace_and_receiving_events_allocates_nothing() {
    let allocations = count(|| {
        let config = ConnectionConfig::default();
        let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
        let key = connection.handle_text("0").unwrap().unwrap().key();
        connection.accept(key);
        for _ in 0..3 {
            let input = connection
                .handle_text(r#"27["echo",{"n":[1,2]},"text"]"#)
                .unwrap();
            let Some(Input::Event {
                args,
                ack_id: Some(7),
                ..
            }) = input
            else {
                panic!()
            };
            let (point, text): (Point, &str) = args.deserialize().unwrap();
            assert_eq!(point.n, [1, 2]);
            assert_eq!(text, "text");
            assert!(matches!(
                connection.handle_text("312[1]"),
                Ok(Some(Input::Ack { .. }))
            ));
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn encoding_into_a_used_buffer_allocates_nothing() {
    let (mut buf, mut attachments) = (Vec::with_capacity(256), Attachments::default());
    let args = ("text", [1, 2, 3], Some(1.5));
    let allocations = count(|| {
        encode_event(
            &mut buf,
            14,
            "/chat",
            Some(7),
            "echo",
            &args,
            &mut attachments,
        )
        .unwrap();
        encode_ack(&mut buf, 14, "/chat", 7, &args, &mut attachments).unwrap();
    });
    assert_eq!(allocations, 0);
}

#[test]
fn lines_are_read_and_written_without_allocations() {
    let config = LinesConfig::default();
    let unread = b"{\"eventName\":\"echo\",\"args\":[{\"n\":[1,2]},\"text\"],\"id\":7}\r\n";
    let mut out = Vec::with_capacity(256);
    let allocations = count(|| {
        let Ok(Found::Line { line, .. }) = next_line(unread, 0, unread.len()) else {
            panic!()
        };
        let Ok(Line::Event(event)) = lines::decode(line, &config) else {
            panic!()
        };
        let (point, text): (Point, &str) = event.args.deserialize().unwrap();
        assert_eq!((point.n, text), ([1, 2], "text"));
        let args = (Point { n: point.n }, text);
        lines::encode_event(&mut out, 0, event.ack_id, &event.name, &args).unwrap();
    });
    assert_eq!(allocations, 0);
    assert_eq!(out, unread);
}
