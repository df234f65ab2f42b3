//! Stores under a master key, one of whose key files is the input.
//!
//! The first byte says which key file (its lowest bit: of the collection with the rows that the log has,
//! or with those of a segment) and what the rest is: 0 the file as it is, 2 the file with its identity and
//! checksum mended, 4 a key, which is sealed under the master key as if it were that of the collection.
//!
//! - U1. What a collection shows is what was written to it, or it is refused: no key file makes other rows
//!   of it, not even one that an attacker sealed who has the master key.
//! - U2. What is refused is found by a verification as well, also where only the log knows the collection; and
//!   nothing else is.
//! - U3. A key file is its own collection's matter: the other one shows all of its rows, takes writes, and
//!   shows them behind another opening.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use quiver_store::ids::{CollectionId, KeyId, StoreId};
use quiver_store::key_file::{KEY_FILE_SIZE_BYTES, KeyIdentity, encode};
use quiver_store::{
    AesGcmCodec, Descriptor, DistanceMetric, Dtype, Env, EnvelopeKeyRing, Error, ErrorKind, Key,
    Record, Result, Store, VerifyOptions,
};

use crate::answers::is_same;
use crate::keyfile_decode::mend;
use crate::template::{Files, empty_plain, env_of_files, files_of, options};

const MASTER: [u8; 32] = [7; 32];

/// The collections: one is in the log, the other in a segment.
const NAMES: [&str; 2] = ["logged", "sealed"];

const ROWS: [&str; 3] = ["a", "b", "c"];

/// What the rest of the input is.
const AS_IT_IS: u8 = 0;
const MENDED: u8 = 2;
const A_KEY: u8 = 4;

/// A store, and what is known of it.
struct Known {
    files: Files,
    /// Of each collection: its number, the name of its key file, and whose that is.
    collections: [(CollectionId, String, KeyIdentity); 2],
}

/// See the module.
pub(crate) fn body(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let known = known();
    let struck = usize::from(choice & 1);
    let (_, name, identity) = &known.collections[struck];
    let file = key_file(choice & !1, rest, identity);
    let is_its_own = file == *known.files[name];
    let env = env_with_keys(|| env_of_files(&known.files, &[(name, &file)]));
    let store =
        Store::open_with(env.clone(), options()).expect("a data key is a collection's matter");
    let has_findings = has_findings(&store, name);
    let shows = shows_what_was_written(&store, struck);
    assert!(shows || !is_its_own, "refused with its own key");
    assert_eq!(
        shows, !has_findings,
        "what an open refuses, and nothing else, a verification finds"
    );
    let other = 1 - struck;
    assert!(shows_what_was_written(&store, other), "{} has its key", NAMES[other]);
    let id = known.collections[other].0;
    store.upsert(id, "d", &[9.0], b"").expect("it has its key");
    store.checkpoint().expect("memory takes all");
    assert_eq!(store.close().map_err(|error| error.kind()), Ok(()));
    let store = Store::open_with(env, options()).expect("the engine wrote it");
    assert_eq!(store.len(id).expect("it has its key"), 4);
    assert_eq!(shows_what_was_written(&store, struck), shows, "another opening changed it");
}

/// The key file that an input is.
fn key_file(choice: u8, rest: &[u8], identity: &KeyIdentity) -> Vec<u8> {
    if choice & A_KEY != 0 {
        let mut key = [0; 32];
        let len = rest.len().min(key.len());
        key[..len].copy_from_slice(&rest[..len]);
        let master = AesGcmCodec::new(Key::from_bytes(MASTER));
        return encode(identity, &master, &Key::from_bytes(key)).expect("it never fails").to_vec();
    }
    if choice & MENDED == AS_IT_IS {
        return rest.to_vec();
    }
    let mut file = [0; KEY_FILE_SIZE_BYTES];
    let len = rest.len().min(file.len());
    file[..len].copy_from_slice(&rest[..len]);
    let own = &known().files[&format!("key-{}.key", identity.key)];
    file[..48].copy_from_slice(&own[..48]);
    mend(&mut file);
    file.to_vec()
}

/// Whether a verification finds anything. What it finds says what it is about.
fn has_findings(store: &Store, key: &str) -> bool {
    let report = store.verify(VerifyOptions::default(), |_| ControlFlow::Continue(()));
    let report = report.expect("findings are no error of the verification");
    report.findings.iter().for_each(|finding| says_where(&finding.error, key));
    !report.findings.is_empty()
}

/// Whether the collection shows its rows (U1); else every way of asking for them is refused.
fn shows_what_was_written(store: &Store, place: usize) -> bool {
    let (id, key, _) = &known().collections[place];
    let shown = store.scan(*id).and_then(|rows| rows.collect::<Result<Vec<_>>>());
    match shown {
        Ok(rows) => {
            let written = written(place);
            let known = rows.iter().filter(|(row, _)| row != "d").collect::<Vec<_>>();
            assert_eq!(known.len(), ROWS.len(), "{rows:?}");
            for ((row, record), (expected, of_it)) in known.into_iter().zip(&written) {
                assert!(row == expected && is_same(record, of_it), "{row:?}: {record:?}");
            }
            true
        }
        Err(error) => {
            says_where(&error, key);
            for refused in
                [store.get(*id, ROWS[0]).map(drop), store.upsert(*id, "e", &[0.0], b"").map(drop)]
            {
                if let Err(error) = refused {
                    says_where(&error, key);
                }
            }
            false
        }
    }
}

/// What is wrong is the key, or what does not open under it.
fn says_where(error: &Error, key: &str) {
    let text = error.to_string();
    let expected = [ErrorKind::Corrupt, ErrorKind::KeyUnavailable, ErrorKind::Unsupported];
    assert!(expected.contains(&error.kind()), "{error:?}");
    let names = [key, "segment-", "wal-", "collection"];
    assert!(names.iter().any(|name| text.contains(name)), "{error:?} does not say where");
}

fn written(place: usize) -> Vec<(String, Record)> {
    let of = |(row, number): (&&str, u8)| {
        let vector = vec![f32::from(number) + 0.5];
        let payload = NAMES[place].as_bytes().to_vec();
        (row.to_string(), Record { vector, payload })
    };
    ROWS.iter().zip(0..).map(of).collect()
}

fn env_with_keys(env: impl FnOnce() -> Env) -> Env {
    env().with_keyring(Arc::new(EnvelopeKeyRing::new(Key::from_bytes(MASTER))))
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| make().expect("memory takes all"))
}

fn make() -> Result<Known> {
    let env = env_with_keys(empty_plain);
    let store = Store::open_with(env.clone(), options())?;
    let mut made = Vec::new();
    // The sealed one first.
    for place in [1, 0] {
        let before = files_of(&env);
        let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
        let id = store.create_collection(NAMES[place], schema)?;
        let is_its_key = |name: &&String| name.starts_with("key-") && !before.contains_key(*name);
        let files = files_of(&env);
        let name = files.keys().find(is_its_key).expect("each has one").clone();
        made.insert(0, (id, name.clone(), identity_of(&files[&name])));
        for (row, record) in written(place) {
            store.upsert(id, &row, &record.vector, &record.payload)?;
        }
        if place == 1 {
            store.checkpoint()?;
        }
    }
    drop(store);
    let files = files_of(&env);
    Ok(Known { files, collections: made.try_into().expect("two of them") })
}

/// Whose a whole key file is.
fn identity_of(file: &[u8]) -> KeyIdentity {
    let sixteen = |at: usize| file[at..at + 16].try_into().expect("sixteen bytes");
    let collection = u64::from_le_bytes(file[40..48].try_into().expect("eight bytes"));
    KeyIdentity {
        store: StoreId(sixteen(8)),
        key: KeyId(sixteen(24)),
        collection: CollectionId(collection),
    }
}

/// Each key file as it is, under the master key of another, and as another key.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let known = known();
    let mut seeds = Vec::new();
    for (place, name) in NAMES.iter().enumerate() {
        let which = u8::try_from(place).expect("two of them");
        let file = &known.files[&known.collections[place].1];
        let other = &known.files[&known.collections[1 - place].1];
        seeds.push((format!("{name}-as-it-is"), [&[which | AS_IT_IS], &file[..]].concat()));
        seeds.push((format!("{name}-mended"), [&[which | MENDED], &file[..]].concat()));
        seeds.push((format!("{name}-of-the-other"), [&[which | MENDED], &other[..]].concat()));
        seeds.push((format!("{name}-another-key"), [&[which | A_KEY], &MASTER[..]].concat()));
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise nothing behind a key would be reached.
    #[test]
    fn own_key_files_open_their_collections_and_no_others_do() {
        let mut shown = Vec::new();
        for (name, seed) in seeds() {
            body(&seed);
            let struck = usize::from(seed[0] & 1);
            let (_, key, identity) = &known().collections[struck];
            let file = key_file(seed[0] & !1, &seed[1..], identity);
            let env = env_with_keys(|| env_of_files(&known().files, &[(key, &file)]));
            let store = Store::open_read_only_with(env, options()).expect("there are others");
            if shows_what_was_written(&store, struck) {
                shown.push(name);
            }
        }
        assert_eq!(shown, ["logged-as-it-is", "logged-mended", "sealed-as-it-is", "sealed-mended"]);
    }
}
