//! What a medium may do in more than one way: what a run draws once and keeps to.
//!
//! **Place.** A property of the machine, set by the run; what it leaves is `vfs`'s work.

use super::kindness::{Kindness, Reach};
use crate::stream::Stream;

/// What reads show of bytes, and lookups of names, that a failed sync lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedSync {
    /// The new ones, until power is lost: the page cache keeps them and calls them clean.
    #[default]
    ShowsNew,
    /// The old ones, at once: the page cache drops them.
    ShowsOld,
}

/// The words by which it is counted with faults that a failed sync showed old or new, and that
/// somebody was told of a failed writeback.
pub const MEDIUM_COUNTS: [&str; 3] = ["lost-shows-old", "lost-shows-new", WRITEBACK_TOLD];

/// Somebody was told of a failed writeback.
pub(crate) const WRITEBACK_TOLD: &str = "writeback-told";

impl FailedSync {
    /// Its word among [`MEDIUM_COUNTS`].
    pub(crate) fn count(self) -> &'static str {
        match self {
            Self::ShowsNew => "lost-shows-new",
            Self::ShowsOld => "lost-shows-old",
        }
    }

    /// Both.
    pub const ALL: [Self; 2] = [Self::ShowsNew, Self::ShowsOld];

    /// The word for reproducers.
    pub fn name(self) -> &'static str {
        match self {
            Self::ShowsNew => "shows-new",
            Self::ShowsOld => "shows-old",
        }
    }
}

/// Who is told, once, of a writeback that failed with no sync running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WritebackReport {
    /// The next sync of the file in the same process.
    #[default]
    InTheProcess,
    /// The next sync of the file through a handle that was open at the time; if they are all
    /// closed before, nobody ever.
    ToOpenHandles,
    /// The next sync of the file, after a kill of the process too.
    AcrossKills,
}

impl WritebackReport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::InTheProcess, Self::ToOpenHandles, Self::AcrossKills];

    /// The word for reproducers.
    pub fn name(self) -> &'static str {
        match self {
            Self::InTheProcess => "told-in-process",
            Self::ToOpenHandles => "told-to-handles",
            Self::AcrossKills => "told-after-kills",
        }
    }
}

/// What a read through a handle comes to whose file has no name any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnlinkedReads {
    /// It fails, as on a network filesystem: whoever removed the name may not need the bytes.
    #[default]
    Fail,
    /// It works, as POSIX has it: only for what compares disks with one another.
    Work,
}

/// A filesystem, as far as it is kinder than POSIX where power is lost. Each is what its sources say and no
/// more: where they leave a doubt, the disk is as unkind as the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[non_exhaustive]
pub enum Filesystem {
    /// The reference: what POSIX says and nothing else.
    #[default]
    Posix,
    /// ext4 in its default mode. Its one journal commits changes of names in their order, and a sync of a
    /// directory or of a file that grew commits all of it; under `data=ordered` with delayed allocation
    /// a length is there with its bytes; under `auto_da_alloc` a replacing rename is there with the
    /// bytes of the file.
    ///
    /// *Reference*: Linux, `Documentation/admin-guide/ext4.rst` (`data=ordered`, `auto_da_alloc`) and
    /// `Documentation/filesystems/ext4/journal.rst`; Pillai et al., OSDI 2014, table 1; Mohan et al.,
    /// OSDI 2018, section 2 (strictly ordered metadata).
    Ext4,
    /// XFS. Its log keeps the order of names, and a sync forces it up to there; a length is written when
    /// the bytes are there. A replacing rename waits for nothing.
    ///
    /// *Reference*: Linux, `Documentation/filesystems/xfs/xfs-delayed-logging-design.rst`; Mohan et
    /// al., OSDI 2018, section 2.
    Xfs,
    /// btrfs. A sync of a file goes to a log of its own, which has that file's names and no others; a
    /// length refers to extents whose bytes are there. Since Linux 3.17 a replacing rename waits for
    /// nothing.
    ///
    /// *Reference*: Linux, head of `fs/btrfs/tree-log.c`, commits 12fcfd22fe5b and 8d875f95da43.
    Btrfs,
}

impl Filesystem {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Posix, Self::Ext4, Self::Xfs, Self::Btrfs];

    /// The word for reproducers and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Posix => "posix",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// What it promises.
    pub(crate) fn kindness(self) -> Kindness {
        let journal = Kindness {
            names_in_order: true,
            reach: Reach::AllNames,
            bytes_before_length: true,
            bytes_before_rename: false,
        };
        match self {
            Self::Posix => Kindness::NONE,
            Self::Ext4 => Kindness { bytes_before_rename: true, ..journal },
            Self::Xfs => journal,
            Self::Btrfs => {
                Kindness { reach: Reach::OwnNames, bytes_before_length: true, ..Kindness::NONE }
            }
        }
    }
}

/// A medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Medium {
    /// Which filesystem is on it.
    pub filesystem: Filesystem,
    /// What is shown after a failed sync.
    pub failed_sync: FailedSync,
    /// Who is told of a failed writeback.
    pub writeback: WritebackReport,
    /// What comes of reading an unlinked file.
    pub unlinked_reads: UnlinkedReads,
}

impl Medium {
    /// The medium that a number stands for; consecutive ones differ.
    pub fn of(number: u64) -> Self {
        let at = |len: u64| usize::try_from(number % len).expect("a place in a short table");
        Self {
            filesystem: Filesystem::Posix,
            failed_sync: FailedSync::ALL[at(2)],
            writeback: WritebackReport::ALL[at(3)],
            unlinked_reads: UnlinkedReads::Fail,
        }
    }

    /// One of them.
    pub fn drawn(stream: &mut Stream) -> Self {
        Self::of(stream.below(6))
    }
}
