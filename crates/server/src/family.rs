//! Namespaces that come into being when they are asked for: which names, and what their sockets have in common.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_events::{Callback, Called, Event, EventSocket};

use crate::NamespaceRequest;
use crate::captures::Captured;
use crate::handlers::Handlers;
use crate::pattern::{Pattern, PatternError, Ranges};

/// A kind of namespaces that are made on demand.
pub(crate) struct Family<S> {
    names: Names,
    /// What its captures are called.
    captures: Box<[Box<str>]>,
    /// For all of its namespaces.
    pub(crate) handlers: Handlers<S>,
}

/// Which names are of the family.
enum Names {
    Pattern(Box<str>, Pattern),
    #[cfg(feature = "regex")]
    Regex(regex::Regex),
    Accepted(Box<dyn Fn(&NamespaceRequest) -> Answer + Send + Sync>),
}

/// What a function says to a name.
enum Answer {
    Now(bool),
    Later(BoxFuture<'static, bool>),
}

impl<S: EventSocket> Family<S> {
    fn new(names: Names, captures: Box<[Box<str>]>) -> Self {
        Self {
            names,
            captures,
            handlers: Handlers::default(),
        }
    }

    /// The names of this pattern, which begins with a slash.
    pub(crate) fn of_pattern(text: &str) -> Result<Self, PatternError> {
        let pattern = Pattern::parse(text)?;
        let captures = pattern.names().map(Box::from).collect();
        Ok(Self::new(Names::Pattern(text.into(), pattern), captures))
    }

    /// The names that this regular expression finds something in.
    #[cfg(feature = "regex")]
    pub(crate) fn of_regex(text: &str) -> Result<Self, PatternError> {
        let regex = regex::Regex::new(text)?;
        let captures = regex.capture_names().enumerate().skip(1);
        let captures = captures
            .map(|(number, name)| name.map_or_else(|| number.to_string().into(), Box::from))
            .collect();
        Ok(Self::new(Names::Regex(regex), captures))
    }

    /// The names that this function accepts.
    pub(crate) fn of_fn<M, F>(accepts: F) -> Self
    where
        F: Callback<NamespaceRequest, M, Output = bool>,
    {
        let accepts = move |request: &NamespaceRequest| ask(&accepts, request);
        Self::new(Names::Accepted(Box::new(accepts)), Box::default())
    }

    /// Whether its names are those of this pattern.
    pub(crate) fn has_pattern(&self, text: &str) -> bool {
        matches!(&self.names, Names::Pattern(pattern, _) if **pattern == *text)
    }

    /// Whether its names are those that this regular expression finds something in.
    #[cfg(feature = "regex")]
    pub(crate) fn has_regex(&self, text: &str) -> bool {
        matches!(&self.names, Names::Regex(regex) if regex.as_str() == text)
    }

    /// Whether a name is of the family only if somebody accepts it.
    pub(crate) fn asks(&self) -> bool {
        matches!(&self.names, Names::Accepted(_))
    }

    /// The captures of a name that is of the family by what it looks like.
    pub(crate) fn matched(&self, name: &str) -> Option<Ranges> {
        match &self.names {
            Names::Pattern(_, pattern) => pattern.captures(name),
            #[cfg(feature = "regex")]
            Names::Regex(regex) => {
                let captures = regex.captures(name)?;
                let groups = captures.iter().skip(1);
                Some(groups.map(|group| Some(group?.range())).collect())
            }
            Names::Accepted(_) => None,
        }
    }

    /// Whether a name is of the family, by what it looks like or because somebody accepts it.
    pub(crate) async fn takes(&self, request: &NamespaceRequest) -> bool {
        let Names::Accepted(accepts) = &self.names else {
            return self.matched(request.name()).is_some();
        };
        // Not in the `match`, as what it borrows would be kept over the wait.
        let answer = accepts(request);
        match answer {
            Answer::Now(is_accepted) => is_accepted,
            Answer::Later(answer) => answer.await,
        }
    }

    /// The captures of one of its names, where they are known.
    pub(crate) fn captured<'n>(
        &'n self,
        name: &'n str,
        ranges: &'n Ranges,
    ) -> impl Iterator<Item = Captured<'n>> {
        let names = self.captures.iter().map(AsRef::as_ref);
        let texts = ranges.iter().cloned();
        names.zip(texts.map(|range| name.get(range?)))
    }
}

/// Asks a function. If it panics, or a parameter cannot be had, it has not accepted.
fn ask<M, F>(accepts: &F, request: &NamespaceRequest) -> Answer
where
    F: Callback<NamespaceRequest, M, Output = bool>,
{
    let event = Event::local(request, "connect");
    match catch_unwind(AssertUnwindSafe(|| accepts.call(&event))) {
        Ok(Ok(Called::Now(is_accepted))) => Answer::Now(is_accepted),
        Ok(Ok(Called::Later(answer))) => Answer::Later(Box::pin(async {
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            answer.unwrap_or_else(|_| panicked())
        })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a namespace was not decided about");
            Answer::Now(false)
        }
        Err(_) => Answer::Now(panicked()),
    }
}

fn panicked() -> bool {
    tracing::error!("the function that decides about namespaces panicked");
    false
}

impl<S> fmt::Debug for Family<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.names {
            Names::Pattern(pattern, _) => pattern.fmt(f),
            #[cfg(feature = "regex")]
            Names::Regex(regex) => write!(f, "/{regex}/"),
            Names::Accepted(_) => f.write_str("a function"),
        }
    }
}
