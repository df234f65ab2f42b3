//! Indexes and rows give one answer, that of a plain evaluation of the predicate (I12).
//!
//! The evaluation here shares nothing with the engine: it runs on values as they were drawn, before
//! they are written as JSON, and compares numbers by their whole part and fraction.

use std::cell::Cell;
use std::cmp::Ordering;

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::field::{FieldType, FilterableField};
use super::index::{IndexBuilder, IndexWriter};
use super::payload::Extractor;
use super::predicate::SecPredicate;
use super::search::IndexReader;
use super::value::SecValue;
use crate::error::{ErrorKind, Result};

/// A number as it was drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Float(f64),
    Integer(i128),
}

impl Number {
    pub(super) fn exact_cmp(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b).expect("no NaN"),
            (Self::Float(_), Self::Integer(_)) => other.exact_cmp(self).reverse(),
            // Above or below all integers.
            (Self::Integer(_), Self::Float(b)) if b.abs() > 2_f64.powi(100) => {
                0.0_f64.partial_cmp(&b).expect("no NaN")
            }
            (Self::Integer(a), Self::Float(b)) => {
                let whole = b.trunc();
                let zero = 0.0_f64.partial_cmp(&(b - whole)).expect("no NaN");
                #[expect(clippy::cast_possible_truncation, reason = "at most 2^100, and whole")]
                let whole = whole as i128;
                a.cmp(&whole).then(zero)
            }
        }
    }
}

fn near_powers() -> impl Strategy<Value = i128> {
    (0..=64_u32, -3000..3000_i128, any::<bool>()).prop_map(|(power, offset, is_negative)| {
        let value = (1_i128 << power) + offset;
        let value = if is_negative { -value } else { value };
        value.clamp(i64::MIN.into(), u64::MAX.into())
    })
}

pub(super) fn number() -> impl Strategy<Value = Number> {
    let special = [
        0.0,
        -0.0,
        f64::MIN,
        f64::MAX,
        5e-324,
        -5e-324,
        f64::MIN_POSITIVE,
        0.1,
        -0.5,
        1e308,
        f64::INFINITY,
        f64::NEG_INFINITY,
        9_223_372_036_854_775_808.0,
        18_446_744_073_709_551_616.0,
        18_446_744_073_709_549_568.0,
    ];
    let bits = any::<u64>().prop_map(f64::from_bits).prop_filter("NaN", |it| !it.is_nan());
    prop_oneof![
        prop::sample::select(special.to_vec()).prop_map(Number::Float),
        bits.prop_map(Number::Float),
        near_powers().prop_map(|value| Number::Float(value as f64)),
        near_powers().prop_map(|value| Number::Float((value as f64).next_down())),
        near_powers().prop_map(Number::Integer),
        any::<i64>().prop_map(|value| Number::Integer(value.into())),
        any::<u64>().prop_map(|value| Number::Integer(value.into())),
        few_numbers(),
    ]
}

/// Numbers of which many are equal or next to each other.
fn few_numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-9..9_i128).prop_map(Number::Integer),
        (-18..18_i32).prop_map(|value| Number::Float(f64::from(value) / 2.0)),
        (-2..3_i128).prop_map(|offset| Number::Integer((1 << 53) + offset)),
        (-1..2_i32).prop_map(|offset| Number::Float(2_f64.powi(53) + 2.0 * f64::from(offset))),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab\u{e9}]{0,3}",
        "[\"\\\\/\n\u{0}\u{1f600}]{0,2}",
        // Beyond the longest fence, alike up to it or nearly.
        (125..132_usize, "[ab]{0,4}").prop_map(|(len, end)| "p".repeat(len) + &end),
    ]
}

#[derive(Clone, Debug)]
enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

fn json() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        1 => Just(Json::Null),
        2 => any::<bool>().prop_map(Json::Bool),
        4 => few_numbers().prop_map(Json::Number),
        2 => number().prop_map(Json::Number),
        4 => text().prop_map(Json::Text),
    ];
    scalar.prop_recursive(3, 20, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "x.y", "c", ""]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec((key, inner), 0..5).prop_map(Json::Object),
        ]
    })
}

fn fields() -> Vec<FilterableField> {
    vec![
        FilterableField::keyword("a"),
        FilterableField::numeric("b"),
        FilterableField::boolean("c"),
        FilterableField::numeric(r"a.x\.y"),
        FilterableField::keyword("a.b"),
    ]
}

/// The keys of each field, in the order above.
const KEYS: [&[&str]; 5] = [&["a"], &["b"], &["c"], &["a", "x.y"], &["a", "b"]];

fn payload() -> impl Strategy<Value = Json> {
    let member = |key: &'static str| json().prop_map(move |value| (key.to_owned(), value));
    let members = prop_oneof![
        3 => member("a"), 3 => member("b"), 2 => member("c"), 1 => member("x"),
    ];
    prop_oneof![
        1 => json(),
        9 => prop::collection::vec(members, 0..6).prop_map(Json::Object),
    ]
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..=' ' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            'a' => out.push_str("\\u0061"),
            '\u{1f600}' => out.push_str("\\ud83d\\ude00"),
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn write_json(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(&value.to_string()),
        Json::Number(Number::Integer(value)) => out.push_str(&value.to_string()),
        Json::Number(Number::Float(value)) if value.is_infinite() => out.push_str("1e400"),
        Json::Number(Number::Float(value)) => out.push_str(&format!("{value:e}")),
        Json::Text(text) => write_text(text, out),
        Json::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                out.push_str(if i > 0 { " ," } else { "" });
                write_json(element, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push_str("{ ");
            for (i, (key, member)) in members.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_text(key, out);
                out.push_str(": ");
                write_json(member, out);
            }
            out.push('}');
        }
    }
}

fn is_of(value: &Json, field_type: FieldType) -> bool {
    match value {
        Json::Text(_) => field_type == FieldType::Keyword,
        Json::Number(Number::Float(value)) => field_type == FieldType::Numeric && value.is_finite(),
        Json::Number(_) => field_type == FieldType::Numeric,
        Json::Bool(_) => field_type == FieldType::Bool,
        _ => false,
    }
}

/// The present values of a field, as the definition says.
fn present<'a>(payload: &'a Json, field: &str) -> Vec<&'a Json> {
    let number = fields().iter().position(|it| it.path == field).expect("a declared field");
    let mut value = payload;
    for key in KEYS[number] {
        let Json::Object(members) = value else { return Vec::new() };
        let last = members.iter().rev().find(|(own, _)| own == key);
        let Some((_, member)) = last else { return Vec::new() };
        value = member;
    }
    let values = match value {
        Json::Array(elements) => elements.iter().collect(),
        value => vec![value],
    };
    values.into_iter().filter(|it| is_of(it, fields()[number].field_type)).collect()
}

fn compare(value: &Json, other: &SecValue) -> Ordering {
    match (value, other) {
        (Json::Text(a), SecValue::Keyword(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Json::Bool(a), SecValue::Bool(b)) => a.cmp(b),
        (Json::Number(a), SecValue::Numeric(b)) => a.exact_cmp(Number::Float(*b)),
        (Json::Number(a), SecValue::Integer(b)) => a.exact_cmp(Number::Integer((*b).into())),
        (Json::Number(a), SecValue::Unsigned(b)) => a.exact_cmp(Number::Integer((*b).into())),
        _ => panic!("{value:?} with {other:?}"),
    }
}

fn holds(predicate: &SecPredicate, payload: &Json) -> bool {
    match predicate {
        SecPredicate::Eq { field, value } => {
            present(payload, field).iter().any(|it| compare(it, value).is_eq())
        }
        SecPredicate::In { field, values } => present(payload, field)
            .iter()
            .any(|it| values.iter().any(|value| compare(it, value).is_eq())),
        SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive } => {
            let above = |it: &Json| match lo.as_ref().map(|lo| compare(it, lo)) {
                None | Some(Ordering::Greater) => true,
                Some(Ordering::Equal) => *lo_inclusive,
                Some(Ordering::Less) => false,
            };
            let below = |it: &Json| match hi.as_ref().map(|hi| compare(it, hi)) {
                None | Some(Ordering::Less) => true,
                Some(Ordering::Equal) => *hi_inclusive,
                Some(Ordering::Greater) => false,
            };
            present(payload, field).iter().any(|it| above(it) && below(it))
        }
        SecPredicate::And(parts) => parts.iter().all(|part| holds(part, payload)),
        SecPredicate::Or(parts) => parts.iter().any(|part| holds(part, payload)),
        SecPredicate::Not(part) => !holds(part, payload),
        SecPredicate::Exists { field } => !present(payload, field).is_empty(),
    }
}

fn value_of(field_type: FieldType) -> BoxedStrategy<SecValue> {
    match field_type {
        FieldType::Keyword => text().prop_map(SecValue::Keyword).boxed(),
        FieldType::Bool => any::<bool>().prop_map(SecValue::Bool).boxed(),
        FieldType::Numeric => prop_oneof![2 => few_numbers().boxed(), 1 => number().boxed()]
            .prop_map(|number| match number {
                Number::Float(value) => SecValue::Numeric(value),
                Number::Integer(value) => match i64::try_from(value) {
                    Ok(value) => SecValue::Integer(value),
                    Err(_) => SecValue::Unsigned(u64::try_from(value).expect("drawn from u64")),
                },
            })
            .boxed(),
    }
}

fn leaf() -> impl Strategy<Value = SecPredicate> {
    prop::sample::select(fields()).prop_flat_map(|FilterableField { path, field_type }| {
        let value = || value_of(field_type);
        let (eq, within, exists, range) = (path.clone(), path.clone(), path.clone(), path);
        let bounds = (prop::option::of(value()), prop::option::of(value()), any::<[bool; 2]>());
        let range = bounds.prop_map(move |(lo, hi, [lo_inclusive, hi_inclusive])| {
            let field = range.clone();
            SecPredicate::Range { field, lo, hi, lo_inclusive, hi_inclusive }
        });
        let of_values = prop_oneof![
            value().prop_map(move |value| SecPredicate::Eq { field: eq.clone(), value }),
            prop::collection::vec(value(), 0..5)
                .prop_map(move |values| SecPredicate::In { field: within.clone(), values }),
            Just(SecPredicate::Exists { field: exists }),
        ];
        if field_type == FieldType::Bool {
            return of_values.boxed();
        }
        prop_oneof![1 => of_values, 1 => range].boxed()
    })
}

fn predicate() -> impl Strategy<Value = SecPredicate> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(SecPredicate::And),
            prop::collection::vec(inner.clone(), 0..4).prop_map(SecPredicate::Or),
            inner.prop_map(|part| SecPredicate::Not(Box::new(part))),
        ]
    })
}

/// One index for each field; nodes of so many bytes.
fn indexes(payloads: &[Json], node_size_bytes: usize) -> Vec<Vec<u8>> {
    let extractor = Extractor::new(&fields()).expect("good paths");
    let mut builders: Vec<_> = fields().iter().map(|it| IndexBuilder::new(it.field_type)).collect();
    for (payload, row) in payloads.iter().zip(0..) {
        let mut text = String::new();
        write_json(payload, &mut text);
        let values = extractor.extract(text.as_bytes());
        builders.iter_mut().enumerate().for_each(|(i, it)| it.push(row, &values, i));
    }
    let rows = u32::try_from(payloads.len()).expect("few");
    let finish = |(builder, field): (IndexBuilder, FilterableField)| {
        let writer = IndexWriter::with_node_size(field.field_type, node_size_bytes);
        builder.finish_with(writer, rows).expect("its own rows")
    };
    builders.into_iter().zip(fields()).map(finish).collect()
}

fn read_at(bytes: &[u8]) -> impl Fn(u64, usize) -> Result<Vec<u8>> {
    move |offset, len| {
        let start = usize::try_from(offset).expect("64 bits");
        Ok(bytes.get(start..start + len).expect("a reader stays within the index").to_vec())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn rows_and_indexes_answer_as_a_plain_evaluation_does(
        payloads in prop::collection::vec(payload(), 1..80),
        predicates in prop::collection::vec(predicate(), 30),
        node_size_bytes in prop::sample::select(vec![0, 40, 100, 400, 4096]),
    ) {
        let fields = fields();
        let extractor = Extractor::new(&fields).expect("good paths");
        let indexes = indexes(&payloads, node_size_bytes);
        let count = u32::try_from(payloads.len()).expect("few");
        let open = |(bytes, field): (&Vec<u8>, &FilterableField)| {
            IndexReader::open(&read_at(bytes), bytes.len() as u64, field.field_type, count)
        };
        let readers: Vec<_> =
            indexes.iter().zip(&fields).map(|it| open(it).expect("own bytes")).collect();
        for predicate in &predicates {
            let filter = predicate.resolve(&fields).expect("drawn to be good");
            let expected: RoaringBitmap =
                (0..count).filter(|row| holds(predicate, &payloads[*row as usize])).collect();
            let looked_into: RoaringBitmap = (0..count).filter(|row| {
                let mut text = String::new();
                write_json(&payloads[*row as usize], &mut text);
                filter.matches(&extractor.extract(text.as_bytes()))
            }).collect();
            prop_assert_eq!(&looked_into, &expected, "{:?}", predicate);
            let mut leaf = |field: usize, terms: &_| {
                readers[field].rows(&read_at(&indexes[field]), terms)
            };
            let found = filter.rows(count, &mut leaf).expect("own bytes");
            prop_assert_eq!(&found, &expected, "{:?}", predicate);
        }
    }
}

fn eq(field: &str, value: SecValue) -> SecPredicate {
    SecPredicate::Eq { field: field.into(), value }
}

fn range(field: &str, lo: SecValue, hi: SecValue) -> SecPredicate {
    let field = field.into();
    let (lo, hi) = (Some(lo), Some(hi));
    SecPredicate::Range { field, lo, hi, lo_inclusive: true, hi_inclusive: false }
}

#[test]
fn every_single_byte_change_gives_an_error_or_rows_that_there_are() {
    const ROWS: u32 = 300;
    // Terms of one row, of a list and of a set, on several levels, with fences that are cut.
    let text = |i: u32| match i % 5 {
        0 => "of many".to_owned(),
        1 => format!("of some {}", i % 20),
        2 => "p".repeat(130) + &format!("{:02}", i / 20),
        _ => format!("{i:03}"),
    };
    let payloads: Vec<Json> =
        (0..ROWS).map(|i| Json::Object(vec![("a".to_owned(), Json::Text(text(i)))])).collect();
    let bytes = indexes(&payloads, 200).swap_remove(0);
    let keyword = |text: &str| SecValue::Keyword(text.to_owned());
    let predicates = [
        eq("a", keyword("of many")),
        eq("a", keyword(&text(42))),
        range("a", keyword("1"), keyword("of some 2")),
        range("a", keyword(""), keyword("q")),
        SecPredicate::Exists { field: "a".to_owned() },
        SecPredicate::In {
            field: "a".to_owned(),
            values: (0..9).map(|i| keyword(&text(i * 7))).collect(),
        },
    ];
    let ask = |bytes: &[u8], predicate: &SecPredicate| -> Result<RoaringBitmap> {
        let read = read_at(bytes);
        let reader = IndexReader::open(&read, bytes.len() as u64, FieldType::Keyword, ROWS)?;
        let filter = predicate.resolve(&fields()).expect("a good one");
        filter.rows(ROWS, &mut |_, terms| reader.rows(&read, terms))
    };
    for predicate in &predicates {
        let expected = (0..ROWS).filter(|row| holds(predicate, &payloads[*row as usize]));
        assert!(ask(&bytes, predicate).expect("own bytes").iter().eq(expected));
    }
    let (mut changed, mut refused) = (bytes.clone(), 0);
    for at in 0..bytes.len() {
        for xor in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            changed[at] ^= xor;
            for predicate in &predicates {
                match ask(&changed, predicate) {
                    Ok(rows) => assert!(rows.max().is_none_or(|row| row < ROWS)),
                    Err(error) => {
                        let kind = error.kind();
                        assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported));
                        refused += 1;
                    }
                }
            }
            changed[at] ^= xor;
        }
    }
    assert!(refused > bytes.len(), "most changes are noticed: {refused} of {}", bytes.len());
    for len in 0..bytes.len() {
        assert!(ask(&bytes[..len], &predicates[0]).is_err(), "cut to {len} bytes");
    }
}

#[test]
fn row_beyond_the_segment_is_no_part_of_an_index() {
    let extractor = Extractor::new(&[FilterableField::boolean("x")]).expect("a good path");
    let values = extractor.extract(br#"{"x":[true,false,true]}"#);
    let built = |rows: u32| {
        let mut builder = IndexBuilder::new(FieldType::Bool);
        builder.push(7, &values, 0);
        builder.finish(rows)
    };
    let bytes = built(8).expect("its own row");
    let reader = IndexReader::open(&read_at(&bytes), bytes.len() as u64, FieldType::Bool, 8);
    assert_eq!(reader.expect("own bytes").terms(), 2);
    let error = built(7).expect_err("row 7");
    assert_eq!(error.to_string(), "secondary index: row 7 of 7");
    let refused = |field_type: FieldType, rows: u32| {
        let opened = IndexReader::open(&read_at(&bytes), bytes.len() as u64, field_type, rows);
        opened.expect_err("of another field or segment").to_string()
    };
    assert_eq!(refused(FieldType::Bool, 9), "secondary index: of 8 rows, expected 9");
    assert_eq!(refused(FieldType::Keyword, 8), "secondary index: field type 3, expected 1");
}

#[test]
fn stored_form_is_the_one_in_the_tables() {
    let mut writer = IndexWriter::new(FieldType::Bool);
    writer.push(&[0], &[3]);
    writer.push(&[1], &[0, 9]);
    let root: &[u8] = &[
        0, 2, 0, 0, 0, // level, entries
        0, 1, 0, 0x0d, // false: row 3
        0, 1, 1, 0x0a, 0, 9, // true: two bytes of list
    ];
    let present: &[u8] = &[
        0x3a, 0x30, 0, 0, 1, 0, 0, 0, // no runs, one container
        0, 0, 2, 0, 16, 0, 0, 0, // of the first rows, three of them, at byte 16
        0, 0, 3, 0, 9, 0,
    ];
    let footer: &[u8] = &[
        b'Q', b'V', b'S', b'X', 3, 1, 0, 0, // bool, one level
        10, 0, 0, 0, 22, 0, 0, 0, // rows, present length
        0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 0, 0, 0, 0, // root
        15, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, // present offset, terms
    ];
    assert_eq!(writer.finish(10), [root, present, footer].concat());

    let empty = IndexWriter::new(FieldType::Keyword).finish(5);
    let reader = IndexReader::open(&read_at(&empty), 48, FieldType::Keyword, 5).expect("own bytes");
    let exists = SecPredicate::Exists { field: "a".to_owned() };
    let filter = exists.resolve(&fields()).expect("a good one");
    let rows = filter.rows(5, &mut |_, terms| reader.rows(&read_at(&empty), terms));
    assert!(rows.expect("nothing is read").is_empty());
}

#[test]
fn a_place_that_is_pointed_to_twice_is_refused() {
    let leaf: &[u8] = &[0, 1, 0, 0, 0, 0, 1, b'a', 0x01];
    let present: &[u8] = &[0x3a, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0];
    // Fences "" and "b", no postings.
    let built = |[first, second]: [[u8; 2]; 2]| {
        let mut bytes = [leaf, leaf].concat();
        bytes.extend([1, 2, 0, 0, 0, 0, 0, first[0], first[1], 0]);
        bytes.extend([0, 1, b'b', second[0], second[1], 0]);
        bytes.extend(present);
        bytes.extend(b"QVSX\x01\x02\0\0\x01\0\0\0\x12\0\0\0");
        [18_u64, 16, 34, 2].iter().for_each(|field| bytes.extend(field.to_le_bytes()));
        bytes
    };
    let ask = |bytes: &[u8]| {
        let read = read_at(bytes);
        let reader = IndexReader::open(&read, bytes.len() as u64, FieldType::Keyword, 1)?;
        let least = SecValue::Keyword(String::new());
        let filter = range("a", least, SecValue::Keyword("z".to_owned())).resolve(&fields())?;
        filter.rows(1, &mut |_, terms| reader.rows(&read, terms))
    };
    assert_eq!(ask(&built([[0, 9], [9, 9]])).expect("in order").len(), 1);
    for places in [[[0, 9], [0, 9]], [[9, 9], [0, 9]], [[0, 9], [18, 16]], [[0, 9], [8, 9]]] {
        let error = ask(&built(places)).expect_err("K3");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn a_search_reads_what_its_answer_needs_and_no_more() {
    const ROWS: u32 = 200_000;
    let terms: Vec<Vec<u8>> = (0..ROWS)
        .map(|i| SecValue::Integer(i.into()).term(FieldType::Numeric).expect("a number").into_vec())
        .collect();
    let mut writer = IndexWriter::new(FieldType::Numeric);
    // Rows lie in another order than terms.
    let row = |i: u32| u32::try_from(u64::from(i) * 7919 % u64::from(ROWS)).expect("below");
    (0..ROWS).for_each(|i| writer.push(&terms[i as usize], &[row(i)]));
    let bytes = writer.finish(ROWS);
    let (reads, read_bytes) = (Cell::new(0), Cell::new(0));
    let read = |offset: u64, len: usize| {
        reads.set(reads.get() + 1);
        read_bytes.set(read_bytes.get() + len);
        read_at(&bytes)(offset, len)
    };
    let reader = IndexReader::open(&read, bytes.len() as u64, FieldType::Numeric, ROWS);
    let reader = reader.expect("own bytes");
    assert!(reads.get() == 2 && read_bytes.get() < 5000, "{} bytes to open", read_bytes.get());
    assert_eq!(reader.terms(), u64::from(ROWS));
    let ask = |predicate: SecPredicate, expected: std::ops::Range<u32>| {
        reads.set(0);
        read_bytes.set(0);
        let filter = predicate.resolve(&[FilterableField::numeric("n")]).expect("a good one");
        let rows = filter.rows(ROWS, &mut |_, terms| reader.rows(&read, terms)).expect("own bytes");
        let expected: RoaringBitmap = expected.map(row).collect();
        assert_eq!(rows, expected);
        (reads.get(), read_bytes.get())
    };
    let integer = |value: u32| SecValue::Integer(value.into());
    let (count, len) = ask(eq("n", integer(777)), 777..778);
    assert!(count <= 2 && len <= 9000, "{count} reads of {len} bytes for one row");
    let (_, len) = ask(range("n", integer(50_000), integer(52_000)), 50_000..52_000);
    assert!(len <= 6 * 4200, "{len} bytes for 2,000 rows");
    // All but two terms: whole subtrees by their bitmaps.
    let (_, len) = ask(range("n", integer(1), integer(ROWS - 1)), 1..ROWS - 1);
    assert!(len <= bytes.len() / 3, "{len} of {} bytes for a wide range", bytes.len());
    let (count, _) = ask(range("n", integer(5), integer(5)), 0..0);
    assert_eq!(count, 0, "an empty range");
}
