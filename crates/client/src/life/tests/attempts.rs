//! When sessions are opened.

use std::time::Duration;

use super::world::World;
use crate::Reconnection;

const SECOND: Duration = Duration::from_secs(1);

fn no_jitter() -> Reconnection {
    Reconnection::default().randomization(0.0)
}

#[test]
fn socket_that_was_never_connected_is_not_brought_back_by_itself() {
    let mut world = World::new(["/"]);
    world.connect(0, "who");
    world.fail(true);
    world.tells(["0 opening", "0 who: failed", "0 / connect_error"]);
    assert!(!world.is_active(0) && world.rests());
}

#[test]
fn lazy_socket_connects_when_the_server_is_there_at_last() {
    let mut world = World::new(["/"]);
    world.connect_lazy(0);
    for delay in [1, 2, 4] {
        world.fail(true);
        world.sleep(delay * SECOND);
    }
    world.open();
    world.hear(r#"0{"sid":"one"}"#);
    world.tells([
        "0 opening",
        "0 / connect_error, active",
        "0 again in 1s",
        "1 attempt 1",
        "1 / connect_error, active",
        "1 again in 2s",
        "3 attempt 2",
        "3 / connect_error, active",
        "3 again in 4s",
        "7 attempt 3",
        "7 open after 3",
        "7 / connect",
    ]);
    // It counts anew after that.
    world.lose();
    world.tells([
        "7 / disconnecting",
        "7 / disconnect",
        "7 close: transport close",
        "7 again in 1s",
    ]);
    assert!(world.is_active(0) && !world.is_connected(0));
}

#[test]
fn server_that_is_gone_for_a_quarter_of_an_hour_is_asked_for_every_five_seconds() {
    let mut world = World::with(Reconnection::default(), ["/"]);
    world.connect_lazy(0);
    let mut attempts = 0;
    for step in 0..15 * 60 * 100_u32 {
        // Whatever the dice say.
        world.random = f64::from(step % 97) / 97.0;
        if step == 0 || world.has_told("attempt") {
            attempts += 1;
            world.fail(true);
        }
        world.sleep(SECOND / 100);
    }
    assert!((175..=230).contains(&attempts), "{attempts}");
}

#[test]
fn attempts_are_limited_if_that_is_wanted() {
    let mut world = World::with(no_jitter().attempts(2), ["/"]);
    world.connect_lazy(0);
    world.fail(true);
    world.sleep(SECOND);
    world.fail(true);
    world.sleep(2 * SECOND);
    world.fail(true);
    world.tells([
        "0 opening",
        "0 / connect_error, active",
        "0 again in 1s",
        "1 attempt 1",
        "1 / connect_error, active",
        "1 again in 2s",
        "3 attempt 2",
        // There is no other one.
        "3 / connect_error",
        "3 given up",
    ]);
    assert!(!world.is_active(0) && world.rests());
    // It can be asked for again.
    world.connect(0, "who");
    world.tells(["3 opening"]);
}

#[test]
fn who_is_told_that_it_is_given_up_may_begin_anew() {
    let mut world = World::with(no_jitter().attempts(1), ["/"]);
    world.connect_lazy(0);
    world.when("given up", |world| {
        assert!(!world.is_active(0));
        world.connect_lazy(0);
    });
    world.fail(true);
    world.sleep(SECOND);
    world.fail(true);
    // The first attempt is made at once.
    world.fail(true);
    world.sleep(SECOND);
    world.fail(true);
    world.tells([
        "0 opening",
        "0 / connect_error, active",
        "0 again in 1s",
        "1 attempt 1",
        "1 / connect_error",
        "1 given up",
        "1 opening",
        "1 / connect_error, active",
        "1 again in 1s",
        "2 attempt 1",
        "2 / connect_error",
        "2 given up",
    ]);
    assert!(world.rests());
}

#[test]
fn attempt_that_cannot_succeed_later_is_the_last_one() {
    let mut world = World::new(["/"]);
    world.connect_lazy(0);
    world.fail(true);
    world.sleep(SECOND);
    world.fail(false);
    world.tells([
        "0 opening",
        "0 / connect_error, active",
        "0 again in 1s",
        "1 attempt 1",
        "1 / connect_error",
        "1 given up",
    ]);
    // A first one is told by the error alone.
    world.connect_lazy(0);
    world.fail(false);
    world.tells(["1 opening", "1 / connect_error"]);
    assert!(!world.is_active(0) && world.rests());
}

#[test]
fn disconnect_during_the_backoff_is_for_good() {
    let mut world = World::new(["/"]);
    world.connect_lazy(0);
    world.fail(true);
    world.tells(["0 opening", "0 / connect_error, active", "0 again in 1s"]);
    world.disconnect(0);
    assert!(world.rests() && !world.is_active(0));
    world.sleep(3600 * SECOND);
    world.tells([]);
}

#[test]
fn disconnect_during_opening_cancels_without_an_error_event() {
    let mut world = World::new(["/"]);
    world.connect(0, "who");
    world.disconnect(0);
    world.tells(["0 opening", "0 who: cancelled"]);
    assert!(world.rests());
}

#[test]
fn attempt_that_nobody_waits_for_any_more_is_given_up() {
    let mut world = World::new(["/"]);
    world.connect(0, "first");
    world.connect(0, "second");
    world.give_up(0, "first");
    assert!(world.is_active(0) && !world.rests());
    world.give_up(0, "second");
    assert!(!world.is_active(0) && world.rests());
    world.tells(["0 opening"]);
    // Somebody who is to be connected in any case does not need to be waited for.
    world.connect_lazy(0);
    world.connect(0, "who");
    world.give_up(0, "who");
    assert!(world.is_active(0));
}

#[test]
fn disconnecting_and_connecting_again_does_not_wait_for_the_backoff() {
    let mut world = World::new(["/"]);
    world.connect_lazy(0);
    world.fail(true);
    world.disconnect(0);
    world.connect(0, "who");
    world.fail(true);
    world.tells([
        "0 opening",
        "0 / connect_error, active",
        "0 again in 1s",
        "0 opening",
        "0 who: failed",
        "0 / connect_error",
    ]);
}

#[test]
fn handler_that_disconnects_and_connects_again_does_not_wait_either() {
    let mut world = World::new(["/"]);
    world.connect_lazy(0);
    world.when("/ connect_error, active", |world| {
        world.disconnect(0);
        world.connect_lazy(0);
    });
    world.fail(true);
    world.tells(["0 opening", "0 / connect_error, active", "0 opening"]);
}

#[test]
fn failure_is_not_told_to_a_socket_that_began_after_it() {
    let mut world = World::new(["/", "/other"]);
    world.connect(0, "who");
    world.when("/ connect_error", |world| world.connect_lazy(1));
    world.fail(true);
    world.tells([
        "0 opening",
        "0 who: failed",
        "0 / connect_error",
        "0 again in 1s",
    ]);
    assert!(world.is_active(1));
}

#[test]
fn nobody_comes_back_without_reconnection_unless_a_handler_wants_to() {
    for again in [false, true] {
        let mut world = World::with(None, ["/"]);
        world.connect(0, "who");
        world.open();
        world.hear(r#"0{"sid":"one"}"#);
        if again {
            // Who wants to be connected from here on means the next stay.
            world.when("/ disconnecting", |world| world.connect_lazy(0));
        }
        world.lose();
        assert_eq!(world.is_active(0), again);
        world.connect_lazy(0);
        world.tells([
            "0 opening",
            "0 open after 0",
            "0 / connect",
            "0 who: connected",
            "0 / disconnecting",
            "0 / disconnect",
            "0 close: transport close",
            "0 opening",
        ]);
    }
}
