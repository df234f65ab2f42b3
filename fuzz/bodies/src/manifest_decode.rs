//! Manifests and `CURRENT`: by themselves, and as a store that is opened.
//!
//! The input is `CURRENT`, of which the end may be missing; the content of a manifest; what a manifest
//! is made from; and the content of the manifest of a store, whose checksums are made to hold.
//!
//! - M1. What opens answers as any other store does (N1 to N3).
//! - M2. It takes a write or refuses it with an error that says why; and what it shows then is shown behind a
//!   checkpoint and another opening as well.
//! - M3. What does not open is refused by an error that names a file; and a salvage copies what there is.

use std::sync::{Arc, OnceLock};

use quiver_store::codec::PlainCodec;
use quiver_store::manifest::Manifest;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, Error, ErrorKind, Result, Store,
};

use crate::template::{Template, options};
use crate::{answers, errors, headers, manifests, rescues, sections};

/// Where an error may say that it is: every path starts so, and what stands in a manifest names it.
const NAMES: [&str; 2] = ["/store", "manifest"];

/// The most elements of a vector that is written: longer ones are not worth their memory.
const DIMENSION_WRITTEN_MAX: u32 = 4096;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    headers::current(input);
    manifests::content(input);
    if let Ok(manifest) = Manifest::decode(input) {
        opens_or_is_refused(&manifest, input);
    }
}

/// Two collections: one with a segment of which rows are dead, and an index snapshot with what changed since;
/// the other with a segment.
fn fill(store: &Store) -> Result<()> {
    sections::fill(store)?;
    let id = store.collection_id("c")?.expect("just created");
    store.checkpoint_with_index_snapshots(&[(id, b"graph", store.snapshot()?.lsn())])?;
    store.delete(id, "row-02")?;
    let other = Descriptor::new(1, Dtype::F32, DistanceMetric::Dot);
    let other = store.create_collection("grain", other)?;
    for row in ["millet", "oats", "poppy"] {
        store.upsert(other, row, &[3.0], b"{}")?;
    }
    Ok(())
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), fill))
}

/// A store whose manifest names what is not there, or what is not what it says.
fn opens_or_is_refused(manifest: &Manifest, input: &[u8]) {
    let env = template().env_of_content(manifest, input, &[]);
    match Store::open_read_only_with(env.clone(), options()) {
        Ok(store) => drop(answers::check(&store, &NAMES)),
        Err(error) if error.kind() == ErrorKind::KeyUnavailable => return,
        Err(error) => {
            errors::check_names(&error, &NAMES);
            let salvaged = Store::open_salvage_with(env.clone(), options());
            let (store, lost) = salvaged.expect("the manifest is one");
            assert!(!lost.is_empty(), "salvaged without a loss, and refused: {error:?}");
            lost.iter().for_each(|error| errors::check_names(error, &NAMES));
            rescues::check(&store, &NAMES);
        }
    }
    match Store::open_with(env.clone(), options()) {
        Ok(store) => is_written_and_shows_the_same(store, env),
        Err(error) => errors::check_names(&error, &NAMES),
    }
}

/// M2.
fn is_written_and_shows_the_same(store: Store, env: Env) {
    for name in store.collection_names().expect("the store is open") {
        let Some(id) = store.collection_id(&name).expect("the store is open") else { continue };
        let before = store.len(id);
        match upsert(&store, id) {
            Ok(()) => {
                assert!(store.get(id, "~~").expect("just written").is_some());
                assert_eq!(store.len(id).ok(), before.ok().map(|len| len + 1), "{name}");
            }
            Err(error) => is_refused_clearly(&error),
        }
    }
    let created = store.create_collection("~", Descriptor::new(1, Dtype::U8, DistanceMetric::L2));
    let sealed = created.map(drop).and_then(|()| store.checkpoint());
    let sealed = sealed.inspect_err(is_refused_clearly).is_ok();
    let shown = answers::show(&store);
    let closed = store.close();
    if let Err(error) = &closed {
        is_refused_clearly(error);
    }
    let again = Store::open_with(env, options());
    let again = match again {
        Err(error) if !sealed => return is_refused_clearly(&error),
        again => again.expect("the engine wrote it"),
    };
    match (shown, answers::show(&again)) {
        (Ok(shown), Ok(again)) => assert_eq!(shown, again, "another opening changed it"),
        (Err(shown), Err(again)) => assert_eq!(shown.kind(), again.kind()),
        (shown, again) => panic!("{shown:?}, and behind another opening {again:?}"),
    }
    answers::check(&again, &NAMES);
}

/// Writes a row of as many elements as its collection has.
fn upsert(store: &Store, id: CollectionId) -> Result<()> {
    let dimension = store.descriptor(id)?.dim.min(DIMENSION_WRITTEN_MAX);
    store.upsert(id, "~~", &vec![1.0; dimension as usize], b"").map(drop)
}

/// A write may ask for more than the descriptor of an input takes; else its files are to blame.
fn is_refused_clearly(error: &Error) {
    if !matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::TooLarge) {
        errors::check(error);
    }
    assert!(error.to_string().len() >= 8, "{error:?} says nothing");
}

/// The manifest of the store, and others of it: without a schema, with the name of the other collection, and
/// without one of the segments.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let own = &template().manifest;
    let mut seeds = Vec::new();
    let mut add = |name: &str, change: fn(&mut Manifest)| {
        let mut manifest = own.clone();
        change(&mut manifest);
        seeds.push((name.to_owned(), manifest.encode(&PlainCodec).expect("plain")));
    };
    add("template", |_| {});
    add("schema-that-is-none", |manifest| {
        Arc::make_mut(&mut manifest.collections[1].schema).bytes.truncate(7);
    });
    add("two-of-one-name", |manifest| {
        let first = Arc::clone(&manifest.collections[0].schema);
        manifest.collections[1].schema = first;
    });
    add("name-that-is-none", |manifest| {
        Arc::make_mut(&mut manifest.collections[0].schema).bytes[5] = b'/';
    });
    add("without-a-segment", |manifest| manifest.segments.truncate(1));
    add("last-numbers", |manifest| {
        manifest.next_collection.0 = (1 << 62) - 1;
        manifest.next_file.0 = (1 << 62) - 2;
    });
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise nothing behind an opening would be reached.
    #[test]
    fn the_store_of_the_template_opens_whole() {
        let template = template();
        let store = Store::open_with(template.env(&template.manifest, &[]), options());
        let shown = answers::check(&store.expect("the engine wrote it"), &[]);
        assert_eq!(shown.expect("nothing is damaged").len(), 2 + 7 + 3);
        seeds().iter().for_each(|(_, seed)| body(seed));
    }
}
