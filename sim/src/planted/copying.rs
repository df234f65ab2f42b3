//! Wrong verifications, and wrong backups: in what is answered, and in what is written elsewhere.

use std::sync::{Mutex, PoisonError};

use quiver_store::file_names::FileName;
use quiver_store::manifest::current::Current;
use quiver_store::page;
use quiver_store::{Error, ErrorKind, Result};

use super::Bug;
use super::books::{decode, encode};
use super::filters::Misled;
use crate::system::Verified;

impl Bug {
    /// Whether it is about what a verification answers.
    pub(super) fn misverifies(&self) -> bool {
        matches!(self, Self::VerifyReadsNoContents | Self::DeadRowsAreFindings)
    }
}

impl Misled {
    /// Verifies, too little or too much.
    pub(super) fn verified(&self, contents: bool) -> Result<Verified> {
        let contents = contents && self.bug != Bug::VerifyReadsNoContents;
        let mut verified = self.view.verify(contents)?;
        if self.bug == Bug::DeadRowsAreFindings && self.view.standing()?.tombstones > 0 {
            let what = "row is live in two segments";
            verified.findings.push(Error::new(ErrorKind::Corrupt, what));
        }
        Ok(verified)
    }
}

/// What a wrong engine writes into the directory of a backup.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Length and digest of the manifest that was written instead.
    manifest: Mutex<Option<(u64, u32)>>,
}

impl Elsewhere {
    /// What is written to the front of a file instead; `None` for what the engine writes.
    pub(super) fn instead(&self, bug: &Bug, name: FileName, bytes: &[u8]) -> Option<Vec<u8>> {
        if *bug != Bug::BackupWithoutUnsealedRows {
            return None;
        }
        let mut written = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        match name {
            FileName::Manifest(..) => {
                let mut manifest = decode(bytes)?;
                manifest.logs.clear();
                let pages = encode(&manifest);
                *written = Some((pages.len() as u64, page::digest(&pages)));
                Some(pages)
            }
            FileName::CurrentTemporary(..) => {
                let (len, digest) = (*written)?;
                let named = Current::decode(bytes).ok()?;
                Some(Current { len, digest, ..named }.encode().to_vec())
            }
            _ => None,
        }
    }
}
