//! The first packet on a stream, read before there is a session.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame;
use sockeye_websocket::{Event, OpCode, encode_frame};

use super::{Frames, Wire};
use crate::connection::Incoming;
use crate::frames::ReadError;

/// What came on a stream.
#[derive(Debug)]
pub enum Early {
    /// A text packet.
    Text(String),
    /// A binary one.
    Binary(Bytes),
}

/// Why nothing came.
#[derive(Debug)]
pub enum NothingEarly {
    /// The peer, or the network, ended the stream; a text says how.
    Ended(String),
    /// The peer broke the rules of the framing.
    Violation(Box<dyn std::error::Error + Send + Sync>),
}

impl Wire {
    /// Reads one packet; what came behind it is kept.
    ///
    /// # Errors
    ///
    /// If the stream ends before, or is not cut as it should be.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has taken nothing.
    pub async fn read_first(&mut self) -> Result<Early, NothingEarly> {
        poll_fn(|cx| self.poll_first(cx)).await
    }

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<Early, NothingEarly>> {
        loop {
            let mut first = None;
            match &mut self.frames {
                Frames::WebSocket(frames) => {
                    let read = frames.poll_events(&mut self.io, cx, |event| {
                        first = match event {
                            Event::Text(text) => Some(Ok(Early::Text(text.to_string()))),
                            Event::Binary(data) => Some(Ok(Early::Binary(data.to_vec().into()))),
                            Event::Close(close) => Some(Err(NothingEarly::Ended(match close {
                                Some(close) => format!("closed with code {}", close.code),
                                None => "closed".to_owned(),
                            }))),
                            // No server waits for the answer to a ping before its first packet.
                            Event::Ping(_) | Event::Pong(_) => None,
                        };
                        ControlFlow::Break(())
                    });
                    ready!(read).map_err(NothingEarly::from)?;
                }
                Frames::Native(frames) => {
                    let read = frames.poll_events(&mut self.io, cx, |frame| {
                        first = Some(Ok(match frame {
                            Incoming::Text(text) => Early::Text(text.to_owned()),
                            data => Early::Binary(data.into_bytes()),
                        }));
                        ControlFlow::Break(())
                    });
                    ready!(read).map_err(NothingEarly::from)?;
                }
                // Lines have no beginning that is anybody's business but the application's.
                Frames::Lines(_) => first = Some(Ok(Early::Text(String::new()))),
            }
            if let Some(first) = first {
                return Poll::Ready(first);
            }
        }
    }

    /// Puts back what was read, so that it is read again.
    pub fn unread(&mut self, early: &Early) {
        let mut bytes = Vec::new();
        match &mut self.frames {
            Frames::WebSocket(frames) => {
                match early {
                    Early::Text(text) => {
                        encode_frame(&mut bytes, OpCode::Text, text.as_bytes(), None);
                    }
                    Early::Binary(data) => encode_frame(&mut bytes, OpCode::Binary, data, None),
                }
                frames.unread(&bytes);
            }
            Frames::Native(frames) => {
                match early {
                    Early::Text(text) => {
                        frame::encode_frame(&mut bytes, WireKind::Text, text.as_bytes());
                    }
                    Early::Binary(data) => {
                        frame::encode_frame(&mut bytes, WireKind::Binary, data);
                    }
                }
                frames.unread(&bytes);
            }
            Frames::Lines(_) => {}
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<ReadError<E>> for NothingEarly {
    fn from(error: ReadError<E>) -> Self {
        match error {
            ReadError::Format(violation) => Self::Violation(violation.into()),
            ReadError::Io(error) => Self::Ended(error.to_string()),
            ReadError::End => Self::Ended("the stream ended".to_owned()),
        }
    }
}
