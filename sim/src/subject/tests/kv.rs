//! A small store, right or wrong in a chosen way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use super::super::{Result, Subject};
use crate::fs::{File, SimFs};
use crate::stream::Stream;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
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
    /// Nothing: only removals are promised to survive, with all that was put before them.
    SyncsWithRemovals,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Kv(pub(super) Wrong);

#[derive(Clone, Debug)]
pub(super) enum Op {
    Put(u8, u8),
    Remove(u8),
}

pub(super) struct Open {
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
pub(super) const RECORD_BYTES: usize = 300;

/// Where a record has its checksum.
pub(super) const CHECK: Range<usize> = RECORD_BYTES - 6..RECORD_BYTES - 2;

/// Ends what spins, when the test is over.
pub(super) static GO_ON: AtomicBool = AtomicBool::new(true);
pub(super) static GO_ON_WAITING: (Mutex<bool>, Condvar) = (Mutex::new(true), Condvar::new());
pub(super) static GO_ON_SHRINKING: AtomicBool = AtomicBool::new(false);
pub(super) static OPENED: AtomicU64 = AtomicU64::new(0);
pub(super) static LOST: AtomicBool = AtomicBool::new(false);

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
pub(super) fn checksum(bytes: &[u8]) -> [u8; 4] {
    let others = bytes[..CHECK.start].iter().chain(&bytes[CHECK.end..]);
    let sum = others.fold(7_u64, |sum, byte| crate::stream::scrambled(sum ^ u64::from(*byte)));
    let [first, second, third, fourth, ..] = sum.to_le_bytes();
    [first, second, third, fourth]
}

pub(super) fn parse(bytes: &[u8], wrong: Wrong) -> Option<Op> {
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

pub(super) fn opened(fs: &SimFs) -> Result<File> {
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
        if let Err(error) = fs.sync_dir("/") {
            // What a failed sync lost no later one makes durable: unless rows are in it, it is made anew.
            drop(fs.remove_dir("/kv"));
            return Err(error.into());
        }
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
        let syncs =
            !matches!(self.0, Wrong::NoSync | Wrong::NoSyncThenSpins) && self.is_durable(op);
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

    fn is_durable(&self, op: &Op) -> bool {
        self.0 != Wrong::SyncsWithRemovals || matches!(op, Op::Remove(_))
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
