use std::fmt;

/// A list that is nearly always empty: it is one pointer then, where a vector would be three words.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Seldom<T>(
    #[expect(
        clippy::box_collection,
        reason = "every idle connection has some of these, and nothing in them"
    )]
    Option<Box<Vec<T>>>,
);

impl<T> Seldom<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn push(&mut self, item: T) {
        self.0.get_or_insert_default().push(item);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|list| list.iter())
    }

    /// Everything that is in it, which it is not then any more.
    pub(crate) fn take(&mut self) -> Vec<T> {
        self.0.take().map_or_else(Vec::new, |list| *list)
    }
}

impl<T: fmt::Debug> fmt::Debug for Seldom<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
