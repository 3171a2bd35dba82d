//! The change stream of the collection, which is followed where it was left.

use std::sync::Arc;

use futures_util::TryStreamExt;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{RawDocument, RawDocumentBuf};
use mongodb::bson::{Timestamp, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use mongodb::error::{Error, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::collection::Events;

/// A change stream that is followed, by a task of its own: what is asked of MongoDB must be waited for to the end.
pub(crate) struct Followed {
    changes: mpsc::Receiver<Result<Change, Error>>,
    /// Ends with this.
    _task: JoinSet<()>,
}

/// What MongoDB has said.
pub(crate) struct Change {
    /// What has changed; `None` if nothing has for some time.
    pub(crate) event: Option<RawDocumentBuf>,
    /// Where to go on after that.
    pub(crate) place: Place,
    /// What it takes of the room for those that wait.
    _room: OwnedSemaphorePermit,
}

/// How many changes wait to be taken, and how many KiB they may have together; more of them wait in MongoDB, or in the answer
/// of which they are a part.
const MAX_WAITING: usize = 64;
const MAX_WAITING_KIB: u32 = 16 << 10;

/// The place in the change stream from which it is to be followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Option<ResumeToken>);

impl Place {
    /// Whether there is one: without it, the stream begins now.
    pub(crate) const fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// The stream cannot be followed, or not any more, and maybe not from there again.
    pub(crate) fn failed(&mut self, error: &Error) {
        if !keeps_place(error) {
            self.0 = None;
        }
    }
}

impl Followed {
    /// Follows what is inserted into a collection, from a place on. What this server has inserted itself comes back if it has a
    /// place in the order of all, which events have and the greetings with which servers begin; and its heartbeats, so that it
    /// is noticed if nothing comes.
    ///
    /// Gives the place where it begins, too.
    pub(crate) async fn open(
        events: &Events,
        own: &str,
        place: &Place,
    ) -> Result<(Self, Place), Error> {
        let wanted = doc! {
            "operationType": "insert",
            "fullDocument.type": { "$ne": SESSION },
            "$or": [
                { "fullDocument.uid": { "$ne": own } },
                { "fullDocument.type": { "$in": [HELLO, HEARTBEAT, BROADCAST] } },
            ],
        };
        let watch = events.watch().pipeline([doc! { "$match": wanted }]);
        let stream = watch.resume_after(place.0.clone()).await?;
        let place = Place(stream.resume_token());
        let (sender, changes) = mpsc::channel(MAX_WAITING);
        let mut task = JoinSet::new();
        task.spawn(follow(stream.with_type(), sender));
        let _task = task;
        Ok((Self { changes, _task }, place))
    }

    /// The next change. Nothing is lost if this is dropped.
    pub(crate) async fn next(&mut self) -> Result<Change, Error> {
        self.changes.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

async fn follow(
    mut stream: ChangeStream<RawDocumentBuf>,
    changes: mpsc::Sender<Result<Change, Error>>,
) {
    let room = Arc::new(Semaphore::new(MAX_WAITING_KIB as usize));
    while stream.is_alive() {
        let event = match stream.next_if_any().await {
            Ok(event) => event,
            Err(error) => {
                let _ = changes.send(Err(error)).await;
                return;
            }
        };
        let bytes = event.as_ref().map_or(0, |event| event.as_bytes().len());
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let wanted = kib.min(MAX_WAITING_KIB);
        let Ok(_room) = Arc::clone(&room).acquire_many_owned(wanted).await else {
            return;
        };
        let place = Place(stream.resume_token());
        let change = Change {
            event,
            place,
            _room,
        };
        if changes.send(Ok(change)).await.is_err() {
            return;
        }
    }
    // The collection was dropped, say.
    let _ = changes.send(Err(ended())).await;
}

fn ended() -> Error {
    Error::custom("the change stream has ended")
}

/// The document that a change has brought.
pub(crate) fn brought(change: &RawDocument) -> Option<&RawDocument> {
    change.get_document("fullDocument").ok()
}

/// Whether the change stream can be followed from the same place after this error. If not, MongoDB does not have the place any
/// more, or there is something behind it that it cannot get past.
fn keeps_place(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Command(command) => {
            error.contains_label("ResumableChangeStreamError") || PASSING.contains(&command.code)
        }
        ErrorKind::MissingResumeToken | ErrorKind::Custom(_) => false,
        _ => true,
    }
}

/// Errors that are about the server or the user, in the specification of change streams and by themselves.
const PASSING: [i32; 17] = [
    6, 7, 13, 18, 43, 63, 89, 91, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13435,
];

/// The ids of a namespace's documents that have a place in the order of all, from a time on until one is met that is known.
/// `None` if there are more than so many before it.
pub(crate) async fn earlier(
    events: &Events,
    namespace: &str,
    since: u32,
    known: ObjectId,
    max: usize,
) -> Result<Option<Vec<ObjectId>>, Error> {
    let wanted = doc! {
        "operationType": "insert",
        "fullDocument.nsp": namespace,
        "fullDocument.type": { "$in": [HELLO, BROADCAST] },
    };
    let pipeline = [
        doc! { "$match": wanted },
        doc! { "$project": { "fullDocument._id": 1 } },
    ];
    let (time, increment) = (since, 1);
    let watch = events.watch().pipeline(pipeline);
    let watch = watch.start_at_operation_time(Timestamp { time, increment });
    let mut stream = watch.await?.with_type::<RawDocumentBuf>();
    let mut ids = Vec::new();
    while ids.len() < max {
        let Some(change) = stream.try_next().await? else {
            return Err(ended());
        };
        let id = brought(&change).and_then(|document| document.get_object_id("_id").ok());
        match id {
            Some(id) if id == known => return Ok(Some(ids)),
            Some(id) => ids.push(id),
            None => {}
        }
    }
    Ok(None)
}

/// The types of messages that are told apart here.
pub(crate) const HELLO: i32 = 1;
pub(crate) const HEARTBEAT: i32 = 2;
pub(crate) const BROADCAST: i32 = 3;
pub(crate) const SESSION: i32 = 13;
