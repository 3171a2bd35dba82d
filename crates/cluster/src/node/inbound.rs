//! What other servers say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use sockeye_adapter::{Answer, AnswerTo, BroadcastOptions, EventBody, Local, Reception};
use sockeye_cluster_proto::{
    DecodeError, Envelope, Event, Message, NodeId, Opts, RequestId, Value,
};
use sockeye_socket_proto::Args;

use super::requests::Input;
use super::{Node, Place, legacy};
use crate::clock::now;
use crate::convert::{options_of, target_of};
use crate::job::Route;
use crate::profile::Counting;
use crate::status::count;

impl Node {
    /// Does what a message of another server asks for, or sets it off. Nothing here waits, and nothing the message holds is
    /// anybody's fault but the sender's.
    pub(crate) fn handle(self: &Arc<Self>, envelope: Envelope, place: Option<Place<'_>>) {
        let Envelope {
            from,
            namespace,
            message,
        } = envelope;
        if namespace.is_some_and(|namespace| *namespace != *self.namespace) {
            count(&self.post.status.undecodable);
            return;
        }
        let Some(local) = self.local() else {
            return;
        };
        if from.as_ref() == Some(&self.uid) {
            if let (Some(log), Some(place)) = (self.log(), place) {
                log.came_back(&*local, message, place);
            }
            return;
        }
        count(&self.post.status.received);
        // Emitters publish and hear nothing: they are no nodes, and what they ask has nobody to answer to.
        let from = from.filter(|from| !from.is_emitter());
        // Where the engine counts, it is asked for those that have answered when one is missed.
        if let Some(from) = &from
            && match self.post.profile.counting {
                Counting::Heartbeats => true,
                Counting::Engine => message.answers().is_some(),
                Counting::Nobody => false,
            }
        {
            self.members.lock().heard(from, now());
        }
        if let (Some(log), Some(place)) = (self.log(), place) {
            log.marked(&message, place.offset);
        }
        if let Err(error) = self.obey(&*local, from, message, place) {
            count(&self.post.status.undecodable);
            let (engine, namespace) = (self.post.profile.name, &*self.namespace);
            tracing::debug!(
                engine,
                namespace,
                error = &error as &dyn std::error::Error,
                "a message of the cluster is dropped"
            );
        }
    }

    fn obey(
        self: &Arc<Self>,
        local: &dyn Local,
        from: Option<NodeId>,
        message: Message,
        place: Option<Place<'_>>,
    ) -> Result<(), DecodeError> {
        match message {
            Message::Broadcast {
                event,
                opts,
                request: None,
            } => return self.deliver(local, &event, &opts, place),
            Message::Broadcast {
                event,
                opts,
                request: Some(request),
            } => match from {
                Some(from) => return self.ask_here(local, from, request, &event, &opts),
                None => return self.deliver(local, &event, &opts, None),
            },
            Message::Join { opts, rooms } => local.join(&target_of(&opts), &rooms),
            Message::Leave { opts, rooms } => local.leave(&target_of(&opts), &rooms),
            Message::Disconnect { opts, close } => local.disconnect(&target_of(&opts), close),
            Message::FetchSockets { request, opts } => {
                let sockets = local.sockets(&target_of(&opts));
                match Value::new(&sockets) {
                    Ok(sockets) => {
                        self.respond(from, Message::Sockets { request, sockets });
                    }
                    Err(error) => self.unsayable(&error),
                }
            }
            Message::ServerSideEmit { event, request } => {
                let (name, args) = event.decode(&self.post.limits)?;
                let answer = request
                    .zip(from)
                    .map(|(request, from)| self.answer(request, from));
                let body = EventBody {
                    name: &name,
                    args: args.as_raw(),
                };
                self.was_received(local.server_side_event(&body, answer));
            }
            Message::Hello if self.post.profile.counting == Counting::Heartbeats => {
                self.publish(Route::All, Message::Heartbeat);
            }
            Message::Close => {
                if let Some(from) = &from {
                    self.members.lock().gone(from);
                    self.requests.gone(from);
                }
            }
            Message::Sockets { request, sockets } => {
                let value = Some(sockets);
                self.requests
                    .answer(&request, Input::Answer { from, value });
            }
            Message::ServerSideAnswer { request, answer } => {
                let value = answer;
                self.requests
                    .answer(&request, Input::Answer { from, value });
            }
            Message::ClientCount { request, count } => {
                let count =
                    usize::try_from(count).map_or(MAX_CLIENTS, |count| count.min(MAX_CLIENTS));
                self.requests
                    .answer(&request, Input::Clients { from, count });
            }
            Message::BroadcastAck { request, answer } => {
                let value = answer;
                self.requests.answer(&request, Input::Ack { from, value });
            }
            Message::Legacy { request, what } => {
                if let Some(answer) = legacy::obey(local, what) {
                    self.respond(from, Message::LegacyAnswer { request, answer });
                }
            }
            // A heartbeat is heard, and has no more to say. What is not known here is of a later dialect.
            _ => {}
        }
        Ok(())
    }

    /// An event for sockets.
    fn deliver(
        &self,
        local: &dyn Local,
        event: &Event,
        opts: &Opts,
        place: Option<Place<'_>>,
    ) -> Result<(), DecodeError> {
        if let (Some(log), Some(place)) = (self.log(), place) {
            return self.deliver_logged(log, local, (event, opts), place.offset);
        }
        let options = options_of(opts);
        if local.count(&options.target) == 0 {
            count(&self.post.status.unwanted);
            return Ok(());
        }
        let (name, args) = event.decode(&self.post.limits)?;
        let body = EventBody {
            name: &name,
            args: args.as_raw(),
        };
        local.broadcast(&body, &options);
        Ok(())
    }

    /// Tells what is lost of what others emit to this server; of a burst once.
    fn was_received(&self, reception: Reception) {
        match reception {
            Reception::Started if self.is_behind.load(Ordering::Relaxed) => {
                self.is_behind.store(false, Ordering::Relaxed);
            }
            Reception::Started | Reception::Queued => {}
            Reception::Dropped => {
                count(&self.post.status.dropped_events);
                if !self.is_behind.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        namespace = &*self.namespace,
                        "events of other servers are lost, as their handlers do not get on with them"
                    );
                    self.post.status.gap(Some(Arc::clone(&self.namespace)));
                }
            }
        }
    }

    /// The same for sockets that are to answer. How many they are is said for nobody, too.
    fn ask_here(
        self: &Arc<Self>,
        local: &dyn Local,
        from: NodeId,
        request: RequestId,
        event: &Event,
        opts: &Opts,
    ) -> Result<(), DecodeError> {
        let mut options = options_of(opts);
        let max = self.post.config.max_ack_timeout;
        options.timeout = options.timeout.map(|timeout| timeout.min(max));
        if local.count(&options.target) == 0 {
            count(&self.post.status.unwanted);
            self.count_clients(&from, &request, 0);
            return Ok(());
        }
        let decoded = event.decode(&self.post.limits);
        let (name, args) = decoded.inspect_err(|_| self.count_clients(&from, &request, 0))?;
        let body = EventBody {
            name: &name,
            args: args.as_raw(),
        };
        self.collect(local, (from, request), &body, &options);
        Ok(())
    }

    /// Sends the answers of this server's sockets as they come.
    fn collect(
        self: &Arc<Self>,
        local: &dyn Local,
        (from, request): (NodeId, RequestId),
        event: &EventBody<'_>,
        options: &BroadcastOptions,
    ) {
        let mut answers = local.ask(event, options);
        let this = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(answer) = answers.next().await {
                let Some(this) = this.upgrade() else { return };
                match answer {
                    Answer::Asked(sockets) => this.count_clients(&from, &request, sockets),
                    Answer::Given { args, .. } => {
                        let request = request.clone();
                        let answer = Value::first(&args);
                        let message = Message::BroadcastAck { request, answer };
                        this.respond(Some(from.clone()), message);
                    }
                    // There is no word for it; whoever asks waits until the time is over.
                    Answer::Lost { .. } | Answer::Missing(_) => {}
                }
            }
        });
    }

    fn count_clients(&self, from: &NodeId, request: &RequestId, clients: usize) {
        let message = Message::ClientCount {
            request: request.clone(),
            count: clients as u64,
        };
        self.respond(Some(from.clone()), message);
    }

    /// Takes the answer to a server-side event.
    fn answer(self: &Arc<Self>, request: RequestId, from: NodeId) -> AnswerTo {
        let this = Arc::downgrade(self);
        Box::new(move |args: Args| {
            let Some(this) = this.upgrade() else { return };
            let answer = Value::first(&args);
            let message = Message::ServerSideAnswer { request, answer };
            this.respond(Some(from), message);
        })
    }

    pub(super) fn respond(&self, to: Option<NodeId>, message: Message) {
        self.publish(Route::Response(to), message);
    }

    fn unsayable(&self, error: &(dyn std::error::Error + 'static)) {
        let (engine, namespace) = (self.post.profile.name, &*self.namespace);
        tracing::warn!(
            engine,
            namespace,
            error,
            "an answer to another server cannot be encoded"
        );
    }
}

/// How many clients of one server are waited for. Each that does not answer is told of in the end, so that a number out of
/// the air would cost memory.
const MAX_CLIENTS: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use crate::node::models::{World, says};

    use super::*;

    #[tokio::test]
    async fn other_servers_cannot_have_clients_waited_for_without_end() {
        let world = World::new(|_| {});
        for (timeout, expected) in [(1500, "1.5s"), (u64::MAX, "600s")] {
            let mut opts = Opts::default();
            opts.flags.timeout = Some(timeout);
            let message = Message::Broadcast {
                event: Event::new("q", Args::empty().as_raw()),
                opts,
                request: Some(RequestId::new("r")),
            };
            says(&world.node, "other", message);
            let asked = ("q".to_owned(), Some(expected.to_owned()));
            assert_eq!(world.sent.try_recv(), Ok(asked));
        }
    }
}
