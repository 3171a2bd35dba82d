//! Publishing without being a server.

use std::fmt;
use std::sync::Arc;

use sockeye_adapter::{
    Adapter, BroadcastOptions, Cluster, ClusterCounts, ClusterState, EventBody, IntoCluster,
    RoomNames, Target,
};
use sockeye_events::EmitError;
use sockeye_socket_proto::{Args, ToArgs, is_reserved_event};
use thiserror::Error;

/// Tells the servers of a cluster what to do, without being one of them: for jobs and other programs beside the servers, which
/// may be in Node as well.
///
/// It is made over the same engine that the servers are configured with. Servers do not count it, nor can it be answered: there
/// is no `emit_with_ack`, and sockets cannot be fetched. Cheap to clone.
///
/// What it says is queued, and published by a task of its own, which begins with the first use within a Tokio runtime. While
/// the engine is away it waits, within the [limits](crate::ClusterConfig::max_queue_age) that hold for servers. So a program
/// that ends right after has to [close](Self::close) it first.
///
/// ```
/// use sockeye_cluster::{Emitter, MemoryHub};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = MemoryHub::new();
/// let emitter = Emitter::new(hub.server())?;
/// emitter.emit("news", "for everyone")?;
/// emitter.of("/admin").to("red").except("quiet").emit("news", (1, "for some"))?;
/// emitter.to("red").sockets_join("blue");
/// emitter.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct Emitter {
    cluster: Arc<dyn Cluster>,
    namespace: Arc<str>,
    adapter: Arc<dyn Adapter>,
    options: BroadcastOptions,
}

/// Why there is no emitter.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmitterError {
    /// Only servers take part in this cluster.
    #[error("the cluster takes servers only")]
    ServersOnly,
}

impl Emitter {
    /// One for the namespace `/`.
    ///
    /// # Errors
    ///
    /// If the cluster is one that was written for servers alone; the engines of this project are not.
    pub fn new(cluster: impl IntoCluster) -> Result<Self, EmitterError> {
        let cluster = cluster.into_cluster();
        let adapter = cluster.emitter("/").ok_or(EmitterError::ServersOnly)?;
        Ok(Self {
            cluster,
            namespace: "/".into(),
            adapter,
            options: BroadcastOptions::new(Target::all()),
        })
    }

    /// The same for another namespace, whose name may be given without its slash. For everyone in it: rooms that were named
    /// before are not.
    pub fn of(&self, namespace: &str) -> Self {
        let namespace: Arc<str> = match namespace.starts_with('/') {
            true => namespace.into(),
            false => format!("/{namespace}").into(),
        };
        let adapter = match *namespace == *self.namespace {
            true => None,
            false => self.cluster.emitter(&namespace),
        };
        Self {
            cluster: Arc::clone(&self.cluster),
            namespace,
            adapter: adapter.unwrap_or_else(|| Arc::clone(&self.adapter)),
            options: BroadcastOptions::new(Target::all()),
        }
    }

    /// Adds a room, or several: who is in any of the rooms is meant, once. Without a room it is everyone in the namespace. The
    /// id of a socket is a room.
    #[doc(alias = "in")]
    pub fn to<M>(&self, rooms: impl RoomNames<M>) -> Self {
        let mut more = self.clone();
        more.options.target = more.options.target.to(rooms);
        more
    }

    /// Leaves out the sockets in this room, or in any of these.
    pub fn except<M>(&self, rooms: impl RoomNames<M>) -> Self {
        let mut less = self.clone();
        less.options.target = less.options.target.except(rooms);
        less
    }

    /// Those who cannot take the event right now miss it.
    pub fn volatile(&self) -> Self {
        let mut volatile = self.clone();
        volatile.options.volatile = true;
        volatile
    }

    /// Whether the event may be compressed, where the transport compresses at all. Default: yes.
    pub fn compress(&self, compress: bool) -> Self {
        let mut same = self.clone();
        same.options.compress = compress;
        same
    }

    /// Emits an event to the sockets that are meant. A tuple becomes several arguments, `()` none, anything else one.
    ///
    /// # Errors
    ///
    /// If the name is reserved, or an argument cannot be encoded. That the engine is away is none: see
    /// [`state`](Self::state) and [`counts`](Self::counts).
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        let name = name.as_ref();
        if is_reserved_event(name) {
            return Err(EmitError::ReservedName(name.into()));
        }
        let args = Args::new(&args)?;
        let args = args.as_raw();
        // Where it is delivered is no affair of somebody who has no sockets.
        let _ = self
            .adapter
            .broadcast(&EventBody { name, args }, &self.options);
        Ok(())
    }

    /// Puts the sockets that are meant into a room, or into several.
    pub fn sockets_join<M>(&self, rooms: impl RoomNames<M>) {
        let rooms = Target::all().to(rooms);
        self.adapter
            .join(&self.options.target, rooms.shared_rooms());
    }

    /// Takes the sockets that are meant out of a room, or of several.
    pub fn sockets_leave<M>(&self, rooms: impl RoomNames<M>) {
        let rooms = Target::all().to(rooms);
        self.adapter
            .leave(&self.options.target, rooms.shared_rooms());
    }

    /// Takes the sockets that are meant out of the namespace.
    pub fn disconnect_sockets(&self) {
        self.adapter.disconnect(&self.options.target, false);
    }

    /// Closes the connections of the sockets that are meant.
    pub fn close_sockets(&self) {
        self.adapter.disconnect(&self.options.target, true);
    }

    /// Emits an event to the servers themselves, which have handlers for it in `server_side`; Node's by `io.on`.
    ///
    /// # Errors
    ///
    /// If an argument cannot be encoded.
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn server_side_emit(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<(), EmitError> {
        let (name, args) = (name.as_ref(), Args::new(&args)?);
        let args = args.as_raw();
        self.adapter.server_side_emit(&EventBody { name, args });
        Ok(())
    }

    /// Whether the engine can be reached, right now.
    #[must_use]
    pub fn state(&self) -> ClusterState {
        self.cluster.state()
    }

    /// What was counted since it was made: what was published, what still waits, what was dropped.
    #[must_use]
    pub fn counts(&self) -> ClusterCounts {
        self.cluster.counts()
    }

    /// Waits until all that was said is published, or for 5 s
    /// ([`leave_timeout`](crate::ClusterConfig::leave_timeout)), and ends the emitter with all its clones: what is said after is
    /// dropped.
    pub async fn close(&self) {
        self.adapter.close().await;
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("cluster", &self.cluster)
            .field("namespace", &self.namespace)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use tokio::sync::mpsc::{self, UnboundedSender};

    use super::*;
    use crate::bus::Bus;
    use crate::cluster::BusCluster;
    use crate::config::ClusterConfig;
    use crate::job::{Job, Publish, Route};
    use crate::link::Link;
    use crate::profile::BusProfile;

    /// An engine that takes rooms by ways of their own.
    #[derive(Debug)]
    struct ByRoom(UnboundedSender<Publish>);

    impl Bus for ByRoom {
        fn profile(&self) -> BusProfile {
            let mut profile = BusProfile::new("by room");
            profile.interest = true;
            profile
        }

        fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
            async move {
                link.up();
                while let Some(job) = link.next().await {
                    if let Job::Publish(publish) = job {
                        link.published(&publish);
                        let _ = self.0.send(publish);
                    }
                }
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_emitted_to_a_room_that_was_just_joined_goes_to_all_by_any_emitter_of_a_bus() {
        let (sender, mut published) = mpsc::unbounded_channel();
        let cluster = BusCluster::new(ByRoom(sender), ClusterConfig::default());
        let cluster: Arc<dyn Cluster> = Arc::new(cluster);
        let emitter = Emitter::new(Arc::clone(&cluster)).unwrap();
        let other = Emitter::new(cluster).unwrap();
        let blue = || Route::Room("blue".into());
        emitter.of("/admin").to("red").sockets_join("blue");
        assert_eq!(published.recv().await.unwrap().route, Route::All);
        for (emitter, route) in [
            (emitter.of("/admin"), Route::All),
            (other.of("admin"), Route::All),
            (emitter.clone(), blue()),
        ] {
            emitter.to("blue").emit("x", 1).unwrap();
            assert_eq!(published.recv().await.unwrap().route, route);
        }
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        emitter.of("/admin").to("blue").emit("x", 1).unwrap();
        assert_eq!(published.recv().await.unwrap().route, blue());
    }
}
