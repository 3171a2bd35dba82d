//! The connection that waits for what comes into the streams.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, Value};
use sockeye_cluster::Link;
use sockeye_cluster_proto::streams::{BytesIn, Entry};

use super::entries::{Portion, Read, entries_of, streams_of};
use super::entry_id::EntryId;
use super::log::{Log, MARK};
use crate::endpoint::{self, Endpoint, PATIENCE};
use crate::slots::Address;

/// Reads streams of one server, and hands over what is in them.
pub(super) struct Reader {
    log: Arc<Log>,
    link: Link,
    redis: MultiplexedConnection,
    streams: Vec<String>,
    /// The place of the first of them among all streams.
    first: usize,
    portion: Portion,
}

impl Reader {
    /// Connects, and reads what was missed since there was a connection last.
    pub(super) async fn open(
        (endpoint, address): (&Endpoint, Option<&Address>),
        log: &Arc<Log>,
        link: &Link,
        streams: Range<usize>,
    ) -> RedisResult<Self> {
        // Redis does not answer as long as nothing comes.
        let config = endpoint::config()
            .set_response_timeout(Some(Duration::from_millis(BLOCK_MILLIS) + PATIENCE));
        let mut reader = Self {
            log: Arc::clone(log),
            link: link.clone(),
            redis: endpoint.connect_at(address, &config).await?,
            first: streams.start,
            streams: log.names.streams()[streams].to_vec(),
            portion: Portion::default(),
        };
        for stream in 0..reader.streams.len() {
            match reader.place(stream) {
                None => {
                    let end = reader.end(stream).await?;
                    reader.set_place(stream, end.unwrap_or_default());
                }
                Some(_) => reader.catch_up(stream).await?,
            }
        }
        Ok(reader)
    }

    /// Reads until that is not possible any more.
    pub(super) async fn run(mut self) -> RedisError {
        loop {
            if let Err(error) = self.wait().await {
                return error;
            }
        }
    }

    /// Waits until something comes.
    async fn wait(&mut self) -> RedisResult<()> {
        let mut read = redis::cmd("XREAD");
        read.arg("BLOCK").arg(BLOCK_MILLIS);
        let count = self.portion.count();
        read.arg("COUNT").arg(count);
        read.arg("STREAMS").arg(&self.streams);
        for stream in 0..self.streams.len() {
            let place = self.place(stream).unwrap_or_default();
            read.arg(place.to_string());
        }
        let answer: Value = read.query_async(&mut self.redis).await?;
        for (name, entries) in streams_of(answer)? {
            let Some(stream) = self.streams.iter().position(|known| *known == name) else {
                continue;
            };
            // What is cut off leaves as many as a stream may have, or more.
            let is_full = entries.len() >= count.min(self.max_len());
            if is_full && !self.has_place(stream).await? {
                self.log.miss(&self.link);
            }
            self.hand_over(stream, entries);
            if is_full {
                self.catch_up(stream).await?;
            }
        }
        Ok(())
    }

    fn place(&self, stream: usize) -> Option<EntryId> {
        self.log.place(self.first + stream)
    }

    fn set_place(&self, stream: usize, place: EntryId) {
        self.log.set_place(self.first + stream, place);
    }

    fn max_len(&self) -> usize {
        usize::try_from(self.log.names.max_len).unwrap_or(usize::MAX)
    }

    /// Whether the entry that was handed over last is still there, and so all that are behind it.
    async fn has_place(&mut self, stream: usize) -> RedisResult<bool> {
        let place = self.place(stream).unwrap_or_default();
        // There is none of a stream that was not there.
        if place == EntryId::default() {
            return Ok(true);
        }
        let entries = self.range(stream, place, 1).await?;
        Ok(entries.first().is_some_and(|entry| entry.id == place))
    }

    /// Reads a stream to its end, when it may be that it was cut before it could be read. The entry that was read last is
    /// read again: as long as it is there, all behind it are.
    async fn catch_up(&mut self, stream: usize) -> RedisResult<()> {
        loop {
            let place = self.place(stream).unwrap_or_default();
            let count = self.portion.count();
            let mut entries = self.range(stream, place, count + 1).await?;
            let is_full = entries.len() > count;
            // There is nothing to be read again of a stream that was not there.
            if place != EntryId::default() {
                if entries.first().is_some_and(|entry| entry.id == place) {
                    entries.remove(0);
                } else {
                    self.log.miss(&self.link);
                    let end = self.end(stream).await?.unwrap_or_default();
                    if end < place {
                        // It has lost its last entries, or all. Those before were read.
                        self.set_place(stream, end);
                        continue;
                    }
                }
            }
            self.hand_over(stream, entries);
            if !is_full {
                return Ok(());
            }
        }
    }

    /// The last entry of a stream.
    async fn end(&mut self, stream: usize) -> RedisResult<Option<EntryId>> {
        let mut last = redis::cmd("XREVRANGE");
        last.arg(&self.streams[stream]).arg("+").arg("-");
        last.arg("COUNT").arg(1);
        let entries = entries_of(last.query_async(&mut self.redis).await?)?;
        Ok(entries.first().map(|entry| entry.id))
    }

    /// The first entries of a stream that do not stand before a place.
    async fn range(
        &mut self,
        stream: usize,
        from: EntryId,
        count: usize,
    ) -> RedisResult<Vec<Read>> {
        let mut range = redis::cmd("XRANGE");
        range.arg(&self.streams[stream]).arg(from.to_string());
        range.arg("+").arg("COUNT").arg(count);
        entries_of(range.query_async(&mut self.redis).await?)
    }

    fn hand_over(&mut self, stream: usize, entries: Vec<Read>) {
        self.portion.learn(&entries);
        for entry in entries {
            let id = entry.id;
            self.receive(stream, entry);
            self.set_place(stream, id);
        }
    }

    fn receive(&self, stream: usize, Read { id, fields }: Read) {
        let mark = fields.iter().find(|(name, _)| name == MARK.as_bytes());
        let mark = mark.and_then(|(_, mark)| self.log.own_mark(mark));
        // What has no namespace is somebody else's.
        if let Ok(entry) = Entry::from_fields(fields)
            && let Some(namespace) = entry.namespace()
            && self.link.has_namespace(namespace)
        {
            let namespace = namespace.to_owned();
            match entry.decode(BytesIn::Base64, self.link.limits()) {
                Ok(envelope) => {
                    let (offset, tag) = (id.to_string(), mark.and_then(|mark| mark.tag));
                    self.link.receive_logged(&namespace, envelope, &offset, tag);
                }
                Err(error) => self.link.undecodable(&error),
            }
        }
        if let Some(mark) = mark {
            self.log.came_back(self.first + stream, mark);
        }
    }
}

/// How long Redis waits for the next entry before it says that there is none.
const BLOCK_MILLIS: u64 = 5000;
