//! Stores in which something was found: what they answer, and what can be rescued of them (N3).

use std::ops::ControlFlow;

use quiver_store::{
    CollectionId, Env, Record, Result, SalvageReport, ScanRange, Store, VerifyOptions,
};

use crate::payload_fields::questions;
use crate::sections::PAYLOADS;
use crate::template::options;
use crate::{answers, errors};

/// Rows that are asked for: there are some of them in most stores.
const ROWS: [&str; 4] = ["row-00", "row-03", "row-07", "~"];

/// Asks everything. Any of some names says where an error is.
pub(crate) fn check(store: &Store, names: &[&str]) {
    let see = |answer: Result<()>| {
        if let Err(error) = answer {
            errors::check_names(&error, names);
        }
    };
    let mut only_pages = VerifyOptions::default();
    only_pages.contents = false;
    let pages = store.verify(only_pages, |_| ControlFlow::Continue(()));
    let pages = pages.expect("findings are no error of the verification");
    pages.findings.iter().for_each(|finding| errors::check_names(&finding.error, names));
    let mut readable = Vec::new();
    for name in store.collection_names().expect("the store is open") {
        let Some(id) = store.collection_id(&name).expect("the store is open") else { continue };
        see(store.len(id).map(drop));
        for row in ROWS {
            see(store.get(id, row).map(|found| {
                readable.extend(found.map(|record| Readable {
                    name: name.clone(),
                    id,
                    row,
                    record,
                }));
            }));
            see(store.get_vector(id, row).map(drop));
            see(store.get_payload(id, row).map(drop));
        }
        let range = ScanRange::all().after(ROWS[1]).limit(3);
        see(store
            .scan_range(id, range.clone())
            .and_then(|mut rows| rows.try_for_each(|row| row.map(drop))));
        see(store
            .scan_payloads(id, range)
            .and_then(|mut rows| rows.try_for_each(|row| row.map(drop))));
        see(vectors(store, id));
        // Of three rows all values, of every type.
        for payload in [PAYLOADS[1], PAYLOADS[4], PAYLOADS[6]] {
            let Ok(schema) = store.descriptor(id) else { break };
            for predicate in questions(&schema.filterable, payload.as_bytes()) {
                see(store.matching_ids(id, &predicate).map(drop));
            }
        }
    }
    is_rescued_whole(store, names, &readable);
}

/// A row that could be read by its id.
struct Readable {
    name: String,
    id: CollectionId,
    row: &'static str,
    record: Record,
}

impl Readable {
    /// Whether it is in the copy, or its loss is told.
    fn is_rescued_or_told(&self, rescued: &Store, report: &SalvageReport) -> bool {
        let copied = rescued.collection_id(&self.name).expect("the engine wrote it");
        let copied = copied.and_then(|id| rescued.get(id, self.row).expect("the engine wrote it"));
        let told = |loss: &quiver_store::Loss| {
            let row = loss.external_id.as_deref();
            loss.collection == self.id && row.is_none_or(|row| row == self.row)
        };
        copied.is_some_and(|copied| answers::is_same(&copied, &self.record))
            || report.losses.iter().any(told)
    }
}

/// Reads them twice, as an index over them may.
fn vectors(store: &Store, id: CollectionId) -> Result<()> {
    let source = store.capture_vector_source(id)?;
    for _ in 0..2 {
        source.iter().for_each(drop);
    }
    source.take_error().map_or(Ok(()), Err)
}

fn is_rescued_whole(store: &Store, names: &[&str], readable: &[Readable]) {
    let target = Env::memory();
    let report = store.salvage_to(target.clone(), options(), |_| ControlFlow::Continue(()));
    let report = report.expect("memory takes all");
    assert!(report.is_complete);
    report.losses.iter().for_each(|loss| errors::check_names(&loss.error, names));
    let rescued = Store::open_read_only_with(target, options()).expect("the engine wrote it");
    let shown = answers::check(&rescued, &[]).expect("the engine wrote it");
    assert_eq!(shown.len() as u64, report.collections + report.rows);
    for one in readable {
        let (name, row) = (&one.name, one.row);
        assert!(
            one.is_rescued_or_told(&rescued, &report),
            "{row:?} of {name:?} is lost: {report:?}"
        );
    }
}
