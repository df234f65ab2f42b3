//! Verifications and backups behind a recovery.
//!
//! **Place.** Made on a share of the images, like the further recoveries (`again`). What they must come
//! to is said in [`crate::backup`].

use std::ops::ControlFlow;
use std::path::Path;

use quiver_store::BackupKeys;

use super::Explorer;
use super::again::in_session;
use super::examine::Left;
use crate::backup::Backup;
use crate::backup::keys::KeysOfBackup;
use crate::checker::{Finding, Invariant};
use crate::disk::{Policy, SimDisk};
use crate::system::Session;

impl Explorer<'_> {
    /// A crash damages nothing: a verification finds nothing, and reads as many rows as it must.
    pub(super) fn verify(
        &mut self,
        disk: &SimDisk,
        session: &dyn Session,
        rows_min: u64,
    ) -> Result<(), Finding> {
        if !self.system.backs_up() {
            return Ok(());
        }
        *self.tally.copies.entry("images verified").or_default() += 1;
        self.tally.evaluated(Invariant::I5);
        let verified = in_session(disk, || session.verify(true))?;
        let wrong = |found: String| {
            let expected = format!("a verification of {rows_min} rows or more without findings");
            Err(Finding::new(Invariant::I5, expected, found))
        };
        match verified {
            Err(error) => wrong(format!("{error:?}")),
            Ok(verified) => match verified.findings.first() {
                Some(error) => wrong(format!("{error:?}")),
                None if verified.rows < rows_min => wrong(format!("{} rows", verified.rows)),
                None => Ok(()),
            },
        }
    }

    /// Looks at the backup that was there, and goes on with it where it was not finished (C1-C3).
    pub(super) fn look_at_backup(&mut self, left: &Left) -> Result<(), Finding> {
        let Some(backup) = &left.backup else { return Ok(()) };
        let (system, options) = (self.system, &self.history.options);
        *self.tally.copies.entry("images with a backup").or_default() += 1;
        self.tally.evaluated(Invariant::I1);
        let vault = self.vault.clone();
        if backup.look(system, options, &left.disk.state().kill(), vault.as_ref())? {
            return Ok(());
        }
        let of_try =
            |keys: &KeysOfBackup| KeysOfBackup::new(keys.copied, &self.custody, &left.disk.state());
        let keys = backup.keys.as_ref().map(of_try);
        let wanted = keys.as_ref().zip(vault.as_ref());
        let wanted = wanted.map_or(BackupKeys::LeftOut, |(keys, vault)| keys.wanted(vault));
        let dir = Path::new(&*backup.dir);
        let mut go_on = || ControlFlow::Continue(());
        let copied = in_session(&left.disk, || left.session.back_up(dir, &wanted, &mut go_on))?;
        *self.tally.copies.entry("backups gone on with after a crash").or_default() += 1;
        match copied {
            Ok(copied) if copied.is_complete && copied.lsn == left.state.lsn => {}
            other => {
                let expected = format!("a backup of LSN {} that is gone on with", left.state.lsn);
                return Err(Finding::new(Invariant::Probe, expected, format!("{other:?}")));
            }
        }
        let mut stream = left.address.stream(8);
        let lost = left.disk.state().plan_power_loss(Policy::Nothing, false, &mut stream);
        let states = vec![left.state.clone()];
        let done = Backup { states, is_done: true, keys, ..Backup::clone(backup) };
        done.look(system, options, &lost.build(), vault.as_ref()).map(drop)
    }
}
