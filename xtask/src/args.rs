use crate::Result;

/// The words after the task's name, taken out one by one; what nobody took is an error.
#[derive(Debug)]
pub(crate) struct Args {
    words: Vec<String>,
}

impl Args {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self {
            words: words.collect(),
        }
    }

    /// Help is for the task itself: words behind `--` belong to somebody else.
    pub(crate) fn asks_for_help(&self) -> bool {
        self.words
            .iter()
            .take_while(|word| *word != "--")
            .any(|word| word == "-h" || word == "--help")
    }

    /// Takes `--name` out, and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// Takes `--name VALUE` or `--name=VALUE` out.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        let at = self.words.iter().position(|word| {
            word.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        let Some(at) = at else { return Ok(None) };
        let word = self.words.remove(at);
        if let Some((_, value)) = word.split_once('=') {
            return Ok(Some(value.to_owned()));
        }
        if at == self.words.len() {
            return Err(format!("{name} needs a value").into());
        }
        Ok(Some(self.words.remove(at)))
    }

    /// Takes the first word that is no option.
    pub(crate) fn positional(&mut self) -> Option<String> {
        let at = self.words.iter().position(|word| !word.starts_with('-'))?;
        Some(self.words.remove(at))
    }

    /// What is left, for another program. A leading `--` is dropped.
    pub(crate) fn rest(mut self) -> Vec<String> {
        if self.words.first().is_some_and(|word| word == "--") {
            self.words.remove(0);
        }
        self.words
    }

    /// Fails if anything is left.
    pub(crate) fn finish(self) -> Result {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(format!("unexpected {word:?}; see --help").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_taken_in_any_order() {
        let mut args = args("session --seconds 5 --fast --jobs=2");
        assert_eq!(args.value("--jobs").unwrap().as_deref(), Some("2"));
        assert!(args.flag("--fast"));
        assert!(!args.flag("--fast"));
        assert_eq!(args.value("--seconds").unwrap().as_deref(), Some("5"));
        assert_eq!(args.value("--seconds").unwrap(), None);
        assert_eq!(args.positional().as_deref(), Some("session"));
        args.finish().unwrap();
    }

    #[test]
    fn a_missing_value_and_an_unknown_word_are_errors() {
        assert!(args("--seconds").value("--seconds").is_err());
        assert!(args("--what").finish().is_err());
    }

    #[test]
    fn words_behind_two_hyphens_are_for_another_program() {
        let args = args("-- --help");
        assert!(!args.asks_for_help());
        assert_eq!(args.rest(), ["--help"]);
    }
}
