//! Every scenario of `corpus/sim`, each under a test of its name.

use std::path::PathBuf;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim")
}

fn play(name: &str) {
    let text = std::fs::read_to_string(corpus().join(format!("{name}.scenario")));
    let text = text.expect("the scenario is in the corpus");
    quiver_sim::scenario::play(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
}

macro_rules! scenarios {
    ($($test:ident = $name:literal,)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                play($name);
            }
        )*
    };
}

scenarios! {
    what_is_seen_after_a_rename_survives_though_its_directory_was_not_synced =
        "rename-seen-before-its-directory-was-synced",
    name_of_an_unpublished_file_is_never_given_again =
        "name-of-an-unpublished-file-given-again",
    no_answer_rests_on_limbo = "answer-that-rests-on-limbo",
    tail_read_back_after_a_failed_sync_is_written_again = "tail-read-back-after-a-failed-sync",
    creation_cut_short_starts_again = "creation-cut-short",
    no_answer_rests_on_a_member_that_failed = "answer-that-rests-on-its-group",
    log_never_stands_without_its_store = "log-without-current",
    end_of_a_log_is_given_once = "end-of-a-log-given-twice",
}

#[test]
fn every_scenario_of_the_corpus_has_a_test() {
    let files = std::fs::read_dir(corpus()).expect("the corpus is there");
    let mut found: Vec<String> = files
        .map(|file| file.expect("a name").file_name().into_string().expect("plain names"))
        .filter_map(|name| name.strip_suffix(".scenario").map(str::to_owned))
        .collect();
    found.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(found, names);
}
