//! A file that is one byte string over pages, written once and read whole.

use crate::codec::PageCodec;
use crate::cursor::{index, len_u32};
use crate::error::{Error, Result};
use crate::limits::PAGE_SIZE_BYTES;
use crate::page::{self, PAGE_BODY_SIZE_BYTES, PagePlace};
use crate::vfs::DiskFile;

/// Pages that are written or read with one call.
const RUN_PAGES: usize = 64;

/// What the manifest says of the content of such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes of the file.
    pub(crate) len: u64,
    /// Of its pages.
    pub(crate) digest: u32,
}

/// Writes and syncs a new file, in bounded memory.
///
/// *Durability*: if it returned Ok, the file's content is durable; its name is not.
///
/// # Errors
/// Those of the disk and of the codec.
pub(crate) fn write(
    file: &DiskFile,
    first: &PagePlace,
    codec: &dyn PageCodec,
    bytes: &[u8],
) -> Result<Written> {
    let (mut at, mut digest) = (0, 0);
    let mut runs = bytes.chunks(RUN_PAGES * PAGE_BODY_SIZE_BYTES);
    // Also an empty string has a page.
    let mut run = Some(runs.next().unwrap_or_default());
    while let Some(bytes) = run {
        let page = len_u32(index(at / PAGE_SIZE_BYTES as u64));
        let place = PagePlace { index: first.index + page, ..*first };
        let pages = page::seal_stream(&place, codec, bytes)?;
        digest = page::digest_append(digest, &pages);
        file.write_all_at(&pages, at)?;
        at += pages.len() as u64;
        run = runs.next();
    }
    file.sync_data()?;
    Ok(Written { len: at, digest })
}

/// Reads a file that a manifest names.
///
/// # Errors
/// `Io`; `Corrupt` naming the file where its content is not what the manifest says.
pub(crate) fn read(
    file: &DiskFile,
    first: &PagePlace,
    codec: &dyn PageCodec,
    listed: Written,
) -> Result<Vec<u8>> {
    check_len(file, listed)?;
    let (mut at, mut digest, mut bytes) = (0, 0, Vec::new());
    let mut run = vec![0; RUN_PAGES * PAGE_SIZE_BYTES];
    while at < listed.len {
        let len = index((listed.len - at).min(run.len() as u64));
        let pages = &mut run[..len];
        file.read_exact_at(pages, at)?;
        digest = page::digest_append(digest, pages);
        let page = len_u32(index(at / PAGE_SIZE_BYTES as u64));
        let place = PagePlace { index: first.index + page, ..*first };
        let opened = page::open_stream(&place, codec, pages).map_err(|error| named(file, error))?;
        bytes.extend_from_slice(&opened);
        at += len as u64;
    }
    if digest != listed.digest {
        let expected = listed.digest;
        let error = Error::corrupt(format!("digest {digest:#010x}, expected {expected:#010x}"));
        return Err(named(file, error));
    }
    Ok(bytes)
}

/// Holds the length of a file against the manifest, without reading it.
///
/// # Errors
/// `Io`; `Corrupt` naming the file.
pub(crate) fn check_len(file: &DiskFile, listed: Written) -> Result<()> {
    let (len, expected) = (file.len_bytes()?, listed.len);
    if len == expected && len > 0 && len.is_multiple_of(PAGE_SIZE_BYTES as u64) {
        return Ok(());
    }
    Err(named(file, Error::corrupt(format!("{len} bytes long, expected {expected}"))))
}

fn named(file: &DiskFile, error: Error) -> Error {
    let kind = error.kind();
    error.reported_as(kind, &file.path().display().to_string())
}
