//! Events that have a Rust type: the name, the arguments and the acknowledgement are said once, for all who emit the
//! event and all who handle it.

mod callback;
mod read;

pub use callback::{EventCallback, EventParam, EventReply, erase_event};
pub use read::read;

use sockeye_socket_proto::{ArgsWriter, EncodeError, ToArgs};

/// An event with a type: what it is called, what its arguments are, and what answers it.
///
/// `#[derive(Event)]` implements it, and [`FromEvent`](crate::FromEvent) with it, so that the type can be a parameter
/// of any handler. Write both by hand where the derive does not fit:
///
/// ```
/// use sockeye_events::{Data, Event, ExtractError, FromEvent, TypedEvent};
/// use sockeye_socket_proto::{ArgsWriter, EncodeError};
///
/// /// `emit("move", x, y)`, answered with whether it is allowed.
/// struct Move {
///     x: i32,
///     y: i32,
/// }
///
/// impl TypedEvent for Move {
///     const NAME: &'static str = "move";
///     type Ack = bool;
///
///     fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
///         out.push(&self.x)?;
///         out.push(&self.y)
///     }
/// }
///
/// impl<S> FromEvent<S> for Move {
///     fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
///         let Data((x, y)) = Data::from_event(event)?;
///         Ok(Self { x, y })
///     }
/// }
/// ```
///
/// A reference to an event is one too, so that emitting need not give the event away.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a typed event",
    label = "this type says neither the name of an event nor its arguments",
    note = "derive it: `#[derive(Serialize, Deserialize, Event)]`, with the feature `macros`"
)]
pub trait TypedEvent {
    /// The event's name.
    const NAME: &'static str;

    /// What answers the event: written and read as arguments are, so that a tuple is several of them. [`NoAck`] if
    /// nothing does.
    type Ack;

    /// Writes the arguments.
    ///
    /// # Errors
    ///
    /// When a value cannot be encoded.
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError>;
}

impl<E: TypedEvent + ?Sized> TypedEvent for &E {
    const NAME: &'static str = E::NAME;
    type Ack = E::Ack;

    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        (**self).write_args(out)
    }
}

/// The acknowledgement of a [`TypedEvent`] that has none: its handlers return `()`, and to ask for an answer does not
/// compile. An answer without arguments is `()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAck {}

/// The arguments of a typed event, for an emit that takes a name and arguments.
///
/// ```
/// # use sockeye_events::{EmitError, EventArgs, TypedEvent};
/// # use sockeye_socket_proto::ToArgs;
/// # struct Socket;
/// # impl Socket {
/// #     fn emit(&self, _name: &str, _args: impl ToArgs) -> Result<(), EmitError> { Ok(()) }
/// fn emit_event<E: TypedEvent>(&self, event: E) -> Result<(), EmitError> {
///     self.emit(E::NAME, EventArgs(&event))
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct EventArgs<'a, E: ?Sized>(pub &'a E);

impl<E: TypedEvent + ?Sized> ToArgs for EventArgs<'_, E> {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        self.0.write_args(out)
    }
}
