//! A small store in memory of which one file is taken from an input: what an attacker has who can write
//! the disk.
//!
//! - T1. What stands around the input is made to fit it: checksums, digests, lengths, the manifest and
//!   `CURRENT`. So the fuzzer need not find them out, and what it changes is reached.
//! - T2. A store may be sealed by [`Known`], a codec whose tags everybody knows: an attacker who has the
//!   key. Real ones are only met by what was written under them.

use std::collections::BTreeMap;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use quiver_store::codec::{PageCodec, Place, PlainCodec, TAG_SIZE_BYTES};
use quiver_store::file_names::FileName;
use quiver_store::ids::{CollectionId, Salt};
use quiver_store::manifest::Manifest;
use quiver_store::manifest::current::Current;
use quiver_store::page::{PagePlace, PageType, digest, offsets, open_stream, seal_stream};
use quiver_store::vfs::Access;
use quiver_store::vfs::memory::{CountingEntropy, MemoryVfs, StoppedClock};
use quiver_store::{Env, Options, Result, SingleCodecKeyRing, Store};

/// Where the store is.
const DIR: &str = "/store";

/// Bytes of files, by name.
pub(crate) type Files = BTreeMap<String, Arc<[u8]>>;

/// Changes nothing and takes every tag (T2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known;

impl PageCodec for Known {
    fn id(&self) -> u8 {
        7
    }

    fn seal(&self, _: &Place, _: &[u8], _: &mut [u8]) -> Result<[u8; TAG_SIZE_BYTES]> {
        Ok([0xAB; TAG_SIZE_BYTES])
    }

    fn open(&self, _: &Place, _: &[u8], _: &mut [u8], _: &[u8; TAG_SIZE_BYTES]) -> Result<()> {
        Ok(())
    }
}

/// A store, and what its manifest says.
#[derive(Debug)]
pub(crate) struct Template {
    /// All but `CURRENT`, the manifest and the logs.
    pub(crate) files: Files,
    /// Names no log: what they held is sealed.
    pub(crate) manifest: Manifest,
    pub(crate) codec: Arc<dyn PageCodec>,
}

impl Template {
    /// A store that was filled and closed. What it has in memory is sealed.
    pub(crate) fn of(codec: Arc<dyn PageCodec>, fill: impl FnOnce(&Store) -> Result<()>) -> Self {
        let env = empty(&codec);
        let store = Store::open_with(env.clone(), options()).expect("a new store");
        fill(&store).expect("memory takes all");
        store.checkpoint().expect("memory takes all");
        store.close().expect("memory takes all");
        let mut files = files_of(&env);
        let current = Current::decode(&files["CURRENT"]).expect("just written");
        let name = FileName::Manifest(current.version, current.salt.into()).text();
        let mut pages = files[&name].to_vec();
        let place = manifest_place(&Manifest {
            salt: current.salt,
            ..Manifest::empty(current.store, current.version)
        });
        let content = open_stream(&place, &PlainCodec, &mut pages).expect("just written");
        let mut manifest = Manifest::decode(&content).expect("just written");
        manifest.logs.clear();
        files.retain(|name, _| {
            !matches!(
                FileName::parse(name),
                None | Some(FileName::Manifest(..) | FileName::Log(..) | FileName::Current)
            )
        });
        Self { files, manifest, codec }
    }

    /// A disk with the store, under this manifest, some files being others.
    pub(crate) fn env(&self, manifest: &Manifest, others: &[(String, &[u8])]) -> Env {
        let content = manifest.encode(&*self.codec).expect("neither codec fails");
        self.env_of_content(manifest, &content, others)
    }

    /// The same, with other bytes for the content of the manifest.
    pub(crate) fn env_of_content(
        &self,
        manifest: &Manifest,
        content: &[u8],
        others: &[(String, &[u8])],
    ) -> Env {
        let env = empty(&self.codec);
        let here = Location::caller();
        env.vfs.create_dir(Path::new(DIR), here).expect("a new disk");
        let put = |name: &str, bytes: &[u8]| {
            let path = Path::new(DIR).join(name);
            let file = env.vfs.create_new(&path, here).expect("each name once");
            file.write_at(bytes, 0, here).expect("memory takes all");
        };
        for (name, bytes) in &self.files {
            if !others.iter().any(|(other, _)| other == name) {
                put(name, bytes);
            }
        }
        others.iter().for_each(|(name, bytes)| put(name, bytes));
        let pages = seal_stream(&manifest_place(manifest), &PlainCodec, content).expect("plain");
        let Manifest { version, salt, store, .. } = *manifest;
        put(&FileName::Manifest(version, salt.into()).text(), &pages);
        let (len, digest) = (pages.len() as u64, digest(&pages));
        put("CURRENT", &Current { store, version, len, salt, digest }.encode());
        put("LOCK", &[]);
        env
    }

    /// A place in a file of a collection.
    pub(crate) fn place(&self, salt: Salt, page_type: PageType) -> PagePlace {
        let (store, collection) = (self.manifest.store, self.collection());
        PagePlace { store, salt, collection, page_type, index: 0 }
    }

    /// The only collection.
    pub(crate) fn collection(&self) -> CollectionId {
        self.manifest.collections.last().expect("there is one").id
    }
}

fn manifest_place(manifest: &Manifest) -> PagePlace {
    let (store, salt, collection) = (manifest.store, manifest.salt, CollectionId(0));
    PagePlace { store, salt, collection, page_type: PageType::Manifest, index: 0 }
}

/// Small steps and caches: most of what a store sets aside is zeroed for each input.
pub(crate) fn options() -> Options {
    Options {
        log_step_bytes_min: 4096,
        log_step_bytes_max: 4096,
        log_window_bytes: 8192,
        read_ahead_bytes: 16_384,
        page_cache_bytes: 65_536,
        step_bytes: 65_536,
        memtable_bytes_max: 1 << 20,
        reserve_bytes: 0,
        background: false,
        ..Options::default()
    }
}

/// A new disk.
pub(crate) fn empty(codec: &Arc<dyn PageCodec>) -> Env {
    if codec.id() == PlainCodec::ID {
        return empty_plain();
    }
    empty_plain().with_keyring(Arc::new(SingleCodecKeyRing::new(Arc::clone(codec))))
}

/// The same, without keys.
pub(crate) fn empty_plain() -> Env {
    let (clock, entropy) = (Arc::new(StoppedClock), Arc::new(CountingEntropy::new()));
    Env::new(DIR, Arc::new(MemoryVfs::new()), clock, entropy)
}

/// A disk with all files of a store, some being others.
pub(crate) fn env_of_files(files: &Files, others: &[(&str, &[u8])]) -> Env {
    let env = empty_plain();
    let here = Location::caller();
    env.vfs.create_dir(Path::new(DIR), here).expect("a new disk");
    for (name, bytes) in files {
        let other = others.iter().find(|(other, _)| other == name).map(|(_, bytes)| *bytes);
        let file = env.vfs.create_new(&Path::new(DIR).join(name), here).expect("each name once");
        file.write_at(other.unwrap_or(bytes), 0, here).expect("memory takes all");
    }
    env.vfs.create_new(&Path::new(DIR).join("LOCK"), here).expect("not among them");
    env
}

/// All files of a store but the lock.
pub(crate) fn files_of(env: &Env) -> Files {
    let here = Location::caller();
    let entries = env.vfs.read_dir(&env.dir, here).expect("a store's directory");
    let names = entries.into_iter().map(|entry| entry.name).filter(|name| name != "LOCK");
    let read = |name: String| {
        let file = env.vfs.open(&env.dir.join(&name), Access::Read, here).expect("listed");
        let len = usize::try_from(file.len(here).expect("memory")).expect("in memory");
        let mut bytes = vec![0; len];
        assert_eq!(file.read_at(&mut bytes, 0, here).expect("memory"), len);
        (name, bytes.into())
    };
    names.map(read).collect()
}

/// Where the first of these pages of a file of a collection stands.
pub(crate) fn place_of(
    files: &Files,
    pages: &[u8],
    page_type: PageType,
    collection: CollectionId,
) -> PagePlace {
    let store = Current::decode(&files["CURRENT"]).expect("just written").store;
    let salt = Salt(pages[offsets::SALT..][..16].try_into().expect("sixteen bytes"));
    PagePlace { store, salt, collection, page_type, index: 0 }
}
