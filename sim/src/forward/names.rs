//! Names that a store gives to its files: a number that was never given, and a tag.
//!
//! **Place.** The part of the forward run that looks at each created name.
//!
//! - G1. The number is above that of every file of its kind that is there: a file id or a version
//!   that is taken, though by a leftover that no manifest names, is never given again (I14). The tag
//!   would keep the names apart, so the disk alone does not tell.
//! - G2. The tag is drawn. One of zeros alone is what an entropy that failed leaves behind.

use std::path::Path;

use super::{Invariant, Runner, STORE_DIR};
use crate::checker::Finding;
use crate::disk::{IoKind, Step};

/// A tag that nobody drew.
const NO_TAG: &str = "00000000";

impl Runner<'_> {
    pub(super) fn check_name(&mut self, step: &Step) {
        let path = Path::new(&*step.call.path);
        if step.call.kind != IoKind::Create || step.call.result.is_err() || self.stopped {
            return;
        }
        let Some((kind, number, tag)) = parts(path) else { return };
        self.evaluated(Invariant::I14);
        let files = step.before.list();
        let taken = files.iter().find(|(other, _)| {
            parts(other).is_some_and(|(other, taken, _)| other == kind && taken == number)
        });
        if let Some((other, _)) = taken {
            let found = format!("{} beside {}", path.display(), other.display());
            let expected = "no number of a file that is there is given again";
            self.found(Finding::new(Invariant::I14, expected, found));
            self.stopped = true;
        }
        if tag == NO_TAG {
            let found = path.display().to_string();
            self.found(Finding::new(Invariant::I14, "a tag that was drawn", found));
            self.stopped = true;
        }
    }
}

/// What a name of the store says: `KIND-NUMBER-TAG.END`.
fn parts(path: &Path) -> Option<(&str, &str, &str)> {
    let name = path.strip_prefix(STORE_DIR).ok()?.to_str()?;
    let mut parts = name.splitn(3, '-');
    let (kind, number, rest) = (parts.next()?, parts.next()?, parts.next()?);
    Some((kind, number, rest.split('.').next().unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_store_are_taken_apart_and_others_are_not() {
        let parts_of = |name| parts(Path::new(name));
        assert_eq!(
            parts_of("/store/log-0000000001-0a0b0c0d.wal"),
            Some(("log", "0000000001", "0a0b0c0d"))
        );
        assert_eq!(
            parts_of("/store/manifest-0000000003-0a0b0c0d"),
            Some(("manifest", "0000000003", "0a0b0c0d"))
        );
        assert_eq!(parts_of("/store/LOCK"), None);
        assert_eq!(parts_of("/other/log-1-2.wal"), None);
    }
}
