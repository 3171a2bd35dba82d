//! The seam to an engine.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::link::Link;
use crate::profile::BusProfile;

/// An engine that carries messages between the servers of a cluster.
///
/// Whoever writes one connects to the engine, and says what goes over the wire; what the messages mean is the core's affair.
/// Users never see it: they give the server's configuration something that is
/// [made into a cluster](sockeye_adapter::IntoCluster).
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// What it is like.
    fn profile(&self) -> BusProfile;

    /// Does the [jobs](Link::next) and hands over [what comes](Link::receive), until there are no more jobs.
    ///
    /// Runs in a task of its own, once for each server. It is for this to connect, to connect again with some patience in
    /// between, and to say how it [is](Link::up). While it is not connected it takes no jobs: they wait, within limits of their
    /// own, and what is too old then is dropped by the core. If it ends before its time or panics, it is called again after a
    /// second.
    ///
    /// Nothing on the engine may stop it: what cannot be decoded is [counted](Link::undecodable), and dropped.
    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()>;
}
