//! What is done on the connections to Redis, and again when one of them is lost.

use std::fmt;
use std::future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use redis::{RedisResult, Value};
use sockeye_adapter::Cluster;
use sockeye_cluster::{Attempts, Bus, BusCluster, BusProfile, ClusterConfig, Job, Link, Publish};
use tokio::time::MissedTickBehavior;

use crate::census::Census;
use crate::commands::{Batch, Batches, Expected, finish, is_elsewhere};
use crate::dialect::Dialect;
use crate::endpoint::Endpoint;
use crate::refusals::{Refusals, Subscription};
use crate::servers::{MAX_SENT, Over, PROBE_INTERVAL, Server, Servers};
use crate::slots;

/// A bus on Redis.
pub(crate) struct RedisBus {
    endpoint: Endpoint,
    dialect: Arc<dyn Dialect>,
}

impl RedisBus {
    /// The cluster that meets on it.
    pub(crate) fn cluster(
        endpoint: Endpoint,
        dialect: impl Dialect,
        config: ClusterConfig,
    ) -> Arc<dyn Cluster> {
        let bus = Self {
            endpoint,
            dialect: Arc::new(dialect),
        };
        Arc::new(BusCluster::new(bus, config))
    }
}

impl Bus for RedisBus {
    fn profile(&self) -> BusProfile {
        self.dialect.profile()
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            let mut attempts = Attempts::new(&link);
            let (dialect, receiving) = (Arc::clone(&self.dialect), link.clone());
            let receive =
                move |channel: &str, payload| dialect.receive(&receiving, channel, payload);
            let mut servers = Servers::new(Arc::new(receive));
            loop {
                let outcome = async {
                    servers.reach(&self.endpoint, &*self.dialect).await?;
                    let mut open = Connection::new(&self, &link, &mut servers).await?;
                    let outcome = async {
                        open.subscribe().await?;
                        attempts.connected();
                        open.serve().await
                    };
                    let outcome = outcome.await;
                    open.give_up().await;
                    outcome
                };
                match outcome.await {
                    Ok(()) => return,
                    Err(error) => {
                        if is_elsewhere(&error) {
                            servers.look_elsewhere(&self.endpoint);
                        }
                        attempts.failed(&error).await;
                    }
                }
            }
        }
        .boxed()
    }
}

/// The bus while its servers are connected to.
struct Connection<'b> {
    bus: &'b RedisBus,
    link: &'b Link,
    servers: &'b mut Servers,
    /// What has been sent and is not answered.
    sent: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// What servers have not taken because they do not have its channel, in the order in which it is to be sent to others.
    again: Vec<Publish>,
    refusals: Refusals,
    /// In a Redis Cluster, the other servers have to be asked as well for the number of subscribers, unless channels are sharded.
    census: Option<Census<'b>>,
}

/// Which server something was sent to, what it was, and what Redis says to it.
type Answered = (usize, Vec<Expected>, RedisResult<Vec<Value>>);

impl<'b> Connection<'b> {
    async fn new(bus: &'b RedisBus, link: &'b Link, servers: &'b mut Servers) -> RedisResult<Self> {
        let mut census = None;
        if !bus.dialect.verbs().is_sharded {
            let server = &servers.each[0];
            let asked = slots::ask(&mut server.redis(), "INFO").await;
            let cluster = asked.inspect_err(|_| server.ears.end(Over::Lost))?;
            census = cluster.map(|_| Census::new(&bus.endpoint));
        }
        Ok(Self {
            bus,
            link,
            servers,
            sent: FuturesUnordered::new(),
            again: Vec::new(),
            refusals: Refusals::new(link),
            census,
        })
    }

    /// Subscribes to all that is to be subscribed to. Where it is already, that changes nothing.
    async fn subscribe(&mut self) -> RedisResult<()> {
        let dialect = &*self.bus.dialect;
        for place in 0..self.servers.each.len() {
            if let Some(probe) = &self.servers.each[place].probe {
                let mut batch = Batch::default();
                let verb = dialect.verbs().subscribe;
                batch.subscribe_to(Subscription::new(verb, probe.clone(), None));
                self.send(place, batch);
            }
        }
        for subscription in self.link.subscriptions() {
            let namespace = &subscription.namespace;
            let mut batches = self.batches();
            // There may be a room for each socket.
            for room in &subscription.rooms {
                batches.enter(dialect, namespace, room);
                if batches.is_full() {
                    self.send_all(batches);
                    while !self.has_room()
                        && let Some(answered) = self.sent.next().await
                    {
                        self.answered(answered)?;
                    }
                    batches = self.batches();
                }
            }
            batches.subscribe(dialect, namespace, &subscription.uid);
            self.send_all(batches);
        }
        self.settle().await
    }

    /// Does the jobs until there are no more, or until a connection is lost.
    async fn serve(&mut self) -> RedisResult<()> {
        let alarm = Arc::clone(&self.servers.alarm);
        let mut probes = tokio::time::interval(PROBE_INTERVAL);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = alarm.notified() => self.servers.trouble().map_or(Ok(()), Err)?,
                Some(answered) = self.sent.next() => self.answered(answered)?,
                () = count(&mut self.census) => {}
                job = self.link.next(), if self.has_room() => {
                    let Some(job) = job else {
                        break;
                    };
                    let mut batches = Batches::new(&self.servers.routes, self.servers.each.len());
                    let home = &self.servers.each[0];
                    let mut next = Some(job);
                    while let Some(job) = next {
                        if !self.refusals.is_empty() {
                            let left = left(&*self.bus.dialect, &job);
                            self.refusals.forget(self.link, left);
                        }
                        let job = match &mut self.census {
                            Some(census) => ask(census, home, &*self.bus.dialect, job),
                            None => Some(job),
                        };
                        if let Some(job) = job {
                            batches.push(&*self.bus.dialect, self.link, job);
                        }
                        next = match batches.is_full() {
                            true => None,
                            false => self.link.try_next(),
                        };
                    }
                    self.send_all(batches);
                }
                _ = probes.tick() => {
                    self.probe();
                    self.try_again();
                }
            }
        }
        self.settle().await
    }

    /// Whether more may be sent.
    fn has_room(&self) -> bool {
        self.sent.len() < MAX_SENT && self.servers.have_room()
    }

    fn batches(&self) -> Batches<'_> {
        Batches::new(&self.servers.routes, self.servers.each.len())
    }

    fn send_all(&self, batches: Batches<'_>) {
        for (place, batch) in batches.into_each() {
            self.send(place, batch);
        }
    }

    fn send(&self, place: usize, batch: Batch) {
        let (expected, answers) = self.servers.each[place].send(batch);
        let sending = async move { (place, expected, answers.await) };
        self.sent.push(sending.boxed());
    }

    fn answered(&mut self, (place, expected, answers): Answered) -> RedisResult<()> {
        let ears = &self.servers.each[place].ears;
        if answers.is_err() {
            ears.end(Over::Lost);
        }
        let mut again = Vec::new();
        let outcome = finish(self.link, expected, answers, &mut again, &mut self.refusals);
        match ears.over() {
            None => self.again.append(&mut again),
            // It is not sure that it was this that the server has refused.
            Some(over) => again
                .iter()
                .for_each(|publish| self.link.failed(publish, &over.error())),
        }
        outcome
    }

    /// Waits for all answers.
    async fn settle(&mut self) -> RedisResult<()> {
        while let Some(answered) = self.sent.next().await {
            self.answered(answered)?;
        }
        Ok(())
    }

    /// Waits for what is on its way, and gives back what was not taken.
    async fn give_up(mut self) {
        while let Some(answered) = self.sent.next().await {
            // The first trouble is known, and no other one is different.
            let _ = self.answered(answered);
        }
        for publish in self.again.into_iter().rev() {
            self.link.put_back(Job::Publish(publish));
        }
    }

    /// Subscribes to what was refused.
    fn try_again(&self) {
        if self.refusals.is_empty() {
            return;
        }
        let mut batches = self.batches();
        for refused in self.refusals.again() {
            batches.subscribe_to(refused);
        }
        self.send_all(batches);
    }

    fn probe(&mut self) {
        let publish = self.bus.dialect.verbs().publish;
        for place in 0..self.servers.each.len() {
            let probe = self.servers.each[place].probe(publish, Expected::Nothing);
            if let Some(batch) = probe {
                self.send(place, batch);
            }
        }
    }
}

/// Goes on with what is being counted, if anything is.
async fn count(census: &mut Option<Census<'_>>) {
    match census {
        Some(census) => census.run().await,
        None => future::pending().await,
    }
}

/// Gives a question for all servers to the census. Gives back what is none.
fn ask(census: &mut Census<'_>, home: &Server, dialect: &dyn Dialect, job: Job) -> Option<Job> {
    match job {
        Job::CountNodes(count) => {
            let channel = dialect.counted_channel(&count.namespace);
            census.count(home.redis(), channel, count);
            None
        }
        Job::FindNodes(find) => {
            let nodes = find.nodes.iter();
            let channels = nodes.map(|node| dialect.own_channel(&find.namespace, node));
            census.find(home.redis(), channels.collect(), find);
            None
        }
        Job::Close(closing) => {
            census.forget(&dialect.counted_channel(&closing.namespace));
            Some(Job::Close(closing))
        }
        job => Some(job),
    }
}

/// The channels that are not wanted any more when a job is done.
fn left(dialect: &dyn Dialect, job: &Job) -> Vec<String> {
    match job {
        Job::Close(closing) => {
            let mut channels = dialect.channels(&closing.namespace, &closing.uid);
            channels.extend(dialect.pattern(&closing.namespace));
            channels
        }
        Job::Interest(interest) if !interest.gained => {
            let channel = dialect.room_channel(&interest.namespace, &interest.room);
            channel.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus")
            .field("endpoint", &self.endpoint)
            .field("dialect", &self.dialect)
            .finish()
    }
}
