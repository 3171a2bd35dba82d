//! Names of namespaces by pattern, such as `/chat/{room}`.

use std::ops::Range;

use thiserror::Error;

/// Why a pattern of namespaces makes no sense.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A brace has no partner, or there is one inside of a name.
    #[error("the braces of the pattern {0:?} do not match")]
    Braces(String),
    /// What is between two braces is no name: letters, digits and underscores, not beginning with a digit.
    #[error("{0:?} is no name for a capture")]
    Name(String),
    /// Two captures of one pattern have the same name.
    #[error("the pattern has more than one capture named {0:?}")]
    SameName(String),
    /// There are two captures between two slashes, so that nothing would tell where the first one ends.
    #[error("the part {0:?} of the pattern has more than one capture")]
    Ambiguous(String),
    /// A capture of all that is left is not at the end.
    #[error("the capture {0:?} takes all that is left, and has to be the last")]
    NotLast(String),
    /// The regular expression cannot be read.
    #[cfg(feature = "regex")]
    #[cfg_attr(docsrs, doc(cfg(feature = "regex")))]
    #[error(transparent)]
    Regex(#[from] regex::Error),
}

/// A pattern, taken apart.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// What is between the slashes, the first of which is left out.
    segments: Box<[Segment]>,
}

/// One part of a pattern, and what it matches.
#[derive(Debug)]
enum Segment {
    /// The same text.
    Literal(Box<str>),
    /// At least one byte between these.
    Capture {
        name: Box<str>,
        before: Box<str>,
        after: Box<str>,
    },
    /// All that is left, with its slashes: at least one byte.
    Rest { name: Box<str>, before: Box<str> },
}

/// Where the captures of a name are in it; `None` is one that did not take part.
pub(crate) type Ranges = Box<[Option<Range<usize>>]>;

impl Pattern {
    /// Reads a pattern, which begins with a slash.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let parts = text.strip_prefix('/').unwrap_or(text).split('/');
        let segments: Box<[_]> = parts.map(Segment::parse).collect::<Result<_, _>>()?;
        let (_, before_last) = segments.split_last().expect("a split has a part");
        for segment in before_last {
            if let Segment::Rest { name, .. } = segment {
                return Err(PatternError::NotLast(name.to_string()));
            }
        }
        let pattern = Self { segments };
        let mut names: Vec<_> = pattern.names().collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(PatternError::SameName(pair[0].to_owned())),
            None => Ok(pattern),
        }
    }

    /// The captures' names, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Capture { name, .. } | Segment::Rest { name, .. } => Some(&**name),
        })
    }

    /// The captures of a name that matches. It is read once, whatever the pattern.
    pub(crate) fn captures(&self, name: &str) -> Option<Ranges> {
        let mut start = name.len() - name.strip_prefix('/')?.len();
        let mut captures = Vec::new();
        let mut is_over = false;
        for segment in &self.segments {
            if is_over {
                return None;
            }
            let rest = &name[start..];
            let part = match segment {
                Segment::Rest { .. } => rest,
                _ => rest.split('/').next().unwrap_or_default(),
            };
            if let Some(captured) = segment.captured(part)? {
                captures.push(Some(start + captured.start..start + captured.end));
            }
            is_over = part.len() == rest.len();
            start += part.len() + 1;
        }
        is_over.then(|| captures.into())
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let unbalanced = || PatternError::Braces(text.to_owned());
        let Some((before, rest)) = text.split_once('{') else {
            return match text.contains('}') {
                true => Err(unbalanced()),
                false => Ok(Self::Literal(text.into())),
            };
        };
        let (name, after) = rest.split_once('}').ok_or_else(unbalanced)?;
        if before.contains('}') || name.contains('{') {
            return Err(unbalanced());
        }
        if after.contains('{') {
            return Err(PatternError::Ambiguous(text.to_owned()));
        }
        if after.contains('}') {
            return Err(unbalanced());
        }
        let (name, takes_rest) = match name.strip_prefix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let is_word = |c: char| c == '_' || c.is_alphanumeric();
        if name.is_empty() || name.starts_with(char::is_numeric) || !name.chars().all(is_word) {
            return Err(PatternError::Name(name.to_owned()));
        }
        let (name, before) = (name.into(), before.into());
        match (takes_rest, after) {
            (true, "") => Ok(Self::Rest { name, before }),
            (true, _) => Err(PatternError::NotLast(name.into())),
            (false, after) => Ok(Self::Capture {
                name,
                before,
                after: after.into(),
            }),
        }
    }

    /// What is captured of a part that matches; the outer `None` is for one that does not.
    #[expect(clippy::option_option, reason = "a match may capture nothing")]
    fn captured(&self, part: &str) -> Option<Option<Range<usize>>> {
        let (before, after) = match self {
            Self::Literal(text) => return (**text == *part).then_some(None),
            Self::Capture { before, after, .. } => (&**before, &**after),
            Self::Rest { before, .. } => (&**before, ""),
        };
        let captured = part.strip_prefix(before)?.strip_suffix(after)?;
        let end = before.len() + captured.len();
        (!captured.is_empty()).then_some(Some(before.len()..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
        let ranges = Pattern::parse(pattern).unwrap().captures(name)?;
        let texts = ranges.iter().flatten().map(|range| &name[range.clone()]);
        Some(texts.collect())
    }

    #[test]
    fn captures_take_one_part_of_the_name() {
        assert_eq!(captures("/chat/{room}", "/chat/a b"), Some(vec!["a b"]));
        assert_eq!(captures("/chat/{room}", "/chat/ä"), Some(vec!["ä"]));
        for name in [
            "/chat",
            "/chat/",
            "/chat/a/b",
            "/chat/a/",
            "/cha/a",
            "chat/a",
            "",
            "/",
        ] {
            assert_eq!(captures("/chat/{room}", name), None, "{name}");
        }
        let expected = Some(vec!["7", "x"]);
        assert_eq!(captures("/v{version}/{room}-room", "/v7/x-room"), expected);
        assert_eq!(captures("/v{version}/{room}-room", "/v7/-room"), None);
    }

    #[test]
    fn text_before_and_behind_a_capture_does_not_overlap() {
        assert_eq!(captures("/aa{x}aa", "/aaa"), None);
        assert_eq!(captures("/aa{x}aa", "/aaaa"), None);
        assert_eq!(captures("/aa{x}aa", "/aaaaa"), Some(vec!["a"]));
    }

    #[test]
    fn last_capture_may_take_all_that_is_left() {
        assert_eq!(
            captures("/files/{*path}", "/files/a/b//"),
            Some(vec!["a/b//"])
        );
        assert_eq!(
            captures("/files/x{*path}", "/files/xa/b"),
            Some(vec!["a/b"])
        );
        assert_eq!(captures("/files/{*path}", "/files/"), None);
        assert_eq!(captures("/{*all}", "/"), None);
    }

    #[test]
    fn pattern_without_captures_is_the_name() {
        assert_eq!(captures("/a/b", "/a/b"), Some(vec![]));
        assert_eq!(captures("/a/b", "/a"), None);
        assert_eq!(captures("/", "/"), Some(vec![]));
    }

    #[test]
    fn broken_patterns_are_refused() {
        let error = |pattern| Pattern::parse(pattern).unwrap_err();
        for pattern in ["/{", "/}", "/{a", "/a}", "/}a{b}", "/{a{b}", "/{a}}"] {
            assert!(
                matches!(error(pattern), PatternError::Braces(_)),
                "{pattern}"
            );
        }
        for pattern in ["/{}", "/{*}", "/{1}", "/{a b}", "/{a.b}"] {
            assert!(matches!(error(pattern), PatternError::Name(_)), "{pattern}");
        }
        assert_eq!(error("/{a}-{b}"), PatternError::Ambiguous("{a}-{b}".into()));
        assert_eq!(error("/{a}/{a}"), PatternError::SameName("a".into()));
        assert_eq!(error("/{*a}/b"), PatternError::NotLast("a".into()));
        assert_eq!(error("/{*a}b"), PatternError::NotLast("a".into()));
    }
}
