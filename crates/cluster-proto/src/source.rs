//! Reads a message value by value, whatever the format, so that each dialect is read in one place and no tree is built.

mod json;
mod msgpack;

use std::borrow::Cow;

use crate::DecodeError;
use crate::value::Wire;

pub(crate) use json::JsonSource;
pub(crate) use msgpack::MessagePackSource;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// What a sender in JavaScript has left out, and another one may have not.
    Nothing,
    Map,
    List,
    Text,
    Other,
}

/// Stands in front of a value. Each method that reads one goes behind it.
pub(crate) trait Source<'a>: Clone {
    fn shape(&self) -> Shape;

    /// Reads a map. `pair` gets each key and reads its value, or skips it.
    fn map(
        &mut self,
        pair: impl FnMut(&mut Self, &[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError>;

    /// Reads a list. `item` reads each item, or skips it.
    fn list(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError>;

    /// Reads a text, or a number as one.
    fn text(&mut self) -> Result<Cow<'a, str>, DecodeError>;

    /// Reads a whole number from 0 on, in whatever way it is written.
    fn whole(&mut self) -> Result<u64, DecodeError>;

    fn truth(&mut self) -> Result<bool, DecodeError>;

    /// Reads over any value, and hands it out as it is.
    fn wire(&mut self) -> Result<Wire, DecodeError>;

    fn skip(&mut self) -> Result<(), DecodeError>;

    /// Nothing may follow.
    fn end(&mut self) -> Result<(), DecodeError>;

    /// Reads what may be left out.
    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.shape() {
            Shape::Nothing => self.skip().map(|()| None),
            _ => read(self).map(Some),
        }
    }
}

/// A number that is whole, not below zero, and one that JavaScript holds exactly.
fn whole_float(number: f64) -> Option<u64> {
    const EXACT: f64 = (1u64 << 53) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, not below zero, and small enough"
    )]
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}
