use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

use parking_lot::RwLock;

/// Values by their type: what handlers get with the `State` extractor, and a socket's own data.
#[derive(Default)]
pub struct StateMap {
    values: RwLock<HashMap<TypeId, Box<dyn Any + Send + Sync>, foldhash::fast::RandomState>>,
}

impl StateMap {
    /// Stores a value, replacing an earlier one of the same type.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) {
        let replaced = self
            .values
            .write()
            .insert(TypeId::of::<T>(), Box::new(value));
        // Behind the lock: it may be anything.
        drop(replaced);
    }

    /// A clone of the value of type `T`, if one was stored.
    #[must_use]
    pub fn cloned<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.values
            .read()
            .get(&TypeId::of::<T>())?
            .downcast_ref::<T>()
            .cloned()
    }

    /// Takes the value of type `T` out.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let value = self.values.write().remove(&TypeId::of::<T>())?;
        value.downcast::<T>().ok().map(|value| *value)
    }
}

impl fmt::Debug for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMap")
            .field("len", &self.values.read().len())
            .finish()
    }
}
