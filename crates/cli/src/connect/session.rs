//! What both kinds of user do with the connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sockeye::client::{Ack, EncodeError, Socket};
use sockeye::{AckError, Args, EmitError};
use thiserror::Error;

use super::notice::{Notice, Notices};
use crate::arguments::Arguments;
use crate::report::Exit;

/// A connected socket, and who waits for answers on either side.
pub(super) struct Session {
    socket: Socket,
    timeout: Duration,
    /// The number of the last event that was emitted with the wish for an answer.
    asked: u64,
    /// The number of the last event of the server's that wants an answer.
    questions: u64,
    /// Those that have none yet.
    open: BTreeMap<u64, Ack>,
    exit: Exit,
}

/// Why a line that is understood cannot be followed.
#[derive(Debug, Error)]
pub(super) enum SessionError {
    #[error("an argument cannot be sent")]
    Encode(#[from] EncodeError),
    #[error("the event cannot be sent")]
    Emit(#[from] EmitError),
    #[error("no event with the number {0} waits for an answer")]
    NoQuestion(u64),
}

/// Questions that are remembered. Servers can ask for ever, and nobody has to answer.
const MAX_QUESTIONS: usize = 1000;

impl Session {
    pub(super) const fn new(socket: Socket, timeout: Duration) -> Self {
        Self {
            socket,
            timeout,
            asked: 0,
            questions: 0,
            open: BTreeMap::new(),
            exit: Exit::Success,
        }
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Emits an event, and has its answer told if one is wanted.
    pub(super) fn emit(
        &mut self,
        event: String,
        args: &Arguments,
        wants_ack: bool,
        notices: &mut Notices,
    ) -> Result<(), SessionError> {
        let args = args.encode()?;
        if !wants_ack {
            self.socket.emit(event, args)?;
            return Ok(());
        }
        let emission = self.socket.timeout(self.timeout);
        let answer = emission.emit_with_ack::<Args>(&event, args);
        self.asked += 1;
        let (number, start) = (self.asked, Instant::now());
        notices.expect(async move {
            let result = answer.await;
            let took = start.elapsed();
            Notice::Answer {
                number,
                event,
                result,
                took,
            }
        });
        Ok(())
    }

    /// Answers an event of the server's.
    pub(super) fn answer(&mut self, number: u64, args: &Arguments) -> Result<(), SessionError> {
        let args = args.encode()?;
        let ack = self.open.remove(&number);
        let ack = ack.ok_or(SessionError::NoQuestion(number))?;
        Ok(ack.send(args)?)
    }

    /// Keeps the right to answer an event, if there is one, under a number.
    pub(super) fn ask(&mut self, ack: Ack) -> Option<u64> {
        if !ack.is_wanted() {
            return None;
        }
        if self.open.len() == MAX_QUESTIONS {
            self.open.pop_first();
        }
        self.questions += 1;
        self.open.insert(self.questions, ack);
        Some(self.questions)
    }

    /// Takes note of what became of an event that was to be answered.
    pub(super) fn note_answer(&mut self, result: &Result<Args, AckError>) {
        match result {
            Ok(_) => {}
            Err(AckError::Timeout) => self.note(Exit::NoAnswer),
            Err(AckError::Disconnected) => self.note(Exit::Disconnected),
            Err(_) => self.note(Exit::Failure),
        }
    }

    /// Remembers how the command will end; the worst counts.
    pub(super) fn note(&mut self, exit: Exit) {
        self.exit = self.exit.max(exit);
    }

    /// Questions of a connection that is over cannot be answered any more.
    pub(super) fn forget_questions(&mut self) {
        self.open.clear();
    }

    /// Leaves, when everything that was emitted is sent.
    pub(super) async fn close(&self) {
        self.socket.client().close().await;
    }

    pub(super) const fn exit(&self) -> Exit {
        self.exit
    }
}
