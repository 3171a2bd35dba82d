//! What is said to Postgres.

use std::time::Duration;

use tokio_postgres::{Client, Error, Statement};

use crate::channel::quoted_table;

/// Statements that Postgres has read before they are needed.
#[derive(Clone)]
pub(crate) struct Statements {
    /// Channel and payload.
    pub(crate) notify: Statement,
    /// The row's payload; the channel; what comes before the row's id in the notification, and what after.
    ///
    /// One statement for both, so that one trip does it, and nobody hears of a row that is not there yet.
    pub(crate) attach: Statement,
    /// A row's id.
    pub(crate) fetch: Statement,
    /// An age in seconds. It takes some, the oldest, and says how many.
    pub(crate) clean: Statement,
}

/// How many rows are deleted at once, at most.
pub(crate) const CLEANED_AT_ONCE: u64 = 200;

impl Statements {
    /// What takes longer than this Postgres is to give up itself, so that a message for which it has to wait is not brought
    /// when the connection is given up and it counts as lost.
    pub(crate) async fn prepare(
        client: &Client,
        table: &str,
        limit: Duration,
    ) -> Result<Self, Error> {
        let millis = (limit * 4 / 5).as_millis().clamp(1, MAX_MILLIS);
        let limit = format!("SET statement_timeout = {millis}");
        client.batch_execute(&limit).await?;
        let table = quoted_table(table);
        if !exists(client, &table).await? {
            let make = format!(
                "CREATE TABLE IF NOT EXISTS {table} (id bigserial UNIQUE, \
                 created_at timestamptz DEFAULT now(), payload bytea)"
            );
            let made = client.batch_execute(&make).await;
            // Another server may have done it at the same time, which is an error here.
            if let Err(error) = made
                && !exists(client, &table).await?
            {
                return Err(error);
            }
        }
        let attach = format!(
            "WITH row AS (INSERT INTO {table} (payload) VALUES ($1) RETURNING id) \
             SELECT pg_notify($2, $3::text || id::text || $4::text) FROM row"
        );
        let fetch = format!("SELECT payload FROM {table} WHERE id = $1");
        let clean = format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE created_at < \
             now() - make_interval(secs => $1) ORDER BY id LIMIT {CLEANED_AT_ONCE})"
        );
        Ok(Self {
            notify: client.prepare("SELECT pg_notify($1, $2)").await?,
            attach: client.prepare(&attach).await?,
            fetch: client.prepare(&fetch).await?,
            clean: client.prepare(&clean).await?,
        })
    }
}

/// Postgres takes no more.
const MAX_MILLIS: u128 = i32::MAX as u128;

async fn exists(client: &Client, table: &str) -> Result<bool, Error> {
    let found = "SELECT to_regclass($1) IS NOT NULL";
    client.query_one(found, &[&table]).await?.try_get(0)
}
