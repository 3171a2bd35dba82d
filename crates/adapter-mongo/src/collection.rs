//! The collection that the servers share.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::raw::RawDocumentBuf;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{
    CollectionOptions, IndexOptions, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Collection, Database, IndexModel};

/// The collection, whose documents are taken apart here.
pub(crate) type Events = Collection<RawDocumentBuf>;

/// How a collection forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgets {
    /// What is oldest, beyond so many bytes. Nothing is taken out of it before.
    BySize(u64),
    /// What is older, by its `createdAt`.
    ByAge(Duration),
}

/// The collection of this name. Whatever the URL says of it, it is read where it is written, as sessions are looked for in it;
/// and what is written is not to be lost with one server of MongoDB, which is when the change stream brings it.
pub(crate) fn events(database: &Database, name: &str) -> Events {
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let options = CollectionOptions::builder().selection_criteria(primary);
    let options = options.write_concern(WriteConcern::majority());
    database.collection_with_options(name, options.build())
}

/// Makes the collection if there is none. Says whether it is one that forgets by size, as it may have been there before.
pub(crate) async fn prepare(
    database: &Database,
    name: &str,
    forgets: Forgets,
) -> Result<bool, Error> {
    let is_wanted = matches!(forgets, Forgets::BySize(_));
    match is_capped(database, name).await {
        Ok(Some(is_capped)) => return Ok(is_capped),
        Ok(None) => {}
        // Whoever may only read and write what is there has to say what that is.
        Err(error) if is_code(&error, UNAUTHORIZED) => return Ok(is_wanted),
        Err(error) => return Err(error),
    }
    let events = database.collection::<Document>(name);
    match forgets {
        Forgets::BySize(bytes) => {
            let create = database.create_collection(name).capped(true).size(bytes);
            match create.await {
                Ok(()) => {}
                // Another server has been quicker.
                Err(error) if is_code(&error, NAMESPACE_EXISTS) => {}
                Err(error) => return Err(error),
            }
        }
        // Makes the collection as well, so that there is never one that does not forget.
        Forgets::ByAge(age) => {
            let options = IndexOptions::builder().expire_after(age).build();
            let ages = IndexModel::builder().keys(doc! { "createdAt": 1 });
            events.create_index(ages.options(options).build()).await?;
        }
    }
    // Without it each socket that comes back costs a look at every document.
    let options = IndexOptions::builder().sparse(true).build();
    let sessions = IndexModel::builder().keys(doc! { "data.pid": 1 });
    events
        .create_index(sessions.options(options).build())
        .await?;
    let is_capped = is_capped(database, name).await?;
    Ok(is_capped.unwrap_or(is_wanted))
}

/// `None` if there is no such collection.
async fn is_capped(database: &Database, name: &str) -> Result<Option<bool>, Error> {
    let listed = database.list_collections().filter(doc! { "name": name });
    let found = listed.await?.try_next().await?;
    Ok(found.map(|found| found.options.capped == Some(true)))
}

const UNAUTHORIZED: i32 = 13;
const NAMESPACE_EXISTS: i32 = 48;

fn is_code(error: &Error, code: i32) -> bool {
    matches!(&*error.kind, ErrorKind::Command(error) if error.code == code)
}
