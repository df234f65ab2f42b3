//! Rotate: the store key under another master key. One file is replaced by another.
//!
//! | step | a crash before the next step leaves |
//! |---|---|
//! | 1 the store key, sealed under the new master key, in a new key file; synced | an orphan |
//! | 2 a publish that names it | the old master key, or the new one |
//! | 3 the old key file is destroyed | the new one; the old file is an orphan |

use crate::error::{Error, ErrorKind, Result};
use crate::file_names::FileName;
use crate::ids::CollectionId;
use crate::keyring::KeyRing;
use crate::store::provision::store_key_file;
use crate::store::publish::publish;
use crate::store::reclaim::discard;
use crate::store::{Inner, Store};

impl Store {
    /// Puts another master key in the place of the one that the store was opened with. No row is
    /// written anew. The next open needs the new one.
    ///
    /// *Durability*: once this returned, the old master key opens nothing on this disk any more. If it
    /// returned `Latched` or was cut short by a crash, either key is the store's: try both. Copies that
    /// were made before are opened by the old one for good.
    ///
    /// # Errors
    /// `InvalidArgument` where the store or the ring has no master key; `Full` and `Io`: the old key
    /// stays, unless the message says otherwise; `Latched`.
    ///
    /// # Examples
    /// ```
    /// # use std::sync::Arc;
    /// use quiver_store::{Env, EnvelopeKeyRing, Key, Options, Store};
    /// let ring = |byte| Arc::new(EnvelopeKeyRing::new(Key::from_bytes([byte; 32])));
    /// let env = Env::memory();
    /// let store = Store::open_with(env.clone().with_keyring(ring(1)), Options::default())?;
    /// store.rotate_master_key(&*ring(2))?;
    /// store.close()?;
    /// assert!(Store::open_with(env.clone().with_keyring(ring(1)), Options::default()).is_err());
    /// Store::open_with(env.with_keyring(ring(2)), Options::default())?;
    /// # Ok::<(), quiver_store::Error>(())
    /// ```
    pub fn rotate_master_key(&self, ring: &dyn KeyRing) -> Result<()> {
        let inner = &*self.inner;
        inner.guarded("a rotation of the master key", || inner.rotate_master_key(ring))
    }
}

impl Inner {
    fn rotate_master_key(&self, ring: &dyn KeyRing) -> Result<()> {
        let tools = self.tools();
        let mut on_disk = self.lock_on_disk()?;
        on_disk.check_latch()?;
        let made = self.keys.rewrap(ring, tools.entropy)?;
        let old = on_disk.manifest.key(CollectionId(0));
        store_key_file(&tools, &mut on_disk, made.id, &made.file)?;
        self.keys.rewrapped(made.id)?;
        if let Err(error) = publish(&tools, &mut on_disk, |_| {}) {
            self.keys.rewrapped(old)?;
            if error.kind() != ErrorKind::Latched {
                discard(&tools, &mut on_disk, [FileName::Key(made.id).text()]);
            }
            return Err(error);
        }
        tracing::info!("rotate");
        self.destroy_all_orphans(&mut on_disk).map_err(|error| -> Error {
            let what = "the new master key is in use, but an old key file is not destroyed yet";
            let kind = error.kind();
            error.reported_as(kind, what)
        })
    }
}
