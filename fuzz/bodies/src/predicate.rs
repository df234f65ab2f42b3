//! Predicates: which are refused, and what the others find.
//!
//! The input is a predicate, asked of the rows of [`crate::sections`].

use std::sync::{Arc, OnceLock};

use arbitrary::{Result, Unstructured};
use quiver_sim::predicate::{holds, is_good};
use quiver_store::codec::PlainCodec;
use quiver_store::{ErrorKind, SecPredicate, SecValue, Store};

use crate::sections::{PAYLOADS, fields, fill};
use crate::template::{Template, options};

/// Deeper than what is accepted.
const DEPTH_MAX: usize = 80;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), fill));
    let Ok(asked) = predicate(&mut Unstructured::new(input), DEPTH_MAX) else { return };
    let fields = fields();
    let expected = is_good(&asked, &fields);
    let checked = asked.validate(&fields);
    assert_eq!(checked.is_ok(), expected, "{asked:?} gives {checked:?}");
    if let Err(error) = checked {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().len() > 8, "{error:?} says nothing");
        return;
    }
    let env = template.env(&template.manifest, &[]);
    let store = Store::open_read_only_with(env, options()).expect("as the engine wrote it");
    let id = template.collection();
    let found = store.matching_ids(id, &asked).expect("it was validated");
    let rows = PAYLOADS.iter().zip(0..);
    let expected: Vec<String> = rows
        .filter(|(payload, _)| holds(&asked, &fields, payload.as_bytes()))
        .map(|(_, number): (_, i32)| format!("row-{number:02}"))
        .collect();
    assert_eq!(found, expected, "{asked:?}");
}

fn predicate(input: &mut Unstructured<'_>, depth: usize) -> Result<SecPredicate> {
    let kind = if depth == 0 { 0 } else { input.int_in_range(0..=6)? };
    Ok(match kind {
        0 => SecPredicate::Exists { field: path(input)? },
        1 => SecPredicate::Eq { field: path(input)?, value: value(input)? },
        2 => SecPredicate::In { field: path(input)?, values: several(input, value)? },
        3 => SecPredicate::Range {
            field: path(input)?,
            lo: input.ratio(3, 4)?.then(|| value(input)).transpose()?,
            hi: input.ratio(3, 4)?.then(|| value(input)).transpose()?,
            lo_inclusive: input.arbitrary()?,
            hi_inclusive: input.arbitrary()?,
        },
        4 => SecPredicate::And(several(input, |input| predicate(input, depth - 1))?),
        5 => SecPredicate::Or(several(input, |input| predicate(input, depth - 1))?),
        _ => SecPredicate::Not(predicate(input, depth - 1)?.into()),
    })
}

fn several<T>(
    input: &mut Unstructured<'_>,
    mut one: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    (0..input.int_in_range(0..=3)?).map(|_| one(input)).collect()
}

fn path(input: &mut Unstructured<'_>) -> Result<String> {
    let known = ["k", "n", "b", "a.n"];
    Ok(match input.int_in_range(0..=4)? {
        4 => input.arbitrary::<&str>()?.to_owned(),
        place => known[place].to_owned(),
    })
}

fn value(input: &mut Unstructured<'_>) -> Result<SecValue> {
    let known = ["", "red", "blue", "a longer keyword that shares a prefix"];
    Ok(match input.int_in_range(0..=5)? {
        0 => SecValue::Keyword((*input.choose(&known)?).to_owned()),
        1 => SecValue::Keyword(input.arbitrary::<&str>()?.to_owned()),
        2 => SecValue::Numeric(input.arbitrary()?),
        3 => SecValue::Integer(input.arbitrary()?),
        4 => SecValue::Unsigned(input.arbitrary()?),
        _ => SecValue::Bool(input.arbitrary()?),
    })
}
