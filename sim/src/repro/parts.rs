//! The parts that operations are made of: how each is written, read, and made simpler.
//!
//! **Place.** The table in [`super::actions`] says which parts an operation has; all else about an
//! operation follows from its parts. A new type of part is one `impl` here.

use std::ops::Range;
use std::sync::Arc;

use quiver_store::{Descriptor, DistanceMetric, Dtype, FieldType, FilterableField};

use super::words::{Text, Token, Words, Wrong};
use crate::history::{Bad, Change, CopiedKeys, Member};
use crate::stream::Stream;
use crate::system::Row;

/// A part of an operation.
pub trait Part {
    /// Adds it to the line.
    fn write(&self, text: &mut Text);

    /// In how many ways it can be made simpler.
    fn ways(&self) -> usize {
        0
    }

    /// Makes it simpler in one of the ways.
    fn simplify(&mut self, _way: usize) {}

    /// Shows what is in it.
    fn visit(&mut self, _visit: &mut dyn Visit) {}
}

/// A part that can be read.
pub trait ReadPart: Part + Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What was expected, and what is there.
    fn read(words: &mut Words) -> Result<Self, Wrong>;

    /// Some value, for the test that every operation round-trips.
    fn sample(stream: &mut Stream) -> Self;
}

/// Sees what operations are made of, and may change it.
pub trait Visit {
    /// A slot, by its place.
    fn slot(&mut self, _slot: &mut usize) {}

    /// The id of a row.
    fn id(&mut self, _id: &mut Arc<str>) {}

    /// A row of a slot.
    fn row(&mut self, _slot: usize, _row: &mut Row) {}

    /// The schema with which a slot's collection is created.
    fn schema(&mut self, _slot: usize, _schema: &mut Descriptor) {}
}

/// A slot: the only numbers of this type in an operation.
impl Part for usize {
    fn write(&self, text: &mut Text) {
        text.word(&format!("s{self}"));
    }

    fn visit(&mut self, visit: &mut dyn Visit) {
        visit.slot(self);
    }
}

impl ReadPart for usize {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        let slots = words.slots;
        let expected = match slots {
            0 => "a slot, but none is said".to_owned(),
            1 => "the slot s0".to_owned(),
            _ => format!("a slot, s0 to s{}", slots - 1),
        };
        words.one_of(&expected, |word| {
            word.strip_prefix('s')?.parse().ok().filter(|slot| *slot < slots)
        })
    }

    fn sample(stream: &mut Stream) -> Self {
        stream.index(3)
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Part for $number {
            fn write(&self, text: &mut Text) {
                text.word(&self.to_string());
            }

            fn ways(&self) -> usize {
                smaller(u64::from(*self)).len()
            }

            fn simplify(&mut self, way: usize) {
                let smaller = smaller(u64::from(*self))[way];
                *self = Self::try_from(smaller).expect("smaller than it was");
            }
        }

        impl ReadPart for $number {
            fn read(words: &mut Words) -> Result<Self, Wrong> {
                words.number("a number")
            }

            fn sample(stream: &mut Stream) -> Self {
                Self::try_from(stream.below(1000)).expect("below 1000")
            }
        }
    )+};
}

numbers!(u32, u64);

/// Smaller numbers worth trying, the smallest first.
fn smaller(number: u64) -> Vec<u64> {
    let mut all = vec![0, 1, number / 2, number.saturating_sub(1)];
    all.dedup();
    all.retain(|other| *other < number);
    all
}

/// The id of a row.
impl Part for Arc<str> {
    fn write(&self, text: &mut Text) {
        text.literal(self.as_bytes());
    }

    fn visit(&mut self, visit: &mut dyn Visit) {
        visit.id(self);
    }
}

impl ReadPart for Arc<str> {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        words.text("an id in quotes").map(Into::into)
    }

    fn sample(stream: &mut Stream) -> Self {
        let ids =
            ["k0", "", "ключ-1-\u{2699}", "\u{1f980}1\0\n", "a \"b\" {#;}", "07xxxxxxxxxxxxxxxx"];
        (*stream.pick(&ids)).into()
    }
}

impl Part for Bad {
    fn write(&self, text: &mut Text) {
        text.word(&dashed(&format!("{self:?}")));
    }
}

impl ReadPart for Bad {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        words.one_of("a wrong argument, such as empty-id", |word| {
            Self::ALL.into_iter().find(|bad| dashed(&format!("{bad:?}")) == word)
        })
    }

    fn sample(stream: &mut Stream) -> Self {
        *stream.pick(&Self::ALL)
    }
}

impl Part for CopiedKeys {
    fn write(&self, text: &mut Text) {
        text.word(&format!("keys-{}", dashed(&format!("{self:?}"))));
    }

    fn ways(&self) -> usize {
        usize::from(*self != Self::LeftOut)
    }

    fn simplify(&mut self, _way: usize) {
        *self = Self::LeftOut;
    }
}

impl ReadPart for CopiedKeys {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        words.one_of("keys-left-out, keys-included or keys-under", |word| {
            let word = word.strip_prefix("keys-")?;
            Self::ALL.into_iter().find(|keys| dashed(&format!("{keys:?}")) == word)
        })
    }

    fn sample(stream: &mut Stream) -> Self {
        *stream.pick(&Self::ALL)
    }
}

/// `EmptyId` as `empty-id`.
pub fn dashed(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// A schema: its metric, and what of the rest is not as usual.
struct Schema<'a>(&'a Descriptor);

const METRICS: [(DistanceMetric, &str); 3] =
    [(DistanceMetric::L2, "l2"), (DistanceMetric::Dot, "dot"), (DistanceMetric::Cosine, "cosine")];

impl Schema<'_> {
    fn write(&self, text: &mut Text) {
        let Descriptor { dim, metric, .. } = *self.0;
        let known = METRICS.iter().find(|(known, _)| *known == metric);
        match known.filter(|_| *self.0 == Descriptor::new(dim, Dtype::F32, metric)) {
            Some((_, word)) => {
                text.word(word);
                text.word("dim");
                text.word(&dim.to_string());
            }
            // The stored form says all that there may come to be.
            None => {
                text.word("stored");
                text.literal(&self.0.encode());
            }
        }
    }

    fn read(words: &mut Words) -> Result<Descriptor, Wrong> {
        if words.took("stored") {
            let wrong = words.wrong("a schema as it is stored");
            return Descriptor::decode(&words.bytes("a schema as it is stored")?)
                .map_err(|_| wrong);
        }
        let metric = words.one_of("l2, dot or cosine", |word| {
            METRICS.iter().find(|(_, known)| *known == word).map(|(metric, _)| *metric)
        })?;
        words.expect("dim")?;
        Ok(Descriptor::new(words.number("a dimension")?, Dtype::F32, metric))
    }
}

impl Part for Change {
    fn write(&self, text: &mut Text) {
        text.word(if self.row.is_some() { "upsert" } else { "delete" });
        self.slot.write(text);
        self.id.write(text);
        if let Some((vector, payload)) = &self.row {
            write_vector(vector, text);
            text.literal(payload);
        }
    }

    fn ways(&self) -> usize {
        self.row.as_ref().map_or(0, |row| simpler_rows(row).len())
    }

    fn simplify(&mut self, way: usize) {
        if let Some(row) = &mut self.row {
            *row = simpler_rows(row).swap_remove(way);
        }
    }

    fn visit(&mut self, visit: &mut dyn Visit) {
        visit.slot(&mut self.slot);
        visit.id(&mut self.id);
        if let Some(row) = &mut self.row {
            visit.row(self.slot, row);
        }
    }
}

impl ReadPart for Change {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        let upserts = words.one_of("`upsert` or `delete`", |word| match word {
            "upsert" => Some(true),
            "delete" => Some(false),
            _ => None,
        })?;
        let (slot, id) = (ReadPart::read(words)?, ReadPart::read(words)?);
        let row = if upserts {
            let vector = read_vector(words)?;
            Some((vector.into(), words.bytes("a payload in quotes")?.into()))
        } else {
            None
        };
        Ok(Self { slot, id, row })
    }

    fn sample(stream: &mut Stream) -> Self {
        let odd = [f32::NAN, f32::NEG_INFINITY, -0.0, 0.0, 0.1, -127.996, f32::MIN_POSITIVE];
        let row = stream.chance(3, 4).then(|| {
            let vector: Vec<f32> = (0..stream.size(0, 6)).map(|_| *stream.pick(&odd)).collect();
            let payload: Vec<u8> =
                (0..stream.size(0, 40)).map(|_| stream.draw().to_le_bytes()[0]).collect();
            (vector.into(), payload.into())
        });
        Self { slot: ReadPart::sample(stream), id: ReadPart::sample(stream), row }
    }
}

/// Smaller and plainer rows, the plainest first.
fn simpler_rows((vector, payload): &Row) -> Vec<Row> {
    let mut rows = Vec::new();
    let zeros: Arc<[f32]> = vec![0.0; vector.len()].into();
    if vector.iter().any(|element| element.to_bits() != 0) {
        rows.push((zeros, payload.clone()));
    }
    let mut lens = vec![0, 1, payload.len() / 2, payload.len() - payload.len().min(1)];
    lens.dedup();
    for len in lens.into_iter().filter(|len| *len < payload.len()) {
        rows.push((vector.clone(), vec![b'a'; len].into()));
    }
    if payload.iter().any(|byte| *byte != b'a') {
        rows.push((vector.clone(), vec![b'a'; payload.len()].into()));
    }
    rows
}

fn write_vector(vector: &[f32], text: &mut Text) {
    let mut words = Vec::new();
    let mut at = 0;
    while at < vector.len() {
        let bits = vector[at].to_bits();
        let run = vector[at..].iter().take_while(|other| other.to_bits() == bits).count();
        let element = match vector[at] {
            nan if nan.is_nan() && bits != f32::NAN.to_bits() => format!("bits:{bits:08x}"),
            element => element.to_string(),
        };
        match run {
            1 => words.push(element),
            2 => words.extend([element.clone(), element]),
            _ => words.push(format!("{element}*{run}")),
        }
        at += run;
    }
    text.word(&format!("[{}]", words.join(" ")));
}

fn read_vector(words: &mut Words) -> Result<Vec<f32>, Wrong> {
    let mut vector = Vec::new();
    words.expect_mark('[')?;
    while !words.took_mark(']') {
        let (element, run) = words.one_of("a number of a vector, or `]`", |word| {
            let (element, run) = word.split_once('*').unwrap_or((word, "1"));
            let run: usize = run.parse().ok().filter(|run| *run <= 1 << 20)?;
            let element = match element.strip_prefix("bits:") {
                Some(bits) => f32::from_bits(u32::from_str_radix(bits, 16).ok()?),
                None => element.parse().ok()?,
            };
            Some((element, run))
        })?;
        vector.extend(std::iter::repeat_n(element, run));
    }
    Ok(vector)
}

impl Part for Member {
    fn write(&self, text: &mut Text) {
        match self {
            Self::Write(changes) if changes.len() == 1 => changes[0].write(text),
            Self::Write(changes) => {
                text.word("changes");
                changes.write(text);
            }
            Self::Create(slot, descriptor) => {
                text.word("create");
                slot.write(text);
                Schema(descriptor).write(text);
            }
            Self::Drop(slot) => {
                text.word("drop");
                slot.write(text);
            }
            Self::Shred(slot) => {
                text.word("shred");
                slot.write(text);
            }
            Self::Put(change) => {
                text.word("if-absent");
                change.write(text);
            }
            Self::Update(slot, id, payload) => {
                text.word("payload");
                slot.write(text);
                id.write(text);
                text.literal(payload);
            }
            Self::Rename(slot, other) => {
                text.word("rename");
                slot.write(text);
                other.write(text);
            }
            Self::AddField(slot, FilterableField { path, field_type }) => {
                text.word("field");
                slot.write(text);
                text.word(&field_type.to_string());
                text.literal(path.as_bytes());
            }
        }
    }

    fn ways(&self) -> usize {
        match self {
            Self::Write(changes) => changes.ways(),
            Self::Create(_, descriptor) => {
                usize::from(descriptor.metric != DistanceMetric::L2) + descriptor.filterable.len()
            }
            Self::Put(change) => change.ways(),
            Self::Update(_, _, payload) => usize::from(!payload.is_empty()),
            Self::Shred(_) => 1,
            Self::Drop(_) | Self::Rename(..) | Self::AddField(..) => 0,
        }
    }

    fn simplify(&mut self, way: usize) {
        match self {
            Self::Write(changes) => changes.simplify(way),
            // With a field less, or with the metric of the shortest form.
            Self::Create(_, descriptor) if way < descriptor.filterable.len() => {
                descriptor.filterable.remove(way);
            }
            Self::Create(_, descriptor) => descriptor.metric = DistanceMetric::L2,
            Self::Put(change) => change.simplify(way),
            Self::Update(_, _, payload) => *payload = Arc::from([]),
            Self::Shred(slot) => *self = Self::Drop(*slot),
            Self::Drop(_) | Self::Rename(..) | Self::AddField(..) => {}
        }
    }

    fn visit(&mut self, visit: &mut dyn Visit) {
        match self {
            Self::Write(changes) => changes.visit(visit),
            Self::Create(slot, descriptor) => {
                visit.slot(slot);
                visit.schema(*slot, descriptor);
            }
            Self::Put(change) => change.visit(visit),
            Self::Update(slot, id, _) => {
                visit.slot(slot);
                visit.id(id);
            }
            Self::Rename(slot, other) => {
                visit.slot(slot);
                visit.slot(other);
            }
            Self::Drop(slot) | Self::Shred(slot) | Self::AddField(slot, _) => visit.slot(slot),
        }
    }
}

impl ReadPart for Member {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        match words.peek() {
            Token::Word(word) if word == "changes" => {
                words.take();
                Ok(Self::Write(ReadPart::read(words)?))
            }
            Token::Word(word) if word == "create" => {
                words.take();
                Ok(Self::Create(ReadPart::read(words)?, Schema::read(words)?))
            }
            Token::Word(word) if word == "drop" => {
                words.take();
                Ok(Self::Drop(ReadPart::read(words)?))
            }
            Token::Word(word) if word == "shred" => {
                words.take();
                Ok(Self::Shred(ReadPart::read(words)?))
            }
            Token::Word(word) if word == "upsert" || word == "delete" => {
                Ok(Self::Write(vec![ReadPart::read(words)?]))
            }
            Token::Word(word) if word == "if-absent" => {
                words.take();
                let change: Change = ReadPart::read(words)?;
                match change.row.is_some() {
                    true => Ok(Self::Put(change)),
                    false => Err(words.wrong("an upsert behind `if-absent`")),
                }
            }
            Token::Word(word) if word == "payload" => {
                words.take();
                let (slot, id) = (ReadPart::read(words)?, ReadPart::read(words)?);
                Ok(Self::Update(slot, id, words.bytes("a payload in quotes")?.into()))
            }
            Token::Word(word) if word == "rename" => {
                words.take();
                Ok(Self::Rename(ReadPart::read(words)?, ReadPart::read(words)?))
            }
            Token::Word(word) if word == "field" => {
                words.take();
                let slot = ReadPart::read(words)?;
                let types = [FieldType::Keyword, FieldType::Numeric, FieldType::Bool];
                let field_type = words.one_of("keyword, numeric or bool", |word| {
                    types.into_iter().find(|known| known.to_string() == word)
                })?;
                let path = words.text("a path in quotes")?;
                Ok(Self::AddField(slot, FilterableField { path, field_type }))
            }
            _ => Err(words.wrong("an operation")),
        }
    }

    fn sample(stream: &mut Stream) -> Self {
        match stream.below(8) {
            4 => {
                let mut change: Change = ReadPart::sample(stream);
                change.row.get_or_insert_with(|| ([1.0].into(), Arc::from(*b"p")));
                Self::Put(change)
            }
            5 => Self::Update(ReadPart::sample(stream), ReadPart::sample(stream), [7, 0].into()),
            6 => Self::Rename(ReadPart::sample(stream), ReadPart::sample(stream)),
            7 => Self::AddField(ReadPart::sample(stream), FilterableField::boolean(r"a\.b.c")),
            0 => {
                let metric = stream.pick(&METRICS).0;
                Self::Create(ReadPart::sample(stream), Descriptor::new(3, Dtype::F32, metric))
            }
            1 => Self::Drop(ReadPart::sample(stream)),
            _ => Self::Write(ReadPart::sample(stream)),
        }
    }
}

impl<T: Part> Part for Vec<T> {
    fn write(&self, text: &mut Text) {
        text.list(self, |text, one| one.write(text));
    }

    /// First with fewer elements, then with simpler ones.
    fn ways(&self) -> usize {
        pieces(self.len()).len() + self.iter().map(Part::ways).sum::<usize>()
    }

    fn simplify(&mut self, way: usize) {
        let pieces = pieces(self.len());
        if let Some(piece) = pieces.get(way) {
            self.drain(piece.clone());
            return;
        }
        let mut way = way - pieces.len();
        for one in self {
            if way < one.ways() {
                return one.simplify(way);
            }
            way -= one.ways();
        }
    }

    fn visit(&mut self, visit: &mut dyn Visit) {
        self.iter_mut().for_each(|one| one.visit(visit));
    }
}

impl<T: ReadPart> ReadPart for Vec<T> {
    fn read(words: &mut Words) -> Result<Self, Wrong> {
        words.list(T::read)
    }

    fn sample(stream: &mut Stream) -> Self {
        (0..stream.size(0, 4)).map(|_| T::sample(stream)).collect()
    }
}

/// The pieces of a list that are worth leaving out, the large ones first; never all of it.
pub fn pieces(len: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut size = len / 2;
    while size > 0 {
        pieces.extend((0..len).step_by(size).map(|from| from..(from + size).min(len)));
        size /= 2;
    }
    pieces
}
