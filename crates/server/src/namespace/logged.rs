//! Events that those who are away get later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::{
    BroadcastOptions, EventBody, KeptSocket, LoggedEvent, MemoryStore, Receivers, Target,
};
use sockeye_engine::batch;
use sockeye_events::EmitError;
use sockeye_link::Encoded;
use sockeye_link::packet::Flags;
use sockeye_meter as meter;
use sockeye_socket_proto::Args;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::local::{LocalSockets, check_name, show, size_of_event};
use super::{Namespace, NamespaceCore, Socket};
use crate::directory::Guest;
use crate::recovery::{Recovery, now};
use crate::trace;

/// How often it is looked for what is too old, at least, as long as there is something.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

impl LocalSockets {
    pub(crate) fn recovery(&self) -> Option<&Arc<Recovery>> {
        self.recovery.get()
    }

    /// The log that this server's broadcasts go into, if there is one and if such ones do.
    pub(crate) fn log_for(&self, options: &BroadcastOptions) -> Option<(&Recovery, &MemoryStore)> {
        let recovery = self.recovery.get()?;
        if options.volatile {
            return None;
        }
        Some((recovery, recovery.log()?))
    }

    /// Logs an event and sends it to those who are there.
    pub(crate) fn emit_logged(
        &self,
        (recovery, log): (&Recovery, &MemoryStore),
        name: &str,
        args: Args,
        options: &BroadcastOptions,
    ) -> Result<(), EmitError> {
        let (event, receivers) = batch(|| {
            let _order = recovery.order();
            let (number, offset) = log.next();
            let limits = self.limits(options.binary);
            let event = Encoded::logged(&self.name, name, &args, &offset, limits)?;
            let receivers = self.send_in_order(&event, number, options);
            let mut logged = LoggedEvent::new(offset, name, args);
            logged.binary = options.binary;
            let target = Receivers::Target(options.target.clone());
            let logged = log.log(logged, target.clone());
            recovery.offer(&target, || logged);
            Ok::<_, EmitError>((event, receivers))
        })?;
        trace::broadcast(&self.name, name, receivers.len());
        for socket in &receivers {
            show(socket, name, &event);
        }
        Ok(())
    }

    /// The same for one socket, or whoever it has become meanwhile.
    pub(super) fn emit_logged_to(
        &self,
        (recovery, log): (&Recovery, &MemoryStore),
        socket: &Socket,
        (name, args): (&str, Args),
        flags: Flags,
    ) -> Result<(), EmitError> {
        batch(|| {
            let _order = recovery.order();
            let successor = match socket.connected() {
                true => None,
                false => {
                    let index = self.rooms.read();
                    let other = index.by_id(socket.id());
                    other.filter(|other| other.connected()).cloned()
                }
            };
            let is_awaited = || socket.stay().is_some_and(|stay| stay.is_awaited(now()));
            let receiver = match (&successor, socket.connected()) {
                (Some(successor), _) => Some(successor),
                (None, true) => Some(socket),
                (None, false) if is_awaited() => None,
                (None, false) => return Err(EmitError::Disconnected),
            };
            let (number, offset) = log.next();
            let event =
                Encoded::logged(&self.name, name, &args, &offset, self.limits(flags.binary))?;
            let receiver = receiver.zip(receiver.and_then(Socket::stay));
            if let Some((receiver, stay)) = receiver.filter(|(_, stay)| !stay.is_over()) {
                match receiver.send_encoded(&event, flags.send) {
                    Ok(()) => stay.sent(number),
                    // The connection is just being lost.
                    Err(EmitError::Disconnected) => stay.stop(number - 1),
                    Err(error) => return Err(error),
                }
            }
            let mut logged = LoggedEvent::new(offset, name, args);
            logged.binary = flags.binary;
            let receivers = Receivers::Socket(socket.shared_id());
            let logged = log.log(logged, receivers.clone());
            recovery.offer(&receivers, || logged);
            Ok(())
        })
    }

    /// Sends what a cluster has logged.
    pub(super) fn pass_on_logged(
        &self,
        recovery: &Recovery,
        event: &EventBody<'_>,
        offset: &str,
        options: &BroadcastOptions,
    ) {
        let name = event.name;
        let encoded = check_name(name).and_then(|()| {
            let args = Args::new(&event.args)?;
            let limits = self.limits(options.binary);
            let encoded = Encoded::logged(&self.name, name, &args, offset, limits)?;
            Ok((args, encoded))
        });
        let (args, encoded) = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return self.drop_foreign(name, error),
        };
        let receivers = self.foreign.add(size_of_event(event), || {
            let _order = recovery.order();
            recovery.offer(&Receivers::Target(options.target.clone()), || {
                let mut logged = LoggedEvent::new(offset.into(), name, args);
                logged.binary = options.binary;
                Arc::new(logged)
            });
            self.send_in_order(&encoded, 0, options)
        });
        trace::broadcast(&self.name, name, receivers.len());
        for socket in &receivers {
            show(socket, name, &encoded);
        }
    }

    /// Sends an event to all that can be told, under the lock of the order; says to whom.
    fn send_in_order(
        &self,
        event: &Encoded,
        number: u64,
        options: &BroadcastOptions,
    ) -> Vec<Socket> {
        let receivers = self.receivers_of(event, options);
        for socket in &receivers {
            let Some(stay) = socket.stay() else {
                let _ = self.deliver(socket, event, options);
                continue;
            };
            if stay.is_over() {
                continue;
            }
            match self.deliver(socket, event, options) {
                Ok(()) => stay.sent(number),
                Err(EmitError::Disconnected) => stay.stop(number.saturating_sub(1)),
                // Who is too slow is stopped, or goes on without it, as is configured.
                Err(_) => {}
            }
        }
        receivers
    }

    fn sweep_once(&self) -> Option<Instant> {
        let swept = self.recovery()?.sweep()?;
        for socket in &swept.expired {
            self.tell_expired(socket);
        }
        swept.next
    }

    /// Nobody can come back any more.
    pub(super) fn give_up_kept(&self) {
        let Some(recovery) = self.recovery() else {
            return;
        };
        for socket in recovery.give_up_kept() {
            self.tell_expired(&socket);
        }
    }

    pub(crate) fn tell_expired(&self, socket: &KeptSocket) {
        meter::recovery(meter::Recovery::Expired);
        for hook in &*self.expiry_hooks.load() {
            if catch_unwind(AssertUnwindSafe(|| hook(socket))).is_err() {
                tracing::error!("a hook for sockets that have not come back panicked");
            }
        }
    }
}

impl Namespace {
    /// Calls this function with each socket that was [kept](crate::ServerConfig::recovery) after the loss of its connection
    /// and will not come back: its time is over, there was no room for it, or it asked for events that are not there any
    /// more. So this is where to end what was to outlive a short loss.
    ///
    /// It may be the task of another connection that calls, so the function must not block. In a cluster it is for the
    /// adapter to say whether it hears of that.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{RecoveryConfig, Server, ServerConfig};
    ///
    /// let config = ServerConfig::default().recovery(RecoveryConfig::default());
    /// let io = Server::with_config(config)?;
    /// io.on_recovery_expired(|socket| println!("{} has left the game", socket.id));
    /// # Ok::<(), sockeye::ConfigError>(())
    /// ```
    pub fn on_recovery_expired(&self, hook: impl Fn(&KeptSocket) + Send + Sync + 'static) -> &Self {
        let here = self.here();
        here.expiry_hooks.update(|hooks| hooks.push(Arc::new(hook)));
        self
    }

    /// Keeps its sockets where the other servers of the cluster find them, before anybody is told that this one closes:
    /// whoever is told is on its way to them at once. The future is ready when they are found. `None` if there is no such place.
    pub(crate) fn save(&self) -> Option<BoxFuture<'static, ()>> {
        let recovery = Arc::clone(self.recovery_elsewhere()?);
        let sockets = self.sockets();
        let save = async move {
            for socket in &sockets {
                socket.save().await;
            }
            recovery.saved().await;
        };
        Some(save.boxed())
    }

    /// How many of its sockets should be kept there, and are not.
    pub(crate) fn unsaved(&self) -> usize {
        match self.recovery_elsewhere() {
            Some(_) => self
                .sockets()
                .iter()
                .filter(|socket| socket.is_unsaved())
                .count(),
            None => 0,
        }
    }

    /// What lets its sockets come back, if they are not kept by this server.
    fn recovery_elsewhere(&self) -> Option<&Arc<Recovery>> {
        let recovery = self.here().recovery();
        recovery.filter(|recovery| recovery.log().is_none())
    }

    /// Forgets kept sockets and events in time, from now on for as long as there are any. A namespace that is there while
    /// it is used stays for those who may come back to it.
    pub(super) fn sweep(&self) {
        let here = self.here();
        let Some(shed) = here.recovery().map(|recovery| recovery.shed()) else {
            return;
        };
        let next = here.sweep_once();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if next.is_none() || here.is_sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Arc::downgrade(here);
        let guest = self.as_guest();
        runtime.spawn(sweep(this, guest, Arc::clone(shed), next));
    }
}

/// `guest` is a namespace that is there while it is used: it is swept as long as somebody may come back, and any other as
/// long as there is anything.
async fn sweep(
    here: Weak<LocalSockets>,
    guest: Option<Guest<NamespaceCore>>,
    shed: Arc<Notify>,
    mut next: Option<Instant>,
) {
    loop {
        let latest = now() + SWEEP_EVERY;
        let at = next.map_or(latest, |next| next.min(latest));
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = shed.notified() => {}
        }
        let Some(here) = here.upgrade() else { return };
        let is_done = |next: Option<Instant>| {
            let may_end = guest.is_some() || next.is_none();
            may_end && !here.recovery().is_some_and(|recovery| recovery.keeps_any())
        };
        next = here.sweep_once();
        if is_done(next) {
            here.is_sweeping.store(false, Ordering::Release);
            // What has come between the look and the mark would be nobody's.
            next = here.sweep_once();
            if is_done(next) || here.is_sweeping.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

/// The target that is one socket.
pub(super) fn only(socket: &Socket) -> Target {
    Target::all().to(socket.shared_id())
}

#[cfg(test)]
mod tests {
    use sockeye_adapter::{Local, RecoveryStore};

    use super::*;
    use crate::RecoveryConfig;
    use crate::recovery::Shown;

    #[test]
    fn who_comes_in_gets_bytes_inside_of_json_if_others_do() {
        let (config, pid) = (RecoveryConfig::default(), "abcdefghij0123456789");
        let store = MemoryStore::with_budget(config.limits, "epoch".to_owned(), now, None);
        let store = Arc::new(store);
        let recovery = Arc::new(Recovery::with(config, store.clone(), None));
        let here = LocalSockets::new("/", Arc::default(), Arc::default());
        here.recovery.set(Arc::clone(&recovery)).unwrap();
        store.keep(
            KeptSocket::new(pid.into(), "id".into()),
            Duration::from_secs(60),
        );
        let shown = Shown::read(&format!(r#"{{"pid":"{pid}"}}"#)).unwrap();
        let returning = recovery.claim(shown).now_or_never();
        let mut returning = returning.unwrap().unwrap();
        let args = Args::empty();
        let event = EventBody {
            name: "x",
            args: args.as_raw(),
        };
        let mut options = BroadcastOptions::new(Target::all());
        options.offset = Some("place".into());
        for binary in [false, true] {
            options.binary = binary;
            here.broadcast(&event, &options);
        }
        let missed = returning.take_missed();
        let binary = missed.iter().map(|event| event.binary);
        assert!(binary.eq([false, true]));
    }
}
