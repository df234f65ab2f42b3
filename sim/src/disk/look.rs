//! A look at a path: what stands there and how long it is.
//!
//! **Place.** For the face that is like the standard library's. The seam has no such call; this one
//! is counted and recorded as a `len` of the path, and has no faults.

use std::io;
use std::path::Path;

use quiver_store::vfs::{CallSite, EntryKind};

use super::machine::{Head, SimDisk};
use super::state::Node;
use super::trace::IoKind;

impl SimDisk {
    /// What stands at a path, with the length of a file.
    pub(crate) fn look(&self, path: &Path, site: CallSite) -> io::Result<(EntryKind, u64)> {
        let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let head = Head { kind: IoKind::Len, path: text, to: None, offset: 0, len: 0, site };
        self.run(head, |machine, notes| {
            let inner = machine.inner();
            let node = inner.lookup(path)?.node.ok_or(io::ErrorKind::NotFound)?;
            match inner.node(node) {
                Node::Directory(_) => Ok((EntryKind::Directory, 0)),
                Node::File(inode) => {
                    notes.count = inode.volatile.len();
                    Ok((EntryKind::File, notes.count))
                }
            }
        })
    }
}
