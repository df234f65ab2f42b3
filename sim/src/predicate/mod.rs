//! What a predicate means, by the words of its documentation: the model's side of I12.
//!
//! **Place.** Shares no code with the engine, only words for arguments. The model asks it of every row
//! of a collection, one payload at a time; it knows of no index, and of no term that stands for a
//! value.
//!
//! - Z1. A field is present if its path leads to a value of its type or to an array with such an
//!   element; what holds, holds for one of the values that are present.
//! - Z2. Integers are compared with integers as i128 and with floats by value; nothing is rounded.
//! - Z3. A predicate is refused for what it says, whatever rows there are.

pub(crate) mod draw;
mod json;

use std::cmp::Ordering;

use quiver_store::limits::{PREDICATE_DEPTH_MAX, PREDICATE_PARTS_MAX};
use quiver_store::{FieldType, FilterableField, SecPredicate, SecValue};

use json::{Number, Value};

/// Whether a payload holds a predicate that is good on these fields.
pub fn holds(predicate: &SecPredicate, fields: &[FilterableField], payload: &[u8]) -> bool {
    meets(predicate, fields, &json::parse(payload).unwrap_or(Value::Other))
}

/// Whether a predicate can be asked of a collection with these fields (Z3).
pub fn is_good(predicate: &SecPredicate, fields: &[FilterableField]) -> bool {
    let mut parts = 0;
    is_good_at(predicate, fields, 1, &mut parts) && parts <= PREDICATE_PARTS_MAX
}

/// The values that are present of a field.
pub fn values(field: &FilterableField, payload: &[u8]) -> Vec<SecValue> {
    let root = json::parse(payload).unwrap_or(Value::Other);
    present(field, &root).into_iter().map(in_words).collect()
}

fn meets(predicate: &SecPredicate, fields: &[FilterableField], root: &Value) -> bool {
    let any = |path: &String, holds: &dyn Fn(&Value) -> bool| {
        let field = fields.iter().find(|field| field.path == *path);
        field.is_some_and(|field| present(field, root).into_iter().any(holds))
    };
    match predicate {
        SecPredicate::Eq { field, value } => any(field, &|it| is_equal(it, value)),
        SecPredicate::In { field, values } => {
            any(field, &|it| values.iter().any(|value| is_equal(it, value)))
        }
        SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive } => any(field, &|it| {
            let admits = |bound: &Option<SecValue>, inclusive: bool, side: Ordering| {
                bound.as_ref().is_none_or(|bound| match order(it, bound) {
                    Some(Ordering::Equal) => inclusive,
                    other => other == Some(side),
                })
            };
            admits(lo, *lo_inclusive, Ordering::Greater)
                && admits(hi, *hi_inclusive, Ordering::Less)
        }),
        SecPredicate::Exists { field } => any(field, &|_| true),
        SecPredicate::And(parts) => parts.iter().all(|part| meets(part, fields, root)),
        SecPredicate::Or(parts) => parts.iter().any(|part| meets(part, fields, root)),
        SecPredicate::Not(part) => !meets(part, fields, root),
        other => unreachable!("a predicate that the simulator does not know: {other:?}"),
    }
}

fn is_good_at(
    predicate: &SecPredicate,
    fields: &[FilterableField],
    depth: usize,
    parts: &mut usize,
) -> bool {
    if depth > PREDICATE_DEPTH_MAX {
        return false;
    }
    *parts += 1;
    let type_of = |path: &String| {
        fields.iter().find(|field| field.path == *path).map(|field| field.field_type)
    };
    let fits = |path: &String, value: &SecValue| match value {
        SecValue::Keyword(_) => type_of(path) == Some(FieldType::Keyword),
        SecValue::Bool(_) => type_of(path) == Some(FieldType::Bool),
        SecValue::Numeric(float) => type_of(path) == Some(FieldType::Numeric) && !float.is_nan(),
        _ => type_of(path) == Some(FieldType::Numeric),
    };
    match predicate {
        SecPredicate::Eq { field, value } => fits(field, value),
        SecPredicate::In { field, values } => {
            *parts += values.len();
            type_of(field).is_some() && values.iter().all(|value| fits(field, value))
        }
        SecPredicate::Range { field, lo, hi, .. } => {
            type_of(field).is_some_and(|own| own != FieldType::Bool)
                && lo.iter().chain(hi).all(|value| fits(field, value))
        }
        SecPredicate::Exists { field } => type_of(field).is_some(),
        SecPredicate::And(all) | SecPredicate::Or(all) => {
            all.iter().all(|part| is_good_at(part, fields, depth + 1, parts))
        }
        SecPredicate::Not(part) => is_good_at(part, fields, depth + 1, parts),
        other => unreachable!("a predicate that the simulator does not know: {other:?}"),
    }
}

/// The keys of a path: a backslash takes away the meaning of what follows it.
pub(crate) fn keys(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut escaped = false;
    for character in path.chars() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' if !escaped => keys.push(String::new()),
            other => keys.last_mut().expect("there is one from the start").push(other),
        }
        escaped = false;
    }
    keys
}

/// The values of a field (Z1).
fn present<'a>(field: &FilterableField, root: &'a Value) -> Vec<&'a Value> {
    let mut value = root;
    for key in keys(&field.path) {
        let Value::Object(members) = value else { return Vec::new() };
        let named = |(name, _): &&(Option<String>, Value)| name.as_deref() == Some(&key);
        let Some((_, member)) = members.iter().rev().find(named) else { return Vec::new() };
        value = member;
    }
    let has_type = |value: &&Value| match value {
        Value::Text(_) => field.field_type == FieldType::Keyword,
        Value::Number(_) => field.field_type == FieldType::Numeric,
        Value::Bool(_) => field.field_type == FieldType::Bool,
        _ => false,
    };
    match value {
        Value::Array(elements) => elements.iter().filter(has_type).collect(),
        other => Some(other).into_iter().filter(has_type).collect(),
    }
}

fn is_equal(value: &Value, other: &SecValue) -> bool {
    order(value, other) == Some(Ordering::Equal)
}

/// How a value that is present stands to one of a predicate; `None` where they do not compare.
fn order(value: &Value, other: &SecValue) -> Option<Ordering> {
    let number = match other {
        SecValue::Keyword(other) => {
            let Value::Text(text) = value else { return None };
            return Some(text.as_bytes().cmp(other.as_bytes()));
        }
        SecValue::Bool(other) => {
            let Value::Bool(value) = value else { return None };
            return Some(value.cmp(other));
        }
        SecValue::Numeric(float) => Number::Float(*float),
        SecValue::Integer(whole) => Number::Whole((*whole).into()),
        SecValue::Unsigned(whole) => Number::Whole((*whole).into()),
        other => unreachable!("a value that the simulator does not know: {other:?}"),
    };
    let Value::Number(value) = value else { return None };
    match (*value, number) {
        (Number::Whole(a), Number::Whole(b)) => Some(a.cmp(&b)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
        (Number::Whole(a), Number::Float(b)) => whole_to_float(a, b),
        (Number::Float(a), Number::Whole(b)) => Some(whole_to_float(b, a)?.reverse()),
    }
}

/// How an integer of at most 64 bits stands to a float (Z2).
fn whole_to_float(whole: i128, float: f64) -> Option<Ordering> {
    const BEYOND: f64 = (1_u128 << 100) as f64;
    if float.is_nan() {
        return None;
    }
    if float.abs() >= BEYOND {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let floor = float.floor();
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^100 either way")]
    let exact = floor as i128;
    // An integer that is the floor of a float is below it by the fraction.
    let fraction = if float > floor { Ordering::Less } else { Ordering::Equal };
    Some(whole.cmp(&exact).then(fraction))
}

fn in_words(value: &Value) -> SecValue {
    match value {
        Value::Text(text) => SecValue::Keyword(text.clone()),
        Value::Bool(value) => SecValue::Bool(*value),
        Value::Number(Number::Float(float)) => SecValue::Numeric(*float),
        Value::Number(Number::Whole(whole)) => match (i64::try_from(*whole), u64::try_from(*whole))
        {
            (Ok(whole), _) => SecValue::Integer(whole),
            (_, Ok(whole)) => SecValue::Unsigned(whole),
            _ => unreachable!("a whole number is read within i64 or u64"),
        },
        other => unreachable!("{other:?} is of no type and never present"),
    }
}

#[cfg(test)]
mod tests;
