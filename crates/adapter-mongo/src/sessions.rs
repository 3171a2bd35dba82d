//! Sockets that come back: what was kept of them, and what they have missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{CStr, RawDocumentBuf, cstr};
use mongodb::bson::{Bson, DateTime, Document, doc};
use parking_lot::Mutex;
use sockeye_adapter::KeptSocket;
use sockeye_cluster::{Between, Forget, Found, Link, Restore, session_of, socket_of};
use sockeye_cluster_proto::{Message, NodeId, Session, SessionMark};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::collection::Events;
use crate::documents::{DocumentError, document, message};
use crate::order::{MAX_IDS, Order, Span};
use crate::stream::{BROADCAST, SESSION, earlier};

/// What is known of a collection by whoever looks for something in it.
pub(crate) struct Sessions {
    pub(crate) events: Events,
    pub(crate) is_capped: bool,
    pub(crate) link: Link,
    /// How long MongoDB may take to answer.
    pub(crate) patience: Duration,
    pub(crate) order: Arc<Mutex<Order>>,
    /// How many may look at the same time.
    pub(crate) permits: Semaphore,
    /// Held by who looks further back than what is known of the order.
    pub(crate) looking_back: tokio::sync::Mutex<()>,
}

#[derive(Debug, Error)]
enum SearchError {
    #[error(transparent)]
    Mongo(#[from] mongodb::error::Error),
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// MongoDB has answered, and it cannot be.
    #[error("{0}")]
    Lost(&'static str),
}

/// A session, and the document that it was found in.
struct Saved {
    id: ObjectId,
    session: Session,
    left: Duration,
}

/// How many look at the same time; the driver has ten connections, of which it needs two for all else.
pub(crate) const MAX_SEARCHES: usize = 8;

/// How many events are read at once.
const BATCH: usize = 500;

/// How far the clocks of servers may be apart, in seconds, and how long a server may take to insert what it has given an id.
/// If they are further apart, a socket may not come back to a server that has just begun.
const SLACK: u32 = 30;

/// How long it may take to look further back.
const MAX_LOOK: Duration = Duration::from_secs(5);

const TOO_MUCH: &str = "too much was logged since";
const FORGOTTEN: &str = "the last event that it has got is not there any more";

/// How long one from Node may be kept still, which does not say so.
const UNKNOWN: Duration = Duration::from_secs(120);

impl Sessions {
    /// Answers the question for a socket.
    pub(crate) async fn restore(self: Arc<Self>, restore: Restore) {
        let Ok(_permit) = self.permits.acquire().await else {
            return;
        };
        if restore.is_over() {
            return;
        }
        let found = match self.in_time(self.find(&restore)).await {
            Ok(found) => Box::new(found),
            Err(error) => {
                let namespace = &*restore.namespace;
                tracing::debug!(%error, namespace, "a socket cannot come back from MongoDB");
                return;
            }
        };
        let (namespace, uid) = (Arc::clone(&restore.namespace), restore.uid.clone());
        // Nobody waits for it any more.
        if let Err(found) = restore.answer(found) {
            let keeping = self.keep((&uid, &namespace), &found.socket, found.left);
            if let Err(error) = self.in_time(keeping).await {
                tracing::debug!(%error, "a socket that has not come back in time is lost");
            }
        }
    }

    /// Takes a socket that does not come back out of a collection that is not capped.
    pub(crate) async fn forget(self: Arc<Self>, forget: Forget) {
        let kept = doc! { "type": SESSION, "data.pid": &*forget.pid };
        let deleting = async { Ok(self.events.delete_many(kept).await.map(drop)?) };
        if let Err(error) = self.in_time(deleting).await {
            tracing::debug!(%error, "a socket that is gone is kept until its time is over");
        }
    }

    async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, SearchError>>,
    ) -> Result<T, SearchError> {
        let answer = timeout(self.patience, asking).await;
        answer.unwrap_or(Err(SearchError::Lost("MongoDB does not answer")))
    }

    async fn find(&self, restore: &Restore) -> Result<Found, SearchError> {
        let ids = (
            ObjectId::parse_str(&restore.offset),
            ObjectId::parse_str(&restore.until),
        );
        let (Ok(from), Ok(to)) = ids else {
            return Err(SearchError::Lost("its offset is none of MongoDB"));
        };
        let saved = self.saved(restore).await?;
        let limits = self.link.limits();
        let session = saved.session.clone();
        let socket = socket_of(session, limits).map_err(DocumentError::from)?;
        let logged = match self.span(&restore.namespace, from, to).await? {
            Span::Ahead => Between::Ahead,
            Span::Ids(ids) => self.missed(restore, &socket, from, &ids).await?,
            Span::Before(_) | Span::Unknown => {
                return Err(SearchError::Lost("it is not known what it has missed"));
            }
        };
        self.take(restore, &saved).await?;
        Ok(Found {
            socket,
            logged,
            left: saved.left,
        })
    }

    /// The last that was saved under this private id, if it was not taken since.
    async fn saved(&self, restore: &Restore) -> Result<Saved, SearchError> {
        let mut last = None;
        let mut all = self.events.find(sessions(restore)).await?;
        while let Some(document) = all.try_next().await? {
            last = Some(document);
        }
        let Some(document) = last else {
            return Err(SearchError::Lost("it is not kept"));
        };
        let envelope = message(&document, self.link.limits())?;
        let (Ok(id), Message::Session(SessionMark::Kept(session))) =
            (document.get_object_id("_id"), envelope.message)
        else {
            return Err(SearchError::Lost("somebody else has it"));
        };
        let left = match document.get_datetime("until") {
            Ok(until) => until.to_system_time().duration_since(SystemTime::now()),
            Err(_) => Ok(UNKNOWN),
        };
        let left = left.map_err(|_| SearchError::Lost("it has been away for too long"))?;
        Ok(Saved { id, session, left })
    }

    /// Takes a session, which another server may do at the same time.
    async fn take(&self, restore: &Restore, saved: &Saved) -> Result<(), SearchError> {
        match self.is_first(restore, saved).await? {
            true => Ok(()),
            false => Err(SearchError::Lost("somebody else was quicker")),
        }
    }

    async fn is_first(&self, restore: &Restore, saved: &Saved) -> Result<bool, SearchError> {
        if !self.is_capped {
            let deleted = self.events.delete_one(doc! { "_id": saved.id }).await?;
            return Ok(deleted.deleted_count == 1);
        }
        // Nothing is taken out of a capped collection: a tombstone behind it says that it is gone.
        let own = ObjectId::new();
        let from = (&restore.uid, &*restore.namespace);
        let tombstone = tombstone(own, from, &restore.pid)?;
        self.events.insert_one(tombstone).await?;
        // The first one has it.
        let mut all = self.events.find(sessions(restore)).await?;
        while let Some(document) = all.try_next().await? {
            if document.get_object_id("_id").ok() == Some(saved.id) {
                let next = all.try_next().await?;
                return Ok(next.is_some_and(|next| next.get_object_id("_id").ok() == Some(own)));
            }
        }
        Ok(false)
    }

    /// What stands between two places. If the first is not known, it may be from before this server began, or be one that the
    /// change stream has not brought here yet.
    async fn span(
        &self,
        namespace: &Arc<str>,
        from: ObjectId,
        to: ObjectId,
    ) -> Result<Span, SearchError> {
        let span = self.order.lock().between(namespace, from, to);
        if !matches!(span, Span::Before(_)) {
            return Ok(span);
        }
        // What anybody can make up is not looked for any further.
        if !self.is_there(from).await? {
            return Err(SearchError::Lost(FORGOTTEN));
        }
        let _looking_back = self.looking_back.lock().await;
        let since = seconds(from).saturating_sub(SLACK);
        let first = {
            let order = self.order.lock();
            // It may have come, or somebody else may have looked, meanwhile.
            let first = match order.between(namespace, from, to) {
                Span::Before(first) => first,
                span => return Ok(span),
            };
            if since > seconds(first) || order.is_complete(namespace, since) {
                return Ok(Span::Ahead);
            }
            if order.is_full(namespace) {
                return Err(SearchError::Lost(TOO_MUCH));
            }
            first
        };
        let reading = earlier(&self.events, namespace, since, first, MAX_IDS);
        let Ok(ids) = timeout(MAX_LOOK, reading).await else {
            return Err(SearchError::Lost("it takes too long to look further back"));
        };
        let ids = ids?.ok_or(SearchError::Lost(TOO_MUCH))?;
        let mut order = self.order.lock();
        order.prepend(namespace, (since, &ids), first);
        Ok(match order.between(namespace, from, to) {
            Span::Before(_) => Span::Ahead,
            span => span,
        })
    }

    /// What a socket has missed of these documents.
    async fn missed(
        &self,
        restore: &Restore,
        socket: &KeptSocket,
        from: ObjectId,
        ids: &[ObjectId],
    ) -> Result<Between, SearchError> {
        let mut replay = restore.replay(socket);
        let rooms: Vec<_> = socket
            .rooms
            .iter()
            .map(|room| Bson::from(&**room))
            .collect();
        for batch in ids.chunks(BATCH) {
            let wanted = doc! {
                "_id": { "$in": batch },
                "type": BROADCAST,
                "$or": [
                    { "data.opts.rooms": { "$size": 0 } },
                    { "data.opts.rooms": { "$in": &rooms } },
                ],
                "data.opts.except": { "$nin": &rooms },
            };
            let mut all = self.events.find(wanted).await?;
            // They come in any order, and are put into theirs when it is known that they are not too many.
            while let Some(document) = all.try_next().await? {
                let Ok(id) = document.get_object_id("_id") else {
                    continue;
                };
                // What cannot be read was delivered to nobody.
                if let Ok(envelope) = message(&document, self.link.limits())
                    && !replay.push(&id.to_hex(), envelope.message)
                {
                    return Err(SearchError::Lost("it has missed too much"));
                }
            }
        }
        // What is oldest is forgotten first: as long as this is there, so is all behind it.
        if !ids.is_empty() && !self.is_there(from).await? {
            return Err(SearchError::Lost(FORGOTTEN));
        }
        Ok(in_order(replay.end(), ids))
    }

    async fn is_there(&self, id: ObjectId) -> Result<bool, SearchError> {
        let found = self.events.find_one(doc! { "_id": id });
        Ok(found.projection(doc! { "_id": 1 }).await?.is_some())
    }

    /// Keeps a socket that was taken for nothing.
    async fn keep(
        &self,
        from: (&NodeId, &str),
        socket: &KeptSocket,
        left: Duration,
    ) -> Result<(), SearchError> {
        let document = self.session(ObjectId::new(), from, socket, left)?;
        self.events.insert_one(document).await?;
        Ok(())
    }

    /// The document in which a socket is kept.
    pub(crate) fn session(
        &self,
        id: ObjectId,
        from: (&NodeId, &str),
        socket: &KeptSocket,
        time: Duration,
    ) -> Result<RawDocumentBuf, DocumentError> {
        let session = Message::Session(SessionMark::Kept(session_of(socket)?));
        let now = SystemTime::now();
        let until = DateTime::from_system_time(now.checked_add(time).unwrap_or(now));
        let mut times = vec![(cstr!("until"), until)];
        times.extend(created(self.is_capped));
        document(id, from, &session, &times)
    }
}

/// The events with these ids in the order of these.
fn in_order(logged: Between, ids: &[ObjectId]) -> Between {
    let Between::Events(events) = logged else {
        return logged;
    };
    let by_id = events.into_iter().filter_map(|event| {
        let id = ObjectId::parse_str(&*event.offset).ok()?;
        Some((id, event))
    });
    let mut by_id: HashMap<_, _> = by_id.collect();
    Between::Events(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}

/// The sessions of one socket, in the order in which they were saved: that of the collection, and of its index, too.
fn sessions(restore: &Restore) -> Document {
    doc! { "type": SESSION, "data.pid": &*restore.pid, "nsp": &*restore.namespace }
}

/// Says that a session is gone, in a capped collection.
pub(crate) fn tombstone(
    id: ObjectId,
    from: (&NodeId, &str),
    pid: &str,
) -> Result<RawDocumentBuf, DocumentError> {
    let pid = pid.into();
    let gone = Message::Session(SessionMark::Gone { pid });
    document(id, from, &gone, &[])
}

/// When a document was made, for collections that forget by it.
pub(crate) fn created(is_capped: bool) -> Option<(&'static CStr, DateTime)> {
    (!is_capped).then(|| (cstr!("createdAt"), DateTime::now()))
}

/// When an id was made, in seconds since 1970.
fn seconds(id: ObjectId) -> u32 {
    let millis = id.timestamp().timestamp_millis();
    u32::try_from(millis / 1000).unwrap_or_default()
}
