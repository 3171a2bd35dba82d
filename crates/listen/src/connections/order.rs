//! Who makes room first, found without looking at all there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::peer_origin::PeerOrigin;

/// Those who may make room, each listed under a time before which it cannot be done without.
///
/// They become of use and useless all the time, and nobody is told here. Whoever is listed may have been of use since
/// then, which is found out when its turn comes: so a look costs something only for those who have done something
/// since the one before. And nothing is ranked before somebody asks for the first, which is never where there is room.
pub(super) struct Order<T> {
    /// From when on times are counted, as numbers take half as much.
    epoch: Instant,
    /// By time: those that were not ranked yet, among them those whose time is still to come.
    coming: BTreeMap<(u64, u64), T>,
    /// By place and time.
    ranked: BTreeMap<(PeerOrigin, u64, u64), T>,
    /// The first of each place.
    firsts: BTreeSet<First>,
    /// How many were ranked or taken, each of which costs a look at it.
    #[cfg(test)]
    pub(super) looks: usize,
}

/// One who may make room.
pub(super) trait Listed {
    /// No other has it. Of those with the same time, the lower one goes first.
    fn number(&self) -> u64;

    fn place(&self) -> &Place;
}

/// From where some are. Changed by their order only.
pub(super) struct Place {
    pub(super) origin: PeerOrigin,
    /// How many are from there, listed or not.
    count: AtomicUsize,
    ranked: AtomicUsize,
}

/// First those from where most are, then those whose time is the longest ago.
type First = (Reverse<usize>, u64, u64, PeerOrigin);

type Ranked<T> = BTreeMap<(PeerOrigin, u64, u64), T>;

impl Place {
    pub(super) const fn new(origin: PeerOrigin) -> Self {
        Self {
            origin,
            count: AtomicUsize::new(0),
            ranked: AtomicUsize::new(0),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many of those that are from there are ranked.
    pub(super) fn ranked(&self) -> usize {
        self.ranked.load(Ordering::Relaxed)
    }
}

impl<T: Listed> Order<T> {
    pub(super) const fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            coming: BTreeMap::new(),
            ranked: BTreeMap::new(),
            firsts: BTreeSet::new(),
            #[cfg(test)]
            looks: 0,
        }
    }

    /// Lists one that can be done without from this time on, or later.
    pub(super) fn insert(&mut self, time: Instant, one: T) {
        let time = self.count_time(time);
        self.coming.insert((time, one.number()), one);
    }

    /// Strikes off one that is listed under this time.
    pub(super) fn remove(&mut self, time: Instant, one: &T) {
        let (time, number) = (self.count_time(time), one.number());
        if self.coming.remove(&(time, number)).is_none() {
            self.take((one.place().origin, time, number));
        }
    }

    /// One more is from there.
    pub(super) fn enter(&mut self, place: &Place) {
        self.change(place.origin, place.ranked() > 0, |_| {
            place.count.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// One is gone; how many are left there.
    pub(super) fn leave(&mut self, place: &Place) -> usize {
        self.change(place.origin, place.ranked() > 0, |_| {
            place.count.fetch_sub(1, Ordering::Relaxed) - 1
        })
    }

    /// Ranks those whose time has come, the first so many of them; whether these were all.
    pub(super) fn rank(&mut self, now: Instant, most: usize) -> bool {
        let now = self.count_time(now);
        for _ in 0..most {
            let due = self.coming.first_entry().filter(|due| due.key().0 <= now);
            let Some(due) = due else {
                return true;
            };
            let ((time, number), one) = due.remove_entry();
            #[cfg(test)]
            self.count_look();
            let origin = one.place().origin;
            self.change(origin, true, |ranked| {
                one.place().ranked.fetch_add(1, Ordering::Relaxed);
                ranked.insert((origin, time, number), one);
            });
        }
        false
    }

    /// The first of those that are ranked; of those from one place, if it is given.
    pub(super) fn first(&self, among: Option<PeerOrigin>) -> Option<&T> {
        self.ranked.get(&self.first_key(among)?)
    }

    /// Strikes off the [first](Self::first).
    pub(super) fn take_first(&mut self, among: Option<PeerOrigin>) -> Option<T> {
        let key = self.first_key(among)?;
        #[cfg(test)]
        self.count_look();
        self.take(key)
    }

    fn take(&mut self, key: (PeerOrigin, u64, u64)) -> Option<T> {
        self.change(key.0, true, |ranked| {
            let one = ranked.remove(&key)?;
            one.place().ranked.fetch_sub(1, Ordering::Relaxed);
            Some(one)
        })
    }

    /// Changes something about a place, which may have some that are ranked.
    fn change<R>(
        &mut self,
        origin: PeerOrigin,
        is_ranked: bool,
        change: impl FnOnce(&mut Ranked<T>) -> R,
    ) -> R {
        if !is_ranked {
            return change(&mut self.ranked);
        }
        let before = self.first_from(origin);
        let result = change(&mut self.ranked);
        let after = self.first_from(origin);
        if before != after {
            if let Some(before) = before {
                self.firsts.remove(&before);
            }
            self.firsts.extend(after);
        }
        result
    }

    fn first_from(&self, origin: PeerOrigin) -> Option<First> {
        let (&(from, time, number), one) = self.ranked.range((origin, 0, 0)..).next()?;
        (from == origin).then(|| (Reverse(one.place().count()), time, number, origin))
    }

    fn first_key(&self, among: Option<PeerOrigin>) -> Option<(PeerOrigin, u64, u64)> {
        let (_, time, number, origin) = match among {
            Some(origin) => self.first_from(origin)?,
            None => *self.firsts.first()?,
        };
        Some((origin, time, number))
    }

    fn count_time(&self, time: Instant) -> u64 {
        let nanos = time.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.coming.is_empty() && self.ranked.is_empty() && self.firsts.is_empty()
    }

    #[cfg(test)]
    const fn count_look(&mut self) {
        self.looks += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[derive(Clone)]
    struct One(u64, Arc<Place>);

    impl Listed for One {
        fn number(&self) -> u64 {
            self.0
        }

        fn place(&self) -> &Place {
            &self.1
        }
    }

    /// An order, and two places from which there are so many.
    fn order(counts: [usize; 2]) -> (Order<One>, [Arc<Place>; 2], Instant) {
        let epoch = Instant::now();
        let mut order = Order::new(epoch);
        let mut number = 0;
        let places = counts.map(|count| {
            number += 1;
            let place = Place::new(PeerOrigin::V4(Ipv4Addr::new(10, 0, 0, number)));
            (0..count).for_each(|_| order.enter(&place));
            Arc::new(place)
        });
        (order, places, epoch)
    }

    const MOMENT: Duration = Duration::from_secs(1);

    fn take_all(order: &mut Order<One>, among: Option<PeerOrigin>) -> Vec<u64> {
        std::iter::from_fn(|| order.take_first(among))
            .map(|one| one.0)
            .collect()
    }

    #[test]
    fn most_come_first_and_of_these_the_oldest() {
        let (mut order, [few, many], epoch) = order([2, 3]);
        for (number, after, place) in [(0, 1, &few), (1, 3, &many), (2, 2, &many), (3, 2, &many)] {
            order.insert(epoch + after * MOMENT, One(number, Arc::clone(place)));
        }
        assert!(order.first(None).is_none(), "nobody has asked for an order");
        assert!(order.rank(epoch + 3 * MOMENT, 9));
        assert_eq!(take_all(&mut order, None), [2, 3, 1, 0]);
        assert!(order.firsts.is_empty() && few.ranked() + many.ranked() == 0);
    }

    #[test]
    fn who_comes_and_goes_counts_at_once() {
        let (mut order, [some, others], epoch) = order([2, 2]);
        order.insert(epoch, One(0, Arc::clone(&some)));
        order.insert(epoch + MOMENT, One(1, Arc::clone(&others)));
        assert!(order.rank(epoch + MOMENT, 9));
        let first = |order: &Order<One>| order.first(None).unwrap().0;
        assert_eq!(first(&order), 0, "as many are from there");
        order.enter(&others);
        assert_eq!(first(&order), 1);
        order.leave(&others);
        order.leave(&others);
        assert_eq!(first(&order), 0);
        assert_eq!(order.first(Some(others.origin)).unwrap().0, 1);
    }

    #[test]
    fn whose_time_is_to_come_is_not_ranked() {
        let (mut order, [place, _], epoch) = order([3, 0]);
        for number in 0..3 {
            let time = epoch + u32::try_from(number).unwrap() * MOMENT;
            order.insert(time, One(number, Arc::clone(&place)));
        }
        assert!(order.rank(epoch, 9));
        assert_eq!(take_all(&mut order, None), [0]);
        assert!(order.rank(epoch, 9));
        assert!(order.first(Some(place.origin)).is_none());
        assert!(!order.rank(epoch + 2 * MOMENT, 1), "there is another one");
        assert!(order.rank(epoch + 2 * MOMENT, 2));
        assert_eq!(take_all(&mut order, Some(place.origin)), [1, 2]);
    }

    #[test]
    fn who_is_struck_off_is_so_wherever_it_was() {
        let (mut order, [place, other], epoch) = order([2, 1]);
        let [first, second, third] = [0, 1, 2].map(|number| One(number, Arc::clone(&place)));
        order.insert(epoch, first.clone());
        order.insert(epoch, second.clone());
        order.insert(epoch, One(3, Arc::clone(&other)));
        assert!(order.rank(epoch, 9));
        order.insert(epoch, third.clone());
        order.remove(epoch, &first);
        order.remove(epoch, &third);
        assert_eq!((order.first(None).unwrap().0, place.ranked()), (1, 1));
        order.remove(epoch, &second);
        order.remove(epoch, &second);
        assert_eq!(place.ranked(), 0);
        assert_eq!(take_all(&mut order, None), [3]);
        assert!(order.coming.is_empty());
    }
}
