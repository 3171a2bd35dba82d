//! Entries as Redis gives them.

use redis::{RedisError, RedisResult, Value};

use super::entry_id::EntryId;

/// An entry as Redis gives it.
pub(super) struct Read {
    pub(super) id: EntryId,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Read {
    /// How many bytes it has.
    fn size(&self) -> usize {
        let fields = self.fields.iter();
        fields.map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// How many entries are read at once. They may be of any size, and all of them are in memory, and keep the connection from
/// bringing anything else: so it is as many as are read soon, if they are like those that were read last.
#[derive(Debug)]
pub(super) struct Portion(usize);

impl Portion {
    /// How many are to be read next.
    pub(super) const fn count(&self) -> usize {
        self.0
    }

    /// These have been read.
    pub(super) fn learn(&mut self, entries: &[Read]) {
        let bytes: usize = entries.iter().map(Read::size).sum();
        let fitting = MAX_BYTES.saturating_mul(entries.len()) / bytes.max(1);
        if !entries.is_empty() {
            self.0 = fitting.clamp(1, MAX_COUNT.min(self.0 * 2));
        }
    }
}

impl Default for Portion {
    /// Before anything is known of them.
    fn default() -> Self {
        Self(FIRST_COUNT)
    }
}

const FIRST_COUNT: usize = 16;
const MAX_COUNT: usize = 100;
const MAX_BYTES: usize = 256 * 1024;

/// What `XREAD` gives: nothing, or entries by streams.
pub(super) fn streams_of(answer: Value) -> RedisResult<Vec<(String, Vec<Read>)>> {
    let streams = match answer {
        Value::Nil => Vec::new(),
        Value::Map(streams) => streams,
        _ => return Err(nonsense()),
    };
    let streams = streams.into_iter().map(|(name, entries)| match name {
        Value::BulkString(name) => {
            let name = String::from_utf8(name).map_err(|_| nonsense())?;
            Ok((name, entries_of(entries)?))
        }
        _ => Err(nonsense()),
    });
    streams.collect()
}

/// What `XRANGE` gives.
pub(super) fn entries_of(answer: Value) -> RedisResult<Vec<Read>> {
    let Value::Array(entries) = answer else {
        return Err(nonsense());
    };
    let entries = entries.into_iter();
    entries
        .map(|entry| read(entry).ok_or_else(nonsense))
        .collect()
}

fn read(entry: Value) -> Option<Read> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let Ok([Value::BulkString(id), Value::Array(items)]) = <[Value; 2]>::try_from(parts) else {
        return None;
    };
    let mut fields = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) =
        (items.next(), items.next())
    {
        fields.push((name, value));
    }
    let id = EntryId::parse(std::str::from_utf8(&id).ok()?)?;
    Some(Read { id, fields })
}

fn nonsense() -> RedisError {
    std::io::Error::other("Redis gives no entries of a stream").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize, bytes: usize) -> Vec<Read> {
        let entry = |_| Read {
            id: EntryId::default(),
            fields: vec![(Vec::new(), vec![0; bytes])],
        };
        (0..count).map(entry).collect()
    }

    #[test]
    fn portions_have_about_as_many_bytes_as_are_read_soon() {
        let mut portion = Portion::default();
        let mut read = |bytes| {
            let count = portion.count();
            portion.learn(&entries(count, bytes));
            count
        };
        assert_eq!([16, 32, 64, 100, 100], [(); 5].map(|()| read(100)));
        assert_eq!([100, 4, 4, 4], [(); 4].map(|()| read(64 * 1024)));
        assert_eq!([4, 1, 1], [(); 3].map(|()| read(1024 * 1024)));
        assert_eq!([1, 2, 4, 8], [(); 4].map(|()| read(0)));
        portion.learn(&[]);
        assert_eq!(portion.count(), 16);
    }
}
