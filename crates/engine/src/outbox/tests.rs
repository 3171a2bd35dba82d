use proptest::prelude::*;
use sockeye_websocket::{Decoded, Decoder, Event, Limits, Role, encode_frame};

use super::*;

/// What is done to an outbox.
#[derive(Clone, Debug)]
enum Step {
    Text(usize),
    Scratch(usize),
    Binary(usize),
    Control,
    Ping(usize),
    /// The socket takes this many bytes, and would block then.
    Flush(usize),
}

fn step() -> impl Strategy<Value = Step> {
    // Around the border between copied and shared frames, and far beyond.
    let size = || prop_oneof![0_usize..20, 1000_usize..1050, 60_000_usize..70_000];
    prop_oneof![
        size().prop_map(Step::Text),
        size().prop_map(Step::Scratch),
        size().prop_map(Step::Binary),
        Just(Step::Control),
        (0_usize..126).prop_map(Step::Ping),
        prop_oneof![0_usize..10, 100_usize..100_000].prop_map(Step::Flush),
    ]
}

fn become_stream(outbox: &mut Outbox, framing: Framing, unwritten: Vec<u8>) {
    let outlet = Outlet::stream(None, framing).behind(unwritten);
    outbox.move_to(TransportKind::WebSocket, outlet);
}

fn is_stream(outbox: &Outbox) -> bool {
    matches!(outbox.sink, Sink::Stream(_))
}

fn text(size: usize, count: usize) -> String {
    let mut text = format!("{count} ");
    text.extend("né€".chars().cycle().take(size));
    text
}

/// Puts the text, its packet type in front, into a frame.
fn expect_text(wire: &mut Vec<u8>, text: &str) {
    encode_frame(wire, OpCode::Text, format!("4{text}").as_bytes(), None);
}

fn expect_binary(wire: &mut Vec<u8>, revision: Revision, base64: bool, data: &[u8]) {
    let packet = Packet::binary(data);
    let mut bytes = Vec::new();
    match base64 {
        true => {
            packet.encode_text(revision, &mut bytes);
            encode_frame(wire, OpCode::Text, &bytes, None);
        }
        false => {
            packet.encode(revision, &mut bytes);
            encode_frame(wire, OpCode::Binary, &bytes, None);
        }
    }
}

/// A write that takes so many bytes in all, at most some at a time, and would block then.
fn socket(
    out: &mut Vec<u8>,
    mut room: usize,
    at_once: usize,
) -> impl FnMut(&[IoSlice<'_>]) -> io::Result<usize> {
    move |slices| {
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut left = room.min(at_once);
        let before = left;
        for slice in slices {
            let taken = left.min(slice.len());
            out.extend_from_slice(&slice[..taken]);
            left -= taken;
        }
        room -= before - left;
        Ok(before - left)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_is_written_once_and_in_order(
        steps in prop::collection::vec(step(), 1..120),
        upgrade in 0_usize..20,
        base64: bool,
        v3: bool,
        at_once in prop_oneof![1000_usize..2000, Just(usize::MAX)],
    ) {
        let revision = if v3 { Revision::V3 } else { Revision::V4 };
        let mut outbox = Outbox::new(revision, base64);
        let (mut expected, mut written) = (Vec::new(), Vec::new());
        let (mut beats, mut pongs) = (0, Vec::new());
        for (count, step) in steps.iter().enumerate() {
            if count == upgrade {
                become_stream(&mut outbox, Framing::WebSocket, b"unwritten".to_vec());
            }
            match *step {
                Step::Text(size) => {
                    let text = text(size, count);
                    outbox.push(&Message::text(&text), None);
                    expect_text(&mut expected, &text);
                }
                Step::Scratch(size) => {
                    let text = text(size, count);
                    let mut buf = vec![0; HEADROOM];
                    buf.extend_from_slice(text.as_bytes());
                    outbox.push_scratch(&mut buf, HEADROOM, None);
                    expect_text(&mut expected, &text);
                }
                Step::Binary(size) => {
                    let data = text(size, count).into_bytes();
                    outbox.push(&Message::binary(data.clone()), None);
                    expect_binary(&mut expected, revision, base64, &data);
                }
                Step::Control => {
                    outbox.push_control(Packet::PONG);
                    beats += 1;
                }
                Step::Ping(size) if is_stream(&outbox) => {
                    let payload = format!("{count:0size$}").into_bytes();
                    outbox.push_pong(&payload);
                    pongs.push(payload);
                }
                Step::Ping(_) => {}
                Step::Flush(room) => {
                    let before = written.len();
                    let flushed = outbox.flush_with(socket(&mut written, room, at_once));
                    match flushed {
                        Flushed::NotHere => prop_assert!(!is_stream(&outbox)),
                        Flushed::All => prop_assert!(outbox.is_empty()),
                        Flushed::Blocked => prop_assert_eq!(written.len(), before + room),
                        Flushed::Failed => prop_assert!(false, "nothing has failed"),
                    }
                }
            }
        }
        if !is_stream(&outbox) {
            become_stream(&mut outbox, Framing::WebSocket, b"unwritten".to_vec());
        }
        let left = outbox.queued();
        let before = written.len();
        let flushed = outbox.flush_with(socket(&mut written, usize::MAX, at_once));
        prop_assert_eq!(flushed, Flushed::All);
        prop_assert!(outbox.is_empty());
        prop_assert_eq!(written.len() - before, left);

        // Heartbeats may be anywhere between the frames; everything else is where it was put.
        let mut rest = written.strip_prefix(b"unwritten").unwrap();
        let (mut seen, mut seen_beats, mut seen_pongs) = (Vec::new(), 0, Vec::new());
        while !rest.is_empty() {
            let (frame, behind) = rest.split_at(sockeye_websocket::frame_len(rest).unwrap());
            rest = behind;
            match frame[0] & 0x0f {
                0xa => seen_pongs.push(frame[2..].to_vec()),
                _ if frame == b"\x81\x013" => seen_beats += 1,
                _ => seen.extend_from_slice(frame),
            }
        }
        prop_assert!(seen == expected, "{} of {} bytes", seen.len(), expected.len());
        prop_assert!(seen_beats <= beats && (seen_beats > 0) == (beats > 0));
        prop_assert_eq!(seen_pongs.last(), pongs.last());
        let mut asked = pongs.iter();
        prop_assert!(seen_pongs.iter().all(|seen| asked.any(|pong| pong == seen)));
    }
}

/// What waits in an outbox of WebSocket frames of which a peer has taken so many bytes and no
/// more.
fn stuck(messages: &[Message], taken: usize) -> (Outbox, Vec<u8>) {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    for message in messages {
        outbox.push(message, None);
    }
    let mut written = Vec::new();
    let flushed = outbox.flush_with(socket(&mut written, taken, usize::MAX));
    assert_eq!(flushed, Flushed::Blocked);
    (outbox, written)
}

#[test]
fn heartbeat_goes_ahead_of_all_frames_but_the_one_that_is_begun() {
    let small = Message::text(&"s".repeat(100));
    let large = Message::text(&"l".repeat(5000));
    let binary = Message::binary(vec![7; 5000]);
    for (first, second) in [(&small, &large), (&large, &binary), (&binary, &small)] {
        let messages = [first.clone(), second.clone(), second.clone()];
        let mut plain = Vec::new();
        let (mut outbox, _) = stuck(&messages, 0);
        outbox.flush_with(socket(&mut plain, usize::MAX, usize::MAX));
        let first = sockeye_websocket::frame_len(&plain).unwrap();
        for taken in [0, 1, 3, 50, first - 1, first, first + 1] {
            let (mut outbox, mut written) = stuck(&messages, taken);
            outbox.push_control(Packet::PING);
            outbox.push_pong(b"now");
            outbox.flush_with(socket(&mut written, usize::MAX, 1000));
            let border = match taken {
                0 => 0,
                taken if taken <= first => first,
                _ => first + sockeye_websocket::frame_len(&plain[first..]).unwrap(),
            };
            let beats: &[u8] = b"\x81\x012\x8a\x03now";
            let expected = [&plain[..border], beats, &plain[border..]].concat();
            assert!(written == expected, "{taken} bytes were taken");
        }
    }
}

#[test]
fn heartbeat_goes_ahead_of_small_frames_that_were_copied_together() {
    let messages: Vec<_> = (100..300).map(|n| Message::text(&n.to_string())).collect();
    // Each frame has six bytes.
    for taken in [0, 5, 6, 7, 600, 1199] {
        let (mut outbox, mut written) = stuck(&messages, taken);
        outbox.push_control(Packet::PING);
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        let at = taken.next_multiple_of(6);
        assert_eq!(
            written[at..at + 3],
            *b"\x81\x012",
            "{taken} bytes were taken"
        );
        assert_eq!(written.len(), 1203);
    }
}

#[test]
fn of_pings_that_pile_up_the_newest_is_answered() {
    let (mut outbox, mut written) = stuck(&[Message::text("waits")], 2);
    for n in 0..100_000 {
        outbox.push_pong(format!("{n}").as_bytes());
        outbox.push_control(Packet::PONG);
        if n % 1000 == 0 {
            outbox.flush_with(socket(&mut written, 0, usize::MAX));
        }
        assert!(outbox.queued() < 40, "{} bytes wait", outbox.queued());
    }
    outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
    assert_eq!(written, b"\x81\x064waits\x81\x013\x8a\x0599999");
}

/// The tail of a stream that nothing else waits on, how much room it has, and how much of it is written.
fn tail(outbox: &Outbox) -> (usize, usize, usize) {
    let Sink::Stream(stream) = &outbox.sink else {
        panic!("no stream")
    };
    (stream.tail.len(), stream.tail.capacity(), stream.written)
}

/// As much as waits for a peer that does not read, in small frames.
fn much() -> Outbox {
    let message = Message::text(&"s".repeat(100));
    stuck(&vec![message; 20_000], 0).0
}

#[test]
fn packets_for_a_peer_that_reads_nothing_do_not_move_what_waits() {
    let mut outbox = much();
    let mut moves = 0;
    for _ in 0..1000 {
        let (_, before, _) = tail(&outbox);
        outbox.push(&Message::text("tiny"), None);
        outbox.flush_with(socket(&mut Vec::new(), 0, usize::MAX));
        moves += usize::from(tail(&outbox).1 != before);
    }
    assert!(moves <= 1, "{moves} moves");
}

#[test]
fn packets_for_a_peer_that_reads_slowly_do_not_move_what_waits() {
    for (read, pushed) in [(1000, 1), (1000, 9), (100, 1), (50, 9)] {
        let mut outbox = much();
        let (mut written, mut moved) = (Vec::new(), 0);
        for _ in 0..3000 {
            for _ in 0..pushed {
                outbox.push(&Message::text(&"s".repeat(100)), None);
            }
            let before = tail(&outbox);
            outbox.flush_with(socket(&mut written, read, usize::MAX));
            let after = tail(&outbox);
            if after.1 != before.1 || after.2 != before.2 + read {
                moved += after.0;
            }
            let most = 4096.max(3 * outbox.queued());
            assert!(after.1 <= most, "{} bytes for {}", after.1, outbox.queued());
        }
        assert!(
            moved < 3 * written.len() + 5_000_000,
            "{moved} bytes moved to write {}",
            written.len()
        );
    }
}

#[test]
fn frames_that_are_written_are_not_counted_with_each_ping() {
    let mut outbox = much();
    let mut written = Vec::new();
    outbox.flush_with(socket(&mut written, 500_000, usize::MAX));
    assert_eq!(tail(&outbox).2, 500_000);
    let before = outbox.queued();
    outbox.push_pong(b"now");
    assert!(tail(&outbox).2 < 110);
    assert_eq!(outbox.queued(), before + 5);
    outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
    assert!(outbox.is_empty() && written.len() == 500_000 + before + 5);
}

#[test]
fn roomy_buffer_of_a_thread_is_not_kept_for_a_slow_peer() {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    for _ in 0..100 {
        outbox.push(&Message::text(&"s".repeat(100)), None);
    }
    outbox.flush_with(socket(&mut Vec::new(), 5_000, usize::MAX));
    let (len, capacity, _) = tail(&outbox);
    assert_eq!(capacity, len);
    assert!(len < outbox.queued() + 110);
}

/// The largest pings that there are. npm's `ws` leaves 60 unanswered ones at most, which takes about as much.
#[test]
fn pending_pongs_of_a_peer_that_reads_are_bounded() {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    for _ in 0..1000 {
        outbox.push_pong(&[0; 125]);
        let waits = outbox.queued();
        assert!((127..=60 * 127).contains(&waits), "{waits} bytes wait");
    }
}

#[test]
fn pings_that_come_together_are_answered_one_by_one() {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    for n in 0..10 {
        outbox.push_pong(&[n]);
    }
    let mut written = Vec::new();
    outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
    let expected: Vec<_> = (0..10).flat_map(|n| [0x8a, 1, n]).collect();
    assert_eq!(written, expected);
}

#[test]
fn heartbeat_of_long_polling_waits_once_and_in_front() {
    let mut outbox = Outbox::new(Revision::V3, false);
    outbox.push(&Message::text("x"), None);
    for _ in 0..1000 {
        outbox.push_control(Packet::PONG);
    }
    let mut packets = Vec::new();
    outbox.take_packets(|packet| {
        packets.push(format!("{packet:?}"));
        true
    });
    assert_eq!(
        packets,
        [
            r#"Packet(Pong(""))"#,
            r#"Text { packet: "4x", compress: false }"#
        ]
    );
}

#[test]
fn only_a_socket_that_was_full_tells_of_its_peer() {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    let mut written = Vec::new();
    outbox.push(&Message::text("taken by the buffer of the system"), None);
    outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
    assert!(!outbox.take_moved());
    outbox.push(&Message::text("taken in part"), None);
    outbox.flush_with(socket(&mut written, 3, usize::MAX));
    assert!(!outbox.take_moved());
    for room in [0, 1, 0, 2] {
        outbox.flush_with(socket(&mut written, room, usize::MAX));
        assert_eq!(outbox.take_moved(), room > 0);
        assert!(!outbox.take_moved(), "it is told once");
    }
    outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
    assert!(outbox.take_moved());
    outbox.push(&Message::text("taken by the buffer again"), None);
    outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
    assert!(!outbox.take_moved());
}

#[test]
fn clearing_forgets_what_is_not_begun() {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    outbox.push(&Message::text("never sent"), None);
    outbox.clear();
    assert!(outbox.is_empty());
    outbox.push(&Message::text("sent"), None);
    let mut written = Vec::new();
    outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
    assert_eq!(written, b"\x81\x054sent");
}

#[test]
fn clearing_keeps_a_frame_that_is_written_in_part() {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    for text in ["small".to_owned(), "large ".repeat(500)] {
        outbox.push(&Message::text(&text), None);
        let mut written = Vec::new();
        outbox.flush_with(socket(&mut written, 3, usize::MAX));
        // What is behind it is forgotten.
        outbox.push(&Message::text(&"never sent".repeat(500)), None);
        outbox.push(&Message::text("never sent"), None);
        outbox.push_control(Packet::PING);
        outbox.clear();
        outbox.push_frame(OpCode::Close, &[]);
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        let mut expected = Vec::new();
        expect_text(&mut expected, &text);
        expected.extend_from_slice(b"\x88\0");
        assert_eq!(written, expected);
    }
}

#[test]
fn failed_write_is_told() {
    let mut outbox = Outbox::new(Revision::V4, false);
    become_stream(&mut outbox, Framing::WebSocket, Vec::new());
    outbox.push(&Message::text("x"), None);
    let broken = outbox.flush_with(|_| Err(io::ErrorKind::BrokenPipe.into()));
    assert_eq!(broken, Flushed::Failed);
    assert_eq!(outbox.flush_with(|_| Ok(0)), Flushed::Failed);
    let mut interrupted = false;
    let flushed = outbox.flush_with(|slices| {
        if !std::mem::replace(&mut interrupted, true) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(slices.iter().map(|slice| slice.len()).sum())
    });
    assert_eq!(flushed, Flushed::All);
}

#[test]
fn closed_outbox_takes_nothing() {
    let mut outbox = Outbox::new(Revision::V4, false);
    outbox.push(&Message::text("x"), None);
    outbox.close();
    outbox.push(&Message::text("y"), None);
    outbox.push_control(Packet::Noop);
    assert!(outbox.is_closed() && outbox.is_empty());
    outbox.take_packets(|packet| unreachable!("{packet:?} was kept"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn masked_frames_say_what_unmasked_ones_do(
        steps in prop::collection::vec(step(), 1..60),
        upgrade in 0_usize..20,
        base64: bool,
        v3: bool,
    ) {
        let revision = if v3 { Revision::V3 } else { Revision::V4 };
        let [mut plain, mut masked] = [(), ()].map(|()| Outbox::new(revision, base64));
        for (count, step) in steps.iter().enumerate() {
            if count == upgrade {
                become_stream(&mut plain, Framing::WebSocket, Vec::new());
                become_stream(&mut masked, Framing::MaskedWebSocket, Vec::new());
            }
            for outbox in [&mut plain, &mut masked] {
                match *step {
                    Step::Text(size) => outbox.push(&Message::text(&text(size, count)), None),
                    Step::Scratch(size) => {
                        let mut buf = vec![0; HEADROOM];
                        buf.extend_from_slice(text(size, count).as_bytes());
                        outbox.push_scratch(&mut buf, HEADROOM, None);
                    }
                    Step::Binary(size) => outbox.push(&Message::binary(vec![7; size]), None),
                    Step::Control => outbox.push_control(Packet::PONG),
                    // So few that all of them are answered, whatever the mask adds.
                    Step::Ping(size) => outbox.push_pong(&vec![7; size % 32]),
                    Step::Flush(_) => {}
                }
            }
        }
        if !is_stream(&plain) {
            become_stream(&mut plain, Framing::WebSocket, Vec::new());
            become_stream(&mut masked, Framing::MaskedWebSocket, Vec::new());
        }
        let [plain, masked] = [(plain, Role::Client), (masked, Role::Server)].map(
            |(mut outbox, reader)| {
                let queued = outbox.queued();
                let mut bytes = Vec::new();
                outbox.flush_with(socket(&mut bytes, usize::MAX, usize::MAX));
                assert_eq!(bytes.len(), queued);
                decode(&mut bytes, reader)
            },
        );
        prop_assert!(plain == masked);
    }
}

/// The frames that a decoder of this role finds in the bytes. It wants masked ones if it is
/// a server's, and unmasked ones if it is a client's.
fn decode(mut bytes: &mut [u8], role: Role) -> Vec<(char, Vec<u8>)> {
    let mut decoder = Decoder::new(role, Limits::default());
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        let used = match decoder.decode(bytes).unwrap() {
            Decoded::Event { event, used } => {
                seen.push(match event {
                    Event::Text(text) => ('t', text.as_bytes().to_vec()),
                    Event::Binary(data) => ('b', data.to_vec()),
                    Event::Pong(data) => ('p', data.to_vec()),
                    other => panic!("{other:?}"),
                });
                used
            }
            Decoded::Skip { used } => used,
            Decoded::NeedMore { .. } => panic!("half a frame"),
            Decoded::Deflated { .. } => panic!("nobody has agreed on that"),
        };
        bytes = &mut bytes[used..];
    }
    seen
}

/// What carries the session says whether it is a bare stream, however its packets become bytes.
#[test]
fn little_may_wait_on_a_bare_stream_only() {
    let shallow = |transport, outlet| {
        let mut outbox = Outbox::new(Revision::V4, false).high_water_mark(100);
        outbox.move_to(transport, outlet);
        let mut shallow = vec![outbox.is_shallow()];
        outbox.push(&Message::text(&"x".repeat(100)), None);
        shallow.push(outbox.is_shallow());
        shallow
    };
    let native = || Outlet::stream(None, Framing::Native);
    let packets = Outlet::packets;
    assert_eq!(shallow(TransportKind::Tcp, native()), [true, false]);
    assert_eq!(shallow(TransportKind::Tcp, packets(true)), [true, false]);
    assert_eq!(shallow(TransportKind::Tcp, packets(false)), [false, false]);
    for outlet in [native(), packets(true)] {
        assert_eq!(shallow(TransportKind::WebTransport, outlet), [false, false]);
    }
}
