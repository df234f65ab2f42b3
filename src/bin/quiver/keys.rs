//! The master key of encrypted stores, and the commands that change keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::{Env, Key, KeyRing, Options, Store};
use serde_json::json;

use crate::Dir;
use crate::output::{Failure, Output};

/// Where the master key is.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyFile {
    /// The file with the master key of an encrypted store: 32 bytes, or 64 hexadecimal digits.
    #[arg(long, global = true, value_name = "FILE", env = "QUIVER_KEY_FILE")]
    key_file: Option<PathBuf>,
}

/// Opens stores, with the master key if there is one.
pub(crate) struct Opener(Option<Arc<dyn KeyRing>>);

impl Opener {
    pub(crate) fn new(of: &KeyFile) -> Result<Self, Failure> {
        Ok(Self(of.key_file.as_deref().map(ring).transpose()?))
    }

    /// A store in a directory.
    pub(crate) fn env(&self, dir: &Path) -> Env {
        let env = Env::os(dir);
        match &self.0 {
            None => env,
            Some(ring) => env.with_keyring(Arc::clone(ring)),
        }
    }

    /// Opens a store that is there: a wrong path is no reason to make one.
    pub(crate) fn open_existing(&self, dir: &Path) -> Result<Store, Failure> {
        let options = Options { create: false, ..Options::default() };
        Ok(Store::open_with(self.env(dir), options)?)
    }

    /// Opens a store to be read.
    pub(crate) fn open_read_only(&self, dir: &Path) -> Result<Store, Failure> {
        Ok(Store::open_read_only_with(self.env(dir), Options::default())?)
    }
}

/// A ring with the master key in a file.
pub(crate) fn ring(path: &Path) -> Result<Arc<dyn KeyRing>, Failure> {
    Ok(Arc::new(quiver_store::EnvelopeKeyRing::new(Key::from_file(path)?)))
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes one key file anew; no row is touched. Copies that were made before open with the old key for good.

Example: quiver rotate /var/lib/points --key-file old.key --new-key-file new.key")]
pub(crate) struct Rotate {
    #[command(flatten)]
    store: Dir,
    /// The file with the master key from now on.
    #[arg(long, value_name = "FILE")]
    new_key_file: PathBuf,
}

pub(crate) fn rotate(arguments: &Rotate, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let new = ring(&arguments.new_key_file)?;
    let store = opener.open_existing(&arguments.store.dir)?;
    store.rotate_master_key(&*new)?;
    store.close()?;
    let text = "the store opens with the new master key, and no more with the old one";
    out.answer(&json!({ "rotated": true }), text)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
There is no way back. Nothing of the collection can be read any more in this directory; backups with keys \
still can, and so may snapshots of the volume: see docs/encryption.md.")]
pub(crate) struct Shred {
    #[command(flatten)]
    store: Dir,
    /// The collection's name.
    collection: String,
    /// The name once more, so that nothing is shredded by a slip.
    #[arg(long, value_name = "COLLECTION")]
    confirm: String,
}

pub(crate) fn shred(arguments: &Shred, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let name = &arguments.collection;
    if arguments.confirm != *name {
        let what = format!("to shred {name}, say --confirm {name}; nothing was changed");
        return Err(Failure::Usage(what));
    }
    let store = opener.open_existing(&arguments.store.dir)?;
    let existed = store.shred_collection(name)?;
    store.close()?;
    if !existed {
        return Err(Failure::Usage(format!("no collection is named {name}; nothing was changed")));
    }
    out.answer(&json!({ "shredded": name }), &format!("{name} is shredded"))
}
