//! The servers that streams and kept sockets are on: one, or all primaries of a Redis Cluster.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::{BoxFuture, try_join_all};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use crate::commands::Batch;
use crate::endpoint::Endpoint;
use crate::servers::{Ears, MAX_SENT, Receive, Server};
use crate::slots::{Address, Routes};

/// A connection to each, with what has been sent over it. Each key has one of them.
///
/// A Redis Cluster answers nothing as a rule when one of its primaries is away, so there is no use in fewer of them.
pub(super) struct Lanes<E> {
    each: Vec<Lane<E>>,
    routes: Routes,
}

struct Lane<E> {
    server: Server,
    /// What has been sent and is not answered, in its order, which is that of the answers.
    unanswered: VecDeque<Vec<E>>,
    answers: FuturesOrdered<BoxFuture<'static, RedisResult<Vec<Value>>>>,
}

/// The lane of all that has no key: channels, and what is published on them.
pub(super) const HOME: usize = 0;

impl<E: 'static> Lanes<E> {
    /// Connects to all.
    pub(super) async fn connect(endpoint: &Endpoint, receive: &Receive) -> RedisResult<Self> {
        let alarm = Arc::default();
        let connect = |address| Server::connect(endpoint, address, receive, &alarm);
        let first = connect(None).await?;
        let (routes, addresses) = Routes::ask(&mut first.redis()).await?;
        let servers = match addresses.is_empty() {
            true => vec![first],
            false => {
                let addresses = addresses.into_iter();
                let connected = try_join_all(addresses.map(|address| connect(Some(address))));
                connected.await.inspect_err(|_| endpoint.look_elsewhere())?
            }
        };
        let each = servers.into_iter().map(|server| Lane {
            server,
            unanswered: VecDeque::new(),
            answers: FuturesOrdered::new(),
        });
        let each = each.collect();
        Ok(Self { each, routes })
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.routes, Routes::Slots(_))
    }

    /// The lane of a key.
    pub(super) fn of(&self, key: &str) -> usize {
        self.routes.of(key)
    }

    /// The server that channels are subscribed to at.
    pub(super) fn home(&mut self) -> &mut Server {
        &mut self.each[HOME].server
    }

    /// The connection that has a key, for a question behind what is on its way already.
    pub(super) fn redis(&self, key: &str) -> MultiplexedConnection {
        self.each[self.of(key)].server.redis()
    }

    /// Where the server is that has a key, if it is one of several.
    pub(super) fn address(&self, key: &str) -> Option<&Address> {
        self.each[self.of(key)].server.address.as_ref()
    }

    pub(super) fn ears(&self) -> Vec<Arc<Ears>> {
        let each = self.each.iter();
        each.map(|lane| Arc::clone(&lane.server.ears)).collect()
    }

    pub(super) fn batches(&self) -> Vec<Batch<E>> {
        self.each.iter().map(|_| Batch::default()).collect()
    }

    /// Whether more may be sent.
    pub(super) fn have_room(&self) -> bool {
        let mut each = self.each.iter();
        each.all(|lane| lane.answers.len() < MAX_SENT && lane.server.has_room())
    }

    /// Whether everything has been answered.
    pub(super) fn are_idle(&self) -> bool {
        self.each.iter().all(|lane| lane.unanswered.is_empty())
    }

    /// Sends what is for each.
    pub(super) fn send(&mut self, batches: Vec<Batch<E>>) {
        for (lane, batch) in self.each.iter_mut().zip(batches) {
            if !batch.expected.is_empty() {
                let (expected, answers) = lane.server.send(batch);
                lane.unanswered.push_back(expected);
                lane.answers.push_back(answers.boxed());
            }
        }
    }

    /// Waits for the next answers of any. What they are about stays unanswered if there are none.
    pub(super) async fn answered(&mut self) -> RedisResult<(Vec<E>, Vec<Value>)> {
        let (lane, answers) = poll_fn(|cx| {
            for (place, lane) in self.each.iter_mut().enumerate() {
                if let Poll::Ready(Some(answers)) = lane.answers.poll_next_unpin(cx) {
                    return Poll::Ready((place, answers));
                }
            }
            Poll::Pending
        })
        .await;
        let answers = answers?;
        let expected = self.each[lane].unanswered.pop_front();
        Ok((expected.unwrap_or_default(), answers))
    }

    /// What will not be answered.
    pub(super) fn into_unanswered(self) -> impl Iterator<Item = E> {
        let each = self.each.into_iter();
        each.flat_map(|lane| lane.unanswered).flatten()
    }
}

/// Whether a server has refused something that another one takes, or the same one soon.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, Moved, ReadOnly, TryAgain};
    matches!(
        error.kind(),
        ErrorKind::Server(Moved | Ask | TryAgain | ClusterDown | ReadOnly)
    )
}
