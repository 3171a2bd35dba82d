//! A prompt, and what happens above it.

mod editor;

use std::fmt::Write as _;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use rustyline::ExternalPrinter;

use super::Failure;
use super::input::{self, Input};
use super::notice::{Notice, Notices};
use super::session::Session;
use crate::escape::escape;
use crate::json;
use crate::report::{BOLD, COMMAND, DIM, Exit, chain};
use editor::{Editor, Typed};

const NAME: Style = AnsiColor::Cyan.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// The lines above the prompt.
struct Screen {
    printer: Box<dyn ExternalPrinter + Send>,
    has_colours: bool,
}

pub(super) async fn run(mut session: Session, mut notices: Notices) -> Result<Exit, Failure> {
    let (mut editor, printer) = Editor::start()?;
    let mut screen = Screen {
        printer,
        has_colours: AutoStream::choice(&std::io::stdout()) != ColorChoice::Never,
    };
    screen.line(&format!(
        "{DIM}Type an event and its arguments; {DIM:#}{COMMAND}/help{COMMAND:#}{DIM} tells more, \
         Ctrl-D ends.{DIM:#}"
    ));
    editor.go_on();
    loop {
        tokio::select! {
            biased;
            notice = notices.next() => show(&mut session, &mut screen, &editor, notice),
            typed = editor.next() => {
                match typed {
                    Some(Typed::Line(line)) => {
                        if !follow(&mut session, &mut notices, &mut screen, &editor, &line) {
                            break;
                        }
                    }
                    Some(Typed::Interrupt) => {
                        screen.line(&format!("{DIM}Ctrl-D or /quit ends, and so does Ctrl-C again.{DIM:#}"));
                    }
                    None => break,
                }
                editor.go_on();
            }
        }
    }
    editor.end();
    session.close().await;
    Ok(Exit::Success)
}

/// Does what a line says; whether to go on.
fn follow(
    session: &mut Session,
    notices: &mut Notices,
    screen: &mut Screen,
    editor: &Editor,
    line: &str,
) -> bool {
    let result = match input::parse(line) {
        Err(error) => Err(chain(&error)),
        Ok(Input::Nothing) => Ok(()),
        Ok(Input::Emit {
            event,
            args,
            wants_ack,
        }) => {
            editor.learn(&event);
            let emitted = session.emit(event, &args, wants_ack, notices);
            if emitted.is_ok() && !session.socket().connected() {
                screen.line(&format!("{DIM}sent when there is a connection{DIM:#}"));
            }
            emitted.map_err(|error| chain(&error))
        }
        Ok(Input::Answer { number, args }) => {
            session.answer(number, &args).map_err(|error| chain(&error))
        }
        Ok(Input::Connect) => {
            session.socket().connect_lazy();
            Ok(())
        }
        Ok(Input::Help) => {
            screen.line(&help());
            Ok(())
        }
        Ok(Input::Quit) => return false,
    };
    if let Err(text) = result {
        screen.line(&format!("{BAD}{}{BAD:#}", escape(&text)));
    }
    true
}

/// Shows what has happened, as one line.
fn show(session: &mut Session, screen: &mut Screen, editor: &Editor, notice: Notice) {
    let mut text = match notice {
        Notice::Connected {
            id,
            transport,
            recovered,
        } => {
            let mut text = format!("{GOOD}connected{GOOD:#}");
            if let Some(id) = &id {
                let _ = write!(text, " as {BOLD}{}{BOLD:#}", escape(id));
            }
            if let Some(transport) = transport {
                let _ = write!(text, " by {transport}");
            }
            let namespace = session.socket().namespace();
            if namespace != "/" {
                let _ = write!(text, " in {}", escape(namespace));
            }
            if recovered {
                text.push_str(", nothing was missed");
            }
            text
        }
        Notice::Event { name, args, ack } => {
            editor.learn(&name);
            let mut text = format!("{NAME}{}{NAME:#}", escape(&name));
            push_args(&mut text, &args);
            if let Some(number) = session.ask(ack) {
                let _ = write!(text, " {DIM}(/answer {number} …){DIM:#}");
            }
            text
        }
        Notice::Answer {
            number: _,
            event,
            result,
            took,
        } => {
            session.note_answer(&result);
            let event = escape(&event);
            match result {
                Ok(args) => {
                    let mut text = format!("{NAME}{event}{NAME:#} {GOOD}answered{GOOD:#}");
                    push_args(&mut text, &args);
                    let millis = took.as_secs_f64() * 1000.0;
                    let _ = write!(text, " {DIM}({millis:.1} ms){DIM:#}");
                    text
                }
                Err(error) => {
                    let error = chain(&error);
                    let error = escape(&error);
                    format!("{NAME}{event}{NAME:#} {BAD}not answered{BAD:#}: {error}")
                }
            }
        }
        Notice::Disconnected(reason, detail) => {
            session.forget_questions();
            let mut text = format!("{BAD}disconnected{BAD:#}: {reason}");
            if let Some(detail) = detail {
                let _ = write!(text, " {DIM}({}){DIM:#}", escape(&detail));
            }
            push_how_to_return(&mut text, session);
            text
        }
        Notice::ConnectError(error) => {
            let error = chain(&error);
            let mut text = format!("{BAD}not connected{BAD:#}: {}", escape(&error));
            push_how_to_return(&mut text, session);
            text
        }
        Notice::Reconnecting(delay) => {
            format!("{DIM}reconnecting in {:.1} s{DIM:#}", delay.as_secs_f64())
        }
        Notice::Problem(error) => format!("{BAD}error{BAD:#}: {}", escape(&error)),
    };
    let time = jiff::Zoned::now().strftime("%H:%M:%S");
    text.insert_str(0, &format!("{DIM}{time}{DIM:#} "));
    screen.line(&text);
}

fn push_args(text: &mut String, args: &sockeye::Args) {
    if !args.is_empty() {
        text.push(' ');
        text.push_str(&json::pretty(args));
    }
}

fn push_how_to_return(text: &mut String, session: &Session) {
    if !session.socket().active() {
        let _ = write!(text, "; {COMMAND}/connect{COMMAND:#} tries again");
    }
}

fn help() -> String {
    let head = |text: &str| format!("{BOLD}{text}{BOLD:#}");
    let row = |left: &str, right: &str| format!("  {COMMAND}{left:<28}{COMMAND:#} {right}");
    [
        head("Events"),
        row("hello", "emits the event hello"),
        row(
            "chat lobby \"good day\" 3",
            "with arguments: JSON, and words that are none are strings",
        ),
        row(
            "add {\"a\": [1, 2]} 'a \"b\"'",
            "JSON may have spaces in it; single quotes take all as it is",
        ),
        row("upload @photo.png", "with the bytes of a file"),
        row("?sum [1, 2, 3]", "asks for an answer"),
        row(
            "\"a name\" 1",
            "a name with spaces, or one that begins with / ? { or #",
        ),
        head("Commands"),
        row(
            "/answer 1 \"yes\"",
            "answers the event with that number, with any arguments",
        ),
        row(
            "/connect",
            "connects again after the server has disconnected or refused",
        ),
        row("/help", "this"),
        row("/quit", "ends, as Ctrl-D does"),
        head("Keys"),
        row("Tab", "completes commands and names of events"),
        row(
            "Up, Ctrl-R",
            "earlier lines; one that begins with a space is not kept",
        ),
    ]
    .join("\n")
}

impl Screen {
    fn line(&mut self, text: &str) {
        let text = match self.has_colours {
            true => text.to_owned(),
            false => anstream::adapter::strip_str(text).to_string(),
        };
        // A terminal that is gone ends the input, too.
        let _ = self.printer.print(text + "\n");
    }
}
