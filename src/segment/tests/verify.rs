//! What a verification of the rows finds though every checksum holds.

use std::ops::ControlFlow;

use super::damage::craft;
use super::*;
use crate::ErrorKind;
use crate::limits::PAGE_SIZE_BYTES;
use crate::sec::FilterableField;
use crate::segment::layout::Column;
use crate::segment::{RunBytes, Seen};

/// 40 rows with a number and a word, of which each part of the index has some.
fn indexed(index_bytes_max: usize) -> Built {
    let row = |n: u32| {
        let payload = format!("{{\"n\":{},\"w\":\"w{}\"}}", n % 7, n % 3);
        (format!("id{n:03}"), (vec![1; 8], payload.into_bytes()))
    };
    let rows: Model = (0..40).map(row).collect();
    let fields = vec![FilterableField::numeric("n"), FilterableField::keyword("w")];
    build_as(&rows, SegmentPlan { stride: single(8), rows_max: 40, fields, index_bytes_max })
}

fn verify(built: &Built) -> Result<u64> {
    let segment = built.open()?;
    let page = PAGE_SIZE_BYTES as u64;
    let ended = segment.verify_pages(page, |_| ControlFlow::Continue(()))?;
    assert!(ended.is_continue());
    let (mut rows, run) = (0, RunBytes { file: page, column: 0 });
    let see = |seen: Seen| {
        rows += seen.rows;
        ControlFlow::Continue(())
    };
    let ended = segment.verify_contents(&PageCache::new(0), run, |_| Ok(()), see)?;
    assert!(ended.is_continue());
    Ok(rows)
}

#[test]
fn what_does_not_fit_the_rest_is_found_in_every_byte() {
    for index_bytes_max in [usize::MAX, 300] {
        let built = indexed(index_bytes_max);
        assert_eq!(verify(&built).expect("as built"), 40);
        let segment = built.open().expect("as built");
        let tail = built.bytes.len() / PAGE_SIZE_BYTES - 2;
        let place = |column| {
            let (all, rest) = (segment.tail().rest(Column::Ids), segment.tail().rest(column));
            (rest.as_ptr().addr() - all.as_ptr().addr(), rest.len())
        };
        for column in [Column::Ids, Column::Directory, Column::Indexes, Column::Filter] {
            let (start, len) = place(column);
            let mut found = 0;
            for at in start..start + len {
                let mut crafted = Built { bytes: built.bytes.clone(), ..built };
                craft(&mut crafted, tail, at, 1);
                match verify(&crafted) {
                    Err(error) => {
                        let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported];
                        assert!(kinds.contains(&error.kind()), "{error}");
                        found += 1;
                    }
                    // A filter may know more ids than there are.
                    Ok(_) => assert!(column == Column::Filter, "byte {at}: {column:?}"),
                }
            }
            assert!(found > 0, "{column:?}");
        }
    }
}

#[test]
fn a_payload_that_its_index_does_not_know_is_found() {
    let built = indexed(usize::MAX);
    let segment = built.open().expect("as built");
    let (all, payloads) = (segment.tail().rest(Column::Ids), segment.tail().rest(Column::Payloads));
    let start = payloads.as_ptr().addr() - all.as_ptr().addr();
    let tail = built.bytes.len() / PAGE_SIZE_BYTES - 2;
    let mut crafted = Built { bytes: built.bytes.clone(), ..built };
    // The number of the first row: 0 becomes 1.
    craft(&mut crafted, tail, start + 5, 1);
    let error = verify(&crafted).expect_err("it is 1 in the payload and 0 in the index");
    assert!(error.to_string().contains("is not that of the payloads"), "{error}");
}

/// Rows with the ids of two pages, without indexes, and with a tail of one page.
fn two_id_pages() -> Built {
    let is_wanted = |built: &Built| {
        let segment = built.open().expect("as built");
        (segment.footer().id_pages(), segment.footer().tail_pages()) == (2, 1)
    };
    let mut built = (1000..4000).step_by(100).map(|rows| build(&model(rows, 1, 2), 1));
    let built = built.find(is_wanted).expect("the rests of columns are of every length");
    verify(&built).expect("as built");
    built
}

#[test]
fn a_fence_that_leads_searches_astray_is_found() {
    let mut built = two_id_pages();
    let segment = built.open().expect("as built");
    assert_eq!(segment.footer().id_pages(), 2);
    let fence = segment.tail().fence(1);
    let (all, last) = (segment.tail().rest(Column::Ids), fence.len() - 1);
    let at = fence.as_ptr().addr() - all.as_ptr().addr() + last;
    let tail = built.bytes.len() / PAGE_SIZE_BYTES - 2;
    craft(&mut built, tail, at, 1);
    let error = verify(&built).expect_err("it is not between the pages");
    assert!(error.to_string().contains("its fence is not between"), "{error}");
}

#[test]
fn a_gap_between_payloads_is_found() {
    let mut built = two_id_pages();
    let segment = built.open().expect("as built");
    let (all, rest) = (segment.tail().rest(Column::Ids), segment.tail().rest(Column::Directory));
    let at = rest.as_ptr().addr() - all.as_ptr().addr();
    let tail = built.bytes.len() / PAGE_SIZE_BYTES - 2;
    // The length of a payload.
    craft(&mut built, tail, at + 8, 1);
    let error = verify(&built).expect_err("the next one does not start there");
    assert!(error.to_string().contains(": payload at "), "{error}");
}
