//! Goes through the members of a JSON object without reading their values.

use std::borrow::Cow;

use crate::name::read_name;
use crate::scan::{ScanError, skip_space, skip_value};

/// The members of one object.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    text: &'a str,
    at: usize,
    first: bool,
}

/// One member: its key with escapes resolved, and its value as raw JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: &'a str,
    /// Where the value begins in the text.
    pub(crate) at: usize,
}

impl<'a> Members<'a> {
    /// `None` if the text does not begin as an object does.
    pub(crate) fn open(text: &'a str) -> Option<Self> {
        let at = skip_space(text.as_bytes(), 0);
        text[at..].starts_with('{').then_some(Self {
            text,
            at: at + 1,
            first: true,
        })
    }

    /// The next member, or `None` at the end of the object, which must be the end of the text.
    pub(crate) fn next(&mut self) -> Result<Option<Member<'a>>, ScanError> {
        let bytes = self.text.as_bytes();
        let mut at = skip_space(bytes, self.at);
        match bytes.get(at) {
            Some(b'}') => return self.end(at + 1),
            Some(b',') if !self.first => at = skip_space(bytes, at + 1),
            Some(_) if self.first => {}
            _ => return expected("a comma or the end of the object", at),
        }
        self.first = false;
        if bytes.get(at) != Some(&b'"') {
            return expected("a key", at);
        }
        let (key, end) = read_name(self.text, at)?;
        let colon = skip_space(bytes, end);
        if bytes.get(colon) != Some(&b':') {
            return expected("a colon after the key", colon);
        }
        let start = skip_space(bytes, colon + 1);
        self.at = skip_value(bytes, start)?;
        Ok(Some(Member {
            key,
            value: &self.text[start..self.at],
            at: start,
        }))
    }

    fn end(&self, at: usize) -> Result<Option<Member<'a>>, ScanError> {
        let end = skip_space(self.text.as_bytes(), at);
        if end == self.text.len() {
            Ok(None)
        } else {
            expected("nothing after the object", end)
        }
    }
}

fn expected<T>(expected: &'static str, at: usize) -> Result<T, ScanError> {
    Err(ScanError { at, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(String, &str)>, ScanError> {
        let mut members = Members::open(text).unwrap();
        let mut all = Vec::new();
        while let Some(member) = members.next()? {
            assert!(text[member.at..].starts_with(member.value));
            all.push((member.key.into_owned(), member.value));
        }
        Ok(all)
    }

    #[test]
    fn members_come_in_their_order() {
        assert_eq!(all("{}"), Ok(vec![]));
        assert_eq!(
            all(r#" { "a" : [1, {"b":2}] , "\u0062":"}", "":null } "#),
            Ok(vec![
                ("a".to_owned(), r#"[1, {"b":2}]"#),
                ("b".to_owned(), r#""}""#),
                (String::new(), "null"),
            ])
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", " ", "[]", "null", "\"{}\""] {
            assert!(Members::open(text).is_none(), "{text}");
        }
        for text in [
            "{",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":1,,"b":2}"#,
            r#"{"a":1 "b":2}"#,
            r#"{,"a":1}"#,
            "{a:1}",
            "{1:1}",
            "{}x",
            "{}{}",
            r#"{"a":[}"#,
            r#"{"a":"}"#,
            "{\"a\nb\":1}",
        ] {
            assert!(all(text).is_err(), "{text}");
        }
    }
}
