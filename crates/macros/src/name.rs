//! Names of events.

/// Names that the protocol keeps. A copy: a macro that was built with the protocol's crate would build all of that
/// twice. A test compares them.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether no event may have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// `UserJoined` as `user_joined`, `HTTPError` as `http_error`.
pub(crate) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        let begins_word = letter.is_uppercase()
            && at > 0
            && letters[at - 1] != '_'
            && (!letters[at - 1].is_uppercase()
                || letters.get(at + 1).is_some_and(|next| next.is_lowercase()));
        if begins_word {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use sockeye_socket_proto::RESERVED_EVENTS;

    use super::*;

    #[test]
    fn reserved_names_are_those_of_the_protocol() {
        assert_eq!(RESERVED, RESERVED_EVENTS);
    }

    #[test]
    fn names_of_types_become_snake_case() {
        for (name, snake) in [
            ("Chat", "chat"),
            ("UserJoined", "user_joined"),
            ("HTTPError", "http_error"),
            ("ParseJSON", "parse_json"),
            ("Level2Up", "level2_up"),
            ("A", "a"),
            ("AB", "ab"),
            ("ÉtatFinal", "état_final"),
            ("Old_Style", "old_style"),
            ("already_snake", "already_snake"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }
}
