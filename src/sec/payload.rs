//! The present values of all declared fields of one payload, in one pass.
//!
//! A field is present if its path, keys of objects only, leads to a value of the declared type, or to
//! an array of which at least one element has it. Anything else is absent.
//!
//! - P1. *Whether a field is present does not depend on which others are declared.* What makes a
//!   value unusable makes that value absent and nothing else: a string that is no text (half a
//!   surrogate pair in escapes), a number beyond all floats. What makes a payload no JSON makes all
//!   absent, wherever it stands: a breach of the grammar, bytes that are not UTF-8, anything behind
//!   the object.
//! - P2. *Of a key that an object has twice, the last counts,* whole: what the earlier one held is
//!   forgotten, that below it too.
//! - P3. *Elements stand directly in the array.* An array in an array is absent, and no path leads
//!   through one.
//! - P4. *Nesting costs a byte a level.* Only declared objects are gone into, by at most
//!   [`FIELD_PATH_DEPTH_MAX`](crate::limits::FIELD_PATH_DEPTH_MAX) keys; all else is skipped without
//!   recursion. The text of a declared object is read once for each key above it.
//! - P5. *Values take at most four bytes for each byte of the payload.* `-1,` is three bytes of payload,
//!   eight of term, and four that say where it ends; no other value takes more.
//!
//! A number without fraction and exponent that fits i64 or u64 is exact. Any other is the float next
//! to it, ties to even: an integer beyond u64 too, and one too small for a float is zero. Beyond all
//! floats, as `1e400`, it is absent. A keyword may be as long as a payload.

use std::fmt;

use serde_core::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};
use serde_json::value::RawValue;

use crate::error::Result;
use crate::sec::field::{FieldType, FilterableField};
use crate::sec::value::{NumberKey, bool_term};

/// The values of a payload: for each declared field, in the order of declaration, the terms that are
/// present, in the order of the payload. A term may come several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RowValues {
    fields: Vec<FieldTerms>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct FieldTerms {
    bytes: Vec<u8>,
    /// Where each term ends.
    ends: Vec<u32>,
}

impl FieldTerms {
    fn push(&mut self, term: &[u8]) {
        self.bytes.extend_from_slice(term);
        let end = u32::try_from(self.bytes.len());
        self.ends.push(end.expect("payloads are bounded by `limits`, far below 1 GiB (P5)"));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl RowValues {
    /// The terms that are present of a field; none if it is absent.
    pub(crate) fn terms(&self, field: usize) -> impl Iterator<Item = &[u8]> {
        let FieldTerms { bytes, ends } = &self.fields[field];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(|(start, &end)| &bytes[start as usize..end as usize])
    }
}

/// What to look for in payloads: the paths of all declared fields, as a tree of keys.
#[derive(Clone, Debug)]
pub(crate) struct Extractor {
    root: Node,
    fields: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// What each key leads to, by key.
    keys: Vec<(Box<str>, Node)>,
    /// The fields whose path ends here.
    here: Vec<(usize, FieldType)>,
    /// The fields whose path ends here or below.
    below: Vec<usize>,
}

impl Extractor {
    /// # Errors
    /// `InvalidArgument` for a path that is none.
    pub(crate) fn new(fields: &[FilterableField]) -> Result<Self> {
        let mut root = Node::default();
        for (index, field) in fields.iter().enumerate() {
            let mut node = &mut root;
            for key in field.keys()? {
                let found = node.keys.binary_search_by(|(own, _)| (**own).cmp(&*key));
                let at = found.unwrap_or_else(|at| {
                    node.keys.insert(at, (key.into(), Node::default()));
                    at
                });
                node = &mut node.keys[at].1;
                node.below.push(index);
            }
            node.here.push((index, field.field_type));
        }
        Ok(Self { root, fields: fields.len() })
    }

    /// The present values of a payload.
    #[cfg(test)]
    pub(crate) fn extract(&self, payload: &[u8]) -> RowValues {
        let mut values = RowValues::default();
        self.extract_into(payload, &mut values);
        values
    }

    /// The same in memory that was used before.
    pub(crate) fn extract_into(&self, payload: &[u8], values: &mut RowValues) {
        values.fields.resize_with(self.fields, FieldTerms::default);
        values.fields.iter_mut().for_each(FieldTerms::clear);
        // The parser passes over the text of what it skips: bytes that are not UTF-8 in an undeclared
        // string are found here or nowhere (P1).
        let is_object = std::str::from_utf8(payload)
            .is_ok_and(|text| self.root.read_object(text, &mut values.fields).is_ok());
        if !is_object {
            values.fields.iter_mut().for_each(FieldTerms::clear);
        }
    }
}

impl Node {
    fn get(&self, key: &[u8]) -> Option<&Self> {
        let found = self.keys.binary_search_by(|(own, _)| own.as_bytes().cmp(key));
        found.ok().map(|at| &self.keys[at].1)
    }

    /// Reads a text that is one object.
    fn read_object(&self, text: &str, values: &mut [FieldTerms]) -> serde_json::Result<()> {
        let mut parser = serde_json::Deserializer::from_str(text);
        parser.deserialize_map(ObjectVisitor { node: self, values })?;
        parser.end()
    }

    /// Takes a value that the path leads to; its text is known to be JSON.
    fn take(&self, text: &str, values: &mut [FieldTerms]) -> serde_json::Result<()> {
        self.below.iter().for_each(|&field| values[field].clear());
        match text.as_bytes().first() {
            Some(b'{') if !self.keys.is_empty() => self.read_object(text, values),
            Some(b'[') if !self.here.is_empty() => {
                let mut parser = serde_json::Deserializer::from_str(text);
                parser.deserialize_seq(ArrayVisitor { node: self, values })
            }
            _ => {
                self.take_scalar(text, values);
                Ok(())
            }
        }
    }

    /// Adds a value to the fields whose type it has.
    fn take_scalar(&self, text: &str, values: &mut [FieldTerms]) {
        let field_type = match text.as_bytes().first() {
            Some(b'"') => FieldType::Keyword,
            Some(b'-' | b'0'..=b'9') => FieldType::Numeric,
            Some(b't' | b'f') => FieldType::Bool,
            _ => return,
        };
        for (field, _) in self.here.iter().filter(|(_, declared)| *declared == field_type) {
            let terms = &mut values[*field];
            match field_type {
                FieldType::Keyword => push_keyword(text, terms),
                FieldType::Numeric => push_number(text, terms),
                FieldType::Bool => terms.push(bool_term(text == "true")),
            }
        }
    }
}

fn push_keyword(text: &str, terms: &mut FieldTerms) {
    let between_quotes = &text[1..text.len() - 1];
    if !between_quotes.contains('\\') {
        terms.push(between_quotes.as_bytes());
    } else if let Ok(keyword) = serde_json::from_str::<String>(text) {
        terms.push(keyword.as_bytes());
    }
}

fn push_number(text: &str, terms: &mut FieldTerms) {
    let key = if let Ok(value) = text.parse::<i64>() {
        Some(NumberKey::from(value))
    } else if let Ok(value) = text.parse::<u64>() {
        Some(NumberKey::from(value))
    } else {
        // The grammar of JSON numbers is within that of the standard library, which rounds exactly.
        let float = text.parse().ok().filter(|float: &f64| float.is_finite());
        float.and_then(NumberKey::of_float)
    };
    if let Some(key) = key {
        terms.push(key.term());
    }
}

struct ObjectVisitor<'a> {
    node: &'a Node,
    values: &'a mut [FieldTerms],
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(child) = map.next_key_seed(KeySeed(self.node))? {
            match child {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(child) => {
                    let text = map.next_value::<&RawValue>()?.get();
                    child.take(text, self.values).map_err(A::Error::custom)?;
                }
            }
        }
        Ok(())
    }
}

struct ArrayVisitor<'a> {
    node: &'a Node,
    values: &'a mut [FieldTerms],
}

impl<'de> Visitor<'de> for ArrayVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&RawValue>()? {
            self.node.take_scalar(element.get(), self.values);
        }
        Ok(())
    }
}

/// Tells where a key leads. Its text is held against the grammar before what it stands for is read as
/// bytes, which half a surrogate pair does not spoil (P1): bytes alone the parser takes with control
/// characters in them, which the grammar has not.
struct KeySeed<'a>(&'a Node);

impl<'de, 'a> DeserializeSeed<'de> for KeySeed<'a> {
    type Value = Option<&'a Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if !text.contains('\\') {
            return Ok(self.0.get(&text.as_bytes()[1..text.len() - 1]));
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        parser.deserialize_bytes(self).map_err(D::Error::custom)
    }
}

impl<'a> Visitor<'_> for KeySeed<'a> {
    type Value = Option<&'a Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sec::value::SecValue;

    fn extractor(fields: &[FilterableField]) -> Extractor {
        Extractor::new(fields).expect("good paths")
    }

    /// The keywords, numbers and booleans at `a` and `b.c` of a payload.
    fn found(payload: &str) -> Vec<Vec<Vec<u8>>> {
        let at = |path: &str| {
            ["keyword", "numeric", "bool"].map(|kind| match kind {
                "keyword" => FilterableField::keyword(path),
                "numeric" => FilterableField::numeric(path),
                _ => FilterableField::boolean(path),
            })
        };
        let fields = [at("a"), at("b.c")].concat();
        let values = extractor(&fields).extract(payload.as_bytes());
        let of = |field| values.terms(field).map(<[u8]>::to_vec).collect();
        let together: Vec<Vec<Vec<u8>>> = (0..fields.len()).map(of).collect();
        // P1: each alone as all together.
        for (field, terms) in fields.iter().zip(&together) {
            let values = extractor(std::slice::from_ref(field)).extract(payload.as_bytes());
            assert!(values.terms(0).eq(terms), "{field:?} alone in {payload}");
        }
        together
    }

    fn number(value: SecValue) -> Vec<u8> {
        value.term(FieldType::Numeric).expect("a number").into_vec()
    }

    /// What stands at `a` as a keyword.
    fn keywords(payload: &str) -> Vec<Vec<u8>> {
        found(payload).swap_remove(0)
    }

    fn numbers(payload: &str) -> Vec<Vec<u8>> {
        found(payload).swap_remove(1)
    }

    #[test]
    fn values_of_the_declared_type_are_present_and_no_others() {
        let absent = vec![Vec::<Vec<u8>>::new(); 6];
        let only = |field: usize, terms: &[&[u8]]| {
            let mut expected = absent.clone();
            expected[field] = terms.iter().map(|term| term.to_vec()).collect();
            expected
        };
        assert_eq!(found(r#"{"a":"x"}"#), only(0, &[b"x"]));
        assert_eq!(found(r#" {"x":[{}],"a" : 1 } "#), only(1, &[&[0xbf, 0xf0]]));
        assert_eq!(found(r#"{"a":false,"b":true}"#), only(2, &[&[0]]));
        assert_eq!(
            found(r#"{"b":{"a":2,"c":["x","","x",1e400,null,{"c":"y"},["z"]]}}"#),
            only(3, &[b"x", b"", b"x"])
        );
        assert_eq!(
            found(r#"{"b":{"c":[1,true,-0.0]}}"#)[4..],
            [vec![number(SecValue::Integer(1)), number(SecValue::Integer(0))], vec![vec![1]],]
        );
        for none in [
            "{}",
            r#"{"a":null,"b":null}"#,
            r#"{"a":{"a":"x"},"b":[{"c":"x"}]}"#,
            r#"{"a":[]}"#,
            r#"{"a":[["x"]],"b.c":"x"}"#,
            r#"[{"a":"x"}]"#,
            r#""a""#,
            "1",
            "null",
            "",
        ] {
            assert_eq!(found(none), absent, "{none}");
        }
    }

    #[test]
    fn what_is_no_json_is_absent_as_a_whole() {
        for broken in [
            r#"{"a":"x""#,
            r#"{"a":"x"}}"#,
            r#"{"a":"x"} 1"#,
            r#"{"a":"x",}"#,
            r#"{"a":"x","b":tru}"#,
            r#"{"a":"x","b":01}"#,
            r#"{"a":"x",b:1}"#,
            r#"{"a":"x","b":{"c":[1,}}"#,
            r#"{"a":x}"#,
            "{\"a\":\"x\",\"y\":\"\u{1}\"}",
            r#"{"a":"x","y":"\q"}"#,
            r#"{"a":"x","b":.5}"#,
            "\u{feff}{\"a\":\"x\"}",
        ] {
            assert!(found(broken).iter().all(Vec::is_empty), "{broken}");
        }
        let extractor = extractor(&[FilterableField::keyword("a")]);
        for not_utf8 in [&b"{\"a\":\"x\",\"y\":\"\xff\"}"[..], b"{\"a\":\"\xc3\"}", b"\xff"] {
            assert_eq!(extractor.extract(not_utf8).terms(0).count(), 0);
        }
    }

    #[test]
    fn control_character_in_a_key_is_no_json_wherever_the_key_stands() {
        let none = vec![Vec::<Vec<u8>>::new(); 6];
        for payload in [
            "{\"a\":\"x\",\"\u{15}\":1}",
            "{\"\\u0061\":\"x\",\"\\u0015\u{15}\":1}",
            "{\"a\":\"x\",\"b\":{\"\u{15}\":1}}",
            "{\"a\":\"x\",\"z\":{\"\u{15}\":1}}",
        ] {
            assert_eq!(found(payload), none, "{payload:?}");
        }
        let escaped = found(r#"{"\u0061":"x","\u0015":1,"\ud800":2}"#);
        assert_eq!(escaped[0], [b"x"]);
    }

    #[test]
    fn unusable_value_is_absent_alone() {
        assert_eq!(keywords(r#"{"a":["\ud800","x"],"\udfff":1,"y":"\udc00"}"#), [b"x"]);
        assert_eq!(
            keywords(r#"{"a":["\ud83d\ude00","\u0061\n"]}"#),
            ["\u{1f600}".as_bytes(), b"a\n"]
        );
        assert_eq!(keywords(r#"{"\u0061":"x"}"#), [b"x"]);
        assert_eq!(numbers(r#"{"a":[1e400,-1e400,7],"b":1e999}"#), [number(SecValue::Integer(7))]);
        assert_eq!(numbers(r#"{"a":1e-400}"#), [number(SecValue::Integer(0))]);
    }

    #[test]
    fn integers_are_exact_and_others_are_the_nearest_float() {
        let read = |text: &str, value: SecValue| {
            assert_eq!(numbers(&format!(r#"{{"a":{text}}}"#)), [number(value)], "{text}");
        };
        read("9007199254740993", SecValue::Integer((1 << 53) + 1));
        read("9007199254740993.0", SecValue::Integer(1 << 53));
        read("18446744073709551615", SecValue::Unsigned(u64::MAX));
        read("18446744073709551616", SecValue::Numeric(2_f64.powi(64)));
        read("18446744073709551617", SecValue::Numeric(2_f64.powi(64)));
        read("-9223372036854775808", SecValue::Integer(i64::MIN));
        read("-9223372036854775809", SecValue::Numeric(-(2_f64.powi(63))));
        read("-0", SecValue::Unsigned(0));
        read("1E3", SecValue::Integer(1000));
        read("5e-324", SecValue::Numeric(5e-324));
        // A float that needs all its digits.
        read("179769313486231570000000000000000e276", SecValue::Numeric(f64::MAX));
        read(&format!("1{}", "0".repeat(300)), SecValue::Numeric(1e300));
    }

    #[test]
    fn last_of_a_key_that_comes_twice_counts_whole() {
        assert_eq!(keywords(r#"{"a":"x","a":"y"}"#), [b"y"]);
        assert_eq!(keywords(r#"{"a":["x","y"],"\u0061":null}"#), [b""; 0]);
        let nested = found(r#"{"b":{"c":"x"},"b":{"d":1}}"#);
        assert!(nested.iter().all(Vec::is_empty));
        assert!(found(r#"{"b":{"c":"x"},"b":5}"#).iter().all(Vec::is_empty));
        assert_eq!(found(r#"{"b":7,"b":{"c":"x","c":"y"}}"#)[3], [b"y"]);
    }

    #[test]
    fn hostile_nesting_is_skipped_without_recursion() {
        let deep = |open: &str, core: &str, close: &str| {
            format!("{}{core}{}", open.repeat(100_000), close.repeat(100_000))
        };
        for value in [deep("[", "", "]"), deep(r#"{"c":"#, "1", "}"), deep(r#"[{"a":"#, "1", "}]")]
        {
            assert_eq!(keywords(&format!(r#"{{"b":{value},"a":"x","y":{value}}}"#)), [b"x"]);
            assert!(found(&value).iter().all(Vec::is_empty));
            assert_eq!(numbers(&format!(r#"{{"a":[{value},1]}}"#)), [[0xbf, 0xf0]]);
        }
        for unclosed in ["[", "{\"b\":", "{\"a\":[", "{\"a\":{\"b\":"] {
            assert!(found(&unclosed.repeat(100_000)).iter().all(Vec::is_empty));
        }
    }

    #[test]
    fn paths_may_run_through_each_other() {
        let fields = [
            FilterableField::keyword("a"),
            FilterableField::keyword("a.b"),
            FilterableField::numeric(r"a\.b"),
            FilterableField::keyword(["k"; 16].join(".")),
        ];
        let extractor = extractor(&fields);
        let deep = format!("{}\"z\"{}", r#"{"k":"#.repeat(16), "}".repeat(16));
        let payload = format!(r#"{{"a.b":3,"a":{{"b":"x"}},{}"#, &deep[1..]);
        let values = extractor.extract(payload.as_bytes());
        let counts = [0, 1, 2, 3].map(|field| values.terms(field).count());
        assert_eq!(counts, [0, 1, 1, 1]);
        assert!(values.terms(3).eq([b"z"]));
    }
}
