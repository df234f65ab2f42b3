//! Changes that depend on what is there: of names, of schemas, of rows.

use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, ErrorKind, FilterableField, Options,
    Outcome, Request, Result, SecPredicate, Store, WriteBatch,
};

fn schema(dtype: Dtype) -> Descriptor {
    Descriptor::new(2, dtype, DistanceMetric::L2)
}

fn open(env: &Env) -> Result<Store> {
    Store::open_with(env.clone(), Options::default())
}

fn put(collection: CollectionId, external_id: &str, payload: &str) -> Request {
    let (external_id, payload) = (external_id.to_owned(), payload.into());
    Request::PutIfAbsent { collection, external_id, vector: vec![1.0, 2.0], payload }
}

fn update(collection: CollectionId, external_id: &str, payload: &str) -> Request {
    let (external_id, payload) = (external_id.to_owned(), payload.into());
    Request::UpdatePayload { collection, external_id, payload }
}

fn payload(store: &Store, id: CollectionId, row: &str) -> Result<Option<String>> {
    let payload = store.get_payload(id, row)?;
    Ok(payload.map(|payload| String::from_utf8(payload).expect("a text")))
}

/// Closes and drops a store in turn, so that both ways to reopen are met.
fn stop(store: Store, round: u32) -> Result<()> {
    if round.is_multiple_of(2) { store.close() } else { Ok(()) }
}

#[test]
fn requests_of_a_group_are_decided_behind_those_before_them() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("rows", schema(Dtype::F32))?;
    store.upsert(id, "old", &[5.0, 6.0], b"old")?;
    store.checkpoint()?;
    let mut delete = WriteBatch::new();
    delete.delete(id, "old");
    let requests = [
        put(id, "new", "first"),
        put(id, "new", "second"),
        update(id, "new", "third"),
        update(id, "old", "fourth"),
        delete.into(),
        update(id, "old", "fifth"),
        put(id, "old", "sixth"),
        Request::RenameCollection { name: "rows".into(), new_name: "lines".into() },
        Request::CreateCollection { name: "rows".into(), descriptor: schema(Dtype::U8) },
        Request::RenameCollection { name: "lines".into(), new_name: "rows".into() },
        Request::AddFilterable { name: "rows".into(), field: FilterableField::keyword("a") },
        Request::AddFilterable { name: "rows".into(), field: FilterableField::numeric("a") },
        Request::DropCollection { name: "lines".into() },
        update(id, "new", "seventh"),
    ];
    let tickets = requests.map(|request| store.submit(request).expect("well formed"));
    assert_eq!(store.drive()?, tickets.len());
    let answers = tickets.map(|ticket| match ticket.poll().expect("driven") {
        Ok(Outcome::Written { .. }) => "written".to_owned(),
        Ok(Outcome::Unchanged) => "unchanged".to_owned(),
        Ok(Outcome::Altered { id, .. }) => format!("altered {id}"),
        Ok(Outcome::Created { id, .. }) => format!("created {id}"),
        Ok(Outcome::Dropped { existed, .. }) => format!("dropped {existed}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{:?}", error.kind()),
    });
    let expected = [
        "written",
        "unchanged",
        "written",
        "written",
        "written",
        "unchanged",
        "written",
        "altered 1",
        "created 2",
        "AlreadyExists",
        "altered 2",
        "AlreadyExists",
        "dropped true",
        "NotFound",
    ];
    assert_eq!(answers, expected);
    Ok(())
}

#[test]
fn a_payload_is_replaced_and_the_vector_stays_wherever_the_row_is() -> Result<()> {
    let env = Env::memory();
    for round in 0..4 {
        let store = open(&env)?;
        let name = format!("rows-{round}");
        let id = store.create_collection(&name, schema(Dtype::Bf16).with_multivector(true))?;
        store.upsert(id, "x", &[1.0, 2.0, 3.0, 4.0], b"one")?;
        if round > 1 {
            store.checkpoint()?;
        }
        assert!(store.update_payload(id, "x", b"two")?);
        assert!(!store.update_payload(id, "y", b"two")?);
        assert!(!store.put_if_absent(id, "x", &[9.0, 9.0], b"three")?);
        assert!(store.put_if_absent(id, "y", &[9.0, 9.0], b"three")?);
        stop(store, round)?;
        let store = open(&env)?;
        let row = store.get(id, "x")?.expect("it was there");
        assert_eq!((row.vector, row.payload), (vec![1.0, 2.0, 3.0, 4.0], b"two".to_vec()));
        assert_eq!(payload(&store, id, "y")?.as_deref(), Some("three"));
        assert_eq!(store.len(id)?, 2);
    }
    Ok(())
}

#[test]
fn names_and_fields_survive_however_a_store_is_stopped() -> Result<()> {
    let env = Env::memory();
    let store = open(&env)?;
    let id = store.create_collection("a", schema(Dtype::F32))?;
    store.upsert(id, "x", &[0.0, 0.0], br#"{"year":1998,"on":true}"#)?;
    drop(store);
    for round in 0..4 {
        let store = open(&env)?;
        let (old, new) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        store.rename_collection(old, new)?;
        assert_eq!(
            store.rename_collection(old, new).expect_err("gone").kind(),
            ErrorKind::NotFound
        );
        let taken = store.rename_collection(new, new).expect_err("in use");
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        if round == 1 {
            store.checkpoint()?;
            store.add_filterable("a", FilterableField::numeric("year"))?;
        }
        if round == 2 {
            store.add_filterable("b", FilterableField::boolean("on"))?;
            store.compact()?;
        }
        stop(store, round)?;
        let store = open(&env)?;
        assert_eq!(store.collection_names()?, [new]);
        assert_eq!(store.collection_id(new)?, Some(id));
        let fields = store.descriptor(id)?.filterable;
        assert_eq!(fields.len(), [0, 1, 2, 2][round as usize]);
        for (field, value) in [("year", 1998_i64.into()), ("on", true.into())] {
            if fields.iter().any(|declared| declared.path == field) {
                let predicate = SecPredicate::Eq { field: field.into(), value };
                assert_eq!(store.matching_ids(id, &predicate)?, ["x"]);
            }
        }
    }
    Ok(())
}

#[test]
fn a_new_field_is_answered_at_once_and_indexed_by_a_merge() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("rows", schema(Dtype::F32))?;
    for i in 0..500 {
        let payload = format!(r#"{{"n":{i}}}"#);
        store.upsert(id, &format!("row-{i:03}"), &[0.0, 0.0], payload.as_bytes())?;
    }
    store.checkpoint()?;
    let files = store.stats()?.files;
    store.add_filterable("rows", FilterableField::numeric("n"))?;
    let is_seven = SecPredicate::Eq { field: "n".into(), value: 7_i64.into() };
    assert_eq!(store.matching_ids(id, &is_seven)?, ["row-007"]);
    while store.maintain()? {}
    assert_ne!(store.stats()?.files, files, "the segment was written again");
    assert_eq!(store.matching_ids(id, &is_seven)?, ["row-007"]);
    let merges = store.stats()?.merges;
    while store.maintain()? {}
    store.compact()?;
    assert_eq!(store.stats()?.merges, merges, "and it is not written once more");
    Ok(())
}

#[test]
fn elements_that_a_type_cannot_hold_are_refused_whole() -> Result<()> {
    let store = open(&Env::memory())?;
    let id = store.create_collection("bytes", schema(Dtype::I8))?;
    let mut batch = WriteBatch::new();
    batch.upsert(id, "good", &[1.0, -128.0], b"").upsert(id, "bad", &[1.0, 300.0], b"");
    let error = store.write(batch).expect_err("300 is no i8");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let message = "element 1 of a vector is 300, expected a whole number of -128 to 127";
    assert_eq!(error.to_string(), message);
    assert!(store.is_empty(id)?);
    let error = store.upsert_raw(id, "short", &[1], b"").expect_err("one byte of two");
    assert_eq!(error.to_string(), "vector of 1 bytes, expected 2");
    let bits = store.create_collection("bits", schema(Dtype::Binary))?;
    let error = store.upsert_raw(bits, "x", &[0b100], b"").expect_err("a bit too many");
    assert_eq!(error.to_string(), "binary vector with a bit set behind its 2 elements");
    Ok(())
}

#[test]
fn payload_updates_of_one_group_read_no_more_vectors_than_a_group_may_have() -> Result<()> {
    const DIM: u32 = 8192;
    let (vector_bytes, group_bytes_max) = (4 * DIM as usize, 256 * 1024);
    let options = Options { group_bytes_max, ..Options::default() };
    let store = Store::open_with(Env::memory(), options)?;
    let schema = Descriptor::new(DIM, Dtype::F32, DistanceMetric::L2);
    let one = store.create_collection("one", schema.clone())?;
    let several = store.create_collection("several", schema.with_multivector(true))?;
    for id in [one, several] {
        store.upsert(id, "x", &[1.0; DIM as usize], b"")?;
        let tickets: Vec<_> = (0..40)
            .map(|n| store.submit(update(id, "x", &n.to_string())))
            .collect::<Result<_>>()?;
        let mut groups = Vec::new();
        while tickets.iter().any(|ticket| ticket.poll().is_none()) {
            groups.push(store.drive()?);
        }
        assert_eq!(groups.iter().sum::<usize>(), 40);
        let most = groups.iter().max().expect("40 are in some group");
        assert!(most * vector_bytes <= group_bytes_max, "{id}: groups of {groups:?}");
        // How many vectors a row has is not known before it is read.
        assert!(if id == one { *most > 1 } else { *most == 1 }, "{id}: groups of {groups:?}");
        assert_eq!(payload(&store, id, "x")?.as_deref(), Some("39"));
    }
    Ok(())
}
