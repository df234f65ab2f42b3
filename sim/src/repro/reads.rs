//! How reads are written, read and made simpler.
//!
//! `get "id"`, `vector "id"`, `payload "id"`, `borrowed "id"`, `many { "id"; "id" }`, `len`, `rows
//! RANGE`, `payloads RANGE`, `borrowed-rows RANGE N`, `vectors`, `matching PREDICATE`, `matching-rows
//! PREDICATE`. A range is `from "id"` or `after
//! "id"`, `through "id"` or `until "id"`, `prefix "start"`, `limit N`, all of which may be left out.

use std::ops::Bound;
use std::sync::Arc;

use super::parts::{Part, ReadPart, Visit};
use super::words::{Text, Words, Wrong};
use crate::history::Source;
use crate::reads::Read;
use crate::row_range::RowRange;
use crate::stream::Stream;

impl Part for Source {
    fn write(&self, text: &mut Text) {
        match self {
            Self::Store => text.word("store"),
            Self::Snapshot(number) => text.word(&format!("snapshot {number}")),
        }
    }

    fn ways(&self) -> usize {
        match self {
            Self::Store => 0,
            Self::Snapshot(number) => 1 + number.ways(),
        }
    }

    fn simplify(&mut self, way: usize) {
        match self {
            Self::Snapshot(number) if way > 0 => number.simplify(way - 1),
            _ => *self = Self::Store,
        }
    }
}

impl ReadPart for Source {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        if words.took("store") {
            return Ok(Self::Store);
        }
        if words.took("snapshot") {
            return Ok(Self::Snapshot(ReadPart::read(words)?));
        }
        Err(words.wrong("store or snapshot"))
    }

    fn sample(stream: &mut Stream) -> Self {
        if stream.chance(1, 3) { Self::Store } else { Self::Snapshot(stream.below(9)) }
    }
}

/// A bound in a number of steps, if there is one.
impl Part for Option<u64> {
    fn write(&self, text: &mut Text) {
        match self {
            Some(number) => number.write(text),
            None => text.word("to-the-end"),
        }
    }

    fn ways(&self) -> usize {
        self.map_or(0, |number| 1 + number.ways())
    }

    fn simplify(&mut self, way: usize) {
        match self {
            Some(number) if way > 0 => number.simplify(way - 1),
            _ => *self = None,
        }
    }
}

impl ReadPart for Option<u64> {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        if words.took("to-the-end") {
            return Ok(None);
        }
        words.number("a number or to-the-end").map(Some)
    }

    fn sample(stream: &mut Stream) -> Self {
        stream.chance(1, 2).then(|| stream.below(9))
    }
}

impl Part for RowRange {
    fn write(&self, text: &mut Text) {
        let mut bound = |word: &str, id: &Arc<str>| {
            text.word(word);
            id.write(text);
        };
        match &self.start {
            Bound::Included(id) => bound("from", id),
            Bound::Excluded(id) => bound("after", id),
            Bound::Unbounded => {}
        }
        match &self.end {
            Bound::Included(id) => bound("through", id),
            Bound::Excluded(id) => bound("until", id),
            Bound::Unbounded => {}
        }
        if !self.prefix.is_empty() {
            bound("prefix", &self.prefix);
        }
        if let Some(limit) = self.limit {
            text.word(&format!("limit {limit}"));
        }
    }

    fn ways(&self) -> usize {
        simpler_ranges(self).len()
    }

    fn simplify(&mut self, way: usize) {
        *self = simpler_ranges(self).swap_remove(way);
    }

    fn visit(&mut self, visit: &mut dyn Visit) {
        for bound in [&mut self.start, &mut self.end] {
            if let Bound::Included(id) | Bound::Excluded(id) = bound {
                visit.id(id);
            }
        }
    }
}

impl ReadPart for RowRange {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        let mut range = Self::default();
        loop {
            if words.took("from") {
                range.start = Bound::Included(ReadPart::read(words)?);
            } else if words.took("after") {
                range.start = Bound::Excluded(ReadPart::read(words)?);
            } else if words.took("through") {
                range.end = Bound::Included(ReadPart::read(words)?);
            } else if words.took("until") {
                range.end = Bound::Excluded(ReadPart::read(words)?);
            } else if words.took("prefix") {
                range.prefix = ReadPart::read(words)?;
            } else if words.took("limit") {
                range.limit = Some(words.number("a number of rows")?);
            } else {
                return Ok(range);
            }
        }
    }

    fn sample(stream: &mut Stream) -> Self {
        let mut bound = || match stream.below(3) {
            0 => Bound::Included(ReadPart::sample(stream)),
            1 => Bound::Excluded(ReadPart::sample(stream)),
            _ => Bound::Unbounded,
        };
        let (start, end) = (bound(), bound());
        let prefix = *stream.pick(&["", "k", "\u{1f980}"]);
        Self { start, end, prefix: prefix.into(), limit: ReadPart::sample(stream) }
    }
}

/// The range with one condition less, in every way.
fn simpler_ranges(range: &RowRange) -> Vec<RowRange> {
    let all = [
        RowRange { start: Bound::Unbounded, ..range.clone() },
        RowRange { end: Bound::Unbounded, ..range.clone() },
        RowRange { prefix: "".into(), ..range.clone() },
        RowRange { limit: None, ..range.clone() },
    ];
    all.into_iter().filter(|simpler| simpler != range).collect()
}

impl Read {
    /// Its word, and what else it says.
    fn parts(&mut self) -> (&'static str, Vec<&mut dyn Part>) {
        match self {
            Self::Get(id) => ("get", vec![id]),
            Self::Vector(id) => ("vector", vec![id]),
            Self::Payload(id) => ("payload", vec![id]),
            Self::Borrowed(id) => ("borrowed", vec![id]),
            Self::Many(ids) => ("many", vec![ids]),
            Self::Len => ("len", vec![]),
            Self::Rows(range) => ("rows", vec![range]),
            Self::Payloads(range) => ("payloads", vec![range]),
            Self::BorrowedRows(range, rows) => ("borrowed-rows", vec![range, rows]),
            Self::Vectors => ("vectors", vec![]),
            Self::Matching(predicate) => ("matching", vec![predicate]),
            Self::MatchingRows(predicate) => ("matching-rows", vec![predicate]),
        }
    }
}

impl Part for Read {
    fn write(&self, text: &mut Text) {
        let mut own = self.clone();
        let (word, parts) = own.parts();
        text.word(word);
        parts.iter().for_each(|part| part.write(text));
    }

    fn ways(&self) -> usize {
        self.clone().parts().1.iter().map(|part| part.ways()).sum()
    }

    fn simplify(&mut self, mut way: usize) {
        for part in self.parts().1 {
            if way < part.ways() {
                return part.simplify(way);
            }
            way -= part.ways();
        }
    }

    fn visit(&mut self, visit: &mut dyn Visit) {
        self.parts().1.into_iter().for_each(|part| part.visit(visit));
    }
}

impl ReadPart for Read {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        let wrong = words.wrong("a read, such as get");
        Ok(match words.word("a read")?.as_str() {
            "get" => Self::Get(ReadPart::read(words)?),
            "vector" => Self::Vector(ReadPart::read(words)?),
            "payload" => Self::Payload(ReadPart::read(words)?),
            "borrowed" => Self::Borrowed(ReadPart::read(words)?),
            "many" => Self::Many(ReadPart::read(words)?),
            "len" => Self::Len,
            "rows" => Self::Rows(ReadPart::read(words)?),
            "payloads" => Self::Payloads(ReadPart::read(words)?),
            "borrowed-rows" => Self::BorrowedRows(ReadPart::read(words)?, ReadPart::read(words)?),
            "vectors" => Self::Vectors,
            "matching" => Self::Matching(ReadPart::read(words)?),
            "matching-rows" => Self::MatchingRows(ReadPart::read(words)?),
            _ => return Err(wrong),
        })
    }

    fn sample(stream: &mut Stream) -> Self {
        match stream.below(12) {
            0 => Self::Get(ReadPart::sample(stream)),
            1 => Self::Vector(ReadPart::sample(stream)),
            2 => Self::Payload(ReadPart::sample(stream)),
            3 => Self::Borrowed(ReadPart::sample(stream)),
            4 => Self::Many(ReadPart::sample(stream)),
            5 => Self::Len,
            6 => Self::Rows(ReadPart::sample(stream)),
            7 => Self::Payloads(ReadPart::sample(stream)),
            8 => Self::BorrowedRows(ReadPart::sample(stream), ReadPart::sample(stream)),
            9 => Self::Matching(ReadPart::sample(stream)),
            10 => Self::MatchingRows(ReadPart::sample(stream)),
            _ => Self::Vectors,
        }
    }
}
