//! An index snapshot and its recovery tail make up the live rows, wherever a store was stopped.

use std::collections::BTreeMap;

use quiver_store::limits::INDEX_SNAPSHOT_BYTES_MAX;
use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, Lsn, Options, RecoveryTail,
    Result, Store,
};

/// An index that keeps whole vectors, by id.
type Index = BTreeMap<String, f32>;

fn open(env: &Env) -> Result<Store> {
    let options = Options { memtable_bytes_max: 4096, merge_factor: 2, ..Options::default() };
    Store::open_with(env.clone(), options)
}

fn schema() -> Descriptor {
    Descriptor::new(1, Dtype::F32, DistanceMetric::L2)
}

fn build(store: &Store, id: CollectionId) -> Result<(Index, Lsn)> {
    let vectors = store.capture_vector_source(id)?;
    Ok((vectors.iter().map(|(id, vector)| (id, vector[0])).collect(), vectors.lsn()))
}

fn encode(index: &Index) -> Vec<u8> {
    let line = |(id, value): (&String, &f32)| format!("{id} {value}\n");
    index.iter().map(line).collect::<String>().into_bytes()
}

fn decode(bytes: &[u8]) -> Index {
    let text = std::str::from_utf8(bytes).expect("ours");
    let entry = |line: &str| {
        let (id, value) = line.split_once(' ').expect("ours");
        (id.to_owned(), value.parse().expect("ours"))
    };
    text.lines().map(entry).collect()
}

/// The index as its snapshot has it, brought up to date; nothing where it has to be built again.
fn restore(store: &Store, id: CollectionId) -> Result<Option<Index>> {
    let Some((bytes, covered)) = store.read_index_snapshot(id)? else { return Ok(None) };
    let mut index = decode(&bytes);
    let RecoveryTail::Changes { since, upserts, deleted } = store.recovery_tail(id)? else {
        return Ok(None);
    };
    assert_eq!(since, covered);
    index.extend(upserts.into_iter().map(|(id, row)| (id, row.vector[0])));
    index.retain(|id, _| !deleted.contains(id));
    Ok(Some(index))
}

#[test]
fn snapshot_and_tail_make_up_the_live_rows_wherever_a_store_is_stopped() -> Result<()> {
    let env = Env::memory();
    let mut store = open(&env)?;
    let id = store.create_collection("rows", schema())?;
    let mut random: u64 = 3;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    let (mut restored, mut rebuilt, mut kept) = (0, 0, None);
    for step in 0..6000_u64 {
        let row = format!("row-{:04}", draw(2000));
        match draw(3) {
            0 => drop(store.delete(id, &row)?),
            _ => drop(store.upsert(id, &row, &[step as f32], b"")?),
        }
        match draw(200) {
            0 => store.checkpoint()?,
            1 => store.compact()?,
            // Handed over late, as an index is that takes long to build.
            2 => kept = Some(build(&store, id)?),
            3 | 4 => {
                if let Some((index, covered)) = kept.take() {
                    let index = encode(&index);
                    store.checkpoint_with_index_snapshots(&[(id, &index, covered)])?;
                }
            }
            5 => {
                if draw(2) == 0 {
                    store.close()?;
                } else {
                    drop(store);
                }
                store = open(&env)?;
            }
            6..12 => match restore(&store, id)? {
                Some(index) => {
                    assert_eq!(index, build(&store, id)?.0, "at step {step}");
                    restored += 1;
                }
                None => rebuilt += 1,
            },
            _ => {}
        }
    }
    assert!(restored > 20 && rebuilt > 5, "{restored} restored, {rebuilt} to be built again");
    Ok(())
}

#[test]
fn a_failed_or_wrong_call_keeps_what_was_there() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("rows", schema())?;
    assert_eq!(store.read_index_snapshot(id)?, None);
    assert_eq!(store.recovery_tail(id)?, RecoveryTail::Rebuild);
    let lsn = store.upsert(id, "x", &[1.0], b"")?;
    store.checkpoint_with_index_snapshots(&[(id, b"", lsn)])?;
    assert_eq!(store.read_index_snapshot(id)?, Some((Vec::new(), lsn)));
    let nobody = CollectionId(77);
    for (snapshots, kind) in [
        (vec![(id, &b"new"[..], lsn), (nobody, &b"new"[..], lsn)], ErrorKind::NotFound),
        (vec![(id, &b"new"[..], Lsn(lsn.value() + 1))], ErrorKind::InvalidArgument),
        (vec![(id, &b"new"[..], lsn), (id, &b"other"[..], lsn)], ErrorKind::InvalidArgument),
    ] {
        let error = store.checkpoint_with_index_snapshots(&snapshots).expect_err("refused");
        assert_eq!(error.kind(), kind);
        assert_eq!(store.read_index_snapshot(id)?, Some((Vec::new(), lsn)), "all or none");
    }
    store.drop_collection("rows")?;
    assert_eq!(store.recovery_tail(id).expect_err("dropped").kind(), ErrorKind::NotFound);
    store.checkpoint()?;
    let files = store.stats()?.files;
    assert!(!files.iter().any(|name| name.starts_with("index-")), "{files:?}");
    Ok(())
}

#[test]
fn a_large_index_snapshot_reads_back() -> Result<()> {
    let env = Env::memory();
    let store = open(&env)?;
    let id = store.create_collection("rows", schema())?;
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(3_000_001).collect();
    let lsn = store.upsert(id, "x", &[1.0], b"")?;
    store.checkpoint_with_index_snapshots(&[(id, &bytes, lsn)])?;
    drop(store);
    assert_eq!(open(&env)?.read_index_snapshot(id)?, Some((bytes, lsn)));
    Ok(())
}

#[test]
fn an_index_snapshot_beyond_its_bound_is_refused_unread() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("rows", schema())?;
    let lsn = store.upsert(id, "x", &[1.0], b"")?;
    store.checkpoint_with_index_snapshots(&[(id, b"old", lsn)])?;
    let version = store.manifest_version()?;
    // Zeroed memory that nobody touches takes none: what is refused is refused by its length.
    let bytes = vec![0; INDEX_SNAPSHOT_BYTES_MAX + 1];
    let error = store.checkpoint_with_index_snapshots(&[(id, &bytes, lsn)]).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let expected = "index snapshot of 1073741825 bytes, expected at most 1073741824";
    assert_eq!(error.to_string(), expected);
    assert_eq!(store.manifest_version()?, version, "nothing was published");
    assert_eq!(store.read_index_snapshot(id)?, Some((b"old".to_vec(), lsn)));
    Ok(())
}
