//! Who has answered a request, and who has not.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use sockeye_cluster_proto::NodeId;

/// The answers to one request: how many are expected, and how many have come.
///
/// Each server answers once. Where its answer is a number of clients, as many answers of these belong to it, which may come
/// before the number. Whoever is not expected and answers is heard as well, so that a server that has just come is not left
/// out; and whoever answers twice is heard once, where it is said who it is.
#[derive(Debug)]
pub(super) struct Tally {
    expect: Expect,
    /// Servers that have answered without saying who they are.
    nameless: usize,
    /// The clients of these.
    of_nameless: Clients,
    shares: HashMap<NodeId, Share, RandomState>,
}

/// Who is to answer.
#[derive(Debug)]
pub(super) enum Expect {
    /// The engine is asked how many there are, and has not said it.
    Unknown,
    /// So many servers, of which it is not known which.
    Count(usize),
    /// These servers.
    Nodes(HashSet<NodeId, RandomState>),
}

/// Which of those that have answered before are there, as far as the engine was asked and has said it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) there: HashSet<NodeId, RandomState>,
    pub(super) gone: Vec<NodeId>,
}

/// The part that one server has.
#[derive(Debug, Default)]
struct Share {
    has_answered: bool,
    clients: Clients,
    /// Clients that will not answer, as their server is gone. It may be there still, and they may.
    lost: usize,
}

#[derive(Debug, Default)]
struct Clients {
    /// How many were asked, as far as is known, and are not lost.
    asked: usize,
    /// How many have answered.
    acked: usize,
}

impl Clients {
    /// How many are waited for. Whoever answers before it is known how many there are stands in for nobody of another server.
    const fn missing(&self) -> usize {
        self.asked.saturating_sub(self.acked)
    }
}

impl Tally {
    pub(super) fn new(expect: Expect) -> Self {
        Self {
            expect,
            nameless: 0,
            of_nameless: Clients::default(),
            shares: HashMap::default(),
        }
    }

    /// The engine says how many others there are, and of some who have answered whether they are there. Later on there may be
    /// fewer of them; who comes later was not asked. Whoever is gone may be one of those that have answered, unless these are
    /// known to be there, so that all others who are left may have to answer yet. Says how many clients will not answer, as
    /// their server is gone.
    pub(super) fn counted(&mut self, others: usize, found: &Found) -> usize {
        let answered = self.nodes();
        let is_there =
            |(node, share): &(&NodeId, &Share)| share.has_answered && found.there.contains(*node);
        let known = self.shares.iter().filter(is_there).count();
        match &mut self.expect {
            Expect::Unknown => self.expect = Expect::Count(others),
            Expect::Count(count) => {
                *count = (*count).min(answered + others.saturating_sub(known));
            }
            Expect::Nodes(_) => {}
        }
        found.gone.iter().map(|node| self.lost(node)).sum()
    }

    /// A server has answered, and has asked so many clients. Says whether it is heard.
    pub(super) fn answered(&mut self, from: Option<&NodeId>, clients: usize) -> bool {
        let Some(from) = from else {
            self.nameless += 1;
            let asked = &mut self.of_nameless.asked;
            *asked = asked.saturating_add(clients);
            return true;
        };
        let share = self.shares.entry(from.clone()).or_default();
        if share.has_answered {
            return false;
        }
        share.has_answered = true;
        share.clients.asked = clients;
        if let Expect::Nodes(nodes) = &mut self.expect {
            nodes.remove(from);
        }
        true
    }

    /// A client has answered. Says whether it is heard: not if it is one of those that were said to be lost.
    pub(super) fn acked(&mut self, from: Option<&NodeId>) -> bool {
        let Some(from) = from else {
            self.of_nameless.acked += 1;
            return true;
        };
        let share = self.shares.entry(from.clone()).or_default();
        if share.lost > 0 {
            share.lost -= 1;
            return false;
        }
        share.clients.acked += 1;
        true
    }

    /// A server is gone. Says how many of its clients will not answer.
    pub(super) fn gone(&mut self, node: &NodeId) -> usize {
        let share = self.shares.get(node);
        let has_answered = share.is_some_and(|share| share.has_answered);
        match &mut self.expect {
            Expect::Nodes(nodes) => drop(nodes.remove(node)),
            Expect::Count(count) if !has_answered => *count = count.saturating_sub(1),
            _ => {}
        }
        self.lost(node)
    }

    /// Says how many clients of a server that is gone will not answer.
    fn lost(&mut self, node: &NodeId) -> usize {
        let Some(share) = self.shares.get_mut(node) else {
            return 0;
        };
        let lost = share.clients.missing();
        share.clients.asked -= lost;
        share.lost += lost;
        lost
    }

    /// Whether nobody is waited for any more.
    pub(super) fn is_done(&self) -> bool {
        let mut shares = self.shares.values();
        self.missing() == 0
            && self.of_nameless.missing() == 0
            && shares.all(|share| share.clients.missing() == 0)
    }

    /// How many servers have not answered. Of those that nobody knows the number of, it is one.
    pub(super) fn missing(&self) -> usize {
        match &self.expect {
            Expect::Unknown => 1,
            Expect::Count(count) => count.saturating_sub(self.nodes()),
            Expect::Nodes(nodes) => nodes.len(),
        }
    }

    /// How many servers have answered.
    fn nodes(&self) -> usize {
        let shares = self.shares.values();
        self.nameless + shares.filter(|share| share.has_answered).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> NodeId {
        NodeId::new(name)
    }

    fn nodes(names: &[&str]) -> Tally {
        let names = names.iter().map(|name| id(name));
        Tally::new(Expect::Nodes(names.collect()))
    }

    #[test]
    fn all_that_are_known_have_to_answer() {
        let mut tally = nodes(&["a", "b"]);
        assert!(tally.answered(Some(&id("a")), 0));
        assert!(!tally.answered(Some(&id("a")), 0), "it is heard once");
        assert_eq!((tally.missing(), tally.is_done()), (1, false));
        assert!(tally.answered(Some(&id("new")), 0), "it has just come");
        assert!(!tally.is_done());
        assert!(tally.answered(Some(&id("b")), 0));
        assert!(tally.is_done());
    }

    #[test]
    fn as_many_as_the_engine_counts_have_to_answer() {
        let mut tally = Tally::new(Expect::Unknown);
        assert!(tally.answered(None, 0));
        assert_eq!((tally.missing(), tally.is_done()), (1, false));
        tally.counted(2, &Found::default());
        assert_eq!(tally.missing(), 1);
        tally.counted(5, &Found::default());
        assert_eq!(tally.missing(), 1, "who comes later was not asked");
        tally.counted(0, &Found::default());
        assert!(tally.is_done(), "the other is gone");
    }

    #[test]
    fn server_that_has_answered_and_is_gone_stands_in_for_no_other() {
        let mut tally = Tally::new(Expect::Count(3));
        tally.counted(2, &Found::default());
        assert_eq!(
            tally.missing(),
            2,
            "none of those that have answered is gone"
        );
        assert!(tally.answered(None, 0));
        tally.counted(1, &Found::default());
        assert_eq!(tally.missing(), 1, "it may be the one that has answered");
        assert!(tally.answered(None, 0));
        assert!(tally.is_done());
    }

    #[test]
    fn nobody_else_is_nobody_to_wait_for() {
        assert!(nodes(&[]).is_done());
        let mut tally = Tally::new(Expect::Unknown);
        tally.counted(0, &Found::default());
        assert!(tally.is_done());
    }

    #[test]
    fn answers_of_clients_may_come_before_their_number() {
        let mut tally = Tally::new(Expect::Count(1));
        tally.acked(None);
        tally.acked(None);
        assert!(!tally.is_done());
        tally.answered(None, 3);
        assert!(!tally.is_done());
        tally.acked(None);
        assert!(tally.is_done());
    }

    #[test]
    fn server_that_goes_takes_its_clients_with_it() {
        let mut tally = nodes(&["a", "b", "c"]);
        tally.answered(Some(&id("a")), 3);
        tally.acked(Some(&id("a")));
        tally.answered(Some(&id("b")), 1);
        assert_eq!(tally.gone(&id("a")), 2);
        assert_eq!(tally.gone(&id("a")), 0);
        assert_eq!(tally.gone(&id("c")), 0);
        assert!(!tally.is_done());
        tally.acked(Some(&id("b")));
        assert!(tally.is_done());
    }

    #[test]
    fn clients_of_a_server_that_is_gone_stand_in_for_no_others() {
        let mut tally = nodes(&["a", "b", "c"]);
        assert!(tally.acked(Some(&id("c"))), "its number is not known yet");
        assert_eq!(tally.gone(&id("c")), 0);
        tally.answered(Some(&id("a")), 1);
        assert_eq!(tally.gone(&id("a")), 1);
        tally.answered(Some(&id("b")), 2);
        assert!(!tally.acked(Some(&id("a"))), "it was lost");
        assert!(tally.acked(Some(&id("b"))));
        assert!(!tally.is_done());
        assert!(tally.acked(Some(&id("b"))));
        assert!(tally.is_done());
    }

    #[test]
    fn server_that_goes_is_one_less_to_be_counted() {
        let mut tally = Tally::new(Expect::Count(2));
        tally.answered(Some(&id("a")), 0);
        tally.gone(&id("a"));
        assert_eq!(tally.missing(), 1, "it had answered");
        tally.gone(&id("b"));
        assert!(tally.is_done());
    }

    fn found(there: &[&str], gone: &[&str]) -> Found {
        let ids = |names: &[&str]| names.iter().map(|name| id(name)).collect::<Vec<_>>();
        Found {
            there: ids(there).into_iter().collect(),
            gone: ids(gone),
        }
    }

    #[test]
    fn server_that_is_gone_is_not_waited_for_where_those_that_answered_are_there() {
        let mut tally = Tally::new(Expect::Count(2));
        tally.answered(Some(&id("a")), 0);
        assert_eq!(tally.counted(1, &found(&[], &[])), 0);
        assert_eq!(tally.missing(), 1, "it may be the one that has answered");
        tally.counted(1, &found(&[], &["a"]));
        assert_eq!(tally.missing(), 1, "it is");
        tally.counted(1, &found(&["a"], &[]));
        assert!(tally.is_done(), "it is another one");
    }

    #[test]
    fn clients_of_a_counted_server_that_is_gone_are_lost() {
        let mut tally = Tally::new(Expect::Count(2));
        tally.answered(Some(&id("a")), 1);
        tally.acked(Some(&id("a")));
        tally.answered(Some(&id("b")), 3);
        tally.acked(Some(&id("b")));
        assert_eq!(tally.counted(1, &found(&["a"], &["b", "c"])), 2);
        assert!(tally.is_done());
        assert_eq!(tally.counted(1, &found(&["a"], &["b"])), 0, "once");
    }
}
