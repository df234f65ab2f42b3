//! What a damage hit, and what a store must therefore do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quiver_store::{Error, ErrorKind};

use super::base::Base;
use super::layout::Kind;
use super::log::{self, Verdict};
use crate::checker::{Finding, Invariant};
use crate::disk::DiskState;

/// Bytes of a segment's last page, which is read whenever it is opened.
const FOOTER: usize = 16 * 1024;

/// What was hit of the files of one collection.
#[derive(Clone, Debug, Default)]
pub(super) struct Harm {
    /// Whether rows depend on it.
    pub(super) rows: bool,
    /// Whether every open finds it.
    pub(super) is_noticed: bool,
    pub(super) parked: bool,
    /// The segments that were hit, themselves or by their tombstones.
    pub(super) segments: BTreeSet<u64>,
}

/// What was hit of a store.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    /// The names of the files that differ.
    pub(super) names: Vec<String>,
    /// Whether `CURRENT` or the manifest is among them.
    pub(super) root: bool,
    pub(super) verdict: Verdict,
    /// By the id of the collection.
    pub(super) owners: BTreeMap<u64, Harm>,
}

/// What a store must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Refuse to be opened: by which row of the table.
    Refused(&'static str),
    /// Show the state at this LSN.
    Shown(u64),
}

/// The row of a damaged `CURRENT` or manifest.
pub(super) const ROOT: &str = "CURRENT or the manifest";

impl Hit {
    pub(super) fn of(base: &Base, damaged: &DiskState) -> Self {
        let mut paths: BTreeSet<PathBuf> =
            base.state.list().into_iter().map(|(path, _)| path).collect();
        paths.extend(damaged.list().into_iter().map(|(path, _)| path));
        paths.retain(|path| base.state.read(path) != damaged.read(path));
        let verdict =
            log::verdict(&base.layout.logs, base.layout.proved, |path| damaged.read(path));
        let mut hit = Self { names: Vec::new(), root: false, verdict, owners: BTreeMap::new() };
        for path in &paths {
            hit.names.push(name_of(path));
            hit.take_in(base, damaged, path);
        }
        hit
    }

    fn take_in(&mut self, base: &Base, damaged: &DiskState, path: &Path) {
        let Some(role) = base.layout.roles.get(path) else { return };
        self.root |= matches!(role.kind, Kind::Current | Kind::Manifest);
        let Some(owner) = role.owner else { return };
        let harm = self.owners.entry(owner).or_default();
        if !role.kind.holds_rows() {
            return;
        }
        harm.rows = true;
        harm.parked |= role.kind == Kind::Parked;
        if role.kind != Kind::Parked {
            harm.segments.insert(role.segment);
        }
        let (before, now) = (base.state.read(path), damaged.read(path));
        let footer = |bytes: &Option<Vec<u8>>| {
            let bytes = bytes.as_deref()?;
            Some((bytes.len(), bytes[bytes.len().saturating_sub(FOOTER)..].to_vec()))
        };
        harm.is_noticed |= role.kind != Kind::Segment || footer(&before) != footer(&now);
    }

    pub(super) fn expected(&self, base: &Base) -> Expected {
        match self.verdict {
            _ if self.root => Expected::Refused(ROOT),
            Verdict::Refused(row, _) => Expected::Refused(row),
            Verdict::Torn(lsn) => Expected::Shown(lsn),
            Verdict::Whole => Expected::Shown(base.layout.last),
        }
    }

    /// Whether an error is one that may be answered: of its kind, and with a name of a damaged file.
    pub(super) fn check(&self, error: &Error, is_running: bool) -> Result<(), Finding> {
        let kind = error.kind();
        let is_kind = kind == ErrorKind::Corrupt || is_running && kind == ErrorKind::Io;
        let words = error.to_string();
        // An older `CURRENT` is found by what it names, or what that names, which is gone.
        let is_gone = self.root && ["manifest-", "log-"].iter().any(|name| words.contains(name));
        if is_kind && (is_gone || self.names.iter().any(|name| words.contains(name.as_str()))) {
            return Ok(());
        }
        Err(wrong(format!("Corrupt, naming one of {:?}", self.names), format!("{error:?}")))
    }
}

pub(super) fn wrong(expected: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding::new(Invariant::I9, expected, found)
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
