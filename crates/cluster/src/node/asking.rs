//! What this server asks of the others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use sockeye_adapter::{Answer, BroadcastOptions, EventBody, Incomplete, SocketDetails, Target};
use sockeye_cluster_proto::{Limits, Message, RequestId, Value};
use sockeye_socket_proto::Args;
use tokio::sync::oneshot;

use super::Node;
use super::requests::{Input, Waiting};
use crate::clock::{NEVER, now};
use crate::convert::{event_of, opts_of, opts_with};
use crate::job::{CountNodes, Job, OVERHEAD, Route};
use crate::profile::Counting;
use crate::status::count;

impl Node {
    pub(crate) fn ask(
        &self,
        event: &EventBody<'_>,
        options: &BroadcastOptions,
    ) -> BoxStream<'static, Answer> {
        if self.post.profile.counting == Counting::Nobody {
            return stream::empty().boxed();
        }
        let timeout = options.timeout.unwrap_or(self.post.config.requests_timeout);
        let Some(waiting) = self.begin(timeout) else {
            return stream::iter([Answer::Missing(1)]).boxed();
        };
        let mut opts = opts_with(options);
        opts.flags.timeout = u64::try_from(timeout.min(NEVER).as_millis()).ok();
        let message = Message::Broadcast {
            event: event_of(event),
            opts,
            request: Some(waiting.id().clone()),
        };
        self.publish(Route::Request, message);
        let asking = Asking {
            waiting: Some(waiting),
            ready: VecDeque::new(),
            limits: self.post.limits,
        };
        let post = Arc::clone(&self.post);
        stream::unfold(asking, Asking::next)
            .inspect(move |answer| {
                if matches!(answer, Answer::Missing(_)) {
                    count(&post.status.incomplete_requests);
                }
            })
            .boxed()
    }

    pub(crate) fn fetch_sockets(
        &self,
        target: &Target,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<SocketDetails>, Incomplete<SocketDetails>>> {
        let opts = opts_of(target);
        let message = |request| Message::FetchSockets { request, opts };
        let limits = self.post.limits;
        self.gather(timeout, message, move |value| {
            let items = value?.decode_items(&limits).ok()?;
            let items =
                (0..items.len()).filter_map(|item| items.as_raw().arg(item)?.deserialize().ok());
            // One that cannot be read does not spoil the others.
            Some(items.collect::<Vec<SocketDetails>>())
        })
    }

    pub(crate) fn server_side_ask(
        &self,
        event: &EventBody<'_>,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<Args>, Incomplete<Args>>> {
        let event = event_of(event);
        let message = |request| Message::ServerSideEmit {
            event,
            request: Some(request),
        };
        let limits = self.post.limits;
        self.gather(timeout, message, move |value| {
            Some(vec![match value {
                None => Args::empty(),
                Some(value) => value.decode(&limits).ok()?,
            }])
        })
    }

    pub(crate) fn server_count(&self) -> BoxFuture<'static, usize> {
        match self.post.profile.counting {
            Counting::Nobody => std::future::ready(1).boxed(),
            Counting::Heartbeats => std::future::ready(1 + self.members.lock().len()).boxed(),
            Counting::Engine => {
                let timeout = self.post.config.requests_timeout;
                let counted = self.count_nodes(timeout);
                let counted = async move { tokio::time::timeout(timeout, counted).await };
                // This one is there, even if the engine is not.
                counted
                    .map(|counted| counted.map_or(1, |counted| counted.unwrap_or(1)).max(1))
                    .boxed()
            }
        }
    }

    /// Asks each of the others for a list, which is read by `read`.
    fn gather<T: Send + 'static>(
        &self,
        timeout: Option<Duration>,
        message: impl FnOnce(RequestId) -> Message,
        read: impl Fn(Option<Value>) -> Option<Vec<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<Vec<T>, Incomplete<T>>> {
        if self.post.profile.counting == Counting::Nobody {
            return std::future::ready(Ok(Vec::new())).boxed();
        }
        let timeout = timeout.unwrap_or(self.post.config.requests_timeout);
        let Some(mut waiting) = self.begin(timeout) else {
            let (answers, missing) = (Vec::new(), 1);
            return std::future::ready(Err(Incomplete { answers, missing })).boxed();
        };
        let message = message(waiting.id().clone());
        self.publish(Route::Request, message);
        let post = Arc::clone(&self.post);
        async move {
            let mut answers = Vec::new();
            while !waiting.tally.is_done() {
                match waiting.next().await {
                    Some(Input::Answer { from, value }) => {
                        if !waiting.tally.answered(from.as_ref(), 0) {
                            continue;
                        }
                        match read(value) {
                            Some(more) => answers.extend(more),
                            None => count(&post.status.undecodable),
                        }
                    }
                    Some(Input::Gone(node)) => drop(waiting.tally.gone(&node)),
                    Some(Input::Counted { others, found }) => {
                        waiting.tally.counted(others, &found);
                    }
                    Some(Input::Clients { .. } | Input::Ack { .. }) => {}
                    None => break,
                }
            }
            match waiting.tally.missing() {
                0 => Ok(answers),
                missing => {
                    count(&post.status.incomplete_requests);
                    Err(Incomplete { answers, missing })
                }
            }
        }
        .boxed()
    }

    /// Begins a request to all others that are there; `None` if there are too many.
    fn begin(&self, timeout: Duration) -> Option<Waiting> {
        let id = RequestId::new(&self.post.profile.ids.some());
        let max = self.post.config.max_requests;
        let mut waiting = self.requests.begin(id, (now(), timeout), max)?;
        match self.post.profile.counting {
            // Behind the beginning: who goes after the look is told to the request.
            Counting::Heartbeats => waiting.expect_nodes(self.members.lock().nodes()),
            // Before the request: who is counted hears it, if it does not go right then.
            Counting::Engine => {
                // Whoever was there before an outage is, until there was time to come back.
                let least = match self.post.status.is_recovering() {
                    true => self.census.lock().most_lately(),
                    false => 0,
                };
                waiting.expect_count(self.count_nodes(timeout), least);
            }
            Counting::Nobody => {}
        }
        Some(waiting)
    }

    /// Asks the engine how many servers there are.
    pub(super) fn count_nodes(&self, timeout: Duration) -> oneshot::Receiver<usize> {
        let (reply, counted) = oneshot::channel();
        let namespace = Arc::clone(&self.namespace);
        let job = Job::CountNodes(CountNodes {
            namespace,
            census: Arc::clone(&self.census),
            asked: now(),
            reply,
        });
        self.post.call(job, OVERHEAD, timeout);
        counted
    }
}

/// A broadcast that waits for answers.
struct Asking {
    /// `None` when all is said.
    waiting: Option<Waiting>,
    ready: VecDeque<Answer>,
    limits: Limits,
}

impl Asking {
    async fn next(mut self) -> Option<(Answer, Self)> {
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return Some((answer, self));
            }
            let waiting = self.waiting.as_mut()?;
            if waiting.tally.is_done() {
                return None;
            }
            match waiting.next().await {
                Some(Input::Clients { from, count }) => {
                    if waiting.tally.answered(from.as_ref(), count) {
                        self.ready.push_back(Answer::Asked(count));
                    }
                }
                Some(Input::Ack { from, value }) => {
                    if !waiting.tally.acked(from.as_ref()) {
                        continue;
                    }
                    let args = match value {
                        None => Ok(Args::empty()),
                        Some(value) => value.decode(&self.limits),
                    };
                    let id = None;
                    self.ready.push_back(match args {
                        Ok(args) => Answer::Given { id, args },
                        Err(_) => Answer::Lost { id },
                    });
                }
                Some(Input::Gone(node)) => {
                    let lost = waiting.tally.gone(&node);
                    self.ready
                        .extend((0..lost).map(|_| Answer::Lost { id: None }));
                }
                Some(Input::Counted { others, found }) => {
                    let lost = waiting.tally.counted(others, &found);
                    self.ready
                        .extend((0..lost).map(|_| Answer::Lost { id: None }));
                }
                Some(Input::Answer { .. }) => {}
                None => {
                    let missing = waiting.tally.missing();
                    self.waiting = None;
                    if missing > 0 {
                        self.ready.push_back(Answer::Missing(missing));
                    }
                }
            }
        }
    }
}
