//! The readers.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    Endless, Pipe, bits, fvecs_file, fvecs_rows, json_rows, npy_file, npy_rows, npy_with, refusal,
    vectors,
};
use crate::error::{ErrorKind, Result};
use crate::import::{ImportRow, JsonLinesReader, LINE_BYTES_MAX, NpyReader, VecsReader};

/// Each text has to be refused, with these words.
fn assert_refused<T>(read: impl Fn(&str) -> Result<T>, cases: &[(&str, &str)]) {
    for (given, expected) in cases {
        let message = refusal(read(given));
        assert!(message.contains(expected), "{given:?} gave: {message}");
    }
}

#[test]
fn vectors_of_four_bytes_and_of_one_are_read() -> Result<()> {
    let file = fvecs_file(&[vec![1.5, -0.0], vec![f32::MAX, f32::NAN]]);
    let rows = fvecs_rows(&file)?;
    assert_eq!((rows[0].id.as_ref(), rows[0].payload.len()), (None, 0));
    assert_eq!(bits(&vectors(rows)), bits(&[vec![1.5, -0.0], vec![f32::MAX, f32::NAN]]));
    let rows = VecsReader::bvecs(&b"\x03\0\0\0\x00\x7f\xff"[..]).collect::<Result<Vec<_>>>()?;
    assert_eq!(vectors(rows), [[0.0, 127.0, 255.0]]);
    assert_eq!(fvecs_rows(b"")?, []);
    Ok(())
}

#[test]
fn a_vector_that_is_cut_off_or_of_another_dimension_is_refused_by_its_place() {
    let whole = fvecs_file(&[vec![1.0, 2.0], vec![3.0, 4.0]]);
    for len in 1..whole.len() {
        let read = fvecs_rows(&whole[..len]);
        if len == 12 {
            assert_eq!(read.expect("ends between vectors").len(), 1);
            continue;
        }
        let place = if len < 12 { "vector 0 at byte 0: the" } else { "vector 1 at byte 12: the" };
        let message = refusal(read);
        assert!(message.starts_with(place) && message.contains("cut off"), "{len}: {message}");
    }
    let mixed = fvecs_file(&[vec![1.0], vec![3.0, 4.0]]);
    let message = refusal(fvecs_rows(&mixed));
    assert!(message.starts_with("vector 1 at byte 8: dimension 2, expected 1"), "{message}");
    for dim in [0, -1, 65_537, i32::MAX, i32::MIN] {
        let message = refusal(fvecs_rows(&[dim.to_le_bytes(), [0; 4]].concat()));
        let expected = format!("dimension {dim}, expected 1 to 65536");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn a_reader_ends_with_its_first_error() {
    let mut rows = VecsReader::fvecs(&[0; 64][..]);
    assert!(matches!(rows.next(), Some(Err(_))));
    assert!(rows.next().is_none());
    let mut rows = JsonLinesReader::new(&b"{}\n{\"vector\":[1]}\n"[..]);
    assert!(matches!(rows.next(), Some(Err(_))));
    assert!(rows.next().is_none());
    let file = npy_file(1, "|u1", "(2, 2)", &[1, 2, 3]);
    let mut rows = NpyReader::new(&file[..]).expect("the header is whole");
    assert!(matches!(rows.next(), Some(Ok(_))));
    assert!(matches!(rows.next(), Some(Err(_))));
    assert!(rows.next().is_none());
}

#[test]
fn a_read_that_fails_is_told_with_its_place() {
    let file = fvecs_file(&[vec![1.0, 2.0], vec![3.0, 4.0]]);
    let pulled = Pipe { bytes: &file[..14], step: 3, fails: true };
    let error = VecsReader::fvecs(pulled).last().expect("an item").expect_err("it was pulled");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.to_string(), "cannot read on behind byte 12: the cable was pulled");
}

#[test]
fn memory_is_bounded_by_what_was_read() {
    let claims = [&65_536_i32.to_le_bytes()[..], &[0; 8]].concat();
    let mut rows = VecsReader::fvecs(&claims[..]);
    refusal(rows.next().expect("an error"));
    assert!(rows.capacity() < 1_024, "{} bytes for a file of 12", rows.capacity());
    let mut rows = JsonLinesReader::new(Endless(b' '));
    let message = refusal(rows.next().expect("an error"));
    assert!(message.starts_with("line 1: longer than 33554432 bytes"), "{message}");
    assert!(rows.capacity() <= 4 * LINE_BYTES_MAX, "{} bytes", rows.capacity());
    let endless = std::io::Read::chain(&b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..], Endless(b' '));
    let message = refusal(NpyReader::new(endless));
    assert!(message.contains("a header of 4294967295 bytes, expected at most 65536"), "{message}");
    let file = npy_file(1, "<f8", "(18446744073709551615, 65536)", &[0; 9]);
    let message = refusal(npy_rows(&file));
    assert!(message.contains("ends after 9 of the 524288 bytes of the row"), "{message}");
}

#[test]
fn arrays_of_every_type_and_version_are_read() -> Result<()> {
    let halves: Vec<u8> = [0x3e00_u16, 0xc000].iter().flat_map(|it| it.to_le_bytes()).collect();
    let doubles: Vec<u8> = [1.5_f64, 0.1].iter().flat_map(|it| it.to_le_bytes()).collect();
    let singles: Vec<u8> = [1.5_f32, 0.1].iter().flat_map(|it| it.to_le_bytes()).collect();
    for version in [1, 2, 3] {
        let read = |descr: &str, bytes: &[u8]| {
            npy_rows(&npy_file(version, descr, "(2, 1)", bytes)).map(vectors)
        };
        assert_eq!(read("<f2", &halves)?, [[1.5], [-2.0]]);
        assert_eq!(read("<f4", &singles)?, [[1.5], [0.1]]);
        assert_eq!(read("<f8", &doubles)?, [[1.5], [0.1]]);
        assert_eq!(read("|u1", &[0, 255])?, [[0.0], [255.0]]);
        assert_eq!(read("|i1", &[0x80, 0x7f])?, [[-128.0], [127.0]]);
    }
    assert_eq!(npy_rows(&npy_file(1, "<f4", "(0, 7)", b""))?, []);
    let other_order = "{\"shape\":(1,1,),\"descr\":\"|u1\",\"fortran_order\":False}";
    assert_eq!(vectors(npy_rows(&npy_with(1, other_order, &[9]))?), [[9.0]]);
    Ok(())
}

#[test]
fn a_double_beyond_single_precision_is_refused_and_infinity_kept() {
    let file = |x: f64| npy_file(1, "<f8", "(1, 1)", &x.to_le_bytes());
    let message = refusal(npy_rows(&file(1e39)));
    assert!(message.contains("element 0 is 1e39, expected at most"), "{message}");
    assert_eq!(npy_rows(&file(f64::INFINITY)).map(vectors).expect("kept"), [[f32::INFINITY]]);
}

#[test]
fn arrays_of_other_forms_are_refused_with_the_way_out() {
    let header = |text: &str| npy_rows(&npy_with(1, text, &[0; 64]));
    assert_refused(
        header,
        &[
            (
                "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }",
                "save numpy.ascontiguousarray",
            ),
            (
                "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 2), }",
                "elements of type \">f4\", expected one of <f4, <f2, <f8, |u1, |i1: save",
            ),
            (
                "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 2), }",
                "elements of type \"<i8\"",
            ),
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }",
                "elements of type \"|O\"",
            ),
            (
                "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,), }",
                "elements of several fields",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }",
                "an array of 1 axes, expected 2",
            ),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "an array of 0 axes"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }", "of 3 axes"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }", "rows of 0 elements"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 65537)}", "of 65537 elements"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 18446744073709551616)}",
                "expected a number below 2^64",
            ),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}", "expected a number"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2)}", "`True` or `False`"),
            ("{'descr': '<f4', 'shape': (2, 2)}", "no `fortran_order`"),
            ("{}", "no `descr`"),
            ("{'descr': '<f4', 'descr': '<f4'}", "`descr` twice"),
            ("{'descr': '<f4', 'color': 'red'}", "a key \"color\""),
            ("{'descr': '<f4'", "expected `}`"),
            ("{'descr': '<f4", "expected a type in quotes"),
            ("", "expected `{`"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)} x",
                "nothing behind the dictionary",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}",
                "bytes behind the last of 2 rows",
            ),
        ],
    );
    let whole = npy_file(1, "|u1", "(1, 2)", &[1, 2]);
    for len in 0..whole.len() {
        refusal(npy_rows(&whole[..len]));
    }
    let mut newer = whole.clone();
    newer[6] = 4;
    assert!(refusal(npy_rows(&newer)).contains("version 4.0 of the .npy format"));
    assert!(refusal(npy_rows(b"PK\x03\x04....")).contains("a .npz file is a zip"));
}

#[test]
fn lines_become_rows_with_ids_and_payloads() -> Result<()> {
    let text = "\u{feff}{\"vector\":[1],\"id\":\"a\\u0301\"}\r\n\r\n  \n\
        {\"id\":-7,\"vector\":[ 1e-3 , -2 ],\"payload\": {\"b\": [1, 2]} }\n\
        {\"z\":1,\"vector\":[0],\"a\":{\"id\":\"x\"},\"k\\n\":null}";
    let rows = json_rows(text)?;
    let row = |id: Option<&str>, vector: &[f32], payload: &str| ImportRow {
        id: id.map(str::to_owned),
        vector: vector.to_vec(),
        payload: payload.into(),
    };
    let expected = [
        row(Some("a\u{301}"), &[1.0], ""),
        row(Some("-7"), &[0.001, -2.0], "{\"b\": [1, 2]}"),
        row(None, &[0.0], "{\"z\":1,\"a\":{\"id\":\"x\"},\"k\\n\":null}"),
    ];
    assert_eq!(rows, expected);
    // The float next to what is written, which by way of a double is its neighbour.
    let halfway = "{\"vector\":[1.00000017881393432617187499]}";
    assert_eq!(json_rows(halfway)?[0].vector[0].to_bits(), 0x3f80_0001);
    Ok(())
}

#[test]
fn lines_of_other_forms_are_refused_by_line_and_place() {
    assert_refused(
        json_rows,
        &[
            ("\n\n{}", "line 3: no member `vector`"),
            ("[1,2]", "line 1: invalid type: sequence, expected an object with `vector`"),
            ("{\"vector\":[1]", "line 1: column 13: EOF"),
            ("{\"vector\":[NaN]}", "column 12: expected value (no JSON object; note that JSON has"),
            ("{\"vector\":[1]} {}", "column 16: trailing characters"),
            ("{\"vector\":[1],\"vector\":[1]}", "member `vector` twice, expected it once"),
            ("{\"vector\":[1],\"a\":1,\"\\u0061\":1}", "member `a` twice"),
            ("{\"vector\":[1],\"\\u001b[2J\":1,\"\\u001b[2J\":1}", "`\\u{1b}[2J` twice"),
            ("{\"vector\":[1],\"payload\":1,\"a\":1}", "`payload` and other members (`\"a\":1`)"),
            ("{\"vector\":{}}", "`vector` is `{}`, expected an array of numbers"),
            ("{\"vector\":[]}", "`vector` is empty"),
            ("{\"vector\":[1,[2,3]]}", "element 1 of `vector` is `[2`, expected a number"),
            ("{\"vector\":[\"1\"]}", "element 0 of `vector` is `\"1\"`, expected a number"),
            ("{\"vector\":[1,null]}", "element 1 of `vector` is `null`"),
            ("{\"vector\":[1e39]}", "element 0 of `vector` is `1e39`, expected at most"),
            ("{\"vector\":[1],\"id\":1.5}", "`id` is `1.5`, expected a string or a whole number"),
            ("{\"vector\":[1],\"id\":null}", "`id` is `null`"),
            ("{\"vector\":[1],\"id\":\"\\ud800\"}", "which is no text"),
        ],
    );
    let mut rows = JsonLinesReader::new(&b"{\"vector\":[1],\"a\":\"\xff\"}"[..]);
    let message = refusal(rows.next().expect("an error"));
    assert_eq!(message, "line 1: column 20: bytes that are no UTF-8: save the file as UTF-8");
    let deep = format!("{{\"vector\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refusal(json_rows(&deep)).contains("expected a number"));
}

/// Finite, for JSON knows no others.
fn finite() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |it| it.is_finite())
}

proptest! {
    #[test]
    fn what_was_written_as_fvecs_is_read(
        (dim, rows) in (1_usize..9, 0_usize..9),
        elements in vec(any::<u32>(), 81),
    ) {
        let vector = |row: usize| elements[row * dim..][..dim].iter().copied().map(f32::from_bits);
        let written: Vec<Vec<f32>> = (0..rows).map(|row| vector(row).collect()).collect();
        let read = vectors(fvecs_rows(&fvecs_file(&written)).expect("well-formed"));
        prop_assert_eq!(bits(&read), bits(&written));
    }

    #[test]
    fn what_was_written_as_npy_is_read(
        version in 1_u8..4,
        (dim, rows) in (1_usize..9, 0_usize..9),
        elements in vec(any::<u32>(), 81),
    ) {
        let vector = |row: usize| elements[row * dim..][..dim].iter().copied().map(f32::from_bits);
        let written: Vec<Vec<f32>> = (0..rows).map(|row| vector(row).collect()).collect();
        let bytes: Vec<u8> = written.iter().flatten().flat_map(|it| it.to_le_bytes()).collect();
        let file = npy_file(version, "<f4", &format!("({rows}, {dim})"), &bytes);
        let read = vectors(npy_rows(&file).expect("well-formed"));
        prop_assert_eq!(bits(&read), bits(&written));
    }

    #[test]
    fn what_was_written_as_json_is_read(
        rows in vec((any::<Option<String>>(), vec(finite(), 1..5), any::<String>()), 0..5),
    ) {
        let quoted = |text: &str| serde_json::to_string(text).expect("any text is JSON");
        let (mut text, mut written) = (String::new(), Vec::new());
        for (id, vector, title) in rows {
            let payload = format!("{{\"title\":{}}}", quoted(&title));
            let id_member = id.as_ref().map_or(String::new(), |id| format!("\"id\":{},", quoted(id)));
            text += &format!("{{{id_member}\"vector\":{vector:?},{}\n", &payload[1..]);
            written.push(ImportRow { id, vector, payload: payload.into() });
        }
        prop_assert_eq!(json_rows(&text).expect("well-formed"), written);
    }

    #[test]
    fn arbitrary_bytes_are_rows_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        drop(fvecs_rows(&bytes));
        drop(VecsReader::bvecs(&bytes[..]).collect::<Result<Vec<_>>>());
        drop(npy_rows(&bytes));
        drop(npy_rows(&[b"\x93NUMPY\x01\x00", &bytes[..]].concat()));
        drop(JsonLinesReader::new(&bytes[..]).collect::<Result<Vec<_>>>());
    }

    #[test]
    fn a_changed_byte_of_a_file_never_panics(at in any::<prop::sample::Index>(), byte: u8) {
        let change = |mut file: Vec<u8>| {
            let at = at.index(file.len());
            file[at] = byte;
            file
        };
        drop(fvecs_rows(&change(fvecs_file(&[vec![1.0, 2.0], vec![3.0, 4.0]]))));
        drop(npy_rows(&change(npy_file(2, "<f4", "(2, 1)", &[0; 8]))));
        let line = "{\"id\":\"\\u00e4\",\"vector\":[1.5,-2e3],\"a\":{\"b\":[null,true]}}\n";
        drop(JsonLinesReader::new(&change(line.into())[..]).collect::<Result<Vec<_>>>());
    }
}
