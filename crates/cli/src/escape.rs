//! The text of others, made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// Text in which nothing moves a terminal's cursor, changes its colours, turns the direction of
/// what stands around it, breaks the line, or is there without being seen.
///
/// Whatever a peer has a say in goes through here before it is written, wherever that is: terminals
/// are also where the output of a pipe and the log end up. What is dangerous is written as JSON would
/// write it, `\u001b`. So JSON stays JSON and means the same: there these characters can only stand
/// inside of strings.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find(|char| is_hidden(char) || is_joiner(char)) else {
        return text.into();
    };
    let mut safe = String::with_capacity(text.len() + 8);
    let (plain, rest) = text.split_at(start);
    safe.push_str(plain);
    let mut last = plain.chars().next_back().unwrap_or(' ');
    for char in rest.chars() {
        if is_hidden(char) || is_joiner(char) && !can_be_joined(last) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(safe, "\\u{unit:04x}").expect("strings take everything");
            }
        } else {
            safe.push(char);
        }
        last = char;
    }
    safe.into()
}

/// Whether a character acts on what is around it, or on the terminal, rather than being shown: the
/// control characters, separators of lines, and what Unicode calls format characters or default
/// ignorable.
///
/// Variation selectors are left out, as they change no more than the look of the character in front.
pub(crate) fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e00ff}'
                | '\u{e01f0}'..='\u{e0fff}'
        )
}

/// Emoji and several scripts are written with these two. Where there is nothing that they could join,
/// they only make two texts different that look the same.
const fn is_joiner(char: char) -> bool {
    matches!(char, '\u{200c}' | '\u{200d}')
}

const fn can_be_joined(char: char) -> bool {
    !char.is_ascii() && !is_joiner(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "Grüße 🎈",
            "a\\b",
            "👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}",
            "می\u{200c}خواهم",
        ] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn terminal_is_safe_from_text_of_others() {
        for (text, safe) in [
            ("\u{1b}[2J", "\\u001b[2J"),
            (
                "a\u{9b}\u{7f}b\r\n\t",
                "a\\u009b\\u007fb\\u000d\\u000a\\u0009",
            ),
            ("\u{61c}\u{200e}\u{200f}", "\\u061c\\u200e\\u200f"),
            (
                "\u{202a}\u{202e}\u{2066}\u{2069}",
                "\\u202a\\u202e\\u2066\\u2069",
            ),
            ("\u{2028}\u{2029}\u{85}", "\\u2028\\u2029\\u0085"),
            (
                "ad\u{200b}mi\u{200d}n\u{feff}",
                "ad\\u200bmi\\u200dn\\ufeff",
            ),
            ("é\u{200d}\u{200d}", "é\u{200d}\\u200d"),
            ("\u{e0061}", "\\udb40\\udc61"),
        ] {
            assert_eq!(escape(text), safe);
        }
    }

    #[test]
    fn escaped_json_means_the_same() {
        let every: String = ('\0'..=char::MAX).filter(|char| is_hidden(*char)).collect();
        let text = format!("{every}\u{200d}x\\");
        let json = serde_json::to_string(&text).unwrap();
        let safe = escape(&json);
        assert!(!safe.contains(is_hidden), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }
}
