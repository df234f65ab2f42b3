//! Which file of an undamaged store is what, and whose: read from its bytes, not by the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bytes::{Fields, bodies, long};
use super::log::Log;
use crate::disk::DiskState;
use crate::forward::STORE_DIR;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Current,
    Manifest,
    Log,
    Segment,
    Tombstones,
    Index,
    Changes,
    Parked,
    Unnamed,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Current,
        Self::Manifest,
        Self::Log,
        Self::Segment,
        Self::Tombstones,
        Self::Index,
        Self::Changes,
        Self::Parked,
        Self::Unnamed,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Current => "CURRENT",
            Self::Manifest => "manifest",
            Self::Log => "log",
            Self::Segment => "segment",
            Self::Tombstones => "tombstones",
            Self::Index => "index snapshot",
            Self::Changes => "changes",
            Self::Parked => "parked",
            Self::Unnamed => "unnamed",
        }
    }

    /// Whether the rows of its collection depend on it.
    pub(super) fn holds_rows(self) -> bool {
        matches!(self, Self::Segment | Self::Tombstones | Self::Parked)
    }
}

/// A file that is named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    pub(super) kind: Kind,
    /// The collection that it belongs to.
    pub(super) owner: Option<u64>,
    /// Of tombstones, the number of their segment; of a segment, its own.
    pub(super) segment: u64,
}

/// The files of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) roles: BTreeMap<PathBuf, Role>,
    pub(super) logs: Vec<Log>,
    /// The LSN up to which everything is in segments or parked.
    pub(super) sealed: u64,
    /// The highest LSN that the manifest states as durable.
    pub(super) proved: u64,
    /// The last LSN that is there.
    pub(super) last: u64,
}

impl Layout {
    /// Reads an undamaged store; `None` where there is none.
    pub(super) fn of(state: &DiskState) -> Option<Self> {
        let current = state.read(path("CURRENT"))?;
        let manifest = path(&name("manifest-", long(&current, 24), current.get(40..56)?, ""));
        let bytes = bodies(&state.read(&manifest)?);
        let mut layout = Self::default();
        layout.name(path("CURRENT"), Kind::Current, None, 0);
        layout.name(manifest, Kind::Manifest, None, 0);
        let mut fields = Fields::of(&bytes);
        fields.take(8 + 16 + 16 + 8);
        layout.sealed = fields.u64();
        layout.proved = layout.sealed;
        fields.take(16);
        for _ in 0..fields.u32() {
            let (tag, entries) = (fields.u16(), fields.u32());
            for _ in 0..entries {
                layout.entry(tag, &mut fields, state)?;
            }
        }
        let ends = layout.logs.iter().map(Log::last);
        layout.last = ends.max().unwrap_or_default().max(layout.sealed);
        Some(layout)
    }

    /// The role of a file.
    pub(super) fn kind(&self, path: &Path) -> Kind {
        self.roles.get(path).map_or(Kind::Unnamed, |role| role.kind)
    }

    fn name(&mut self, path: PathBuf, kind: Kind, owner: Option<u64>, segment: u64) {
        self.roles.insert(path, Role { kind, owner, segment });
    }

    fn entry(&mut self, tag: u64, fields: &mut Fields<'_>, state: &DiskState) -> Option<()> {
        match tag {
            1 => {
                let (file, salt) = (fields.u64(), fields.take(16));
                let (base, durable, has_end) = (fields.u64(), fields.u64(), fields.byte());
                let (end, _) = (fields.u64(), fields.u64());
                let end = (has_end == 1).then_some(end);
                let log = path(&name("log-", file, salt, ".wal"));
                let stated = durable.max(base.saturating_sub(1)).max(end.unwrap_or(0));
                self.proved = self.proved.max(stated);
                self.name(log.clone(), Kind::Log, None, 0);
                let bytes = state.read(&log)?;
                self.logs.push(Log::read(log, &bytes, salt, base, end));
            }
            2 => {
                let (file, owner, salt) = (fields.u64(), fields.u64(), fields.take(16));
                fields.take(20);
                let path = path(&name("segment-", file, salt, ".seg"));
                self.name(path, Kind::Segment, Some(owner), file);
            }
            4 => {
                let (file, segment, salt) = (fields.u64(), fields.u64(), fields.take(16));
                fields.take(20);
                let same = |role: &&Role| role.kind == Kind::Segment && role.segment == segment;
                let owner = self.roles.values().find(same)?.owner;
                let path = path(&name("tombstones-", file, salt, ".tmb"));
                self.name(path, Kind::Tombstones, owner, segment);
            }
            5 => {
                let (owner, file, salt) = (fields.u64(), fields.u64(), fields.take(16));
                fields.take(28);
                self.name(path(&name("index-", file, salt, ".idx")), Kind::Index, Some(owner), 0);
                let (file, salt) = (fields.u64(), fields.take(16));
                fields.take(12);
                if file != 0 {
                    let path = path(&name("changes-", file, salt, ".chg"));
                    self.name(path, Kind::Changes, Some(owner), 0);
                }
            }
            6 => {
                let (owner, file, salt) = (fields.u64(), fields.u64(), fields.take(16));
                fields.take(28);
                self.name(path(&name("parked-", file, salt, ".prk")), Kind::Parked, Some(owner), 0);
            }
            _ => return None,
        }
        Some(())
    }
}

/// A file of the store.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(STORE_DIR).join(name)
}

fn name(start: &str, number: u64, salt: &[u8], end: &str) -> String {
    let tag: String = salt.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{start}{number:010}-{tag}{end}")
}
