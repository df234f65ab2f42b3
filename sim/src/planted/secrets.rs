//! What a wrong engine does with salts, keys and key files.
//!
//! **Place.** Beneath the wrapper of the seam that carries the other bugs: a disk, a source of random
//! numbers and a ring that know of one another.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use quiver_store::file_names::{CURRENT, FileName};
use quiver_store::ids::Salt;
use quiver_store::key_file::KEY_FILE_SIZE_BYTES;
use quiver_store::vfs::{Access, CallSite, DirEntry, Disk, Entropy, File, Lock, Vfs};
use quiver_store::{CollectionId, Env, Key, Result};

use super::Bug;
use super::books::{Beneath, decode, names_of};
use super::keyring::PlantedRing;
use crate::disk::SimEntropy;

/// The seed of random numbers that every process draws alike.
const SAME_SEED: u64 = 7;

/// What one process of a wrong engine knows of its secrets.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) bug: Bug,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// All salts that were drawn.
    salts: Vec<Salt>,
    /// The salt that comes again until a file like the one that had it is made.
    again: Option<(Salt, FileName)>,
    /// Segments that this process made and no manifest has named.
    unpublished: Vec<FileName>,
    /// What the manifest names that was written last.
    next_named: BTreeSet<String>,
    /// The key that the ring was shown last.
    key: Option<Key>,
    has_swept: bool,
    /// Whether a key was drawn last, behind which its id is drawn.
    has_drawn_key: bool,
    /// Whether the next sync of the directory is for the name of a key.
    syncs_key_name: bool,
}

/// What an engine with one of these bugs stands on.
pub(super) fn beneath(bug: &Bug, env: Env) -> Env {
    let secrets = Arc::new(Secrets { bug: bug.clone(), known: Mutex::default() });
    let (vfs, dir) = (env.vfs.clone(), env.dir.clone());
    let same = (*bug == Bug::SaltsRepeat).then(|| SimEntropy::new(SAME_SEED));
    let entropy = EchoingEntropy { inner: env.entropy.clone(), same, secrets: secrets.clone() };
    let (inner, catalog) = (env.keyring.clone(), std::sync::OnceLock::new());
    let keyring = PlantedRing { inner, secrets: secrets.clone(), catalog };
    let vfs = TellingVfs { inner: vfs, dir, secrets };
    Env { vfs: Arc::new(vfs), entropy: Arc::new(entropy), keyring: Arc::new(keyring), ..env }
}

impl Secrets {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The ring is shown a key.
    pub(super) fn shown(&self, key: &Key) {
        self.known().key = Some(key.clone());
    }
}

impl Known {
    /// The salt of this file comes again.
    fn repeat(&mut self, name: FileName) {
        let tag = match name {
            FileName::Log(_, tag) | FileName::Segment(_, tag) => tag,
            _ => return,
        };
        let salt = self.salts.iter().find(|salt| tag == (**salt).into());
        self.again = salt.map(|salt| (*salt, name));
    }

    /// A file was made: it may be the one that got the salt again.
    fn made(&mut self, made: FileName) {
        let is_it = self.again.is_some_and(|(salt, name)| match (name, made) {
            (FileName::Log(..), FileName::Log(_, tag))
            | (FileName::Segment(..), FileName::Segment(_, tag)) => tag == salt.into(),
            _ => false,
        });
        if is_it {
            self.again = None;
        }
    }
}

/// A source of randomness that repeats itself.
#[derive(Debug)]
struct EchoingEntropy {
    inner: Arc<dyn Entropy>,
    same: Option<SimEntropy>,
    secrets: Arc<Secrets>,
}

impl Entropy for EchoingEntropy {
    fn fill(&self, buf: &mut [u8]) -> io::Result<()> {
        self.inner.fill(buf)?;
        let mut known = self.secrets.known();
        let is_key_id = std::mem::replace(&mut known.has_drawn_key, buf.len() == 32);
        let Ok(salt) = <&mut [u8; 16]>::try_from(buf) else { return Ok(()) };
        if let Some(same) = self.same.as_ref().filter(|_| !is_key_id) {
            return same.fill(salt);
        }
        match known.again {
            Some(_) if is_key_id => {}
            Some((again, _)) => *salt = again.0,
            None => known.salts.push(Salt(*salt)),
        }
        Ok(())
    }
}

#[derive(Debug)]
struct TellingVfs {
    inner: Arc<dyn Vfs>,
    dir: PathBuf,
    secrets: Arc<Secrets>,
}

#[derive(Debug)]
struct TellingFile {
    inner: Arc<dyn File>,
    name: Option<FileName>,
    secrets: Arc<Secrets>,
}

fn parsed(path: &Path) -> Option<FileName> {
    FileName::parse(path.file_name()?.to_str()?)
}

impl TellingVfs {
    fn wrap(&self, inner: Arc<dyn File>, path: &Path) -> Arc<dyn File> {
        Arc::new(TellingFile { inner, name: parsed(path), secrets: self.secrets.clone() })
    }

    /// Destroys the keys that the manifest does not name.
    fn sweep_keys(&self, site: CallSite) {
        let beneath = Beneath { vfs: &*self.inner, dir: &self.dir, site };
        let Some(manifest) = beneath.manifest() else { return };
        let named: Vec<FileName> =
            manifest.keys.iter().map(|entry| FileName::Key(entry.key)).collect();
        let entries = self.inner.read_dir(&self.dir, site).unwrap_or_default();
        let names = entries.into_iter().map(|entry| entry.name);
        let is_unnamed = |name: &String| match FileName::parse(name) {
            Some(key @ FileName::Key(_)) => !named.contains(&key),
            _ => false,
        };
        beneath.remove(names.filter(is_unnamed));
    }

    fn write_key_down(&self, key: &Key, site: CallSite) -> io::Result<()> {
        let path = self.dir.join("key.tmp");
        let file = self.inner.create_new(&path, site)?;
        file.write_at(key.bytes(), 0, site)?;
        self.inner.unlink(&path, site)
    }
}

impl Vfs for TellingVfs {
    fn create_new(&self, path: &Path, site: CallSite) -> io::Result<Arc<dyn File>> {
        let (swept, key) = {
            let mut known = self.secrets.known();
            (std::mem::replace(&mut known.has_swept, true), known.key.clone())
        };
        if self.secrets.bug == Bug::SweepTakesUnnamedKeys && !swept {
            self.sweep_keys(site);
        }
        let file = self.inner.create_new(path, site)?;
        let Some(name) = parsed(path) else { return Ok(self.wrap(file, path)) };
        // A sync behind other files is for these as well.
        self.secrets.known().syncs_key_name = matches!(name, FileName::Key(_));
        if let FileName::Key(_) = name
            && let (Bug::KeyInTemporaryFile, Some(key)) = (&self.secrets.bug, key)
        {
            // What fails here fails for a fault, as the call itself might have.
            self.write_key_down(&key, site)?;
        }
        let mut known = self.secrets.known();
        known.made(name);
        if let FileName::Segment(..) = name {
            known.unpublished.push(name);
        }
        Ok(self.wrap(file, path))
    }

    fn open(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(self.inner.open(path, access, site)?, path))
    }

    fn rename(&self, from: &Path, to: &Path, site: CallSite) -> io::Result<()> {
        self.inner.rename(from, to, site)?;
        if to == self.dir.join(CURRENT) && self.secrets.bug == Bug::SaltOfDiscardedSegmentAgain {
            let known = &mut *self.secrets.known();
            let named = &known.next_named;
            known.unpublished.retain(|name| !named.contains(&name.text()));
        }
        Ok(())
    }

    fn unlink(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.unlink(path, site)?;
        let mut known = self.secrets.known();
        if self.secrets.bug == Bug::SaltOfDiscardedSegmentAgain
            && let Some(name) = parsed(path).filter(|name| known.unpublished.contains(name))
        {
            known.repeat(name);
        }
        Ok(())
    }

    fn create_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        self.inner.create_dir(path, site)
    }

    fn read_dir(&self, path: &Path, site: CallSite) -> io::Result<Vec<DirEntry>> {
        let mut entries = self.inner.read_dir(path, site)?;
        if self.secrets.bug == Bug::BackupKeepsEarlierKeys && path != self.dir {
            entries.retain(|entry| !matches!(FileName::parse(&entry.name), Some(FileName::Key(_))));
        }
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path, site: CallSite) -> io::Result<()> {
        let of_key = std::mem::replace(&mut self.secrets.known().syncs_key_name, false);
        match self.secrets.bug {
            Bug::KeyNameNotDurable if of_key => Ok(()),
            _ => self.inner.sync_dir(path, site),
        }
    }

    fn lock(&self, path: &Path, access: Access, site: CallSite) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path, access, site)
    }
}

impl File for TellingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64, site: CallSite) -> io::Result<usize> {
        self.inner.read_at(buf, offset, site)
    }

    fn write_at(&self, bytes: &[u8], offset: u64, site: CallSite) -> io::Result<usize> {
        let written = self.inner.write_at(bytes, offset, site);
        let is_failed =
            matches!(&written, Err(error) if error.kind() != io::ErrorKind::Interrupted);
        if self.secrets.bug == Bug::SaltOfAbandonedLogAgain
            && is_failed
            && let Some(name @ FileName::Log(..)) = self.name
        {
            self.secrets.known().repeat(name);
        }
        if self.secrets.bug == Bug::SaltOfDiscardedSegmentAgain
            && let (Some(FileName::Manifest(..)), Some(manifest)) = (self.name, decode(bytes))
        {
            self.secrets.known().next_named = names_of(&manifest);
        }
        written
    }

    fn allocate(&self, len: u64, site: CallSite) -> io::Result<()> {
        self.inner.allocate(len, site)
    }

    fn len(&self, site: CallSite) -> io::Result<u64> {
        self.inner.len(site)
    }

    fn sync_data(&self, site: CallSite) -> io::Result<()> {
        self.inner.sync_data(site)
    }
}

/// Destroys every key of a collection, as the engine would.
pub(super) fn destroy_keys_of(disk: &Disk, id: CollectionId) -> Result<()> {
    for entry in disk.read_dir(disk.root())? {
        let Some(FileName::Key(_)) = FileName::parse(&entry.name) else { continue };
        let file = disk.open(&entry.name, Access::ReadWrite)?;
        let mut bytes = [0; KEY_FILE_SIZE_BYTES];
        if file.read_up_to(&mut bytes, 0)? == KEY_FILE_SIZE_BYTES
            && bytes[40..48] == id.value().to_le_bytes()
        {
            file.write_all_at(&[0x5a; KEY_FILE_SIZE_BYTES], 0)?;
            file.sync_data()?;
            disk.unlink(&entry.name)?;
        }
    }
    disk.sync_dir(disk.root())
}
