use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

/// Values that handlers get with the `State` extractor, one per type.
#[derive(Default)]
pub struct StateMap {
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>, foldhash::fast::RandomState>,
}

impl StateMap {
    /// Stores a value, replacing an earlier one of the same type.
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// A clone of the value of type `T`, if one was stored.
    #[must_use]
    pub fn cloned<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref::<T>().cloned()
    }
}

impl fmt::Debug for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMap").field("len", &self.values.len()).finish()
    }
}
