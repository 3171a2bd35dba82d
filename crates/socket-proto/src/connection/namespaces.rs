//! The table of one connection's namespaces.

use super::NamespaceKey;

/// Where one side stands with a namespace: the peer of a server, or the client itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not in it; the place may be taken by another namespace.
    Free,
    /// The same for a place that nobody has taken since the peer of a server left by itself. It may still acknowledge what
    /// it got before.
    Departed,
    /// The server has yet to decide.
    Connecting,
    /// The same for a client that had left it before, so that what comes until the answer is of the former stay.
    Rejoining,
    /// The client has lost interest, but the server has yet to decide.
    Abandoned,
    /// In it.
    Joined,
    /// Over by our own decision. Remembered so that packets which crossed our notice can be told from misuse, until
    /// the peer says that it left as well or the place is needed.
    Left,
}

/// Namespaces by number. The first one has its place in here: most connections have no other, and if that is `/`
/// the table owns no memory.
#[derive(Debug)]
pub(crate) struct Namespaces {
    first: Slot,
    #[expect(
        clippy::box_collection,
        reason = "every idle connection has this, and nearly all have nothing in it"
    )]
    more: Option<Box<Vec<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    /// `None` is `/`.
    name: Option<Box<str>>,
    generation: u16,
    state: Standing,
}

impl Slot {
    fn new(name: &str) -> Self {
        Self {
            name: (name != "/").then(|| name.into()),
            generation: 0,
            state: Standing::Free,
        }
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("/")
    }
}

impl Default for Namespaces {
    fn default() -> Self {
        Self {
            first: Slot::new("/"),
            more: None,
        }
    }
}

impl Namespaces {
    /// The namespace called `name`, unless its place is free.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<(NamespaceKey, Standing)> {
        let is_it = |slot: &Slot| slot.state != Standing::Free && slot.name() == name;
        if is_it(&self.first) {
            // What nearly every packet is for.
            let key = NamespaceKey {
                index: 0,
                generation: self.first.generation,
            };
            return Some((key, self.first.state));
        }
        self.slots()
            .find(|(_, slot)| is_it(slot))
            .map(|(key, slot)| (key, slot.state))
    }

    /// Begins a stay in `name`, which must not be joined or joining. `None` if `max` places are taken.
    pub(crate) fn open(&mut self, name: &str, max: u16) -> Option<NamespaceKey> {
        let len = 1 + self.more.as_ref().map_or(0, |more| more.len());
        // A place that already has the name saves an allocation, and a namespace that was left keeps one place.
        let index = self
            .position(|slot| {
                matches!(
                    slot.state,
                    Standing::Free | Standing::Departed | Standing::Left
                ) && slot.name() == name
            })
            .or_else(|| self.position(|slot| slot.state == Standing::Free))
            .or_else(|| self.position(|slot| slot.state == Standing::Departed))
            .or_else(|| {
                (len < usize::from(max)).then(|| {
                    self.more.get_or_insert_default().push(Slot::new(name));
                    len
                })
            })
            .or_else(|| self.position(|slot| slot.state == Standing::Left))?;
        let slot = self.slot_mut(index)?;
        if slot.name() != name {
            slot.name = Slot::new(name).name;
        }
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = Standing::Connecting;
        Some(NamespaceKey {
            index: u16::try_from(index).ok()?,
            generation: slot.generation,
        })
    }

    /// Moves from one state to another; `false`, and nothing happens, if the key is not in the first.
    pub(crate) fn change(&mut self, key: NamespaceKey, from: Standing, to: Standing) -> bool {
        match self.slot_mut(key.index()) {
            Some(slot) if slot.generation == key.generation && slot.state == from => {
                slot.state = to;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn state(&self, key: NamespaceKey) -> Standing {
        self.slot(key).map_or(Standing::Free, |slot| slot.state)
    }

    pub(crate) fn name(&self, key: NamespaceKey) -> Option<&str> {
        self.slot(key).map(Slot::name)
    }

    pub(crate) fn joined(&self) -> impl Iterator<Item = NamespaceKey> {
        self.slots()
            .filter(|(_, slot)| slot.state == Standing::Joined)
            .map(|(key, _)| key)
    }

    fn slots(&self) -> impl Iterator<Item = (NamespaceKey, &Slot)> {
        std::iter::once(&self.first)
            .chain(self.more.iter().flat_map(|more| more.iter()))
            .zip(0..)
            .map(|(slot, index)| {
                let generation = slot.generation;
                (NamespaceKey { index, generation }, slot)
            })
    }

    fn position(&self, matches: impl Fn(&Slot) -> bool) -> Option<usize> {
        self.slots()
            .find(|(_, slot)| matches(slot))
            .map(|(key, _)| key.index())
    }

    fn slot(&self, key: NamespaceKey) -> Option<&Slot> {
        let slot = match key.index() {
            0 => &self.first,
            index => self.more.as_ref()?.get(index - 1)?,
        };
        (slot.generation == key.generation).then_some(slot)
    }

    fn slot_mut(&mut self, index: usize) -> Option<&mut Slot> {
        match index {
            0 => Some(&mut self.first),
            index => self.more.as_mut()?.get_mut(index - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(table: &mut Namespaces, name: &str, max: u16) -> Option<NamespaceKey> {
        let key = table.open(name, max)?;
        assert!(table.change(key, Standing::Connecting, Standing::Joined));
        Some(key)
    }

    #[test]
    fn main_namespace_needs_no_heap() {
        let mut table = Namespaces::default();
        let key = join(&mut table, "/", 10).unwrap();
        assert_eq!(key.index(), 0);
        assert!(table.first.name.is_none());
        assert!(table.more.is_none());
    }

    #[test]
    fn freed_places_are_taken_again_under_another_key() {
        let mut table = Namespaces::default();
        let a = join(&mut table, "/a", 10).unwrap();
        let b = join(&mut table, "/b", 10).unwrap();
        assert!(table.change(a, Standing::Joined, Standing::Free));
        let c = join(&mut table, "/c", 10).unwrap();
        assert_eq!(c.index(), a.index());
        assert_eq!((table.name(a), table.name(c)), (None, Some("/c")));
        assert!(
            !table.change(a, Standing::Joined, Standing::Free),
            "stale key"
        );
        assert_eq!(table.joined().collect::<Vec<_>>(), [c, b]);
    }

    #[test]
    fn left_places_are_the_last_to_be_taken() {
        let mut table = Namespaces::default();
        let a = join(&mut table, "/a", 2).unwrap();
        table.change(a, Standing::Joined, Standing::Left);
        assert_eq!(join(&mut table, "/b", 2).unwrap().index(), 1);
        assert_eq!(table.find("/a"), Some((a, Standing::Left)));
        assert_eq!(join(&mut table, "/c", 2).unwrap().index(), 0);
        assert_eq!(table.find("/a"), None);
        assert_eq!(table.open("/d", 2), None);
    }

    #[test]
    fn rejoining_takes_the_place_that_was_left() {
        let mut table = Namespaces::default();
        let a = join(&mut table, "/a", 10).unwrap();
        table.change(a, Standing::Joined, Standing::Left);
        let again = join(&mut table, "/a", 10).unwrap();
        assert_eq!(again.index(), a.index());
        assert_ne!(again, a);
    }
}
