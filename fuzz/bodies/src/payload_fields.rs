//! Payloads: what their filterable fields are, held against the simulator's reading of them.
//!
//! The input is a payload. Its row is asked for while it is in memory and once it is in a segment.

use std::sync::{Arc, OnceLock};

use quiver_sim::predicate::{holds, values};
use quiver_store::codec::PlainCodec;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, FieldType, FilterableField, Result,
    SecPredicate, SecValue, Store,
};

use crate::template::{Template, options};

/// See the module.
pub(crate) fn body(input: &[u8]) {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        Template::of(Arc::new(PlainCodec), |store| {
            let schema =
                Descriptor::new(1, Dtype::U8, DistanceMetric::L2).with_filterable(fields());
            store.create_collection("c", schema).map(drop)
        })
    });
    let store = Store::open_with(template.env(&template.manifest, &[]), options());
    check(&store.expect("as the engine wrote it"), input).expect("memory takes all");
}

/// One path with another inside it, one that needs an escape, and one of each type.
fn fields() -> Vec<FilterableField> {
    vec![
        FilterableField::keyword("a"),
        FilterableField::numeric("a.b"),
        FilterableField::keyword("a\\.b"),
        FilterableField::boolean("b"),
        FilterableField::keyword("k"),
        FilterableField::numeric("n"),
    ]
}

fn check(store: &Store, payload: &[u8]) -> Result<()> {
    let id = store.collection_id("c")?.expect("there is one");
    store.upsert(id, "row", &[0.0], payload)?;
    let asked = questions(&fields(), payload);
    let answered = answers(store, id, &asked, payload)?;
    store.checkpoint()?;
    assert_eq!(answers(store, id, &asked, payload)?, answered, "in a segment");
    store.close()
}

/// What could tell a reading from another: presence, each value, and what is next to it.
pub(crate) fn questions(fields: &[FilterableField], payload: &[u8]) -> Vec<SecPredicate> {
    let mut asked = Vec::new();
    for field in fields {
        let path = &field.path;
        asked.push(SecPredicate::Exists { field: path.clone() });
        for value in values(field, payload).into_iter().take(4) {
            let is_bool = field.field_type == FieldType::Bool;
            asked.push(SecPredicate::Eq { field: path.clone(), value: value.clone() });
            if !is_bool {
                asked.extend([(true, false), (false, true)].map(|(is_above, inclusive)| {
                    let bound = Some(value.clone());
                    let (lo, hi) = if is_above { (bound, None) } else { (None, bound) };
                    SecPredicate::Range {
                        field: path.clone(),
                        lo,
                        hi,
                        lo_inclusive: inclusive,
                        hi_inclusive: inclusive,
                    }
                }));
            }
            if let SecValue::Keyword(text) = value {
                let near = SecValue::Keyword(text + "\0");
                asked.push(SecPredicate::Eq { field: path.clone(), value: near });
            }
        }
    }
    asked
}

fn answers(
    store: &Store,
    id: CollectionId,
    asked: &[SecPredicate],
    payload: &[u8],
) -> Result<Vec<bool>> {
    let fields = fields();
    let mut answers = Vec::new();
    for predicate in asked {
        let found = !store.matching_ids(id, predicate)?.is_empty();
        assert_eq!(found, holds(predicate, &fields, payload), "{predicate:?}");
        answers.push(found);
    }
    Ok(answers)
}
