//! The connections by which everything is written, and by which questions and answers come.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use redis::{RedisError, RedisResult, Value};
use sockeye_cluster::{Closing, CountNodes, FindNodes, Job, Keep, Link, Publish, Route, Settling};
use sockeye_cluster_proto::{Message, NodeId, cluster};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::kept::{Search, keep};
use super::lanes::{HOME, Lanes, is_elsewhere};
use super::log::Log;
use super::reader::Reader;
use crate::census::Census;
use crate::commands::{self, count_command, counted};
use crate::dialect;
use crate::endpoint::Endpoint;
use crate::refusals::{Opened, Refusals, Subscription};
use crate::servers::{Ears, PROBE_INTERVAL, PROBED, Receive};

/// Redis while it is connected to.
pub(super) struct Connection<'b> {
    endpoint: &'b Endpoint,
    log: &'b Arc<Log>,
    link: &'b Link,
    lanes: Lanes<Expected>,
    /// What servers have not taken because they do not have its key.
    refused: Vec<Expected>,
    refusals: Refusals,
    searches: FuturesUnordered<BoxFuture<'static, Option<RedisError>>>,
    /// Nobody listens as long as there is no namespace.
    reading: Vec<Reading>,
    /// In a Redis Cluster, the other servers have to be asked as well for the number of subscribers.
    census: Census<'b>,
}

/// What an answer is about.
#[derive(Debug)]
enum Expected {
    /// A message is in a stream; its number.
    Added(u64, Publish),
    /// A message has been published.
    Published(Publish),
    /// So many servers have subscribed.
    Counted(CountNodes),
    /// A server has subscribed to a channel of its own, or not.
    Found(Arc<FindNodes>, NodeId),
    /// A socket is kept.
    Kept(Keep),
    /// A channel is subscribed to.
    Subscribed(Subscription),
    /// The last channel of a namespace is not any more.
    Closed(#[expect(dead_code, reason = "whoever waits for it learns when it is dropped")] Closing),
    /// All before has been answered by a server.
    Settled(Arc<Settling>),
    /// Nobody minds.
    Nothing,
}

type Batch = commands::Batch<Expected>;

/// A task that reads streams, which ends with this.
struct Reading(JoinHandle<RedisError>);

impl<'b> Connection<'b> {
    /// Connects, reads what was missed, and subscribes to all that is to be subscribed to.
    pub(super) async fn open(
        endpoint: &'b Endpoint,
        log: &'b Arc<Log>,
        link: &'b Link,
    ) -> RedisResult<Self> {
        let (receiving, channels) = (link.clone(), Arc::clone(log));
        let receive: Receive = Arc::new(move |channel: &str, payload| {
            dialect::receive(&channels.names.prefix, &receiving, channel, &payload);
        });
        let mut lanes = Lanes::connect(endpoint, &receive).await?;
        let home = lanes.home();
        home.choose_probe(|uid| log.names.own_channel(PROBED, uid), |_| true);
        let probe = home.probe.clone();
        let mut connection = Self {
            endpoint,
            log,
            link,
            lanes,
            refused: Vec::new(),
            refusals: Refusals::new(link),
            searches: FuturesUnordered::new(),
            reading: Vec::new(),
            census: Census::new(endpoint),
        };
        let subscriptions = link.subscriptions();
        let is_to_be_read = !subscriptions.is_empty();
        if is_to_be_read {
            connection.read().await?;
        }
        log.resolve(link, is_to_be_read);
        let mut batches = connection.lanes.batches();
        if let Some(probe) = &probe {
            let subscription = Subscription::new("SUBSCRIBE", probe.clone(), None);
            subscribe(&mut batches[HOME], subscription);
        }
        for subscription in subscriptions {
            connection.subscribe(&mut batches, &subscription.namespace, &subscription.uid);
        }
        connection.lanes.send(batches);
        connection.settle().await?;
        Ok(connection)
    }

    /// Does the jobs until there are no more, or until a connection is lost.
    pub(super) async fn serve(&mut self) -> RedisResult<()> {
        let ears = self.lanes.ears();
        let mut probes = tokio::time::interval(PROBE_INTERVAL);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                over = Ears::any_ended(&ears) => return Err(over.error()),
                answered = self.lanes.answered() => self.take(answered?)?,
                error = Reading::failed(&mut self.reading) => return Err(error),
                Some(elsewhere) = self.searches.next() => elsewhere.map_or(Ok(()), Err)?,
                () = self.census.run() => {}
                job = self.link.next(), if self.lanes.have_room() => {
                    let Some(job) = job else {
                        break;
                    };
                    let mut batches = self.lanes.batches();
                    let added = self.fill(&mut batches, job).await;
                    // If it was not, what is in the batches is to be dealt with all the same.
                    self.lanes.send(batches);
                    added?;
                }
                _ = probes.tick() => {
                    let mut batches = self.lanes.batches();
                    for refused in self.refusals.again() {
                        subscribe(&mut batches[HOME], refused);
                    }
                    self.lanes.send(batches);
                    let probe = self.lanes.home().probe("PUBLISH", Expected::Nothing);
                    if let Some(probe) = probe {
                        let mut batches = self.lanes.batches();
                        batches[HOME] = probe;
                        self.lanes.send(batches);
                    }
                }
            }
        }
        self.settle().await
    }

    /// What is not answered will not be: says so, or sees to it that it is done over the next connection. If keys have only
    /// moved, what is on its way is waited for, and what was refused is known not to be there.
    pub(super) async fn end(mut self, error: Option<&RedisError>) {
        let Some(error) = error else {
            return;
        };
        if is_elsewhere(error) {
            self.finish_all().await;
        }
        let is_sure = self.lanes.are_idle();
        let mut again = Vec::new();
        for expected in self.refused.into_iter().chain(self.lanes.into_unanswered()) {
            match expected {
                Expected::Added(_, publish) if is_sure => again.push(Job::Publish(publish)),
                Expected::Added(number, publish) => self.log.doubt(number, publish),
                Expected::Published(publish) => self.link.failed(&publish, error),
                Expected::Kept(keep) => again.push(Job::Keep(keep)),
                Expected::Settled(settling) => {
                    again.extend(Arc::into_inner(settling).map(Job::Settle));
                }
                _ => {}
            }
        }
        for job in again.into_iter().rev() {
            self.link.put_back(job);
        }
    }

    /// Waits for what is on its way, as far as it is answered.
    async fn finish_all(&mut self) {
        while !self.lanes.are_idle()
            && let Ok(answered) = self.lanes.answered().await
        {
            // That keys have moved is known.
            let _ = self.take(answered);
        }
        while self.searches.next().await.is_some() {}
    }

    /// Reads what was missed since the streams were read last, and begins to read what comes. In a Redis Cluster each stream is
    /// read by itself, as Redis does not read two at once that have different slots.
    async fn read(&mut self) -> RedisResult<()> {
        if !self.reading.is_empty() {
            return Ok(());
        }
        let streams = self.log.names.streams();
        let at_once = match self.lanes.is_cluster() {
            true => 1,
            false => streams.len(),
        };
        let mut reading = Vec::new();
        for first in (0..streams.len()).step_by(at_once) {
            let at = (self.endpoint, self.lanes.address(&streams[first]));
            let part = first..first + at_once;
            let reader = Reader::open(at, self.log, self.link, part).await?;
            reading.push(Reading(tokio::spawn(reader.run())));
        }
        self.reading = reading;
        Ok(())
    }

    async fn fill(&mut self, batches: &mut [Batch], first: Job) -> RedisResult<()> {
        self.add(batches, first).await?;
        while !batches.iter().any(Batch::is_full)
            && let Some(job) = self.link.try_next()
        {
            self.add(batches, job).await?;
        }
        Ok(())
    }

    async fn add(&mut self, batches: &mut [Batch], job: Job) -> RedisResult<()> {
        match job {
            Job::Open(opening) => {
                // What has been subscribed to is to be opened again if this does not work out.
                self.read().await?;
                if self.log.names.is_deaf_in_node(&opening.namespace) {
                    let namespace = &*opening.namespace;
                    tracing::warn!(
                        namespace,
                        "servers of Node's do not read the stream of this namespace"
                    );
                }
                self.subscribe(batches, &opening.namespace, &opening.uid);
            }
            Job::Close(closing) => {
                let names = &self.log.names;
                let own = names.own_channel(&closing.namespace, &closing.uid);
                let channel = names.channel(&closing.namespace);
                let left = [own.clone(), channel.clone()];
                self.refusals.forget(self.link, left);
                batches[HOME].add("UNSUBSCRIBE", &own, Expected::Nothing);
                self.census.forget(&channel);
                batches[HOME].add("UNSUBSCRIBE", &channel, Expected::Closed(closing));
            }
            Job::Publish(publish) => self.publish(batches, publish),
            Job::CountNodes(count) => self.count(batches, count),
            Job::FindNodes(find) => self.find(batches, find),
            Job::Settle(settling) => {
                let settling = Arc::new(settling);
                for batch in batches {
                    // Answers come in the order of the questions.
                    let expected = Expected::Settled(Arc::clone(&settling));
                    batch.push(redis::cmd("PING"), expected);
                }
            }
            Job::Keep(kept) => match keep(self.log, &kept.socket, kept.time) {
                Ok(command) => {
                    let key = self.log.names.session(&kept.socket.pid);
                    batches[self.lanes.of(&key)].push(command, Expected::Kept(kept));
                }
                Err(error) => tracing::warn!(%error, "a socket cannot be kept"),
            },
            Job::Forget(forget) => {
                let key = self.log.names.session(&forget.pid);
                batches[self.lanes.of(&key)].add("DEL", &key, Expected::Nothing);
            }
            Job::Restore(restore) => {
                let names = &self.log.names;
                let search = Search {
                    log: Arc::clone(self.log),
                    link: self.link.clone(),
                    sockets: self.lanes.redis(&names.session(&restore.pid)),
                    stream: self.lanes.redis(&names.stream_of(&restore.namespace)),
                };
                self.searches.push(search.run(restore).boxed());
            }
            // All that is for rooms stands in the log.
            Job::Interest(_) => {}
        }
        Ok(())
    }

    fn count(&mut self, batches: &mut [Batch], count: CountNodes) {
        let channel = self.log.names.channel(&count.namespace);
        if !self.lanes.is_cluster() {
            let command = count_command("NUMSUB", &channel);
            return batches[HOME].push(command, Expected::Counted(count));
        }
        self.census.count(self.lanes.home().redis(), channel, count);
    }

    fn find(&mut self, batches: &mut [Batch], find: FindNodes) {
        let names = &self.log.names;
        let nodes = find.nodes.iter();
        let channels = nodes.map(|node| names.own_channel(&find.namespace, node));
        if self.lanes.is_cluster() {
            let channels = channels.collect();
            return self.census.find(self.lanes.home().redis(), channels, find);
        }
        let questions: Vec<_> = channels
            .map(|channel| count_command("NUMSUB", &channel))
            .collect();
        let find = Arc::new(find);
        for (node, question) in find.nodes.iter().zip(questions) {
            let expected = Expected::Found(Arc::clone(&find), node.clone());
            batches[HOME].push(question, expected);
        }
    }

    fn publish(&self, batches: &mut [Batch], publish: Publish) {
        let (namespace, uid) = (&publish.namespace, &publish.uid);
        if is_logged(&publish.message) {
            let from = (&**namespace, uid);
            match self.log.add(from, &publish.message, publish.tag) {
                Ok(added) => {
                    let stream = self.log.names.stream_of(namespace);
                    let expected = Expected::Added(added.number, publish);
                    batches[self.lanes.of(&stream)].push(added.command, expected);
                }
                Err(error) => self.link.failed(&publish, &error),
            }
            return;
        }
        let names = &self.log.names;
        let channel = match &publish.route {
            Route::Response(Some(to)) => names.own_channel(namespace, to),
            _ => names.channel(namespace),
        };
        let mut payload = Vec::new();
        match cluster::encode_msgpack(&mut payload, uid, namespace, &publish.message) {
            Ok(()) => {
                let expected = Expected::Published(publish);
                batches[HOME].publish("PUBLISH", &channel, &payload, expected);
            }
            Err(error) => self.link.failed(&publish, &error),
        }
    }

    /// Subscribes to a namespace, and says in its stream that this server is there: the place of that is known then to
    /// whoever connects before there is an event.
    fn subscribe(&self, batches: &mut [Batch], namespace: &Arc<str>, uid: &NodeId) {
        let names = &self.log.names;
        let home = &mut batches[HOME];
        let opened = Arc::new(Opened(Arc::clone(namespace)));
        for channel in [names.own_channel(namespace, uid), names.channel(namespace)] {
            let subscription = Subscription::new("SUBSCRIBE", channel, Some(&opened));
            subscribe(home, subscription);
        }
        if let Ok(added) = self.log.add((namespace, uid), &Message::Hello, None) {
            let stream = names.stream_of(namespace);
            batches[self.lanes.of(&stream)].push(added.command, Expected::Nothing);
        }
    }

    /// Waits for all answers.
    async fn settle(&mut self) -> RedisResult<()> {
        while !self.lanes.are_idle() {
            let answered = self.lanes.answered().await?;
            self.take(answered)?;
        }
        Ok(())
    }

    /// Takes the answers to what was sent to a server.
    fn take(&mut self, (expected, answers): (Vec<Expected>, Vec<Value>)) -> RedisResult<()> {
        let mut elsewhere = None;
        for (expected, answer) in expected.into_iter().zip(answers) {
            let refused = match &answer {
                Value::ServerError(error) => Some(RedisError::from(error.clone())),
                _ => None,
            };
            match refused {
                Some(error) if is_elsewhere(&error) => {
                    elsewhere = Some(error);
                    self.refused.push(expected);
                }
                refused => self.finish(expected, &answer, refused.as_ref()),
            }
        }
        elsewhere.map_or(Ok(()), Err)
    }

    fn finish(&mut self, expected: Expected, answer: &Value, refused: Option<&RedisError>) {
        match (expected, refused) {
            (Expected::Added(_, publish) | Expected::Published(publish), None) => {
                self.link.published(&publish);
            }
            (Expected::Added(_, publish) | Expected::Published(publish), Some(error)) => {
                self.link.failed(&publish, error);
            }
            (Expected::Counted(count), None) => {
                if let Some(servers) = counted(answer) {
                    count.answer(servers);
                }
            }
            (Expected::Found(find, node), None) => {
                if let Some(servers) = counted(answer) {
                    find.answer(&node, servers > 0);
                }
            }
            (Expected::Subscribed(subscription), refused) => {
                self.refusals.answered(self.link, subscription, refused);
            }
            (Expected::Kept(_), Some(error)) => {
                tracing::warn!(%error, "Redis refuses to keep a socket");
            }
            _ => {}
        }
    }
}

fn subscribe(batch: &mut Batch, subscription: Subscription) {
    let channel = subscription.channel.clone();
    let verb = subscription.verb;
    batch.add(verb, &channel, Expected::Subscribed(subscription));
}

impl Reading {
    /// Waits until one of these does not read any more.
    async fn failed(all: &mut [Self]) -> RedisError {
        let ended = poll_fn(|cx| {
            let mut ended = all.iter_mut().map(|reading| reading.0.poll_unpin(cx));
            ended.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        match ended.await {
            Ok(error) => error,
            Err(_) => std::io::Error::other("the reader of the stream has panicked").into(),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What stands in a stream, and in one order with all else that does. Who is asked for an answer either is there or is not.
const fn is_logged(message: &Message) -> bool {
    matches!(
        message,
        Message::Broadcast { request: None, .. }
            | Message::ServerSideEmit { request: None, .. }
            | Message::Join { .. }
            | Message::Leave { .. }
            | Message::Disconnect { .. }
    )
}
