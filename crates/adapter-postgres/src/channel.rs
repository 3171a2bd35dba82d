//! Names of Postgres.

/// The channel of a namespace; nothing if Postgres takes no name so long.
pub(crate) fn channel(prefix: &str, namespace: &str) -> Option<String> {
    let channel = format!("{prefix}#{namespace}");
    (channel.len() <= MAX_NAME && !channel.contains('\0')).then_some(channel)
}

/// Longer ones are cut off where somebody listens, and an error where somebody notifies.
const MAX_NAME: usize = 63;

/// A name as SQL has it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The same for a table, which may be in a schema.
pub(crate) fn quoted_table(name: &str) -> String {
    name.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_those_of_nodes_adapter() {
        assert_eq!(channel("socket.io", "/").unwrap(), "socket.io#/");
        assert_eq!(channel("socket.io", "/admin").unwrap(), "socket.io#/admin");
    }

    #[test]
    fn long_names_have_no_channel() {
        let longest = format!("/{}", "x".repeat(52));
        assert_eq!(channel("socket.io", &longest).unwrap().len(), 63);
        assert_eq!(channel("socket.io", &format!("{longest}x")), None);
    }

    #[test]
    fn names_end_where_they_should() {
        assert_eq!(quoted(r#"a"b"#), r#""a""b""#);
        assert_eq!(quoted_table("app.rows"), r#""app"."rows""#);
    }
}
