//! Sockets that are kept in Redis.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, RedisResult, Value};
use sockeye_adapter::KeptSocket;
use sockeye_cluster::{Between, Found, Link, Restore, session_of, socket_of};
use sockeye_cluster_proto::EncodeError;
use sockeye_cluster_proto::streams::{BytesIn, Entry, decode_session, encode_session};

use super::entries::{Portion, entries_of};
use super::entry_id::EntryId;
use super::lanes::is_elsewhere;
use super::log::Log;

/// The command that keeps a socket.
pub(super) fn keep(log: &Log, socket: &KeptSocket, time: Duration) -> Result<Cmd, EncodeError> {
    let session = encode_session(&session_of(socket)?)?;
    let mut set = redis::cmd("SET");
    set.arg(log.names.session(&socket.pid)).arg(session);
    // Redis refuses to keep anything for no time.
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1);
    set.arg("PX").arg(millis.max(1));
    Ok(set)
}

/// The looking for one.
pub(super) struct Search {
    pub(super) log: Arc<Log>,
    pub(super) link: Link,
    /// The connection that has the socket's key.
    pub(super) sockets: MultiplexedConnection,
    /// The one that has the stream.
    pub(super) stream: MultiplexedConnection,
}

impl Search {
    /// Gives the socket to whoever asks for it, if it is there and all that it has missed. Returns what the matter is if that
    /// cannot be looked for here.
    pub(super) async fn run(mut self, restore: Restore) -> Option<RedisError> {
        let error = self.restore(restore).await.err()?;
        tracing::debug!(%error, "a kept socket could not be looked for");
        Some(error).filter(is_elsewhere)
    }

    async fn restore(&mut self, restore: Restore) -> RedisResult<()> {
        let log = Arc::clone(&self.log);
        let searching = log.searches.acquire().await;
        let (Some(since), Some(until)) = (
            EntryId::parse(&restore.offset),
            EntryId::parse(&restore.until),
        ) else {
            return Ok(());
        };
        if restore.is_over() {
            return Ok(());
        }
        let key = log.names.session(&restore.pid);
        // First of all those questions that cost nothing, as anybody can ask them who makes up a private id.
        let (mut session, is_there) = self.look(&key, &restore, since).await?;
        if !is_there {
            return Ok(());
        }
        let mut taken: Option<Duration> = None;
        let found = loop {
            let Some(socket) = self.read(session.as_deref()) else {
                return Ok(());
            };
            let logged = match since > until {
                true => Some(Between::Ahead),
                false => self.replay(&restore, &socket, (since, until)).await?,
            };
            let Some(logged) = logged else {
                tracing::debug!("a kept socket has missed too much");
                return Ok(());
            };
            if let Some(left) = taken {
                break Found {
                    socket,
                    logged,
                    left,
                };
            }
            // It is read before it is taken, so that it is still there if Redis goes away meanwhile.
            let (now, left) = self.take(&key).await?;
            taken = Some(left);
            if now == session {
                break Found {
                    socket,
                    logged,
                    left,
                };
            }
            session = now;
        };
        drop(searching);
        if let Err(found) = restore.answer(Box::new(found)) {
            match keep(&log, &found.socket, found.left) {
                Ok(keep) => keep.query_async(&mut self.sockets).await?,
                Err(error) => self.link.undecodable(&error),
            }
        }
        Ok(())
    }

    /// What is kept, and whether the stream has the last event still that the socket has got, and so all behind it. An entry
    /// of another namespace is none that it has got.
    async fn look(
        &mut self,
        key: &str,
        restore: &Restore,
        since: EntryId,
    ) -> RedisResult<(Option<Vec<u8>>, bool)> {
        let stream = self.log.names.stream_of(&restore.namespace);
        let since = since.to_string();
        let (mut get, mut range) = (redis::cmd("GET"), redis::cmd("XRANGE"));
        get.arg(key);
        range.arg(stream).arg(&since).arg(&since);
        let (session, entries): (Option<Vec<u8>>, Value) = try_join(
            get.query_async(&mut self.sockets),
            range.query_async(&mut self.stream),
        )
        .await?;
        let last = entries_of(entries)?.into_iter().next();
        let is_there = last
            .and_then(|last| Entry::from_fields(last.fields).ok())
            .is_some_and(|last| last.namespace() == Some(&*restore.namespace));
        Ok((session, is_there))
    }

    fn read(&self, session: Option<&[u8]>) -> Option<KeptSocket> {
        let limits = self.link.limits();
        let session = decode_session(session?, limits);
        let socket = session.and_then(|session| socket_of(session, limits));
        socket
            .inspect_err(|error| self.link.undecodable(error))
            .ok()
    }

    /// Takes it out, so that nobody else gets it.
    async fn take(&mut self, key: &str) -> RedisResult<(Option<Vec<u8>>, Duration)> {
        let mut take = redis::pipe();
        take.atomic();
        for command in ["PTTL", "GET", "DEL"] {
            take.cmd(command).arg(key);
        }
        let (left, session, _): (i64, Option<Vec<u8>>, i64) =
            take.query_async(&mut self.sockets).await?;
        Ok((
            session,
            Duration::from_millis(u64::try_from(left).unwrap_or(0)),
        ))
    }

    /// What a socket has missed; `None` if it is too much.
    async fn replay(
        &mut self,
        restore: &Restore,
        socket: &KeptSocket,
        (since, until): (EntryId, EntryId),
    ) -> RedisResult<Option<Between>> {
        let stream = self.log.names.stream_of(&restore.namespace);
        let mut replay = restore.replay(socket);
        let (mut place, mut portion) = (since, Portion::default());
        while place < until && !restore.is_over() {
            let mut range = redis::cmd("XRANGE");
            range.arg(&stream).arg(place.next().to_string());
            range
                .arg(until.to_string())
                .arg("COUNT")
                .arg(portion.count());
            let entries = entries_of(range.query_async(&mut self.stream).await?)?;
            let Some(last) = entries.last() else {
                break;
            };
            place = last.id;
            portion.learn(&entries);
            for entry in entries {
                let Ok(logged) = Entry::from_fields(entry.fields) else {
                    continue;
                };
                if logged.namespace() != Some(&*restore.namespace) {
                    continue;
                }
                // What cannot be read was delivered to nobody.
                if let Ok(logged) = logged.decode(BytesIn::Base64, self.link.limits())
                    && !replay.push(&entry.id.to_string(), logged.message)
                {
                    return Ok(None);
                }
            }
        }
        Ok(Some(replay.end()))
    }
}
