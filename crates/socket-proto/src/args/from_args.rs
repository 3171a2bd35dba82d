use serde::de::DeserializeOwned;

use super::{Args, ArgsError};

/// What an acknowledgement can be received as: any `DeserializeOwned` type, or [`Args`] to have
/// it raw.
///
/// The rules are those of [`Args::deserialize`]: a tuple takes one argument per element, anything
/// else the first.
#[diagnostic::on_unimplemented(
    message = "arguments cannot be read as `{Self}`",
    note = "derive `Deserialize` for it, or take `Args`"
)]
pub trait FromArgs: Sized {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// If they do not have the shape of the type.
    fn from_args(args: Args) -> Result<Self, ArgsError>;
}

impl<T: DeserializeOwned> FromArgs for T {
    fn from_args(args: Args) -> Result<Self, ArgsError> {
        args.deserialize()
    }
}

impl FromArgs for Args {
    fn from_args(args: Args) -> Result<Self, ArgsError> {
        Ok(args)
    }
}
