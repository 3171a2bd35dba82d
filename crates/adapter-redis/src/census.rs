//! Counting servers in a Redis Cluster, where each Redis knows its own subscribers only.

use std::collections::HashMap;
use std::fmt;
use std::future;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared, join, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult};
use sockeye_cluster::{CountNodes, FindNodes};
use tokio::time::{Instant, timeout};

use crate::commands::each_counted;
use crate::endpoint::{self, Endpoint};

/// What is counted, and the connections to the other servers of the Redis Cluster that it takes.
///
/// A channel is counted once at a time. Whoever asks meanwhile is told by the next count, which they share: the one that is under
/// way may have been answered before somebody subscribed whom they know to be there.
#[derive(Debug)]
pub(crate) struct Census<'b> {
    endpoint: &'b Endpoint,
    siblings: Arc<Siblings>,
    /// By the channel.
    counts: HashMap<String, Count>,
    running: FuturesUnordered<BoxFuture<'b, Done>>,
}

/// How a channel is counted.
struct Count {
    home: MultiplexedConnection,
    is_running: bool,
    /// Who is told by the next count.
    waiting: Vec<CountNodes>,
    /// How many there were when all could be asked last.
    last: usize,
}

/// What has come to an end.
enum Done {
    Counted {
        channel: String,
        asked: Vec<CountNodes>,
        outcome: RedisResult<Subscribers>,
    },
    Found,
}

/// How many have subscribed to each of some channels.
struct Subscribers {
    each: Vec<usize>,
    /// Whether all were asked that may have any.
    is_complete: bool,
}

impl<'b> Census<'b> {
    pub(crate) fn new(endpoint: &'b Endpoint) -> Self {
        Self {
            endpoint,
            siblings: Arc::default(),
            counts: HashMap::new(),
            running: FuturesUnordered::new(),
        }
    }

    /// Counts the subscribers of a channel on all servers. Where not all can be asked, there are no fewer of them than when they
    /// could be: those that are left out may answer all the same.
    pub(crate) fn count(
        &mut self,
        home: MultiplexedConnection,
        channel: String,
        asked: CountNodes,
    ) {
        let count = self.counts.entry(channel.clone());
        let count = count.or_insert_with(|| Count {
            home: home.clone(),
            is_running: false,
            waiting: Vec::new(),
            last: 0,
        });
        count.home = home;
        if count.waiting.len() == count.waiting.capacity() {
            // So that these take no more room than those who still wait.
            count.waiting.retain(|asked| !asked.is_over());
        }
        count.waiting.push(asked);
        if !count.is_running {
            self.begin(channel);
        }
    }

    /// Looks for servers of ours by the subscribers of channels that each has for itself, in the order of what is to be found.
    /// That nobody has subscribed to one is not said where not all could be asked.
    pub(crate) fn find(
        &mut self,
        home: MultiplexedConnection,
        channels: Vec<String>,
        find: FindNodes,
    ) {
        let (siblings, endpoint) = (Arc::clone(&self.siblings), self.endpoint);
        let finding = async move {
            // Whoever has asked learns that there is no answer, if there is none.
            if let Ok(found) = siblings.ask(endpoint, home, &channels).await {
                for (node, subscribers) in find.nodes.iter().zip(found.each) {
                    if subscribers > 0 || found.is_complete {
                        find.answer(node, subscribers > 0);
                    }
                }
            }
            Done::Found
        };
        self.running.push(finding.boxed());
    }

    /// Forgets a channel that is not counted any more.
    pub(crate) fn forget(&mut self, channel: &str) {
        self.counts.remove(channel);
    }

    /// Goes on with what is being counted, for as long as it is waited for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn run(&mut self) {
        while let Some(done) = self.running.next().await {
            self.finish(done);
        }
        future::pending::<()>().await;
    }

    fn begin(&mut self, channel: String) {
        let Some(count) = self.counts.get_mut(&channel) else {
            return;
        };
        let mut asked = mem::take(&mut count.waiting);
        asked.retain(|asked| !asked.is_over());
        count.is_running = !asked.is_empty();
        if !count.is_running {
            return;
        }
        let (siblings, endpoint) = (Arc::clone(&self.siblings), self.endpoint);
        let home = count.home.clone();
        let counting = async move {
            let channels = [channel];
            let outcome = siblings.ask(endpoint, home, &channels).await;
            let [channel] = channels;
            Done::Counted {
                channel,
                asked,
                outcome,
            }
        };
        self.running.push(counting.boxed());
    }

    fn finish(&mut self, done: Done) {
        let Done::Counted {
            channel,
            asked,
            outcome,
        } = done
        else {
            return;
        };
        // Without an answer, whoever has asked learns that there is none.
        if let Ok(Subscribers { each, is_complete }) = outcome {
            let mut servers = each.first().copied().unwrap_or_default();
            if let Some(count) = self.counts.get_mut(&channel) {
                match is_complete {
                    true => count.last = servers,
                    false => servers = servers.max(count.last),
                }
            }
            for asked in asked {
                asked.answer(servers);
            }
        }
        self.begin(channel);
    }
}

/// The other servers of the Redis Cluster, by their addresses. Each is connected to when it is needed first.
#[derive(Debug, Default)]
struct Siblings(Mutex<HashMap<String, Sibling>>);

/// One of them.
struct Sibling {
    /// Connects to it in a task of its own, and gives nothing if it cannot be reached.
    attempt: Attempt,
    begun: Instant,
    /// Who counts does not wait for a server that was away before: it would be the same each time.
    is_waited_for: bool,
}

type Attempt = Shared<BoxFuture<'static, Option<MultiplexedConnection>>>;

impl Siblings {
    /// Asks all servers how many have subscribed to these channels.
    async fn ask(
        &self,
        endpoint: &Endpoint,
        mut home: MultiplexedConnection,
        channels: &[String],
    ) -> RedisResult<Subscribers> {
        let mut nodes = redis::cmd("CLUSTER");
        let nodes: String = nodes.arg("NODES").query_async(&mut home).await?;
        let others = Others::read(&nodes);
        self.retain(&others.addresses);
        let mut question = redis::cmd("PUBSUB");
        question.arg("NUMSUB").arg(channels);
        let at_home = home.send_packed_command(&question);
        let addresses = others.addresses.iter();
        let elsewhere = addresses.map(|address| self.ask_one(endpoint, address, &question));
        let (at_home, elsewhere) = join(at_home, join_all(elsewhere)).await;
        let mut each = vec![0; channels.len()];
        let mut is_complete = !others.are_in_doubt;
        for answer in elsewhere.into_iter().chain([Some(at_home?)]) {
            let counts = answer.and_then(|answer| each_counted(&answer, channels.len()));
            match counts {
                Some(counts) => each
                    .iter_mut()
                    .zip(counts)
                    .for_each(|(sum, count)| *sum += count),
                None => is_complete = false,
            }
        }
        Ok(Subscribers { each, is_complete })
    }

    /// Asks one of the others. `None` if it cannot be reached.
    async fn ask_one(
        &self,
        endpoint: &Endpoint,
        address: &str,
        question: &Cmd,
    ) -> Option<redis::Value> {
        let mut connection = self.reach(endpoint, address)?.await?;
        match timeout(PATIENCE, connection.send_packed_command(question)).await {
            Ok(Ok(answer)) => return Some(answer),
            // It is connected to again when the next count is asked for.
            Ok(Err(_)) => drop(self.lock().remove(address)),
            Err(_) => {
                let away = Sibling {
                    attempt: future::ready(None).boxed().shared(),
                    begun: Instant::now(),
                    is_waited_for: false,
                };
                self.lock().insert(address.to_owned(), away);
            }
        }
        None
    }

    /// The connection to a server, or the attempt to get it. `None` if it was away lately.
    fn reach(&self, endpoint: &Endpoint, address: &str) -> Option<Attempt> {
        let mut all = self.lock();
        let mut was_away = false;
        if let Some(known) = all.get(address) {
            match known.attempt.clone().now_or_never() {
                Some(Some(_)) => return Some(known.attempt.clone()),
                Some(None) if known.begun.elapsed() < PAUSE => return None,
                Some(None) => was_away = true,
                None => return known.is_waited_for.then(|| known.attempt.clone()),
            }
        }
        let (host, port) = split(address)?;
        let server = endpoint.sibling(host, port);
        let connecting = tokio::spawn(async move {
            let config = endpoint::config();
            let connected = timeout(PATIENCE, endpoint::connect_to(server, &config)).await;
            let error = match connected {
                Ok(Ok(connection)) => return Some(connection),
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            tracing::debug!(error, "a server of the Redis Cluster cannot be reached");
            None
        });
        let attempt = connecting.map(|joined| joined.ok().flatten());
        let attempt = attempt.boxed().shared();
        let sibling = Sibling {
            attempt: attempt.clone(),
            begun: Instant::now(),
            is_waited_for: !was_away,
        };
        all.insert(address.to_owned(), sibling);
        (!was_away).then_some(attempt)
    }

    /// Forgets those that do not belong to the Redis Cluster any more.
    fn retain(&self, addresses: &[&str]) {
        self.lock().retain(|known, _| addresses.contains(&&**known));
    }

    /// Never while something is waited for.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Sibling>> {
        self.0.lock().expect("nothing panics while it is locked")
    }
}

/// How long one of the other servers may take: whoever asks for a count does not wait longer than some seconds as a rule.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a server that could not be reached is not tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// The servers that are not the one that has been asked.
#[derive(Debug, PartialEq, Eq)]
struct Others<'n> {
    /// Where those are that can be asked.
    addresses: Vec<&'n str>,
    /// There are some more of which it is not certain that they have failed.
    are_in_doubt: bool,
}

impl<'n> Others<'n> {
    /// Of what `CLUSTER NODES` says.
    fn read(nodes: &'n str) -> Self {
        let mut others = Self {
            addresses: Vec::new(),
            are_in_doubt: false,
        };
        for line in nodes.lines() {
            let mut fields = line.split(' ').skip(1);
            let (Some(address), Some(flags)) = (fields.next(), fields.next()) else {
                continue;
            };
            let has = |names: &[&str]| flags.split(',').any(|flag| names.contains(&flag));
            if has(&["myself", "fail", "noaddr", "handshake"]) {
                continue;
            }
            match address.split(['@', ',']).next() {
                Some(_) if has(&["fail?"]) => others.are_in_doubt = true,
                Some(address) => others.addresses.push(address),
                None => {}
            }
        }
        others
    }
}

fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Count")
            .field("is_running", &self.is_running)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sibling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sibling")
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_those_that_can_be_asked() {
        let nodes = "a 127.0.0.1:1@11 myself,master - 0 0 1 connected 0-1\n\
                     b 127.0.0.1:2@12,host master - 0 0 2 connected 2-3\n\
                     c ::1:3@13 slave b 0 0 2 connected\n\
                     d 127.0.0.1:4@14 master,fail - 0 0 2 connected\n\
                     e :0@0 master,noaddr - 0 0 2 disconnected\n\
                     junk\n";
        let others = Others::read(nodes);
        let found: Vec<_> = others.addresses.iter().map(|text| split(text)).collect();
        assert_eq!(found, [Some(("127.0.0.1", 2)), Some(("::1", 3))]);
        assert!(!others.are_in_doubt);
    }

    #[test]
    fn server_that_may_have_failed_is_in_doubt() {
        let nodes = "a 127.0.0.1:1@11 myself,master - 0 0 1 connected 0-1\n\
                     b 127.0.0.1:2@12 master,fail? - 0 0 2 connected 2-3\n";
        let others = Others::read(nodes);
        assert_eq!(others.addresses, [""; 0]);
        assert!(others.are_in_doubt);
    }
}
