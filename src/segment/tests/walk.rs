//! Cursors show every row of their range once, in order; probes find what searches find.

use super::*;
use crate::segment::layout::Column;
use crate::segment::{SegmentCursor, SegmentProbe};
use proptest::prelude::*;

const ALL: Columns = Columns { vectors: true, payloads: true };

/// The rows behind a bound, with values for those whose number passes.
fn walk(
    segment: &Arc<Segment>,
    from: Bound<&str>,
    read_ahead_bytes: u64,
    wanted: impl Fn(u32) -> bool,
) -> Vec<(String, Option<Value>)> {
    let mut cursor = segment.cursor(from, read_ahead_bytes, ALL).expect("no fault");
    let mut rows = Vec::new();
    while cursor.advance().expect("no fault") {
        let value = wanted(cursor.row()).then(|| value(&mut cursor));
        rows.push((cursor.id().to_owned(), value));
    }
    assert!(!cursor.advance().expect("still at the end") && cursor.id().is_empty());
    rows
}

fn value(cursor: &mut SegmentCursor) -> Value {
    let payload = cursor.payload().expect("no fault").to_vec();
    let vector = cursor.vector().expect("no fault").to_vec();
    // Asking again changes nothing.
    assert_eq!(cursor.payload().expect("no fault"), payload);
    assert_eq!(cursor.vector().expect("no fault"), vector);
    (vector, payload)
}

fn check(rows: &Model, segment: &Arc<Segment>, from: Bound<&str>, ahead: u64, every: u32) {
    let wanted = |row: u32| row.is_multiple_of(every);
    let range = rows.range::<str, _>((from, Bound::Unbounded));
    let first = u32::try_from(rows.len() - range.clone().count()).expect("few");
    let row = |((id, value), number): ((&String, &Value), u32)| {
        (id.clone(), wanted(number).then(|| value.clone()))
    };
    let expected: Vec<_> = range.zip(first..).map(row).collect();
    assert!(walk(segment, from, ahead, wanted) == expected, "{from:?}, {ahead}, {every}");
}

fn found(probe: &mut SegmentProbe, id: &str) -> Option<u32> {
    probe.find(id).expect("no fault")
}

#[test]
fn cursor_over_many_extents_shows_all() {
    let rows = model(4000, 512, 900);
    let segment = build(&rows, 512).open().expect("own bytes");
    assert!(segment.whole_pages(Column::Ids) > 0 && segment.whole_pages(Column::Directory) > 1);
    for ahead in [0, 20_000, 64 << 10, 1 << 20] {
        for every in [1, 2, 31, 700, 10_000] {
            check(&rows, &segment, Bound::Unbounded, ahead, every);
        }
    }
    for id in rows.keys().step_by(37) {
        check(&rows, &segment, Bound::Included(id), 0, 1000);
        check(&rows, &segment, Bound::Excluded(id), 0, 1000);
        check(&rows, &segment, Bound::Included(&format!("{id}!")), 0, 1000);
    }
    check(&rows, &segment, Bound::Included("~"), 0, 1);
    check(&rows, &segment, Bound::Included(""), 0, 1);
}

#[test]
fn probe_finds_what_a_search_finds() {
    let rows: Model = (0..30_000).map(|i| (format!("{i:09}x"), (vec![1; 4], vec![]))).collect();
    let segment = build(&rows, 4).open().expect("own bytes");
    for step in [1, 2, 5000, 29_999] {
        let mut probe = segment.probe();
        for (id, number) in rows.keys().zip(0..).step_by(step) {
            assert_eq!(found(&mut probe, &id[..9]), None);
            assert_eq!(found(&mut probe, id), Some(number));
            assert_eq!(found(&mut probe, id), Some(number));
            assert_eq!(found(&mut probe, &format!("{id}y")), None);
        }
    }
    // Out of order it is slower, not wrong.
    let mut probe = segment.probe();
    for (id, number) in rows.keys().zip(0..30_000).rev().step_by(1000) {
        assert_eq!(found(&mut probe, id), Some(number));
    }
}

#[test]
fn segment_without_rows_has_nothing_to_walk() {
    let segment = build(&Model::new(), 8).open().expect("own bytes");
    assert!(walk(&segment, Bound::Unbounded, 0, |_| true).is_empty());
    assert!(walk(&segment, Bound::Included("a"), 0, |_| true).is_empty());
    assert_eq!(found(&mut segment.probe(), "a"), None);
}

#[test]
fn short_walk_reads_little() {
    let rows = model(20_000, 512, 0);
    let segment = build(&rows, 512).open().expect("own bytes");
    let mut cursor = segment.cursor(Bound::Included("8"), 1 << 18, ALL).expect("no fault");
    for _ in 0..10 {
        assert!(cursor.advance().expect("no fault"));
        cursor.vector().expect("no fault");
    }
    let read = cursor.buffered_bytes();
    assert!(read <= 3 * 16_384, "{read} bytes for ten rows");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn cursor_shows_the_rows_of_its_range(
        rows in proptest::collection::btree_map(
            "[a-c\u{e8}\u{e9}]{1,8}|z{1000,1024}",
            proptest::collection::vec(any::<u8>(), 0..40),
            1..200,
        ),
        stride in prop_oneof![Just(4_usize), 0..5000_usize],
        longer in 1..200_usize,
        from in "[a-c\u{e8}\u{e9}]{0,4}",
        ahead in 0..100_000_u64,
        every in 1..20_u32,
    ) {
        let value = |payload: Vec<u8>| {
            let vector = payload.iter().chain([&7]).copied().cycle().take(stride).collect();
            (vector, payload.repeat(longer))
        };
        let rows = rows.into_iter().map(|(id, payload)| (id, value(payload))).collect();
        let segment = build(&rows, stride).open().expect("own bytes");
        for from in [Bound::Unbounded, Bound::Included(&*from), Bound::Excluded(&*from)] {
            check(&rows, &segment, from, ahead, every);
        }
    }
}
