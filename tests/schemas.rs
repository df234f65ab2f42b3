//! A schema that cannot be read, in a manifest that checks out: the collection's own matter. The others are
//! opened, written and rescued, and nothing of the collection is lost that may be put back.

use std::ops::ControlFlow;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use quiver_store::codec::PlainCodec;
use quiver_store::file_names::FileName;
use quiver_store::ids::FileId;
use quiver_store::limits::NUMBER_MAX;
use quiver_store::manifest::Manifest;
use quiver_store::manifest::current::Current;
use quiver_store::manifest::schema::SealedSchema;
use quiver_store::page::{PagePlace, PageType, digest, open_stream, seal_stream};
use quiver_store::vfs::Access;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, FilterableField, Options,
    Result, Store, VerifyOptions,
};

const DIR: &str = "/store";

fn read(env: &Env, name: &str) -> Vec<u8> {
    let here = Location::caller();
    let file = env.vfs.open(&env.dir.join(name), Access::Read, here).expect("it is there");
    let len = usize::try_from(file.len(here).expect("memory")).expect("in memory");
    let mut bytes = vec![0; len];
    assert_eq!(file.read_at(&mut bytes, 0, here).expect("memory"), len);
    bytes
}

fn replace(env: &Env, name: &str, bytes: &[u8]) {
    let here = Location::caller();
    env.vfs.unlink(&env.dir.join(name), here).expect("it is there");
    let file = env.vfs.create_new(&env.dir.join(name), here).expect("just removed");
    assert_eq!(file.write_at(bytes, 0, here).expect("memory"), bytes.len());
}

/// The name of the manifest that is current.
fn manifest_name(env: &Env) -> String {
    let current = Current::decode(&read(env, "CURRENT")).expect("a store's");
    FileName::Manifest(current.version, current.salt.into()).text()
}

/// Changes the manifest, and everything that checks it; its name.
fn change_manifest(env: &Env, change: impl FnOnce(&mut Manifest)) -> String {
    let mut current = Current::decode(&read(env, "CURRENT")).expect("a store's");
    let name = manifest_name(env);
    let place = PagePlace {
        store: current.store,
        salt: current.salt,
        collection: CollectionId(0),
        page_type: PageType::Manifest,
        index: 0,
    };
    let mut pages = read(env, &name);
    let content = open_stream(&place, &PlainCodec, &mut pages).expect("a store's");
    let mut manifest = Manifest::decode(&content).expect("a store's");
    change(&mut manifest);
    let content = manifest.encode(&PlainCodec).expect("plain");
    let pages = seal_stream(&place, &PlainCodec, &content).expect("plain");
    replace(env, &name, &pages);
    (current.len, current.digest) = (pages.len() as u64, digest(&pages));
    replace(env, "CURRENT", &current.encode());
    name
}

/// Changes the schema of a collection in the manifest; the one before, and the manifest's name.
fn change_schema(
    env: &Env,
    id: CollectionId,
    change: impl FnOnce(&SealedSchema) -> SealedSchema,
) -> (SealedSchema, String) {
    let mut before = None;
    let name = change_manifest(env, |manifest| {
        let entry = manifest.collections.iter_mut().find(|entry| entry.id == id).expect("listed");
        let changed = Arc::new(change(&entry.schema));
        before = Some((*std::mem::replace(&mut entry.schema, changed)).clone());
    });
    (before.expect("listed"), name)
}

fn schema() -> Descriptor {
    Descriptor::new(2, Dtype::F32, DistanceMetric::L2)
}

fn upsert(store: &Store, id: CollectionId, rows: std::ops::Range<u8>) -> Result<()> {
    for row in rows {
        store.upsert(id, &format!("{row}"), &[f32::from(row), 0.5], br#"{"n":1}"#)?;
    }
    Ok(())
}

/// Two collections with rows in a segment and in the log, where the second was also changed. It was not
/// closed.
fn made() -> Result<(Env, CollectionId, CollectionId)> {
    let env = Env { dir: Path::new(DIR).to_owned(), ..Env::memory() };
    let store = Store::open_with(env.clone(), Options::default())?;
    let ids =
        (store.create_collection("whole", schema())?, store.create_collection("hit", schema())?);
    upsert(&store, ids.0, 0..4)?;
    upsert(&store, ids.1, 0..4)?;
    store.checkpoint()?;
    upsert(&store, ids.1, 4..6)?;
    store.rename_collection("hit", "struck")?;
    store.add_filterable("struck", FilterableField::numeric("n"))?;
    upsert(&store, ids.1, 6..7)?;
    upsert(&store, ids.0, 4..6)?;
    Ok((env, ids.0, ids.1))
}

type Change = fn(&SealedSchema) -> SealedSchema;

/// The schema under another name.
fn named(name: &str, before: &SealedSchema) -> SealedSchema {
    let mut bytes = before.bytes.clone();
    let len = usize::from(bytes[0]);
    bytes[0] = u8::try_from(name.len()).expect("short");
    bytes.splice(5..5 + len, name.bytes());
    SealedSchema { bytes, ..before.clone() }
}

/// What may stand there instead: no schema, and a name that no creation takes.
fn changes() -> [(&'static str, Change); 3] {
    [
        ("undecodable", |before| SealedSchema { bytes: vec![7; 3], ..before.clone() }),
        ("empty", |before| SealedSchema { bytes: Vec::new(), ..before.clone() }),
        ("no name", |before| named("a/b", before)),
    ]
}

#[test]
fn a_salvage_leaves_out_a_collection_whose_schema_cannot_be_read_and_tells_it() -> Result<()> {
    for (what, change) in changes() {
        let (env, whole, hit) = made()?;
        let (_, manifest) = change_schema(&env, hit, change);
        let (store, lost) = Store::open_salvage_with(env, Options::default())?;
        assert!(lost.iter().any(|error| error.to_string().contains(&manifest)), "{what}: {lost:?}");
        let target = Env::memory();
        let report =
            store.salvage_to(target.clone(), Options::default(), |_| ControlFlow::Continue(()))?;
        assert!(report.is_complete && report.collections == 1 && report.rows == 6, "{report:?}");
        let [loss] = &report.losses[..] else { panic!("{what}: {report:?}") };
        assert_eq!((loss.collection, loss.error.kind()), (hit, ErrorKind::Corrupt), "{what}");
        assert!(loss.error.to_string().contains(&manifest), "{what}: {}", loss.error);
        // Four in a segment, three in the log, where two more records change the schema.
        assert_eq!((loss.rows_at_most, report.rows_lost_at_most), (9, 9), "{what}");
        let rescued = Store::open_with(target, Options::default())?;
        assert_eq!((rescued.collection_names()?, rescued.len(whole)?), (vec!["whole".into()], 6));
    }
    Ok(())
}

#[test]
fn a_schema_that_cannot_be_read_stops_no_other_collection_and_all_is_back_once_it_is() -> Result<()>
{
    for (what, change) in changes() {
        let (env, whole, hit) = made()?;
        let (before, _) = change_schema(&env, hit, change);
        // Twice, so that its records are read from the log and parked, and parked records again.
        for round in 1..=2_u8 {
            let store = Store::open_with(env.clone(), Options::default())?;
            for error in [
                store.get(hit, "0").expect_err("it is not known"),
                store.descriptor(hit).expect_err("it is not known"),
                store.upsert(hit, "x", &[0.0, 0.0], b"").expect_err("it is not known"),
            ] {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
                assert!(error.to_string().contains("manifest-"), "{what}: {error}");
            }
            assert_eq!(store.collection_names()?, ["whole"]);
            let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()))?;
            let [finding] = &report.findings[..] else { panic!("{what}: {report:?}") };
            assert_eq!(finding.file, manifest_name(&env), "{what}");
            assert_eq!(finding.collection, Some(hit), "{what}");
            upsert(&store, whole, 10 * round..10 * round + 5)?;
            store.checkpoint()?;
            assert_eq!(store.len(whole)?, 6 + 5 * u64::from(round));
        }
        change_schema(&env, hit, |_| before);
        let store = Store::open_with(env.clone(), Options::default())?;
        assert_eq!(store.collection_names()?, ["struck", "whole"], "{what}");
        assert_eq!((store.len(hit)?, store.len(whole)?), (7, 16), "{what}");
        assert_eq!(store.descriptor(hit)?.filterable.len(), 1, "{what}");
        store.checkpoint()?;
        upsert(&store, hit, 7..9)?;
        let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()))?;
        assert!(report.findings.is_empty(), "{what}: {:?}", report.findings);
        store.close()?;
        assert_eq!(Store::open_with(env, Options::default())?.len(hit)?, 9, "{what}");
    }
    Ok(())
}

#[test]
fn of_two_collections_of_one_name_neither_is_shown_whichever_schema_was_changed() -> Result<()> {
    for is_lower in [true, false] {
        let (env, whole, hit) = made()?;
        let (changed, name) = if is_lower { (whole, "hit") } else { (hit, "whole") };
        let (before, manifest) = change_schema(&env, changed, |before| named(name, before));
        let store = Store::open_with(env.clone(), Options::default())?;
        for id in [whole, hit] {
            let error = store.get(id, "0").expect_err("it is not known which of them it is");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(&manifest), "{error}");
        }
        assert_eq!((store.collection_names()?, store.collection_id(name)?), (vec![], None));
        assert!(!store.drop_collection(name)?, "no name is theirs");
        let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()))?;
        let found = report.findings.iter().map(|found| found.collection).collect::<Vec<_>>();
        assert_eq!(found, [Some(whole), Some(hit)], "{:?}", report.findings);
        assert!(report.findings.iter().all(|found| found.file == manifest_name(&env)));
        drop(store);
        let (store, lost) = Store::open_salvage_with(env.clone(), Options::default())?;
        assert!(lost.iter().all(|error| error.to_string().contains("manifest-")), "{lost:?}");
        let into = Env::memory();
        let report = store.salvage_to(into, Options::default(), |_| ControlFlow::Continue(()))?;
        assert_eq!((report.collections, report.rows), (0, 0));
        let lost: Vec<_> =
            report.losses.iter().map(|loss| (loss.collection, loss.rows_at_most)).collect();
        // Of the second, two records in the log change the schema.
        assert_eq!(lost, [(whole, 6), (hit, 9)], "{:?}", report.losses);
        drop(store);
        change_schema(&env, changed, |_| before);
        let store = Store::open_with(env, Options::default())?;
        assert_eq!(store.collection_names()?, ["struck", "whole"]);
        assert_eq!((store.len(hit)?, store.len(whole)?), (7, 6));
    }
    Ok(())
}

#[test]
fn a_collection_whose_rename_cannot_be_read_leaves_its_name_to_the_one_that_took_it() -> Result<()>
{
    let (env, whole, hit) = made()?;
    let store = Store::open_with(env.clone(), Options::default())?;
    let taker = store.create_collection("hit", schema())?;
    upsert(&store, taker, 0..3)?;
    drop(store);
    // Known by its id alone, it has its rename parked.
    let (before, _) = change_schema(&env, hit, changes()[0].1);
    let store = Store::open_with(env.clone(), Options::default())?;
    store.checkpoint()?;
    store.close()?;
    change_schema(&env, hit, |_| before);
    let parked = parked_name(&env);
    let intact = read(&env, &parked);
    replace(&env, &parked, &intact[..intact.len() / 2]);

    let store = Store::open_with(env.clone(), Options::default())?;
    assert_eq!(store.collection_id("hit")?, Some(taker));
    assert_eq!((store.len(taker)?, store.len(whole)?), (3, 6));
    let error = store.get(hit, "0").expect_err("its name is another's");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    upsert(&store, taker, 3..4)?;
    store.checkpoint()?;
    store.close()?;
    replace(&env, &parked, &intact);
    let store = Store::open_with(env, Options::default())?;
    assert_eq!(store.collection_names()?, ["hit", "struck", "whole"]);
    assert_eq!((store.len(taker)?, store.len(hit)?), (4, 7));
    Ok(())
}

#[test]
fn the_last_id_is_not_given_since_nothing_could_be_published_behind_it() -> Result<()> {
    let (env, whole, _) = made()?;
    change_manifest(&env, |manifest| manifest.next_collection = CollectionId(NUMBER_MAX - 1));
    let store = Store::open_with(env.clone(), Options::default())?;
    upsert(&store, whole, 6..8)?;
    let refused = store.create_collection("one-too-many", schema()).expect_err("no id is left");
    assert_eq!(refused.kind(), ErrorKind::TooLarge, "{refused}");
    store.checkpoint()?;
    store.close()?;
    assert_eq!(Store::open_with(env, Options::default())?.len(whole)?, 8);
    Ok(())
}

#[test]
fn a_merge_that_finds_the_numbers_used_up_takes_no_collection_for_damaged() -> Result<()> {
    let (env, whole, _) = made()?;
    let store = Store::open_with(env.clone(), Options::default())?;
    store.checkpoint()?;
    store.close()?;
    change_manifest(&env, |manifest| manifest.next_file = FileId(NUMBER_MAX - 1));
    let store = Store::open_with(env, Options::default())?;
    for error in [
        store.compact().expect_err("no file is left"),
        store.upsert(whole, "x", &[0.0, 0.0], b"").expect_err("no log is left"),
    ] {
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    assert!(store.stats()?.damaged.is_empty());
    assert_eq!(store.len(whole)?, 6);
    Ok(())
}

/// The file that holds parked records, of which there is one.
fn parked_name(env: &Env) -> String {
    let listed = env.vfs.read_dir(&env.dir, Location::caller()).expect("memory");
    let mut parked = listed.into_iter().filter(|entry| entry.name.starts_with("parked-"));
    parked.next().expect("it is there").name
}

/// [`made`], with what the log held of the second collection parked: LSNs 11 to 15.
fn made_parked() -> Result<(Env, CollectionId, CollectionId)> {
    let (env, whole, hit) = made()?;
    let (before, _) = change_schema(&env, hit, changes()[0].1);
    let store = Store::open_with(env.clone(), Options::default())?;
    store.checkpoint()?;
    store.close()?;
    change_schema(&env, hit, |_| before);
    Ok((env, whole, hit))
}

/// What a salvage copies, and what it counts as lost of each collection.
fn salvaged(env: &Env) -> Result<(u64, Vec<(CollectionId, u64)>)> {
    let (store, _) = Store::open_salvage_with(env.clone(), Options::default())?;
    let into = Env::memory();
    let report = store.salvage_to(into, Options::default(), |_| ControlFlow::Continue(()))?;
    let lost = report.losses.iter().map(|loss| (loss.collection, loss.rows_at_most));
    Ok((report.rows, lost.collect()))
}

#[test]
fn a_salvage_counts_parked_records_that_are_not_in_memory() -> Result<()> {
    let (env, whole, hit) = made_parked()?;
    let (before, _) = change_schema(&env, whole, |before| named("struck", before));
    assert_eq!(salvaged(&env)?, (0, vec![(whole, 6), (hit, 4 + 5)]), "discarded: a name clashes");
    change_schema(&env, whole, |_| before);
    assert_eq!(salvaged(&env)?, (6 + 7, vec![]));
    let parked = parked_name(&env);
    let intact = read(&env, &parked);
    replace(&env, &parked, &intact[..intact.len() / 2]);
    assert_eq!(salvaged(&env)?, (6 + 4, vec![(hit, 5)]), "not read");
    Ok(())
}
