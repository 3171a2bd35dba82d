//! What is known of the number of servers.

use std::time::Instant;

/// What the engine has said to the question how many servers there are.
#[derive(Debug)]
pub(crate) struct Census {
    /// How many others there were before the last outage.
    pub(crate) before: usize,
    /// How many there were last, and when that was asked.
    pub(crate) last: usize,
    pub(crate) asked: Instant,
    pub(crate) is_asking: bool,
}

impl Census {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            before: 0,
            last: 0,
            asked: now,
            is_asking: false,
        }
    }

    /// There are so many, with this one.
    pub(crate) const fn counted(&mut self, nodes: usize, asked: Instant) {
        self.last = nodes.saturating_sub(1);
        self.asked = asked;
    }

    /// The engine is there again after an outage, or after another one in which not all were back yet.
    pub(crate) fn begin_again(&mut self, is_held: bool) {
        self.before = match is_held {
            true => self.before.max(self.last),
            false => self.last,
        };
    }

    /// How many others there were before the last outage, or have come since.
    pub(crate) fn most_lately(&self) -> usize {
        self.before.max(self.last)
    }

    /// Whether as many have been counted since then as there were before.
    pub(crate) fn is_complete_since(&self, then: Instant) -> bool {
        self.before == 0 || (self.asked > then && self.last >= self.before)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn those_are_waited_for_who_were_there_right_before_the_outage() {
        let start = Instant::now();
        let second = |seconds| start + Duration::from_secs(seconds);
        let mut census = Census::new(start);
        census.begin_again(false);
        assert!(census.is_complete_since(second(1)), "nobody is known");
        census.counted(4, second(2));
        census.counted(3, second(3));
        census.begin_again(false);
        assert!(!census.is_complete_since(second(4)), "that was before");
        census.counted(2, second(5));
        assert!(!census.is_complete_since(second(4)), "one is not back");
        census.begin_again(true);
        census.counted(2, second(7));
        assert!(!census.is_complete_since(second(6)), "nor is it now");
        census.counted(3, second(8));
        assert!(
            census.is_complete_since(second(6)),
            "who left is not missed"
        );
    }
}
