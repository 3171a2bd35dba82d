//! The connection to NATS, and what is said over it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_cluster::{
    Asked, Attempts, Bus, BusProfile, Closing, Job, Link, Opening, Patience, Publish, Settling,
};
use sockeye_cluster_proto::NodeId;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval};

use crate::dialect::Dialect;
use crate::protocol::{self, Info, Said};
use crate::reach::{Failure, READ, Wire};
use crate::servers::Servers;
use crate::subjects;
use crate::url::Target;

/// A bus on NATS.
pub(crate) struct NatsBus {
    pub(crate) target: Target,
    pub(crate) dialect: Dialect,
    pub(crate) prefix: String,
    pub(crate) answer_timeout: Duration,
}

impl Bus for NatsBus {
    fn profile(&self) -> BusProfile {
        self.dialect.profile()
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            let mut attempts = Attempts::new(&link);
            let mut servers = Servers::new(&self.target);
            loop {
                let outcome = async {
                    let wire = servers.connect(self.answer_timeout).await?;
                    let connection = Connection::new(&self, &link, &mut servers);
                    connection.serve(wire, &mut attempts).await
                };
                match outcome.await {
                    Ok(()) => return,
                    Err(error) => attempts.failed(&error).await,
                }
            }
        }
        .boxed()
    }
}

/// How often NATS is asked for something when there is nothing to be said.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How many bytes may be unanswered before no more are sent, so that little is lost with a connection.
const MAX_UNANSWERED: usize = 256 * 1024;

/// An open connection.
///
/// NATS does not say of each message that it has it. It answers a ping when it has done all that came before, so all that was
/// said between two pings is answered at once.
struct Connection<'b> {
    bus: &'b NatsBus,
    link: &'b Link,
    servers: &'b mut Servers,
    patience: Arc<Patience>,
    phase: Phase,
    output: BytesMut,
    /// What was said since the last ping.
    batch: Batch,
    /// What is not answered, by pings.
    pinged: VecDeque<Batch>,
    max_payload: usize,
    namespaces: HashMap<Arc<str>, Subscribed>,
    /// The namespaces of subscriptions.
    sids: HashMap<u64, Arc<str>>,
    last_sid: u64,
    /// Rooms that are to be subscribed to before anything else is done.
    missing: VecDeque<(Arc<str>, Arc<str>)>,
    /// What NATS has refused last.
    refused: Option<String>,
    /// The subscriptions among that, by their numbers. As long as there are any, this server does not hear all that it should.
    deaf: HashMap<u64, Refusal>,
}

/// A subscription that NATS does not allow.
struct Refusal {
    subject: String,
    /// It is asked for again, and no answer says that it is refused again.
    is_asked_again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not all is subscribed to that has to be.
    Beginning,
    /// All is asked for.
    Confirming,
    /// Jobs are done.
    Open,
    /// The server is about to leave, and there are others: what is unanswered is waited for.
    Leaving,
    /// There are no more jobs.
    Ending,
}

/// The subscriptions of a namespace.
#[derive(Default)]
struct Subscribed {
    own: Vec<u64>,
    rooms: HashMap<Arc<str>, u64>,
}

/// What one ping is the answer to.
#[derive(Default)]
struct Batch {
    /// With their subjects.
    published: Vec<(Publish, String)>,
    /// What was subscribed to, with its numbers.
    subscribed: VecDeque<(String, u64)>,
    waiting: Vec<Waiting>,
    asked: Vec<Asked>,
    bytes: usize,
}

/// Who waits for an answer.
enum Waiting {
    /// All that was subscribed to before this connection.
    All,
    Opening(Arc<str>),
    Closing(Closing),
    Settling(#[expect(dead_code, reason = "dropped, it tells")] Settling),
    /// What was refused, and was asked for again.
    Refused,
}

impl<'b> Connection<'b> {
    fn new(bus: &'b NatsBus, link: &'b Link, servers: &'b mut Servers) -> Self {
        Self {
            bus,
            link,
            servers,
            patience: Patience::new(bus.answer_timeout),
            phase: Phase::Beginning,
            output: BytesMut::new(),
            batch: Batch::default(),
            pinged: VecDeque::new(),
            max_payload: 0,
            namespaces: HashMap::new(),
            sids: HashMap::new(),
            last_sid: 0,
            missing: VecDeque::new(),
            refused: None,
            deaf: HashMap::new(),
        }
    }

    /// Subscribes to all that is to be subscribed to, and does the jobs until there are no more, or until the connection is
    /// lost.
    async fn serve(mut self, wire: Wire, attempts: &mut Attempts<'_>) -> Result<(), Failure> {
        let Wire {
            stream,
            mut input,
            info,
        } = wire;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (link, patience) = (self.link, Arc::clone(&self.patience));
        let mut silence = pin!(patience.end());
        let mut probes = interval(PROBE_INTERVAL.min(self.bus.answer_timeout));
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_flushed = true;
        self.learn(&info);
        link.allowed();
        self.begin();
        self.hear_all(&mut input, attempts)?;
        loop {
            self.subscribe_missing();
            while self.takes_jobs()
                && let Some(job) = link.try_next()
            {
                self.obey(job);
            }
            self.ping_if_due();
            match self.phase {
                Phase::Leaving if self.is_answered() => return Err(Failure::Leaving),
                Phase::Ending if self.is_answered() => return Ok(()),
                _ => {}
            }
            is_flushed &= self.output.is_empty();
            input.reserve(READ);
            tokio::select! {
                read = reader.read_buf(&mut input) => {
                    if read? == 0 {
                        return Err(self.refused.map_or(Failure::Closed, Failure::Refused));
                    }
                    patience.heard();
                    self.hear_all(&mut input, attempts)?;
                }
                written = write(&mut writer, &mut self.output), if !is_flushed => {
                    written?;
                    is_flushed = true;
                }
                job = link.next(), if self.takes_jobs() => match job {
                    Some(job) => self.obey(job),
                    None => self.phase = Phase::Ending,
                },
                () = &mut silence => return Err(Failure::Silent),
                _ = probes.tick() => {
                    if self.is_answered() {
                        self.subscribe_again();
                        self.ping();
                    }
                }
            }
        }
    }

    /// Whether nothing is on its way.
    fn is_answered(&self) -> bool {
        self.batch.is_empty() && self.pinged.is_empty()
    }

    fn has_room(&self) -> bool {
        self.patience.bytes() < MAX_UNANSWERED
    }

    fn takes_jobs(&self) -> bool {
        self.phase == Phase::Open && self.has_room()
    }

    fn begin(&mut self) {
        for told in self.link.subscriptions() {
            self.subscribe_namespace(&told.namespace, &told.uid);
            let rooms = told.rooms.into_iter();
            let rooms = rooms.map(|room| (Arc::clone(&told.namespace), room));
            self.missing.extend(rooms);
        }
    }

    /// There may be a room for each socket, so this is done piece by piece.
    fn subscribe_missing(&mut self) {
        while self.has_room()
            && let Some((namespace, room)) = self.missing.pop_front()
        {
            self.subscribe_room(&namespace, room);
        }
        if self.phase == Phase::Beginning && self.missing.is_empty() {
            self.phase = Phase::Confirming;
            self.batch.waiting.push(Waiting::All);
        }
    }

    fn hear_all(
        &mut self,
        input: &mut BytesMut,
        attempts: &mut Attempts<'_>,
    ) -> Result<(), Failure> {
        while let Some(said) = protocol::take(input)? {
            match said {
                Said::Message { sid, payload } => {
                    // What is not subscribed to any more may have been on its way.
                    if let Some(namespace) = self.sids.get(&sid) {
                        match self.bus.dialect.decode(&payload, self.link.limits()) {
                            Ok(envelope) => self.link.receive(namespace, envelope),
                            Err(error) => self.link.undecodable(&error),
                        }
                    }
                }
                Said::Ping => protocol::pong(&mut self.output),
                Said::Pong => self.answered(attempts),
                Said::Info(info) => self.learn(&info),
                Said::Error(reason) => self.refused(reason),
                Said::Ok => {}
            }
        }
        Ok(())
    }

    /// All is done that was said before a ping.
    fn answered(&mut self, attempts: &mut Attempts<'_>) {
        let Some(batch) = self.pinged.pop_front() else {
            return;
        };
        for (publish, _) in batch.published {
            self.link.published(&publish);
        }
        for waiting in batch.waiting {
            match waiting {
                Waiting::All => {
                    for told in self.link.subscriptions() {
                        self.link.opened(&told.namespace, None);
                    }
                    attempts.connected();
                    if self.phase == Phase::Confirming {
                        self.phase = Phase::Open;
                    }
                }
                Waiting::Opening(namespace) => self.link.opened(&namespace, None),
                Waiting::Closing(closing) => closing.done(),
                Waiting::Settling(_) => {}
                Waiting::Refused => {
                    let before = self.deaf.len();
                    self.deaf.retain(|_, refusal| !refusal.is_asked_again);
                    if self.deaf.len() < before {
                        self.link.gap(None);
                        self.hears_more();
                    }
                }
            }
        }
    }

    fn learn(&mut self, info: &Info) {
        self.max_payload = match info.max_payload {
            0 => DEFAULT_MAX_PAYLOAD,
            max => max,
        };
        self.servers.learn(&info.connect_urls);
        // Where there is no other, this one is of use for as long as it is there.
        if info.is_leaving && self.servers.has_others() {
            self.phase = Phase::Leaving;
        }
    }

    /// NATS does not do something; if it is more than a subject that is not allowed, it closes the connection.
    fn refused(&mut self, reason: String) {
        // All else is published, and heard.
        if let Some((_, rest)) = reason.split_once("iolation for Publish to ") {
            let subject = rest.trim_matches('"');
            let batches = self.pinged.iter_mut().chain([&mut self.batch]);
            let found = batches.into_iter().find_map(|batch| {
                let mut all = batch.published.iter();
                let place = all.position(|(_, known)| known == subject)?;
                Some(batch.published.remove(place).0)
            });
            if let Some(publish) = found {
                self.link.failed(&publish, &Forbidden);
            }
            return;
        }
        if !self.is_deaf_by(&reason) {
            self.link.degraded(&format!("NATS: {reason}"));
        }
        self.refused = Some(reason);
    }

    /// Whether something is not heard for this reason, which is remembered then. What NATS refuses it says before it answers the
    /// ping that comes behind.
    fn is_deaf_by(&mut self, reason: &str) -> bool {
        let Some((_, rest)) = reason.split_once("iolation for Subscription to ") else {
            return false;
        };
        let mut quoted = rest.split('"').skip(1).step_by(2);
        let subject = quoted.next();
        // Where what was allowed is not any more, NATS says which one it ends.
        if let Some((subject, sid)) = subject.zip(quoted.next().and_then(|sid| sid.parse().ok())) {
            self.is_deaf(subject.to_owned(), sid, reason);
            return true;
        }
        let batches = self.pinged.iter_mut().chain([&mut self.batch]);
        let found = batches.into_iter().find_map(|batch| {
            let mut all = batch.subscribed.iter();
            let place = all.position(|(known, _)| Some(&**known) == subject)?;
            batch.subscribed.remove(place)
        });
        let Some((subject, sid)) = found else {
            return false;
        };
        self.is_deaf(subject, sid, reason);
        true
    }

    fn is_deaf(&mut self, subject: String, sid: u64, reason: &str) {
        // What is not wanted any more may have been on its way.
        if self.sids.contains_key(&sid) {
            let refusal = Refusal {
                subject,
                is_asked_again: false,
            };
            self.deaf.insert(sid, refusal);
            self.link.refused(&format!("NATS: {reason}"));
        }
    }

    /// Asks again for what was refused: who may subscribe to what can be changed at any time.
    fn subscribe_again(&mut self) {
        let refused: Vec<_> = self
            .deaf
            .iter_mut()
            .take(AT_ONCE)
            .map(|(sid, refusal)| {
                refusal.is_asked_again = true;
                (refusal.subject.clone(), *sid)
            })
            .collect();
        if refused.is_empty() {
            return;
        }
        for (subject, sid) in refused {
            self.say_subscribe(subject, sid);
        }
        self.batch.waiting.push(Waiting::Refused);
    }

    fn hears_more(&self) {
        if self.deaf.is_empty() {
            self.link.allowed();
        }
    }

    fn obey(&mut self, job: Job) {
        match job {
            Job::Open(Opening { namespace, uid, .. }) => {
                self.subscribe_namespace(&namespace, &uid);
                self.batch.waiting.push(Waiting::Opening(namespace));
            }
            Job::Close(closing) => {
                if let Some(subscribed) = self.namespaces.remove(&closing.namespace) {
                    for sid in subscribed
                        .own
                        .into_iter()
                        .chain(subscribed.rooms.into_values())
                    {
                        self.unsubscribe(sid);
                    }
                }
                self.batch.waiting.push(Waiting::Closing(closing));
            }
            Job::Publish(publish) => self.publish(publish),
            Job::Interest(interest) if interest.gained => {
                self.subscribe_room(&interest.namespace, interest.room);
            }
            Job::Interest(interest) => {
                let subscribed = self.namespaces.get_mut(&interest.namespace);
                let sid = subscribed.and_then(|subscribed| subscribed.rooms.remove(&interest.room));
                if let Some(sid) = sid {
                    self.unsubscribe(sid);
                }
            }
            Job::Settle(settling) => self.batch.waiting.push(Waiting::Settling(settling)),
            // The profile asks for none of these.
            Job::CountNodes(_)
            | Job::FindNodes(_)
            | Job::Keep(_)
            | Job::Forget(_)
            | Job::Restore(_) => {}
        }
    }

    fn publish(&mut self, publish: Publish) {
        let mut payload = Vec::new();
        let Publish {
            namespace,
            uid,
            route,
            message,
            ..
        } = &publish;
        let NatsBus {
            dialect, prefix, ..
        } = self.bus;
        if let Err(error) = dialect.encode(&mut payload, uid, namespace, message) {
            return self.link.failed(&publish, &error);
        }
        if payload.len() > self.max_payload {
            let error = TooLarge {
                bytes: payload.len(),
                max: self.max_payload,
            };
            return self.link.failed(&publish, &error);
        }
        let subject = dialect.subject(prefix, namespace, route);
        if !subjects::is_valid(&subject) {
            return self.link.failed(&publish, &NoSubject);
        }
        self.say(subject.len() + payload.len(), |out| {
            protocol::publish(out, &subject, &payload);
        });
        self.batch.published.push((publish, subject));
    }

    fn subscribe_namespace(&mut self, namespace: &Arc<str>, uid: &NodeId) {
        let NatsBus {
            dialect, prefix, ..
        } = self.bus;
        let mut own = Vec::new();
        for subject in dialect.own_subjects(prefix, namespace, uid) {
            if subjects::is_valid(&subject) {
                own.push(self.subscribe(namespace, subject));
            } else {
                tracing::warn!(
                    %namespace,
                    "NATS has no subject of such a name: the namespace is this server's alone"
                );
            }
        }
        let rooms = HashMap::new();
        let subscribed = Subscribed { own, rooms };
        self.namespaces.insert(Arc::clone(namespace), subscribed);
    }

    fn subscribe_room(&mut self, namespace: &Arc<str>, room: Arc<str>) {
        let subject = subjects::room(&self.bus.prefix, namespace, &room);
        let Some(subject) = subject.filter(|subject| subjects::is_valid(subject)) else {
            return;
        };
        if !self.namespaces.contains_key(namespace) {
            return;
        }
        let sid = self.subscribe(namespace, subject);
        if let Some(subscribed) = self.namespaces.get_mut(namespace) {
            subscribed.rooms.insert(room, sid);
        }
    }

    fn subscribe(&mut self, namespace: &Arc<str>, subject: String) -> u64 {
        self.last_sid += 1;
        let sid = self.last_sid;
        self.sids.insert(sid, Arc::clone(namespace));
        self.say_subscribe(subject, sid);
        sid
    }

    fn say_subscribe(&mut self, subject: String, sid: u64) {
        self.say(subject.len(), |out| protocol::subscribe(out, &subject, sid));
        self.batch.subscribed.push_back((subject, sid));
    }

    fn unsubscribe(&mut self, sid: u64) {
        self.sids.remove(&sid);
        if self.deaf.remove(&sid).is_some() {
            self.hears_more();
        }
        self.say(0, |out| protocol::unsubscribe(out, sid));
    }

    /// Writes something of about so many bytes.
    fn say(&mut self, bytes: usize, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.output);
        let bytes = bytes + LINE;
        self.batch.bytes += bytes;
        self.batch.asked.push(self.patience.ask(bytes));
    }

    /// One ping at a time is enough, unless there is very much.
    fn ping_if_due(&mut self) {
        let is_much = self.batch.bytes >= MAX_UNANSWERED / 2;
        if !self.batch.is_empty() && (self.pinged.is_empty() || is_much) {
            self.ping();
        }
    }

    fn ping(&mut self) {
        self.say(0, protocol::ping);
        self.pinged.push_back(std::mem::take(&mut self.batch));
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.waiting.is_empty()
    }
}

/// Writes all of it. What is written is not there any more, if this is not waited for to its end.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut BytesMut) -> io::Result<()> {
    writer.write_all_buf(output).await?;
    writer.flush().await?;
    if output.capacity() > MAX_UNANSWERED {
        // Something very large is not to keep its place.
        *output = BytesMut::new();
    }
    Ok(())
}

/// How many subscriptions that were refused are asked for at once: there may be a room for each socket.
const AT_ONCE: usize = 1024;

/// What a server takes unless it is told otherwise.
const DEFAULT_MAX_PAYLOAD: usize = 1024 * 1024;

/// About what a line takes beside its names.
const LINE: usize = 16;

/// NATS does not let this server publish it.
#[derive(Debug, Error)]
#[error("the subject is not allowed")]
struct Forbidden;

#[derive(Debug, Error)]
#[error("NATS has no subject of such a name")]
struct NoSubject;

#[derive(Debug, Error)]
#[error("{bytes} bytes are more than the {max} that NATS takes")]
struct TooLarge {
    bytes: usize,
    max: usize,
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
