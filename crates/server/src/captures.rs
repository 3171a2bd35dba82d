//! What a namespace's name has captured, as types of the application's.

use std::str::FromStr;

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// One capture: its name, and what it is.
pub(crate) type Captured<'n> = (&'n str, Option<&'n str>);

/// Reads captures as a type.
pub(crate) fn read<'n, T: DeserializeOwned>(
    captured: impl Iterator<Item = Captured<'n>>,
) -> Result<T, Error> {
    T::deserialize(All(captured))
}

/// All captures of a name.
struct All<I>(I);

/// One of them.
#[derive(Clone, Copy)]
struct One<'n> {
    name: &'n str,
    value: Option<&'n str>,
}

fn one<'n>((name, value): Captured<'n>) -> One<'n> {
    One { name, value }
}

impl<'n, I: Iterator<Item = Captured<'n>>> All<I> {
    /// What is asked for is no list and no map, so that there has to be but one.
    fn only(mut self) -> Result<One<'n>, Error> {
        match (self.0.next().map(one), self.0.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Error::custom("the name has no captures")),
            (Some(_), Some(_)) => Err(Error::custom("the name has more than one capture")),
        }
    }

    fn visit_list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut values = SeqDeserializer::new(self.0.map(one));
        let list = visitor.visit_seq(&mut values)?;
        values.end()?;
        Ok(list)
    }

    fn visit_map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.0.map(|captured| (captured.0, one(captured)));
        visitor.visit_map(MapDeserializer::new(pairs))
    }
}

/// Hands on to the only capture.
macro_rules! to_only {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only()?.$method(visitor)
        })*
    };
}

impl<'de, 'n, I: Iterator<Item = Captured<'n>>> Deserializer<'de> for All<I> {
    type Error = Error;

    to_only! {
        deserialize_bool deserialize_char deserialize_str deserialize_string
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_option
        deserialize_bytes deserialize_byte_buf deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_map(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.visit_list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }
}

impl<'n> One<'n> {
    fn text(self) -> Result<&'n str, Error> {
        self.value
            .ok_or_else(|| Error::custom(format_args!("nothing was captured as {:?}", self.name)))
    }

    fn parse<T: FromStr>(self, kind: &str) -> Result<T, Error> {
        let text = self.text()?;
        text.parse().map_err(|_| {
            Error::custom(format_args!(
                "{text:?}, captured as {:?}, is no {kind}",
                self.name
            ))
        })
    }
}

/// Reads what a capture is as one of Rust's types.
macro_rules! parsed {
    ($($method:ident $visit:ident $kind:literal)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.parse($kind)?)
        })*
    };
}

impl<'de> Deserializer<'de> for One<'_> {
    type Error = Error;

    parsed! {
        deserialize_bool visit_bool "bool"
        deserialize_char visit_char "single character"
        deserialize_i8 visit_i8 "number of its kind"
        deserialize_i16 visit_i16 "number of its kind"
        deserialize_i32 visit_i32 "number of its kind"
        deserialize_i64 visit_i64 "number of its kind"
        deserialize_i128 visit_i128 "number of its kind"
        deserialize_u8 visit_u8 "number of its kind"
        deserialize_u16 visit_u16 "number of its kind"
        deserialize_u32 visit_u32 "number of its kind"
        deserialize_u64 visit_u64 "number of its kind"
        deserialize_u128 visit_u128 "number of its kind"
        deserialize_f32 visit_f32 "number"
        deserialize_f64 visit_f64 "number"
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            None => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

impl IntoDeserializer<'_, Error> for One<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> EnumAccess<'de> for One<'_> {
    type Error = Error;
    type Variant = Bare;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Bare), Error> {
        Ok((seed.deserialize(self)?, Bare))
    }
}

/// A variant's name, which is all that a capture can be of an enum.
struct Bare;

impl Bare {
    fn refuse<T>() -> Result<T, Error> {
        Err(Error::custom(
            "a capture has no room for what is in this variant",
        ))
    }
}

impl<'de> VariantAccess<'de> for Bare {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Self::refuse()
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Self::refuse()
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Self::refuse()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    fn of<T: DeserializeOwned>(captured: &[Captured<'_>]) -> Result<T, String> {
        read(captured.iter().copied()).map_err(|error| error.to_string())
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Color {
        Red,
        Dark(u8),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Id(u64);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Named {
        id: Id,
        color: Color,
        rest: Option<String>,
    }

    #[test]
    fn single_capture_is_a_value() {
        assert_eq!(of(&[("a", Some("7"))]), Ok(7_u8));
        assert_eq!(of(&[("a", Some("7"))]), Ok("7".to_owned()));
        assert_eq!(of(&[("a", Some("7"))]), Ok(Id(7)));
        assert_eq!(of(&[("a", Some("true"))]), Ok(true));
        assert_eq!(of(&[("a", Some("-1.5"))]), Ok(-1.5_f64));
        assert_eq!(of(&[("a", Some("ä"))]), Ok('ä'));
        assert_eq!(of(&[("a", Some("red"))]), Ok(Color::Red));
        assert_eq!(of(&[("a", None)]), Ok(None::<String>));
        assert_eq!(of(&[("a", Some("7"))]), Ok((7_u8,)));
        assert_eq!(of(&[("a", Some("7"))]), Ok(()));
    }

    #[test]
    fn several_captures_are_a_tuple_list_map_or_struct() {
        let captured = [("id", Some("7")), ("color", Some("red")), ("rest", None)];
        let (id, color, rest) = of::<(u32, Color, Option<u8>)>(&captured).unwrap();
        assert_eq!((id, color, rest), (7, Color::Red, None));
        let list: Vec<Option<String>> = of(&captured).unwrap();
        assert_eq!(list, [Some("7".to_owned()), Some("red".to_owned()), None]);
        let map: HashMap<String, Option<String>> = of(&captured).unwrap();
        assert_eq!(map["color"].as_deref(), Some("red"));
        let expected = Named {
            id: Id(7),
            color: Color::Red,
            rest: None,
        };
        assert_eq!(of(&captured), Ok(expected));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let error = of::<u8>(&[("room", Some("300"))]).unwrap_err();
        assert_eq!(
            error,
            r#""300", captured as "room", is no number of its kind"#
        );
        let error = of::<String>(&[("room", None)]).unwrap_err();
        assert_eq!(error, r#"nothing was captured as "room""#);
        let two = [("a", Some("1")), ("b", Some("2"))];
        assert_eq!(
            of::<u8>(&two).unwrap_err(),
            "the name has more than one capture"
        );
        assert_eq!(of::<u8>(&[]).unwrap_err(), "the name has no captures");
        assert!(of::<(u8,)>(&two).is_err() && of::<(u8, u8, u8)>(&two).is_err());
        assert!(of::<Color>(&[("a", Some("dark"))]).is_err());
        assert!(of::<Color>(&[("a", Some("blue"))]).is_err());
        assert!(of::<Named>(&two).unwrap_err().contains("missing field"));
    }
}
