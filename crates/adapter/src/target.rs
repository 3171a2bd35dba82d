//! Whom a broadcast is for.

use std::{borrow::Cow, fmt, sync::Arc};

/// The sockets that a broadcast, a fetch or a mass join means: those in any of some rooms, less those in others.
///
/// With no room named it means the whole namespace. A socket id is a room with that one socket in it, and with
/// whoever else joined a room of that name. Each socket is meant once, however many of the rooms it is in.
///
/// Naming a room twice changes nothing. Names of rooms that do not exist match nobody; a target whose rooms are all
/// unknown is therefore nobody, not everybody.
///
/// Cost: one allocation for a name that is not yet an `Arc<str>`, and one list for the second room of a kind.
///
/// # Examples
///
/// ```
/// use sockeye_adapter::Target;
///
/// let target = Target::all().to("news").to(["sport", "weather"]).except("muted");
/// assert_eq!(target.rooms().collect::<Vec<_>>(), ["news", "sport", "weather"]);
/// assert_eq!(target.excepted().collect::<Vec<_>>(), ["muted"]);
/// assert!(Target::default().is_all());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Target {
    rooms: Names,
    except: Names,
}

impl Target {
    /// The whole namespace.
    pub const fn all() -> Self {
        Self {
            rooms: Names::None,
            except: Names::None,
        }
    }

    /// Adds one room or several. The first one narrows the target from the whole namespace to that room.
    ///
    /// An empty list adds nothing, so that `Target::all().to(Vec::<String>::new())` is still the whole namespace,
    /// as it is in the JavaScript API.
    pub fn to<M>(mut self, rooms: impl RoomNames<M>) -> Self {
        rooms.add_to(&mut self.rooms);
        self
    }

    /// Leaves out the sockets that are in this room, or in any of these.
    pub fn except<M>(mut self, rooms: impl RoomNames<M>) -> Self {
        rooms.add_to(&mut self.except);
        self
    }

    /// The rooms named by [`to`](Self::to), in that order; none means the whole namespace.
    pub fn rooms(&self) -> impl ExactSizeIterator<Item = &str> {
        self.rooms.as_slice().iter().map(|name| &**name)
    }

    /// The same names, to keep.
    pub fn shared_rooms(&self) -> &[Arc<str>] {
        self.rooms.as_slice()
    }

    /// The rooms named by [`except`](Self::except), in that order.
    pub fn excepted(&self) -> impl ExactSizeIterator<Item = &str> {
        self.except.as_slice().iter().map(|name| &**name)
    }

    /// Whether this is the whole namespace without exception.
    pub fn is_all(&self) -> bool {
        matches!((&self.rooms, &self.except), (Names::None, Names::None))
    }
}

/// How many rooms, and not which: the id of a socket is one, and that of an old client is a secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("rooms", &self.rooms.as_slice().len())
            .field("except", &self.except.as_slice().len())
            .finish_non_exhaustive()
    }
}

/// One room name or several: anything that is a [`RoomName`], and any collection or iterator of them.
///
/// `M` tells the two apart and is always inferred: a function that takes rooms is generic over it and otherwise
/// ignores it.
///
/// # Examples
///
/// ```
/// use sockeye_adapter::{RoomNames, Target};
///
/// fn invite<M>(rooms: impl RoomNames<M>) -> Target {
///     Target::all().to(rooms).except("banned")
/// }
///
/// let owned = String::from("a");
/// invite("a");
/// invite(&owned);
/// invite(["a", "b"]);
/// invite(vec![owned]);
/// invite((1..4).map(|n| format!("table-{n}")));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name rooms",
    note = "give a `&str`, a `String` or an `Arc<str>`, or a collection or iterator of them"
)]
pub trait RoomNames<M> {
    #[doc(hidden)]
    fn add_to(self, names: &mut Names);
}

impl<T: RoomName> RoomNames<One> for T {
    fn add_to(self, names: &mut Names) {
        names.push(self.into_name());
    }
}

impl<I> RoomNames<Several> for I
where
    I: IntoIterator,
    I::Item: RoomName,
{
    fn add_to(self, names: &mut Names) {
        for name in self {
            names.push(name.into_name());
        }
    }
}

/// One room name. An `Arc<str>` is taken as it is, anything else is copied once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a room name",
    note = "room names are `&str`, `String`, `Cow<str>`, `Box<str>` or `Arc<str>`"
)]
pub trait RoomName {
    /// The name in the form in which a [`Target`] keeps it.
    fn into_name(self) -> Arc<str>;
}

impl RoomName for Arc<str> {
    fn into_name(self) -> Arc<str> {
        self
    }
}

impl RoomName for &Arc<str> {
    fn into_name(self) -> Arc<str> {
        Arc::clone(self)
    }
}

macro_rules! copied_room_name {
    ($($type:ty),*) => {$(
        impl RoomName for $type {
            fn into_name(self) -> Arc<str> {
                Arc::from(&self[..])
            }
        }
    )*};
}

copied_room_name!(&str, &&str, String, &String, Box<str>, Cow<'_, str>);

/// Marks one room name, see [`RoomNames`].
#[derive(Debug)]
pub enum One {}

/// Marks a collection of room names, see [`RoomNames`].
#[derive(Debug)]
pub enum Several {}

/// The names a [`Target`] keeps: mostly none or one, which then needs no list.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub enum Names {
    #[default]
    None,
    One(Arc<str>),
    Several(Vec<Arc<str>>),
}

impl Names {
    fn push(&mut self, name: Arc<str>) {
        match self {
            Self::None => *self = Self::One(name),
            Self::One(first) => *self = Self::Several(vec![Arc::clone(first), name]),
            Self::Several(names) => names.push(name),
        }
    }

    fn as_slice(&self) -> &[Arc<str>] {
        match self {
            Self::None => &[],
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_every_string_and_every_collection_of_them() {
        let name: Arc<str> = Arc::from("a");
        let (owned, list) = (String::from("c"), ["g", "h"]);
        let target = Target::all()
            .to("a")
            .to(String::from("b"))
            .to(&owned)
            .to(&name)
            .to(Cow::Borrowed("d"))
            .to(["e", "f"])
            .to(list.iter())
            .to(vec![Arc::clone(&name)])
            .to(Some("i"))
            .to((0..2).map(|n| n.to_string()));
        let rooms: Vec<&str> = target.rooms().collect();
        assert_eq!(
            rooms,
            [
                "a", "b", "c", "a", "d", "e", "f", "g", "h", "a", "i", "0", "1"
            ]
        );
    }

    #[test]
    fn shared_name_is_not_copied() {
        let name: Arc<str> = Arc::from("a");
        let _target = Target::all().except(&name);
        assert_eq!(Arc::strong_count(&name), 2);
    }

    #[test]
    fn empty_list_leaves_target_as_it_was() {
        assert!(Target::all().to(Vec::<String>::new()).is_all());
        assert!(!Target::all().except("a").is_all());
    }

    #[test]
    fn debug_does_not_show_what_may_be_the_id_of_a_socket() {
        let target = Target::all().to("secret").except(["b", "c"]);
        assert_eq!(format!("{target:?}"), "Target { rooms: 1, except: 2, .. }");
    }
}
