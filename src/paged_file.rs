//! A file that is one byte string over pages, written once and read whole.

use std::ops::ControlFlow;

use crate::codec::PageCodec;
use crate::cursor::{index, len_u32};
use crate::error::{Error, Result};
use crate::limits::PAGE_SIZE_BYTES;
use crate::page::{self, PAGE_BODY_SIZE_BYTES, PagePlace};
use crate::vfs::DiskFile;

/// Pages that are written or read with one call.
const RUN_PAGES: usize = 64;

/// Bytes of the string in them.
const RUN_BYTES: usize = RUN_PAGES * PAGE_BODY_SIZE_BYTES;

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
    write_parts(file, first, codec, bytes.chunks(RUN_BYTES).map(Ok))
}

/// As [`write`], of a string in parts.
///
/// # Errors
/// Those of the parts too.
pub(crate) fn write_parts<B: AsRef<[u8]>>(
    file: &DiskFile,
    first: &PagePlace,
    codec: &dyn PageCodec,
    parts: impl IntoIterator<Item = Result<B>>,
) -> Result<Written> {
    let mut written = Written { len: 0, digest: 0 };
    let mut run = Vec::new();
    for part in parts {
        let part = part?;
        let mut part = part.as_ref();
        while run.len() + part.len() > RUN_BYTES {
            let (head, rest) = part.split_at(RUN_BYTES - run.len());
            run.extend_from_slice(head);
            append(file, first, codec, &run, &mut written)?;
            run.clear();
            part = rest;
        }
        run.extend_from_slice(part);
    }
    // Also an empty string has a page.
    append(file, first, codec, &run, &mut written)?;
    file.sync_data()?;
    Ok(written)
}

/// Writes a run of pages behind those before.
fn append(
    file: &DiskFile,
    first: &PagePlace,
    codec: &dyn PageCodec,
    run: &[u8],
    written: &mut Written,
) -> Result<()> {
    let page = len_u32(index(written.len / PAGE_SIZE_BYTES as u64));
    let place = PagePlace { index: first.index + page, ..*first };
    let pages = page::seal_stream(&place, codec, run)?;
    file.write_all_at(&pages, written.len)?;
    written.digest = page::digest_append(written.digest, &pages);
    written.len += pages.len() as u64;
    Ok(())
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
    let mut bytes = Vec::new();
    let flow = read_runs(file, first, codec, listed, |run| {
        bytes.extend_from_slice(run);
        ControlFlow::Continue(())
    })?;
    debug_assert!(flow.is_continue(), "nobody breaks it off");
    Ok(bytes)
}

/// As [`read`], run by run; `see` says whether to go on. The digest is held against the manifest behind
/// the last run.
///
/// # Errors
/// Those of [`read`].
pub(crate) fn read_runs(
    file: &DiskFile,
    first: &PagePlace,
    codec: &dyn PageCodec,
    listed: Written,
    mut see: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    check_len(file, listed)?;
    let (mut at, mut digest) = (0, 0);
    let mut run = vec![0; RUN_PAGES * PAGE_SIZE_BYTES];
    while at < listed.len {
        let len = index((listed.len - at).min(run.len() as u64));
        let pages = &mut run[..len];
        file.read_exact_at(pages, at)?;
        digest = page::digest_append(digest, pages);
        let page = len_u32(index(at / PAGE_SIZE_BYTES as u64));
        let place = PagePlace { index: first.index + page, ..*first };
        let opened = page::open_stream(&place, codec, pages).map_err(|error| named(file, error))?;
        if see(&opened).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        at += len as u64;
    }
    if digest != listed.digest {
        let expected = listed.digest;
        let error = Error::corrupt(format!("digest {digest:#010x}, expected {expected:#010x}"));
        return Err(named(file, error));
    }
    Ok(ControlFlow::Continue(()))
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
