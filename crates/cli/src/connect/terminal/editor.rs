//! The line at the bottom: editing, history, completion.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;

use parking_lot::Mutex;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, ExternalPrinter, Helper};
use tokio::sync::mpsc;

use crate::connect::history;
use crate::connect::input::COMMANDS;
use crate::escape::escape;
use crate::json::quoted;

/// What came of one turn at the prompt.
pub(super) enum Typed {
    Line(String),
    Interrupt,
}

/// The prompt, on a thread of its own.
///
/// It reads one line each time it is told to, so that the terminal is never in the editor's hands
/// when the program ends.
pub(super) struct Editor {
    typed: mpsc::Receiver<Typed>,
    go_on: Option<std_mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    names: Names,
}

type Names = Arc<Mutex<BTreeSet<String>>>;

const PROMPT: &str = "> ";

/// Lines of the history.
const MAX_HISTORY: usize = 1000;

/// Names that are remembered for completion; servers can make up as many as they like.
const MAX_NAMES: usize = 1000;

impl Editor {
    /// Gets hold of the terminal, and of the way to print above the prompt.
    pub(super) fn start() -> Result<(Self, Box<dyn ExternalPrinter + Send>), ReadlineError> {
        let config = Config::builder()
            .max_history_size(MAX_HISTORY)?
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = rustyline::Editor::<Completion, FileHistory>::with_config(config)?;
        let names = Names::default();
        editor.set_helper(Some(Completion(Arc::clone(&names))));
        let printer = editor.create_external_printer()?;
        let (sender, typed) = mpsc::channel(1);
        let (go_on, turns) = std_mpsc::channel();
        let thread = thread::spawn(move || run(editor, &sender, &turns));
        let editor = Self {
            typed,
            go_on: Some(go_on),
            thread: Some(thread),
            names,
        };
        Ok((editor, Box::new(printer)))
    }

    /// What comes of the turn that was given last; `None` at the end of the input.
    pub(super) async fn next(&mut self) -> Option<Typed> {
        self.typed.recv().await
    }

    /// Shows the prompt for another line.
    pub(super) fn go_on(&self) {
        if let Some(go_on) = &self.go_on {
            // If the thread is gone, `next` tells.
            let _ = go_on.send(());
        }
    }

    /// Remembers the name of an event for completion.
    pub(super) fn learn(&self, name: &str) {
        let mut names = self.names.lock();
        if names.len() < MAX_NAMES && !name.is_empty() && !names.contains(name) {
            names.insert(name.to_owned());
        }
    }

    /// Waits for the thread, which has nothing to do any more. To be called after a turn.
    pub(super) fn end(&mut self) {
        self.go_on = None;
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that has been told already.
            let _ = thread.join();
        }
    }
}

/// Reads a line for each turn.
fn run(
    mut editor: rustyline::Editor<Completion, FileHistory>,
    sender: &mpsc::Sender<Typed>,
    turns: &std_mpsc::Receiver<()>,
) {
    let history = history::path();
    if let Some(path) = &history {
        // There is none at first.
        let _ = editor.load_history(path);
    }
    let mut was_interrupted = false;
    while turns.recv().is_ok() {
        let typed = match editor.readline(PROMPT) {
            Ok(line) => {
                if let Some(path) = &history {
                    keep(&mut editor, path, &line);
                }
                Typed::Line(line)
            }
            Err(ReadlineError::Interrupted) if !was_interrupted => Typed::Interrupt,
            Err(_) => return,
        };
        was_interrupted = matches!(typed, Typed::Interrupt);
        if sender.blocking_send(typed).is_err() {
            return;
        }
    }
}

/// Adds a line to the history, at once: the terminal may be closed any time.
fn keep(editor: &mut rustyline::Editor<Completion, FileHistory>, path: &Path, line: &str) {
    // Without a history one can work as well.
    let added = editor.add_history_entry(line).unwrap_or(false);
    if added
        && path
            .parent()
            .is_some_and(|dir| fs::create_dir_all(dir).is_ok())
    {
        let _ = editor.append_history(path);
    }
}

/// Completes the first word of a line: a command, or the name of an event that was seen.
struct Completion(Names);

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&line[..pos], &self.0.lock()))
    }
}

/// Where the word begins that can be completed, and to what.
fn complete(line: &str, names: &BTreeSet<String>) -> (usize, Vec<String>) {
    let start = line.len() - line.trim_start().len();
    let start = match line[start..].starts_with('?') {
        true => start + 1,
        false => start,
    };
    let word = &line[start..];
    let found = match word.starts_with('/') {
        true => COMMANDS.map(str::to_owned).to_vec(),
        false => names.iter().map(|name| written(name)).collect(),
    };
    let fits = |text: &String| text.starts_with(word);
    let found = found.into_iter().filter(fits);
    (start, found.map(|text| text + " ").collect())
}

/// A name as it is to be typed. It is shown before anybody has agreed to it, so that servers must not
/// be able to put into it what acts on the terminal.
fn written(name: &str) -> String {
    let is_plain = !name.starts_with(['/', '?', '#', '{', '[', '"', '\'', '@'])
        && !name.contains(char::is_whitespace)
        && matches!(escape(name), Cow::Borrowed(_));
    match is_plain {
        true => name.to_owned(),
        false => quoted(name),
    }
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Hinter for Completion {
    type Hint = String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_word_is_completed() {
        let names = ["news", "new member", "/x"].map(str::to_owned).into();
        let of = |line| complete(line, &names);
        assert_eq!(of("ne"), (0, vec!["news ".to_owned()]));
        assert_eq!(of("?ne"), (1, vec!["news ".to_owned()]));
        assert_eq!(of(" \"n"), (1, vec!["\"new member\" ".to_owned()]));
        assert_eq!(of("/q"), (0, vec!["/quit ".to_owned()]));
        assert_eq!(of("news n").1, Vec::<String>::new());
        assert_eq!(of("").1.len(), 3);
    }

    #[test]
    fn completion_puts_nothing_into_the_line_that_acts_on_the_terminal() {
        let names = ["a\u{9b}2J", "b\u{202e}c", "d\u{200b}"].map(str::to_owned);
        let (_, found) = complete("\"", &names.clone().into());
        let safe = ["\"a\\u009b2J\" ", "\"b\\u202ec\" ", "\"d\\u200b\" "];
        assert_eq!(found, safe);
        for (typed, name) in found.iter().zip(names) {
            assert_eq!(serde_json::from_str::<String>(typed).unwrap(), name);
        }
    }
}
