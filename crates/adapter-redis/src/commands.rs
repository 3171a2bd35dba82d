//! Commands that go to Redis together, and what becomes of the answers.

use std::iter;
use std::sync::Arc;

use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use sockeye_cluster::{Closing, CountNodes, FindNodes, Job, Link, Publish, Settling};
use sockeye_cluster_proto::NodeId;

use crate::dialect::Dialect;
use crate::refusals::{Opened, Refusals, Subscription};
use crate::slots::Routes;

/// Commands in their order, each with what its answer is about.
#[derive(Debug)]
pub(crate) struct Batch<E = Expected> {
    pub(crate) commands: Pipeline,
    pub(crate) expected: Vec<E>,
    /// Sharded channels that are left.
    pub(crate) left: Vec<String>,
    /// Something is published that is to come back.
    pub(crate) is_probe: bool,
    /// About how many it has.
    pub(crate) bytes: usize,
}

/// A batch for each server.
pub(crate) struct Batches<'r> {
    routes: &'r Routes,
    each: Vec<Batch>,
}

/// What an answer is about.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are messages")]
pub(crate) enum Expected {
    /// A message has been published.
    Published(Publish),
    /// So many servers have subscribed.
    Counted(CountNodes),
    /// A server has subscribed to a channel of its own, or not.
    Found(Arc<FindNodes>, NodeId),
    /// A channel is subscribed to.
    Subscribed(Subscription),
    /// A channel is not subscribed to any more.
    Unsubscribed,
    /// A channel of a namespace is not.
    Closed(
        #[expect(dead_code, reason = "whoever waits for it learns when all are dropped")]
        Arc<Closing>,
    ),
    /// All before has been answered by a server.
    Settled(
        #[expect(dead_code, reason = "whoever waits for it learns when all are dropped")]
        Arc<Settling>,
    ),
    /// Nobody minds.
    Nothing,
}

impl<'r> Batches<'r> {
    /// For so many servers, which have the channels that these routes lead to.
    pub(crate) fn new(routes: &'r Routes, servers: usize) -> Self {
        Self {
            routes,
            each: iter::repeat_with(Batch::default).take(servers).collect(),
        }
    }

    /// Whether no more should go into them.
    pub(crate) fn is_full(&self) -> bool {
        self.each.iter().any(Batch::is_full)
    }

    /// What is for each server, and for which one.
    pub(crate) fn into_each(self) -> impl Iterator<Item = (usize, Batch)> {
        let each = self.each.into_iter().enumerate();
        each.filter(|(_, batch)| !batch.expected.is_empty())
    }

    fn of(&mut self, channel: &str) -> &mut Batch {
        &mut self.each[self.routes.of(channel)]
    }

    /// Adds what a job asks for.
    pub(crate) fn push(&mut self, dialect: &dyn Dialect, link: &Link, job: Job) {
        let verbs = dialect.verbs();
        match job {
            Job::Open(opening) => {
                self.subscribe(dialect, &opening.namespace, &opening.uid);
            }
            Job::Close(closing) => {
                let closing = Arc::new(closing);
                let (namespace, uid) = (&closing.namespace, &closing.uid);
                if let Some(pattern) = dialect.pattern(namespace) {
                    let expected = Expected::Closed(Arc::clone(&closing));
                    self.of(&pattern).add("PUNSUBSCRIBE", &pattern, expected);
                }
                for channel in dialect.channels(namespace, uid) {
                    self.leave(dialect, channel, Expected::Closed(Arc::clone(&closing)));
                }
            }
            Job::Publish(publish) => {
                let mut payload = Vec::new();
                match dialect.encode(&publish, &mut payload) {
                    Ok(channel) => {
                        let expected = Expected::Published(publish);
                        let batch = self.of(&channel);
                        batch.publish(verbs.publish, &channel, &payload, expected);
                    }
                    Err(error) => link.failed(&publish, &error),
                }
            }
            Job::Interest(interest) if interest.gained => {
                self.enter(dialect, &interest.namespace, &interest.room);
            }
            Job::Interest(interest) => {
                let channel = dialect.room_channel(&interest.namespace, &interest.room);
                if let Some(channel) = channel {
                    self.leave(dialect, channel, Expected::Unsubscribed);
                }
            }
            Job::CountNodes(count) => {
                let channel = dialect.counted_channel(&count.namespace);
                let command = count_command(verbs.count, &channel);
                self.of(&channel).push(command, Expected::Counted(count));
            }
            Job::FindNodes(find) => {
                let find = Arc::new(find);
                for node in &find.nodes {
                    let channel = dialect.own_channel(&find.namespace, node);
                    let command = count_command(verbs.count, &channel);
                    let expected = Expected::Found(Arc::clone(&find), node.clone());
                    self.of(&channel).push(command, expected);
                }
            }
            Job::Settle(settling) => {
                let settling = Arc::new(settling);
                for batch in &mut self.each {
                    // Answers come in the order of the questions.
                    let expected = Expected::Settled(Arc::clone(&settling));
                    batch.push(redis::cmd("PING"), expected);
                }
            }
            // There is no log, and so nobody who asks for these.
            Job::Keep(_) | Job::Forget(_) | Job::Restore(_) => {}
        }
    }

    /// Subscribes to a room, if it has a channel.
    pub(crate) fn enter(&mut self, dialect: &dyn Dialect, namespace: &str, room: &str) {
        if let Some(channel) = dialect.room_channel(namespace, room) {
            let verb = dialect.verbs().subscribe;
            self.subscribe_to(Subscription::new(verb, channel, None));
        }
    }

    /// Subscribes to a namespace.
    pub(crate) fn subscribe(&mut self, dialect: &dyn Dialect, namespace: &Arc<str>, uid: &NodeId) {
        let opened = Arc::new(Opened(Arc::clone(namespace)));
        if let Some(pattern) = dialect.pattern(namespace) {
            self.subscribe_to(Subscription::new("PSUBSCRIBE", pattern, Some(&opened)));
        }
        for channel in dialect.channels(namespace, uid) {
            let verb = dialect.verbs().subscribe;
            self.subscribe_to(Subscription::new(verb, channel, Some(&opened)));
        }
    }

    pub(crate) fn subscribe_to(&mut self, subscription: Subscription) {
        self.of(&subscription.channel).subscribe_to(subscription);
    }

    fn leave(&mut self, dialect: &dyn Dialect, channel: String, expected: Expected) {
        let (verbs, batch) = (dialect.verbs(), self.of(&channel));
        batch.add(verbs.unsubscribe, &channel, expected);
        if verbs.is_sharded {
            batch.left.push(channel);
        }
    }
}

impl<E> Batch<E> {
    /// Whether no more should go into it.
    pub(crate) fn is_full(&self) -> bool {
        self.expected.len() >= MAX_COMMANDS || self.bytes >= MAX_BYTES
    }

    pub(crate) fn push(&mut self, command: Cmd, expected: E) {
        let args = command.args_iter().map(|arg| match arg {
            redis::Arg::Simple(bytes) => bytes.len(),
            _ => 0,
        });
        self.bytes += args.sum::<usize>();
        self.commands.add_command(command);
        self.expected.push(expected);
    }

    pub(crate) fn publish(&mut self, verb: &str, channel: &str, payload: &[u8], expected: E) {
        let mut command = redis::cmd(verb);
        command.arg(channel).arg(payload);
        self.push(command, expected);
    }

    /// One channel or key a command: each has one answer then, also if Redis refuses it.
    pub(crate) fn add(&mut self, verb: &str, channel: &str, expected: E) {
        let mut command = redis::cmd(verb);
        command.arg(channel);
        self.push(command, expected);
    }
}

impl Batch {
    pub(crate) fn subscribe_to(&mut self, subscription: Subscription) {
        let mut command = redis::cmd(subscription.verb);
        command.arg(&subscription.channel);
        self.push(command, Expected::Subscribed(subscription));
    }
}

impl<E> Default for Batch<E> {
    fn default() -> Self {
        Self {
            commands: Pipeline::new(),
            expected: Vec::new(),
            left: Vec::new(),
            is_probe: false,
            bytes: 0,
        }
    }
}

/// Asks how many servers have subscribed to a channel, with this behind `PUBSUB`.
pub(crate) fn count_command(verb: &str, channel: &str) -> Cmd {
    let mut command = redis::cmd("PUBSUB");
    command.arg(verb).arg(channel);
    command
}

/// Deals with the answers. What another server is to be given goes to `again`.
///
/// # Errors
///
/// If there are none, as the connection is lost, or if this server does not have a channel.
pub(crate) fn finish(
    link: &Link,
    expected: Vec<Expected>,
    answers: RedisResult<Vec<Value>>,
    again: &mut Vec<Publish>,
    refusals: &mut Refusals,
) -> RedisResult<()> {
    // Redis may have got some of those that are not answered; to publish these twice would be worse than to lose them.
    let answers = answers?;
    let mut misled = None;
    for (expected, answer) in expected.into_iter().zip(answers) {
        let refused = match &answer {
            Value::ServerError(error) => Some(RedisError::from(error.clone())),
            _ => None,
        };
        match (expected, refused) {
            (expected, Some(error)) if is_elsewhere(&error) => {
                misled = Some(error);
                if let Expected::Published(publish) = expected {
                    again.push(publish);
                }
            }
            (Expected::Published(publish), None) => link.published(&publish),
            (Expected::Published(publish), Some(error)) => link.failed(&publish, &error),
            (Expected::Counted(count), None) => {
                if let Some(servers) = counted(&answer) {
                    count.answer(servers);
                }
            }
            (Expected::Found(find, node), None) => {
                if let Some(servers) = counted(&answer) {
                    find.answer(&node, servers > 0);
                }
            }
            (Expected::Subscribed(subscription), refused) => {
                refusals.answered(link, subscription, refused.as_ref());
            }
            (
                Expected::Counted(_)
                | Expected::Found(..)
                | Expected::Unsubscribed
                | Expected::Closed(_)
                | Expected::Settled(_)
                | Expected::Nothing,
                _,
            ) => {}
        }
    }
    misled.map_or(Ok(()), Err)
}

/// Whether another server of a Redis Cluster has the channel, or none right now.
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ClusterDown)
    )
}

/// The number behind the channel's name.
pub(crate) fn counted(answer: &Value) -> Option<usize> {
    let number = match answer {
        Value::Array(items) => items.last(),
        Value::Map(items) => items.last().map(|(_, number)| number),
        _ => None,
    };
    match number? {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

/// The same for each of so many channels, in the order of the question.
pub(crate) fn each_counted(answer: &Value, channels: usize) -> Option<Vec<usize>> {
    let numbers: Vec<_> = match answer {
        Value::Array(items) => items.iter().skip(1).step_by(2).collect(),
        Value::Map(items) => items.iter().map(|(_, number)| number).collect(),
        _ => return None,
    };
    let numbers = numbers.into_iter().map(|number| match number {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    });
    let numbers: Vec<_> = numbers.collect::<Option<_>>()?;
    (numbers.len() == channels).then_some(numbers)
}

/// A batch is one write, and a part of the time that messages of others have to wait.
const MAX_COMMANDS: usize = 256;
const MAX_BYTES: usize = 256 * 1024;
