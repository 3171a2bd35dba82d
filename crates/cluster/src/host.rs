//! The task of a server's part in a cluster.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::ClusterState;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use crate::bus::Bus;
use crate::clock::now;
use crate::config::ClusterConfig;
use crate::link::{Link, Nodes};
use crate::node::{Moved, Node};
use crate::post::Post;

/// A bus, and the task that runs it from the first time that this is possible until the server has left.
pub(crate) struct Host {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) link: Link,
    /// Which rooms others' sockets were put into: an emitter of a namespace, or a namespace itself, may be there for one thing to
    /// say, and end with that.
    pub(crate) moved: Arc<Moved>,
    is_started: AtomicBool,
}

impl Host {
    pub(crate) fn new(bus: impl Bus, config: ClusterConfig) -> Self {
        let bus: Arc<dyn Bus> = Arc::new(bus);
        let link = Link {
            post: Arc::new(Post::new(bus.profile(), config)),
            nodes: Arc::new(Nodes::default()),
        };
        Self {
            bus,
            moved: Arc::new(Moved::new(link.post.queue_age())),
            link,
            is_started: AtomicBool::new(false),
        }
    }

    /// Begins the task, if there is a runtime for it and it was not begun before.
    pub(crate) fn start(&self) {
        if self.is_started.load(Ordering::Acquire) {
            return;
        }
        if let Ok(runtime) = Handle::try_current()
            && !self.is_started.swap(true, Ordering::AcqRel)
        {
            runtime.spawn(supervise(Arc::clone(&self.bus), self.link.clone()));
        }
    }

    /// There is nothing more to be done; the future is ready when all that was queued is.
    pub(crate) fn end(&self) -> BoxFuture<'static, ()> {
        let post = Arc::clone(&self.link.post);
        post.queue.end();
        let is_started = self.is_started.load(Ordering::Acquire);
        async move {
            if is_started {
                post.status.closed().await;
            }
        }
        .boxed()
    }

    /// A namespace is closed. With the last one, the server has left.
    pub(crate) fn closed(&self, node: &Arc<Node>) {
        let Link { post, nodes } = &self.link;
        let mut nodes = nodes.write();
        let known = nodes.get(&node.namespace);
        if known.is_some_and(|known| Arc::ptr_eq(known, node)) {
            nodes.remove(&node.namespace);
        }
        if nodes.is_empty() {
            post.queue.end();
        }
    }
}

impl Drop for Host {
    /// Nobody has anything more to say: what is queued is still published, if there is time.
    fn drop(&mut self) {
        self.link.post.queue.end();
    }
}

/// Runs the bus, and what has to be done in time, until the server has left.
async fn supervise(bus: Arc<dyn Bus>, link: Link) {
    let post = Arc::clone(&link.post);
    let kept = link.clone();
    let keeper = tokio::spawn(async move { again_and_again(|| keep_time(&kept)).await });
    loop {
        let mut run = tokio::spawn(Arc::clone(&bus).run(link.clone()));
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = overtime(&post) => {
                // It does not come to an end by itself, as the engine is away.
                run.abort();
                break;
            }
        };
        if post.queue.is_ended() && post.queue.is_empty() {
            break;
        }
        let reason = match ended {
            Ok(()) => "the bus has stopped",
            Err(_) => "the bus has panicked",
        };
        post.status.set(ClusterState::Degraded(reason.into()));
        tokio::time::sleep(PAUSE).await;
    }
    keeper.abort();
    post.status.set(ClusterState::Closed);
}

/// How long a bus rests that has ended before its time.
const PAUSE: Duration = Duration::from_secs(1);

/// Ends when the bus has had its time for what is left. The server waits as long.
async fn overtime(post: &Post) {
    post.queue.ended().await;
    tokio::time::sleep(post.config.leave_timeout).await;
}

/// Runs what never ends, and anew when it has panicked: without it, requests would wait forever for servers that are gone, and
/// messages for the end of an outage.
async fn again_and_again<T: Future<Output = ()>>(run: impl Fn() -> T) {
    loop {
        if AssertUnwindSafe(run()).catch_unwind().await.is_err() {
            tracing::error!("what a cluster has to do in time has panicked, and begins anew");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Does what is due.
async fn keep_time(link: &Link) {
    let post = &link.post;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = post.urgent.notified() => {}
        }
        post.expire();
        let nodes: Vec<_> = link.nodes.read().values().map(Arc::clone).collect();
        let now = now();
        for node in &nodes {
            node.handle_timeout(now);
        }
        // One is enough, and the main one is what all servers have.
        if let Some(main) = nodes.iter().min_by_key(|node| node.namespace.len()) {
            main.count_from_time_to_time(now);
        }
        if let Some(since) = post.queue.held_since() {
            // An emitter does not know who was there, so that it waits for as long as it may.
            let knows = !nodes.is_empty();
            match knows && nodes.iter().all(|node| node.is_complete_since(since)) {
                true => post.queue.release(),
                false => {
                    tokio::time::sleep(SHORT_TICK).await;
                    post.urgent.notify_one();
                }
            }
        }
    }
}

/// How exact times are that are not somebody's waiting: those of heartbeats, and of messages in the queue.
const TICK: Duration = Duration::from_millis(250);

/// How often it is looked whether the other servers are back after an outage.
const SHORT_TICK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use sockeye_adapter::{BroadcastOptions, Cluster, EventBody, Target};
    use sockeye_socket_proto::Args;
    use tokio::sync::mpsc::{self, UnboundedSender};
    use tokio::time::Instant;

    use super::*;
    use crate::cluster::BusCluster;
    use crate::job::Job;
    use crate::profile::BusProfile;

    /// An engine that is just back, and says when it is given what.
    #[derive(Debug)]
    struct Back(UnboundedSender<(Instant, Job)>);

    impl Bus for Back {
        fn profile(&self) -> BusProfile {
            BusProfile::new("back")
        }

        fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
            async move {
                link.up();
                link.degraded("away");
                link.up_again();
                while let Some(job) = link.next().await {
                    let _ = self.0.send((Instant::now(), job));
                }
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn emitter_gives_servers_the_time_to_come_back_after_an_outage() {
        let (sender, mut given) = mpsc::unbounded_channel();
        let age = Duration::from_secs(8);
        let config = ClusterConfig::default().max_queue_age(age);
        let cluster = BusCluster::new(Back(sender), config);
        let emitter = cluster.emitter("/").unwrap();
        let start = Instant::now();
        let args = Args::empty();
        let event = EventBody {
            name: "x",
            args: args.as_raw(),
        };
        emitter.broadcast(&event, &BroadcastOptions::new(Target::all()));
        let (at, _) = given.recv().await.unwrap();
        assert!(at - start >= age / 2 && at - start < age);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_in_time_goes_on_after_a_panic() {
        let runs = AtomicU32::new(0);
        let run = || async {
            let earlier = runs.fetch_add(1, Ordering::Relaxed);
            assert!(earlier > 1, "so often it panics");
            std::future::pending::<()>().await;
        };
        let time = Duration::from_secs(60);
        assert!(
            tokio::time::timeout(time, again_and_again(run))
                .await
                .is_err()
        );
        assert_eq!(runs.into_inner(), 3);
    }
}
