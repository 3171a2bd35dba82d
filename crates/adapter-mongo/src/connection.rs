//! The connection to MongoDB: what is inserted, and what the change stream brings.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocument;
use mongodb::options::{ClientOptions, ConnectionString};
use parking_lot::Mutex;
use sockeye_cluster::{
    Asked, Attempts, Bus, BusProfile, Forget, IdScope, Job, Keep, Link, Patience, Publish,
};
use sockeye_cluster_proto::Message;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{error::Elapsed, timeout};

use crate::collection::{self, Forgets};
use crate::documents::{Head, document, message};
use crate::order::Order;
use crate::outbox::{Inserted, Letter, Outbox, Purpose, unkept};
use crate::sessions::{MAX_SEARCHES, Sessions, created, tombstone};
use crate::stream::{Change, Followed, Place, brought};

/// A bus on MongoDB.
pub(crate) struct MongoBus {
    pub(crate) url: ConnectionString,
    /// How long MongoDB may take to answer, and to bring what was inserted.
    pub(crate) patience: Duration,
    pub(crate) collection: String,
    pub(crate) forgets: Forgets,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("MongoDB: {0}")]
    Mongo(#[from] mongodb::error::Error),
    #[error("MongoDB does not answer")]
    Silent,
    #[error("MongoDB does not bring what is inserted")]
    Deaf,
}

impl From<Elapsed> for Failure {
    fn from(_: Elapsed) -> Self {
        Self::Silent
    }
}

/// How long the driver looks for a server, if the URL does not say. Its own default would leave it unsaid for half a minute
/// that there is none.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(2);

impl Bus for MongoBus {
    fn profile(&self) -> BusProfile {
        let mut profile = BusProfile::new("mongo");
        profile.scope = IdScope::Process;
        profile.log = true;
        profile
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            let mut attempts = Attempts::new(&link);
            let mut kept = Kept::default();
            loop {
                let outcome = async {
                    let (open, is_resumed) = Connection::open(&self, &link, &mut kept).await?;
                    match is_resumed {
                        true => attempts.resumed(),
                        false => attempts.connected(),
                    }
                    open.serve().await
                };
                match outcome.await {
                    Ok(()) => return,
                    Err(error) => attempts.failed(&error).await,
                }
                kept.outbox.lost(&link);
            }
        }
        .boxed()
    }
}

/// What outlives connections.
#[derive(Default)]
struct Kept {
    client: Option<Client>,
    /// How long MongoDB may take to answer.
    patience: Duration,
    outbox: Outbox,
    /// A job that waits until all that came before it is inserted.
    held: Option<Job>,
    place: Place,
    order: Arc<Mutex<Order>>,
    /// What is called by which tag when it comes back.
    tags: VecDeque<(ObjectId, u64)>,
}

/// An open connection; the driver has several to each server, and makes them again.
struct Connection<'b> {
    link: &'b Link,
    kept: &'b mut Kept,
    sessions: Arc<Sessions>,
    stream: Option<Followed>,
    /// What this server is called, once it has a namespace.
    own: Option<Box<str>>,
    inserting: Option<BoxFuture<'static, Result<Inserted, Failure>>>,
    searches: JoinSet<()>,
    /// How long the change stream may bring nothing while something is to come back.
    hearing: Arc<Patience>,
    awaited: Option<(ObjectId, Asked)>,
}

impl<'b> Connection<'b> {
    /// Connects, and follows the change stream if there are namespaces. Says whether that was possible from where it was left.
    async fn open(
        bus: &MongoBus,
        link: &'b Link,
        kept: &'b mut Kept,
    ) -> Result<(Self, bool), Failure> {
        let client = match &kept.client {
            Some(client) => client.clone(),
            None => {
                let (client, selection) = bus.client().await?;
                kept.patience = bus.patience.saturating_add(selection);
                kept.client.insert(client).clone()
            }
        };
        let patience = kept.patience;
        let database = client.default_database();
        let database = database.unwrap_or_else(|| client.database("mydb"));
        let preparing = collection::prepare(&database, &bus.collection, bus.forgets);
        let sessions = Sessions {
            is_capped: timeout(patience, preparing).await??,
            events: collection::events(&database, &bus.collection),
            link: link.clone(),
            patience,
            order: Arc::clone(&kept.order),
            permits: Semaphore::new(MAX_SEARCHES),
            looking_back: tokio::sync::Mutex::default(),
        };
        let mut connection = Self {
            link,
            kept,
            sessions: Arc::new(sessions),
            stream: None,
            own: None,
            inserting: None,
            searches: JoinSet::new(),
            hearing: Patience::new(patience),
            awaited: None,
        };
        let namespaces = link.subscriptions();
        let mut is_resumed = false;
        if let Some(first) = namespaces.first() {
            is_resumed = connection.follow(first.uid.as_str()).await?;
        }
        if !is_resumed {
            for told in namespaces {
                link.opened(&told.namespace, None);
            }
        }
        Ok((connection, is_resumed))
    }

    /// Follows the change stream. Says whether from where it was left.
    async fn follow(&mut self, own: &str) -> Result<bool, Failure> {
        let is_resumed = self.kept.place.is_known();
        if !is_resumed {
            // What was before is not known to be what is before that which comes.
            self.kept.order.lock().clear();
            self.kept.tags.clear();
        }
        let opening = Followed::open(&self.sessions.events, own, &self.kept.place);
        let stream = timeout(self.kept.patience, opening).await?;
        let (stream, place) = stream.inspect_err(|error| self.kept.place.failed(error))?;
        self.kept.place = place;
        self.stream = Some(stream);
        self.own = Some(own.into());
        Ok(is_resumed)
    }

    /// Does the jobs until there are no more, or until the connection is lost.
    async fn serve(mut self) -> Result<(), Failure> {
        let hearing = Arc::clone(&self.hearing);
        loop {
            if self.inserting.is_none() {
                if !self.kept.outbox.is_empty() {
                    self.insert();
                } else if let Some(job) = self.kept.held.take() {
                    self.obey(job).await?;
                    continue;
                }
            }
            tokio::select! {
                change = next(&mut self.stream) => self.changed(change)?,
                inserted = done(&mut self.inserting) => {
                    self.inserting = None;
                    self.kept.outbox.inserted(inserted?, self.link);
                }
                job = self.link.next(), if self.inserting.is_none() => {
                    let Some(job) = job else {
                        return Ok(());
                    };
                    self.take(job);
                }
                Some(_) = self.searches.join_next() => {}
                () = hearing.end() => return Err(Failure::Deaf),
            }
        }
    }

    fn changed(&mut self, change: Result<Change, mongodb::error::Error>) -> Result<(), Failure> {
        let Change { event, place, .. } =
            change.inspect_err(|error| self.kept.place.failed(error))?;
        if let Some(document) = event.as_deref().and_then(brought) {
            self.receive(document);
        }
        self.kept.place = place;
        Ok(())
    }

    fn receive(&mut self, document: &RawDocument) {
        let link = self.link;
        let Some(Head { id, namespace, uid }) = Head::of(document) else {
            return link.undecodable(&NoMessage);
        };
        // What is awaited may be behind much else.
        self.hearing.heard();
        if matches!(&self.awaited, Some((awaited, _)) if id == Some(*awaited)) {
            self.awaited = None;
        }
        // Other servers may have namespaces that this one has not.
        if !link.has_namespace(namespace) {
            return;
        }
        let envelope = match message(document, link.limits()) {
            Ok(envelope) => envelope,
            Err(error) => return link.undecodable(&error),
        };
        match id {
            Some(id) if has_place(&envelope.message) => {
                self.kept.order.lock().push(namespace, id);
                let tag = (self.own.as_deref() == Some(uid)).then(|| self.kept.tag(id));
                link.receive_logged(namespace, envelope, &id.to_hex(), tag.flatten());
            }
            _ => link.receive(namespace, envelope),
        }
    }

    /// Takes a job, and those that can be done together with it.
    fn take(&mut self, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next {
            match job {
                Job::Publish(publish) => self.publish(publish),
                Job::Keep(keep) => self.keep(keep),
                Job::Forget(forget) if self.sessions.is_capped => self.bury(&forget),
                job => {
                    self.kept.held = Some(job);
                    return;
                }
            }
            next = match self.kept.outbox.has_room() {
                true => self.link.try_next(),
                false => None,
            };
        }
    }

    fn publish(&mut self, publish: Publish) {
        let id = ObjectId::new();
        let from = (&publish.uid, &*publish.namespace);
        let created = created(self.sessions.is_capped);
        let document = match document(id, from, &publish.message, created.as_slice()) {
            Ok(document) => Arc::new(document),
            Err(error) => return self.link.failed(&publish, &error),
        };
        if let Some(tag) = publish.tag {
            self.kept.tags.push_back((id, tag));
        }
        let purpose = Purpose::Publish(publish);
        self.kept.outbox.push(Letter {
            id,
            document,
            purpose,
        });
    }

    fn keep(&mut self, keep: Keep) {
        let id = ObjectId::new();
        let from = (&keep.uid, &*keep.namespace);
        let document = self.sessions.session(id, from, &keep.socket, keep.time);
        match document {
            Ok(document) => self.kept.outbox.push(Letter {
                id,
                document: Arc::new(document),
                purpose: Purpose::Keep(keep),
            }),
            Err(error) => unkept(&error),
        }
    }

    /// Nothing is taken out of a capped collection.
    fn bury(&mut self, forget: &Forget) {
        let id = ObjectId::new();
        let from = (&forget.uid, &*forget.namespace);
        match tombstone(id, from, &forget.pid) {
            Ok(document) => self.kept.outbox.push(Letter {
                id,
                document: Arc::new(document),
                purpose: Purpose::Forget,
            }),
            Err(error) => unkept(&error),
        }
    }

    fn insert(&mut self) {
        let (kept, sessions) = (&self.kept, &self.sessions);
        let bytes = kept.outbox.bytes();
        if self.stream.is_some() && self.awaited.is_none() {
            let awaited = kept.outbox.comes_back();
            self.awaited = awaited.map(|id| (id, self.hearing.ask(bytes)));
        }
        let inserting = kept.outbox.insert(&sessions.events, sessions.is_capped);
        let patience = Patience::new(kept.patience);
        let asked = patience.ask(bytes);
        let inserting = async move {
            let _asked = asked;
            tokio::select! {
                inserted = inserting => Ok(inserted?),
                () = patience.end() => Err(Failure::Silent),
            }
        };
        self.inserting = Some(inserting.boxed());
    }

    /// Does what is to be done when all before it is inserted.
    async fn obey(&mut self, job: Job) -> Result<(), Failure> {
        match job {
            Job::Open(opening) => {
                if self.stream.is_none() {
                    self.follow(opening.uid.as_str()).await?;
                }
                self.link.opened(&opening.namespace, None);
            }
            Job::Close(closing) => {
                self.kept.order.lock().forget(&closing.namespace);
                closing.done();
            }
            Job::Forget(forget) => {
                let sessions = Arc::clone(&self.sessions);
                self.searches.spawn(sessions.forget(forget));
            }
            Job::Restore(restore) => {
                let sessions = Arc::clone(&self.sessions);
                self.searches.spawn(sessions.restore(restore));
            }
            // It is.
            Job::Settle(_) => {}
            // These are taken together, and the profile asks for none of the others.
            Job::Publish(_)
            | Job::Keep(_)
            | Job::Interest(_)
            | Job::CountNodes(_)
            | Job::FindNodes(_) => {}
        }
        Ok(())
    }
}

impl MongoBus {
    /// Gives as well how long the driver looks for a server.
    async fn client(&self) -> Result<(Client, Duration), Failure> {
        let parsing = ClientOptions::parse(self.url.clone());
        let mut options = timeout(self.patience, parsing).await??;
        let selection = &mut options.server_selection_timeout;
        let selection = *selection.get_or_insert(SELECTION_TIMEOUT);
        options.app_name.get_or_insert_with(|| "sockeye".to_owned());
        Ok((Client::with_options(options)?, selection))
    }
}

impl Kept {
    /// What this server has called one of its own that has come back. Those before it are not coming any more.
    fn tag(&mut self, id: ObjectId) -> Option<u64> {
        let at = self.tags.iter().position(|(known, _)| *known == id)?;
        self.tags.drain(..=at).next_back().map(|(_, tag)| tag)
    }
}

/// Whether a message has a place in the order of all, to which sockets may come back.
const fn has_place(message: &Message) -> bool {
    matches!(
        message,
        Message::Hello | Message::Broadcast { request: None, .. }
    )
}

/// The next change, if there is a stream.
async fn next(stream: &mut Option<Followed>) -> Result<Change, mongodb::error::Error> {
    match stream {
        Some(stream) => stream.next().await,
        None => pending().await,
    }
}

/// What has become of what is being inserted.
async fn done(
    inserting: &mut Option<BoxFuture<'static, Result<Inserted, Failure>>>,
) -> Result<Inserted, Failure> {
    match inserting {
        Some(inserting) => inserting.await,
        None => pending().await,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a document of the collection is no message")]
struct NoMessage;

/// Without what is secret.
impl fmt::Debug for MongoBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoBus")
            .field("collection", &self.collection)
            .field("forgets", &self.forgets)
            .finish_non_exhaustive()
    }
}
