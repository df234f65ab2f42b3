//! The catalogue of wrong engines: what each does, and what has to coincide before it does harm.
//!
//! A condition is something that most histories do not come to by themselves. That the store is
//! opened again afterwards is none: every crash image is.

/// Declares the bugs once: as variants with their conditions in the documentation, and as a table.
macro_rules! bugs {
    ($($(#[$doc:meta])+ $bug:ident, $name:literal, [$($condition:literal),+ $(,)?];)+) => {
        /// What is wrong.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Bug {
            /// Nothing: the control.
            None,
            /// Nothing, but every manifest is read, sealed and named again on its way: the control
            /// of the bugs that edit it.
            Resealed,
            /// Syncs of this call site do nothing.
            ElidedSync(String),
            $(
                $(#[$doc])+
                ///
                /// It does harm where all of these coincide:
                $(#[doc = concat!("- ", $condition)])+
                $bug,
            )+
        }

        impl Bug {
            /// Every bug but the control and the elided syncs, whose sites are found by running.
            pub const PLANTED: &'static [Self] = &[$(Self::$bug),+];

            /// The name in reports.
            pub fn name(&self) -> &str {
                match self {
                    Self::None => "control",
                    Self::Resealed => "control of edits",
                    Self::ElidedSync(site) => site,
                    $(Self::$bug => $name,)+
                }
            }

            /// Whether only damage shows it: crashes and failing calls do not.
            pub fn is_of_damage(&self) -> bool {
                matches!(
                    self,
                    Self::InvalidFrameEndsLog
                        | Self::DamageRefusesStore
                        | Self::HiddenRowsAbsent
                        | Self::MisplacedPageShown
                        | Self::NothingParked
                        | Self::ParkedReplaced
                        | Self::DamagedTakesWrites
                        | Self::DamageSeenTakesWrites
                )
            }

            /// Whether only encrypted stores show it.
            pub fn is_of_encryption(&self) -> bool {
                matches!(
                    self,
                    Self::SaltsRepeat
                        | Self::SaltOfAbandonedLogAgain
                        | Self::SaltOfDiscardedSegmentAgain
                        | Self::KeyInTemporaryFile
                        | Self::PlainLog
                        | Self::KeyDestroyedBeforeDrop
                        | Self::SweepTakesUnnamedKeys
                        | Self::KeyNameNotDurable
                        | Self::ShredAnswersEarly
                        | Self::NameUnderCatalogKey
                        | Self::BackupTakesKeysAlong
                        | Self::BackupKeepsMasterKey
                        | Self::BackupTakesStoreKeyAlong
                        | Self::BackupBringsDestroyedKeys
                        | Self::BackupKeepsEarlierKeys
                )
            }

            /// What has to coincide before it does harm.
            pub fn conditions(&self) -> &'static [&'static str] {
                match self {
                    Self::None | Self::Resealed => &[],
                    Self::ElidedSync(_) => &["a crash takes what was not synced"],
                    $(Self::$bug => &[$($condition),+],)+
                }
            }
        }
    };
}

bugs! {
    /// `sync_data` answers Ok and does nothing.
    LyingSync, "lying-sync", ["power is lost"];
    /// `sync_dir` answers Ok and does nothing.
    UnsyncedDirectory, "unsynced-directory", ["power is lost"];
    /// A rename happens before the sync of its directory that ought to precede it.
    ReorderedRename, "reordered-rename", [
        "power is lost right behind a rename",
        "the rename survives and the name of what it speaks of does not",
    ];
    /// A frame whose header survived counts as intact, whatever became of the rest.
    TornFrameAccepted, "torn-frame-accepted", ["a frame is torn behind its header"];
    /// Recovery syncs the log it found and goes on, instead of writing the tail again.
    RecoveryThatOnlySyncs, "recovery-that-only-syncs", [
        "a sync of the log fails, or a writeback",
        "the process dies, and the next one reads from the page cache",
        "power is lost before the next checkpoint",
    ];
    /// A log is synced at the write after the one that was acknowledged.
    AcknowledgedBeforeSync, "acknowledged-before-sync", ["power is lost"];
    /// A failed sync counts as done.
    SyncErrorIgnored, "sync-error-ignored", ["a sync fails", "power is lost"];
    /// A failed write counts as done.
    WriteErrorIgnored, "write-error-ignored", ["a write fails"];

    /// A publish names no tombstones: the next process shows the rows again.
    TombstonesUnnamed, "tombstones-unnamed", [
        "a checkpoint finds a row of an older segment overwritten or deleted",
    ];
    /// A segment keeps the tombstones that it got first.
    StaleTombstones, "stale-tombstones", [
        "a checkpoint marks a row of an older segment dead",
        "a later one marks another row of the same segment, before a merge takes it",
    ];
    /// Of several segments that get new tombstones in one publish, the last keeps what it had.
    OneTombstoneFileOfTwo, "one-tombstone-file-of-two", [
        "a collection has two segments or more",
        "rows of two of them are overwritten or deleted between two checkpoints",
        "neither loses all of its rows by that",
    ];
    /// A merge names its output without the tombstones for rows that died while it ran.
    MergeLosesTombstones, "merge-loses-tombstones", [
        "a merge is under way over several steps",
        "a checkpoint meanwhile marks rows of its inputs dead that it has read",
        "the store is opened again before the output is merged or loses the rows once more",
    ];
    /// A merge leaves one of its inputs named beside its output.
    MergeKeepsAnInput, "merge-keeps-an-input", ["a merge ends"];
    /// A merge publishes an edit of the manifest that it started from: a segment that a checkpoint
    /// named meanwhile is gone.
    MergeLosesASegment, "merge-loses-a-segment", [
        "a merge is under way over several steps",
        "a checkpoint meanwhile seals rows",
        "they are read again before they are written again",
    ];
    /// A checkpoint drops every log as of its publish, not as of its switch.
    CheckpointDropsUnsealedLog, "checkpoint-drops-unsealed-log", [
        "a checkpoint is under way over several steps",
        "something is written between its switch and its publish",
    ];
    /// A checkpoint states one operation more as sealed than it sealed.
    SealedOneTooFar, "sealed-one-too-far", [
        "a checkpoint is under way over several steps",
        "something is written between its switch and its publish",
        "the first of it is a batch of one operation",
    ];
    /// A checkpoint of several collections leaves the segment of the last one out.
    CheckpointForgetsACollection, "checkpoint-forgets-a-collection", [
        "two collections get rows between two checkpoints",
    ];
    /// A publish keeps a dropped collection in the catalog, with its segments.
    DroppedCollectionStays, "dropped-collection-stays", [
        "a collection is dropped that a manifest names",
        "a checkpoint takes the drop out of the log",
    ];
    /// A publish counts the next collection id from the collections that there are.
    CollectionIdsGivenAgain, "collection-ids-given-again", [
        "the newest collection is dropped",
        "a checkpoint takes its creation out of the log",
        "a later process creates another",
    ];
    /// Recovery ends the log that it found one batch too early.
    EndedLogOneShort, "ended-log-one-short", [
        "a process stops, and every record that is left of the last log is proved",
        "the next one stops before it writes anything",
    ];

    /// A publish removes what it stops naming before its rename.
    ReclaimBeforePublish, "reclaim-before-publish", [
        "a crash between the first unlink and the sync of the directory",
        "the old manifest is the one that is left",
    ];
    /// A publish removes what it stops naming before the sync that makes its rename durable.
    ReclaimBeforeDirectorySync, "reclaim-before-directory-sync", [
        "power is lost between the rename and the sync of its directory",
        "the rename does not survive",
        "an unlink behind it does",
    ];
    /// A publish removes what it stopped naming although the sync of its rename failed.
    ReclaimAfterFailedPublish, "reclaim-after-failed-publish", [
        "the sync of the directory behind a rename fails",
        "that loses the rename",
        "power is lost",
    ];
    /// A publish that failed from its rename on removes what only the new manifest names.
    UndoAfterFailedPublish, "undo-after-failed-publish", [
        "the rename of a publish fails, or the sync behind it",
        "the rename happened all the same, and stays",
        "the process ends",
    ];
    /// Recovery removes orphans before it has published itself.
    SweepBeforePublish, "sweep-before-publish", [
        "a process dies between the rename of a publish and its sync",
        "the next one sees the rename",
        "power is lost before it has published, and takes the rename back",
        "the unlinks survive",
    ];
    /// A publish removes the segments that it stops naming, whoever reads them.
    ReclaimUnderReader, "reclaim-under-reader", [
        "a snapshot is held, or a merge is under way",
        "a publish stops naming a segment that it reads",
        "it reads on",
    ];
    /// A drop removes the segments of its collection as soon as it is durable.
    DropRemovesSegmentsAtOnce, "drop-removes-segments-at-once", [
        "a collection with a segment is dropped",
        "the store is opened again before the next checkpoint",
    ];
    /// A process never removes a segment that it made itself.
    OwnSegmentsStay, "own-segments-stay", [
        "one process makes a segment and stops naming it",
    ];
    /// The reserve is never given back, though the store believes so.
    ReserveStays, "reserve-stays", ["the disk is full", "a reserve was set aside"];

    /// The reserve is a name without space behind it, though the store believes otherwise.
    ReserveWithoutSpace, "reserve-without-space", [
        "the disk is full",
        "a reserve was set aside that is large enough for what has to work",
        "rows or a collection are removed, or the store makes a checkpoint or is opened",
    ];

    /// A short write of a log counts as whole: later groups stand behind a hole.
    HoleBehindShortWrite, "hole-behind-short-write", ["a write of a log is short"];
    /// Each frame of a group states those before it in the group as durable.
    GroupProvesItself, "group-proves-itself", [
        "a group of several frames is written",
        "the process is killed before the sync of it has returned",
        "power is lost behind the next recovery, and takes what was not synced",
    ];
    /// A batch is written as one frame for each collection.
    BatchInTwoFrames, "batch-in-two-frames", [
        "a batch touches several collections",
        "a crash tears its group between their frames",
    ];
    /// A failed sync of a file is tried again, and what that answers counts.
    FailedSyncRetried, "failed-sync-retried", ["a sync of a file fails", "power is lost"];
    /// A failed sync of a directory is tried again, and what that answers counts.
    FailedDirectorySyncRetried, "failed-directory-sync-retried", [
        "a sync of a directory fails",
        "power is lost",
    ];
    /// A read that gives fewer bytes than it was asked for counts as the end of the log.
    ShortReadEndsLog, "short-read-ends-log", [
        "a read of a log is short while the store is opened",
        "no later frame proves what it left out",
    ];
    /// A log that cannot be read counts as torn there.
    UnreadableLogIsTorn, "unreadable-log-is-torn", [
        "a read of a log fails while the store is opened",
        "no later frame proves what it left out",
    ];
    /// Replay leaves deletions out.
    ReplaySkipsDeletions, "replay-skips-deletions", [
        "a deletion is in the log when the store is opened",
    ];
    /// Files have no random part in their names, and their numbers are counted from what the
    /// manifest names.
    ReusedFileNames, "reused-file-names", [
        "a file is made that no manifest came to name",
        "the process ends, and the file is still there",
    ];
    /// A lock that is taken is given all the same.
    LockExcludesNobody, "lock-excludes-nobody", ["the store is opened twice at a time"];
    /// Once the disk was full, no log is made longer in that process.
    DiskStaysFull, "disk-stays-full", ["the disk is full for a while"];

    /// A row is found by what it held before it was written again.
    OldValuesMatch, "old-values-match", [
        "a row is written again with another value",
        "it is asked for by the old one",
    ];
    /// A row that is gone is found by what it held.
    DeadRowsMatch, "dead-rows-match", [
        "a row is deleted",
        "a predicate holds for what it held",
    ];
    /// Rows that are in no segment yet are found by no predicate.
    UnsealedRowsLeftOut, "unsealed-rows-left-out", [
        "a predicate is asked before what it holds for is sealed",
    ];
    /// A store that was opened again finds nothing by predicates before its first checkpoint.
    NothingFoundAfterOpen, "nothing-found-after-open", [
        "a store with rows is opened again",
        "a predicate that holds for one is asked before the next checkpoint",
    ];
    /// A snapshot finds by predicates what the store would find now.
    SnapshotFiltersByNow, "snapshot-filters-by-now", [
        "a snapshot is held",
        "rows are written that make a predicate hold elsewhere",
        "the snapshot is asked for it",
    ];
    /// Rows of memtables are numbered behind those of segments, not in the order of ids.
    RowsNumberedBySegment, "rows-numbered-by-segment", [
        "a row is written that is before a sealed one",
        "one of the two is found before the next checkpoint",
    ];
    /// Integers of predicates are taken as the floats next to them.
    NumbersThroughFloats, "numbers-through-floats", [
        "a number beyond 2^53 is asked for",
        "a row holds it, or one that has the same float",
    ];
    /// The bounds of a range are in it, whatever the predicate says.
    BoundsAlwaysInside, "bounds-always-inside", ["a value stands at an open bound"];
    /// Where a field is absent, the negation of a condition on it does not hold.
    NotNeedsTheField, "not-needs-the-field", ["a condition on a field that a row lacks is negated"];
    /// One value of an array may be above the lower bound of a range and another below the upper.
    EachBoundByAnyValue, "each-bound-by-any-value", [
        "an array has values on both sides of a range",
        "none of them is in it",
    ];
    /// Rows that were there before a filterable field are not found by it until they are written again.
    LateFieldNotBuilt, "late-field-not-built", [
        "a field is added to a collection with rows",
        "one of them holds what is asked of that field",
    ];

    /// What has changed since an index snapshot is told without what was deleted.
    TailWithoutDeletions, "tail-without-deletions", [
        "an index snapshot is kept",
        "a row that it covers is deleted",
        "the index is restored",
    ];
    /// An observer is told of every fourth operation twice.
    ObserverCalledTwice, "observer-called-twice", ["somebody observes the store"];
    /// An observer is told of a write before it is in the log.
    ObserverCalledBeforeCommit, "observer-called-before-commit", [
        "somebody observes the store",
        "a crash takes the write, or it fails",
    ];
    /// An observer is told of a write that failed.
    ObserverCalledAfterFailure, "observer-called-after-failure", [
        "somebody observes the store",
        "a write or a sync of the log fails",
    ];
    /// Catching up begins one operation too late.
    CatchUpOneTooLate, "catch-up-one-too-late", [
        "either store stops",
        "its position is not the newest",
    ];
    /// A copy for a follower has no rows that are in no segment yet.
    CopyWithoutUnsealedRows, "copy-without-unsealed-rows", [
        "a checkpoint takes what a follower lacks out of the log",
        "it is connected anew",
        "rows were written behind the last checkpoint",
    ];
    /// A follower applies a batch operation by operation.
    BatchAppliedInParts, "batch-applied-in-parts", [
        "a batch of several operations is followed",
        "the follower crashes between two of them, or refuses a later one",
    ];
    /// A follower gives collections ids of its own.
    FollowerNumbersCollections, "follower-numbers-collections", [
        "a collection of the leader is dropped",
        "a copy leaves it out",
        "a later collection is followed",
    ];
    /// A follower keeps the payload of a row that it has already.
    FollowerKeepsOldPayloads, "follower-keeps-old-payloads", [
        "a row that is there is written again on the leader",
    ];

    /// A verification answers that all is well, and has not looked at the rows.
    VerifyReadsNoContents, "verify-reads-no-contents", ["a store is verified whose rows are sealed"];
    /// A verification takes dead rows for live ones.
    DeadRowsAreFindings, "dead-rows-are-findings", [
        "a checkpoint finds a row of an older segment overwritten or deleted",
        "the store is verified before a merge takes it",
    ];
    /// A backup has no rows that are in no segment yet.
    BackupWithoutUnsealedRows, "backup-without-unsealed-rows", [
        "a backup is made before what was written is sealed",
    ];
    /// Files of a backup are not synced.
    BackupUnsynced, "backup-unsynced", ["a backup is made", "power is lost"];

    /// The last log ends at its first frame that is not intact, whatever later ones prove.
    InvalidFrameEndsLog, "invalid-frame-ends-log", [
        "a record of the last log is damaged",
        "a later frame proves it, and the manifest does not",
    ];
    /// A torn tail counts as damage.
    TornTailRefused, "torn-tail-refused", ["the last group of a log is torn"];
    /// One damaged collection refuses the whole store.
    DamageRefusesStore, "damage-refuses-store", ["a segment, tombstones or parked records are damaged"];
    /// Rows that damage hides are answered as if they were not there.
    HiddenRowsAbsent, "hidden-rows-absent", ["a segment or its tombstones are damaged"];
    /// A page of another place or file is taken for the right one.
    MisplacedPageShown, "misplaced-page-shown", [
        "a well-formed page of a segment lands in another place",
        "a row on it is read",
    ];
    /// A checkpoint drops the log though a damaged collection could not be sealed.
    NothingParked, "nothing-parked", [
        "a collection is damaged of which the log holds rows",
        "a checkpoint drops the log",
        "the store is opened again",
    ];
    /// Parked records that cannot be read are replaced by those that are parked behind them.
    ParkedReplaced, "parked-replaced", [
        "a collection is well again of which records are parked",
        "it gets more before the next checkpoint",
        "the parked file is damaged before that, and put back behind it",
    ];
    /// A damaged collection acknowledges writes that it does not take.
    DamagedTakesWrites, "damaged-takes-writes", [
        "a file of a collection is damaged, and found so",
        "something is written to it",
    ];
    /// Damage that no open finds keeps nobody from writing.
    DamageSeenTakesWrites, "damage-seen-takes-writes", [
        "a page of a segment is damaged that no open reads",
        "a read meets it",
        "something is written to its collection",
    ];

    /// Every process draws the same salts, so that a recovery seals under nonces that were used before.
    SaltsRepeat, "salts-repeat", ["the store is encrypted", "a second process seals something else"];
    /// Behind a failed write the next log gets the salt of the one that was given up.
    SaltOfAbandonedLogAgain, "salt-of-abandoned-log-again", [
        "the store is encrypted",
        "a write to a log fails",
        "its tail moves to a new log",
    ];
    /// A job that begins anew gives its segment the salt of the one that it discarded.
    SaltOfDiscardedSegmentAgain, "salt-of-discarded-segment-again", [
        "the store is encrypted",
        "a segment that no manifest names is discarded",
        "another one of the same collection is written by the same process",
        "its rows are others",
    ];
    /// A new key stands in a temporary file for a moment, as it is.
    KeyInTemporaryFile, "key-in-temporary-file", ["the store is encrypted"];
    /// The records of collections stand in the log as they are.
    PlainLog, "plain-log", ["the store is encrypted"];
    /// A shred destroys the key before it logs the drop.
    KeyDestroyedBeforeDrop, "key-destroyed-before-drop", [
        "the store is encrypted",
        "a shred is cut short before its frame is durable",
    ];
    /// Who opens the store destroys the keys that the manifest does not name (L1).
    SweepTakesUnnamedKeys, "sweep-takes-unnamed-keys", [
        "the store is encrypted",
        "a collection was created since the last publish",
        "the store is opened again",
    ];
    /// The name of a new key is not synced before the log refers to it (L12).
    KeyNameNotDurable, "key-name-not-durable", [
        "the store is encrypted",
        "a collection is created, and power is lost before the next publish",
    ];
    /// A shred answers when the drop is durable.
    ShredAnswersEarly, "shred-answers-early", ["the store is encrypted", "a collection is shredded"];
    /// Names and schemas are sealed under the catalog's key.
    NameUnderCatalogKey, "name-under-catalog-key", ["the store is encrypted"];
    /// A backup without keys has them all the same (L24).
    BackupTakesKeysAlong, "backup-takes-keys-along", [
        "the store is encrypted",
        "a backup is made that leaves the keys out",
    ];
    /// A backup that is to have a master key of its own has that of the store.
    BackupKeepsMasterKey, "backup-keeps-master-key", [
        "the store is encrypted",
        "a backup is made under another master key",
    ];
    /// A backup has the store's own key under its own master key, and as it is beside that.
    BackupTakesStoreKeyAlong, "backup-takes-store-key-along", [
        "the store is encrypted",
        "a backup is made under another master key",
    ];
    /// A backup has keys that its process remembers, and has destroyed (L24).
    BackupBringsDestroyedKeys, "backup-brings-destroyed-keys", [
        "the store is encrypted",
        "a collection is shredded, or gets another key",
        "the same process makes a backup that takes keys along",
    ];
    /// A backup that is gone on with keeps the keys that an earlier try took along.
    BackupKeepsEarlierKeys, "backup-keeps-earlier-keys", [
        "the store is encrypted",
        "a backup that takes keys along is cut short behind them, before its publish",
        "a collection is shredded, or gets another key",
        "the backup is gone on with",
    ];

    /// A read of one row shows what was submitted and not driven yet.
    UnsyncedWritesShown, "unsynced-writes-shown", ["a read comes between submit and drive"];
    /// A scan of the store shows each row as it is when its turn comes.
    ScanFollowsWrites, "scan-follows-writes", ["a row that a scan still has to show is written"];
    /// Two members of a group are told the LSNs of one another.
    AnswersSwapped, "answers-swapped", ["a group has two members that write"];
    /// A write of one row is left out of its group, and acknowledged.
    GroupMemberLost, "group-member-lost", ["it is submitted while another waits"];
    /// A row that was read is kept, and shown again although a group has written it since.
    CachedReadStale, "cached-read-stale", [
        "a row is read twice",
        "a group writes it in between",
        "nobody has written with a call that waits",
    ];
    /// `put_if_absent` looks whether there is a row when it is submitted, not when it commits.
    PutAnswersFromBeforeGroup, "put-answers-from-before-group", [
        "a request that waits writes or deletes the row",
    ];
    /// An observer is not told of every third operation, if it is none that ends a batch.
    ObserverMissesPartOfABatch, "observer-misses-part-of-a-batch", [
        "somebody observes the store",
        "a batch has more than one operation",
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn many_bugs_need_three_conditions_or_more() {
        let names: BTreeSet<&str> = Bug::PLANTED.iter().map(Bug::name).collect();
        assert_eq!(names.len(), Bug::PLANTED.len(), "a name is given twice");
        let rare = Bug::PLANTED.iter().filter(|bug| bug.conditions().len() >= 3).count();
        assert!(rare >= 12, "{rare} of {}", names.len());
    }
}
