//! `docs/format.md` as a thing to hold bytes against: its tables, layouts and examples.
//!
//! A table follows a comment that names it. A *layout* has offsets and sizes; *fields* follow one
//! another, and a length may come from an earlier field.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// The text of the document.
pub(crate) struct Document {
    pub(crate) text: String,
}

/// The fields of one structure, cut out of some bytes.
pub(crate) struct Fields<'a> {
    /// Offset from the start of the structure, name and bytes, in order.
    pub(crate) all: Vec<(usize, String, &'a [u8])>,
}

/// Where the document stands.
pub(crate) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/format.md")
}

impl Document {
    pub(crate) fn read() -> Self {
        Self { text: std::fs::read_to_string(path()).expect("docs/format.md is there") }
    }

    /// The cells of the table behind a comment, without its head.
    pub(crate) fn rows(&self, comment: &str) -> Vec<Vec<String>> {
        let mark = format!("<!-- {comment} -->\n");
        let (_, behind) = self.text.split_once(&mark).unwrap_or_else(|| panic!("no {mark}"));
        let lines = behind.lines().take_while(|line| line.starts_with('|')).skip(2);
        let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
        let rows = lines.map(|line| line.trim_matches('|').split('|').map(cell).collect());
        let rows: Vec<Vec<String>> = rows.collect();
        assert!(!rows.is_empty(), "{comment} is empty");
        rows
    }

    /// A table of a name and a number, as a map.
    pub(crate) fn numbers(&self, table: &str) -> BTreeMap<String, u64> {
        let rows = self.rows(&format!("table: {table}"));
        let count = rows.len();
        let pair = |row: Vec<String>| (row[0].clone(), row[1].parse().expect("a number"));
        let numbers: BTreeMap<String, u64> = rows.into_iter().map(pair).collect();
        assert_eq!(numbers.len(), count, "{table} names something twice");
        numbers
    }

    /// The size of a layout, once its fields follow one another without a gap.
    pub(crate) fn layout_size(&self, layout: &str) -> usize {
        self.layout(layout).iter().fold(0, |end, (offset, size, field)| {
            assert_eq!(*offset, end, "{layout}: {field}");
            offset + size
        })
    }

    /// Cuts bytes up by a layout. Reserved ones must be zero.
    pub(crate) fn cut<'a>(&self, layout: &str, bytes: &'a [u8]) -> Fields<'a> {
        let cut = |(offset, size, field): (usize, usize, String)| {
            (offset, field, &bytes[offset..offset + size])
        };
        let fields = Fields { all: self.layout(layout).into_iter().map(cut).collect() };
        for (_, field, bytes) in &fields.all {
            let is_zero = bytes.iter().all(|byte| *byte == 0);
            assert!(!field.starts_with("reserved") || is_zero, "{layout}: {field} is not zero");
        }
        fields
    }

    /// Cuts the fields of a structure off the front of some bytes.
    pub(crate) fn take<'a>(&self, structure: &str, rest: &mut &'a [u8]) -> Fields<'a> {
        let mut fields = Fields { all: Vec::new() };
        let mut offset = 0;
        for row in self.rows(&format!("fields: {structure}")) {
            let (field, kind) = (&row[0], row[1].as_str());
            let size = match kind {
                "u8" => 1,
                "u16" => 2,
                "u32" => 4,
                "u64" => 8,
                _ => match (kind.strip_suffix(" bytes"), kind.strip_prefix("bytes of ")) {
                    (Some(count), _) => count.parse().expect("a number of bytes"),
                    (_, Some(len)) => usize::try_from(fields.number(len)).expect("a length"),
                    _ => panic!("{kind} is no type that the document defines"),
                },
            };
            let (bytes, behind) = rest.split_at(size);
            fields.all.push((offset, field.clone(), bytes));
            *rest = behind;
            offset += size;
        }
        fields
    }

    /// A structure takes all of some bytes.
    #[cfg(feature = "encryption")]
    pub(crate) fn assert_fills(&self, structure: &str, bytes: &[u8]) {
        let mut rest = bytes;
        self.take(structure, &mut rest);
        assert!(rest.is_empty(), "{structure} has more bytes than the document says");
    }

    /// The text between the fences of an example.
    pub(crate) fn example(&self, name: &str) -> &str {
        let (start, end) = self.example_place(name);
        &self.text[start..end]
    }

    /// Puts another text between the fences of an example.
    pub(crate) fn set_example(&mut self, name: &str, text: &str) {
        let (start, end) = self.example_place(name);
        self.text.replace_range(start..end, text);
    }

    fn example_place(&self, name: &str) -> (usize, usize) {
        let mark = format!("<!-- example: {name} -->\n```\n");
        let start = self.text.find(&mark).unwrap_or_else(|| panic!("no {mark}")) + mark.len();
        let len = self.text[start..].find("```\n<!-- end -->").expect("an example ends");
        (start, start + len)
    }

    fn layout(&self, layout: &str) -> Vec<(usize, usize, String)> {
        let number = |text: &String| text.parse().expect("a number of bytes");
        let rows = self.rows(&format!("layout: {layout}")).into_iter();
        rows.map(|row| (number(&row[0]), number(&row[1]), row[2].clone())).collect()
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&self, name: &str) -> &'a [u8] {
        let field = self.all.iter().find(|(_, field, _)| field == name);
        field.unwrap_or_else(|| panic!("no field {name}")).2
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        number(self.bytes(name))
    }

    pub(crate) fn text(&self, name: &str) -> &'a str {
        std::str::from_utf8(self.bytes(name)).expect("text is UTF-8")
    }

    /// One line for each field, as they stand at `base` of a file.
    pub(crate) fn dump(&self, base: usize) -> String {
        let mut out = String::new();
        for (offset, field, bytes) in &self.all {
            for (i, line) in bytes.chunks(16).enumerate() {
                let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
                let said = if i == 0 { said(field, bytes) } else { String::new() };
                let (at, hex) = (base + offset + 16 * i, hex.join(" "));
                let text = format!("{at:>5}  {hex:<47}  {said}");
                writeln!(out, "{}", text.trim_end()).expect("a string takes all");
            }
        }
        out
    }
}

/// A number of up to eight bytes.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    assert!(bytes.len() <= 8, "{} bytes are no number", bytes.len());
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn said(field: &str, bytes: &[u8]) -> String {
    match field {
        "magic" | "name" => format!("{field} = {}", String::from_utf8_lossy(bytes)),
        "checksum" | "header checksum" | "manifest digest" => {
            format!("{field} = {:#010x}", number(bytes))
        }
        _ if bytes.len() <= 8 && !field.starts_with("reserved") => {
            format!("{field} = {}", number(bytes))
        }
        _ => field.to_owned(),
    }
}
