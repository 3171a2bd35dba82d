//! Joining and leaving namespaces, and changing one's mind meanwhile.

use std::time::Duration;

use super::world::{TIMEOUT, World};

/// A client whose `/` is connected, and whose `/other` is not.
fn world() -> World {
    let mut world = World::new(["/", "/other"]);
    world.connect_lazy(0);
    world.open();
    world.hear(r#"0{"sid":"one"}"#);
    world.tells(["0 opening", "0 open after 0", "0 / connect"]);
    world.sends(["join /"]);
    world
}

#[test]
fn refused_socket_leaves_the_other_alone_and_may_try_again() {
    let mut world = world();
    world.connect(1, "who");
    world.hear(r#"4/other,{"message":"not you"}"#);
    world.tells(["0 who: not you", "0 /other connect_error: not you"]);
    assert!(!world.is_active(1) && world.is_connected(0));
    world.connect(1, "who");
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.sends(["join /other", "join /other"]);
    // One leaves, the other stays.
    world.disconnect(1);
    world.sends(["leave /other"]);
    world.tells([
        "0 /other connect",
        "0 who: connected",
        "0 /other disconnecting",
        "0 /other disconnect",
    ]);
    assert!(world.is_connected(0));
}

#[test]
fn last_socket_that_leaves_closes_the_session() {
    let mut world = world();
    world.disconnect(0);
    world.sends(["leave /"]);
    world.tells([
        "0 / disconnecting",
        "0 / disconnect",
        "0 close: forced close",
    ]);
    assert!(world.rests());
}

#[test]
fn refused_socket_may_try_again_from_its_handler() {
    let mut world = world();
    world.connect_lazy(1);
    world.when("/other connect_error: no", |world| world.connect_lazy(1));
    world.hear(r#"4/other,{"message":"no"}"#);
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.sends(["join /other", "join /other"]);
    world.tells(["0 /other connect_error: no", "0 /other connect"]);
}

#[test]
fn waiting_for_a_connection_is_not_ended_by_another_who_stops_waiting() {
    let mut world = world();
    world.connect(1, "patient");
    world.connect(1, "hasty");
    world.give_up(1, "hasty");
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.tells(["0 /other connect", "0 patient: connected"]);
    assert!(world.is_active(1) && world.is_connected(1));
}

#[test]
fn refusal_of_an_attempt_that_was_given_up_lets_the_next_one_begin() {
    let mut world = world();
    world.connect(1, "first");
    world.give_up(1, "first");
    // The server cannot be asked twice before it has answered.
    world.connect(1, "second");
    world.sends(["join /other"]);
    world.hear(r#"4/other,{"message":"no"}"#);
    world.sends(["join /other"]);
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.tells(["0 /other connect", "0 second: connected"]);
}

#[test]
fn who_is_let_in_after_giving_up_leaves_and_may_ask_again() {
    let mut world = world();
    world.connect_lazy(1);
    world.disconnect(1);
    world.connect_lazy(1);
    world.sends(["join /other"]);
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.sends(["leave /other", "join /other"]);
    world.tells([]);
    world.hear(r#"0/other,{"sid":"three"}"#);
    world.tells(["0 /other connect"]);
}

#[test]
fn socket_that_was_put_off_asks_the_next_session() {
    let mut world = world();
    world.connect_lazy(1);
    world.disconnect(1);
    world.connect_lazy(1);
    world.sends(["join /other"]);
    world.lose();
    // It has asked for nothing, so that nothing has ended.
    world.tells([
        "0 / disconnecting",
        "0 / disconnect",
        "0 close: transport close",
        "0 again in 1s",
    ]);
    world.sleep(Duration::from_secs(1));
    world.open();
    world.sends(["join /", "join /other"]);
}

#[test]
fn socket_can_be_disconnected_and_connected_again_at_once() {
    let mut world = world();
    for _ in 0..20 {
        world.connect(1, "who");
        world.hear(r#"0/other,{"sid":"two"}"#);
        assert!(world.is_connected(1));
        world.disconnect(1);
        assert!(!world.is_connected(1));
        world.sends(["join /other", "leave /other"]);
    }
}

#[test]
fn stay_that_the_server_ends_is_followed_by_the_next_if_a_handler_wants_it() {
    let mut world = world();
    world.when("/ disconnecting", |world| world.connect_lazy(0));
    world.hear("1");
    world.tells(["0 / disconnecting", "0 / disconnect"]);
    world.sends(["join /"]);
    world.hear(r#"0{"sid":"two"}"#);
    world.hear("1");
    // It means it otherwise.
    world.tells([
        "0 / connect",
        "0 / disconnecting",
        "0 / disconnect",
        "0 close: forced close",
    ]);
    assert!(!world.is_active(0) && world.rests());
}

#[test]
fn handlers_may_connect_and_disconnect() {
    let mut world = world();
    world.when("/other connect", |world| world.disconnect(1));
    world.when("/other disconnect", |world| world.connect_lazy(1));
    world.connect_lazy(1);
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.sends(["join /other", "leave /other", "join /other"]);
    world.hear(r#"0/other,{"sid":"three"}"#);
    world.tells([
        "0 /other connect",
        "0 /other disconnecting",
        "0 /other disconnect",
        "0 /other connect",
    ]);
}

#[test]
fn who_waits_for_an_answer_waits_no_longer_than_the_timeout() {
    let mut world = world();
    world.connect(1, "who");
    world.sleep(TIMEOUT / 2);
    world.give_up(1, "who");
    world.connect(1, "next");
    world.sleep(TIMEOUT / 2);
    world.tells([]);
    // The time of the attempt that was given up does not count.
    world.sleep(TIMEOUT / 2);
    world.tells(["30 next: timeout", "30 /other connect_error: timeout"]);
    assert!(!world.is_active(1) && world.is_connected(0));
}

#[test]
fn lazy_socket_goes_on_waiting_and_is_told_how_long_it_takes() {
    let mut world = world();
    world.connect_lazy(1);
    for _ in 0..2 {
        world.sleep(TIMEOUT);
        assert!(world.is_active(1));
    }
    world.hear(r#"0/other,{"sid":"two"}"#);
    world.tells([
        "20 /other connect_error: timeout",
        "40 /other connect_error: timeout",
        "40 /other connect",
    ]);
}

#[test]
fn stay_is_recovered_unless_it_was_left_on_purpose() {
    let mut world = world();
    world.connect_lazy(1);
    let accepted = r#"0/other,{"sid":"two","pid":"secret"}"#;
    for on_purpose in [false, true] {
        world.hear(accepted);
        let recovery = world.sockets[1].membership.recovery();
        recovery.handle_event(r#""offset""#.into());
        match on_purpose {
            true => {
                world.disconnect(1);
                world.connect_lazy(1);
            }
            false => {
                world.lose();
                world.sleep(Duration::from_secs(1));
                world.open();
            }
        }
        let shown = world.sockets[1].membership.recovery().resume();
        assert_eq!(shown.is_none(), on_purpose);
        world.hear(accepted);
        assert_eq!(world.sockets[1].membership.recovered(), !on_purpose);
        world.disconnect(1);
        world.connect_lazy(1);
    }
}
