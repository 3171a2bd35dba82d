//! `#[derive(Event)]` of Sockeye. Use it from the `sockeye` crate, by its feature `macros`.

mod expand;
mod name;
mod options;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes an event of a struct: its name, its arguments and its acknowledgement, shared by all who emit and handle it.
///
/// | struct | arguments |
/// |---|---|
/// | named fields | one, an object; the struct must be `Serialize` to be emitted and `Deserialize` to be handled |
/// | named fields, with `spread` | one for each field, in their order |
/// | a tuple struct | one for each field |
/// | a unit struct | none |
///
/// Where a field is an argument of its own, it is the field's type that must be `Serialize` and `DeserializeOwned`, and
/// an `Option` may be missing. There can be sixteen of them.
///
/// Options, as in `#[event(name = "chat message", ack = Receipt)]`:
///
/// * `name = "…"`: what the event is called. Default: the name of the struct in snake case, so that `UserJoined` is
///   `user_joined`.
/// * `ack = Type`: what answers the event; a tuple is several arguments, `()` none. Default: nothing answers it, and to
///   ask for an answer does not compile.
/// * `spread`: every named field is an argument of its own.
/// * `crate = "path"`: where `sockeye` is found, if it has another name.
///
/// It implements `TypedEvent`, for `emit_event` and `on_event`, and `FromEvent`, so that the type can be a parameter
/// of any handler.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
