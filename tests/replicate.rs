//! The example that replicates: what a newcomer sees, whatever an earlier run left behind.

#![expect(clippy::disallowed_methods, reason = "it looks at the real disk that the example writes")]

#[expect(dead_code, reason = "only its entry into a process is not called")]
#[path = "../examples/replicate.rs"]
mod replicate;

use std::fs;
use std::path::{Path, PathBuf};

use quiver_store::Store;
use replicate::Failure;

const BATCHES: &str = "20";

fn run(arguments: &[&str]) -> Result<String, Failure> {
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    let mut out = Vec::new();
    replicate::run(&arguments, &mut out)?;
    Ok(String::from_utf8(out).expect("it writes text"))
}

/// A path in a fresh directory, which is removed when the first is dropped.
fn fresh() -> (tempfile::TempDir, String) {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join("stores").to_str().expect("its name is text").to_owned();
    (parent, path)
}

fn position_file(dir: &str) -> PathBuf {
    Path::new(dir).join("follower.position")
}

fn assert_says(said: &str, expected: &[&str]) {
    for part in expected {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

#[test]
fn a_store_follows_another_through_every_interruption() {
    let (_parent, dir) = fresh();
    let all_ways = [
        "while the follower was stopped\nfollower  goes on behind operation ",
        "the leader was closed and opened again\nfollower  goes on behind operation ",
        "dropped the log that they stood in\nfollower  cannot go on: the log begins at LSN ",
        "11 operations in 6 batches; the follower stops\ncompared  ",
        "All is well.",
    ];
    let first = run(&[&dir, BATCHES]).expect("an empty place");
    assert_says(&first, &all_ways);
    assert_says(&first, &["follower  is made, as the leader was at operation 0\n"]);
    assert_says(&first, &["wrote     125 operations, ", "followed  125 operations in 25 batches"]);
    let second = run(&[&dir, BATCHES]).expect("what the first run left");
    assert_says(&second, &all_ways);
    assert_says(&second, &["follower  goes on behind operation 511, ", "followed  125 operations"]);
}

#[test]
fn a_position_that_is_behind_its_follower_does_no_harm() {
    let (_parent, dir) = fresh();
    run(&[&dir, BATCHES]).expect("an empty place");
    let noted = fs::read_to_string(position_file(&dir)).expect("it was noted");
    let (leader, follower) = noted.trim_end().split_once(' ').expect("two numbers");
    let before = leader.parse::<u64>().expect("a number") - 11;
    fs::write(position_file(&dir), format!("{before} {follower}\n")).expect("space");
    let again = run(&[&dir, BATCHES]).expect("it is behind, as after a crash");
    let expected = format!("follower  goes on behind operation {before}, out of");
    assert_says(&again, &[&expected, "followed  136 operations", "All is well."]);
}

#[test]
fn a_follower_that_is_not_whole_or_not_the_one_is_made_anew() {
    let (_parent, dir) = fresh();
    run(&[&dir, BATCHES]).expect("an empty place");
    // A crash while it was made: some rows, and no position.
    fs::remove_file(position_file(&dir)).expect("it was noted");
    let store = Store::open(Path::new(&dir).join("follower")).expect("a whole store");
    store.drop_collection("articles").expect("it is there");
    store.close().expect("open");
    let anew = run(&[&dir, BATCHES]).expect("a follower without a position");
    assert_says(&anew, &["none that is whole\nfollower  is made, as", "All is well."]);

    fs::remove_dir_all(Path::new(&dir).join("follower")).expect("it is there");
    let anew = run(&[&dir, BATCHES]).expect("a position without a follower");
    assert_says(&anew, &["not the one whose position was noted\n", "All is well."]);

    fs::remove_dir_all(Path::new(&dir).join("leader")).expect("it is there");
    let anew = run(&[&dir, BATCHES]).expect("a follower without its leader");
    assert_says(&anew, &["cannot go on: an observer behind LSN ", "All is well."]);
}

#[test]
fn a_position_that_cannot_be_read_is_refused_with_the_way_out() {
    let (_parent, dir) = fresh();
    run(&[&dir, BATCHES]).expect("an empty place");
    let whole = fs::read_to_string(position_file(&dir)).expect("it was noted");
    for text in ["", "12", "12 \n", "12 13", "a b\n", "-1 3\n", "1 2 3\n"] {
        fs::write(position_file(&dir), text).expect("space");
        let failure = run(&[&dir, BATCHES]).expect_err(text);
        assert_eq!(failure.code, 1);
        assert_says(&failure.text, &["follower.position: expected two numbers", "remove it"]);
    }
    fs::write(position_file(&dir), whole).expect("space");
    run(&[&dir, BATCHES]).expect("as it was");
}

#[test]
fn what_belongs_to_something_else_is_left_alone() {
    let (_parent, dir) = fresh();
    fs::create_dir(&dir).expect("a fresh place");
    let letter = Path::new(&dir).join("letter.txt");
    fs::write(&letter, "Dear").expect("space");
    let failure = run(&[&dir]).expect_err("a directory of other things");
    assert_says(&failure.text, &["holds something else, \"letter.txt\"", "choose another DIR"]);
    assert_eq!(fs::read_dir(&dir).expect("it is there").count(), 1, "nothing was added");
    let failure = run(&[letter.to_str().expect("text")]).expect_err("a file");
    assert_says(&failure.text, &["cannot make "]);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for arguments in [&["--fast"][..], &[""], &["a", "0"], &["a", "1000001"], &["a", "1", "c"]] {
        let failure = run(arguments).expect_err("it is refused");
        assert_eq!(failure.code, 2);
        assert_says(&failure.text, &["usage: cargo run", "[DIR] [BATCHES]"]);
    }
    assert_says(&run(&["--help"]).expect("it was asked for"), &["usage: cargo run"]);
}
