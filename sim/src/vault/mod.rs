//! The vault of an encrypted run: its keys, all that they sealed, and all that must stay secret.
//!
//! **Place.** Made for each encrypted history; shared by all branches of its run, so that what two of
//! them do together shows: forward run, recoveries, crashes of recoveries. Stores are opened with its
//! rings, on disks that it looks at.
//!
//! - V1. I15: no write and no file name holds a piece of a secret (`secrets`) or of a key that any ring
//!   was ever shown; nor, as a sample, does an image, read whole. What is sealed under a key that no
//!   shred destroys holds no secret either.
//! - V2. I16: a key of a file and a position seal one content, in all branches (`seals`).
//! - V3. I17: of what was said to be destroyed, the key files of no image and no master key of the vault
//!   yield anything (`custody`).
//! - V4. What is wrong is kept until it is taken, by whoever knows at which image it was.

mod custody;
mod needles;
mod recall;
mod ring;
mod scan;
mod seals;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quiver_store::codec::{FileKind, Place};
use quiver_store::{CollectionId, Env, Key, KeyRing};

use crate::backup::is_of_backup;
use crate::checker::{Finding, Invariant};
use crate::digest::Digest;
use crate::disk::{DiskState, SimDisk};
use crate::forward;
use crate::history::History;
pub use custody::{Custody, Opened};
use needles::{Needles, Secret};
use recall::Recall;
pub use seals::RawKey;
use seals::Seals;

/// Findings that are kept: the first ones are the ones to look at.
const FINDINGS_MAX: usize = 3;

/// Keys, seals and secrets of one run.
#[derive(Debug)]
pub struct Vault {
    seed: u64,
    books: Mutex<Books>,
    recall: Mutex<Recall>,
}

#[derive(Debug, Default)]
struct Books {
    needles: Needles,
    /// The keys of contents that were read whole since a needle came last.
    read_whole: BTreeSet<u128>,
    keys: BTreeSet<RawKey>,
    seals: Seals,
    evaluated: BTreeMap<Invariant, u64>,
    findings: Vec<Finding>,
}

impl Vault {
    /// That of a run of this history.
    pub fn of(history: &History) -> Arc<Self> {
        let books = Books { needles: secrets::of(history), ..Books::default() };
        let recall = Mutex::default();
        Arc::new(Self { seed: history.seed, books: Mutex::new(books), recall })
    }

    /// What a store on a simulated disk stands on.
    pub fn env(self: &Arc<Self>, disk: &SimDisk, entropy_seed: u64, master: u32) -> Env {
        let vfs = scan::ScannedDisk { disk: disk.clone(), vault: self.clone() };
        let env = Env { vfs: Arc::new(vfs), ..forward::env_on(disk, entropy_seed) };
        env.with_keyring(self.ring(master))
    }

    /// A ring with the master key of this number.
    pub fn ring(self: &Arc<Self>, master: u32) -> Arc<dyn KeyRing> {
        Arc::new(ring::RecordingRing { vault: self.clone(), master })
    }

    /// The master key of a number.
    pub(crate) fn master(&self, number: u32) -> Key {
        let half = |place| Digest::new(22).pair(self.seed, u64::from(number)).pair(place, 0);
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&half(0).finish().to_le_bytes());
        bytes[16..].copy_from_slice(&half(1).finish().to_le_bytes());
        Key::from_bytes(bytes)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic of the store while it is held leaves the books whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self) -> MutexGuard<'_, Recall> {
        self.recall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a key that nobody else may see.
    fn learn(&self, key: &RawKey) {
        self.books().learn(key);
    }

    /// Something is being sealed (V1, V2).
    fn sealed(&self, key: (&RawKey, u128), place: &Place, associated: &[u8], body: &[u8]) {
        let books = &mut *self.books();
        books.evaluated(Invariant::I16);
        let (is_shared, wrong) = books.seals.take_in(key, place, associated, body);
        books.findings(wrong);
        if place.kind == FileKind::Key
            && let Ok(key) = body.try_into()
        {
            books.learn(key);
        }
        if is_shared && let Some(hit) = books.needles.find(body, false) {
            let expected = "nothing of a collection under a key that no shred destroys";
            let found = format!("{hit} in {}", seals::said(place));
            books.findings(Some(Finding::new(Invariant::I15, expected, found)));
        }
    }

    /// Bytes go to a file (V1).
    fn written(&self, path: &Path, bytes: &[u8], offset: u64) {
        let books = &mut *self.books();
        books.evaluated(Invariant::I15);
        if let Some(hit) = books.needles.find(bytes, true) {
            let at = offset + hit.at as u64;
            let found = format!("{hit} written to {} at about {at}", path.display());
            books.findings(Some(Finding::new(Invariant::I15, NOTHING_PLAIN, found)));
        }
    }

    /// A name comes to be (V1).
    fn named(&self, path: &Path) {
        let books = &mut *self.books();
        if let Some(hit) = books.needles.find(path.as_os_str().as_encoded_bytes(), true) {
            let found = format!("{hit} in the name {}", path.display());
            books.findings(Some(Finding::new(Invariant::I15, NOTHING_PLAIN, found)));
        }
    }

    /// Reads an image whole (V1), but for what is, by its key, as in an image before.
    pub fn read_whole(&self, image: &DiskState) {
        for (path, _) in image.list() {
            self.named(&path);
            let key = image.content_key(&path).expect("it is listed");
            if self.books().read_whole.insert(key) {
                let bytes = image.read(&path).expect("it is listed");
                self.written(&path, &bytes, 0);
            }
        }
    }

    /// Opens all key files of a disk, but for those of backups, with every master key up to this one.
    pub fn opened(&self, disk: &DiskState, last_master: u32) -> Opened {
        self.opened_among(disk, 0..=last_master, &|path| !is_of_backup(path))
    }

    /// Opens those key files of a disk that are wanted, with master keys of these numbers.
    pub(crate) fn opened_among(
        &self,
        disk: &DiskState,
        masters: impl IntoIterator<Item = u32>,
        is_wanted: &dyn Fn(&Path) -> bool,
    ) -> Opened {
        let masters: Vec<(u32, Key)> =
            masters.into_iter().map(|number| (number, self.master(number))).collect();
        custody::opened(disk, &masters, is_wanted, &mut self.recall().keys)
    }

    /// The keys of a backup are held against what is owed of them.
    pub(crate) fn looked_at_backup(&self) {
        self.books().evaluated(Invariant::I17);
    }

    /// The keys that sealed something of a collection so far.
    pub fn keys_of(&self, collection: CollectionId) -> BTreeSet<RawKey> {
        self.books().seals.keys_of(collection.value())
    }

    /// What was found since it was asked last (V4).
    pub fn take_findings(&self) -> Vec<Finding> {
        std::mem::take(&mut self.books().findings)
    }

    /// How often each invariant was evaluated since it was asked last.
    pub fn take_evaluated(&self) -> BTreeMap<Invariant, u64> {
        std::mem::take(&mut self.books().evaluated)
    }
}

/// Opens the key files of a disk with one master key.
pub(crate) fn opened_with(disk: &DiskState, master: &Key) -> Opened {
    custody::opened(disk, &[(0, master.clone())], &|_| true, &mut Recall::default().keys)
}

/// What I15 expects of bytes and names.
const NOTHING_PLAIN: &str = "no secret and no key in plain";

impl Books {
    fn learn(&mut self, key: &RawKey) {
        if self.keys.insert(*key) {
            self.needles.add(Secret::Key, key);
            self.read_whole.clear();
        }
    }

    fn evaluated(&mut self, invariant: Invariant) {
        *self.evaluated.entry(invariant).or_default() += 1;
    }

    fn findings(&mut self, finding: Option<Finding>) {
        self.findings.extend(finding);
        self.findings.truncate(FINDINGS_MAX);
    }
}
