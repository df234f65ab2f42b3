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
    /// A torn record is left to the first operation behind it, which writes the log anew in its place.
    CutsInFirstAppend,
    /// Whether the name of a new log is durable is asked, and the answer thrown away.
    CreatedWhateverComes,
    /// Where it met a torn record, it writes the log anew when it is closed, and does not sync it.
    ClosesInHaste,
    /// What a failed sync may have lost is read from the file itself, and written elsewhere.
    SavesWhatReadsSay,
    /// The first torn record takes all others along, the next ones do not.
    LosesOnce,
    /// A recovery that failed once has removed the log by then.
    RemovesWhatItCannotRead,
}

#[derive(Clone, Copy, Debug)]
struct Kv(Wrong);

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u8),
    Remove(u8),
}

struct Open {
    fs: SimFs,
    ops: Vec<Op>,
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

/// Where a record has its checksum.
const CHECK: Range<usize> = RECORD_BYTES - 6..RECORD_BYTES - 2;

/// Ends what spins, when the test is over.
static GO_ON: AtomicBool = AtomicBool::new(true);
static GO_ON_WAITING: (Mutex<bool>, Condvar) = (Mutex::new(true), Condvar::new());
static GO_ON_SHRINKING: AtomicBool = AtomicBool::new(false);
static OPENED: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicBool = AtomicBool::new(false);

impl Op {
    fn record(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..3].copy_from_slice(&match self {
            Self::Put(key, value) => [1, *key, *value],
            Self::Remove(key) => [2, *key, 0],
        });
        let filling = bytes[1] ^ bytes[2] | 1;
        bytes[3..].fill(filling);
        bytes[RECORD_BYTES - 2] = bytes[2];
        let check = checksum(&bytes);
        bytes[CHECK].copy_from_slice(&check);
        bytes
    }

    fn apply(&self, rows: &mut BTreeMap<u8, u8>) {
        match self {
            Self::Put(key, value) => drop(rows.insert(*key, *value)),
            Self::Remove(key) => drop(rows.remove(key)),
        }
    }
}

/// Of all but itself. Thousands of torn records are looked at: a byte would be too little.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let others = bytes[..CHECK.start].iter().chain(&bytes[CHECK.end..]);
    let sum = others.fold(7_u64, |sum, byte| crate::stream::scrambled(sum ^ u64::from(*byte)));
    let [first, second, third, fourth, ..] = sum.to_le_bytes();
    [first, second, third, fourth]
}

fn parse(bytes: &[u8], wrong: Wrong) -> Option<Op> {
    let whole = bytes.len() == RECORD_BYTES;
    let sound = whole && checksum(bytes) == bytes[CHECK];
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
        let bytes = if fs.exists("/kv/log") { self.bytes(fs)? } else { Vec::new() };
        let mut ops = Vec::new();
        for piece in bytes.chunks(RECORD_BYTES) {
            let Some(op) = parse(piece, self.0) else { return Ok((ops, true)) };
            ops.push(op);
        }
        Ok((ops, false))
    }

    fn bytes(self, fs: &SimFs) -> Result<Vec<u8>> {
        let bytes = fs.read("/kv/log");
        if bytes.is_err() && self.0 == Wrong::RemovesWhatItCannotRead {
            fs.remove_file("/kv/log")?;
            fs.sync_dir("/kv")?;
        }
        Ok(bytes?)
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
        match self.0 {
            Wrong::NoSyncDir => {}
            Wrong::CreatedWhateverComes => drop(fs.sync_dir("/kv")),
            _ => fs.sync_dir("/kv")?,
        }
        Ok(())
    }

    /// Writes the log anew in its place.
    fn rewrite_in_place(fs: &SimFs, ops: &[Op], syncs: bool) -> Result<()> {
        let bytes: Vec<u8> = ops.iter().flat_map(|op| op.record()).collect();
        let log = fs.create("/kv/log")?;
        log.write_all_at(&bytes, 0)?;
        if syncs {
            log.sync_all()?;
        }
        Ok(())
    }
}

fn opened(fs: &SimFs) -> Result<File> {
    Ok(crate::fs::OpenOptions::new().read(true).write(true).open(fs, "/kv/log")?)
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
        let (mut ops, torn) = self.records(fs)?;
        if torn {
            self.meets_torn(fs)?;
        }
        let loses = torn && wrong == Wrong::LosesOnce && ops.len() > 2;
        if loses && !LOST.swap(true, Ordering::Relaxed) {
            ops.clear();
        }
        let stays = matches!(
            wrong,
            Wrong::NoSyncAtOpen
                | Wrong::BehindTornTail
                | Wrong::CutsInFirstAppend
                | Wrong::CreatedWhateverComes
        );
        let existed = fs.exists("/kv/log");
        if !stays || !existed {
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
        let log = opened(fs)?;
        if stays && wrong != Wrong::NoSyncAtOpen {
            log.sync_all()?;
            if existed {
                fs.sync_dir("/kv")?;
            }
        }
        let len = log.metadata()?.len();
        let end = (ops.len() * RECORD_BYTES) as u64;
        let end = if wrong == Wrong::BehindTornTail { len } else { end };
        let mut rows = BTreeMap::new();
        ops.iter().for_each(|op| op.apply(&mut rows));
        let fs = fs.clone();
        Ok(Open { fs, ops, log, end, rows, latched: false, wrong, torn, appended: 0 })
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
        store.ops.push(op.clone());
        if self.0 == Wrong::CutsInFirstAppend && store.torn && store.appended == 0 {
            Self::rewrite_in_place(&store.fs, &store.ops, true)?;
            store.log = opened(&store.fs)?;
        }
        store.log.write_all_at(&op.record(), store.end)?;
        store.appended += 1;
        let forgets =
            self.0 == Wrong::SecondAppendAfterTornTail && store.torn && store.appended > 1;
        let syncs = !matches!(self.0, Wrong::NoSync | Wrong::NoSyncThenSpins);
        if syncs && !forgets {
            match store.log.sync_all() {
                Err(_) if self.0 == Wrong::RetriesSync => store.log.sync_all()?,
                Err(_) if self.0 == Wrong::SavesWhatReadsSay => {
                    store.fs.copy("/kv/log", "/kv/new")?;
                    store.fs.open("/kv/new")?.sync_all()?;
                    store.fs.rename("/kv/new", "/kv/log")?;
                    store.fs.sync_dir("/kv")?;
                    store.log = opened(&store.fs)?;
                }
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

    fn close(&self, store: Open) -> Result<()> {
        match self.0 == Wrong::ClosesInHaste && store.torn {
            true => Self::rewrite_in_place(&store.fs, &store.ops, false),
            false => Ok(()),
        }
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
    // What a call that fails would show as well.
    let faults = wrong != Wrong::CutsInFirstAppend;
    let report = explore(Kv(wrong), &Options { faults, ..options(0..seeds) });
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
        (Wrong::CutsInFirstAppend, lost),
        (Wrong::CreatedWhateverComes, lost),
        (Wrong::ClosesInHaste, &[Kind::NotAfterwards]),
        (Wrong::SavesWhatReadsSay, lost),
        (Wrong::RemovesWhatItCannotRead, lost),
    ];
    for (wrong, kinds) in bugs {
        let is_rare = matches!(
            wrong,
            Wrong::RetriesSync | Wrong::SavesWhatReadsSay | Wrong::CreatedWhateverComes
        );
        let seeds = if is_rare { 400 } else { 40 };
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
fn finding_that_does_not_come_again_is_told_as_that() {
    let once = Options { jobs: 1, ..options(0..40) };
    let report = explore(Kv(Wrong::LosesOnce), &once);
    let Found { finding, story, .. } = report.found.first().expect("it is lost once");
    assert!(finding.kind.is_like(Kind::Lost), "{report}");
    assert!(story[0].starts_with("carried out again, nothing is wrong: it draws on"), "{report}");
}

/// A number in two slots of a file, of which each change takes the older one. What is wrong is what it does
/// to the newest one when it was not closed well: for a while there is nothing of it.
struct Slots;

impl Slots {
    const LEN: usize = 512;

    /// Where a slot says that it was closed well.
    const CLOSED: usize = 3;

    /// The number and its age.
    fn slots(fs: &SimFs) -> Result<[Option<(u8, u8)>; 2]> {
        let bytes = fs.read("/n")?;
        let slot = |at: usize| match bytes[at * Self::LEN..][..3] {
            [age, number, check] if age != 0 && check == (age ^ number ^ 0x5a) => {
                Some((age, number))
            }
            _ => None,
        };
        Ok([slot(0), slot(1)])
    }

    fn newest(fs: &SimFs) -> Result<(u64, (u8, u8))> {
        let slots = (0..).zip(Self::slots(fs)?);
        let newest = slots.filter_map(|(at, slot)| Some((at, slot?))).max_by_key(|(_, slot)| *slot);
        Ok(newest.unwrap_or((1, (0, 0))))
    }

    fn put(fs: &SimFs, at: u64, bytes: &[u8]) -> Result<()> {
        let file = crate::fs::OpenOptions::new().write(true).open(fs, "/n")?;
        file.write_all_at(bytes, at * Self::LEN as u64)?;
        Ok(file.sync_all()?)
    }
}

impl Subject for Slots {
    type Op = u8;
    type State = u8;
    type Store = SimFs;

    fn open(&self, fs: &SimFs) -> Result<SimFs> {
        if !fs.exists("/n") {
            let file = fs.create("/new")?;
            file.write_all_at(&[0; 2 * Self::LEN], 0)?;
            file.sync_all()?;
            fs.rename("/new", "/n")?;
        }
        fs.sync_dir("/")?;
        let (at, (age, number)) = Self::newest(fs)?;
        let closed = fs.read("/n")?[usize::try_from(at)? * Self::LEN + Self::CLOSED] != 0;
        if !closed && Self::slots(fs)?.iter().all(Option::is_some) {
            Self::put(fs, at, &[0; 4])?;
            Self::put(fs, at, &[age, number, age ^ number ^ 0x5a])?;
        }
        Ok(fs.clone())
    }

    fn draw(&self, dice: &mut Stream) -> u8 {
        u8::try_from(dice.between(1, 200)).expect("it is small")
    }

    fn model(&self, state: &mut u8, op: &u8) {
        *state = *op;
    }

    fn apply(&self, fs: &mut SimFs, op: &u8) -> Result<()> {
        let (at, (age, _)) = Self::newest(fs)?;
        Self::put(fs, 1 - at, &[age + 1, *op, (age + 1) ^ *op ^ 0x5a, 0])
    }

    fn close(&self, fs: SimFs) -> Result<()> {
        let (at, (age, number)) = Self::newest(&fs)?;
        Self::put(&fs, at, &[age, number, age ^ number ^ 0x5a, 1])
    }

    fn observe(&self, fs: &mut SimFs) -> Result<u8> {
        Ok(Self::newest(fs)?.1.1)
    }

    /// What is torn within a sector is not what this is about.
    fn keeps_what_it_showed(&self) -> bool {
        false
    }
}

/// E3 of `explore`: the image was seen before, when the number was not acknowledged yet.
#[test]
fn what_was_shown_behind_a_crash_in_a_recovery_is_held_against_later_windows() {
    let options = Options { faults: false, torn_sectors: false, ..options(0..40) };
    let report = explore(Slots, &options);
    let found = report.found.first().unwrap_or_else(|| panic!("it passes\n{report}"));
    assert!(found.finding.kind.is_like(Kind::Lost), "{report}");
    let case = found.case.as_ref().expect("it comes back at will");
    let again = replay(&Slots, &options, case).expect("it fits");
    assert_eq!(again.finding.map(|finding| finding.kind), Some(found.finding.kind), "{report}");
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
        ("seed 3; acts 0; fault sync-eio 99; crash after kill", "no call 99 that sync-eio"),
        (
            "seed 1; acts 0; crash before sync 0 power-loss nothing; but mix change 4294967296 \
             sector 0 at 5 old-first of /kv/log",
            "no pending change 4294967296",
        ),
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
    let printed: Case = format!("  case: {case}").parse().expect("as a report prints it");
    assert_eq!(printed, case);
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
