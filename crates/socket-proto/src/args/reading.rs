//! A deserializer around serde_json's that answers requests for bytes with what stands for them in the JSON, and takes
//! what JavaScript takes.
//!
//! Every visitor and seed that passes through is wrapped, so that both hold at any depth. Only arguments that can have
//! bytes, or that cannot be read otherwise, pay for this.

mod bytes_visitor;

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::BytesForm;
use bytes_visitor::BytesVisitor;

/// How one argument is read. serde_json reads the text `'t`, and what the reader may keep lives for `'de`.
#[derive(Debug)]
pub(super) struct How<'t, 'de> {
    pub(super) form: BytesForm<'de>,
    pub(super) numbers: Numbers,
    /// What serde_json reads: `original`, or a copy of it in which some escapes are others of the same length.
    pub(super) text: &'t str,
    pub(super) original: &'de str,
}

/// What is made of numbers such as `1.0`, which are whole but written with a fraction or an exponent, and of `-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// They are floating-point numbers.
    AsWritten,
    /// They are whole numbers to whoever asks for these.
    WholeIfAsked,
    /// They are whole numbers also to whoever does not say what he wants, as types do that buffer what they read.
    Whole,
}

/// `inner` (a deserializer, visitor, seed or access of serde) together with how it reads.
pub(super) struct Reading<'t, 'de, T> {
    inner: T,
    how: &'t How<'t, 'de>,
    /// Whether a visitor wants whole numbers.
    whole: bool,
}

impl<'t, 'de, T> Reading<'t, 'de, T> {
    pub(super) const fn new(inner: T, how: &'t How<'t, 'de>) -> Self {
        Self {
            inner,
            how,
            whole: false,
        }
    }

    const fn whole(inner: T, how: &'t How<'t, 'de>, whole: bool) -> Self {
        Self { inner, how, whole }
    }
}

impl<'de> How<'_, 'de> {
    /// The same part of the original. What serde_json lends has no escapes, and so is no other there; or it is a raw
    /// value, which is to be as it came.
    pub(super) fn original_of(&self, part: &[u8]) -> Option<&'de str> {
        let start = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        self.original.get(start..start.checked_add(part.len())?)
    }
}

macro_rules! wrap_visitor {
    ($whole:expr, $($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self $(, $name: $type)*, visitor: V) -> Result<V::Value, D::Error> {
            let whole: fn(Numbers) -> bool = $whole;
            let visitor = Reading::whole(visitor, self.how, whole(self.how.numbers));
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'t, 'de, D: Deserializer<'t>> Deserializer<'de> for Reading<'t, 'de, D> {
    type Error = D::Error;

    wrap_visitor! {
        |numbers| numbers == Numbers::Whole,
        deserialize_any();
    }

    wrap_visitor! {
        |numbers| numbers != Numbers::AsWritten,
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
    }

    wrap_visitor! {
        |_| false,
        deserialize_bool();
        deserialize_i128();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner
            .deserialize_any(BytesVisitor::new(visitor, self.how))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_bytes(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'t, 'de, S: DeserializeSeed<'de>> DeserializeSeed<'t> for Reading<'t, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Reading::new(deserializer, self.how))
    }
}

macro_rules! pass_on {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'t, 'de, V: Visitor<'de>> Visitor<'t> for Reading<'t, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    pass_on! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_char(char);
        visit_str(&str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        match whole(value).filter(|_| self.whole) {
            Some(whole) => match u64::try_from(whole) {
                Ok(whole) => self.inner.visit_u64(whole),
                Err(_) => self.inner.visit_i64(whole),
            },
            None => self.inner.visit_f64(value),
        }
    }

    fn visit_borrowed_str<E: Error>(self, value: &'t str) -> Result<V::Value, E> {
        match self.how.original_of(value.as_bytes()) {
            Some(value) => self.inner.visit_borrowed_str(value),
            None => self.inner.visit_str(value),
        }
    }

    fn visit_borrowed_bytes<E: Error>(self, value: &'t [u8]) -> Result<V::Value, E> {
        match self.how.original_of(value) {
            Some(value) => self.inner.visit_borrowed_bytes(value.as_bytes()),
            None => self.inner.visit_bytes(value),
        }
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'t>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Reading::new(deserializer, self.how))
    }

    fn visit_newtype_struct<D: Deserializer<'t>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.inner
            .visit_newtype_struct(Reading::new(deserializer, self.how))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Reading::new(seq, self.how))
    }

    fn visit_map<A: MapAccess<'t>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Reading::new(map, self.how))
    }

    fn visit_enum<A: EnumAccess<'t>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Reading::new(data, self.how))
    }
}

impl<'t, 'de, A: SeqAccess<'t>> SeqAccess<'de> for Reading<'t, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.inner.next_element_seed(Reading::new(seed, self.how))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'t, 'de, A: MapAccess<'t>> MapAccess<'de> for Reading<'t, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(Reading::new(seed, self.how))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.next_value_seed(Reading::new(seed, self.how))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'t, 'de, A: EnumAccess<'t>> EnumAccess<'de> for Reading<'t, 'de, A> {
    type Error = A::Error;
    type Variant = Reading<'t, 'de, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(Reading::new(seed, self.how))?;
        Ok((value, Reading::new(variant, self.how)))
    }
}

impl<'t, 'de, A: VariantAccess<'t>> VariantAccess<'de> for Reading<'t, 'de, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.inner
            .newtype_variant_seed(Reading::new(seed, self.how))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner
            .tuple_variant(len, Reading::new(visitor, self.how))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner
            .struct_variant(fields, Reading::new(visitor, self.how))
    }
}

/// The whole number that `value` is, as far as JavaScript's numbers are exact.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = (1i64 << 53) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and small enough"
    )]
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}
