//! In which order the change stream has given what sockets may come back to.
//!
//! Ids of documents are made by who inserts them: they have a clock and a number of each server in them, and are in no order
//! that counts. The only one that all servers agree upon is that of the change stream. What a socket has missed is therefore
//! told by a list of ids in that order, rather than by looking for greater ids as Node's servers do, who miss or repeat what
//! several servers have emitted within a second.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use mongodb::bson::oid::ObjectId;

/// The last ids of each namespace.
#[derive(Debug, Default)]
pub(crate) struct Order(HashMap<Arc<str>, Ids>);

#[derive(Debug, Default)]
struct Ids {
    ids: VecDeque<ObjectId>,
    /// All that there was since then is known, in seconds since 1970.
    complete_since: Option<u32>,
}

/// How many are known of a namespace: 3 MiB.
pub(crate) const MAX_IDS: usize = 1 << 18;

/// What stands between two places.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// These documents, from behind the first place to the second.
    Ids(Vec<ObjectId>),
    /// The first is behind the second.
    Ahead,
    /// The first is not known, and may be before all that is: this is the oldest.
    Before(ObjectId),
    /// The second is not known, so that nothing can be said.
    Unknown,
}

impl Order {
    pub(crate) fn push(&mut self, namespace: &str, id: ObjectId) {
        let known = match self.0.get_mut(namespace) {
            Some(known) => known,
            None => self.0.entry(namespace.into()).or_default(),
        };
        if known.ids.len() == MAX_IDS {
            known.ids.pop_front();
            known.complete_since = None;
        }
        known.ids.push_back(id);
    }

    /// Puts what came earlier, since this time, before all that is known, if that is still so.
    pub(crate) fn prepend(
        &mut self,
        namespace: &str,
        (since, earlier): (u32, &[ObjectId]),
        first: ObjectId,
    ) {
        if let Some(known) = self.0.get_mut(namespace)
            && known.ids.front() == Some(&first)
        {
            let room = MAX_IDS - known.ids.len();
            for id in earlier.iter().rev().take(room) {
                known.ids.push_front(*id);
            }
            known.complete_since = (earlier.len() <= room).then_some(since);
        }
    }

    pub(crate) fn between(&self, namespace: &str, from: ObjectId, to: ObjectId) -> Span {
        let Some(Ids { ids, .. }) = self.0.get(namespace) else {
            return Span::Unknown;
        };
        // Most come back to what was lately.
        let place = |id| ids.iter().rposition(|known| *known == id);
        let Some(to) = place(to) else {
            return Span::Unknown;
        };
        match place(from) {
            Some(from) if from > to => Span::Ahead,
            Some(from) => Span::Ids(ids.range(from + 1..=to).copied().collect()),
            None => Span::Before(ids[0]),
        }
    }

    /// Whether all that there was since a time is known.
    pub(crate) fn is_complete(&self, namespace: &str, since: u32) -> bool {
        let complete = self.0.get(namespace).and_then(|known| known.complete_since);
        complete.is_some_and(|complete| complete <= since)
    }

    /// Whether what came earlier has no place any more.
    pub(crate) fn is_full(&self, namespace: &str) -> bool {
        let known = self.0.get(namespace);
        known.is_some_and(|known| known.ids.len() == MAX_IDS)
    }

    pub(crate) fn forget(&mut self, namespace: &str) {
        self.0.remove(namespace);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ObjectId {
        ObjectId::from_bytes([number; 12])
    }

    fn order(numbers: &[u8]) -> Order {
        let mut order = Order::default();
        for number in numbers {
            order.push("/", id(*number));
        }
        order
    }

    #[test]
    fn order_is_that_in_which_they_came() {
        let order = order(&[5, 3, 9, 1]);
        let between = |from, to| order.between("/", id(from), id(to));
        assert_eq!(between(5, 1), Span::Ids(vec![id(3), id(9), id(1)]));
        assert_eq!(between(3, 9), Span::Ids(vec![id(9)]));
        assert_eq!(between(9, 9), Span::Ids(Vec::new()));
        assert_eq!(between(1, 3), Span::Ahead);
        assert_eq!(between(7, 1), Span::Before(id(5)));
        assert_eq!(between(5, 7), Span::Unknown);
        assert_eq!(order.between("/a", id(5), id(1)), Span::Unknown);
    }

    #[test]
    fn what_was_earlier_is_put_before_what_is_known() {
        let mut order = order(&[5, 3]);
        order.prepend("/", (7, &[id(8), id(2)]), id(5));
        let between = |order: &Order| order.between("/", id(8), id(3));
        let expected = Span::Ids(vec![id(2), id(5), id(3)]);
        assert_eq!(between(&order), expected);
        assert!(order.is_complete("/", 7) && !order.is_complete("/", 6));
        // Somebody else has done so meanwhile.
        order.prepend("/", (6, &[id(8), id(2)]), id(5));
        assert_eq!(between(&order), expected);
        assert!(!order.is_complete("/", 6));
        // What is known of a namespace that is there again begins anew.
        order.forget("/");
        order.push("/", id(5));
        assert!(!order.is_complete("/", 7));
    }

    #[test]
    fn no_more_than_so_many_are_known() {
        let mut order = order(&[1]);
        order.prepend("/", (7, &[]), id(1));
        for _ in 0..MAX_IDS {
            order.push("/", id(2));
        }
        assert!(order.is_full("/") && !order.is_complete("/", 7));
        assert_eq!(order.between("/", id(1), id(2)), Span::Before(id(2)));
        order.prepend("/", (7, &[id(1)]), id(2));
        assert_eq!(order.between("/", id(1), id(2)), Span::Before(id(2)));
        assert!(!order.is_complete("/", 7));
    }
}
