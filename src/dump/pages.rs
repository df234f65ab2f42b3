//! A file of pages: each page, and what they hold together.

use std::ops::ControlFlow;

use roaring::RoaringBitmap;
use serde_json::{Value, json};

use crate::change_set::ChangeSet;
use crate::codec::PlainCodec;
use crate::cursor::{index, len_u32};
use crate::dump::item::{DumpOptions, STREAM_BYTES_MAX, See, first_bytes, hex, place_of};
use crate::dump::{log, segment, tables};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::PAGE_SIZE_BYTES;
use crate::manifest::Manifest;
use crate::page::{self, PAGE_HEADER_SIZE_BYTES, PAGE_MAGIC, PageType, offsets};
use crate::parked;
use crate::segment::Tombstones;
use crate::vfs::DiskFile;
use crate::wal::codecs::{LogCodecs, LogFileIdentity};

/// The most runs of dead rows that are shown.
const RANGES_MAX: usize = 4096;

/// What a file of pages holds, by the type of its first page.
pub(super) enum Stream {
    Manifest(Vec<u8>),
    Segment,
    Tombstones(Vec<u8>),
    IndexSnapshot(Vec<u8>),
    Changes(Vec<u8>),
    Parked(Vec<u8>),
}

pub(super) fn starts_as_page(file: &DiskFile) -> Result<bool> {
    Ok(first_bytes(file, 4)? == PAGE_MAGIC)
}

/// Whether the first page is one of a segment.
pub(super) fn is_of_segment(file: &DiskFile) -> Result<bool> {
    let first = first_bytes(file, PAGE_SIZE_BYTES)?;
    let found = first.get(offsets::TYPE).and_then(|number| PageType::of(*number));
    let is_column = found.is_some_and(is_segment);
    Ok(is_column && first.starts_with(&PAGE_MAGIC))
}

pub(super) fn show(
    file: &DiskFile,
    options: DumpOptions,
    see: &mut See<'_>,
) -> Result<ControlFlow<()>> {
    let len = file.len_bytes()?;
    let size = PAGE_SIZE_BYTES as u64;
    if let Some(page) = options.page {
        let mut image = vec![0; PAGE_SIZE_BYTES];
        if u64::from(page) >= len / size {
            let what = format!("page {page} of {} pages", len / size);
            return Err(Error::invalid(what));
        }
        file.read_exact_at(&mut image, u64::from(page) * size)?;
        let mut item = item_of(&image, page);
        item["body"] = json!(hex(&image[PAGE_HEADER_SIZE_BYTES..]));
        return Ok(see(&item));
    }
    if options.pages {
        let mut image = vec![0; PAGE_SIZE_BYTES];
        for page in 0..len / size {
            file.read_exact_at(&mut image, page * size)?;
            if see(&item_of(&image, len_u32(index(page)))).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if !len.is_multiple_of(size) || len == 0 {
            let what = format!("{len} bytes long, which is no whole number of pages");
            if see(&json!({ "item": "file", "bytes": len, "error": what })).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    if !options.contents {
        return Ok(ControlFlow::Continue(()));
    }
    let shown = stream(file).and_then(|stream| contents(file, stream, see));
    match shown {
        Ok(flow) => Ok(flow),
        Err(error) if error.kind() == ErrorKind::Io => Err(error),
        Err(error) => Ok(see(&json!({ "item": "contents", "error": error.to_string() }))),
    }
}

fn item_of(image: &[u8], page: u32) -> Value {
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| image[at + i]));
    let own = place_of(image, PageType::Manifest, page);
    let number = image[offsets::TYPE];
    let mut item = json!({
        "item": "page",
        "page": page,
        "type": PageType::of(number).map_or(json!(number), |known| json!(format!("{known:?}"))),
        "codec": image[offsets::CODEC],
        "payload_bytes": word(offsets::PAYLOAD_LEN),
        "checksum": format!("{:#010x}", word(offsets::CHECKSUM)),
        "store_tag": hex(&own.store.0[..8]),
        "salt": hex(&own.salt.0),
    });
    if let Err(error) = page::verify_stored(own.store, own.salt, page, image) {
        item["error"] = json!(error.to_string());
    }
    item
}

fn is_segment(page_type: PageType) -> bool {
    use PageType::{SegmentColumn, SegmentFooter, SegmentTail};
    matches!(page_type, SegmentColumn | SegmentTail | SegmentFooter)
}

/// The byte string over the pages of a file; of a segment nothing, which is read otherwise.
pub(super) fn stream(file: &DiskFile) -> Result<Stream> {
    let len = file.len_bytes()?;
    let corrupt = |what: String| Err(Error::corrupt(what));
    if len == 0 || !len.is_multiple_of(PAGE_SIZE_BYTES as u64) {
        return corrupt(format!("{len} bytes long, which is no whole number of pages"));
    }
    let first = first_bytes(file, PAGE_SIZE_BYTES)?;
    let number = first[offsets::TYPE];
    let Some(page_type) = PageType::of(number) else {
        return corrupt(format!("page 0: type {number}, which there is not"));
    };
    if is_segment(page_type) {
        return Ok(Stream::Segment);
    }
    if len > STREAM_BYTES_MAX {
        return corrupt(format!("{len} bytes long, too long to be shown but page by page"));
    }
    let mut pages = vec![0; index(len)];
    file.read_exact_at(&mut pages, 0)?;
    let bytes = page::open_stream(&place_of(&first, page_type, 0), &PlainCodec, &mut pages)?;
    Ok(match page_type {
        PageType::Manifest => Stream::Manifest(bytes),
        PageType::Tombstones => Stream::Tombstones(bytes),
        PageType::IndexSnapshot => Stream::IndexSnapshot(bytes),
        PageType::Changes => Stream::Changes(bytes),
        _ => Stream::Parked(bytes),
    })
}

/// The first runs of a set, each as its first and last row.
fn ranges(rows: &RoaringBitmap) -> Vec<[u32; 2]> {
    let mut rows = rows.iter();
    let next = std::iter::from_fn(|| rows.next_range());
    next.take(RANGES_MAX).map(|range| [*range.start(), *range.end()]).collect()
}

fn contents(file: &DiskFile, stream: Stream, see: &mut See<'_>) -> Result<ControlFlow<()>> {
    Ok(match stream {
        Stream::Manifest(bytes) => tables::manifest(&Manifest::decode(&bytes)?, see),
        Stream::Segment => segment::show(file, see)?,
        Stream::Tombstones(bytes) => {
            let (segment, rows, dead) = Tombstones::parse_any(&bytes)?;
            see(&json!({
                "item": "tombstones",
                "segment_file_id": segment.0,
                "rows": rows,
                "dead_rows": dead.len(),
                "dead": ranges(&dead),
            }))
        }
        Stream::IndexSnapshot(bytes) => {
            see(&json!({ "item": "index snapshot", "bytes": bytes.len() }))
        }
        Stream::Changes(bytes) => {
            let changes = ChangeSet::decode(&bytes)?;
            changes.generations().try_for_each(|(through, ids)| {
                see(&json!({ "item": "changes", "through_lsn": through.0, "ids": ids }))
            })
        }
        Stream::Parked(bytes) => {
            // Whose they are and where they end stands in the manifest.
            let own = place_of(&first_bytes(file, PAGE_SIZE_BYTES)?, PageType::Parked, 0);
            let log = LogFileIdentity { store: own.store, salt: own.salt };
            let sections = parked::decode_any(&bytes, &mut LogCodecs::plain(log))?;
            sections.iter().try_for_each(|(first, found)| {
                let section = log::section(found);
                see(&json!({
                    "item": "parked records", "first_lsn": first.0, "records": section["records"],
                }))
            })
        }
    })
}
