//! A small store that passes, and the same with one thing wrong each: what is wrong is found, by its
//! kind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::*;
use crate::fs::File;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// A record is acknowledged before it is synced.
    NoSync,
    /// The name of the log is never synced.
    NoSyncDir,
    /// The log is renamed into place before it is synced.
    NoSyncBeforeRename,
    /// A record has no checksum.
    NoChecksum,
    /// What a killed process left is served, and never synced.
    NoSyncAtOpen,
    /// New records go behind a torn one.
    BehindTornTail,
    /// A failed sync is tried again.
    RetriesSync,
    /// A torn record is answered with a panic.
    PanicsOnTorn,
    /// A torn record is an error for good.
    RefusesTorn,
    /// A torn record is read over and over.
    ReadsForever,
    /// A torn record is thought about for ever.
    SpinsForever,
    /// A torn record is waited for.
    WaitsForever,
    /// A record is acknowledged before it is synced, and once that was found, nothing opens any more.
    NoSyncThenSpins,
    /// The file is never closed.
    ForgetsHandle,
    /// The lock is never given back.
    ForgetsLock,
    /// Each opening leaves a file.
    LeavesFiles,
    /// It draws on something else than the seed.
    Unsteady,
    /// A removal is forgotten at once.
    ForgetsRemovals,
    /// It panics when it is dropped, once it has met a torn record.
    PanicsOnDrop,
    /// Where it met a torn record, it syncs the first record behind it and no more.
    SecondAppendAfterTornTail,
    /// What a record makes of the rows is not known, and told with a panic.
    PanicsInModel,
}

#[derive(Clone, Copy, Debug)]
struct Kv(Wrong);

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u8),
    Remove(u8),
}

struct Open {
    log: File,
    end: u64,
    rows: BTreeMap<u8, u8>,
    latched: bool,
    wrong: Wrong,
    torn: bool,
    appended: u32,
}

/// No divisor of a sector, so that records tear.
const RECORD_BYTES: usize = 300;

/// Ends what spins, when the test is over.
static GO_ON: AtomicBool = AtomicBool::new(true);
static GO_ON_WAITING: (Mutex<bool>, Condvar) = (Mutex::new(true), Condvar::new());
static GO_ON_SHRINKING: AtomicBool = AtomicBool::new(false);
static OPENED: AtomicU64 = AtomicU64::new(0);

impl Op {
    fn record(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..3].copy_from_slice(&match self {
            Self::Put(key, value) => [1, *key, *value],
            Self::Remove(key) => [2, *key, 0],
        });
        let filling = bytes[1] ^ bytes[2] | 1;
        bytes[3..RECORD_BYTES - 1].fill(filling);
        bytes[RECORD_BYTES - 2] = bytes[2];
        bytes[RECORD_BYTES - 1] = checksum(&bytes[..RECORD_BYTES - 1]);
        bytes
    }

    fn apply(&self, rows: &mut BTreeMap<u8, u8>) {
        match self {
            Self::Put(key, value) => drop(rows.insert(*key, *value)),
            Self::Remove(key) => drop(rows.remove(key)),
        }
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    let sum =
        bytes.iter().fold(7_u64, |sum, byte| crate::stream::scrambled(sum ^ u64::from(*byte)));
    u8::try_from(sum % 251).expect("below 251")
}

fn parse(bytes: &[u8], wrong: Wrong) -> Option<Op> {
    let whole = bytes.len() == RECORD_BYTES;
    let sound = whole && checksum(&bytes[..RECORD_BYTES - 1]) == bytes[RECORD_BYTES - 1];
    match *bytes {
        [1, key, .., value, _] if sound || whole && wrong == Wrong::NoChecksum => {
            Some(Op::Put(key, value))
        }
        [2, key, ..] if sound => Some(Op::Remove(key)),
        _ => None,
    }
}

impl Kv {
    /// The records of the log, and whether it ends in a torn one.
    fn records(self, fs: &SimFs) -> Result<(Vec<Op>, bool)> {
        let bytes = if fs.exists("/kv/log") { fs.read("/kv/log")? } else { Vec::new() };
        let mut ops = Vec::new();
        for piece in bytes.chunks(RECORD_BYTES) {
            let Some(op) = parse(piece, self.0) else { return Ok((ops, true)) };
            ops.push(op);
        }
        Ok((ops, false))
    }

    fn meets_torn(self, fs: &SimFs) -> Result<()> {
        match self.0 {
            Wrong::PanicsOnTorn => panic!("no record, no mercy"),
            Wrong::RefusesTorn => Err("the log is torn".into()),
            Wrong::ReadsForever => loop {
                fs.read_dir("/kv")?;
            },
            Wrong::SpinsForever => {
                while GO_ON.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                Ok(())
            }
            Wrong::WaitsForever => {
                let (go_on, ended) = &GO_ON_WAITING;
                let go_on = go_on.lock().expect("nobody panics with it");
                drop(ended.wait_while(go_on, |go_on| *go_on).expect("nobody panics with it"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes the log anew: what is in the page cache may have failed to reach the disk.
    fn rewrite(self, fs: &SimFs, ops: &[Op]) -> Result<()> {
        let bytes: Vec<u8> = ops.iter().flat_map(|op| op.record()).collect();
        let log = fs.create("/kv/new")?;
        log.write_all_at(&bytes, 0)?;
        if self.0 != Wrong::NoSyncBeforeRename {
            log.sync_all()?;
        }
        fs.rename("/kv/new", "/kv/log")?;
        if self.0 != Wrong::NoSyncDir {
            fs.sync_dir("/kv")?;
        }
        Ok(())
    }
}

impl Subject for Kv {
    type Op = Op;
    type State = BTreeMap<u8, u8>;
    type Store = Open;

    fn open(&self, fs: &SimFs) -> Result<Open> {
        let wrong = self.0;
        while wrong == Wrong::NoSyncThenSpins && GO_ON_SHRINKING.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        if !fs.exists("/kv") {
            fs.create_dir("/kv")?;
        }
        fs.sync_dir("/")?;
        let (ops, torn) = self.records(fs)?;
        if torn {
            self.meets_torn(fs)?;
        }
        let stays = matches!(wrong, Wrong::NoSyncAtOpen | Wrong::BehindTornTail);
        if !stays || !fs.exists("/kv/log") {
            self.rewrite(fs, &ops)?;
        }
        match wrong {
            Wrong::ForgetsLock => std::mem::forget(fs.lock("/kv/lock")?),
            Wrong::LeavesFiles => {
                let name = format!("/kv/left-{}", fs.read_dir("/kv")?.len());
                fs.create(name)?;
            }
            Wrong::Unsteady => {
                let opened = OPENED.fetch_add(1, Ordering::Relaxed);
                fs.write("/kv/count", opened.to_le_bytes())?;
            }
            _ => {}
        }
        let mut options = crate::fs::OpenOptions::new();
        let log = options.read(true).write(true).open(fs, "/kv/log")?;
        let len = log.metadata()?.len();
        let end = (ops.len() * RECORD_BYTES) as u64;
        let end = if wrong == Wrong::BehindTornTail { len } else { end };
        let mut rows = BTreeMap::new();
        ops.iter().for_each(|op| op.apply(&mut rows));
        Ok(Open { log, end, rows, latched: false, wrong, torn, appended: 0 })
    }

    fn draw(&self, dice: &mut Stream) -> Op {
        let key = u8::try_from(dice.below(4)).expect("below 4");
        let value = u8::try_from(dice.below(250)).expect("below 250");
        if dice.chance(1, 4) { Op::Remove(key) } else { Op::Put(key, value) }
    }

    fn model(&self, state: &mut BTreeMap<u8, u8>, op: &Op) {
        assert!(self.0 != Wrong::PanicsInModel, "the model knows nothing");
        op.apply(state);
    }

    fn apply(&self, store: &mut Open, op: &Op) -> Result<()> {
        if store.latched {
            return Err("it failed before".into());
        }
        if self.0 == Wrong::ForgetsRemovals && matches!(op, Op::Remove(_)) {
            return Ok(());
        }
        store.latched = true;
        store.log.write_all_at(&op.record(), store.end)?;
        store.appended += 1;
        let forgets =
            self.0 == Wrong::SecondAppendAfterTornTail && store.torn && store.appended > 1;
        let syncs = !matches!(self.0, Wrong::NoSync | Wrong::NoSyncThenSpins);
        if syncs && !forgets {
            match store.log.sync_all() {
                Err(_) if self.0 == Wrong::RetriesSync => store.log.sync_all()?,
                synced => synced?,
            }
        }
        store.latched = false;
        store.end += RECORD_BYTES as u64;
        op.apply(&mut store.rows);
        Ok(())
    }

    fn accepts(&self, shown: &Self::State, window: &[Self::State]) -> bool {
        let is_one = window.contains(shown);
        if !is_one && self.0 == Wrong::NoSyncThenSpins {
            GO_ON_SHRINKING.store(true, Ordering::Relaxed);
        }
        is_one
    }

    fn observe(&self, store: &mut Open) -> Result<BTreeMap<u8, u8>> {
        Ok(store.rows.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.wrong == Wrong::ForgetsHandle {
            self.log.try_clone().map(std::mem::forget).expect("a clone of a handle");
        }
        assert!(!(self.torn && self.wrong == Wrong::PanicsOnDrop), "no way to go");
    }
}

/// On the worst medium: some of the planted bugs show on torn sectors alone.
fn options(seeds: Range<u64>) -> Options {
    let torn_sectors = true;
    let calls_max = 20_000;
    Options {
        seeds,
        operations: 8,
        images: 300,
        calls_max,
        jobs: 2,
        torn_sectors,
        ..Options::default()
    }
}

fn caught(wrong: Wrong, seeds: u64) -> Found {
    let report = explore(Kv(wrong), &options(0..seeds));
    let found = report.found.first().unwrap_or_else(|| panic!("{wrong:?} passes\n{report}"));
    found.clone()
}

#[test]
fn store_without_a_bug_passes_with_faults_and_nested_crashes() {
    let whole = Options { torn_sectors: false, ..options(0..48) };
    explore(Kv(Wrong::Nothing), &whole).assert_clean();
    let report = explore(Kv(Wrong::Nothing), &options(0..48));
    report.assert_clean();
    let Tally { images, nested, duplicates, ref policies, ref faults, .. } = report.tally;
    assert!(images > 4000 && nested > 500 && duplicates > 100, "{report}");
    assert!(policies.len() >= 9 && faults.len() >= 5, "{report}");
}

#[test]
fn each_bug_is_found_by_its_kind_shrunk_and_replayed() {
    // What is lost after an acknowledgement may show at once, or behind a recovery first.
    let lost = &[Kind::Lost, Kind::NotAfterwards, Kind::Changed][..];
    let bugs = [
        (Wrong::NoSync, lost),
        (Wrong::NoSyncDir, lost),
        (Wrong::NoSyncBeforeRename, lost),
        (Wrong::NoChecksum, lost),
        (Wrong::NoSyncAtOpen, lost),
        (Wrong::BehindTornTail, lost),
        (Wrong::RetriesSync, lost),
        (Wrong::PanicsOnTorn, &[Kind::Panicked]),
        (Wrong::RefusesTorn, &[Kind::DoesNotOpen]),
        (Wrong::ReadsForever, &[Kind::Hangs]),
        (Wrong::ForgetsHandle, &[Kind::Leaks]),
        (Wrong::ForgetsLock, &[Kind::Leaks]),
        (Wrong::LeavesFiles, &[Kind::Leaks]),
        (Wrong::ForgetsRemovals, lost),
        (Wrong::PanicsOnDrop, &[Kind::Panicked]),
        (Wrong::SecondAppendAfterTornTail, &[Kind::NotAfterwards]),
    ];
    for (wrong, kinds) in bugs {
        let seeds = if wrong == Wrong::RetriesSync { 400 } else { 40 };
        let found = caught(wrong, seeds);
        let kind = found.finding.kind;
        assert!(kinds.contains(&kind), "{wrong:?}: {found:#?}");
        let case = found.case.expect("it comes back at will");
        assert!(case.acts() <= 3, "{wrong:?} needs {} acts: {case}", case.acts());
        assert!(case.exceptions() <= 2, "{wrong:?}: {case}");
        assert!(!found.story.is_empty());
        let read: Case = case.to_string().parse().expect("it was printed");
        assert_eq!(read, case);
        let again = replay(&Kv(wrong), &options(0..1), &read).expect("the same subject");
        assert_eq!(again.finding.map(|finding| finding.kind), Some(kind), "{wrong:?}: {case}");
        assert_eq!(again.story, found.story);
        let fixed = replay(&Kv(Wrong::Nothing), &options(0..1), &read);
        let finding = fixed.ok().and_then(|replayed| replayed.finding);
        assert_eq!(finding, None, "{wrong:?}: {case}");
    }
}

/// Hangs are told with the case of an image on which a record is torn.
fn hangs(wrong: Wrong, patience: Duration, end: impl FnOnce()) {
    let report = explore(Kv(wrong), &Options { patience, findings_max: 2, ..options(0..6) });
    end();
    assert_eq!(report.found.len(), 2, "{report}");
    for Found { finding, case, story, .. } in &report.found {
        assert_eq!(finding.kind, Kind::Hangs, "{report}");
        assert!(finding.found.contains("spins or waits"), "{report}");
        assert!(story[0].contains("debugger"), "{report}");
        let case: Case = case.as_ref().expect("it was at one").to_string().parse().expect("a case");
        let other = replay(&Kv(Wrong::PanicsOnTorn), &options(0..1), &case).expect("it fits");
        assert_eq!(other.finding.map(|finding| finding.kind), Some(Kind::Panicked), "{report}");
    }
}

#[test]
fn what_spins_is_told_by_its_case_and_the_campaign_goes_on() {
    hangs(Wrong::SpinsForever, Duration::from_millis(700), || {
        GO_ON.store(false, Ordering::Relaxed)
    });
}

#[test]
fn what_waits_is_told_by_its_case_and_the_campaign_goes_on() {
    hangs(Wrong::WaitsForever, Duration::from_millis(200), || {
        *GO_ON_WAITING.0.lock().expect("nobody panics with it") = false;
        GO_ON_WAITING.1.notify_all();
    });
}

#[test]
fn failure_is_told_though_making_it_smaller_hangs() {
    let patience = Duration::from_millis(700);
    let report =
        explore(Kv(Wrong::NoSyncThenSpins), &Options { patience, jobs: 1, ..options(0..1) });
    GO_ON_SHRINKING.store(false, Ordering::Relaxed);
    let Found { finding, case, story, .. } = report.found.first().expect("nothing is synced");
    assert!(finding.kind.is_like(Kind::Lost), "{report}");
    assert!(story[0].starts_with("it was to be made smaller"), "{report}");
    let replayed = replay(&Kv(Wrong::NoSync), &options(0..1), case.as_ref().expect("a crash"));
    let replayed = replayed.expect("it fits").finding.expect("it comes back at will");
    assert_eq!(replayed.kind, finding.kind, "{report}");
}

#[test]
fn panic_of_the_model_is_told_as_one_and_the_campaign_goes_on() {
    let options = Options { findings_max: 3, ..options(0..6) };
    let report = explore(Kv(Wrong::PanicsInModel), &options);
    assert_eq!(report.found.len(), 3, "{report}");
    for Found { case, finding, .. } in &report.found {
        assert_eq!((finding.kind, case), (Kind::Panicked, &None), "{report}");
        assert!(finding.found.contains("the model knows nothing at "), "{report}");
    }
}

#[test]
fn report_on_nothing_is_not_clean() {
    let fails = |options: Options| {
        let report = explore(Kv(Wrong::Nothing), &options);
        crate::panic_trap::catch(|| report.assert_clean()).expect_err("too little was looked at")
    };
    assert!(fails(options(7..7)).starts_with("nothing was looked at"));
    let mut report = explore(Kv(Wrong::Nothing), &options(0..8));
    report.assert_clean();
    report.tally.faults.clear();
    let why = crate::panic_trap::catch(|| report.assert_clean()).expect_err("no fault struck");
    assert!(why.starts_with("faults are asked for"), "{why}");
}

#[test]
fn what_draws_on_something_else_than_the_seed_is_told() {
    let found = caught(Wrong::Unsteady, 1);
    assert_eq!(found.finding.kind, Kind::Unsteady);
}

#[test]
fn report_is_the_same_for_any_number_of_threads() {
    let report = |jobs, wrong| {
        let report = explore(Kv(wrong), &Options { jobs, ..options(0..12) });
        report.to_string()
    };
    for wrong in [Wrong::Nothing, Wrong::NoSyncDir] {
        assert_eq!(report(1, wrong), report(3, wrong));
    }
}

#[test]
fn case_that_does_not_fit_is_refused_in_words() {
    for (text, expected) in [
        ("seed", "a seed"),
        ("seed 1; acts 0; fault nonsense 1", "fault"),
        ("seed 1; acts 0; crash sideways", "sideways"),
    ] {
        let wrong = text.parse::<Case>().expect_err(text).to_string();
        assert!(wrong.contains(expected), "{text}: {wrong}");
    }
    let case = "seed 1; acts 0; crash before rename 7 kill".parse().expect("well formed");
    let wrong = replay(&Kv(Wrong::Nothing), &options(0..1), &case).expect_err("no such call");
    assert!(wrong.contains("rename 7"), "{wrong}");
    for (text, expected) in [
        ("seed 1; acts 0; crash before rename 0 kill; crash after kill", "crash after"),
        ("seed 1; acts 99999999999; crash after kill", "act 99999999999"),
    ] {
        let case = text.parse().expect("well formed");
        let wrong = replay(&Kv(Wrong::Nothing), &options(0..1), &case).expect_err("no such case");
        assert!(wrong.contains(expected), "{wrong}");
    }
}

#[test]
fn case_with_any_name_of_a_file_is_read_back() {
    use crate::disk::{Base, Exception, Survivors, What};
    use crate::explore::chain::{At, Crash, End};
    for name in ["/a b", "/a;b", "/say \"a\"", "/{a}", "/a\\b\n", "#a", "/of", "/#a", ""] {
        let what = [What::Length(7), What::Stale { sector: 1, of: name.to_owned() }];
        let exception = |what| Exception { place: name.to_owned(), what };
        let exceptions = what.map(exception).to_vec();
        let end = End::Loss(Survivors { base: Base::Nothing, exceptions });
        let crashes = vec![Crash { at: At::After, end }];
        let case = Case { seed: 1, acts: vec![0], struck: None, crashes };
        assert_eq!(case.to_string().parse(), Ok(case.clone()), "{case}");
    }
}

#[test]
fn case_means_the_same_with_fewer_operations_asked_for() {
    let case: Case = "seed 3; acts 20 31; crash after power-loss nothing".parse().expect("a case");
    let [few, many] = [1, 40].map(|operations| {
        let options = Options { operations, ..options(0..1) };
        replay(&Kv(Wrong::NoSync), &options, &case).expect("the acts are drawn as far as they go")
    });
    assert_eq!(few.story, many.story);
    assert_eq!(few.finding.map(|finding| finding.kind), Some(Kind::Lost));
}

#[test]
fn case_of_which_the_run_is_wrong_before_the_crash_tells_that() {
    let case: Case = "seed 3; acts 0 1 2 3 4 5 6 7 8 9; crash after kill".parse().expect("a case");
    let replayed = replay(&Kv(Wrong::ForgetsHandle), &options(0..1), &case).expect("it fits");
    assert_eq!(replayed.finding.map(|finding| finding.kind), Some(Kind::Leaks));
    let replayed = replay(&Kv(Wrong::ForgetsRemovals), &options(0..1), &case).expect("it fits");
    assert!(replayed.finding.is_some_and(|finding| finding.found.ends_with("no crash at all")));
}
