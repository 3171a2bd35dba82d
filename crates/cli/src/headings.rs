//! Headings in the help.

/// What stands behind a group of options in a struct would be counted among them in the help; these
/// two say that it is not.
pub(crate) const ARGUMENTS: Option<&str> = None;
pub(crate) const OPTIONS: Option<&str> = None;
