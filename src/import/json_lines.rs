//! Reader of JSON lines: one object a line.
//!
//! | member | value | meaning |
//! |---|---|---|
//! | `vector` | array of numbers | the elements, each the `f32` nearest to what is written; must be there |
//! | `id` | string, or a number without fraction and exponent | the id, a number as it is written; may be left out |
//! | `payload` | anything | the payload: its JSON text as it stands |
//! | others | anything | where there is no `payload`: they are it, an object, in their order |
//!
//! A `payload` and others in one object are refused, for one of them would be lost. So is a member
//! that comes twice. Where there is neither, the payload is empty. Lines end in `\n` or `\r\n`; blank
//! ones are skipped, and so is the byte order mark of UTF-8 at the start. Numbers of lines and columns
//! count from 1, columns in bytes.
//!
//! *Reference*: RFC 8259 (JSON); <https://jsonlines.org>.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;

use serde_core::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::import::ImportRow;
use crate::import::input::{Input, RowReader};

/// The longest line, in bytes without its end: room for the longest payload and vector.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads JSON lines: `id`, `vector`, and a payload, either of the member `payload` or of all others.
///
/// *Units and limits*: lines up to [`LINE_BYTES_MAX`], any number of them.
///
/// Its errors are `InvalidArgument`, with the line, for a file of another form and `Io` where reading
/// failed.
///
/// # Examples
/// ```
/// use quiver_store::import::JsonLinesReader;
/// let file = br#"{"id": "a", "vector": [0.5, 1], "lang": "en", "year": 1998}
/// {"vector": [2, 3], "payload": "any JSON"}
/// {"id": "c", "vector": [null]}
/// "#;
/// let mut rows = JsonLinesReader::new(&file[..]);
/// let first = rows.next().expect("three lines")?;
/// assert_eq!(first.id.as_deref(), Some("a"));
/// assert_eq!(first.payload, br#"{"lang":"en","year":1998}"#);
/// assert_eq!(rows.next().expect("three lines")?.payload, br#""any JSON""#);
/// let error = rows.next().expect("three lines").expect_err("null is no number");
/// assert!(error.to_string().starts_with("line 3: element 0 of `vector` is `null`"), "{error}");
/// # Ok::<(), quiver_store::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonLinesReader<R> {
    input: Input<R>,
    /// Lines so far.
    line: u64,
    has_ended: bool,
    bytes: Vec<u8>,
}

impl<R: Read> JsonLinesReader<R> {
    /// Of a file of any length.
    pub fn new(reader: R) -> Self {
        Self { input: Input::new(reader), line: 0, has_ended: false, bytes: Vec::new() }
    }

    /// Bytes that the row in memory has taken at most.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl<R: Read> RowReader for JsonLinesReader<R> {
    fn read_row(&mut self) -> Result<Option<ImportRow>> {
        loop {
            // Two for the end of the line, one to see that it is too long.
            self.input.take_line(LINE_BYTES_MAX + 3, &mut self.bytes)?;
            if self.bytes.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            let mut line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
            line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > LINE_BYTES_MAX {
                return Err(Error::invalid(format!(
                    "line {}: longer than {LINE_BYTES_MAX} bytes: put each object on a line of its \
                     own",
                    self.line
                )));
            }
            if self.line == 1 {
                line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
            }
            if !line.trim_ascii().is_empty() {
                let row = parse(line).map_err(|error| {
                    let kind = error.kind();
                    error.reported_as(kind, &format!("line {}", self.line))
                });
                return row.map(Some);
            }
        }
    }

    fn has_ended(&mut self) -> &mut bool {
        &mut self.has_ended
    }
}

impl<R: Read> Iterator for JsonLinesReader<R> {
    type Item = Result<ImportRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row_or_end()
    }
}

fn parse(line: &[u8]) -> Result<ImportRow> {
    let text = std::str::from_utf8(line).map_err(|error| {
        let column = error.valid_up_to() + 1;
        Error::invalid(format!("column {column}: bytes that are no UTF-8: save the file as UTF-8"))
    })?;
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(MembersVisitor).and_then(|members| {
        json.end()?;
        Ok(members)
    });
    let members = members.map_err(|error| syntax(&error))?;
    let Some(vector) = members.vector else {
        let what = "no member `vector`, expected an array of numbers in each object";
        return Err(Error::invalid(what));
    };
    let payload = match (members.payload, members.others) {
        (None, others) => others.map_or_else(Vec::new, |others| (others + "}").into_bytes()),
        (Some(payload), None) => payload.get().into(),
        (Some(_), Some(others)) => {
            return Err(Error::invalid(format!(
                "`payload` and other members ({}), expected either: move them into `payload`",
                shown(&others[1..])
            )));
        }
    };
    let id = members.id.map(id_of).transpose()?;
    Ok(ImportRow { id, vector: vector_of(vector)?, payload })
}

/// What the grammar objects to, without the line: to the parser, it is always the first one.
fn syntax(error: &serde_json::Error) -> Error {
    let (whole, column) = (error.to_string(), error.column());
    let end = format!(" at line {} column {column}", error.line());
    let what = whole.strip_suffix(&end).unwrap_or(&whole);
    let hint = match error.is_data() {
        true => "",
        false => " (no JSON object; note that JSON has no NaN and no Infinity)",
    };
    match column {
        0 => Error::invalid(format!("{what}{hint}")),
        _ => Error::invalid(format!("column {column}: {what}{hint}")),
    }
}

fn id_of(raw: &RawValue) -> Result<String> {
    let text = raw.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let hint = "expected a string or a whole number, or no `id` at all";
    if !text.starts_with('"') {
        return Err(Error::invalid(format!("`id` is {}, {hint}", shown(text))));
    }
    serde_json::from_str(text).map_err(|error| {
        let what = format!("`id` is {}, which is no text ({error}), {hint}", shown(text));
        Error::invalid(what)
    })
}

/// The elements of an array. The grammar holds already: whatever stands between commas and is part
/// of something else than a number follows on a piece that begins as no number does.
fn vector_of(raw: &RawValue) -> Result<Vec<f32>> {
    let text = raw.get();
    let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        let what = format!("`vector` is {}, expected an array of numbers", shown(text));
        return Err(Error::invalid(what));
    };
    if inside.trim().is_empty() {
        return Err(Error::invalid("`vector` is empty, expected at least one number"));
    }
    let element = |(i, piece): (usize, &str)| {
        let piece = piece.trim();
        let is_number = piece.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        match piece.parse::<f32>() {
            Ok(element) if is_number && element.is_finite() => Ok(element),
            Ok(_) if is_number => Err(Error::invalid(format!(
                "element {i} of `vector` is {}, expected at most {:e} either way: scale it down",
                shown(piece),
                f32::MAX
            ))),
            _ => Err(Error::invalid(format!(
                "element {i} of `vector` is {}, expected a number",
                shown(piece)
            ))),
        }
    };
    inside.split(',').enumerate().map(element).collect()
}

/// The beginning of a text, without what a terminal would obey.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(24).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    let mut shown = String::from("`");
    for c in start.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown + more + "`"
}

/// The members of an object, as they are written.
#[derive(Default)]
struct Members<'a> {
    id: Option<&'a RawValue>,
    vector: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    /// An object of all other members, without its closing brace.
    others: Option<String>,
}

struct MembersVisitor;

impl<'a> Visitor<'a> for MembersVisitor {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `vector`")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
        let mut members = Members::default();
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let value: &'a RawValue = map.next_value()?;
            match &*key {
                "id" => members.id = Some(value),
                "vector" => members.vector = Some(value),
                "payload" => members.payload = Some(value),
                _ => {
                    let others = members.others.get_or_insert_default();
                    others.push(if others.is_empty() { '{' } else { ',' });
                    others.push_str(&serde_json::to_string(&key).map_err(A::Error::custom)?);
                    others.push(':');
                    others.push_str(value.get());
                }
            }
            if let Some(twice) = keys.replace(key) {
                let what = format!("member {} twice, expected it once", shown(&twice));
                return Err(A::Error::custom(what));
            }
        }
        Ok(members)
    }
}
