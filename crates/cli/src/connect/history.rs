//! Where the lines of earlier sessions are kept.

use std::env;
use std::path::PathBuf;

/// The file: `sockeye/history` in the directory for state that the XDG specification names, which on
/// Windows is that for local data. `None` if there is no such directory.
pub(super) fn path() -> Option<PathBuf> {
    let directory = if cfg!(windows) {
        PathBuf::from(env::var_os("LOCALAPPDATA")?)
    } else {
        directory_of(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))?
    };
    Some(directory.join("sockeye").join("history"))
}

/// The specification wants relative paths to be ignored.
fn directory_of(
    state: Option<std::ffi::OsString>,
    home: Option<std::ffi::OsString>,
) -> Option<PathBuf> {
    let state = state.map(PathBuf::from).filter(|path| path.is_absolute());
    let in_home = || {
        let home = home.map(PathBuf::from).filter(|path| path.is_absolute())?;
        Some(home.join(".local").join("state"))
    };
    state.or_else(in_home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn state_is_where_xdg_wants_it() {
        let of = |state: &str, home: &str| directory_of(Some(state.into()), Some(home.into()));
        assert_eq!(of("/state", "/home/ann"), Some("/state".into()));
        assert_eq!(
            of("state", "/home/ann"),
            Some("/home/ann/.local/state".into())
        );
        assert_eq!(of("", ""), None);
        assert_eq!(directory_of(None, None), None);
    }
}
