//! What is to be inserted: in order, each document once, whatever becomes of the connection in between.

use std::collections::{HashSet, VecDeque};
use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::error::{Error, ErrorKind, IndexedWriteError};
use sockeye_cluster::{Job, Keep, Link, Publish};
use sockeye_cluster_proto::Message;

use crate::collection::Events;
use crate::stream::SESSION;

/// Documents that wait, or are on their way.
///
/// Each has its id from the beginning, so that one of which it is not known whether MongoDB has it can be inserted again: it
/// says then that it has it.
#[derive(Default)]
pub(crate) struct Outbox {
    letters: VecDeque<Letter>,
    bytes: usize,
    /// So many of the first have been sent before.
    again: usize,
}

/// A document, and what it is for.
pub(crate) struct Letter {
    pub(crate) id: ObjectId,
    pub(crate) document: Arc<RawDocumentBuf>,
    pub(crate) purpose: Purpose,
}

pub(crate) enum Purpose {
    Publish(Publish),
    /// Whoever waits for it learns when it is dropped.
    Keep(Keep),
    Forget,
}

/// How many documents are sent at once, and of how many bytes unless it is one: fewer trips, and none that takes long.
const MAX_LETTERS: usize = 1000;
const MAX_BYTES: usize = 256 << 10;

/// What MongoDB says of an id that it has already.
const DUPLICATE_KEY: i32 = 11000;

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Whether one more may be sent together with those that are there.
    pub(crate) fn has_room(&self) -> bool {
        self.letters.len() < MAX_LETTERS && self.bytes < MAX_BYTES
    }

    pub(crate) fn push(&mut self, letter: Letter) {
        self.bytes += letter.document.as_bytes().len();
        self.letters.push_back(letter);
    }

    fn pop(&mut self) -> Option<Letter> {
        let letter = self.letters.pop_front()?;
        self.bytes -= letter.document.as_bytes().len();
        Some(letter)
    }

    /// The connection was lost, and what was sent may have got to MongoDB or not. What has waited too long is given back, for
    /// the core to say so.
    pub(crate) fn lost(&mut self, link: &Link) {
        for letter in std::mem::take(&mut self.letters) {
            match letter.purpose {
                Purpose::Publish(publish) if publish.is_late() => {
                    self.bytes -= letter.document.as_bytes().len();
                    link.put_back(Job::Publish(publish));
                }
                _ => self.letters.push_back(letter),
            }
        }
        self.again = self.letters.len();
    }

    /// About how many bytes it has.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first document that the change stream will bring back. What has been sent before may have come back already.
    pub(crate) fn comes_back(&self) -> Option<ObjectId> {
        let mut publishes = self.letters.iter().skip(self.again);
        let comes = |purpose: &Purpose| match purpose {
            Purpose::Publish(publish) => matches!(
                publish.message,
                Message::Hello | Message::Heartbeat | Message::Broadcast { .. }
            ),
            Purpose::Keep(_) | Purpose::Forget => false,
        };
        publishes
            .find(|letter| comes(&letter.purpose))
            .map(|letter| letter.id)
    }

    /// Inserts all that is there.
    pub(crate) fn insert(
        &self,
        events: &Events,
        is_capped: bool,
    ) -> BoxFuture<'static, Result<Inserted, Error>> {
        let events = events.clone();
        let documents: Vec<_> = self
            .letters
            .iter()
            .map(|letter| Arc::clone(&letter.document))
            .collect();
        let ids: Vec<_> = self.letters.iter().map(|letter| letter.id).collect();
        let pids = match is_capped {
            true => Vec::new(),
            false => self.pids(),
        };
        let again = self.again;
        async move {
            if again > 0 {
                // In this order, so that with the last one it has all before it.
                let known = known(&events, &ids[..again]).await?;
                if let Some(last) = ids.iter().rposition(|id| known.contains(id)) {
                    settled(&events, &documents[last]).await?;
                    return Ok(Inserted::some(last + 1));
                }
            }
            if !pids.is_empty() {
                // A capped collection is looked at from its end; in this one there may be no more than one of a socket.
                let older = doc! { "type": SESSION, "data.pid": { "$in": pids } };
                events.delete_many(older).await?;
            }
            match events.insert_many(documents).ordered(true).await {
                Ok(_) => Ok(Inserted::some(ids.len())),
                Err(error) => refused(&error).ok_or(error),
            }
        }
        .boxed()
    }

    /// The private ids of the sockets that are kept.
    fn pids(&self) -> Vec<String> {
        let kept = self.letters.iter();
        let kept = kept.filter_map(|letter| match &letter.purpose {
            Purpose::Keep(keep) => Some(keep.socket.pid.to_string()),
            Purpose::Publish(_) | Purpose::Forget => None,
        });
        kept.collect()
    }

    /// Takes out what MongoDB has, and what it will not have.
    pub(crate) fn inserted(&mut self, inserted: Inserted, link: &Link) {
        for _ in 0..inserted.count {
            if let Some(Purpose::Publish(publish)) = self.pop().map(|letter| letter.purpose) {
                link.published(&publish);
            }
        }
        // It is known of each what has become of it.
        self.again = 0;
        let Some(error) = inserted.refused else {
            return;
        };
        match self.pop().map(|letter| letter.purpose) {
            Some(Purpose::Publish(publish)) if error.code == DUPLICATE_KEY => {
                link.published(&publish);
            }
            Some(Purpose::Publish(publish)) => link.failed(&publish, &Refused(error)),
            Some(Purpose::Keep(_)) if error.code != DUPLICATE_KEY => unkept(&Refused(error)),
            _ => {}
        }
    }
}

/// What has become of the documents.
pub(crate) struct Inserted {
    /// So many, from the first one, are there.
    count: usize,
    /// The one behind these was refused; those behind that have not been tried.
    refused: Option<IndexedWriteError>,
}

impl Inserted {
    const fn some(count: usize) -> Self {
        let refused = None;
        Self { count, refused }
    }
}

/// What MongoDB says of one document, if it is not about all of them.
fn refused(error: &Error) -> Option<Inserted> {
    let ErrorKind::InsertMany(error) = &*error.kind else {
        return None;
    };
    let first = error.write_errors.as_ref()?.first()?;
    Some(Inserted {
        count: first.index,
        refused: Some(first.clone()),
    })
}

/// Which of these documents MongoDB has.
async fn known(events: &Events, ids: &[ObjectId]) -> Result<HashSet<ObjectId>, Error> {
    let filter = doc! { "_id": { "$in": ids } };
    let found = events.find(filter).projection(doc! { "_id": 1 }).await?;
    let ids = found.try_filter_map(|found| ready(Ok(found.get_object_id("_id").ok())));
    ids.try_collect().await
}

/// Waits until most servers of MongoDB have a document that one has. It is inserted once more for that: to say that there is
/// one already is an answer that waits like any other.
async fn settled(events: &Events, document: &Arc<RawDocumentBuf>) -> Result<(), Error> {
    match events.insert_many([Arc::clone(document)]).await {
        Ok(_) => Ok(()),
        Err(error) => refused(&error).map(drop).ok_or(error),
    }
}

pub(crate) fn unkept(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "a socket cannot be kept in MongoDB");
}

#[derive(Debug, thiserror::Error)]
#[error("MongoDB refuses it: {}", .0.message)]
struct Refused(IndexedWriteError);
