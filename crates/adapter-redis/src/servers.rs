//! The connections to Redis on which something is heard: one, or one to each primary of a Redis Cluster where channels are
//! sharded.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, RedisResult, Value};
use sockeye_cluster::NodeIds;
use sockeye_cluster_proto::NodeId;
use tokio::sync::Notify;

use crate::commands::Batch;
use crate::dialect::Dialect;
use crate::endpoint::{self, Endpoint};
use crate::slots::{Address, Routes};

/// All servers that are connected to, in the order that the routes have.
pub(crate) struct Servers {
    pub(crate) each: Vec<Server>,
    pub(crate) routes: Routes,
    /// Something is to be [found](Self::trouble).
    pub(crate) alarm: Arc<Notify>,
    receive: Receive,
    /// How often what one of them has said of the others was of no use.
    misled: usize,
}

/// One connection.
pub(crate) struct Server {
    redis: MultiplexedConnection,
    pub(crate) ears: Arc<Ears>,
    pub(crate) address: Option<Address>,
    /// The channel by which it is tried whether anything can be heard, if this server has one.
    pub(crate) probe: Option<String>,
    /// Something was sent that is to come back. It may be on its way behind much else.
    is_probing: bool,
}

/// Takes what was published on a channel.
pub(crate) type Receive = Arc<dyn Fn(&str, Bytes) + Send + Sync>;

impl Servers {
    pub(crate) fn new(receive: Receive) -> Self {
        Self {
            each: Vec::new(),
            routes: Routes::One,
            alarm: Arc::default(),
            receive,
            misled: 0,
        }
    }

    /// Connects to all that are to be connected to, and lets go of those that are not. What is fine stays, so that it goes on to
    /// be heard while another one is away.
    pub(crate) async fn reach(
        &mut self,
        endpoint: &Endpoint,
        dialect: &dyn Dialect,
    ) -> RedisResult<()> {
        self.each.retain(|server| server.ears.over().is_none());
        let connect = |address| Server::connect(endpoint, address, &self.receive, &self.alarm);
        if self.each.is_empty() {
            self.each.push(connect(None).await?);
        }
        let mut addresses = Vec::new();
        if dialect.verbs().is_sharded {
            let guide = &self.each[self.misled % self.each.len()];
            let asked = Routes::ask(&mut guide.redis()).await;
            (self.routes, addresses) = asked.inspect_err(|_| guide.ears.end(Over::Lost))?;
        }
        if addresses.is_empty() {
            self.each.truncate(1);
        } else {
            let mut missing = None;
            for address in &addresses {
                if self.place(address).is_none() {
                    match connect(Some(address.clone())).await {
                        Ok(server) => self.each.push(server),
                        Err(error) => missing = Some(error),
                    }
                }
            }
            if let Some(error) = missing {
                self.look_elsewhere(endpoint);
                return Err(error);
            }
            for (place, address) in addresses.iter().enumerate() {
                let found = self.place(address).expect("all are connected to");
                self.each.swap(place, found);
            }
            self.each.truncate(addresses.len());
        }
        for (place, server) in self.each.iter_mut().enumerate() {
            server.is_probing = false;
            let is_here = |channel: &String| self.routes.of(channel) == place;
            if !server.probe.as_ref().is_some_and(is_here) {
                server.choose_probe(|uid| dialect.own_channel(PROBED, uid), is_here);
            }
        }
        Ok(())
    }

    /// Asks another one for the routes the next time. A server of a Redis Cluster that is cut off from the others goes on to say
    /// what was true before, and to have none of the channels that it says are its own.
    pub(crate) fn look_elsewhere(&mut self, endpoint: &Endpoint) {
        self.misled += 1;
        if self.each.len() == 1 {
            self.each.clear();
            endpoint.look_elsewhere();
        }
    }

    fn place(&self, address: &Address) -> Option<usize> {
        self.each
            .iter()
            .position(|server| server.address.as_ref() == Some(address))
    }

    /// Whether each of them may be sent more.
    pub(crate) fn have_room(&self) -> bool {
        self.each.iter().all(Server::has_room)
    }

    /// What is the matter with one of them, if anything is.
    pub(crate) fn trouble(&self) -> Option<RedisError> {
        let over = self.each.iter().find_map(|server| server.ears.over());
        Some(over?.error())
    }
}

impl Server {
    /// Connects to the server of this address, or to one that the URL names.
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        address: Option<Address>,
        receive: &Receive,
        alarm: &Arc<Notify>,
    ) -> RedisResult<Self> {
        let ears = Arc::new(Ears {
            receive: Arc::clone(receive),
            has_heard: AtomicBool::new(false),
            has_probed: AtomicBool::new(false),
            unanswered: AtomicUsize::new(0),
            over: OnceLock::new(),
            alarm: Arc::clone(alarm),
            leaving: Mutex::default(),
        });
        let listening = Arc::clone(&ears);
        let config = endpoint::config().set_push_sender(move |push| {
            listening.hear(push);
            Ok::<_, fmt::Error>(())
        });
        let redis = endpoint.connect_at(address.as_ref(), &config).await?;
        Ok(Self {
            redis,
            ears,
            address,
            probe: None,
            is_probing: false,
        })
    }

    /// Gives it a channel that it has, and no other server of ours subscribes to.
    pub(crate) fn choose_probe(
        &mut self,
        channel: impl Fn(&NodeId) -> String,
        is_here: impl Fn(&String) -> bool,
    ) {
        // Without random bytes another one may hear it too, and so not notice that it does not hear its own.
        let name = NodeIds::Hex.random().unwrap_or_default();
        let channels =
            (0..MAX_TRIES).map(|number| channel(&NodeId::new(&format!("{name}-{number}"))));
        self.probe = { channels }.find(is_here);
    }

    /// The connection, for a question behind what is on its way already.
    pub(crate) fn redis(&self) -> MultiplexedConnection {
        let mut redis = self.redis.clone();
        let waiting = self.ears.unanswered.load(Ordering::Relaxed);
        redis.set_response_timeout(endpoint::patience(waiting));
        redis
    }

    /// Whether it may be sent more.
    pub(crate) fn has_room(&self) -> bool {
        self.ears.unanswered.load(Ordering::Relaxed) < MAX_UNANSWERED
    }

    /// Sends commands. The first time that it is looked at what is given they take their place behind those before.
    pub(crate) fn send<E>(
        &self,
        batch: Batch<E>,
    ) -> (
        Vec<E>,
        impl Future<Output = RedisResult<Vec<Value>>> + Send + use<E>,
    ) {
        let Batch {
            commands,
            expected,
            left,
            is_probe,
            bytes,
        } = batch;
        self.ears.leave(left);
        self.ears.unanswered.fetch_add(bytes, Ordering::Relaxed);
        let (mut redis, ears) = (self.redis(), Arc::clone(&self.ears));
        let count = expected.len();
        let answers = async move {
            let answers = redis.send_packed_commands(&commands, 0, count).await;
            ears.unanswered.fetch_sub(bytes, Ordering::Relaxed);
            ears.has_probed.fetch_or(is_probe, Ordering::Relaxed);
            answers
        };
        (expected, answers)
    }

    /// Gives something to be sent that is to come back where nothing was heard since this was called last, as Redis may have
    /// forgotten what this server has subscribed to, or a network in between may have done so. If it does not come back, the
    /// connection is over.
    pub(crate) fn probe<E>(&mut self, publish: &str, expected: E) -> Option<Batch<E>> {
        let has_heard = self.ears.has_heard.swap(false, Ordering::Relaxed);
        let has_probed = self.ears.has_probed.swap(false, Ordering::Relaxed);
        match (has_heard, self.is_probing) {
            (true, _) => self.is_probing = false,
            (false, true) if has_probed => self.ears.end(Over::Deaf),
            (false, true) => {}
            (false, false) => {
                let mut batch = Batch::default();
                batch.publish(publish, self.probe.as_ref()?, PROBE, expected);
                (batch.is_probe, self.is_probing) = (true, true);
                return Some(batch);
            }
        }
        None
    }
}

/// How many batches may be on their way. More of them do not make it faster; they only are in doubt if the connection is lost.
pub(crate) const MAX_SENT: usize = 8;

/// How many bytes may be unanswered before no more are sent, so that whatever is to be sent next gets there soon, and that
/// little is lost with a connection.
const MAX_UNANSWERED: usize = 256 * 1024;

/// How often it is [tried](Server::probe) whether anything can be heard.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// What stands for a namespace in the channel of a probe. None is called so, as it would begin with a slash.
pub(crate) const PROBED: &str = "sockeye-probe";

/// How many names are tried until one is of a channel that a server has. It is one of a few servers as a rule; none is found
/// if the prefix of all channels says which one has them.
const MAX_TRIES: u32 = 1024;

/// Hears what Redis says by itself, in the task that reads from the connection.
pub(crate) struct Ears {
    receive: Receive,
    has_heard: AtomicBool,
    /// The server has published a probe.
    has_probed: AtomicBool,
    /// Bytes that are on their way to the server, or have got there and are not answered.
    unanswered: AtomicUsize,
    over: OnceLock<Over>,
    alarm: Arc<Notify>,
    /// Channels that we have asked to hear no more, and how often.
    leaving: Mutex<HashMap<String, usize>>,
}

/// Why a connection is of no use any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    /// It is closed, or the server does not answer.
    Lost,
    /// It does not bring what is published.
    Deaf,
    /// The server does not have a channel any more that was subscribed to. It says so between the answers, and the client takes
    /// that for one of them: what comes after it are not the answers to what it seems.
    Moved,
}

impl Over {
    pub(crate) fn error(self) -> RedisError {
        let text = match self {
            Self::Lost => "the connection to Redis is lost",
            Self::Deaf => "Redis does not bring what is published",
            Self::Moved => "the Redis Cluster has moved channels",
        };
        std::io::Error::other(text).into()
    }
}

impl Ears {
    /// Why it is of no use any more, if it is not.
    pub(crate) fn over(&self) -> Option<Over> {
        self.over.get().copied()
    }

    /// Waits until one of those that share an alarm is of no use any more. Only one may wait, as the alarm wakes one.
    pub(crate) async fn any_ended(all: &[Arc<Self>]) -> Over {
        loop {
            if let Some(over) = all.iter().find_map(|ears| ears.over()) {
                return over;
            }
            match all.first() {
                Some(ears) => ears.alarm.notified().await,
                None => std::future::pending().await,
            }
        }
    }

    pub(crate) fn end(&self, why: Over) {
        // The first reason is the one that counts.
        let _ = self.over.set(why);
        self.alarm.notify_one();
    }

    /// These channels are about to be left.
    fn leave(&self, channels: Vec<String>) {
        let mut leaving = self.leaving.lock().expect(NO_PANIC);
        for channel in channels {
            *leaving.entry(channel).or_default() += 1;
        }
    }

    /// Whether we have asked for that.
    fn has_left(&self, channel: &str) -> bool {
        let mut leaving = self.leaving.lock().expect(NO_PANIC);
        let Some(times) = leaving.get_mut(channel) else {
            return false;
        };
        *times -= 1;
        if *times == 0 {
            leaving.remove(channel);
        }
        true
    }

    fn hear(&self, push: PushInfo) {
        let PushInfo { kind, mut data } = push;
        match kind {
            PushKind::Message | PushKind::PMessage | PushKind::SMessage => {
                self.has_heard.store(true, Ordering::Relaxed);
                let (payload, channel) = (data.pop(), data.pop());
                if let (Some(Value::BulkString(payload)), Some(Value::BulkString(channel))) =
                    (payload, channel)
                    && payload != PROBE
                    && let Ok(channel) = std::str::from_utf8(&channel)
                {
                    (self.receive)(channel, payload.into());
                }
            }
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = data.first()
                    && !self.has_left(&String::from_utf8_lossy(channel))
                {
                    self.end(Over::Moved);
                }
            }
            PushKind::Disconnection => self.end(Over::Lost),
            _ => {}
        }
    }
}

const PROBE: &[u8] = b"sockeye-probe";

const NO_PANIC: &str = "nothing panics while it is locked";
