//! A backup in a history: what it must show, and how what is there is held against that.
//!
//! **Place.** The forward run makes backups and says with each crash point which one there is; the
//! explorer looks at it on a share of the images.
//!
//! - C1. A backup that was acknowledged is there after any crash, opens, verifies without a finding
//!   and shows one LSN: that of its beginning.
//! - C2. One that was not is no store, or the same: nobody opens half of it.
//! - C3. Begun again behind a crash it goes on, comes to its end, and is as C1 says.
//! - C4. Of an encrypted store the same holds with its keys, of which [`keys`] knows.

pub mod keys;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::{Env, ErrorKind, Options};

use keys::KeysOfBackup;

use crate::checker::{self, Finding, Invariant, Unreadable};
use crate::disk::{DiskState, SimDisk};
use crate::forward::{CALLS_MAX, env_on};
use crate::model::{State, Window};
use crate::panic_trap;
use crate::system::{Look, Session, System};
use crate::vault::Vault;

/// What a backup's directory begins with.
pub const BACKUP_DIR: &str = "/backup";

/// Whether a path is that of a backup or in one.
pub fn is_of_backup(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(BACKUP_DIR))
}

/// A backup, as a history knows it.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Its directory.
    pub dir: Arc<str>,
    /// What it may show: the state at the beginning of each try, the last one last.
    pub states: Vec<Arc<State>>,
    /// Whether it was acknowledged.
    pub is_done: bool,
    /// Whether a try has failed or was cut short, which may have been behind its last step.
    pub was_struck: bool,
    /// Its keys, if the store is encrypted.
    pub keys: Option<KeysOfBackup>,
}

impl Backup {
    /// Holds what is on a disk against it (C1, C2, C4); whether there is a store.
    ///
    /// # Errors
    /// What is wrong.
    pub fn look(
        &self,
        system: &dyn System,
        options: &Options,
        state: &DiskState,
        vault: Option<&Arc<Vault>>,
    ) -> Result<bool, Finding> {
        let dir = PathBuf::from(&*self.dir);
        let current = dir.join("CURRENT");
        if !state.list().iter().any(|(path, _)| *path == current) {
            let expected = format!("the backup in {dir:?} that was acknowledged");
            let missing = || Finding::new(Invariant::I1, expected, "no store");
            return if self.is_done { Err(missing()) } else { Ok(false) };
        }
        let state = match (&self.keys, vault) {
            (Some(keys), Some(vault)) => {
                keys.judge(vault, state, &dir)?;
                keys.with_keys(state, &dir)
            }
            _ => state.clone(),
        };
        let disk = SimDisk::mount(&state);
        disk.set_call_budget(CALLS_MAX);
        let envs = self.envs(&disk, dir, vault);
        let found = panic_trap::catch(|| {
            let session = look_any(system, envs, options).map_err(Unreadable::Failed)?;
            let content = checker::read(&*session)?;
            let verified = session.verify(true).map_err(Unreadable::Failed)?;
            let window = Window { states: self.states.clone(), ..Window::default() };
            let judged = checker::judge(&content, &window).map_err(|mut finding| {
                finding.found = format!("{}; {}", finding.found, checker::diff(&*session, &window));
                finding
            });
            Ok((judged, verified))
        });
        let (judged, verified) = match found {
            Ok(Ok(found)) => found,
            Ok(Err(unreadable)) => {
                let mut finding = Unreadable::finding(unreadable);
                finding.expected = format!("a backup in {:?}: {}", self.dir, finding.expected);
                return Err(finding);
            }
            Err(panic) => return Err(Finding::new(Invariant::I5, "no panic", panic)),
        };
        judged.map_err(|mut finding| {
            finding.expected = format!("a backup in {:?}: {}", self.dir, finding.expected);
            finding
        })?;
        match verified.findings.first() {
            None => Ok(true),
            Some(error) => {
                let expected = "a backup that verifies without a finding";
                Err(Finding::new(Invariant::I5, expected, format!("{error:?}")))
            }
        }
    }
    /// What it may be opened with.
    fn envs(&self, disk: &SimDisk, dir: PathBuf, vault: Option<&Arc<Vault>>) -> Vec<Env> {
        match (&self.keys, vault) {
            (Some(keys), Some(vault)) => {
                let masters = keys.masters().into_iter();
                masters
                    .map(|master| Env { dir: dir.clone(), ..vault.env(disk, 1, master) })
                    .collect()
            }
            _ => vec![Env { dir, ..env_on(disk, 1) }],
        }
    }
}

/// Opens a backup with the first master key that is not refused.
fn look_any(
    system: &dyn System,
    envs: Vec<Env>,
    options: &Options,
) -> quiver_store::Result<Box<dyn Session>> {
    let mut last = None;
    for env in envs {
        match system.look(env, options, Look::ReadOnly) {
            Ok((session, _)) => return Ok(session),
            Err(error) if error.kind() == ErrorKind::KeyUnavailable => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.expect("there is a key to be tried"))
}
