//! The connection to Postgres: one for both directions, made again when it is lost.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sockeye_cluster::{Attempts, Bus, BusProfile, Job, Link, NodeIds, Patience, Publish, Settling};
use sockeye_cluster_proto::postgres::{self, Notification, Written};
use sockeye_cluster_proto::{EncodeError, NodeId, cluster};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::Client;

use crate::channel::{channel, quoted};
use crate::failure::Failure;
use crate::inbox::{Heard, Inbox};
use crate::statements::{CLEANED_AT_ONCE, Statements};
use crate::url::Target;

/// A bus on Postgres.
pub(crate) struct PostgresBus {
    pub(crate) target: Target,
    pub(crate) prefix: String,
    pub(crate) table: String,
    pub(crate) max_notification: usize,
    pub(crate) cleanup_interval: Duration,
    pub(crate) answer_timeout: Duration,
}

impl Bus for PostgresBus {
    fn profile(&self) -> BusProfile {
        BusProfile::new("postgres")
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            let mut attempts = Attempts::new(&link);
            loop {
                let outcome = async {
                    let limit = self.answer_timeout;
                    let patience = Patience::new(limit);
                    let (client, inbox) = self.target.connect(limit, &patience).await?;
                    let work = async {
                        let open = Session::open(&self, &link, &patience, client, inbox).await?;
                        attempts.connected();
                        open.serve().await
                    };
                    tokio::select! {
                        outcome = work => outcome,
                        () = patience.end() => Err(Failure::Silent),
                    }
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

/// How often it is tried whether what is published comes back.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How many messages may be on their way to Postgres. More of them do not make it faster; they only are lost if the
/// connection is.
const MAX_SENT: usize = 64;

/// The same for their bytes, so that what is asked for next gets there soon.
const MAX_UNANSWERED: usize = 256 * 1024;

/// An open connection.
struct Session<'b> {
    bus: &'b PostgresBus,
    link: &'b Link,
    patience: &'b Arc<Patience>,
    client: Arc<Client>,
    statements: Statements,
    inbox: Inbox,
    /// What has been sent and is not answered. Each is sent when it is looked at for the first time, and these are looked at
    /// in the order in which they were added.
    sent: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// Somebody waits until all of that is answered. Nothing is sent meanwhile.
    settling: Option<Settling>,
    /// The namespaces by their channels.
    namespaces: HashMap<String, (Arc<str>, NodeId)>,
    /// A channel that nobody else has, to try whether anything can be heard.
    probe: String,
}

/// What was published, unless it was to try whether anything can be heard, and what Postgres says to it.
type Answered = (Option<Publish>, Result<(), tokio_postgres::Error>);

impl<'b> Session<'b> {
    /// Listens to all that is to be listened to.
    async fn open(
        bus: &'b PostgresBus,
        link: &'b Link,
        patience: &'b Arc<Patience>,
        client: Client,
        inbox: Inbox,
    ) -> Result<Self, Failure> {
        let _asked = patience.ask(0);
        let statements = Statements::prepare(&client, &bus.table, bus.answer_timeout).await?;
        let name = NodeIds::Hex.random().unwrap_or_default();
        let mut session = Self {
            bus,
            link,
            patience,
            client: Arc::new(client),
            statements,
            inbox,
            sent: FuturesUnordered::new(),
            settling: None,
            namespaces: HashMap::new(),
            probe: format!("sockeye-probe-{name}"),
        };
        listen(&session.client, &session.probe).await?;
        for told in link.subscriptions() {
            session.open_namespace(told.namespace, told.uid).await?;
        }
        Ok(session)
    }

    /// Does the jobs until there are no more, or until the connection is lost.
    async fn serve(mut self) -> Result<(), Failure> {
        let mut probes = interval(PROBE_INTERVAL.min(self.bus.answer_timeout));
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cleaning = interval(self.bus.cleanup_interval);
        cleaning.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Whether anything was heard since it was last tried whether anything can be, and how that went.
        let (mut has_heard, mut probe) = (false, Probe::None);
        loop {
            if self.sent.is_empty() {
                self.settling = None;
            }
            tokio::select! {
                heard = self.inbox.next() => match heard {
                    Heard::Notification(notification) => {
                        has_heard = true;
                        self.receive(notification).await?;
                    }
                    Heard::Gap => self.link.gap(None),
                    Heard::End(Some(error)) => return Err(error.into()),
                    Heard::End(None) => return Err(Failure::Closed),
                },
                Some(answered) = self.sent.next() => {
                    if answered.0.is_none() {
                        probe = Probe::Published;
                    }
                    self.answered(answered)?;
                }
                job = self.link.next(), if self.has_room() => {
                    let Some(job) = job else {
                        break;
                    };
                    self.obey(job).await?;
                }
                _ = probes.tick() => match (std::mem::take(&mut has_heard), &probe) {
                    (true, _) => probe = Probe::None,
                    // This server may be the one that is slow.
                    (false, Probe::Published) => probe = Probe::Missed,
                    (false, Probe::Missed) => return Err(Failure::Deaf),
                    // It may be on its way behind much else.
                    (false, Probe::Sent) => {}
                    (false, Probe::None) => {
                        probe = Probe::Sent;
                        self.send(None, Said::probe(&self.probe));
                    }
                },
                _ = cleaning.tick() => self.spawn_cleaning(),
            }
        }
        self.settle().await?;
        let Self {
            client, mut inbox, ..
        } = self;
        // So that Postgres hears that it was meant.
        drop(client);
        let _ = timeout(self.bus.answer_timeout, inbox.end()).await;
        Ok(())
    }

    /// Whether more may be sent.
    fn has_room(&self) -> bool {
        let is_settling = self.settling.is_some();
        !is_settling && self.sent.len() < MAX_SENT && self.patience.bytes() < MAX_UNANSWERED
    }

    async fn receive(&mut self, notification: tokio_postgres::Notification) -> Result<(), Failure> {
        let channel = notification.channel();
        let Some((namespace, uid)) = self.namespaces.get(channel).cloned() else {
            return Ok(());
        };
        let payload = Bytes::copy_from_slice(notification.payload().as_bytes());
        let limits = self.link.limits();
        let envelope = match postgres::decode(&payload, limits) {
            Ok(Notification::Message(envelope)) => Ok(envelope),
            // What this server has sent itself comes back as well.
            Ok(Notification::Attached { from, .. }) if from == uid => return Ok(()),
            Ok(Notification::Attached { id, .. }) => {
                let row = match self.fetch(id).await {
                    Ok(row) => row.ok_or_else(|| Gone { id }.to_string()),
                    Err(error) if self.client.is_closed() => return Err(error.into()),
                    Err(error) => Err(Failure::from(error).to_string()),
                };
                match row {
                    Ok(row) => cluster::decode(&row, limits),
                    Err(reason) => {
                        tracing::warn!(%namespace, reason, "a large message cannot be fetched");
                        self.link.gap(Some(&namespace));
                        return Ok(());
                    }
                }
            }
            Err(error) => Err(error),
        };
        match envelope {
            Ok(envelope) => self.link.receive(&namespace, envelope),
            Err(error) => self.link.undecodable(&error),
        }
        Ok(())
    }

    /// What a row holds. Those behind wait, as they were sent later.
    async fn fetch(&mut self, id: u64) -> Result<Option<Bytes>, tokio_postgres::Error> {
        let Ok(id) = i64::try_from(id) else {
            return Ok(None);
        };
        let _asked = self.patience.ask(0);
        let row = self
            .client
            .query_opt(&self.statements.fetch, &[&id])
            .await?;
        let payload = row.map(|row| row.try_get::<_, Option<Vec<u8>>>(0));
        Ok(payload.transpose()?.flatten().map(Bytes::from))
    }

    async fn obey(&mut self, job: Job) -> Result<(), Failure> {
        match job {
            Job::Open(opening) => {
                self.open_namespace(opening.namespace, opening.uid).await?;
            }
            Job::Close(closing) => {
                // So that the others hear that this server goes.
                self.settle().await?;
                if let Some(channel) = channel(&self.bus.prefix, &closing.namespace) {
                    self.namespaces.remove(&channel);
                    let forget = format!("UNLISTEN {}", quoted(&channel));
                    let _asked = self.patience.ask(0);
                    self.client.batch_execute(&forget).await?;
                }
                closing.done();
            }
            Job::Publish(publish) => self.publish(publish),
            Job::Settle(settling) => self.settling = Some(settling),
            // The profile asks for none of these.
            Job::Interest(_)
            | Job::CountNodes(_)
            | Job::FindNodes(_)
            | Job::Keep(_)
            | Job::Forget(_)
            | Job::Restore(_) => {}
        }
        Ok(())
    }

    async fn open_namespace(&mut self, namespace: Arc<str>, uid: NodeId) -> Result<(), Failure> {
        match channel(&self.bus.prefix, &namespace) {
            Some(channel) => {
                let _asked = self.patience.ask(0);
                listen(&self.client, &channel).await?;
                let namespace = Arc::clone(&namespace);
                self.namespaces.insert(channel, (namespace, uid));
            }
            None => tracing::warn!(
                %namespace,
                "Postgres has no channel of so long a name: the namespace is this server's alone"
            ),
        }
        self.link.opened(&namespace, None);
        Ok(())
    }

    fn publish(&self, publish: Publish) {
        match self.statement(&publish) {
            Ok(said) => self.send(Some(publish), said),
            Err(error) => self.link.failed(&publish, &error),
        }
    }

    fn send(&self, publish: Option<Publish>, said: Said) {
        let (client, statements) = (Arc::clone(&self.client), self.statements.clone());
        let asked = self.patience.ask(said.bytes());
        let sending = async move {
            let sent = match &said {
                Said::Notify { channel, payload } => {
                    client.query(&statements.notify, &[channel, payload]).await
                }
                Said::Attach {
                    row,
                    channel,
                    before,
                    after,
                } => {
                    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                        [row, channel, before, after];
                    client.query(&statements.attach, &values).await
                }
            };
            drop(asked);
            (publish, sent.map(|_| ()))
        };
        self.sent.push(sending.boxed());
    }

    fn statement(&self, publish: &Publish) -> Result<Said, Unsaid> {
        let Publish {
            namespace,
            uid,
            message,
            ..
        } = publish;
        let channel = channel(&self.bus.prefix, namespace).ok_or(Unsaid::Name)?;
        let max = self.bus.max_notification;
        match postgres::encode(uid, namespace, message, max)? {
            Written::Notification(payload) => Ok(Said::Notify {
                channel,
                payload: text(payload),
            }),
            Written::Row(row) => {
                let announced = text(postgres::announce(uid, namespace, message, NO_ROW)?);
                // The first in it: who has sent it stands before, and is of our making.
                let (before, after) = announced
                    .split_once(&NO_ROW.to_string())
                    .ok_or(Unsaid::Name)?;
                Ok(Said::Attach {
                    row,
                    channel,
                    before: before.to_owned(),
                    after: after.to_owned(),
                })
            }
        }
    }

    fn answered(&self, (publish, outcome): Answered) -> Result<(), Failure> {
        match (publish, outcome) {
            (Some(publish), Ok(())) => self.link.published(&publish),
            (None, Ok(())) => {}
            (publish, Err(error)) => {
                // Postgres may have it; to publish it twice would be worse.
                if let Some(publish) = publish {
                    self.link.failed(&publish, &error);
                }
                if self.client.is_closed() {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Waits for all answers.
    async fn settle(&mut self) -> Result<(), Failure> {
        while let Some(answered) = self.sent.next().await {
            self.answered(answered)?;
        }
        Ok(())
    }

    /// Deletes old rows, few at a time: nothing is heard meanwhile.
    fn spawn_cleaning(&self) {
        let (client, clean) = (Arc::clone(&self.client), self.statements.clean.clone());
        let seconds = self.bus.cleanup_interval.as_secs_f64();
        let patience = Arc::clone(self.patience);
        tokio::spawn(async move {
            loop {
                let asked = patience.ask(0);
                let cleaned = client.execute(&clean, &[&seconds]).await;
                drop(asked);
                match cleaned {
                    Ok(CLEANED_AT_ONCE..) => {}
                    Ok(_) => return,
                    Err(error) => {
                        return tracing::debug!(%error, "cannot delete old messages from the table");
                    }
                }
            }
        });
    }
}

async fn listen(client: &Client, channel: &str) -> Result<(), tokio_postgres::Error> {
    let listen = format!("LISTEN {}", quoted(channel));
    client.batch_execute(&listen).await
}

/// What has become of the last attempt to hear something.
enum Probe {
    None,
    /// It is on its way.
    Sent,
    /// It was published, and so has to come.
    Published,
    /// It should have come.
    Missed,
}

/// What is said of one message.
enum Said {
    Notify {
        channel: String,
        payload: String,
    },
    Attach {
        row: Vec<u8>,
        channel: String,
        /// The notification is this, the row's id, and that.
        before: String,
        after: String,
    },
}

impl Said {
    /// What is to come back, as a network in between may have forgotten the connection.
    fn probe(channel: &str) -> Self {
        Self::Notify {
            channel: channel.to_owned(),
            payload: String::new(),
        }
    }

    /// About how many it takes to say it.
    const fn bytes(&self) -> usize {
        match self {
            Self::Notify { payload, .. } => payload.len(),
            Self::Attach { row, .. } => row.len(),
        }
    }
}

/// Stands for a row that is not there yet.
const NO_ROW: u64 = u64::MAX;

/// Why a message cannot be sent.
#[derive(Debug, Error)]
enum Unsaid {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("Postgres has no channel of so long a name")]
    Name,
}

/// Of JSON that was made here.
fn text(payload: Vec<u8>) -> String {
    String::from_utf8(payload).unwrap_or_default()
}

#[derive(Debug, Error)]
#[error("the row {id} of a message is gone")]
struct Gone {
    id: u64,
}

impl fmt::Debug for PostgresBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBus")
            .field("prefix", &self.prefix)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
