//! Connections that were accepted elsewhere.

use std::pin::Pin;
use std::time::SystemTime;

use sockeye_engine::{Io, Seated, Stream};
use sockeye_engine_proto::TransportKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_layer::Layer;

use super::{ListenOptions, bare, http};
use crate::application::Application;
use crate::connections::Admitted;
use crate::engine::Engine;
use crate::gate::Door;
use crate::handshake::{ConnectionInfo, Handshake};
use crate::http::OtherService;

/// A stream of whichever kind, under a name by which it can be had back from the HTTP library.
pub(crate) type GivenStream = Pin<Box<dyn Stream>>;

impl<A: Application> Engine<A> {
    /// Serves HTTP on a connection that somebody else has accepted, in a task of its own: a tunnel, a
    /// virtual machine's socket, a pipe in memory. Requests that are not for the engine's path get status
    /// 404.
    ///
    /// It counts among the connections of the listeners, and has their limits of time. `options` matter as
    /// far as they are about HTTP.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn serve_http<S>(&self, stream: S, info: ConnectionInfo, options: ListenOptions)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Some((door, admitted)) = self.receive(&info) else {
            return;
        };
        let watched = self.connections().watch(admitted);
        let stream: GivenStream = Box::pin(stream);
        let engine = self.clone();
        tokio::spawn(async move {
            let service = engine.layer().layer(OtherService::none());
            let stop = engine.gate().emptied();
            tokio::select! {
                () = http::serve(stop, stream, watched, service, info, &options) => {}
                () = engine.time_is_over(options.drain_timeout) => {}
            }
            drop(door);
        });
    }

    /// Serves packets and lines on a bare stream that somebody else has accepted, in a task of its own.
    /// The transport is called `tcp` if the peer has an address, and `unix` if it has none.
    ///
    /// It counts among the connections of the listeners. `options` matter as far as they are about bare
    /// streams.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the same as for HTTP, where the connection keeps them"
    )]
    pub fn serve_stream<S>(&self, stream: S, info: ConnectionInfo, options: ListenOptions)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Some((door, admitted)) = self.receive(&info) else {
            return;
        };
        let kind = match info.remote_addr {
            Some(_) => TransportKind::Tcp,
            None => TransportKind::Unix,
        };
        let now = SystemTime::now();
        let handshake = Handshake::of_stream(info.remote_addr, None, info.secure, now);
        let io = Io::boxed(Seated::new(stream, Some(admitted.seat)));
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = engine.gate().emptied() => {}
                () = bare::serve(engine.clone(), io, kind, handshake, options.manners) => {}
            }
            drop(door);
        });
    }

    /// Lets a connection in, if the engine is open and there is room.
    fn receive(&self, info: &ConnectionInfo) -> Option<(Door, Admitted)> {
        let door = self.gate().open_door()?;
        let address = info.remote_addr.map(|at| at.ip());
        match self.connections().admit(address) {
            Ok(admitted) => Some((door, admitted)),
            Err(full) => {
                tracing::debug!(%full, "a connection is refused");
                None
            }
        }
    }

    /// Ready when the engine is empty and closing, and requests that are still being served have had
    /// their time.
    async fn time_is_over(&self, drain_timeout: std::time::Duration) {
        let gate = self.gate();
        gate.emptied().await;
        let now = sockeye_engine::now();
        let grace = gate.patience(now, self.config().shutdown_timeout);
        tokio::time::sleep(grace.min(drain_timeout)).await;
    }
}
