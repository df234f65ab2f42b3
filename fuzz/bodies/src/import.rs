//! Files of others: `.fvecs`, `.bvecs`, `.npy`, JSON lines.
//!
//! The input is taken for each of them.
//!
//! - J1. A reader ends: with the file or with one error, behind which nothing comes.
//! - J2. What was read whole gives the same file, or one that reads the same where a format has several
//!   forms.

use quiver_store::import::{ImportRow, JsonLinesReader, NpyReader, VecsReader};
use quiver_store::limits::DIMENSION_MAX;
use quiver_store::{Error, ErrorKind, Result};

/// See the module.
pub(crate) fn body(input: &[u8]) {
    if let Some(rows) = whole(VecsReader::fvecs(input), input) {
        let element = |it: &f32| it.to_le_bytes().to_vec();
        assert_eq!(vecs(&rows, element), input);
    }
    if let Some(rows) = whole(VecsReader::bvecs(input), input) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was a byte"
        )]
        let element = |it: &f32| vec![*it as u8];
        assert_eq!(vecs(&rows, element), input);
    }
    match NpyReader::new(input) {
        Err(error) => check(&error, "byte"),
        Ok(reader) => {
            let (rows, dim, element) = (reader.rows(), reader.dim(), reader.element());
            assert!((1..=DIMENSION_MAX).contains(&dim));
            if let Some(read) = whole(reader, input) {
                assert_eq!(read.len() as u64, rows);
                assert!(read.iter().all(|row| row.vector.len() == dim as usize));
                let bytes = read.len() * dim as usize * element.size_bytes();
                assert!(bytes < input.len(), "more elements than bytes");
            }
        }
    }
    if let Some(rows) = whole(JsonLinesReader::new(input), input) {
        let lines: Vec<u8> = rows.iter().flat_map(line).collect();
        let again: Vec<ImportRow> =
            JsonLinesReader::new(&lines[..]).collect::<Result<_>>().expect("it was read before");
        assert_eq!(words(&again), words(&rows));
    }
}

/// All rows, if there is no error among them (J1).
fn whole(
    mut reader: impl Iterator<Item = Result<ImportRow>>,
    input: &[u8],
) -> Option<Vec<ImportRow>> {
    let mut rows = Vec::new();
    while let Some(row) = reader.next() {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => {
                check(&error, "");
                assert!(reader.next().is_none(), "something behind {error:?}");
                return None;
            }
        }
        assert!(rows.len() <= input.len(), "more rows than bytes");
    }
    Some(rows)
}

fn check(error: &Error, place: &str) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
    let places = ["byte ", "line ", "row ", "vector ", "header", "column "];
    let says_where = places.iter().any(|place| text.contains(place));
    assert!(says_where || (!place.is_empty() && text.contains(place)), "{error:?} says not where");
    assert!(!text.chars().any(char::is_control), "{error:?} would drive a terminal");
}

fn vecs(rows: &[ImportRow], element: impl Fn(&f32) -> Vec<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    for row in rows {
        let dim = u32::try_from(row.vector.len()).expect("a dimension");
        file.extend_from_slice(&dim.to_le_bytes());
        file.extend(row.vector.iter().flat_map(&element));
    }
    file
}

/// A line that reads as this row: its payload, where it is no JSON of one line, has been an object.
fn line(row: &ImportRow) -> Vec<u8> {
    let mut line = b"{".to_vec();
    if let Some(id) = &row.id {
        line.extend_from_slice(b"\"id\":\"");
        for c in id.chars() {
            match c {
                '"' | '\\' => line.extend_from_slice(format!("\\{c}").as_bytes()),
                c if c.is_control() => {
                    line.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
                }
                c => line.extend_from_slice(c.to_string().as_bytes()),
            }
        }
        line.extend_from_slice(b"\",");
    }
    let vector: Vec<String> = row.vector.iter().map(|it| format!("{it:e}")).collect();
    line.extend_from_slice(format!("\"vector\":[{}]", vector.join(",")).as_bytes());
    if !row.payload.is_empty() {
        line.extend_from_slice(b",\"payload\":");
        line.extend_from_slice(&row.payload);
    }
    line.extend_from_slice(b"}\n");
    line
}

/// Rows in words that compare.
fn words(rows: &[ImportRow]) -> Vec<String> {
    rows.iter().map(|row| format!("{row:?}")).collect()
}

/// Seeds: a file of each format.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let fvecs = [1.5_f32, -0.0].iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>();
    let fvecs = [&2_i32.to_le_bytes()[..], &fvecs].concat();
    let bvecs = [&3_i32.to_le_bytes()[..], &[1, 2, 255]].concat();
    let npy = |descr: &str, elements: &[u8]| {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3), }}");
        header.push_str(&" ".repeat(63 - (header.len() + 10) % 64));
        header.push('\n');
        let len = u16::try_from(header.len()).expect("short").to_le_bytes();
        [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), elements].concat()
    };
    let lines = concat!(
        "{\"id\":\"a\",\"vector\":[1,2.5e-1],\"payload\":{\"k\":\"red\"}}\n",
        "{\"id\":7,\"vector\":[0,-1],\"title\":\"\\u00e9\",\"n\":[1,null]}\n",
        "\n{\"vector\":[3,4]}\r\n",
    );
    vec![
        ("two-by-two.fvecs".to_owned(), [&fvecs[..], &fvecs].concat()),
        ("two-by-three.bvecs".to_owned(), [&bvecs[..], &bvecs].concat()),
        ("bytes.npy".to_owned(), npy("|u1", &[1, 2, 3, 4, 5, 6])),
        ("floats.npy".to_owned(), npy("<f4", &[0x3f; 24])),
        ("doubles.npy".to_owned(), npy("<f8", &[0x3f; 48])),
        ("halves.npy".to_owned(), npy("<f2", &[0x3c; 12])),
        ("integers.npy".to_owned(), npy("<i8", &[1; 48])),
        ("rows.jsonl".to_owned(), lines.as_bytes().to_vec()),
    ]
}
