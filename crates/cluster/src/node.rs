//! One namespace of this server, as a member of the cluster.

mod asking;
mod counting;
mod inbound;
mod legacy;
mod log;
#[cfg(test)]
mod models;
mod moved;
mod requests;
mod tally;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::{
    BroadcastOptions, ClusterState, Delivery, EventBody, Local, RecoveryStore, RoomEvent,
};
use sockeye_cluster_proto::{Message, NodeId, Opts};
use tokio::sync::oneshot;

use self::log::Log;
use self::requests::Requests;
use crate::census::Census;
use crate::clock::now;
use crate::convert::{event_of, opts_with};
use crate::fate::Fate;
use crate::job::{Closing, Opening, Publish, Route};
use crate::members::Members;
use crate::post::Post;
use crate::profile::Counting;
use crate::saves::Saves;
use crate::sync::{AtomicBool, Mutex};

pub(crate) use self::moved::Moved;

/// What this server is to the others in one namespace.
pub(crate) struct Node {
    pub(crate) namespace: Arc<str>,
    uid: NodeId,
    /// What the queue knows it as.
    key: u64,
    post: Arc<Post>,
    /// `None` for an emitter.
    local: Option<Weak<dyn Local>>,
    this: Weak<Self>,
    requests: Arc<Requests>,
    members: Mutex<Members>,
    census: Arc<Mutex<Census>>,
    saves: Arc<Saves>,
    /// Where the bus takes rooms by ways of their own: those that this server or these emitters have put others' sockets into.
    moved: Option<Arc<Moved>>,
    /// What the bus has a log for.
    log: Option<Log>,
    /// The server has asked for that.
    recovers: AtomicBool,
    /// Events for this server were dropped, and none was handled at once since.
    is_behind: AtomicBool,
    is_closed: AtomicBool,
}

/// Where a message stands in a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) offset: &'a str,
    pub(crate) tag: Option<u64>,
}

impl Node {
    /// One of a server, which may have moved these before, when it had the namespace for a moment.
    pub(crate) fn new(
        local: &Arc<dyn Local>,
        uid: NodeId,
        post: &Arc<Post>,
        moved: &Arc<Moved>,
    ) -> Arc<Self> {
        let local = (local.namespace(), Some(Arc::downgrade(local)));
        Self::with(local, uid, post, moved)
    }

    /// One that only publishes, as others do that have moved these.
    pub(crate) fn emitter(namespace: &str, post: &Arc<Post>, moved: &Arc<Moved>) -> Arc<Self> {
        let local = (namespace, None);
        Self::with(local, NodeId::emitter(), post, moved)
    }

    fn with(
        (namespace, local): (&str, Option<Weak<dyn Local>>),
        uid: NodeId,
        post: &Arc<Post>,
        moved: &Arc<Moved>,
    ) -> Arc<Self> {
        let config = &post.config;
        Arc::new_cyclic(|this| Self {
            namespace: namespace.into(),
            uid,
            key: post.key(),
            post: Arc::clone(post),
            local,
            this: Weak::clone(this),
            requests: Arc::default(),
            members: Mutex::new(Members::new(
                config.heartbeat_interval,
                config.heartbeat_timeout,
            )),
            census: Arc::new(Mutex::new(Census::new(now()))),
            moved: post.profile.interest.then(|| Arc::clone(moved)),
            log: post.profile.log.then(|| Log::new(post)),
            saves: Arc::default(),
            recovers: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Has the bus subscribe.
    pub(crate) fn open(&self) {
        let opening = Opening {
            namespace: Arc::clone(&self.namespace),
            uid: self.uid.clone(),
        };
        self.post.queue.open(self.key, opening);
    }

    /// The bus has subscribed. Where servers know each other by what they hear, they are to be heard of now.
    pub(crate) fn opened(&self, end: Option<&str>) {
        if let Some(log) = &self.log {
            log.opened(end);
        }
        if self.post.profile.counting == Counting::Heartbeats {
            self.members.lock().said(now());
            self.publish(Route::All, Message::Hello);
        }
    }

    /// Leaves the others, once. The future is ready when the bus has done all that was queued before. An engine that is away is
    /// not waited for, unless sockets are to be found in its log.
    pub(crate) fn close(&self) -> BoxFuture<'static, ()> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return std::future::ready(()).boxed();
        }
        self.requests.end();
        if self.post.profile.announces_close {
            self.publish(Route::All, Message::Close);
        }
        let (done, closed) = oneshot::channel();
        self.post.queue.close(Closing {
            namespace: Arc::clone(&self.namespace),
            uid: self.uid.clone(),
            key: self.key,
            done: Some(done),
        });
        let is_away = matches!(self.post.status.state(), ClusterState::Degraded(_));
        if is_away && self.log().is_none() {
            return std::future::ready(()).boxed();
        }
        // Whoever has it drops it when that is done.
        async move { drop(closed.await) }.boxed()
    }

    pub(crate) fn publish(&self, route: Route, message: Message) {
        self.post.publish(self.message(route, message, None));
    }

    fn message(&self, route: Route, message: Message, tag: Option<u64>) -> Publish {
        Publish {
            namespace: Arc::clone(&self.namespace),
            uid: self.uid.clone(),
            route,
            message,
            tag,
            until: None,
            fate: Fate::default(),
        }
    }

    /// Publishes a broadcast without acknowledgements.
    pub(crate) fn broadcast(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> Delivery {
        if let Some(log) = self.log()
            && !options.volatile
        {
            return self.broadcast_logged(log, event, options);
        }
        let opts = opts_with(options);
        let route = self.route_of(options);
        let message = Message::Broadcast {
            event: event_of(event),
            opts,
            request: None,
        };
        self.publish(route, message);
        Delivery::Now
    }

    /// Tells the others to put sockets into rooms.
    pub(crate) fn join(&self, opts: Opts, rooms: &[Arc<str>]) {
        if let Some(moved) = &self.moved {
            moved.insert(&self.namespace, rooms, now());
        }
        let rooms = rooms.to_vec();
        self.publish(Route::All, Message::Join { opts, rooms });
    }

    /// A broadcast to one room has a way of its own on some engines, unless there may be somebody in it who does not hear
    /// there yet.
    fn route_of(&self, options: &BroadcastOptions) -> Route {
        match options.target.shared_rooms() {
            [room] if !self.is_moved(room) => Route::Room(Arc::clone(room)),
            _ => Route::All,
        }
    }

    fn is_moved(&self, room: &Arc<str>) -> bool {
        let moved = self.moved.as_ref();
        moved.is_some_and(|moved| moved.contains(&self.namespace, room, now))
    }

    pub(crate) fn has_room(&self, room: &str) -> bool {
        // Whoever is on the way back is in no room yet, and may have missed what comes now.
        self.log().is_some() || self.local().is_some_and(|local| local.has_room(room))
    }

    fn local(&self) -> Option<Arc<dyn Local>> {
        self.local.as_ref()?.upgrade()
    }

    pub(crate) fn room_changed(&self, event: &RoomEvent) {
        if !self.post.profile.interest {
            return;
        }
        match event {
            RoomEvent::Created { room } => self.post.queue.interest(self.key, room, true),
            RoomEvent::Deleted { room } => self.post.queue.interest(self.key, room, false),
            _ => {}
        }
    }

    pub(crate) fn recovery(&self) -> Option<Arc<dyn RecoveryStore>> {
        self.log.as_ref()?;
        self.recovers.store(true, Ordering::Release);
        Some(self.this.upgrade()?)
    }

    /// The log, if sockets come back with it.
    fn log(&self) -> Option<&Log> {
        let log = self.log.as_ref()?;
        self.recovers.load(Ordering::Acquire).then_some(log)
    }

    /// How many requests wait.
    pub(crate) fn pending(&self) -> usize {
        self.requests.len()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&self, now: Instant) {
        if let Some(log) = self.log() {
            self.deliver_overdue(log, now);
        }
        match self.post.profile.counting {
            Counting::Heartbeats => self.look_after_members(now),
            Counting::Engine => self.recount(now),
            Counting::Nobody => {}
        }
    }

    fn look_after_members(&self, now: Instant) {
        let mut members = self.members.lock();
        let gone = members.expire(now);
        let is_due = members.is_due(now);
        drop(members);
        for node in &gone {
            tracing::info!(
                namespace = &*self.namespace,
                server = node.as_str(),
                "a server of the cluster has not been heard of for too long"
            );
            self.requests.gone(node);
        }
        if is_due {
            self.publish(Route::All, Message::Heartbeat);
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("namespace", &self.namespace)
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}
