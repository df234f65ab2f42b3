//! The seeds of the corpus, made by real stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::codec::{PageCodec, PlainCodec};
use quiver_store::file_names::FileName;
use quiver_store::limits::{
    FIELD_PATH_BYTES_MAX, FIELD_PATH_DEPTH_MAX, FILTERABLE_FIELDS_MAX, SECTOR_SIZE_BYTES,
};
use quiver_store::manifest::current::Current;
use quiver_store::page::{PAGE_HEADER_SIZE_BYTES, offsets};
use quiver_store::wal::frame::FrameHeader;
use quiver_store::wal::header::LOG_HEADER_SIZE_BYTES;
use quiver_store::{
    AesGcmCodec, Descriptor, DistanceMetric, Dtype, EnvelopeKeyRing, FilterableField, IndexKind,
    IndexSpec, Key, Request, Result, Store, VectorEncryption, WriteBatch,
};

use crate::template::{Files, Known, empty, files_of, options};
use crate::{
    changes_decode, import, keyfile_open, logs, manifest_decode, parked_decode, sections,
    segment_open, segment_pages, store_ops, tombstones_decode,
};

/// Inputs of one target: name and bytes.
type Seeds = Vec<(String, Vec<u8>)>;

/// The folder of a target in the corpus of this repository.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/fuzz").join(target)
}

/// Every seed of a target that is made here.
pub fn of(target: &str) -> Seeds {
    match target {
        "page_decode" => pages(),
        "wal_decode" => frames(),
        "log_replay" => log_files(),
        "manifest_decode" => manifests(),
        "keyfile_open" => keyfile_open::seeds(),
        "segment_open" => segment_open::seeds(),
        "segment_pages" => segment_pages::seeds(),
        "tombstones_decode" => tombstones_decode::seeds(),
        "changes_decode" => changes_decode::seeds(),
        "parked_decode" => parked_decode::seeds(),
        "sec_decode" => segment_open::index_seeds(),
        "descriptor_decode" => descriptors(),
        "payload_fields" => payloads(),
        "predicate" => predicates(),
        "import" => import::seeds(),
        "store_ops" => store_ops::seeds(),
        // Key files and names do not change: theirs are in the corpus already.
        _ => Vec::new(),
    }
}

/// Bytes without the zeros at their end, which a body puts back.
fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..len].to_vec()
}

/// The files of a store that did a little of everything.
fn store_of(codec: Arc<dyn PageCodec>) -> (Files, Vec<Vec<u8>>) {
    let env = empty(&codec);
    written(env, &codec).expect("memory takes all")
}

fn written(env: quiver_store::Env, _: &Arc<dyn PageCodec>) -> Result<(Files, Vec<Vec<u8>>)> {
    let store = Store::open_with(env.clone(), options())?;
    sections::fill(&store)?;
    let id = store.collection_id("c")?.expect("just created");
    let other = Descriptor::new(1, Dtype::U8, DistanceMetric::Dot);
    let other = store.create_collection("grain", other)?;
    store.rename_collection("grain", "seeds")?;
    store.add_filterable("seeds", FilterableField::keyword("kind"))?;
    let mut batch = WriteBatch::new();
    batch.upsert(other, "poppy", &[3.0], b"{}").delete(id, "row-03");
    store.write(batch)?;
    store.submit(Request::DropCollection { name: "seeds".into() })?;
    let mut batch = WriteBatch::new();
    batch.upsert(id, "row-03", &[4.0, 5.0], b"null");
    store.submit(batch)?;
    store.drive()?;
    // A log that was not closed would be written again, in part, into the next one.
    store.close()?;
    let mut logs = vec![log_of(&env)];
    // The next process writes a log of its own.
    let store = Store::open_with(env.clone(), options())?;
    store.delete(id, "row-01")?;
    logs.push(log_of(&env));
    store.checkpoint()?;
    store.delete(id, "row-02")?;
    let covered = store.snapshot()?.lsn();
    store.checkpoint_with_index_snapshots(&[(id, b"graph", covered)])?;
    store.close()?;
    Ok((files_of(&env), logs))
}

/// The newest log of a store, up to where it was written.
fn log_of(env: &quiver_store::Env) -> Vec<u8> {
    let files = files_of(env);
    let mut logs =
        files.iter().filter(|(name, _)| matches!(FileName::parse(name), Some(FileName::Log(..))));
    let (_, bytes) = logs.next_back().expect("an open store has one");
    trimmed(bytes)
}

/// Each frame of the logs, and their headers.
fn frames() -> Seeds {
    let mut seeds = Vec::new();
    let codecs: [(&str, Arc<dyn PageCodec>); 2] =
        [("", Arc::new(PlainCodec)), ("sealed-", Arc::new(Known))];
    for (prefix, codec) in codecs {
        let (_, logs) = store_of(codec);
        let log = &logs[0];
        seeds.push((format!("{prefix}header"), trimmed(&log[..LOG_HEADER_SIZE_BYTES])));
        let (mut at, mut number) = (LOG_HEADER_SIZE_BYTES, 0);
        while let Some(header) = log.get(at..).and_then(FrameHeader::plausible) {
            let Some(frame) = log.get(at..at + header.len) else { break };
            seeds.push((format!("{prefix}frame-{number:02}"), frame.to_vec()));
            at += header.len;
            if header.ends_group {
                at = at.next_multiple_of(SECTOR_SIZE_BYTES);
            }
            number += 1;
        }
    }
    seeds
}

fn log_files() -> Seeds {
    let mut seeds = Vec::new();
    let codecs: [(&str, Arc<dyn PageCodec>); 2] =
        [("", Arc::new(PlainCodec)), ("sealed-", Arc::new(Known))];
    for (prefix, codec) in codecs {
        let (_, logs) = store_of(Arc::clone(&codec));
        let pieces: Vec<&[u8]> = logs.iter().map(|log| &log[..]).collect();
        let first = logs::as_seed(Arc::clone(&codec), &pieces[..1]);
        seeds.push((format!("{prefix}file"), first));
        seeds.push((format!("{prefix}two-files"), logs::as_seed(codec, &pieces)));
    }
    seeds
}

fn manifests() -> Seeds {
    let (files, _) = store_of(Arc::new(PlainCodec));
    let current = Current::decode(&files["CURRENT"]).expect("just written");
    let name = FileName::Manifest(current.version, current.salt.into()).text();
    let len = files[&name][offsets::PAYLOAD_LEN..][..4].try_into().expect("four bytes");
    let len = u32::from_le_bytes(len) as usize;
    let content = files[&name][PAGE_HEADER_SIZE_BYTES..][..len].to_vec();
    let mut seeds = manifest_decode::seeds();
    seeds.push(("of-a-store".to_owned(), content));
    seeds.push(("current-of-a-store".to_owned(), files["CURRENT"].to_vec()));
    seeds
}

fn pages() -> Seeds {
    let key = Key::from_bytes([7; 32]);
    let sealed: Arc<dyn PageCodec> = Arc::new(AesGcmCodec::new(key.clone()));
    let mut seeds = Vec::new();
    let ring = Arc::new(EnvelopeKeyRing::new(key));
    let envelope = empty(&(Arc::new(PlainCodec) as Arc<dyn PageCodec>)).with_keyring(ring);
    let envelope = written(envelope, &sealed).expect("memory takes all");
    for (prefix, (files, _)) in [("", store_of(Arc::new(PlainCodec))), ("sealed-", envelope)] {
        for (name, bytes) in &files {
            let is_paged = bytes.starts_with(&quiver_store::page::PAGE_MAGIC);
            let kind = name.split('-').next().unwrap_or_default();
            let pages = bytes.chunks(quiver_store::limits::PAGE_SIZE_BYTES).take(2).zip(0..);
            for (page, index) in pages.filter(|_| is_paged) {
                let page = trimmed(page);
                // A sealed page has no zeros to leave out: what counts is in front.
                let page = page[..page.len().min(1024)].to_vec();
                seeds.push((format!("{prefix}{kind}-{index}"), page));
            }
        }
    }
    seeds
}

fn descriptors() -> Seeds {
    let plain = Descriptor::new(3, Dtype::F32, DistanceMetric::Cosine);
    let full = Descriptor::new(64, Dtype::Binary, DistanceMetric::L2)
        .with_index(IndexSpec { kind: IndexKind::Ivf, pq_subspaces: Some(8), binary: true })
        .with_filterable(sections::fields())
        .with_multivector(true)
        .with_vector_encryption(VectorEncryption::Dcpe);
    let mut seeds = vec![("plain".to_owned(), plain.encode()), ("full".to_owned(), full.encode())];
    // What nobody could have declared.
    let paths = [
        ("path-escapes-nothing", r"a\b".to_owned()),
        ("path-too-deep", ["a"; FIELD_PATH_DEPTH_MAX + 1].join(".")),
        ("path-too-long", "a".repeat(FIELD_PATH_BYTES_MAX + 1)),
    ];
    for (name, path) in paths {
        let one = Descriptor::new(3, Dtype::F32, DistanceMetric::L2);
        let one = one.with_filterable([FilterableField::keyword(path)]);
        seeds.push((name.to_owned(), one.encode()));
    }
    let many =
        (0..=FILTERABLE_FIELDS_MAX).map(|number| FilterableField::boolean(format!("{number:03}")));
    let many = Descriptor::new(3, Dtype::F32, DistanceMetric::L2).with_filterable(many);
    seeds.push(("too-many-fields".to_owned(), many.encode()));
    seeds
}

fn payloads() -> Seeds {
    let more = [
        r#"{"a":{"b":[1,"x",true,null,{"c":2}]},"a.b":"dotted"}"#,
        r#"{"k":"\ud83e\udd80","n":[0.1,-0,1E400],"b":[]}"#,
        r#"{"k":"half \ud800","k":"twice"}"#,
        r#"[{"k":"no object"}]"#,
        r#"{"n":9007199254740993,"n ":1}"#,
    ];
    let all = sections::PAYLOADS.iter().chain(&more).zip(0..);
    all.map(|(payload, number)| (format!("{number:02}.json"), payload.as_bytes().to_vec()))
        .collect()
}

/// Bytes whose meaning is drawn: what matters is that there are enough of them.
fn predicates() -> Seeds {
    (0_u8..12)
        .map(|seed| {
            let mut stream = quiver_sim::stream::Stream::new(seed.into());
            let bytes = (0..24 + 8 * usize::from(seed)).map(|_| stream.draw().to_le_bytes()[0]);
            (format!("drawn-{seed:02}"), bytes.collect())
        })
        .collect()
}
