//! Broadcasts that a log has: delivered in its order, and found again by sockets that come back.
//!
//! Each server delivers what is logged when the log brings it, its own broadcasts as well. So all have one order, and whoever
//! knows the offset of an event has got everything before it: a server that delivered its own at once would give its sockets
//! an offset beyond events of others that they have not got, and these would be lost to them if they came back with it.

mod later;
#[cfg(test)]
mod models;
mod recording;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::{
    BroadcastOptions, Claim, ClusterState, Delivery, EventBody, KeptSocket, Local, LoggedEvent,
    RecoveryStore, Restored, Resume, Save,
};
use sockeye_cluster_proto::{DecodeError, Event, Message, Opts};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::later::Later;
use self::recording::{Recording, Recordings};
use super::{Node, Place};
use crate::clock::now;
use crate::convert::{event_of, options_of, opts_with};
use crate::job::{Forget, Found, Job, Keep, OVERHEAD, Restore};
use crate::post::Post;
use crate::replay::{Between, Logged, is_missed};
use crate::status::count;
use crate::sync::{Mutex, Notify};

/// What a namespace has whose sockets can come back.
///
/// Of the locks, [`inbound`](Self::inbound) is held while an event is delivered, which may call the application; so it is
/// taken by nothing that the application can call. The others are held for moments.
#[derive(Debug)]
pub(super) struct Log {
    /// One event is delivered at a time, and no socket comes back meanwhile.
    inbound: Mutex<()>,
    later: Mutex<Later>,
    recordings: Arc<Recordings>,
    /// The offset of the last event that was delivered here, or of the last one there was when the bus subscribed.
    position: Mutex<Option<Box<str>>>,
    /// It has changed.
    placed: Notify,
}

impl Log {
    pub(super) fn new(post: &Post) -> Self {
        Self {
            inbound: Mutex::default(),
            later: Mutex::new(Later::new(post)),
            recordings: Arc::default(),
            position: Mutex::default(),
            placed: Notify::new(),
        }
    }
}

impl Node {
    /// Publishes a broadcast, which waits here for its place in the log.
    pub(super) fn broadcast_logged(
        &self,
        log: &Log,
        event: &EventBody<'_>,
        options: &BroadcastOptions,
    ) -> Delivery {
        let opts = opts_with(options);
        let message = Message::Broadcast {
            event: event_of(event),
            opts,
            request: None,
        };
        let wait = self.post.config.max_local_wait;
        let mut later = log.later.lock();
        let tag = self.post.key();
        later.push(tag, event, options, (now(), wait));
        // Under the lock, so that the order of tags is that of the queue.
        self.post
            .publish(self.message(self.route_of(options), message, Some(tag)));
        drop(later);
        if self.post.status.state() != ClusterState::Up {
            self.post.urgent.notify_one();
        }
        Delivery::Later
    }

    /// Delivers what has waited too long for its place; all of it while the cluster cannot be reached. It gets the place of
    /// what was delivered before, so that whoever comes back with that gets it once more rather than never.
    pub(super) fn deliver_overdue(&self, log: &Log, now: Instant) {
        let is_up = self.post.status.state() == ClusterState::Up;
        let mut later = log.later.lock();
        later.give_up(now);
        if !later.is_due(is_up.then_some(now)) {
            return;
        }
        drop(later);
        let Some(local) = self.local() else {
            return;
        };
        let _inbound = log.inbound.lock();
        let before = log.position.lock().clone();
        loop {
            let mut later = log.later.lock();
            if !later.is_due(is_up.then_some(now)) {
                return;
            }
            let Some(mut waiting) = later.pop() else {
                return;
            };
            drop(later);
            waiting.deliver(&*local, before.as_deref());
            log.later.lock().was_early(waiting);
        }
    }

    /// A broadcast of another server.
    pub(super) fn deliver_logged(
        &self,
        log: &Log,
        local: &dyn Local,
        (event, opts): (&Event, &Opts),
        offset: &str,
    ) -> Result<(), DecodeError> {
        let _inbound = log.inbound.lock();
        log.arrived(Some((event, opts)), offset);
        let mut options = options_of(opts);
        if local.count(&options.target) == 0 {
            count(&self.post.status.unwanted);
            return Ok(());
        }
        if !options.volatile {
            options.offset = Some(offset.into());
        }
        let (name, args) = event.decode(&self.post.limits)?;
        let body = EventBody {
            name: &name,
            args: args.as_raw(),
        };
        local.broadcast(&body, &options);
        Ok(())
    }

    /// Gives a socket that was found back to who asked for it, with what it has missed; or says that there is none.
    async fn resume(&self, log: &Log, found: Found, search: Search, resume: Resume) {
        let Search { offset, recording } = search;
        let Found {
            socket,
            logged,
            left,
        } = found;
        let mut missed = Missed::new(self, &socket);
        match &logged {
            Between::Events(logged) => missed.extend(logged),
            // It has got some of what comes here only now.
            Between::Ahead => {
                let arrived = recording.arrived(&offset);
                let timeout = self.post.config.requests_timeout;
                if tokio::time::timeout(timeout, arrived).await.is_err() {
                    return self.unrecovered("this server is too far behind in the log");
                }
            }
        }
        let _inbound = log.inbound.lock();
        let Some(recorded) = recording.take() else {
            return self.unrecovered("too much was logged while it was looked for");
        };
        let got = recorded.iter().position(|entry| *entry.offset == *offset);
        for entry in &recorded[got.map_or(0, |got| got + 1)..] {
            if let Some((event, opts)) = &entry.event {
                missed.push(event, opts, &entry.offset);
            }
        }
        let mut events = missed.events;
        // What the others have got before its place was known, and the log brings later, or never.
        if let Some(place) = &*log.position.lock() {
            let Some(early) = log.later.lock().missed(&socket, place) else {
                return self.unrecovered("too much waits for its place in the log");
            };
            events.extend(early);
        }
        if events.iter().map(|event| event.bytes()).sum::<usize>()
            > self.post.config.max_replay_bytes
        {
            return self.unrecovered("it has missed too much");
        }
        let restored = Restored {
            socket,
            missed: events,
            left,
        };
        if let Some(restored) = resume(restored) {
            self.keep(restored.socket, restored.left);
        }
    }

    /// Looks for a kept socket.
    async fn search(&self, pid: Box<str>, offset: Box<str>) -> Option<(Box<Found>, Search)> {
        let max_bytes = self.post.config.max_replay_bytes;
        let (until, recording) = self.log()?.record(max_bytes).await;
        let (reply, found) = oneshot::channel();
        let restore = Restore {
            namespace: Arc::clone(&self.namespace),
            uid: self.uid.clone(),
            pid,
            offset: offset.clone(),
            until,
            max_bytes,
            reply,
        };
        let timeout = self.post.config.requests_timeout;
        self.post.call(Job::Restore(restore), OVERHEAD, timeout);
        let found = found.await.ok()?;
        Some((found, Search { offset, recording }))
    }

    /// What has the bus keep a socket, and its size.
    fn keeping(&self, socket: KeptSocket, time: Duration) -> (Job, usize) {
        let keep = Keep {
            namespace: Arc::clone(&self.namespace),
            uid: self.uid.clone(),
            socket,
            time,
            _saving: self.saves.begin(),
        };
        let bytes = keep.size();
        (Job::Keep(keep), bytes)
    }

    fn unrecovered(&self, reason: &str) {
        let (engine, namespace) = (self.post.profile.name, &*self.namespace);
        tracing::debug!(engine, namespace, reason, "a socket cannot come back");
    }
}

/// The looking for a kept socket.
struct Search {
    /// The last event that it has got.
    offset: Box<str>,
    recording: Recording,
}

/// What a socket has missed.
struct Missed<'a> {
    node: &'a Node,
    socket: &'a KeptSocket,
    events: Vec<Arc<LoggedEvent>>,
}

impl<'a> Missed<'a> {
    const fn new(node: &'a Node, socket: &'a KeptSocket) -> Self {
        Self {
            node,
            socket,
            events: Vec::new(),
        }
    }

    fn extend(&mut self, logged: &[Logged]) {
        for entry in logged {
            if let Message::Broadcast {
                event,
                opts,
                request: None,
            } = &entry.message
            {
                self.push(event, opts, &entry.offset);
            }
        }
    }

    fn push(&mut self, event: &Event, opts: &Opts, offset: &str) {
        if !is_missed(self.socket, opts) {
            return;
        }
        // What cannot be read was delivered to nobody.
        if let Ok((name, args)) = event.decode(&self.node.post.limits) {
            let mut logged = LoggedEvent::new(offset.into(), &name, args);
            logged.binary = opts.flags.binary.unwrap_or(true);
            self.events.push(Arc::new(logged));
        }
    }
}

impl Log {
    /// A broadcast of this server has come back from the log.
    pub(super) fn came_back(&self, local: &dyn Local, message: Message, place: Place<'_>) {
        let Message::Broadcast {
            event,
            opts,
            request: None,
        } = message
        else {
            return self.marked(&message, place.offset);
        };
        let _inbound = self.inbound.lock();
        let before = self.arrived(Some((&event, &opts)), place.offset);
        let Some(tag) = place.tag else { return };
        self.later.lock().came_back(tag);
        loop {
            let popped = self.later.lock().pop_until(tag);
            match popped {
                // It never got into the log.
                Some(mut waiting) if waiting.tag() < tag => {
                    waiting.deliver(local, before.as_deref());
                }
                Some(mut waiting) => waiting.deliver(local, Some(place.offset)),
                // It was delivered before, as it took too long.
                None => return,
            }
        }
    }

    /// What servers say of themselves is a place in the log as well, for whoever comes before there is an event.
    pub(super) fn marked(&self, message: &Message, offset: &str) {
        if matches!(message, Message::Hello) {
            let _inbound = self.inbound.lock();
            self.arrived(None, offset);
        }
    }

    /// Something has come from the log, and is about to be delivered if it is an event. Gives the place before it.
    fn arrived(&self, event: Option<(&Event, &Opts)>, offset: &str) -> Option<Box<str>> {
        let mut position = self.position.lock();
        self.recordings.record(event, offset);
        let before = position.replace(offset.into());
        drop(position);
        self.placed.notify_waiters();
        before
    }

    /// The bus has subscribed, at this end of the log.
    pub(super) fn opened(&self, end: Option<&str>) {
        let mut position = self.position.lock();
        if position.is_none() {
            *position = end.map(Into::into);
        }
        drop(position);
        self.placed.notify_waiters();
    }

    /// Begins to record, and says behind which place of the log: what is not behind it is to be read from there. Waits until
    /// the place is known, as whoever comes back to a server that has just begun would be a new one otherwise.
    async fn record(&self, max_bytes: usize) -> (Box<str>, Recording) {
        loop {
            // Before the look, so that none is missed.
            let placed = self.placed.notified();
            if let Some(position) = &*self.position.lock() {
                return (position.clone(), self.recordings.begin(max_bytes));
            }
            placed.await;
        }
    }
}

impl RecoveryStore for Node {
    fn keep(&self, socket: KeptSocket, time: Duration) {
        let (job, bytes) = self.keeping(socket, time);
        self.post.call(job, bytes, time);
    }

    fn save(&self, socket: KeptSocket, time: Duration) -> Save {
        let (job, bytes) = self.keeping(socket, time);
        self.post.save(job, bytes, time)
    }

    fn forget(&self, pid: &str) {
        let forget = Forget {
            namespace: Arc::clone(&self.namespace),
            uid: self.uid.clone(),
            pid: pid.into(),
        };
        let timeout = self.post.config.requests_timeout;
        self.post.call(Job::Forget(forget), OVERHEAD, timeout);
    }

    fn restore(&self, claim: Claim<'_>, resume: Resume) {
        let (Some(_), Some(offset)) = (self.log(), claim.offset) else {
            return;
        };
        let (Some(this), Ok(runtime)) = (self.this.upgrade(), Handle::try_current()) else {
            return;
        };
        let (pid, offset) = (claim.pid.into(), offset.into());
        runtime.spawn(async move {
            let timeout = this.post.config.requests_timeout;
            let found = tokio::time::timeout(timeout, this.search(pid, offset)).await;
            if let Ok(Some((found, search))) = found
                && let Some(log) = this.log()
            {
                this.resume(log, *found, search, resume).await;
            }
        });
    }

    fn saved(&self) -> BoxFuture<'static, ()> {
        let saves = Arc::clone(&self.saves);
        async move { saves.done().await }.boxed()
    }

    fn offset(&self) -> Option<String> {
        let log = self.log()?;
        log.position.lock().as_deref().map(Into::into)
    }
}
