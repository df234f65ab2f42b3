//! No change of a file goes unnoticed, and no number in it, however it came there, is trusted.

use super::*;
use crate::ErrorKind;
use crate::limits::{EXTERNAL_ID_BYTES_MAX, PAGE_SIZE_BYTES};
use crate::page::{self, PAGE_HEADER_SIZE_BYTES, PageType, offsets};
use crate::segment::Rescued;
use crate::segment::layout::Column;

/// A segment of a few pages in which each column has something, and one has pages of its own.
fn sample() -> (Vec<String>, Built) {
    let mut rows = model(12, 8, 30);
    rows.insert("long".to_owned(), (vec![5; 8], vec![6; 40_000]));
    let built = build(&rows, 8);
    assert_eq!(built.bytes.len(), 4 * PAGE_SIZE_BYTES);
    (rows.into_keys().collect(), built)
}

#[test]
fn every_single_byte_change_is_refused() {
    let (ids, mut built) = sample();
    for at in 0..built.bytes.len() {
        let bit = 1 << (at % 8);
        built.bytes[at] ^= bit;
        let error = built.read_all(&ids).expect_err("one bit differs");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
        assert!(error.to_string().starts_with("/segment: "), "{error}");
        built.bytes[at] ^= bit;
    }
    assert_eq!(built.read_all(&ids).expect("as built").len(), 2 * ids.len());
}

#[test]
fn another_length_is_refused() {
    let (_, built) = sample();
    for len in [0, 1, PAGE_SIZE_BYTES, 2 * PAGE_SIZE_BYTES, built.bytes.len() - 1] {
        let mut bytes = built.bytes.clone();
        bytes.truncate(len);
        let mut entry = built.entry;
        for stated in [entry.len, len as u64] {
            entry.len = stated;
            let built = Built { bytes: bytes.clone(), entry, stride: built.stride };
            assert_eq!(built.open().expect_err("shorter").kind(), ErrorKind::Corrupt);
        }
    }
    let bytes = [built.bytes.as_slice(), &[0; PAGE_SIZE_BYTES]].concat();
    let longer = Built { bytes, ..built };
    assert_eq!(longer.open().expect_err("longer").kind(), ErrorKind::Corrupt);
}

#[test]
fn segment_of_another_entry_is_refused() {
    let (_, built) = sample();
    let refused = |change: &dyn Fn(&mut Built), what: &str| {
        let mut other = Built { bytes: built.bytes.clone(), ..built };
        change(&mut other);
        let error = other.open().expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(&|built| built.entry.rows += 1, "rows");
    refused(&|built| built.entry.footer += 1, "footer checksum");
    refused(&|built| built.entry.salt = Salt([9; 16]), "of another file");
    refused(&|built| built.stride.bytes += 4, "stride");
}

#[test]
fn page_of_an_older_segment_is_refused() {
    let (ids, mut built) = sample();
    let mut rows = model(12, 8, 30);
    rows.insert("long".to_owned(), (vec![5; 8], vec![7; 40_000]));
    let other = build(&rows, 8);
    built.bytes[..PAGE_SIZE_BYTES].copy_from_slice(&other.bytes[..PAGE_SIZE_BYTES]);
    let error = built.read_all(&ids).expect_err("a page of another segment");
    assert!(error.to_string().contains("footer is not that of these pages"), "{error}");
}

/// Two rows of one id would be counted as two, and an id that cannot be written would end the rescue.
#[test]
fn rescued_ids_ascend_and_are_within_their_limits_whatever_the_page_says() {
    let (ids, built) = sample();
    let (mut whole, mut cut) = (0, 0);
    for (at, xor) in (0..300).flat_map(|at| [1, 0x40, 0x7f, 0xff].map(|xor| (at, xor))) {
        let mut built = Built { bytes: built.bytes.clone(), ..built };
        craft(&mut built, 2, at, xor);
        let Ok(segment) = built.open() else { continue };
        let (mut rescued, mut lost) = (Vec::new(), 0);
        let seen = segment.rescue(&PageCache::new(0), |found| {
            match found {
                Rescued::Row(_, id, ..) | Rescued::Lost(_, id, _) => rescued.push(id.to_owned()),
                Rescued::LostRows(from, end, _) => lost += (end - from) as usize,
            }
            Ok(())
        });
        seen.expect("a loss is no error");
        assert_eq!(rescued.len() + lost, ids.len(), "byte {at} ^ {xor:#x}");
        assert!(rescued.is_sorted_by(|a, b| a < b), "byte {at} ^ {xor:#x}: {rescued:?}");
        assert!(rescued.iter().all(|id| (1..=EXTERNAL_ID_BYTES_MAX).contains(&id.len())));
        if lost == 0 { whole += 1 } else { cut += 1 }
    }
    assert!(whole > 100 && cut > 100, "{whole} whole, {cut} cut");
}

/// Changes a byte of a page's body and makes all checksums good again, up to the manifest's.
pub(super) fn craft(built: &mut Built, page: usize, at: usize, xor: u8) {
    let last = built.bytes.len() / PAGE_SIZE_BYTES - 1;
    built.bytes[page * PAGE_SIZE_BYTES + PAGE_HEADER_SIZE_BYTES + at] ^= xor;
    let types: Vec<PageType> = (0..=last)
        .map(|index| match index {
            _ if index == last => PageType::SegmentFooter,
            _ if index + 1 == last => PageType::SegmentTail,
            _ => PageType::SegmentColumn,
        })
        .collect();
    for (index, page_type) in types.into_iter().enumerate() {
        if index == last {
            let digest = page::digest(&built.bytes[..last * PAGE_SIZE_BYTES]);
            let field = last * PAGE_SIZE_BYTES + PAGE_HEADER_SIZE_BYTES + 12;
            built.bytes[field..field + 4].copy_from_slice(&digest.to_le_bytes());
        }
        let image = &mut built.bytes[index * PAGE_SIZE_BYTES..][..PAGE_SIZE_BYTES];
        let len = image[offsets::PAYLOAD_LEN..][..4].try_into().expect("four bytes");
        let place = IDENTITY.page(page_type, u32::try_from(index).expect("small"));
        let len = u32::from_le_bytes(len) as usize;
        built.entry.footer = page::seal(&place, &PlainCodec, image, len).expect("plain");
    }
}

#[test]
fn no_crafted_number_makes_a_reader_panic() {
    let (ids, built) = sample();
    let pages = built.bytes.len() / PAGE_SIZE_BYTES;
    let mut refused = 0;
    for page in pages - 2..pages {
        let image = &built.bytes[page * PAGE_SIZE_BYTES..];
        let len = image[offsets::PAYLOAD_LEN..][..4].try_into().expect("four bytes");
        for at in 0..u32::from_le_bytes(len) as usize {
            for xor in [1, 0x10, 0x80, 0xff] {
                let mut crafted = Built { bytes: built.bytes.clone(), ..built };
                craft(&mut crafted, page, at, xor);
                if let Err(error) = crafted.read_all(&ids) {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "only {refused} were refused");
}

#[test]
fn rows_that_do_not_follow_one_another_are_refused() {
    let (_, built) = sample();
    let segment = built.open().expect("as built");
    let [ids, directory] = [Column::Ids, Column::Directory].map(|column| {
        let (all, rest) = (segment.tail().rest(Column::Ids), segment.tail().rest(column));
        rest.as_ptr().addr() - all.as_ptr().addr()
    });
    let tail = built.bytes.len() / PAGE_SIZE_BYTES - 2;
    let walked = |at: usize, xor: u8, what: &str| {
        let mut crafted = Built { bytes: built.bytes.clone(), ..built };
        craft(&mut crafted, tail, at, xor);
        let segment = crafted.open().expect("the tail is in order");
        let mut cursor =
            segment.cursor(Bound::Unbounded, 0, Columns::default()).expect("nothing is read yet");
        let error = loop {
            match cursor.advance().and_then(|has_row| Ok((has_row, cursor.payload()?.len()))) {
                Ok((has_row, _)) => assert!(has_row, "{what}: all rows were shown"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains(what), "{error}");
    };
    // The first row of the first id page; its count of ids; the start of row 2's payload.
    walked(ids, 1, "first row 1, expected 0");
    walked(ids + 4, 1, "ids end at row 12, expected 13");
    walked(directory + 2 * 12, 1, "payload at 6, expected 7");
}

#[test]
fn an_intact_file_stays_so_when_it_is_crafted_anew() {
    let (ids, mut built) = sample();
    let footer = built.entry.footer;
    craft(&mut built, 0, 0, 0);
    assert_eq!(built.entry.footer, footer);
    assert_eq!(built.read_all(&ids).expect("nothing was changed").len(), 2 * ids.len());
}
