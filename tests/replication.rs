//! A follower has what its leader has, and an observer is shown each commit once, in order.

use std::collections::VecDeque;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, FilterableField, Lsn, Options,
    Result, Store, WalEntry, WalOp, WriteBatch,
};

type Entries = Arc<Mutex<VecDeque<WalEntry>>>;

fn open(env: &Env) -> Result<Store> {
    let options = Options { memtable_bytes_max: 8192, merge_factor: 2, ..Options::default() };
    Store::open_with(env.clone(), options)
}

fn schema(dtype: Dtype) -> Descriptor {
    Descriptor::new(3, dtype, DistanceMetric::Dot)
}

fn into(entries: &Entries) -> quiver_store::CommitObserver {
    let entries = Arc::clone(entries);
    Arc::new(move |entry| entries.lock().expect("no panic").push_back(entry.clone()))
}

/// All that a reader can tell two stores apart by.
fn content(store: &Store) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for name in store.collection_names()? {
        let id = store.collection_id(&name)?.expect("listed");
        lines.push(format!("{name} {id} {:?}", store.descriptor(id)?));
        for row in store.scan(id)? {
            lines.push(format!("{id} {:?}", row?));
        }
    }
    Ok(lines)
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

/// Something that a leader may do.
fn act(store: &Store, random: &mut Random) -> Result<()> {
    let name = format!("c{}", random.below(4));
    let Some(id) = store.collection_id(&name)? else {
        let dtype = match random.below(3) {
            0 => Dtype::F32,
            1 => Dtype::F16,
            _ => Dtype::I8,
        };
        let multi = random.below(2) == 0;
        return store.create_collection(&name, schema(dtype).with_multivector(multi)).map(drop);
    };
    let row = format!("row-{}", random.below(40));
    let payload = format!(r#"{{"n":{}}}"#, random.below(9));
    let vector = [1.0, 2.0, random.below(100) as f32];
    match random.below(40) {
        0 => drop(store.drop_collection(&name)?),
        1 => match store.rename_collection(&name, &format!("c{}", random.below(8))) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        },
        2 => match store.add_filterable(&name, FilterableField::numeric("n")) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        },
        3..8 => drop(store.delete(id, &row)?),
        8..12 => {
            let mut batch = WriteBatch::new();
            batch.upsert(id, &row, &vector, payload.as_bytes()).delete(id, "row-7");
            batch.upsert(id, "row-8", &vector, b"");
            store.write(batch)?;
        }
        12..15 => drop(store.update_payload(id, &row, payload.as_bytes())?),
        15..18 => drop(store.put_if_absent(id, &row, &vector, b"put")?),
        18 => store.checkpoint()?,
        19 => store.compact()?,
        _ => drop(store.upsert(id, &row, &vector, payload.as_bytes())?),
    }
    Ok(())
}

#[test]
fn a_follower_has_what_its_leader_has_however_both_are_stopped() -> Result<()> {
    let mut random = Random(5);
    let (leader_env, follower_env) = (Env::memory(), Env::memory());
    let (mut leader, mut follower) = (open(&leader_env)?, open(&follower_env)?);
    // The channel between them, which outlives both.
    let entries = Entries::default();
    leader.set_commit_observer(into(&entries))?;
    let mut shown = Lsn(0);
    let (mut caught_up, mut too_late) = (0, 0);
    for step in 0..4000 {
        act(&leader, &mut random)?;
        match random.below(60) {
            0 => {
                if random.below(3) == 0 {
                    act(&leader, &mut random)?;
                    leader.checkpoint()?;
                }
                drop(leader);
                leader = open(&leader_env)?;
                // What is on its way is lost with the leader, and shown again, if the log has it.
                let lost = std::mem::take(&mut *entries.lock().expect("no panic"));
                if let Err(error) = leader.set_commit_observer_from(shown, into(&entries)) {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    *entries.lock().expect("no panic") = lost;
                    leader.set_commit_observer(into(&entries))?;
                    too_late += 1;
                } else {
                    caught_up += 1;
                }
            }
            1 => {
                drop(follower);
                follower = open(&follower_env)?;
            }
            2 => follower.checkpoint()?,
            _ => {}
        }
        let mut batch = Vec::new();
        while let Some(entry) = entries.lock().expect("no panic").pop_front() {
            if let WalOp::Checkpoint { .. } = entry.op {
                assert!(entry.lsn <= shown);
                continue;
            }
            assert_eq!(entry.lsn, Lsn(shown.value() + 1), "each once, in order");
            shown = entry.lsn;
            batch.push(entry.op);
            if entry.ends_batch {
                follower.apply_replicated_batch(std::mem::take(&mut batch))?;
            }
        }
        assert!(batch.is_empty(), "a batch ends");
        if step % 200 == 0 {
            assert_eq!(content(&follower)?, content(&leader)?, "at step {step}");
        }
    }
    assert_eq!(content(&follower)?, content(&leader)?);
    assert!(caught_up > 20 && too_late > 0, "{caught_up} times, {too_late} times too late");
    let late = open(&Env::memory())?;
    for op in leader.replication_snapshot()? {
        late.apply_replicated(op?)?;
    }
    assert_eq!(content(&late)?, content(&leader)?, "from a snapshot");
    Ok(())
}

#[test]
fn an_operation_that_comes_again_changes_nothing() -> Result<()> {
    let (leader, follower) = (open(&Env::memory())?, open(&Env::memory())?);
    let entries = Entries::default();
    leader.set_commit_observer(into(&entries))?;
    let a = leader.create_collection("a", schema(Dtype::F32))?;
    leader.upsert(a, "x", &[1.0, 2.0, 3.0], b"")?;
    leader.add_filterable("a", FilterableField::keyword("k"))?;
    leader.add_filterable("a", FilterableField::numeric("n"))?;
    leader.create_collection("b", schema(Dtype::U8))?;
    leader.rename_collection("b", "c")?;
    leader.drop_collection("a")?;
    let entries: Vec<WalEntry> = entries.lock().expect("no panic").drain(..).collect();
    let mut tops = Vec::new();
    for round in 0..3 {
        for entry in &entries {
            let applied = follower.apply_replicated(entry.op.clone())?;
            assert_eq!(applied.is_some(), round == 0, "{entry:?} in round {round}");
        }
        assert_eq!(content(&follower)?, content(&leader)?);
        tops.push(follower.stats()?.last_lsn);
        if round == 1 {
            follower.checkpoint()?;
        }
    }
    assert!(tops.iter().all(|top| *top == tops[0]), "nothing is logged twice: {tops:?}");
    Ok(())
}

#[test]
fn what_contradicts_the_schema_is_refused_and_not_logged() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("a", schema(Dtype::F32))?;
    let before = store.stats()?.last_lsn;
    let upsert = |collection_id, external_id: &str, len: usize| WalOp::Upsert {
        collection_id,
        external_id: external_id.to_owned(),
        vector: vec![0; len],
        payload: Vec::new(),
    };
    let create = |id, name: &str, dim| WalOp::CreateCollection {
        collection_id: CollectionId(id),
        name: name.to_owned(),
        descriptor: Descriptor::new(dim, Dtype::F32, DistanceMetric::L2),
    };
    let alter = WalOp::AlterCollection { collection_id: id, descriptor: schema(Dtype::F16) };
    let rename = WalOp::RenameCollection { collection_id: id, name: "a/b".to_owned() };
    for (op, kind) in [
        (upsert(id, "x", 11), ErrorKind::InvalidArgument),
        (upsert(id, "", 12), ErrorKind::InvalidArgument),
        (upsert(CollectionId(9), "x", 12), ErrorKind::NotFound),
        (create(5, "a", 3), ErrorKind::AlreadyExists),
        (create(1, "a", 4), ErrorKind::AlreadyExists),
        (create(5, "b", 0), ErrorKind::InvalidArgument),
        (create(5, "", 3), ErrorKind::InvalidArgument),
        (create(0, "b", 3), ErrorKind::InvalidArgument),
        (create(u64::MAX, "b", 3), ErrorKind::InvalidArgument),
        (alter, ErrorKind::InvalidArgument),
        (rename, ErrorKind::InvalidArgument),
        (WalOp::DropCollection { collection_id: CollectionId(9) }, ErrorKind::NotFound),
    ] {
        let shown = format!("{op:?}");
        let error = store.apply_replicated(op).expect_err(&shown);
        assert_eq!(error.kind(), kind, "{shown}: {error}");
    }
    let mixed = vec![upsert(id, "x", 12), create(7, "g", 2)];
    let error = store.apply_replicated_batch(mixed).expect_err("of two kinds");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(store.stats()?.last_lsn, before);
    assert_eq!(content(&store)?.len(), 1);
    Ok(())
}

#[test]
fn what_is_prepared_is_what_would_be_logged() -> Result<()> {
    let store = open(&Env::memory())?;
    let entries = Entries::default();
    store.set_commit_observer(into(&entries))?;
    let create = store.prepare_create_collection("a", schema(Dtype::F16))?;
    let error = store.prepare_create_collection("a/b", schema(Dtype::F16)).expect_err("no name");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    store.apply_replicated(create.clone())?;
    let id = store.collection_id("a")?.expect("it was created");
    let upsert = store.prepare_upsert(id, "x", &[1.0, 2.0, 0.5], b"p")?;
    assert!(store.prepare_upsert(id, "x", &[1.0], b"p").is_err());
    let delete = store.prepare_delete(id, "x")?;
    assert!(store.is_empty(id)?, "nothing was applied");
    store.upsert(id, "x", &[1.0, 2.0, 0.5], b"p")?;
    store.delete(id, "x")?;
    let shown: Vec<WalOp> =
        entries.lock().expect("no panic").drain(..).map(|entry| entry.op).collect();
    assert_eq!(shown, [create, upsert, delete]);
    Ok(())
}

#[test]
fn an_observer_may_read_and_not_write() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("a", schema(Dtype::F32))?;
    let answers = Arc::new(Mutex::new(Vec::new()));
    let (inner, list) = (store.clone(), Arc::clone(&answers));
    store.set_commit_observer(Arc::new(move |_| {
        let read = inner.get(id, "x").expect("it may read");
        assert!(read.is_some(), "what it is shown is visible");
        let refused = [
            inner.upsert(id, "y", &[0.0; 3], b"").map(drop),
            inner.submit(WriteBatch::new()).map(drop),
            inner.drive().map(drop),
            inner.checkpoint(),
            inner.compact(),
            inner.maintain().map(drop),
            inner.checkpoint_with_index_snapshots(&[]),
            inner.set_commit_observer(Arc::new(|_| {})),
            inner.close(),
        ];
        let kinds = refused.map(|refused| refused.expect_err("it would wait for itself").kind());
        list.lock().expect("no panic").extend(kinds);
    }))?;
    store.upsert(id, "x", &[0.0; 3], b"")?;
    assert_eq!(*answers.lock().expect("no panic"), [ErrorKind::InvalidArgument; 9]);
    store.clear_commit_observer()?;
    store.upsert(id, "y", &[0.0; 3], b"")?;
    store.checkpoint()?;
    Ok(())
}

#[test]
fn an_observer_of_a_checkpoint_is_refused_what_would_wait_for_it() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("a", schema(Dtype::F32))?;
    let answers = Arc::new(Mutex::new(Vec::new()));
    let (inner, list) = (store.clone(), Arc::clone(&answers));
    store.set_commit_observer(Arc::new(move |entry| {
        let figures = inner.stats().map(drop);
        let version = inner.manifest_version().map(drop);
        let is_checkpoint = matches!(entry.op, WalOp::Checkpoint { .. });
        for refused in [figures, version] {
            let kind = refused.expect_err("it would wait for itself").kind();
            list.lock().expect("no panic").push((is_checkpoint, kind));
        }
    }))?;
    store.upsert(id, "x", &[0.0; 3], b"")?;
    store.checkpoint()?;
    let expected = [false, false, true, true].map(|shown| (shown, ErrorKind::InvalidArgument));
    assert_eq!(*answers.lock().expect("no panic"), expected);
    Ok(())
}

/// Longer than any machine takes for what is waited for: the test ends, and fails.
const TOO_LONG: Duration = Duration::from_secs(60);

#[test]
#[expect(clippy::disallowed_methods, reason = "writers and readers meet in threads of their own")]
fn a_slow_observer_makes_writers_wait_and_no_reader() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("a", schema(Dtype::F32))?;
    store.upsert(id, "sealed", &[0.0; 3], b"")?;
    store.checkpoint()?;
    let events = Arc::new(Mutex::new(Vec::new()));
    let tell = |event: &'static str| events.lock().expect("no panic").push(event);
    let ((inside, is_inside), (go_on, may_go_on)) = (channel(), channel::<()>());
    let (list, may_go_on) = (Arc::clone(&events), Mutex::new(may_go_on));
    store.set_commit_observer(Arc::new(move |entry| {
        if matches!(&entry.op, WalOp::Upsert { external_id, .. } if external_id == "slow") {
            inside.send(()).expect("the test waits for it");
            let waited = may_go_on.lock().expect("no panic").recv_timeout(TOO_LONG);
            waited.expect("readers go on");
            list.lock().expect("no panic").push("the observer returns");
        }
    }))?;
    thread::scope(|scope| {
        let (writer, tell) = (&store, &tell);
        let write = |row: &'static str, event: &'static str| {
            scope.spawn(move || writer.upsert(id, row, &[1.0; 3], b"").map(|_| tell(event)))
        };
        let first = write("slow", "the first writer returns");
        is_inside.recv_timeout(TOO_LONG).expect("it is shown the row");
        let second = write("next", "the second writer returns");
        // Time for it to come to the lock, or to return, if it waits for none.
        (0..500).for_each(|_| thread::yield_now());

        assert!(store.get(id, "slow")?.is_some(), "a reader sees what the observer is shown");
        assert!(store.get(id, "sealed")?.is_some() && store.get(id, "next")?.is_none());
        assert_eq!(store.scan(id)?.collect::<Result<Vec<_>>>()?.len(), 2);
        assert_eq!((store.len(id)?, store.snapshot()?.len(id)?), (2, 2));
        assert_eq!(store.capture_vector_source(id)?.iter().count(), 2);
        assert_eq!(store.read_index_snapshot(id)?, None);
        tell("the readers return");
        go_on.send(()).expect("the observer waits for it");
        first.join().expect("no panic")?;
        second.join().expect("no panic")
    })?;
    let events = events.lock().expect("no panic");
    assert_eq!(events[..2], ["the readers return", "the observer returns"]);
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(store.len(id)?, 3);
    Ok(())
}

#[test]
fn a_closed_store_lets_go_of_its_observer() -> Result<()> {
    let store = open(&Env::memory())?;
    let (inner, held) = (store.clone(), Arc::new(()));
    let seen = Arc::downgrade(&held);
    store.set_commit_observer(Arc::new(move |_| {
        let _ = (&inner, &held);
    }))?;
    assert!(seen.upgrade().is_some());
    store.close()?;
    assert!(seen.upgrade().is_none(), "nobody is observed any more");
    Ok(())
}

#[test]
fn an_observer_that_panics_latches_the_store_and_loses_nothing() -> Result<()> {
    let env = Env::memory();
    let store = open(&env)?;
    let id = store.create_collection("a", schema(Dtype::F32))?;
    store.set_commit_observer(Arc::new(|_| panic!("a bug of the observer")))?;
    let lsn = store.upsert(id, "x", &[0.0; 3], b"")?;
    let error = store.upsert(id, "y", &[0.0; 3], b"").expect_err("it would miss something");
    assert_eq!(error.kind(), ErrorKind::Latched);
    assert!(error.to_string().contains(&format!("observer panicked at LSN {lsn}")), "{error}");
    assert!(store.get(id, "x")?.is_some(), "reads go on");
    drop(store);
    let store = open(&env)?;
    assert_eq!(store.len(id)?, 1);
    store.upsert(id, "y", &[0.0; 3], b"")?;
    Ok(())
}
