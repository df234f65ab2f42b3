//! How predicates are written, read and made simpler.
//!
//! `[eq "path" V]`, `[in "path" V V]`, `[range "path" from V through V]` with `after` for a lower and
//! `until` for an upper bound that is not in the range, both of which may be left out, `[exists
//! "path"]`, `[and P P]`, `[or P P]`, `[not P]`. A value is `"text"`, `true`, `-1` for an i64, `1u` for
//! a u64, and anything with a point, an exponent or letters for an f64: `1.0`, `5e-324`, `inf`, `NaN`.
//!
//! A range says of a bound that it has not whether it is inclusive by `open-below` and `open-above`,
//! where it says that it is not.

use quiver_store::{SecPredicate, SecValue};

use super::parts::{Part, ReadPart};
use super::words::{Text, Token, Words, Wrong, literal};
use crate::stream::Stream;

/// Deeper than this is nothing that anyone meant.
const DEPTH_MAX: usize = 100;

impl Part for SecPredicate {
    fn write(&self, text: &mut Text) {
        text.word(&said(self));
    }

    fn ways(&self) -> usize {
        simpler(self).len()
    }

    fn simplify(&mut self, way: usize) {
        *self = simpler(self).swap_remove(way);
    }
}

impl ReadPart for SecPredicate {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        read(words, 1)
    }

    fn sample(stream: &mut Stream) -> Self {
        sample(stream, 1)
    }
}

fn said(predicate: &SecPredicate) -> String {
    let all = |word: &str, parts: &[SecPredicate]| {
        let parts = parts.iter().map(|part| format!(" {}", said(part)));
        format!("[{word}{}]", parts.collect::<String>())
    };
    match predicate {
        SecPredicate::Eq { field, value } => format!("[eq {} {}]", path(field), value_said(value)),
        SecPredicate::In { field, values } => {
            let values = values.iter().map(|value| format!(" {}", value_said(value)));
            format!("[in {}{}]", path(field), values.collect::<String>())
        }
        SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive } => {
            let mut out = format!("[range {}", path(field));
            match (lo, lo_inclusive) {
                (Some(lo), true) => out.push_str(&format!(" from {}", value_said(lo))),
                (Some(lo), false) => out.push_str(&format!(" after {}", value_said(lo))),
                (None, false) => out.push_str(" open-below"),
                (None, true) => {}
            }
            match (hi, hi_inclusive) {
                (Some(hi), true) => out.push_str(&format!(" through {}", value_said(hi))),
                (Some(hi), false) => out.push_str(&format!(" until {}", value_said(hi))),
                (None, false) => out.push_str(" open-above"),
                (None, true) => {}
            }
            out + "]"
        }
        SecPredicate::Exists { field } => format!("[exists {}]", path(field)),
        SecPredicate::And(parts) => all("and", parts),
        SecPredicate::Or(parts) => all("or", parts),
        SecPredicate::Not(part) => all("not", std::slice::from_ref(part)),
        other => unreachable!("a predicate that the simulator does not know: {other:?}"),
    }
}

fn path(field: &str) -> String {
    literal(field.as_bytes())
}

fn value_said(value: &SecValue) -> String {
    match value {
        SecValue::Keyword(text) => literal(text.as_bytes()),
        SecValue::Bool(value) => value.to_string(),
        SecValue::Integer(whole) => whole.to_string(),
        SecValue::Unsigned(whole) => format!("{whole}u"),
        // With a point or an exponent, always.
        SecValue::Numeric(float) => format!("{float:?}"),
        other => unreachable!("a value that the simulator does not know: {other:?}"),
    }
}

fn read(words: &mut Words, depth: usize) -> Result<SecPredicate, Wrong> {
    if depth > DEPTH_MAX {
        return Err(words.says(format!("a predicate nested more than {DEPTH_MAX} deep")));
    }
    words.expect_mark('[')?;
    let wrong = words.wrong("a predicate, such as eq");
    let word = words.word("a predicate, such as eq")?;
    let predicate = match word.as_str() {
        "and" => return Ok(SecPredicate::And(read_all(words, depth)?)),
        "or" => return Ok(SecPredicate::Or(read_all(words, depth)?)),
        "not" => SecPredicate::Not(Box::new(read(words, depth + 1)?)),
        "exists" => SecPredicate::Exists { field: read_path(words)? },
        "eq" => SecPredicate::Eq { field: read_path(words)?, value: read_value(words)? },
        "in" => {
            let (field, mut values) = (read_path(words)?, Vec::new());
            while *words.peek() != Token::Mark(']') {
                values.push(read_value(words)?);
            }
            SecPredicate::In { field, values }
        }
        "range" => read_range(words)?,
        _ => return Err(wrong),
    };
    words.expect_mark(']')?;
    Ok(predicate)
}

fn read_all(words: &mut Words, depth: usize) -> Result<Vec<SecPredicate>, Wrong> {
    let mut parts = Vec::new();
    while !words.took_mark(']') {
        parts.push(read(words, depth + 1)?);
    }
    Ok(parts)
}

fn read_range(words: &mut Words) -> Result<SecPredicate, Wrong> {
    let field = read_path(words)?;
    let (mut lo, mut hi, mut lo_inclusive, mut hi_inclusive) = (None, None, true, true);
    loop {
        if words.took("from") {
            lo = Some(read_value(words)?);
        } else if words.took("after") {
            (lo, lo_inclusive) = (Some(read_value(words)?), false);
        } else if words.took("through") {
            hi = Some(read_value(words)?);
        } else if words.took("until") {
            (hi, hi_inclusive) = (Some(read_value(words)?), false);
        } else if words.took("open-below") {
            lo_inclusive = false;
        } else if words.took("open-above") {
            hi_inclusive = false;
        } else {
            return Ok(SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive });
        }
    }
}

fn read_path(words: &mut Words) -> Result<String, Wrong> {
    words.text("a path in quotes")
}

fn read_value(words: &mut Words) -> Result<SecValue, Wrong> {
    if matches!(words.peek(), Token::Literal(_)) {
        return words.text("a text").map(SecValue::Keyword);
    }
    words.one_of("a value", |word| match word {
        "true" => Some(SecValue::Bool(true)),
        "false" => Some(SecValue::Bool(false)),
        _ => {
            let unsigned = word.strip_suffix('u').and_then(|word| word.parse().ok());
            let signed = || word.parse().ok().map(SecValue::Integer);
            let float = || word.parse().ok().map(SecValue::Numeric);
            unsigned.map(SecValue::Unsigned).or_else(signed).or_else(float)
        }
    })
}

/// Predicates that say less, the shortest first.
fn simpler(predicate: &SecPredicate) -> Vec<SecPredicate> {
    let exists = |field: &String| SecPredicate::Exists { field: field.clone() };
    match predicate {
        SecPredicate::Eq { field, .. } => vec![exists(field)],
        SecPredicate::In { field, values } => {
            let without = |place| {
                let mut values = values.clone();
                values.remove(place);
                SecPredicate::In { field: field.clone(), values }
            };
            let mut all = vec![exists(field)];
            all.extend((0..values.len()).map(without));
            all
        }
        SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive } => {
            let range = |lo: &Option<SecValue>, hi: &Option<SecValue>| SecPredicate::Range {
                field: field.clone(),
                lo: lo.clone(),
                hi: hi.clone(),
                lo_inclusive: *lo_inclusive || lo.is_none(),
                hi_inclusive: *hi_inclusive || hi.is_none(),
            };
            let mut all = vec![exists(field), range(&None, hi), range(lo, &None)];
            // By their words: NaN is not equal to itself.
            all.retain(|simpler| said(simpler) != said(predicate));
            all
        }
        SecPredicate::Not(part) => {
            let inside = simpler(part).into_iter().map(|part| SecPredicate::Not(Box::new(part)));
            std::iter::once((**part).clone()).chain(inside).collect()
        }
        SecPredicate::And(parts) => of_parts(parts, SecPredicate::And),
        SecPredicate::Or(parts) => of_parts(parts, SecPredicate::Or),
        _ => Vec::new(),
    }
}

/// One part alone, all but one, or one of them simpler.
fn of_parts(
    parts: &[SecPredicate],
    join: fn(Vec<SecPredicate>) -> SecPredicate,
) -> Vec<SecPredicate> {
    let mut all = parts.to_vec();
    for place in 0..parts.len() {
        let mut fewer = parts.to_vec();
        fewer.remove(place);
        all.push(join(fewer));
    }
    for (place, part) in parts.iter().enumerate() {
        all.extend(simpler(part).into_iter().map(|part| {
            let mut parts = parts.to_vec();
            parts[place] = part;
            join(parts)
        }));
    }
    all
}

fn sample(stream: &mut Stream, depth: usize) -> SecPredicate {
    let fields = ["a.b", "", r"x\.y", "ключ", "a \"b\" {#;}[]"];
    let field = (*stream.pick(&fields)).to_owned();
    let values = [
        SecValue::Keyword(String::new()),
        SecValue::Keyword("\u{1f980}\0\n] \"".to_owned()),
        SecValue::Bool(true),
        SecValue::Bool(false),
        SecValue::Integer(i64::MIN),
        SecValue::Integer(1),
        SecValue::Unsigned(1),
        SecValue::Unsigned(u64::MAX),
        SecValue::Numeric(-0.0),
        SecValue::Numeric(1.0),
        SecValue::Numeric(1e308),
        SecValue::Numeric(5e-324),
        SecValue::Numeric(f64::NEG_INFINITY),
        SecValue::Numeric(f64::NAN),
    ];
    let value = |stream: &mut Stream| stream.pick(&values).clone();
    let kinds = if depth > 3 { 4 } else { 7 };
    let parts = |stream: &mut Stream| {
        (0..stream.size(0, 3)).map(|_| sample(stream, depth + 1)).collect::<Vec<_>>()
    };
    match stream.below(kinds) {
        0 => SecPredicate::Eq { field, value: value(stream) },
        1 => {
            let values = (0..stream.size(0, 4)).map(|_| value(stream)).collect();
            SecPredicate::In { field, values }
        }
        2 => {
            let mut bound = || stream.chance(2, 3).then(|| value(stream));
            let (lo, hi) = (bound(), bound());
            let (lo_inclusive, hi_inclusive) = (stream.chance(1, 2), stream.chance(1, 2));
            SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive }
        }
        3 => SecPredicate::Exists { field },
        4 => SecPredicate::And(parts(stream)),
        5 => SecPredicate::Or(parts(stream)),
        _ => SecPredicate::Not(Box::new(sample(stream, depth + 1))),
    }
}
