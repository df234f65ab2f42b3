//! Fields to filter by, payloads that hold them, and predicates on them.
//!
//! **Place.** Drawn from a stream of its own, so that all else of a seed is what it would be without.
//!
//! - N1. Half of the seeds have fields on some of their slots; a slot keeps its fields (H1).
//! - N2. Each field has a few values, all from one row of a catalogue, so that predicates hit, writes
//!   change what holds, and what is easily taken for one another meets.
//! - N3. Most payloads are JSON objects; a field may be missing, null, of another type, nested too
//!   deep, in an array, or there twice.
//! - N4. Some fields are late: payloads hold them and predicates ask for them from the first, but a
//!   collection is made without them and gets them afterwards, if at all.

use std::sync::Arc;

use quiver_store::limits::{FIELD_PATH_BYTES_MAX, FIELD_PATH_DEPTH_MAX};
use quiver_store::{FieldType, FilterableField};

use super::workload::Generator;
use super::{Action, Change, Member, Operation, Shape, Source};
use crate::predicate::{self, draw};
use crate::reads::Read;
use crate::stream::Stream;

/// The fields of all slots, and what is drawn for them.
pub(super) struct Filters {
    stream: Stream,
    /// Draws which fields are late, and when one comes: all else is what it would be without (N4).
    late: Stream,
    slots: Vec<Vec<Field>>,
}

/// A field and the values that it may have.
struct Field {
    declared: FilterableField,
    is_late: bool,
    keys: Vec<String>,
    /// Numbers and booleans as in JSON, keywords as they are.
    values: Vec<String>,
}

/// A JSON text in the making.
enum Json {
    Text(String),
    Object(Vec<(String, Json)>),
}

/// A payload that is to be short may be this long all the same.
const PLAIN_BYTES_MAX: usize = 400;

const PATHS: [&str; 12] = [
    "a",
    "b",
    "b.c",
    "b.c.d",
    "n",
    "o.n",
    r"x\.y",
    "x.y",
    r"x\.y.z",
    r"q\\",
    "ключ.\u{1f511}",
    " ",
];

/// Of encrypted histories: long enough to be looked for.
const LONG_PATHS: [&str; 3] = ["patient.diagnosis", "contract-number", "salary.currency.code"];

impl Filters {
    pub(super) fn draw(seed: u64, slots: usize, encrypted: bool) -> Self {
        let mut stream = Stream::at(seed, &[0x6669_6c74]);
        // Seeds take turns, and so do those of each shape.
        let has_fields = (seed ^ (seed >> 5)) & 1 == 1;
        let mut slots: Vec<Vec<Field>> = (0..slots)
            .map(|_| match has_fields && stream.chance(3, 4) {
                true => draw_fields(&mut stream, encrypted),
                false => Vec::new(),
            })
            .collect();
        let mut late = Stream::at(seed, &[0x6c61_7465]);
        if late.chance(3, 4) {
            for field in slots.iter_mut().flatten() {
                field.is_late = late.chance(1, 2);
            }
        }
        Self { stream, late, slots }
    }

    /// The same fields, with values drawn from another stream.
    pub(super) fn drawn_from(self, stream: Stream) -> Self {
        Self { stream, ..self }
    }

    /// What a slot's collection declares.
    pub(super) fn of(&self, slot: usize) -> impl Iterator<Item = FilterableField> {
        let early = self.slots[slot].iter().filter(|field| !field.is_late);
        early.map(|field| field.declared.clone())
    }

    /// A late field of a slot, most often, if it has any.
    pub(super) fn late_of(&mut self, slot: usize) -> Option<FilterableField> {
        let mut late = self.slots[slot].iter().filter(|field| field.is_late);
        let place = self.late.index(late.clone().count());
        let field = late.nth(place).filter(|_| self.late.chance(7, 8))?;
        Some(field.declared.clone())
    }

    /// A payload of a slot that has fields, of this length if it can be; `None` for any bytes.
    pub(super) fn payload(&mut self, slot: usize, len: usize) -> Option<Arc<[u8]>> {
        let (fields, stream) = (&self.slots[slot], &mut self.stream);
        if fields.is_empty() || stream.chance(1, 12) {
            return None;
        }
        let mut members = Vec::new();
        if stream.chance(1, 6) {
            let odd = *stream.pick(&["1e999", "\"\\ud83d\"", "[[[[1]]]]", "{\"a\":\"a\"}", "null"]);
            members.push(("z".to_owned(), Json::Text(odd.to_owned())));
        }
        for field in fields {
            if stream.chance(1, 16) {
                let earlier = field.any(stream);
                put(&mut members, &field.keys, earlier);
            }
            if stream.chance(7, 8) {
                let value = field.any(stream);
                put(&mut members, &field.keys, value);
            }
        }
        let mut text = String::new();
        write_object(&members, stream, &mut text);
        // Batches of many rows are to stay within the limit of the settings.
        if text.len() > len.max(PLAIN_BYTES_MAX) {
            return None;
        }
        match stream.below(48) {
            0 => text.truncate(text.len() - 1),
            1 => text = format!("[{text}]"),
            2 => text.push('}'),
            _ => {}
        }
        let missing = len.saturating_sub(text.len());
        let space = " ".repeat(missing);
        if stream.chance(1, 4) {
            text.insert_str(0, &space);
        } else {
            text.push_str(&space);
        }
        Some(text.into_bytes().into())
    }

    /// Asks of a slot, if it has fields.
    fn ask_of(&mut self, slot: usize, count: usize, asked: &mut Vec<Operation>) {
        for _ in 0..count {
            let source = match self.stream.chance(3, 5) {
                true => Source::Store,
                false => Source::Snapshot(self.stream.below(8)),
            };
            let Some(read) = self.read(slot) else { break };
            let action = Action::Read(source, slot, read);
            asked.push(Operation { action, faults: Vec::new() });
        }
    }

    /// Adds a late field of some slot, and asks for it (N4).
    fn add_late(&mut self, asked: &mut Vec<Operation>) {
        let has_late = |slot: &usize| self.slots[*slot].iter().any(|field| field.is_late);
        let slots: Vec<usize> = (0..self.slots.len()).filter(has_late).collect();
        let Some(&slot) = slots.get(self.late.index(slots.len())) else { return };
        let Some(field) = self.late_of(slot) else { return };
        let action = Action::Single(Member::AddField(slot, field));
        asked.push(Operation { action, faults: Vec::new() });
        self.ask_of(slot, 3, asked);
    }

    /// A read by a predicate on the fields of a slot, if it has any.
    pub(super) fn read(&mut self, slot: usize) -> Option<Read> {
        let (fields, stream) = (&self.slots[slot], &mut self.stream);
        if fields.is_empty() {
            return None;
        }
        let declared: Vec<_> = fields.iter().map(|field| field.declared.clone()).collect();
        let predicate = draw::predicate(&declared, stream, &mut |place, stream| {
            let Field { declared, values, .. } = &fields[place];
            let value = stream.pick(values);
            draw::near(declared.field_type, value, stream)
        });
        Some(match stream.chance(1, 2) {
            true => Read::Matching(predicate),
            false => Read::MatchingRows(predicate),
        })
    }
}

fn draw_fields(stream: &mut Stream, encrypted: bool) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let count = if stream.chance(1, 16) { PATHS.len() } else { stream.size(1, 4) };
    for _ in 0..count {
        let path = match stream.below(40) {
            0 => vec!["k"; FIELD_PATH_DEPTH_MAX].join("."),
            1 => "k".repeat(FIELD_PATH_BYTES_MAX),
            _ if encrypted && stream.chance(1, 2) => (*stream.pick(&LONG_PATHS)).to_owned(),
            _ => (*stream.pick(&PATHS)).to_owned(),
        };
        let declared = match stream.below(8) {
            0..4 => FilterableField::numeric(path),
            4..7 => FilterableField::keyword(path),
            _ => FilterableField::boolean(path),
        };
        if fields.iter().all(|field| field.declared.path != declared.path) {
            let keys = predicate::keys(&declared.path);
            let values = draw_values(declared.field_type, stream);
            fields.push(Field { declared, is_late: false, keys, values });
        }
    }
    // As they are declared, whatever order they were drawn in.
    fields.sort_by(|a, b| a.declared.path.cmp(&b.declared.path));
    fields
}

fn draw_values(field_type: FieldType, stream: &mut Stream) -> Vec<String> {
    let catalogue: &[&[&str]] = match field_type {
        FieldType::Bool => return vec!["true".to_owned(), "false".to_owned()],
        FieldType::Keyword if stream.chance(1, 12) => {
            // Longer than what an entry of an index may hold, and alike up to their ends.
            let len = *stream.pick(&[40, 300, 5000]);
            return ["", "a", "b"].iter().map(|end| "x".repeat(len) + end).collect();
        }
        FieldType::Keyword => &draw::KEYWORDS,
        _ if stream.chance(1, 8) => return (0..100).map(|number| number.to_string()).collect(),
        _ => &draw::NUMBERS,
    };
    let row = *stream.pick(catalogue);
    // Few, or all that there are.
    let count = if stream.chance(1, 4) { row.len() } else { stream.size(2, 3) };
    let first = stream.index(row.len());
    row.iter().cycle().skip(first).take(count).map(|value| (*value).to_owned()).collect()
}

impl Field {
    /// What stands at the field's place (N3).
    fn any(&self, stream: &mut Stream) -> String {
        match stream.below(16) {
            0 => self.wrong(stream),
            1..4 => {
                let count = stream.size(0, 4);
                let element = |stream: &mut Stream| match stream.chance(1, 6) {
                    true => self.wrong(stream),
                    false => self.right(stream),
                };
                let elements: Vec<String> = (0..count).map(|_| element(stream)).collect();
                format!("[{}]", elements.join(","))
            }
            _ => self.right(stream),
        }
    }

    fn right(&self, stream: &mut Stream) -> String {
        let value = stream.pick(&self.values).clone();
        match self.declared.field_type {
            FieldType::Keyword => quoted(&value, stream),
            _ => value,
        }
    }

    /// Of another type, or where it does not count.
    fn wrong(&self, stream: &mut Stream) -> String {
        let right = self.right(stream);
        match stream.below(9) {
            0 => "null".to_owned(),
            1 => "1".to_owned(),
            2 => "\"1\"".to_owned(),
            3 => "true".to_owned(),
            4 => "{}".to_owned(),
            5 => "[]".to_owned(),
            6 => "\"\\udc00\"".to_owned(),
            7 => format!("[{right}]"),
            _ => format!("{{\"x\":{right}}}"),
        }
    }
}

/// Puts a value at a path. What stands in its way is there twice then, as it is of a wrong type.
fn put(members: &mut Vec<(String, Json)>, keys: &[String], value: String) {
    let Some((key, rest)) = keys.split_first() else { return };
    if rest.is_empty() {
        return members.push((key.clone(), Json::Text(value)));
    }
    if let Some((_, Json::Object(below))) = members.iter_mut().rev().find(|(name, _)| name == key) {
        return put(below, rest, value);
    }
    let mut below = Vec::new();
    put(&mut below, rest, value);
    members.push((key.clone(), Json::Object(below)));
}

fn write_object(members: &[(String, Json)], stream: &mut Stream, out: &mut String) {
    out.push('{');
    for (place, (key, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(&quoted(key, stream));
        out.push(':');
        match value {
            Json::Text(text) => out.push_str(text),
            Json::Object(below) => write_object(below, stream, out),
        }
    }
    out.push('}');
}

/// A text in quotes, with more escapes than it needs now and then.
fn quoted(text: &str, stream: &mut Stream) -> String {
    let more = stream.chance(1, 12);
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if c < ' ' || (more && stream.chance(1, 2)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The slot of the last row that an operation writes.
fn written(action: &Action) -> Option<usize> {
    let slot = |changes: &[Change]| changes.last().map(|change| change.slot);
    match action {
        Action::Single(Member::Write(changes))
        | Action::Batch(changes)
        | Action::Write(changes) => slot(changes),
        Action::Group(members, _) => members.iter().rev().find_map(|member| match member {
            Member::Write(changes) => slot(changes),
            _ => None,
        }),
        _ => None,
    }
}

impl Generator {
    /// Asks by predicates between the operations, of the store and of what is held.
    pub(super) fn ask(&mut self, shape: Shape, operations: &mut Vec<Operation>) {
        let filters = &mut self.filters;
        if filters.slots.iter().all(Vec::is_empty) {
            return;
        }
        let mut asked = Vec::with_capacity(operations.len());
        for operation in operations.drain(..) {
            let written = written(&operation.action);
            asked.push(operation);
            let stream = &mut filters.stream;
            // What was written last is where an index is most easily behind.
            let of_written = written.filter(|_| stream.chance(7, 8));
            let slot = of_written.unwrap_or_else(|| stream.index(filters.slots.len()));
            let one_in = match (shape, written) {
                (Shape::Churn, _) => 24,
                (_, Some(_)) => 2,
                (_, None) => 5,
            };
            let count = if stream.chance(1, one_in) { stream.size(1, 4) } else { 0 };
            filters.ask_of(slot, count, &mut asked);
            let one_in = if shape == Shape::Churn { 64 } else { 8 };
            if filters.late.chance(1, one_in) {
                filters.add_late(&mut asked);
            }
        }
        *operations = asked;
    }
}
