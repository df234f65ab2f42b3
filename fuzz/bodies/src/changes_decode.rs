//! Index snapshots, and the lists of rows that changed behind them.
//!
//! The first byte of the input has 128 where the store is sealed by a known key; the second says which LSN
//! the index snapshot covers, counted around what is sealed. The rest is the content of the list, and of
//! the index snapshot too. The pages around both and their entry in the manifest are made to fit.
//!
//! - H1. What is told is what the list says behind the LSN covered, read here by its documentation; what
//!   no version writes tells nothing, and stops nothing.
//! - H2. A checkpoint carries on what was listed, and adds what it seals.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use quiver_store::codec::{PageCodec, PlainCodec};
use quiver_store::file_names::FileName;
use quiver_store::ids::{CollectionId, FileId, Lsn, Salt};
use quiver_store::limits::EXTERNAL_ID_BYTES_MAX;
use quiver_store::manifest::index_snapshots::{ChangesEntry, IndexSnapshotEntry};
use quiver_store::page::{PageType, digest, open_stream, seal_stream};
use quiver_store::{RecoveryTail, Result, Store};

use crate::answers;
use crate::sections::fill;
use crate::template::{Known, Template, empty, files_of, options, place_of};

/// Added to the first byte where the store is sealed.
const IS_SEALED: u8 = 128;

const SALT: Salt = Salt([8; 16]);
const CHANGES_SALT: Salt = Salt([9; 16]);

/// More ids are not told one by one, of a collection that has so few rows.
const TOLD_IDS_MAX: usize = 64;

/// The row that is written in between.
const WRITTEN: &str = "row-00";

/// Ids by the LSN through which they were sealed.
type Generations<'a> = Vec<(u64, Vec<&'a str>)>;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    ids_told(input);
}

/// How many ids are told, if any are.
fn ids_told(input: &[u8]) -> Option<usize> {
    let [choice, covered, content @ ..] = input else { return None };
    let template = if choice & IS_SEALED == 0 { plain() } else { sealed() };
    let mut manifest = template.manifest.clone();
    let sealed = manifest.sealed;
    let covered = Lsn(u64::from(*covered) % (sealed.0 + 1));
    let pages = |salt, page_type| {
        let place = template.place(salt, page_type);
        seal_stream(&place, &*template.codec, content).expect("neither codec fails")
    };
    let (snapshot, changes) =
        (pages(SALT, PageType::IndexSnapshot), pages(CHANGES_SALT, PageType::Changes));
    let (file, changes_file) = (FileId(1000), FileId(1001));
    manifest.index_snapshots.push(IndexSnapshotEntry {
        collection: template.collection(),
        file,
        salt: SALT,
        len: snapshot.len() as u64,
        digest: digest(&snapshot),
        covered,
        listed_since: covered,
        changes: Some(ChangesEntry {
            file: changes_file,
            salt: CHANGES_SALT,
            len: changes.len() as u64,
            digest: digest(&changes),
        }),
    });
    manifest.next_file = FileId(1002);
    let others = [
        (FileName::IndexSnapshot(file, SALT.into()).text(), &snapshot[..]),
        (FileName::Changes(changes_file, CHANGES_SALT.into()).text(), &changes[..]),
    ];
    let env = template.env(&manifest, &others);

    let listed = generations(content);
    let store = Store::open_read_only_with(env.clone(), options()).expect("both may be lost");
    answers::check(&store, &[]).expect("their pages are whole");
    let id = template.collection();
    let kept = store.read_index_snapshot(id).expect("its pages are whole");
    assert!(kept == Some((content.to_vec(), covered)), "another index snapshot");
    let expected = listed.as_ref().and_then(|listed| told(listed, covered));
    let told = ids_of(&store, id, covered).expect("nothing else is damaged");
    assert_eq!(told, expected, "behind {covered}");
    drop(store);

    let store = Store::open_with(env, options()).expect("it opened for reading");
    is_carried_on(&store, id, (covered, sealed), listed).expect("memory takes all");
    told.map(|told| told.len())
}

fn plain() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), fill))
}

fn sealed() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(Known), fill))
}

/// The list as `docs/format.md` has it; nothing if it is none.
fn generations(mut bytes: &[u8]) -> Option<Generations<'_>> {
    let mut generations = Generations::new();
    for _ in 0..u32::from_le_bytes(*take::<4>(&mut bytes)?) {
        let through = u64::from_le_bytes(*take::<8>(&mut bytes)?);
        let mut ids: Vec<&str> = Vec::new();
        for _ in 0..u32::from_le_bytes(*take::<4>(&mut bytes)?) {
            let len = usize::from(u16::from_le_bytes(*take::<2>(&mut bytes)?));
            let (id, rest) = bytes.split_at_checked(len)?;
            bytes = rest;
            ids.push(std::str::from_utf8(id).ok()?);
        }
        let bounds = 1..=EXTERNAL_ID_BYTES_MAX;
        let ascend =
            ids.is_sorted_by(|a, b| a < b) && ids.iter().all(|id| bounds.contains(&id.len()));
        if ids.is_empty() || !ascend {
            return None;
        }
        generations.push((through, ids));
    }
    (bytes.is_empty() && generations.is_sorted_by(|a, b| a.0 < b.0)).then_some(generations)
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(first)
}

/// What is to be told of a list, unless it is too much.
fn told(listed: &Generations<'_>, covered: Lsn) -> Option<BTreeSet<String>> {
    let behind = listed.iter().filter(|(through, _)| *through > covered.0);
    let ids: BTreeSet<String> =
        behind.flat_map(|(_, ids)| ids.iter().map(|id| (*id).to_owned())).collect();
    (ids.len() <= TOLD_IDS_MAX).then_some(ids)
}

/// The ids that a store tells, each with its row if it is there; nothing where it tells none.
///
/// # Errors
/// Those of the store.
fn ids_of(store: &Store, id: CollectionId, covered: Lsn) -> Result<Option<BTreeSet<String>>> {
    let RecoveryTail::Changes { since, upserts, deleted } = store.recovery_tail(id)? else {
        return Ok(None);
    };
    assert_eq!(since, covered);
    assert!(upserts.is_sorted_by(|a, b| a.0 < b.0) && deleted.is_sorted_by(|a, b| a < b));
    let mut ids = BTreeSet::new();
    for (row, record) in upserts {
        assert_eq!(store.get(id, &row)?, Some(record), "{row:?}");
        ids.insert(row);
    }
    for row in deleted {
        assert_eq!(store.get(id, &row)?, None, "{row:?}");
        assert!(ids.insert(row), "both there and not");
    }
    Ok(Some(ids))
}

/// H2.
fn is_carried_on(
    store: &Store,
    id: CollectionId,
    (covered, sealed): (Lsn, Lsn),
    listed: Option<Generations<'_>>,
) -> Result<()> {
    store.upsert(id, WRITTEN, &[0.0, 1.0], b"")?;
    store.checkpoint()?;
    let told = ids_of(store, id, covered)?;
    let Some(mut listed) = listed else {
        assert_eq!(told, None, "what was lost is told");
        return Ok(());
    };
    listed.retain(|(through, _)| *through > covered.0);
    // No seal lists what is to come: a list that does is none any more.
    let is_of_seals = listed.last().is_none_or(|(through, _)| *through <= sealed.0);
    let many = listed.iter().map(|(_, ids)| ids.len()).sum::<usize>() + 1 > TOLD_IDS_MAX;
    listed.push((u64::MAX, vec![WRITTEN]));
    let expected = self::told(&listed, covered).filter(|_| is_of_seals && !many);
    assert_eq!(told, expected, "behind a checkpoint");
    Ok(())
}

/// Seeds: what stores list, one generation and several, more than is told, and none.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let ids = |ids: std::ops::Range<usize>| ids.map(|id| format!("row-{id:02}")).collect();
    let list = |generations: &[(u64, Vec<String>)]| {
        let count = |len: usize| u32::try_from(len).expect("a few").to_le_bytes();
        let mut bytes = count(generations.len()).to_vec();
        for (through, ids) in generations {
            bytes.extend_from_slice(&through.to_le_bytes());
            bytes.extend_from_slice(&count(ids.len()));
            for id in ids {
                bytes.extend_from_slice(&u16::try_from(id.len()).expect("short").to_le_bytes());
                bytes.extend_from_slice(id.as_bytes());
            }
        }
        bytes
    };
    let several = list(&[(3, ids(0..2)), (6, ids(1..4)), (9, ids(7..12))]);
    let long = vec!["i".repeat(EXTERNAL_ID_BYTES_MAX)];
    let of_a_store = written().expect("memory takes all");
    let all = [
        ("of-a-store", 0, 9, of_a_store),
        ("one-generation", 0, 0, list(&[(9, ids(2..5))])),
        ("several", 0, 4, several.clone()),
        ("sealed-several", IS_SEALED, 3, several),
        ("covered", 0, 9, list(&[(9, ids(0..3))])),
        ("none", 0, 2, list(&[])),
        ("too-many", 0, 1, list(&[(9, ids(10..80))])),
        ("too-many-with-another", 0, 1, list(&[(9, ids(10..74))])),
        ("longest-id", 0, 1, list(&[(9, long)])),
        ("to-come", 0, 1, list(&[(1 << 40, ids(0..1))])),
    ];
    all.into_iter()
        .map(|(name, flag, covered, list)| {
            (name.to_owned(), [&[flag, covered], &list[..]].concat())
        })
        .collect()
}

/// The list of a store that sealed twice behind its index snapshot.
fn written() -> Result<Vec<u8>> {
    let codec: Arc<dyn PageCodec> = Arc::new(PlainCodec);
    let env = empty(&codec);
    let store = Store::open_with(env.clone(), options())?;
    fill(&store)?;
    let id = store.collection_id("c")?.expect("just created");
    let covered = store.snapshot()?.lsn();
    store.checkpoint_with_index_snapshots(&[(id, b"graph", covered)])?;
    for (row, x) in [("row-01", 4.0), ("row-09", 9.0)] {
        store.upsert(id, row, &[x, 0.5], b"")?;
        store.delete(id, "row-03")?;
        store.checkpoint()?;
    }
    store.close()?;
    let files = files_of(&env);
    let is_list = |name: &str| matches!(FileName::parse(name), Some(FileName::Changes(..)));
    let found = files.iter().find(|(name, _)| is_list(name));
    let mut pages = found.expect("rows changed").1.to_vec();
    let place = place_of(&files, &pages, PageType::Changes, id);
    open_stream(&place, &*codec, &mut pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise what is mended around an input would be refused whatever the input is.
    #[test]
    fn seeds_are_told_as_they_say() {
        let told: Vec<_> = seeds().iter().map(|(_, seed)| ids_told(seed)).collect();
        let some = [3, 3, 8, 8, 0, 0].map(Some);
        assert_eq!(told[..6], some);
        assert_eq!(told[6..], [None, Some(64), Some(1), Some(1)]);
    }
}
