//! What the store says about itself after each operation, and what of it is counted.
//!
//! **Place.** The part of the forward run that looks at figures, not at rows.

use super::{Invariant, Runner};
use crate::backup::{BACKUP_DIR, is_of_backup};
use crate::checker::Finding;
use crate::disk::{IoCall, IoKind};
use crate::system::Standing;

impl Runner<'_> {
    pub(super) fn check_standing(&mut self) {
        if self.stopped || self.session.is_none() {
            return;
        }
        let Some(standing) = self.inside(|session| session.standing()) else { return };
        let Ok(standing) = standing else { return };
        let before = self.count_standing(&standing);
        self.check_bounds(&standing, &before);
        self.evaluated(Invariant::I14);
        let lsn = self.model.committed().lsn;
        if standing.last_lsn != lsn {
            let found = format!("visible LSN {}", standing.last_lsn);
            self.found(Finding::new(Invariant::I14, format!("visible LSN {lsn}"), found));
        }
        let rows = self.model.committed().rows();
        self.evaluated(Invariant::Answers);
        if standing.rows != rows {
            let found = format!("{} rows in the figures", standing.rows);
            self.found(Finding::new(Invariant::Answers, format!("{rows} rows"), found));
        }
        let published = self.published();
        let lowest = self.manifest + u64::from(published && !self.excused);
        if standing.manifest_version < lowest {
            let expected = format!("a manifest version from {lowest} on");
            let found = format!("manifest version {}", standing.manifest_version);
            self.found(Finding::new(Invariant::I14, expected, found));
        }
        // A publish that failed may be visible without being durable, in the next process too, as long
        // as that one publishes nothing.
        self.manifest_unsure = self.excused || (self.manifest_unsure && !published);
        if !self.manifest_unsure {
            self.manifest = standing.manifest_version;
        }
        let mut reused = self.disk.reused_names();
        // A backup has the names of what it copies, each time it is tried.
        reused.retain(|path| !is_of_backup(path));
        if !reused.is_empty() {
            let expected = "no name of a removed file is used again";
            self.found(Finding::new(Invariant::I14, expected, format!("{reused:?}")));
            self.stopped = true;
        }
    }

    /// Whether this operation made a manifest current.
    fn published(&self) -> bool {
        let calls = self.out.calls.iter().rev();
        let own = calls.take_while(|marked| marked.operation == self.operation);
        own.map(|marked| &marked.step.call).any(is_publish)
    }

    /// Takes in the figures of a process; those since its open are added to those before it.
    /// Returns what they were before.
    fn count_standing(&mut self, standing: &Standing) -> Standing {
        self.at_most("log files, most", standing.log_files);
        self.at_most("segments, most", standing.segments);
        self.at_most("tombstone files, most", standing.tombstones);
        self.at_most("pinned files, most", standing.pinned);
        self.at_most("rows, most", standing.rows);
        let last = std::mem::replace(&mut self.standing, standing.clone());
        self.more("checkpoints", standing.checkpoints.saturating_sub(last.checkpoints));
        self.more("merges", standing.merges.saturating_sub(last.merges));
        self.more("log switches", standing.log_switches.saturating_sub(last.log_switches));
        *self.out.counts.entry("segments at the end").or_default() = standing.segments;
        last
    }

    /// Counts what happened so often more.
    pub(super) fn more(&mut self, name: &'static str, times: u64) {
        *self.out.counts.entry(name).or_default() += times;
    }

    fn at_most(&mut self, name: &'static str, number: u64) {
        let most = self.out.counts.entry(name).or_default();
        *most = number.max(*most);
    }
}

/// Whether a call made a manifest current.
fn is_publish(call: &IoCall) -> bool {
    call.kind == IoKind::Rename && call.result.is_ok() && !call.path.starts_with(BACKUP_DIR)
}
