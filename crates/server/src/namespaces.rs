//! All namespaces of a server: those that are there, and those that may come.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sockeye_adapter::Budget;
use sockeye_events::{Snapshot, StateMap};

use crate::directory::{Directory, Lasting, Lent};
use crate::family::Family;
use crate::namespace::{NamespaceCore, Origin, SharedFamily};
use crate::pattern::Ranges;
use crate::{Handshake, Namespace, NamespaceRequest, ServerConfig, Socket};

/// The namespaces of a server.
pub(crate) struct Namespaces {
    config: Arc<ServerConfig>,
    state: Arc<StateMap>,
    there: Arc<Directory<NamespaceCore>>,
    /// In the order in which they are asked about a name.
    families: Snapshot<Vec<SharedFamily>>,
    /// Who is told of new namespaces.
    watchers: Snapshot<Vec<Watcher>>,
    /// What those that are made on demand may keep for sockets that come back.
    budget: Option<Arc<Budget>>,
}

type Watcher = Arc<dyn Fn(&Namespace) + Send + Sync>;

/// How many namespaces are there that were made because one peer asked for them: each has a share of this.
#[derive(Default)]
pub(crate) struct Made(Option<Arc<()>>);

impl Made {
    fn count(&self) -> usize {
        let shared = self.0.as_ref();
        shared.map_or(0, |shared| Arc::strong_count(shared) - 1)
    }

    /// The share of one more.
    fn share(&mut self) -> Arc<()> {
        Arc::clone(self.0.get_or_insert_default())
    }

    /// Whether none was ever made.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// What is to be done about a peer that asks for a namespace.
pub(crate) enum Entrance {
    Open(Namespace),
    /// Somebody has to decide first. Gives the family that the namespace is of, or nothing.
    Asked(BoxFuture<'static, Option<SharedFamily>>),
    Closed(NoEntrance),
}

/// Why there is no namespace for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoEntrance {
    /// Nobody has made it, and it is of no kind that is made on demand.
    Unknown,
    /// As many were made on demand as may be, in all or because this peer has asked.
    Full,
    /// The peer has more `auth` data than it may.
    Auth,
}

impl Namespaces {
    pub(crate) fn new(config: Arc<ServerConfig>, state: Arc<StateMap>) -> Self {
        let budget = config.recovery.map(|recovery| recovery.max_dynamic_bytes);
        Self {
            budget: budget.map(|bytes| Arc::new(Budget::new(bytes))),
            config,
            state,
            there: Arc::default(),
            families: Snapshot::default(),
            watchers: Snapshot::default(),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Namespace> {
        self.there.find(name).map(Namespace::from)
    }

    pub(crate) fn all(&self) -> Vec<Namespace> {
        let all = self.there.all().into_iter();
        all.map(Namespace::from).collect()
    }

    /// The namespace of this name for as long as the server lives, made if need be. It is of the first family that the name
    /// looks like; functions are not asked.
    pub(crate) fn keep(&self, name: &str) -> Namespace {
        if self.there.is_kept(name)
            && let Some(namespace) = self.find(name)
        {
            return namespace;
        }
        let origin = match self.family_of(name) {
            Some((family, captures)) => self.origin(family, captures, None),
            None => Origin::Made,
        };
        let (namespace, is_new) = self.there.keep(name, || self.make(name, origin));
        let namespace = Namespace::from(namespace);
        if is_new {
            self.announce(&namespace);
        }
        namespace
    }

    /// The namespace of this name, made on demand as one of this family if need be: for as long as it is in use. If it is a
    /// peer who asks, its namespaces are given.
    pub(crate) fn lend(
        &self,
        name: &str,
        family: &SharedFamily,
        made: Option<&mut Made>,
    ) -> Result<Namespace, NoEntrance> {
        let captures = family.matched(name).unwrap_or_default();
        let lasting = match self.config.cleanup_empty_namespaces {
            true => Lasting::WhileUsed,
            false => Lasting::ForEver,
        };
        let own_max = self.config.max_dynamic_namespaces_per_connection;
        let has_enough = made.as_ref().is_some_and(|made| made.count() >= own_max);
        let max = (!has_enough).then_some(self.config.max_dynamic_namespaces);
        let make = || {
            let share = made.map(Made::share);
            self.make(name, self.origin(Arc::clone(family), captures, share))
        };
        match self.there.lend(name, max, lasting, make) {
            Lent::Found(namespace) => Ok(namespace.into()),
            Lent::Made(namespace, shed) => {
                if let Some(shed) = shed {
                    shed.give_up_kept();
                }
                let namespace = namespace.into();
                self.announce(&namespace);
                Ok(namespace)
            }
            Lent::Full => Err(NoEntrance::Full),
        }
    }

    /// A peer asks for a namespace.
    pub(crate) fn enter(
        &self,
        name: &str,
        made: &mut Made,
        handshake: impl FnOnce() -> Handshake,
    ) -> Entrance {
        let asked = |families: Vec<SharedFamily>| {
            let request = NamespaceRequest::new(name, handshake(), Arc::clone(&self.state));
            Entrance::Asked(Box::pin(choose(families, request)))
        };
        if let Some(namespace) = self.find(name) {
            // Who decides by more than the name wants to be asked about each peer, and not just the first.
            return match namespace.family().filter(|family| family.asks()) {
                Some(family) if !self.there.is_kept(name) => asked(vec![Arc::clone(family)]),
                _ => {
                    self.announce(&namespace);
                    Entrance::Open(namespace)
                }
            };
        }
        let families = self.families.load();
        if families.iter().any(|family| family.asks()) {
            return asked(families.to_vec());
        }
        let Some((family, _)) = self.family_of(name) else {
            return Entrance::Closed(NoEntrance::Unknown);
        };
        match self.enter_family(name, &family, made) {
            Ok(namespace) => Entrance::Open(namespace),
            Err(why) => Entrance::Closed(why),
        }
    }

    /// A peer may have the namespace of this name, as one of this family.
    pub(crate) fn enter_family(
        &self,
        name: &str,
        family: &SharedFamily,
        made: &mut Made,
    ) -> Result<Namespace, NoEntrance> {
        let namespace = self.lend(name, family, Some(made))?;
        // It may have come meanwhile, for a peer that another function has accepted, and not this one.
        let other = namespace.family().filter(|of| !Arc::ptr_eq(of, family));
        if other.is_some_and(|other| other.asks()) && !self.there.is_kept(name) {
            return Err(NoEntrance::Unknown);
        }
        self.announce(&namespace);
        Ok(namespace)
    }

    /// The family of this kind, which is put behind the others if there is none.
    pub(crate) fn family_or_new(
        &self,
        is_it: impl Fn(&Family<Socket>) -> bool,
        new: Family<Socket>,
    ) -> SharedFamily {
        self.families.update(|families| {
            if let Some(family) = families.iter().find(|family| is_it(family)) {
                return Arc::clone(family);
            }
            let family = Arc::new(new);
            families.push(Arc::clone(&family));
            family
        })
    }

    pub(crate) fn watch(&self, watcher: impl Fn(&Namespace) + Send + Sync + 'static) {
        self.watchers
            .update(|watchers| watchers.push(Arc::new(watcher)));
    }

    /// The first family that a name looks like.
    fn family_of(&self, name: &str) -> Option<(SharedFamily, Ranges)> {
        let families = self.families.load();
        families
            .iter()
            .find_map(|family| Some((Arc::clone(family), family.matched(name)?)))
    }

    fn origin(&self, family: SharedFamily, captures: Ranges, share: Option<Arc<()>>) -> Origin {
        Origin::Asked {
            family,
            captures,
            share,
            directory: Arc::downgrade(&self.there),
            budget: self.budget.clone(),
        }
    }

    fn make(&self, name: &str, origin: Origin) -> NamespaceCore {
        let (config, state) = (Arc::clone(&self.config), Arc::clone(&self.state));
        NamespaceCore::new(name, config, state, origin)
    }

    /// Tells of a new namespace, if that was not done; returns when it is. So nobody joins it before those who are told
    /// have given it its handlers. Who is told may find it and make others, but lets nobody in: so nobody waits for
    /// themselves.
    fn announce(&self, namespace: &Namespace) {
        namespace.announce(|| {
            if namespace.name() == "/" {
                return;
            }
            for watcher in self.watchers.load().iter() {
                if catch_unwind(AssertUnwindSafe(|| watcher(namespace))).is_err() {
                    tracing::error!("a watcher of namespaces panicked");
                }
            }
        });
    }
}

/// Asks one family after the other.
async fn choose(families: Vec<SharedFamily>, request: NamespaceRequest) -> Option<SharedFamily> {
    for family in families {
        if family.takes(&request).await {
            return Some(family);
        }
    }
    None
}
