//! Verify, of what says what there is: `CURRENT`, the manifest with its schemas, keys.
//!
//! - Y1. Whatever an open refuses of a collection before it looks at a file of it is found here.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::error::{Error, Result};
use crate::file_names::FileName;
use crate::ids::{CollectionId, KeyId};
use crate::key_file::KeyIdentity;
use crate::manifest::{CollectionEntry, Manifest};
use crate::store::load::{load_collection, open_named, read_manifest};
use crate::store::stored::StoredFile;
use crate::store::verify::{Finding, Verifier, VerifyProgress};

impl<F: FnMut(&VerifyProgress) -> ControlFlow<()>> Verifier<'_, F> {
    /// Reads `CURRENT` and the manifest. Where a publish replaced them since the verification began, they are
    /// none that an open would read (Q1).
    pub(super) fn manifest_as_on_disk(&mut self) -> Result<()> {
        let inner = self.inner;
        let Manifest { version, salt, .. } = self.manifest;
        let file = FileName::Manifest(version, salt.into()).text();
        let read = read_manifest(&inner.tools()).and_then(|(manifest, bytes)| {
            manifest.check_seal(&bytes, &**inner.keys.catalog()).map_err(|error| {
                let kind = error.kind();
                error.reported_as(kind, &inner.disk.path(&file).display().to_string())
            })?;
            Ok(manifest)
        });
        let on_disk = inner.lock_on_disk()?;
        if on_disk.manifest.version != version {
            return Ok(());
        }
        let error = match read {
            Ok(manifest) if manifest == on_disk.manifest => {
                self.report.files += 2;
                return Ok(());
            }
            // A publish failed from its rename on: either manifest may be the one that is named, and
            // the next open finds out which.
            Ok(_) if on_disk.latched.is_some() => return Ok(()),
            Ok(_) => Error::corrupt(format!("{file}: is not the manifest that is in use")),
            Err(error) => error,
        };
        self.report.findings.push(Finding { file, collection: None, error });
        Ok(())
    }

    /// Reads the key files: those that the manifest names, and those of collections that only the log knows
    /// (Y1). One of a collection is also opened, anew: that it is in memory does not help the next open.
    pub(super) fn keys(&mut self) -> Result<ControlFlow<()>> {
        let listed = self.manifest.keys.iter().map(|entry| (entry.collection, entry.key));
        let known = self.snapshot.all_collections().map(|found| (found.id, found.key));
        let all: BTreeSet<(CollectionId, KeyId)> =
            listed.chain(known).filter(|(_, key)| *key != KeyId::NONE).collect();
        for (id, key) in all {
            let file =
                StoredFile::of_key(KeyIdentity { store: self.inner.store, key, collection: id });
            let flow = self.look(file.name, file.collection, |this| {
                let inner = this.inner;
                let source = open_named(&inner.disk, &this.at.file)?;
                let see = |bytes| this.see(bytes);
                let flow = file.walk(&inner.tools(), inner.store, &source, None, see)?;
                inner.keys.check_file(id, key)?;
                Ok(flow)
            })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether the schema of a collection can be read, whose key is there; else notes why not (Y1).
    pub(super) fn schema(&mut self, entry: &CollectionEntry) -> bool {
        let id = entry.id;
        let listed = load_collection(&self.inner.tools(), &self.manifest, entry).err();
        // What the open found when it held them against each other. What else it closed a collection for may be
        // put back by now.
        let opened = self.snapshot.any_collection(id).filter(|found| found.is_refused);
        let opened = opened.and_then(|found| found.damage_met());
        let Some(error) = listed.or(opened) else { return true };
        let file = FileName::Manifest(self.manifest.version, self.manifest.salt.into()).text();
        tracing::error!(file, %error, "verify");
        self.report.findings.push(Finding { file, collection: Some(id), error });
        false
    }
}
