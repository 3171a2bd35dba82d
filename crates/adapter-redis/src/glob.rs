//! Patterns of channels.

/// The text as a pattern that nothing else matches.
pub(crate) fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_patterns_are_made_of_is_taken_literally() {
        assert_eq!(escape(r"/a*b?[c-d]\é"), r"/a\*b\?\[c-d\]\\é");
    }
}
