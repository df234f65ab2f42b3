//! The example that imports: what a newcomer sees, at the first run, the second, and a wrong one.

#![expect(clippy::disallowed_methods, reason = "it looks at the real disk that the example writes")]

#[expect(dead_code, reason = "only its entry into a process is not called")]
#[path = "../examples/ingest.rs"]
mod ingest;

use std::fs;
use std::path::Path;

use ingest::Failure;
use quiver_store::{Descriptor, DistanceMetric, Dtype, Store};

fn run(arguments: &[&str]) -> Result<String, Failure> {
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    let mut out = Vec::new();
    ingest::run(&arguments, &mut out)?;
    Ok(String::from_utf8(out).expect("it writes text"))
}

/// A path in a fresh directory, which is removed when the first is dropped.
fn fresh(name: &str) -> (tempfile::TempDir, String) {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join(name).to_str().expect("its name is text").to_owned();
    (parent, path)
}

fn assert_says(said: &str, expected: &[&str]) {
    for part in expected {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

#[test]
fn the_digits_are_stored_found_again_and_checked() {
    let (_parent, dir) = fresh("store");
    let first = run(&[&dir]).expect("an empty place");
    let checked = [
        "digits.jsonl: 1797 rows of 64 whole numbers, stored in a byte each",
        "compared  1797 rows in ",
        "digit = 7                     179 rows",
        "All is well.",
    ];
    assert_says(&first, &checked);
    assert_says(&first, &["stored    1797 rows in "]);
    let second = run(&[&dir]).expect("what the first run left");
    assert_says(&second, &checked);
    assert_says(&second, &["stored    nothing: 1797 rows are there already"]);
}

#[test]
fn a_run_that_was_ended_is_taken_up_again() {
    let (_parent, dir) = fresh("store");
    run(&[&dir]).expect("an empty place");
    let store = Store::open(&dir).expect("a whole store");
    let id = store.collection_id("digits").expect("open").expect("it was made");
    let ids: Vec<String> = (250..1797).map(|row| format!("digit-{row:04}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(store.delete_batch(id, &ids).expect("they are there"), 1547);
    store.close().expect("written");
    let taken_up = run(&[&dir]).expect("a store of whole batches");
    assert_says(&taken_up, &["found     250 rows of a run that did not end", "All is well."]);
}

#[test]
fn rows_of_another_file_are_not_written_over() {
    let (parent, dir) = fresh("store");
    let file = |name: &str, text: &str| {
        let path = parent.path().join(name);
        fs::write(&path, text).expect("space");
        path.to_str().expect("its name is text").to_owned()
    };
    let mine = file("mine.jsonl", "{\"id\":1,\"vector\":[1]}\n");
    let other = file("other.jsonl", "{\"id\":1,\"vector\":[2]}\n{\"id\":2,\"vector\":[3]}\n");
    run(&[&dir, &mine]).expect("an empty place");
    let failure = run(&[&dir, &other]).expect_err("it looks like a run that did not end");
    assert_says(&failure.text, &["row \"1\" is not as in the file"]);
    assert_says(&run(&[&dir, &mine]).expect("as it was"), &["1 rows are there already"]);
}

#[test]
fn a_row_that_is_not_as_in_the_file_is_found() {
    let (_parent, dir) = fresh("store");
    run(&[&dir]).expect("an empty place");
    let store = Store::open(&dir).expect("a whole store");
    let id = store.collection_id("digits").expect("open").expect("it was made");
    let row = store.get(id, "digit-0007").expect("open").expect("it is there");
    store.upsert(id, "digit-0007", &row.vector, b"{\"digit\":8}").expect("written");
    store.close().expect("written");
    let failure = run(&[&dir]).expect_err("one payload differs");
    assert_says(&failure.text, &["row \"digit-0007\" is not as in the file"]);
}

#[test]
fn other_files_are_stored_too_or_refused_with_their_place() {
    let (parent, dir) = fresh("store");
    let file = |name: &str, bytes: &[u8]| {
        let path = parent.path().join(name);
        fs::write(&path, bytes).expect("space");
        path.to_str().expect("its name is text").to_owned()
    };
    let vector = [&2_i32.to_le_bytes()[..], &0.5_f32.to_le_bytes(), &3_f32.to_le_bytes()].concat();
    let whole = file("whole.fvecs", &vector.repeat(3));
    let said = run(&[&dir, &whole]).expect("three vectors");
    assert_says(&said, &["3 rows of 2 numbers", "filtered  nothing", "0000000001 at distance 0.0"]);
    let refusals = [
        (file("cut.fvecs", &vector[..9]), 1, "cut.fvecs: vector 0 at byte 0: the file ends"),
        (
            file("twice.jsonl", b"{\"id\":1,\"vector\":[1]}\n{\"id\":\"1\",\"vector\":[2]}"),
            1,
            "row 1",
        ),
        (file("empty.jsonl", b"\n"), 1, "no rows, expected at least one"),
        (file("table.csv", b"1,2"), 2, "the ending of"),
        ("/nowhere/at/all.npy".to_owned(), 1, "cannot read /nowhere/at/all.npy: "),
    ];
    for (path, code, expected) in refusals {
        let failure = run(&[&dir, &path]).expect_err("it is refused");
        assert_eq!(failure.code, code, "{}", failure.text);
        assert_says(&failure.text, &[expected]);
    }
}

#[test]
fn payloads_of_other_people_are_understood_as_the_store_understands_them() {
    let (parent, dir) = fresh("store");
    let lines = r#"{"id":"int","vector":[1],"digit":7,"ink":200,"split":"test"}
{"id":"float","vector":[2],"digit":7.0,"ink":249.5,"split":["train","test"]}
{"id":"many","vector":[3],"digit":[1,7],"ink":[0,250],"split":"train"}
{"id":"text","vector":[4],"digit":"7","ink":null,"split":7}
{"id":"deep","vector":[5],"digit":[[7]],"ink":{"ink":210}}
{"id":"bare","vector":[6],"payload":"digit"}
"#;
    let file = parent.path().join("other.jsonl");
    fs::write(&file, lines).expect("space");
    let said = run(&[&dir, file.to_str().expect("text")]).expect("every row is as in the file");
    assert_says(
        &said,
        &["digit = 7                       3 rows", "200 <= ink < 250                2"],
    );
    assert_says(&said, &["and split = \"test\"    2 rows", "All is well."]);
}

#[test]
fn a_file_that_could_not_be_stored_is_in_nobodys_way() {
    let (parent, dir) = fresh("store");
    let file = parent.path().join("bad.fvecs");
    fs::write(&file, [1_i32.to_le_bytes(), f32::NAN.to_le_bytes()].concat()).expect("space");
    let failure = run(&[&dir, file.to_str().expect("text")]).expect_err("NaN");
    assert_says(&failure.text, &["row 0 (0 rows stored): element 0 of the vector is NaN"]);
    assert_says(&run(&[&dir]).expect("nothing was stored"), &["All is well."]);
}

#[test]
fn what_belongs_to_something_else_is_left_alone() {
    let (parent, dir) = fresh("other");
    fs::create_dir(&dir).expect("a fresh place");
    fs::write(Path::new(&dir).join("letter.txt"), "Dear").expect("space");
    let failure = run(&[&dir]).expect_err("a directory of other things");
    assert_eq!(failure.code, 1);
    assert_says(&failure.text, &["choose another DIR"]);
    assert_eq!(fs::read_dir(&dir).expect("it is there").count(), 1, "nothing was added");

    let dir = parent.path().join("articles").to_str().expect("text").to_owned();
    let store = Store::open(&dir).expect("a fresh place");
    let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
    store.create_collection("articles", schema).expect("a new name");
    store.close().expect("written");
    let failure = run(&[&dir]).expect_err("the store of another program");
    assert_says(&failure.text, &["the store of something else, of \"articles\""]);
    let store = Store::open(&dir).expect("as it was");
    assert_eq!(store.collection_names().expect("open"), ["articles"]);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for arguments in [&["--fast"][..], &[""], &["a", "b.npy", "c"]] {
        let failure = run(arguments).expect_err("it is refused");
        assert_eq!(failure.code, 2);
        assert_says(&failure.text, &["usage: cargo run", "[DIR] [FILE]"]);
    }
    assert_says(&run(&["--help"]).expect("it was asked for"), &["usage: cargo run"]);
}
