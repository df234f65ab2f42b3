//! Verifications and backups of the running store.
//!
//! **Place.** The part of the forward run that reads everything, to check it or to copy it.
//!
//! - W1. On a disk without damage a verification finds nothing but reads that failed in it, and reads
//!   the rows that are sealed.
//! - W2. A backup shows what was committed when it began, whatever background work does meanwhile.
//!   One at a time is under way, in a directory of its own; the next try goes on with it, in another
//!   process too.
//! - W3. While the space is bounded there are none: what they take is not given back.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use quiver_store::{BackupKeys, ErrorKind};

use super::{Invariant, Runner};
use crate::backup::keys::KeysOfBackup;
use crate::backup::{BACKUP_DIR, Backup};
use crate::history::CopiedKeys;
use crate::system::BackedUp;

/// How many backups a history has at most: each stays on its disk.
const BACKUPS_MAX: u64 = 2;

impl Runner<'_> {
    pub(super) fn verify(&mut self) {
        if !self.system.backs_up() {
            return;
        }
        let Some(verified) = self.inside(|session| session.verify(true)) else { return };
        self.after_read();
        self.evaluated(Invariant::Answers);
        let verified = match verified {
            Ok(verified) => verified,
            Err(error) => return self.check_error(&error),
        };
        self.more("verifications", 1);
        for error in &verified.findings {
            if !self.blame.excuses_read(error.kind()) {
                let expected = "a verification without findings";
                return self.wrong(Invariant::Answers, expected, format!("{error:?}"));
            }
        }
        let committed = self.model.committed();
        let (rows, lsn) = (committed.rows(), committed.lsn);
        if self.sealed == Some(lsn) && verified.findings.is_empty() && verified.rows < rows {
            let expected = format!("a verification of the {rows} rows that are sealed");
            self.wrong(Invariant::Answers, expected, format!("{} rows", verified.rows));
        }
    }

    /// Notes that everything committed so far is in segments.
    pub(super) fn note_sealed(&mut self) {
        self.sealed = Some(self.model.committed().lsn);
    }

    /// Begins a backup or goes on with one. It is called off after so many reads, and so many steps of
    /// background work are made at each.
    pub(super) fn back_up(&mut self, reads: Option<u64>, steps: u64, copied: CopiedKeys) {
        if self.is_space_limited() || !self.system.backs_up() {
            return;
        }
        let state = self.model.committed().clone();
        let begun = self.backup.take().filter(|backup| !backup.is_done);
        let goes_on = begun.is_some();
        let mut backup = match begun {
            Some(begun) => Backup::clone(&begun),
            None if self.backups == BACKUPS_MAX => return,
            None => {
                self.backups += 1;
                let dir = format!("{BACKUP_DIR}-{}", self.backups).into();
                Backup { dir, states: Vec::new(), is_done: false, was_struck: false, keys: None }
            }
        };
        let vault = self.out.vault.clone();
        if vault.is_some() {
            // A try that may have come to its end is gone on with as it was begun: what it left is that.
            let before = backup.keys.take().filter(|_| backup.was_struck);
            let copied = before.map_or(copied, |keys| keys.copied);
            let keys = KeysOfBackup::new(copied, &self.custody, &self.disk.state());
            backup.keys = Some(keys);
        }
        let wanted = backup.keys.as_ref().zip(vault.as_ref());
        let wanted = wanted.map_or(BackupKeys::LeftOut, |(keys, vault)| keys.wanted(vault));
        backup.states.push(state);
        self.backup = Some(Arc::new(backup.clone()));
        self.is_backing_up = true;
        let (mut left, mut failed) = (reads, None);
        let copied = self.inside(|session| {
            session.back_up(Path::new(&*backup.dir), &wanted, &mut || {
                for _ in 0..steps {
                    failed = session.maintain().err().or(failed.take());
                }
                let ends = left == Some(0);
                left = left.map(|left| left.saturating_sub(1));
                if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        let Some(copied) = copied else { return };
        self.after_call(None);
        self.is_backing_up = false;
        if let Some(error) = failed {
            self.check_error(&error);
        }
        self.evaluated(Invariant::Answers);
        match copied {
            Ok(copied) => self.backed_up(backup, copied, goes_on),
            Err(error) if goes_on && backup.was_struck && is_there(error.kind()) => {
                // The try before came to its end and could not say so.
                self.backup = None;
            }
            Err(error) if crate::model::is_refusal(error.kind()) => {
                let expected = "a backup in a directory of its own";
                self.wrong(Invariant::Answers, expected, format!("{error:?}"));
            }
            Err(error) => {
                self.check_error(&error);
                if let Some(backup) = &mut self.backup {
                    Arc::make_mut(backup).was_struck = true;
                }
            }
        }
    }

    fn backed_up(&mut self, backup: Backup, copied: BackedUp, goes_on: bool) {
        let lsn = self.backup_state_lsn(&backup);
        if copied.lsn != lsn {
            let expected = format!("a backup of LSN {lsn}");
            return self.wrong(Invariant::Answers, expected, format!("one of LSN {}", copied.lsn));
        }
        if !copied.is_complete {
            return;
        }
        self.more("backups", 1);
        self.more("backups gone on with", u64::from(goes_on && copied.files_kept > 0));
        // The last state is what this try shows, and no try before it came to an end.
        let states = backup.states[backup.states.len() - 1..].to_vec();
        let backup = Backup { states, is_done: true, ..backup };
        let (state, vault) = (self.disk.state().kill(), self.out.vault.as_ref());
        let looked = backup.look(self.system, &self.history.options, &state, vault);
        // Unless a failure above its directory may have lost it.
        if self.backup.is_some() {
            self.backup = Some(Arc::new(backup));
        }
        if let Err(finding) = looked {
            self.found(finding);
            self.stopped = true;
        }
    }

    fn backup_state_lsn(&self, backup: &Backup) -> u64 {
        backup.states.last().map_or(0, |state| state.lsn)
    }
}

/// Whether a backup is refused because there is a store.
fn is_there(kind: ErrorKind) -> bool {
    kind == ErrorKind::AlreadyExists
}
