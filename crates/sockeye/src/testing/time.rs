use std::time::Duration;

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(86_400);

/// Runs a test in a runtime of its own whose clock is paused, on this thread: what `#[tokio::test(start_paused = true)]`
/// does, without the features of tokio that it takes. And it has an end: a test that waits for what never comes would
/// otherwise see heartbeats for ever, as fast as they can be sent.
///
/// # Panics
///
/// If the test has not ended after a day of virtual time; inside of a runtime.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("the system has room for a runtime");
    match runtime.block_on(async { tokio::time::timeout(DAY, test).await }) {
        Ok(output) => output,
        Err(_) => panic!("the test waits for what does not come within a day of virtual time"),
    }
}

/// Lets time pass, and everything happen that happens meanwhile, in its order.
///
/// Under a paused clock that takes no time; under one that runs it takes as long as it says.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until nobody has anything left to do but to wait for a later time.
///
/// That is a millisecond of virtual time, the shortest that the clock knows. Under a clock that runs it is one of real time,
/// which proves nothing.
pub async fn settle() {
    pass(Duration::from_millis(1)).await;
}

/// Waits for something that must come. What is said of it is only put together if it does not.
pub(super) async fn expect<F: Future>(what: F, missing: impl FnOnce() -> String) -> F::Output {
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(output) => output,
        Err(_) => panic!("{} within {PATIENCE:?}", missing()),
    }
}
