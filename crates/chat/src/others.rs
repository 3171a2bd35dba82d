//! The chats of the other servers in a cluster: who is there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::shapes::{Person, Present};

/// Who is in the chats of other servers, as each has told last. Each tells all that it knows, again and again, so that
/// neither a lost message nor a server that dies leaves anybody behind for long.
#[derive(Debug, Default)]
pub(crate) struct Others(BTreeMap<String, Other>);

#[derive(Debug)]
struct Other {
    heard: Instant,
    rooms: BTreeMap<String, Vec<Person>>,
}

/// What is new by what another server has told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// That server has not been known before.
    pub(crate) is_new: bool,
    /// The rooms in which others are now than before, or others are called.
    pub(crate) rooms: Vec<String>,
}

/// Who has told nothing for so long is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

impl Others {
    pub(crate) fn hear(&mut self, present: Present, now: Instant) -> News {
        let rooms: BTreeMap<_, _> = present.rooms.into_iter().collect();
        let other = Other { heard: now, rooms };
        let server = present.server;
        let before = self.0.remove(&server);
        let is_new = before.is_none();
        let before = before.map(|other| other.rooms).unwrap_or_default();
        let mut changed: Vec<_> = before
            .keys()
            .filter(|room| !other.rooms.contains_key(*room))
            .cloned()
            .collect();
        let now_there = other.rooms.iter();
        let differ = now_there.filter(|(room, people)| before.get(*room) != Some(people));
        changed.extend(differ.map(|(room, _)| room.clone()));
        self.0.insert(server, other);
        News {
            is_new,
            rooms: changed,
        }
    }

    /// Forgets the servers that tell nothing any more. Gives the rooms that are other than before by that.
    pub(crate) fn forget_silent(&mut self, now: Instant) -> Vec<String> {
        let mut left = Vec::new();
        self.0.retain(|_, other| {
            let is_there = now.duration_since(other.heard) < SILENCE;
            if !is_there {
                left.extend(std::mem::take(&mut other.rooms).into_keys());
            }
            is_there
        });
        left
    }

    pub(crate) fn people(&self, room: &str) -> impl Iterator<Item = &Person> {
        let rooms = self
            .0
            .values()
            .filter_map(move |other| other.rooms.get(room));
        rooms.flatten()
    }

    /// The rooms of each, and how many are there.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = (&str, usize)> {
        let rooms = self.0.values().flat_map(|other| &other.rooms);
        rooms.map(|(name, people)| (name.as_str(), people.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::PersonId;

    fn present(server: &str, rooms: &[(&str, &[u64])]) -> Present {
        let person = |id: &u64| Person {
            id: PersonId(*id),
            name: "Ann".into(),
        };
        Present {
            server: server.into(),
            rooms: rooms
                .iter()
                .map(|(room, ids)| ((*room).to_owned(), ids.iter().map(person).collect()))
                .collect(),
        }
    }

    #[test]
    fn rooms_are_told_that_are_other_than_before() {
        let (mut others, now) = (Others::default(), Instant::now());
        let news = others.hear(present("a", &[("x", &[1]), ("y", &[2])]), now);
        assert!(news.is_new);
        assert_eq!(news.rooms, ["x", "y"]);
        let news = others.hear(present("a", &[("y", &[2]), ("z", &[1])]), now);
        assert!(!news.is_new);
        assert_eq!(news.rooms, ["x", "z"]);
        let _ = others.hear(present("b", &[("y", &[9])]), now);
        let ids: Vec<_> = others.people("y").map(|person| person.id.0).collect();
        assert_eq!(ids, [2, 9]);
        assert_eq!(
            others.rooms().collect::<Vec<_>>(),
            [("y", 1), ("z", 1), ("y", 1)]
        );
    }

    #[test]
    fn server_that_tells_nothing_any_more_is_gone() {
        let (mut others, now) = (Others::default(), Instant::now());
        let _ = others.hear(present("a", &[("x", &[1])]), now);
        let _ = others.hear(present("b", &[("y", &[2])]), now + SILENCE / 2);
        assert!(others.forget_silent(now + SILENCE / 2).is_empty());
        assert_eq!(others.forget_silent(now + SILENCE), ["x"]);
        assert_eq!(others.people("x").count(), 0);
        assert_eq!(others.people("y").count(), 1);
    }
}
