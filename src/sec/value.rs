//! Values of predicates and payloads, and the byte strings, *terms*, that stand for them.
//!
//! Terms of one field compare by their bytes exactly as their values do, and equal values have one
//! term. A keyword is its own UTF-8; `false` is the byte 0, `true` the byte 1; a number has the
//! following term.
//!
//! **Numbers.** All finite floats of 64 bits, and all integers of i64 and u64, in one exact order.
//! Let x be one of them, and f the largest float that is not above x. The *key* of x is ten bytes:
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | floor | bits of f, big-endian: all inverted if f is below zero, else the first one set |
//! | 8 | 2 | rest | x - f, big-endian |
//!
//! - N1. *The rest is a whole number below 2,048.* It is 0 for a float. An integer of at most 2^53
//!   either way is a float. Any other integer has a floor of at least 2^53 either way, which is an
//!   integer; and floats of less than 2^64 either way are at most 2,048 apart.
//! - N2. *Keys have the order of values.* If x < y then floor(x) <= floor(y). Floats compare as their
//!   bits do in the form above (-0.0 is taken as 0.0). Where both floors are f, x - f < y - f.
//! - N3. *One value has one key,* for the key follows from the value alone: 1 and 1.0 are one.
//!
//! The term is the key without the zeros at its end. That keeps the order: of two byte strings that
//! end in no zero, padding both with zeros changes neither which one is less nor whether they are
//! equal. Small integers and short fractions take two to four bytes.

use crate::error::{Error, Result};
use crate::sec::field::FieldType;

/// A value that the values of a field are compared with.
///
/// Numbers of the three kinds compare by value, exactly: `Integer(1)`, `Unsigned(1)` and
/// `Numeric(1.0)` are the same, 2^53 + 1 is not 2^53. An infinity is a bound beyond every number.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SecValue {
    /// For keyword fields.
    Keyword(String),
    /// For numeric fields; NaN is refused.
    Numeric(f64),
    /// For numeric fields.
    Integer(i64),
    /// For numeric fields.
    Unsigned(u64),
    /// For bool fields.
    Bool(bool),
}

/// A byte string that stands for a value of a field.
pub(crate) type Term = Box<[u8]>;

impl From<&str> for SecValue {
    fn from(value: &str) -> Self {
        Self::Keyword(value.to_owned())
    }
}

impl From<String> for SecValue {
    fn from(value: String) -> Self {
        Self::Keyword(value)
    }
}

impl From<f64> for SecValue {
    fn from(value: f64) -> Self {
        Self::Numeric(value)
    }
}

impl From<i64> for SecValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for SecValue {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<bool> for SecValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl SecValue {
    /// The term of this value on a field of a type.
    ///
    /// # Errors
    /// `InvalidArgument` for a value of another type and for NaN.
    pub(super) fn term(&self, field_type: FieldType) -> Result<Term> {
        let number = |key: NumberKey| Ok(key.term().into());
        match (self, field_type) {
            (Self::Keyword(text), FieldType::Keyword) => Ok(text.as_bytes().into()),
            (Self::Bool(value), FieldType::Bool) => Ok(bool_term(*value).into()),
            (Self::Integer(value), FieldType::Numeric) => number((*value).into()),
            (Self::Unsigned(value), FieldType::Numeric) => number((*value).into()),
            (Self::Numeric(value), FieldType::Numeric) => match NumberKey::of_float(*value) {
                Some(key) => number(key),
                None => Err(Error::invalid("NaN compares with nothing")),
            },
            _ => {
                let own = match self {
                    Self::Keyword(_) => FieldType::Keyword,
                    Self::Bool(_) => FieldType::Bool,
                    Self::Numeric(_) | Self::Integer(_) | Self::Unsigned(_) => FieldType::Numeric,
                };
                Err(Error::invalid(format!("a {own} value on a {field_type} field")))
            }
        }
    }
}

/// The term of a boolean.
pub(super) fn bool_term(value: bool) -> &'static [u8] {
    if value { &[1] } else { &[0] }
}

const FLOOR_SIZE_BYTES: usize = 8;
const KEY_SIZE_BYTES: usize = FLOOR_SIZE_BYTES + 2;

/// The key of a number: ten bytes in the order of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NumberKey([u8; KEY_SIZE_BYTES]);

impl NumberKey {
    /// The key of a float, infinities included; `None` for NaN.
    pub(super) fn of_float(value: f64) -> Option<Self> {
        (!value.is_nan()).then(|| Self::new(value, 0))
    }

    fn new(floor: f64, rest: u16) -> Self {
        // The sum of zero and -0.0 is 0.0.
        let bits = (floor + 0.0).to_bits();
        let sign = 1 << (u64::BITS - 1);
        let ordered = if bits & sign == 0 { bits | sign } else { !bits };
        let mut key = [0; KEY_SIZE_BYTES];
        key[..FLOOR_SIZE_BYTES].copy_from_slice(&ordered.to_be_bytes());
        key[FLOOR_SIZE_BYTES..].copy_from_slice(&rest.to_be_bytes());
        Self(key)
    }

    /// The key of an integer; `nearest` is a float next to it on either side, or itself.
    fn of_integer(value: i128, nearest: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "both are integers, below 2^65 either way"
        )]
        let whole = |float: f64| float as i128;
        let floor = if whole(nearest) > value { nearest.next_down() } else { nearest };
        let rest = u16::try_from(value - whole(floor)).expect("at most 2,047 (N1)");
        Self::new(floor, rest)
    }

    /// The bytes that stand for the number: the key without the zeros at its end.
    pub(super) fn term(&self) -> &[u8] {
        let len = self.0.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        &self.0[..len]
    }
}

impl From<i64> for NumberKey {
    fn from(value: i64) -> Self {
        Self::of_integer(value.into(), value as f64)
    }
}

impl From<u64> for NumberKey {
    fn from(value: u64) -> Self {
        Self::of_integer(value.into(), value as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sec::tests::{Number, number};
    use proptest::prelude::*;

    fn key(number: Number) -> NumberKey {
        match number {
            Number::Float(value) => NumberKey::of_float(value).expect("not NaN"),
            Number::Integer(value) => match i64::try_from(value) {
                Ok(value) => value.into(),
                Err(_) => u64::try_from(value).expect("drawn from u64").into(),
            },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn keys_and_terms_have_the_exact_order_of_numbers(a in number(), b in number()) {
            let exact = a.exact_cmp(b);
            let (a, b) = (key(a), key(b));
            prop_assert_eq!(a.cmp(&b), exact);
            prop_assert_eq!(a.term().cmp(b.term()), exact);
            let rest = u16::from_be_bytes([a.0[8], a.0[9]]);
            prop_assert!(rest < 2048, "N1: {rest}");
        }
    }

    #[test]
    fn neighbours_at_every_boundary_differ_and_equal_values_do_not() {
        let term = |value: &SecValue| value.term(FieldType::Numeric).expect("a number");
        let ascending = [
            SecValue::Numeric(f64::NEG_INFINITY),
            SecValue::Numeric(f64::MIN),
            SecValue::Numeric((i64::MIN as f64).next_down()),
            SecValue::Integer(i64::MIN),
            SecValue::Integer(i64::MIN + 1),
            SecValue::Integer(-(1 << 53) - 1),
            SecValue::Integer(-(1 << 53)),
            SecValue::Numeric(-5e-324),
            SecValue::Numeric(-0.0),
            SecValue::Numeric(5e-324),
            SecValue::Integer(1 << 53),
            SecValue::Integer((1 << 53) + 1),
            SecValue::Integer(i64::MAX - 1),
            SecValue::Integer(i64::MAX),
            SecValue::Unsigned(1 << 63),
            SecValue::Unsigned(u64::MAX - 1),
            SecValue::Unsigned(u64::MAX),
            SecValue::Numeric(18_446_744_073_709_551_616.0),
            SecValue::Numeric(f64::INFINITY),
        ];
        for pair in ascending.windows(2) {
            assert!(term(&pair[0]) < term(&pair[1]), "{pair:?}");
        }
        let one = [SecValue::Integer(1), SecValue::Unsigned(1), SecValue::Numeric(1.0)];
        assert!(one.iter().all(|value| *term(value) == [0xbf, 0xf0]));
        assert_eq!(term(&SecValue::Numeric(-0.0)), term(&SecValue::Integer(0)));
        let error = SecValue::Numeric(f64::NAN).term(FieldType::Numeric).expect_err("NaN");
        assert_eq!(error.to_string(), "NaN compares with nothing");
    }
}
