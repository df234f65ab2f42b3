//! The house rules, as an ordinary test: floors, sizes, words and dependencies.
//!
//! A rule is a pure function from sources to what it found wrong, one line each with the place and
//! the way out, so that every rule is itself tested on small sources. The lint bans of `clippy.toml`
//! are not repeated here.

#![expect(clippy::disallowed_methods, reason = "it reads the sources of the repository")]

mod floors;
mod manifests;
mod sizes;
mod source;
mod threads;
mod words;

use std::path::Path;

use source::Source;

/// Every folder with Rust code of ours, whole.
const FOLDERS: [&str; 12] = [
    "src",
    "sim/src",
    "sim/examples",
    "sim/foreign/src",
    "fuzz/bodies/src",
    "fuzz/bodies/tests",
    "fuzz/fuzz_targets",
    "tests",
    "sim/tests",
    "benches/store",
    "benches/sqlite/src",
    "examples",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    FOLDERS.iter().flat_map(|folder| source::read_all(root(), folder)).collect()
}

fn assert_clean(found: &[String]) {
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_file_imports_only_what_stands_below_it() {
    let engine: Vec<Source> =
        sources().into_iter().filter(|source| source.path.starts_with("src/")).collect();
    assert!(!engine.is_empty(), "no sources found below {}", root().display());
    assert_clean(&floors::check(&engine));
}

#[test]
fn files_and_functions_fit_on_a_few_screens() {
    assert_clean(&sizes::check(&sources()));
}

#[test]
fn nothing_is_unwrapped_unfinished_or_skipped() {
    assert_clean(&words::check_code(&sources()));
}

#[test]
fn names_say_what_a_thing_is() {
    assert_clean(&words::check_names(&sources()));
}

#[test]
fn the_engine_does_not_know_that_it_is_simulated() {
    assert_clean(&words::check_no_simulation(&sources()));
}

#[test]
fn locks_and_threads_come_from_one_file() {
    assert_clean(&threads::check(&sources()));
}

#[test]
fn every_dependency_has_its_reason() {
    let folders = ["", "sim/", "fuzz/", "fuzz/bodies/", "benches/sqlite/", "sim/foreign/"];
    for path in folders.map(|folder| format!("{folder}Cargo.toml")) {
        if let Ok(text) = std::fs::read_to_string(root().join(&path)) {
            assert_clean(&manifests::check(&path, &text));
        }
    }
}

#[test]
fn code_is_told_from_comments_and_literals_in_every_file() {
    let unbalanced = |source: &Source| {
        [('(', ')'), ('[', ']'), ('{', '}')].into_iter().any(|(open, close)| {
            source.code.matches(open).count() != source.code.matches(close).count()
        })
    };
    let found: Vec<String> = sources().into_iter().filter(unbalanced).map(|it| it.path).collect();
    assert_clean(&found);
}
