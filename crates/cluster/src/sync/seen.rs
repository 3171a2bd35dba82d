//! The same for models: each touch of what is shared is a place where loom tries the other threads.
//!
//! Outside a [`model`] they are what they stand for. Within, loom runs one thread at a time, and switches only where it is
//! told of something: so what lies behind a gate or a touch, here or in tokio, is never entered by two. Times stand still, so
//! that whoever is not woken waits forever, which loom reports.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;

use loom::model::Builder;
use tokio::sync::futures::Notified;

thread_local! {
    static IS_MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Runs this in every order in which its threads can meet, with up to so many switches from one that could go on.
pub(crate) fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    struct Model;

    impl Drop for Model {
        fn drop(&mut self) {
            IS_MODEL.set(false);
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _runtime = runtime.enter();
    IS_MODEL.set(true);
    let _model = Model;
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// Begins a thread of a model.
pub(crate) fn spawn(run: impl FnOnce() + 'static) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(run)
}

/// What loom knows of something.
struct Seen(Option<loom::sync::atomic::AtomicUsize>);

impl Seen {
    fn new() -> Self {
        let is_model = IS_MODEL.get();
        Self(is_model.then(|| loom::sync::atomic::AtomicUsize::new(0)))
    }

    fn touch(&self) {
        if let Some(touched) = &self.0 {
            touched.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub(crate) struct Mutex<T> {
    gate: Option<loom::sync::Mutex<()>>,
    value: parking_lot::Mutex<T>,
}

/// In this order, so that whoever comes through the gate finds the value free.
pub(crate) struct MutexGuard<'a, T> {
    value: parking_lot::MutexGuard<'a, T>,
    _gate: Option<loom::sync::MutexGuard<'a, ()>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            gate: IS_MODEL.get().then(|| loom::sync::Mutex::new(())),
            value: parking_lot::Mutex::new(value),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let gate = self.gate.as_ref().map(|gate| gate.lock().unwrap());
        MutexGuard {
            value: self.value.lock(),
            _gate: gate,
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

pub(crate) struct Notify {
    seen: Seen,
    notify: tokio::sync::Notify,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self {
            seen: Seen::new(),
            notify: tokio::sync::Notify::new(),
        }
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        self.seen.touch();
        self.notify.notified()
    }

    pub(crate) fn notify_one(&self) {
        self.seen.touch();
        self.notify.notify_one();
    }

    pub(crate) fn notify_waiters(&self) {
        self.seen.touch();
        self.notify.notify_waiters();
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notify.fmt(f)
    }
}

/// An atomic number or flag, with what is used of it.
macro_rules! atomic {
    ($name:ident, $value:ty, { $($method:ident($($arg:ident: $arg_type:ty),*) $(-> $result:ty)?;)* }) => {
        pub(crate) struct $name {
            seen: Seen,
            value: std::sync::atomic::$name,
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self {
                    seen: Seen::new(),
                    value: std::sync::atomic::$name::new(value),
                }
            }

            $(pub(crate) fn $method(&self, $($arg: $arg_type,)* order: Ordering) $(-> $result)? {
                self.seen.touch();
                self.value.$method($($arg,)* order)
            })*
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(Default::default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.value.fmt(f)
            }
        }
    };
}

atomic!(AtomicBool, bool, {
    load() -> bool;
    store(value: bool);
    swap(value: bool) -> bool;
});
atomic!(AtomicU64, u64, {
    load() -> u64;
    swap(value: u64) -> u64;
    fetch_add(value: u64) -> u64;
});
atomic!(AtomicUsize, usize, {
    load() -> usize;
    store(value: usize);
    fetch_add(value: usize) -> usize;
    fetch_sub(value: usize) -> usize;
});
