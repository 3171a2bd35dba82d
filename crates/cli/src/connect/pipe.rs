//! Lines in, JSON lines out.

use std::io::{self, BufRead, Write};
use std::thread;

use serde::Serialize;
use serde_json::value::RawValue;
use sockeye::client::{Socket, TransportKind};
use tokio::sync::mpsc;

use super::Failure;
use super::input::{self, Input};
use super::notice::{Notice, Notices};
use super::session::{Session, SessionError};
use crate::escape::escape;
use crate::json;
use crate::report::{Exit, chain, unless_closed};
use crate::signals::Signals;

/// One line of the output.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Connected {
        id: Option<&'a str>,
        namespace: &'a str,
        transport: Option<&'static str>,
        recovered: bool,
    },
    Event {
        event: &'a str,
        args: Box<RawValue>,
        /// The number under which it can be answered, if the server waits for that.
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<u64>,
    },
    /// The answer to the event that was the `ack`-th to ask for one.
    Ack {
        ack: u64,
        event: &'a str,
        args: Box<RawValue>,
    },
    NoAck {
        ack: u64,
        event: &'a str,
        error: String,
    },
    Disconnected {
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
    ConnectError {
        error: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a serde_json::Value>,
    },
    Reconnecting {
        delay_ms: u128,
    },
    Error {
        /// The line of the input that it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        error: String,
    },
}

/// Lines that may wait to be sent; after that, reading waits.
const CAPACITY: usize = 64;

pub(super) async fn run(
    mut session: Session,
    mut notices: Notices,
    stay: bool,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let mut lines = read_lines();
    let mut number = 0;
    let mut is_reading = true;
    let written = loop {
        if !is_reading && !stay && !notices.expects_answers() {
            break Ok(());
        }
        let written = tokio::select! {
            notice = notices.next() => {
                let ends = matches!(notice, Notice::Disconnected(..) | Notice::ConnectError(_));
                let written = show(&mut session, notice);
                if ends && !session.socket().active() {
                    session.note(Exit::Disconnected);
                    break written;
                }
                written
            }
            line = next_line(session.socket(), &mut lines), if is_reading => match line {
                Some(Ok(line)) => {
                    number += 1;
                    match follow(&mut session, &mut notices, line) {
                        Ok(true) => Ok(()),
                        Ok(false) => break Ok(()),
                        Err(error) => {
                            session.note(Exit::Failure);
                            write(&Line::Error { line: Some(number), error })
                        }
                    }
                }
                Some(Err(error)) => {
                    session.note(Exit::Failure);
                    let error = format!("standard input cannot be read: {error}");
                    write(&Line::Error { line: None, error })
                }
                None => {
                    is_reading = false;
                    Ok(())
                }
            },
            () = signals.next() => break Ok(()),
        };
        if written.is_err() {
            break written;
        }
    };
    // Questions that are given up now are not told as failures.
    let exit = session.exit();
    tokio::select! {
        () = session.close() => {}
        () = signals.next() => return Ok(Exit::Interrupted),
    }
    let written = written.and_then(|()| {
        let mut rest = std::iter::from_fn(|| notices.take_next());
        rest.try_for_each(|notice| show(&mut session, notice))
    });
    unless_closed(written).map_err(Failure::Output)?;
    Ok(exit)
}

/// Does what a line says; whether to go on.
fn follow(session: &mut Session, notices: &mut Notices, line: Vec<u8>) -> Result<bool, String> {
    let line = String::from_utf8(line).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        format!("the line is not UTF-8, from its byte {at} on")
    })?;
    let followed = match input::parse(&line).map_err(|error| chain(&error))? {
        Input::Nothing | Input::Help => Ok(()),
        Input::Emit {
            event,
            args,
            wants_ack,
        } => session.emit(event, &args, wants_ack, notices),
        Input::Answer { number, args } => session.answer(number, &args),
        Input::Connect => {
            session.socket().connect_lazy();
            Ok(())
        }
        Input::Quit => return Ok(false),
    };
    followed.map_err(|error: SessionError| chain(&error))?;
    Ok(true)
}

/// Writes what has happened.
fn show(session: &mut Session, notice: Notice) -> io::Result<()> {
    match notice {
        Notice::Connected {
            id,
            transport,
            recovered,
        } => write(&Line::Connected {
            id: id.as_deref(),
            namespace: session.socket().namespace(),
            transport: transport.map(TransportKind::name),
            recovered,
        }),
        Notice::Event { name, args, ack } => write(&Line::Event {
            event: &name,
            args: json::array(&args),
            answer: session.ask(ack),
        }),
        Notice::Answer {
            number,
            event,
            result,
            took: _,
        } => {
            session.note_answer(&result);
            match &result {
                Ok(args) => write(&Line::Ack {
                    ack: number,
                    event: &event,
                    args: json::array(args),
                }),
                Err(error) => write(&Line::NoAck {
                    ack: number,
                    event: &event,
                    error: chain(error),
                }),
            }
        }
        Notice::Disconnected(reason, detail) => {
            session.forget_questions();
            write(&Line::Disconnected {
                reason: reason.as_str(),
                detail: detail.as_deref(),
            })
        }
        Notice::ConnectError(error) => write(&Line::ConnectError {
            error: chain(&error),
            data: error.refusal().and_then(|refusal| refusal.data()),
        }),
        Notice::Reconnecting(delay) => write(&Line::Reconnecting {
            delay_ms: delay.as_millis(),
        }),
        Notice::Problem(error) => write(&Line::Error { line: None, error }),
    }
}

fn write(line: &Line<'_>) -> io::Result<()> {
    let text = serde_json::to_string(line)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", escape(&text))?;
    out.flush()
}

/// The next line, when there is a connection that has room for what it says. Until then lines stay
/// where they are rather than in this process.
async fn next_line(socket: &Socket, lines: &mut Lines) -> Option<io::Result<Vec<u8>>> {
    if socket.ready().await.is_err() {
        // It is asked again after the next notice, such as that of a connection.
        std::future::pending::<()>().await;
    }
    lines.recv().await
}

/// Lines without their ends. Whether they are text is found out one by one, as one that is not is no
/// reason to give up the others.
type Lines = mpsc::Receiver<io::Result<Vec<u8>>>;

/// Reads standard input on a thread of its own: a read cannot be given up, and the process must be
/// able to end in the middle of one.
fn read_lines() -> Lines {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    thread::spawn(move || {
        let mut is_first = true;
        for line in io::stdin().lock().split(b'\n') {
            let failed = line.is_err();
            let line = line.map(|line| match std::mem::take(&mut is_first) {
                true => without_mark(line),
                false => line,
            });
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// Some editors and shells begin every text with a byte-order mark, which is no part of it.
fn without_mark(mut line: Vec<u8>) -> Vec<u8> {
    if line.starts_with(MARK) {
        line.drain(..MARK.len());
    }
    line
}

const MARK: &[u8] = "\u{feff}".as_bytes();
