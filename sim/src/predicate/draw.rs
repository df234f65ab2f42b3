//! Predicates drawn at random, and the values that they and payloads are made of.
//!
//! **Place.** The generator asks predicates of what it writes, the explorer of what recovered images
//! hold. Who draws says which values there may be; here they are taken as they are, missed by
//! little, and put together.
//!
//! - W1. Every value of a catalogue stands beside those that a wrong comparison takes it for.
//! - W2. One predicate in a few dozen is one that must be refused.

use quiver_store::limits::PREDICATE_DEPTH_MAX;
use quiver_store::{FieldType, FilterableField, SecPredicate, SecValue};

use crate::stream::Stream;

/// Numbers as JSON has them, by what they are easily taken for.
pub(crate) const NUMBERS: [&[&str]; 6] = [
    &["0", "-0.0", "-0", "5e-324", "-5e-324", "2e-324", "1e-400", "0.0"],
    &["1", "1.0", "1e0", "0.5", "2", "0.1", "0.1000000000000000055511151231257827", "-1"],
    &[
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9007199254740992.0",
        "-9007199254740993",
    ],
    &[
        "18446744073709551615",
        "18446744073709551614",
        "18446744073709551616",
        "1.8446744073709552e19",
    ],
    &[
        "-9223372036854775808",
        "-9223372036854775809",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854774784",
    ],
    &[
        "1e308",
        "-1e308",
        "1.7976931348623157e308",
        "1e400",
        "-1e400",
        "123456789012345678901234567890",
    ],
];

/// Texts, by what they are easily taken for.
pub(crate) const KEYWORDS: [&[&str]; 4] = [
    &["", "\0", "a", "a\0", "ab", "b", "A"],
    &["\u{e9}", "e\u{301}", "\u{ffff}", "\u{1f600}", "\u{10ffff}", "\u{7f}", "\u{80}"],
    &["\"", "\\", "\n", "\\n", "/", "\u{1f}", "\" \\"],
    &["true", "null", "1", "1.0", "[]", "{\"a\":1}", " 1"],
];

/// How many parts a predicate is nested in, but for one that is as deep as it may be.
const DEPTH_MAX: usize = 3;

/// A predicate on some of the fields; `value` gives values of a field that may be there.
pub(crate) fn predicate(
    fields: &[FilterableField],
    stream: &mut Stream,
    value: &mut dyn FnMut(usize, &mut Stream) -> SecValue,
) -> SecPredicate {
    let mut draws = Draws { fields, stream, value };
    match draws.stream.below(160) {
        0 => draws.deep(),
        1..4 => draws.bad(),
        _ => draws.part(1),
    }
}

/// A value that is equal to this one of a payload, or beside it; `text` is that of a number in JSON,
/// and the plain one of a keyword.
pub(crate) fn near(field_type: FieldType, text: &str, stream: &mut Stream) -> SecValue {
    match field_type {
        FieldType::Keyword => SecValue::Keyword(near_keyword(text, stream)),
        FieldType::Bool => SecValue::Bool(stream.chance(1, 2)),
        _ => near_number(text, stream),
    }
}

fn near_keyword(text: &str, stream: &mut Stream) -> String {
    let mut chars = text.chars();
    match stream.below(8) {
        0 => format!("{text}\0"),
        1 => {
            chars.next_back();
            chars.as_str().to_owned()
        }
        2 => {
            let row = *stream.pick(&KEYWORDS);
            (*stream.pick(row)).to_owned()
        }
        _ => text.to_owned(),
    }
}

fn near_number(text: &str, stream: &mut Stream) -> SecValue {
    let by = if stream.chance(1, 3) { *stream.pick(&[-1, 1]) } else { 0 };
    let whole = text.parse::<i128>().ok().and_then(|whole| whole.checked_add(by));
    let signed = whole.and_then(|whole| i64::try_from(whole).ok()).map(SecValue::Integer);
    let unsigned = whole.and_then(|whole| u64::try_from(whole).ok()).map(SecValue::Unsigned);
    let float = text.parse::<f64>().unwrap_or_default();
    let float = match by {
        0 => float,
        1 => float.next_up(),
        _ => float.next_down(),
    };
    match stream.below(3) {
        0 => signed.or(unsigned),
        1 => unsigned.or(signed),
        _ => None,
    }
    .unwrap_or(SecValue::Numeric(float))
}

struct Draws<'a, 'b> {
    fields: &'a [FilterableField],
    stream: &'a mut Stream,
    value: &'a mut (dyn FnMut(usize, &mut Stream) -> SecValue + 'b),
}

impl Draws<'_, '_> {
    fn part(&mut self, depth: usize) -> SecPredicate {
        if depth > DEPTH_MAX || self.stream.chance(1, 2) {
            let field = self.stream.index(self.fields.len());
            return self.leaf(field);
        }
        match self.stream.below(5) {
            0 | 1 => SecPredicate::And(self.parts(depth)),
            2 | 3 => SecPredicate::Or(self.parts(depth)),
            _ => SecPredicate::Not(Box::new(self.part(depth + 1))),
        }
    }

    fn parts(&mut self, depth: usize) -> Vec<SecPredicate> {
        let count = *self.stream.pick(&[2, 2, 2, 3, 1, 0]);
        (0..count).map(|_| self.part(depth + 1)).collect()
    }

    fn leaf(&mut self, place: usize) -> SecPredicate {
        let FilterableField { path, field_type } = self.fields[place].clone();
        let field = path;
        match self.stream.below(8) {
            0 => SecPredicate::Exists { field },
            1 | 2 => {
                let count = *self.stream.pick(&[1, 2, 2, 3, 5, 0]);
                let values = (0..count).map(|_| self.value(place)).collect();
                SecPredicate::In { field, values }
            }
            3..6 if field_type != FieldType::Bool => {
                let mut bound = || self.stream.chance(2, 3).then(|| self.value(place));
                let (lo, hi) = (bound(), bound());
                let (lo_inclusive, hi_inclusive) =
                    (self.stream.chance(1, 2), self.stream.chance(1, 2));
                SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive }
            }
            _ => SecPredicate::Eq { field, value: self.value(place) },
        }
    }

    fn value(&mut self, place: usize) -> SecValue {
        (self.value)(place, self.stream)
    }

    /// As deep as a predicate may be, or deeper by one.
    fn deep(&mut self) -> SecPredicate {
        let place = self.stream.index(self.fields.len());
        let mut predicate = self.leaf(place);
        for _ in 1..PREDICATE_DEPTH_MAX + self.stream.size(0, 1) {
            predicate = SecPredicate::Not(Box::new(predicate));
        }
        predicate
    }

    /// One that most often is refused (W2), with others around it.
    fn bad(&mut self) -> SecPredicate {
        let place = self.stream.index(self.fields.len());
        let field = self.fields[place].path.clone();
        let bad = match self.stream.below(6) {
            0 => SecPredicate::Exists { field: format!("{field}.x") },
            1 => SecPredicate::Eq { field: String::new(), value: self.value(place) },
            2 => SecPredicate::Eq { field, value: SecValue::Numeric(f64::NAN) },
            3 => {
                SecPredicate::In { field, values: vec![self.value(place), true.into(), "".into()] }
            }
            4 => SecPredicate::Range {
                field,
                lo: None,
                hi: Some(true.into()),
                lo_inclusive: true,
                hi_inclusive: true,
            },
            _ => SecPredicate::Eq { field, value: "1".into() },
        };
        match self.stream.below(3) {
            0 => SecPredicate::Or(vec![self.part(DEPTH_MAX), bad]),
            1 => SecPredicate::And(vec![SecPredicate::Or(Vec::new()), bad]),
            _ => bad,
        }
    }
}
