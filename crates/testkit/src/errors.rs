//! What is to be seen of errors.

use std::error::Error;
use std::iter::successors;

/// All that anybody can be shown of an error and of what it stems from.
#[must_use]
pub fn all_shown(error: &dyn Error) -> String {
    successors(Some(error), |&error| error.source())
        .map(|error| format!("{error}\n{error:?}\n"))
        .collect()
}
