//! What becomes of events that cannot be sent at once.

use std::time::Duration;

use super::world::World;
use crate::BufferPolicy;

const ACCEPTED: &str = r#"0{"sid":"one"}"#;

#[test]
fn events_wait_for_the_connection_in_order() {
    let mut world = World::new(["/"]);
    for name in ["a", "b", "c"] {
        assert!(world.emit(0, name, None));
    }
    world.connect_lazy(0);
    world.open();
    world.hear(ACCEPTED);
    assert!(world.emit(0, "d", None));
    world.sends(["join /", "a", "b", "c", "d"]);
    assert_eq!(world.sockets[0].waiting(), 0);
}

#[test]
fn event_whose_answer_nobody_waits_for_is_not_sent_and_takes_no_room() {
    let mut world = World::new(["/"]);
    world.limits.events = 2;
    assert!(world.emit(0, "void", Some(1)));
    assert!(world.emit(0, "a", None));
    assert!(world.emit(0, "b", None) && !world.emit(0, "c", None));
    assert_eq!(world.sockets[0].waiting(), 2);
    world.limits.policy = BufferPolicy::DropOldest;
    assert!(world.emit(0, "void", Some(2)));
    world.connect_lazy(0);
    world.open();
    world.hear(ACCEPTED);
    world.sends(["join /", "b"]);
}

#[test]
fn socket_is_connected_once_the_outbox_has_taken_what_was_kept() {
    let mut world = World::new(["/"]);
    for name in ["a", "b", "c"] {
        world.emit(0, name, None);
    }
    world.connect(0, "who");
    world.open();
    world.room = 3;
    world.hear(ACCEPTED);
    world.sends(["join /", "a", "b"]);
    assert!(!world.is_connected(0));
    // What is emitted meanwhile does not overtake.
    world.emit(0, "d", None);
    world.tells(["0 opening", "0 open after 0"]);
    world.flush(0);
    world.sends(["c", "d"]);
    world.tells(["0 / connect", "0 who: connected"]);
}

#[test]
fn leaving_while_kept_events_are_sent_is_told_to_the_server() {
    let mut world = World::new(["/", "/other"]);
    world.connect_lazy(0);
    world.open();
    world.hear(ACCEPTED);
    world.emit(1, "a", None);
    world.emit(1, "b", None);
    world.connect(1, "who");
    world.room = 3;
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.sends(["join /", "join /other", "a"]);
    world.disconnect(1);
    world.sends(["leave /other"]);
    // It was not connected yet, and what was not sent waits for the next time.
    world.tells([
        "0 opening",
        "0 open after 0",
        "0 / connect",
        "0 who: cancelled",
    ]);
    assert_eq!(world.sockets[1].waiting(), 1);
    world.connect_lazy(1);
    world.hear(r#"0/other,{"sid":"three"}"#);
    world.sends(["join /other", "b"]);
}

#[test]
fn answers_to_what_was_sent_are_lost_with_the_connection_and_others_are_not() {
    let mut world = World::new(["/"]);
    world.connect_lazy(0);
    world.open();
    world.hear(ACCEPTED);
    let member = &mut world.sockets[0];
    let [sent, emitting] = [(); 2].map(|()| member.begin_emit());
    member.end_emit(Some(sent));
    world.lose();
    let kept = world.sockets[0].begin_emit();
    assert!(world.emit(0, "kept", Some(kept)));
    let lost = world.sockets[0].handle_end();
    let later = world.sockets[0].next_ack_id();
    let lost = [sent, emitting, kept, later].map(|id| lost.has(id));
    assert_eq!(lost, [true, false, false, false]);
}

#[test]
fn event_that_waits_when_reconnecting_is_given_up_stays_and_so_does_its_answer() {
    let mut world = World::with(crate::Reconnection::default().attempts(1), ["/"]);
    world.connect_lazy(0);
    let id = world.sockets[0].begin_emit();
    world.emit(0, "kept", Some(id));
    world.fail(true);
    world.sleep(Duration::from_secs(2));
    world.fail(true);
    assert!(world.rests() && !world.is_active(0));
    assert!(!world.sockets[0].handle_end().has(id));
    world.connect_lazy(0);
    world.open();
    world.hear(ACCEPTED);
    world.sends(["join /", "kept"]);
}
