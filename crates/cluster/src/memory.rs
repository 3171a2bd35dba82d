//! A bus in the memory of one process.

mod hub;
mod kept;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_cluster_proto::{EncodeError, cluster};
use tokio::sync::mpsc;

use self::hub::{Frame, Hub};
use crate::attempts::Attempts;
use crate::bus::Bus;
use crate::cluster::BusCluster;
use crate::config::ClusterConfig;
use crate::job::{Job, Publish};
use crate::link::Link;
use crate::profile::{BusProfile, Counting};

/// Where the servers of one process meet, as they would on an engine: for tests, and for trying things out.
///
/// What they say to each other goes through the bytes that it would have on a wire. Each server is given an end of its own.
/// Cheap to clone.
///
/// ```
/// use sockeye_cluster::MemoryHub;
///
/// let hub = MemoryHub::new();
/// let (_first, _second) = (hub.server(), hub.server());
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryHub(Arc<Hub>);

/// One server's end of a [`MemoryHub`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MemoryBus {
    hub: MemoryHub,
    config: ClusterConfig,
}

/// How a [`MemoryHub`] works.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct MemoryOptions {
    pub(crate) counting: Counting,
    pub(crate) log: Option<usize>,
    pub(crate) interest: bool,
    pub(crate) always_binary: bool,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            counting: Counting::Engine,
            log: None,
            interest: true,
            always_binary: false,
        }
    }
}

impl MemoryOptions {
    /// How servers know how many there are. Default: the hub knows.
    pub const fn counting(mut self, counting: Counting) -> Self {
        self.counting = counting;
        self
    }

    /// Keeps that many messages, so that sockets can come back to any server. Default: none.
    pub const fn log(mut self, messages: usize) -> Self {
        self.log = Some(messages);
        self
    }

    /// Whether what is for one room goes to those servers only that have members in it. Default: yes.
    pub const fn interest(mut self, interest: bool) -> Self {
        self.interest = interest;
        self
    }

    /// Whether all messages are `MessagePack`, and not only those with bytes in them. Default: no.
    pub const fn always_binary(mut self, always: bool) -> Self {
        self.always_binary = always;
        self
    }
}

impl MemoryHub {
    /// A hub on which servers are counted, and which knows who is interested in which room.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A hub that works like this.
    #[must_use]
    pub fn with_options(options: MemoryOptions) -> Self {
        Self(Arc::new(Hub::new(options)))
    }

    /// The end for one more server, to be given to its configuration.
    pub fn server(&self) -> MemoryBus {
        MemoryBus {
            hub: self.clone(),
            config: ClusterConfig::default(),
        }
    }

    /// Lets nothing through any more, as if the engine were gone. What is on its way is lost.
    pub fn stop(&self) {
        self.0.set_up(false);
    }

    /// Goes on.
    pub fn start(&self) {
        self.0.set_up(true);
    }

    /// Forgets the log and all that is kept, as an engine does that is started empty.
    pub fn forget(&self) {
        self.0.forget();
    }

    /// Publishes bytes in a namespace, as anybody can who gets at the engine.
    pub fn inject(&self, namespace: &str, bytes: impl Into<Bytes>) {
        self.0.inject(namespace, &bytes.into());
    }

    /// How many frames were handed to servers.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.0.delivered()
    }
}

impl MemoryBus {
    /// Changes what is the same for every bus.
    pub fn cluster(mut self, change: impl FnOnce(ClusterConfig) -> ClusterConfig) -> Self {
        self.config = change(self.config);
        self
    }
}

impl IntoCluster for MemoryBus {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        let end = End {
            hub: self.hub.0,
            last: OnceLock::new(),
        };
        Arc::new(BusCluster::new(end, self.config))
    }
}

/// One server's end at work.
struct End {
    hub: Arc<Hub>,
    /// The number of the last message of the log that has come, and that which the log had in the beginning before.
    last: OnceLock<AtomicU64>,
}

impl Bus for End {
    fn profile(&self) -> BusProfile {
        let options = &self.hub.options;
        let mut profile = BusProfile::new("memory");
        profile.counting = options.counting;
        profile.interest = options.interest;
        profile.log = options.log.is_some();
        profile
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            let mut attempts = Attempts::new(&link);
            loop {
                self.hub.up().await;
                let (id, frames) = self.hub.join();
                let goes_on = self.serve(&link, &mut attempts, id, frames).await;
                self.hub.leave(id);
                if !goes_on {
                    return;
                }
                link.degraded("the hub was stopped");
            }
        }
        .boxed()
    }
}

impl End {
    /// Carries messages; says whether to go on when the hub is there again.
    async fn serve(
        &self,
        link: &Link,
        attempts: &mut Attempts<'_>,
        id: u64,
        mut frames: mpsc::UnboundedReceiver<Frame>,
    ) -> bool {
        let is_first = self.last.get().is_none();
        let last = self.last.get_or_init(|| self.hub.last().into());
        let subscriptions = link.subscriptions();
        let since = last.load(Ordering::Relaxed);
        let (end, is_whole) = self.hub.resume(id, &subscriptions, since);
        for told in &subscriptions {
            link.opened(&told.namespace, end.as_deref());
        }
        match is_first || !is_whole {
            true => attempts.connected(),
            false => link.up(),
        }
        loop {
            tokio::select! {
                biased;
                () = self.hub.down() => return true,
                frame = frames.recv() => match frame {
                    Some(frame) => {
                        last.fetch_max(frame.number, Ordering::Relaxed);
                        receive(link, frame);
                    }
                    None => return true,
                },
                job = link.next() => match job {
                    Some(job) => self.obey(link, id, job),
                    None => return false,
                },
            }
        }
    }

    fn obey(&self, link: &Link, id: u64, job: Job) {
        match job {
            Job::Open(opening) => {
                let end = self.hub.subscribe(id, &opening.namespace, &opening.uid);
                link.opened(&opening.namespace, end.as_deref());
            }
            Job::Close(closing) => {
                self.hub.unsubscribe(id, &closing.namespace);
                closing.done();
            }
            Job::Interest(interest) => {
                self.hub
                    .interest(id, &interest.namespace, interest.room, interest.gained);
            }
            Job::Publish(publish) => match self.encode(&publish) {
                Ok(bytes) => {
                    self.hub.publish(id, &publish, &bytes);
                    link.published(&publish);
                }
                Err(error) => link.failed(&publish, &error),
            },
            // It is, as nothing takes time here.
            Job::Settle(_) => {}
            Job::CountNodes(count) => {
                let nodes = self.hub.nodes(&count.namespace);
                count.answer(nodes);
            }
            Job::FindNodes(find) => {
                for node in &find.nodes {
                    find.answer(node, self.hub.has_node(&find.namespace, node));
                }
            }
            Job::Keep(keep) => self.hub.keep(keep.socket, keep.time),
            Job::Forget(forget) => self.hub.forget_kept(&forget.pid),
            Job::Restore(restore) => self.hub.restore(restore, link.limits()),
        }
    }

    fn encode(&self, publish: &Publish) -> Result<Bytes, EncodeError> {
        let mut bytes = Vec::new();
        let encode = match self.hub.options.always_binary {
            true => cluster::encode_msgpack,
            false => cluster::encode_json_unless_binary,
        };
        encode(
            &mut bytes,
            &publish.uid,
            &publish.namespace,
            &publish.message,
        )?;
        Ok(bytes.into())
    }
}

fn receive(link: &Link, frame: Frame) {
    let envelope = match cluster::decode(&frame.bytes, link.limits()) {
        Ok(envelope) => envelope,
        Err(error) => return link.undecodable(&error),
    };
    match frame.offset {
        None => link.receive(&frame.namespace, envelope),
        Some(offset) => link.receive_logged(&frame.namespace, envelope, &offset, frame.tag),
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus").finish_non_exhaustive()
    }
}
