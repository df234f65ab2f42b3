//! Segments: each section alone, the whole file, and the indexes in it.
//!
//! The first byte of the input says which section the rest is: a column (0 ids, 1 directory, 2 vectors,
//! 3 payloads, 4 filter, 5 indexes), 6 what stands behind the columns in the tail, 7 the footer, 8 the
//! file as it is, 9 the file with everything mended around it; 128 is added where the store is sealed by
//! a known key, else 64 where its rows have several vectors. For the target `sec_decode` the input is the
//! indexes.

use std::sync::{Arc, OnceLock};

use quiver_store::codec::{PageCodec, PlainCodec};
use quiver_store::file_names::FileName;
use quiver_store::limits::PAGE_SIZE_BYTES;
use quiver_store::manifest::{Manifest, SegmentEntry};
use quiver_store::page::{
    PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PageType, digest, offsets, open_stream, seal,
    seal_stream,
};
use quiver_store::{Result, Store};

use crate::sections::{
    COLUMNS, DIGEST_OFFSET, FOOTER_SIZE_BYTES, INDEXES, LENS_OFFSET, TAIL_LEN_OFFSET, fill,
    fill_many, fill_several, long,
};
use crate::template::{Known, Template, options};
use crate::{answers, errors};

const BEHIND_COLUMNS: usize = 6;
const FOOTER: usize = 7;
const FILE: usize = 8;
const FILE_MENDED: usize = 9;
const SECTIONS: usize = 10;

/// Added to the number of a section where the store is sealed.
pub(crate) const IS_SEALED: u8 = 128;

/// Added where rows have several vectors.
const HAS_SEVERAL: u8 = 64;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    opens_whole(input);
}

/// Whether nothing was found in what the input makes.
fn opens_whole(input: &[u8]) -> bool {
    let Some((choice, rest)) = input.split_first() else { return false };
    let parts = match (choice & IS_SEALED, choice & HAS_SEVERAL) {
        (0, 0) => plain(),
        (0, _) => several(),
        _ => sealed(),
    };
    parts.check(usize::from(choice & !(IS_SEALED | HAS_SEVERAL)) % SECTIONS, rest)
}

/// The indexes alone.
pub(crate) fn index_body(input: &[u8]) {
    plain().check(INDEXES, input);
}

/// A segment, and what it is made of.
#[derive(Debug)]
struct Parts {
    template: Template,
    entry: SegmentEntry,
    footer: Vec<u8>,
    /// Rests of the columns.
    columns: [Vec<u8>; COLUMNS],
    /// What stands behind them.
    behind: Vec<u8>,
}

fn plain() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| Parts::of(Arc::new(PlainCodec), fill))
}

fn several() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| Parts::of(Arc::new(PlainCodec), fill_several))
}

fn sealed() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| Parts::of(Arc::new(Known), fill))
}

impl Parts {
    fn of(codec: Arc<dyn PageCodec>, fill: fn(&Store) -> Result<()>) -> Self {
        let template = Template::of(codec, fill);
        let entry = template.manifest.segments[0];
        let mut pages = template.files[&name_of(&entry)].to_vec();
        let (tail, footer) = pages.split_at_mut(PAGE_SIZE_BYTES);
        let place = template.place(entry.salt, PageType::SegmentTail);
        let tail = open_stream(&place, &*template.codec, tail).expect("one page of tail");
        let mut place = template.place(entry.salt, PageType::SegmentFooter);
        place.index = 1;
        let footer = open_stream(&place, &*template.codec, footer).expect("then the footer");
        let mut at = 0;
        let columns = [0, 1, 2, 3, 4, 5].map(|column| {
            let len = usize::try_from(long(&footer, LENS_OFFSET + 8 * column)).expect("small");
            at += len;
            tail[at - len..at].to_vec()
        });
        Self { behind: tail[at..].to_vec(), template, entry, footer, columns }
    }

    fn check(&self, section: usize, input: &[u8]) -> bool {
        let (file, entry) = match section {
            FILE => (input.to_vec(), self.entry),
            FILE_MENDED => self.mended(input),
            _ => self.with_section(section, input),
        };
        let name = name_of(&self.entry);
        let mut manifest = self.template.manifest.clone();
        manifest.segments[0] = entry;
        check(&self.template, &manifest, &name, &file)
    }

    /// The file with another section, and its entry in the manifest.
    fn with_section(&self, section: usize, input: &[u8]) -> (Vec<u8>, SegmentEntry) {
        let mut footer = self.footer.clone();
        let mut columns = self.columns.each_ref().map(|column| &column[..]);
        let mut behind = &self.behind[..];
        match section {
            BEHIND_COLUMNS => behind = input,
            FOOTER => {
                let len = input.len().min(FOOTER_SIZE_BYTES);
                footer[..len].copy_from_slice(&input[..len]);
            }
            column => {
                // More than a page would stand in a page of its own.
                columns[column] = &input[..input.len().min(PAGE_BODY_SIZE_BYTES - 1)];
                let len = columns[column].len() as u64;
                footer[LENS_OFFSET + 8 * column..][..8].copy_from_slice(&len.to_le_bytes());
            }
        }
        let tail = [columns.concat(), behind.to_vec()].concat();
        let place = self.template.place(self.entry.salt, PageType::SegmentTail);
        let codec = &*self.template.codec;
        let mut file = seal_stream(&place, codec, &tail).expect("neither codec fails");
        footer[DIGEST_OFFSET..][..4].copy_from_slice(&digest(&file).to_le_bytes());
        if section != FOOTER {
            let len = tail.len() as u64;
            footer[TAIL_LEN_OFFSET..][..8].copy_from_slice(&len.to_le_bytes());
        }
        let mut place = self.template.place(self.entry.salt, PageType::SegmentFooter);
        place.index = u32::try_from(file.len() / PAGE_SIZE_BYTES).expect("a few pages");
        let last = seal_stream(&place, codec, &footer).expect("neither codec fails");
        file.extend_from_slice(&last);
        let rows = long(&footer, 0);
        let entry = self.entry_of(&file, rows);
        (file, entry)
    }

    fn entry_of(&self, file: &[u8], rows: u64) -> SegmentEntry {
        let last = file.len() - PAGE_SIZE_BYTES;
        let checksum = file[last + offsets::CHECKSUM..][..4].try_into().expect("four bytes");
        let (len, footer) = (file.len() as u64, u32::from_le_bytes(checksum));
        SegmentEntry { len, footer, rows, ..self.entry }
    }

    /// The input as pages, each sealed in its place as what it says it is; then the footer.
    fn mended(&self, input: &[u8]) -> (Vec<u8>, SegmentEntry) {
        let mut file = input.to_vec();
        file.resize(input.len().next_multiple_of(PAGE_SIZE_BYTES).max(PAGE_SIZE_BYTES), 0);
        let last = file.len() / PAGE_SIZE_BYTES - 1;
        for (page, index) in file.chunks_mut(PAGE_SIZE_BYTES).zip(0_u32..) {
            let own = PageType::of(page[offsets::TYPE]).unwrap_or(PageType::SegmentColumn);
            let is_last = index as usize == last;
            let page_type = if is_last { PageType::SegmentFooter } else { own };
            let mut place = self.template.place(self.entry.salt, page_type);
            place.index = index;
            let len = page[offsets::PAYLOAD_LEN..][..4].try_into().expect("four bytes");
            let len = (u32::from_le_bytes(len) as usize).min(PAGE_BODY_SIZE_BYTES);
            seal(&place, &*self.template.codec, page, len).expect("neither codec fails");
        }
        let (before, footer) = file.split_at_mut(last * PAGE_SIZE_BYTES);
        let body = &mut footer[PAGE_HEADER_SIZE_BYTES..];
        body[DIGEST_OFFSET..][..4].copy_from_slice(&digest(before).to_le_bytes());
        let rows = long(body, 0);
        let mut place = self.template.place(self.entry.salt, PageType::SegmentFooter);
        place.index = u32::try_from(last).expect("a few pages");
        seal(&place, &*self.template.codec, footer, FOOTER_SIZE_BYTES).expect("it never fails");
        let entry = self.entry_of(&file, rows);
        (file, entry)
    }
}

pub(crate) fn name_of(entry: &SegmentEntry) -> String {
    FileName::Segment(entry.file, entry.salt.into()).text()
}

/// Opens the store with a file of the input, asks it everything, and writes its rows anew; whether it is
/// whole.
pub(crate) fn check(template: &Template, manifest: &Manifest, name: &str, file: &[u8]) -> bool {
    let env = template.env(manifest, &[(name.to_owned(), file)]);
    // The row counts of a manifest are the input's as well.
    let names = [name, "manifest"];
    let store = match Store::open_read_only_with(env.clone(), options()) {
        Ok(store) => store,
        Err(error) => {
            errors::check_names(&error, &names);
            return false;
        }
    };
    let shown = answers::check(&store, &names);
    drop(store);
    if let Some(shown) = &shown {
        is_the_same_merged(env, shown).expect("a store in which nothing is found takes work");
    }
    shown.is_some()
}

/// What is whole can be written anew, and shows the same.
fn is_the_same_merged(env: quiver_store::Env, shown: &answers::Shown) -> Result<()> {
    let store = Store::open_with(env, options())?;
    let id = store.collection_id("c")?.expect("the schema is not the input's");
    store.upsert(id, "~", &[0.0, 0.0], b"")?;
    store.delete(id, "~")?;
    store.compact()?;
    let again = answers::check(&store, &["/store"]).expect("the engine wrote it");
    assert_eq!(again, *shown);
    store.close()
}

/// Seeds of every section.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let names = ["ids", "directory", "vectors", "payloads", "filter", "indexes"];
    let mut seeds = Vec::new();
    let stores =
        [(plain(), 0, ""), (sealed(), IS_SEALED, "sealed-"), (several(), HAS_SEVERAL, "several-")];
    for (parts, flag, prefix) in stores {
        let of = |section: usize, bytes: &[u8]| {
            let section = u8::try_from(section).expect("ten sections");
            [&[section | flag], bytes].concat()
        };
        for (column, name) in names.iter().enumerate() {
            seeds.push((format!("{prefix}{name}"), of(column, &parts.columns[column])));
        }
        seeds.push((format!("{prefix}behind"), of(BEHIND_COLUMNS, &parts.behind)));
        seeds.push((format!("{prefix}footer"), of(FOOTER, &parts.footer)));
        let file = &parts.template.files[&name_of(&parts.entry)];
        seeds.push((format!("{prefix}file"), of(FILE, file)));
        seeds.push((format!("{prefix}file-mended"), of(FILE_MENDED, file)));
    }
    let many = Template::of(Arc::new(PlainCodec), fill_many);
    let file = &many.files[&name_of(&many.manifest.segments[0])];
    let section = u8::try_from(FILE_MENDED).expect("ten sections");
    seeds.push(("many-rows-file-mended".to_owned(), [&[section], &file[..]].concat()));
    seeds
}

/// Seeds of the indexes.
pub(crate) fn index_seeds() -> Vec<(String, Vec<u8>)> {
    vec![("four-fields".to_owned(), plain().columns[INDEXES].clone())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise what is mended around an input would be refused whatever the input is.
    #[test]
    fn every_seed_is_whole() {
        for (name, seed) in seeds() {
            assert!(opens_whole(&seed), "{name}");
        }
        for (name, seed) in index_seeds() {
            assert!(plain().check(INDEXES, &seed), "{name}");
        }
    }
}
