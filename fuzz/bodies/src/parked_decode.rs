//! Parked records: those of a collection that was damaged when its log went, as a store replays them.
//!
//! The first byte of the input says what is mended (0 nothing, 1 what stands around the records: counts,
//! LSNs, collection, codec and tag); 128 is added where the store is sealed by a known key. The rest is the
//! content of the file; the pages around it and the entry in the manifest are made to fit.
//!
//! - P1. What a reader is shown, every writer recovers, and shows behind a checkpoint as well, which seals
//!   what was parked.

use std::panic::Location;
use std::sync::{Arc, OnceLock};

use quiver_store::codec::{PageCodec, PlainCodec};
use quiver_store::file_names::FileName;
use quiver_store::ids::{FileId, Lsn, Salt};
use quiver_store::manifest::parked::ParkedEntry;
use quiver_store::page::{PageType, digest, open_stream, seal_stream};
use quiver_store::vfs::Access;
use quiver_store::wal::section::SECTION_HEADER_SIZE_BYTES;
use quiver_store::{Env, FilterableField, Result, Store};

use crate::answers;
use crate::replays::{self, Replayed};
use crate::sections::fill;
use crate::template::{Known, Template, empty, files_of, options, place_of};

const SALT: Salt = Salt([6; 16]);

/// Everything parked is below this.
const SEALED: Lsn = Lsn(1000);

/// Added to the first byte where the store is sealed.
const IS_SEALED: u8 = 128;

/// Bytes of the number of sections, and of the LSN in front of each.
const COUNT_BYTES: usize = 4;
const LSN_BYTES: usize = 8;

/// Where these are in the header of a section; behind the codec are flags and reserved bytes, then a key.
const LEN_OFFSET: usize = 8;
const RECORDS_OFFSET: usize = 12;
const CODEC_OFFSET: usize = 16;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    replayed(input);
}

/// What a store shows that an input makes.
fn replayed(input: &[u8]) -> Replayed {
    let Some((choice, content)) = input.split_first() else { return Replayed::default() };
    let template = if choice & IS_SEALED == 0 { plain() } else { sealed() };
    let mut content = content.to_vec();
    let is_mended = choice & 1 != 0;
    let (first, through) = walk(&mut content, template, is_mended);
    let mut manifest = template.manifest.clone();
    let place = template.place(SALT, PageType::Parked);
    let pages = seal_stream(&place, &*template.codec, &content).expect("neither codec fails");
    let (len, digest) = (pages.len() as u64, digest(&pages));
    let (collection, file) = (template.collection(), FileId(2000));
    let entry = ParkedEntry { collection, file, salt: SALT, len, digest, first, through };
    manifest.parked.push(entry);
    manifest.sealed = SEALED;
    manifest.next_file = FileId(2001);
    let name = FileName::Parked(file, SALT.into()).text();
    let env = template.env(&manifest, &[(name.clone(), &pages)]);
    // The numbers of the manifest are the input's as well.
    let names = [&*name, "manifest"];
    let replayed = replays::same_each_time(&env, &names);
    if replayed.was_whole {
        is_sealed_by_a_checkpoint(&env, &replayed.shown).expect("a whole store takes work");
    }
    replayed
}

fn plain() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), fill))
}

fn sealed() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(Known), fill))
}

/// Follows the sections, and mends them; the first and the last LSN, such as a manifest takes.
fn walk(content: &mut [u8], template: &Template, is_mended: bool) -> (Lsn, Lsn) {
    let (mut first, mut next, mut sections) = (None, 1_u64, 0_u32);
    let mut at = COUNT_BYTES;
    let head = LSN_BYTES + SECTION_HEADER_SIZE_BYTES;
    while let Some(section) = content.get_mut(at..).filter(|rest| rest.len() >= head) {
        let (lsn, rest) = section.split_at_mut(LSN_BYTES);
        let (header, records) = rest.split_at_mut(SECTION_HEADER_SIZE_BYTES);
        let stated = u64::from_le_bytes(lsn.try_into().expect("eight bytes"));
        let mut len = word(header, LEN_OFFSET) as usize;
        if is_mended {
            lsn.copy_from_slice(&stated.clamp(next, next + 9).to_le_bytes());
            len = len.min(records.len());
            header[..8].copy_from_slice(&template.collection().value().to_le_bytes());
            let stored = u32::try_from(len).expect("of an input");
            header[LEN_OFFSET..][..4].copy_from_slice(&stored.to_le_bytes());
            header[CODEC_OFFSET..].fill(0);
            header[CODEC_OFFSET] = template.codec.id();
        }
        let lsn = u64::from_le_bytes(lsn.try_into().expect("eight bytes"));
        first = first.or(Some(lsn));
        next = lsn.saturating_add(word(header, RECORDS_OFFSET).into());
        sections += 1;
        at = at.saturating_add(head).saturating_add(len);
    }
    if is_mended && content.len() >= COUNT_BYTES {
        content[..COUNT_BYTES].copy_from_slice(&sections.to_le_bytes());
    }
    let first = first.unwrap_or(1).clamp(1, SEALED.0);
    (Lsn(first), Lsn(next.saturating_sub(1).clamp(first, SEALED.0)))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..][..4].try_into().expect("four bytes"))
}

/// P1, behind the replay.
fn is_sealed_by_a_checkpoint(env: &Env, shown: &answers::Shown) -> Result<()> {
    let store = Store::open_with(env.clone(), options())?;
    store.checkpoint()?;
    let again = answers::check(&store, &["/store"]).expect("the engine wrote it");
    assert_eq!(again, *shown, "behind a checkpoint");
    store.close()?;
    let is_parked = |name: &String| matches!(FileName::parse(name), Some(FileName::Parked(..)));
    assert!(!files_of(env).keys().any(is_parked), "still parked");
    Ok(())
}

/// Seeds: what a store parked whose segment was damaged, plain and sealed, as it is and to be mended.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let codecs: [(u8, &str, Arc<dyn PageCodec>); 2] =
        [(0, "", Arc::new(PlainCodec)), (IS_SEALED, "sealed-", Arc::new(Known))];
    for (flag, prefix, codec) in codecs {
        let content = content(codec).expect("memory takes all");
        for (mends, name) in [(0, "records"), (1, "records-mended")] {
            seeds.push((format!("{prefix}{name}"), [&[flag | mends], &content[..]].concat()));
        }
    }
    seeds
}

/// What is in the file of a store that could not seal.
fn content(codec: Arc<dyn PageCodec>) -> Result<Vec<u8>> {
    let env = empty(&codec);
    let store = Store::open_with(env.clone(), options())?;
    fill(&store)?;
    store.checkpoint()?;
    let id = store.collection_id("c")?.expect("just created");
    store.upsert(id, "row-08", &[8.0, 0.5], br#"{"k":"parked"}"#)?;
    store.delete(id, "row-01")?;
    store.rename_collection("c", "parked")?;
    store.add_filterable("parked", FilterableField::keyword("late"))?;
    store.rename_collection("parked", "c")?;
    store.upsert(id, "row-02", &[2.0, 0.25], br#"{"n":2,"late":"x"}"#)?;
    store.close()?;
    let files = files_of(&env);
    let segment = files.keys().find(|name| name.ends_with(".seg")).expect("one was sealed");
    let path = env.dir.join(segment);
    let here = Location::caller();
    let file = env.vfs.open(&path, Access::ReadWrite, here).expect("listed");
    let last = files[segment].len() - 1;
    file.write_at(&[!files[segment][last]], last as u64, here).expect("memory");
    let store = Store::open_with(env.clone(), options())?;
    store.checkpoint()?;
    drop(store);
    let files = files_of(&env);
    let is_parked = |name: &str| matches!(FileName::parse(name), Some(FileName::Parked(..)));
    let found = files.iter().find(|(name, _)| is_parked(name));
    let mut pages = found.expect("the collection is damaged").1.to_vec();
    let place = place_of(&files, &pages, PageType::Parked, id);
    open_stream(&place, &*codec, &mut pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise what is mended around an input would be refused whatever the input is.
    #[test]
    fn every_seed_is_replayed() {
        for (name, seed) in seeds() {
            // The collection and its eight rows, one of which is deleted, and a new one.
            assert_eq!(replayed(&seed).shown.len(), 9, "{name}");
        }
    }
    /// They were decoded, and nobody looked into them: a verification found nothing, and nobody could read.
    #[test]
    fn parked_records_that_are_none_are_found_by_a_verification() {
        let (_, mut seed) = seeds().swap_remove(1);
        let kind = 1 + COUNT_BYTES + LSN_BYTES + SECTION_HEADER_SIZE_BYTES;
        assert!(replayed(&seed).was_whole);
        seed[kind] = 99;
        assert!(!replayed(&seed).was_whole);
    }
}
