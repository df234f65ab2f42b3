//! Whole log files, as a store replays them.
//!
//! The input is cut before each magic of a log file; each piece is a file. All but the last are closed by
//! the manifest, which says where each ends. Where byte 6 of the first is not zero the store is sealed by
//! a known key; it is reserved, and mended.
//!
//! - L1. Each input is tried as it is, with its checksums mended, and with its LSNs mended as well: the
//!   first asks what a reader believes, the others what the records do.
//! - L4. Where a reader is refused, a salvage shows what logs would that end where it does.

use std::sync::{Arc, OnceLock};

use quiver_store::codec::{PageCodec, PlainCodec};
use quiver_store::file_names::FileName;
use quiver_store::ids::{FileId, Lsn, Salt};
use quiver_store::limits::SECTOR_SIZE_BYTES;
use quiver_store::manifest::{LogEnd, LogEntry, Manifest};
use quiver_store::wal::frame::{FRAME_HEADER_SIZE_BYTES, FrameHeader, FrameKind, checksum};
use quiver_store::wal::header::{LOG_HEADER_SIZE_BYTES, LOG_MAGIC, LogHeader};
use quiver_store::{Result, Store};

use crate::answers::{self, Shown};
use crate::frames::HEADER_CHECKSUM_OFFSET;
use crate::replays;
use crate::template::{Known, Template, options};

/// More files the corpus has no use for.
const FILES_MAX: usize = 4;

/// Where the reserved bytes of a header begin.
const RESERVED_OFFSET: usize = 6;

/// What is mended (L1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mended {
    Nothing,
    Checksums,
    Lsns,
}

/// See the module.
pub(crate) fn body(input: &[u8]) {
    lines_shown(input);
}

/// How many lines the store shows at most.
fn lines_shown(input: &[u8]) -> usize {
    let is_sealed = input.get(RESERVED_OFFSET).is_some_and(|byte| *byte != 0);
    let template = if is_sealed { sealed() } else { plain() };
    let pieces = pieces(input);
    let (mut before, mut shown) = (None, 0);
    for mended in [Mended::Nothing, Mended::Checksums, Mended::Lsns] {
        let made = files(template, &pieces, mended);
        // What needs no mending is tried once.
        if before.as_ref() == Some(&made) {
            continue;
        }
        let (manifest, files) = &made;
        let others: Vec<_> = files.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).collect();
        let env = template.env(manifest, &others);
        let replayed = replays::same_each_time(&env, &["log-", "manifest"]);
        shown = shown.max(replayed.shown.len());
        if let Some((last, salvaged)) = replayed.salvaged {
            shows_what_is_before(template, &made, last, salvaged);
        }
        before = Some(made);
    }
    shown
}

/// L4.
fn shows_what_is_before(
    template: &Template,
    (manifest, files): &(Manifest, Vec<(String, Vec<u8>)>),
    last: Lsn,
    salvaged: Result<Shown>,
) {
    let (mut manifest, mut files) = (manifest.clone(), files.clone());
    manifest.logs.retain(|log| log.base <= last);
    files.truncate(manifest.logs.len());
    if let (Some(log), Some((_, bytes))) = (manifest.logs.last_mut(), files.last_mut()) {
        log.end = None;
        bytes.truncate(end_of(bytes, last));
    }
    let others: Vec<_> = files.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).collect();
    let cut = Store::open_read_only_with(template.env(&manifest, &others), options());
    // What an earlier frame states of a later one may be refused without that.
    let Ok(cut) = cut else { return };
    match (answers::show(&cut), salvaged) {
        (Ok(cut), Ok(salvaged)) => assert_eq!(salvaged, cut, "salvaged, and up to LSN {last}"),
        (Err(_), Err(_)) => {}
        (cut, salvaged) => panic!("{cut:?} up to LSN {last}, and salvaged {salvaged:?}"),
    }
}

/// Where the frame ends whose last record this is.
fn end_of(bytes: &[u8], last: Lsn) -> usize {
    let mut at = LOG_HEADER_SIZE_BYTES;
    while let Some(header) = bytes.get(at..).and_then(FrameHeader::plausible) {
        at += header.len;
        if header.kind == FrameKind::Batch && header.last() >= last {
            assert_eq!(header.last(), last, "a salvage ends within a batch");
            return at;
        }
        if header.ends_group {
            at = at.next_multiple_of(SECTOR_SIZE_BYTES);
        }
    }
    panic!("a salvage ends at LSN {last}, which is not there")
}

fn plain() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), |_| Ok(())))
}

fn sealed() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(Known), |_| Ok(())))
}

/// The input, cut before each magic.
fn pieces(input: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = input;
    while !rest.is_empty() && pieces.len() + 1 < FILES_MAX {
        let magic = LOG_MAGIC.len();
        let next = rest[magic.min(rest.len())..].windows(magic).position(|at| at == LOG_MAGIC);
        let (piece, behind) = rest.split_at(next.map_or(rest.len(), |at| at + magic));
        pieces.push(piece);
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// The files, and a manifest that names them.
pub(crate) fn files(
    template: &Template,
    pieces: &[&[u8]],
    mended: Mended,
) -> (Manifest, Vec<(String, Vec<u8>)>) {
    let mut manifest = template.manifest.clone();
    let mut base = manifest.sealed.next();
    let mut files = Vec::new();
    for (place, piece) in (1_u8..).zip(pieces) {
        let (file, salt) = (FileId(1000 + u64::from(place)), Salt([place; 16]));
        let mut bytes = piece.to_vec();
        bytes.resize(bytes.len().max(LOG_HEADER_SIZE_BYTES), 0);
        if mended > Mended::Nothing {
            let header = LogHeader { store: manifest.store, file, salt, base };
            bytes[..LOG_HEADER_SIZE_BYTES].copy_from_slice(&header.encode());
        }
        let end = walk(&mut bytes, salt, base, mended);
        let is_last = usize::from(place) == pieces.len();
        // A log without records has no end to state but that of the one before it, which is no log.
        let is_open = is_last || end.lsn < base;
        let durable = base.previous();
        let entry = LogEntry { file, salt, base, durable, end: (!is_open).then_some(end) };
        manifest.logs.push(entry);
        files.push((FileName::Log(file, salt.into()).text(), bytes));
        if is_open {
            break;
        }
        base = end.lsn.next();
    }
    manifest.next_file = FileId(2000);
    (manifest, files)
}

/// Follows the frames and mends them; where the last of their records is.
fn walk(bytes: &mut [u8], salt: Salt, base: Lsn, mended: Mended) -> LogEnd {
    let mut end = LogEnd { lsn: base.previous(), offset: LOG_HEADER_SIZE_BYTES as u64 };
    let mut at = LOG_HEADER_SIZE_BYTES;
    while let Some(frame) = bytes.get_mut(at..).filter(|it| it.len() >= FRAME_HEADER_SIZE_BYTES) {
        let next = end.lsn.next();
        let stated = u64::from_le_bytes(frame[16..24].try_into().expect("eight bytes"));
        if mended == Mended::Lsns {
            frame[8..16].copy_from_slice(&next.0.to_le_bytes());
            let durable = stated.min(next.previous().0);
            frame[16..24].copy_from_slice(&durable.to_le_bytes());
        }
        let Some(header) = FrameHeader::plausible(frame).filter(|it| it.len <= frame.len()) else {
            break;
        };
        let frame = &mut frame[..header.len];
        if mended > Mended::Nothing {
            mend(frame, salt, at as u64);
        }
        if header.first != next {
            break;
        }
        at += header.len;
        if header.kind == FrameKind::Batch {
            end = LogEnd { lsn: header.last(), offset: at as u64 };
        }
        if header.ends_group {
            at = at.next_multiple_of(SECTOR_SIZE_BYTES);
        }
    }
    end
}

/// Makes both checksums those of the frame in its place.
fn mend(frame: &mut [u8], salt: Salt, offset: u64) {
    let (header, own) = frame.split_at_mut(HEADER_CHECKSUM_OFFSET);
    own[..4].copy_from_slice(&checksum(header, salt, offset).to_le_bytes());
    let checksum = checksum(frame, salt, offset);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Log files of a store whose templates these are, as a store writes them: checksums and names mended.
pub(crate) fn as_seed(codec: Arc<dyn PageCodec>, pieces: &[&[u8]]) -> Vec<u8> {
    let is_sealed = codec.id() != PlainCodec::ID;
    let template = if is_sealed { sealed() } else { plain() };
    let (_, files) = files(template, pieces, Mended::Lsns);
    let mut joined = files.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<u8>>();
    joined[RESERVED_OFFSET] = u8::from(is_sealed);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    /// Otherwise what is mended around an input would be refused whatever the input is.
    #[test]
    fn every_seed_is_replayed() {
        for (name, seed) in seeds::of("log_replay") {
            // The collection, and most of its eight rows.
            let lines = lines_shown(&seed);
            assert!(lines >= 8, "{name} shows {lines} lines");
        }
    }
}
