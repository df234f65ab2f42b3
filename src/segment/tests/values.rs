//! What was pushed is found, and nothing else.

use super::*;
use crate::limits::PAGE_SIZE_BYTES;
use crate::page::PAGE_BODY_SIZE_BYTES;
use crate::segment::layout::{Column, EXTENT_PAGES};
use proptest::prelude::*;

fn check(rows: &Model, built: &Built) {
    let segment = built.open().expect("own bytes");
    assert_eq!(u64::from(segment.rows()), rows.len() as u64);
    assert_eq!(u64::from(segment.pages()), built.entry.len / PAGE_SIZE_BYTES as u64);
    for cache in [PageCache::new(0), PageCache::new(1 << 20)] {
        for ((id, value), number) in rows.iter().zip(0..) {
            assert_eq!(segment.find(&cache, id).expect("no fault"), Some(number), "{id}");
            assert_eq!(get(&segment, &cache, id).expect("no fault").as_ref(), Some(value), "{id}");
            let shorter = id.trim_end_matches(|last| id.ends_with(last)).to_owned();
            for other in [format!("{id}!"), format!("!{id}"), shorter] {
                let expected = rows.contains_key(&other);
                let found = segment.find(&cache, &other).expect("no fault");
                assert_eq!(found.is_some(), expected, "{other}");
            }
        }
    }
}

#[test]
fn rows_over_several_extents_are_found() {
    let rows = model(3000, 512, 700);
    let built = build(&rows, 512);
    let segment = built.open().expect("own bytes");
    let whole = segment.whole_pages(Column::Vectors);
    assert!(whole > 2 * EXTENT_PAGES as u64, "{whole} pages of vectors");
    check(&rows, &built);
}

#[test]
fn id_page_and_filter_pages_are_many() {
    let rows: Model = (0..30_000).map(|i| (format!("{i:09}x"), (vec![1; 4], vec![]))).collect();
    let built = build(&rows, 4);
    let segment = built.open().expect("own bytes");
    assert!(segment.whole_pages(Column::Ids) >= 3);
    assert!(segment.whole_pages(Column::Filter) >= 2);
    assert!(segment.whole_pages(Column::Payloads) == 0);
    let cache = PageCache::new(1 << 20);
    for (id, number) in rows.keys().zip(0..) {
        assert_eq!(segment.find(&cache, id).expect("no fault"), Some(number));
        assert_eq!(segment.find(&cache, &id[..8]).expect("no fault"), None);
    }
}

#[test]
fn segment_of_few_rows_is_two_pages() {
    for count in [0, 1, 10] {
        let rows = model(count, 16, 100);
        let built = build(&rows, 16);
        assert_eq!(built.bytes.len(), 2 * PAGE_SIZE_BYTES);
        let segment = built.open().expect("own bytes");
        assert!(segment.tail().size_bytes() < 100 + 200 * count as usize);
        check(&rows, &built);
    }
}

#[test]
fn tail_longer_than_the_first_read_is_read_whole() {
    // Each column leaves nearly a page.
    let row = |i| (format!("{i:012}"), (vec![7; 12], vec![9; 12]));
    let rows: Model = (0..1300_u32).map(row).collect();
    let built = build_for(&rows, 12, 12_500);
    let pages = built.open().expect("own bytes").footer().tail_pages();
    assert!(pages * PAGE_SIZE_BYTES as u64 >= 64 * 1024, "{pages} pages");
    check(&rows, &built);
}

#[test]
fn longest_values_straddle_pages_and_extents() {
    let stride = 4 * 65_536;
    let mut rows = model(3, stride, 0);
    rows.insert("z".repeat(1024), (vec![3; stride], vec![4; 40 * PAGE_BODY_SIZE_BYTES + 5]));
    check(&rows, &build(&rows, stride));
}

#[test]
fn builder_keeps_no_more_than_an_extent_of_a_column() {
    let mut builder =
        SegmentBuilder::start(new_file(), IDENTITY, plan(single(512), 0), Arc::new(PlainCodec));
    for (id, (vector, payload)) in &model(20_000, 512, 700) {
        builder.push(id, vector, payload).expect("a disk without faults");
        assert!(builder.buffered_bytes() <= 5 * EXTENT_PAGES * PAGE_SIZE_BYTES);
    }
    assert!(builder.finish().expect("a disk without faults").len > 15 << 20);
}

#[test]
#[should_panic(expected = "ascending")]
fn ids_out_of_order_are_our_bug() {
    let mut builder =
        SegmentBuilder::start(new_file(), IDENTITY, plan(single(0), 2), Arc::new(PlainCodec));
    builder.push("b", &[], &[]).expect("the first");
    drop(builder.push("b", &[], &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn segment_round_trips(
        rows in proptest::collection::btree_map(
            "[a-c\u{e8}\u{e9}]{1,8}|z{1000,1024}",
            proptest::collection::vec(any::<u8>(), 0..40),
            1..200,
        ),
        stride in prop_oneof![Just(4_usize), 0..5000_usize],
        longer in 1..200_usize,
    ) {
        let value = |payload: Vec<u8>| {
            let vector = payload.iter().chain([&7]).copied().cycle().take(stride).collect();
            (vector, payload.repeat(longer))
        };
        let rows = rows.into_iter().map(|(id, payload)| (id, value(payload))).collect();
        check(&rows, &build(&rows, stride));
    }
}

#[test]
fn rows_of_several_vectors_read_back() {
    let stride = Stride { bytes: 700, is_multi: true };
    let mut rows = model(900, 0, 90);
    for (i, (vector, _)) in rows.values_mut().enumerate() {
        let byte = i.to_le_bytes()[0];
        *vector = vec![byte; 700 * (1 + i * i % 7)];
    }
    let built = build_with(&rows, stride, 900);
    check(&rows, &built);
    let mut other = built;
    other.stride.is_multi = false;
    assert_eq!(other.open().expect_err("another schema").kind(), crate::ErrorKind::Corrupt);
}
