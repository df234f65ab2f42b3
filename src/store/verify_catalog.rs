//! Verify, of what says what there is: the schemas of a manifest.
//!
//! - Y1. Whatever an open refuses of a collection before it looks at a file of it is found here.

use std::ops::ControlFlow;

use crate::file_names::FileName;
use crate::manifest::CollectionEntry;
use crate::store::load::load_collection;
use crate::store::verify::{Finding, Verifier, VerifyProgress};

impl<F: FnMut(&VerifyProgress) -> ControlFlow<()>> Verifier<'_, F> {
    /// Whether the schema of a collection can be read, whose key is there; else notes why not (Y1).
    pub(super) fn schema(&mut self, entry: &CollectionEntry) -> bool {
        let id = entry.id;
        let listed = load_collection(&self.inner.tools(), &self.manifest, entry).err();
        // What the open found when it held them against each other. One that is parked may be damaged there.
        let is_listed = entry.schema.is_known() || self.manifest.parked(id).is_empty();
        let opened = self.snapshot.any_collection(id).filter(|found| found.is_closed_book());
        let opened = opened.filter(|_| is_listed).and_then(|found| found.damage_met());
        let Some(error) = listed.or(opened) else { return true };
        let file = FileName::Manifest(self.manifest.version, self.manifest.salt.into()).text();
        tracing::error!(file, %error, "verify");
        self.report.findings.push(Finding { file, collection: Some(id), error });
        false
    }
}
