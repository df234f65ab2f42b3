//! Every reproducer of `corpus/sim`: each does what its status says, the planted ones under their
//! bug and without it.
//!
//! **Place.** `quiver-sim shrink --mutant NAME` made the planted ones: they show that the shrinker
//! comes down to so little, and that a file alone still finds the bug when histories are drawn in
//! another way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use quiver_sim::repro::{Outcome, Reproducer, Status, Systems, planted_names};
use quiver_sim::shrink::{self, Budget, Size};

/// What makes a planted file that no longer fits.
const ADVICE: &str = "a planted one is made anew by `quiver-sim shrink --mutant NAME --out FILE`";

/// Planted bugs of the engine that have a file of their own. Further ones may have.
const OF_THE_ENGINE: [&str; 8] = [
    "lying-sync",
    "unsynced-directory",
    "reordered-rename",
    "torn-frame-accepted",
    "recovery-that-only-syncs",
    "acknowledged-before-sync",
    "sync-error-ignored",
    "write-error-ignored",
];

/// A bug of the toy that shows once a mebibyte is dead: its smallest file holds hundreds of rows.
const WITHOUT: &str = "toy/keeps-dead-rows";

/// Files of bugs that take more operations because a bound says how many it allows.
const LARGE: [(&str, usize); 2] = [("toy/leaves-orphans", 7), ("toy/leaks-handles", 15)];

/// The same for bugs that need segments, tombstones or a merge to be there first.
const WITH_SEGMENTS: usize = 10;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Name, text and content of every reproducer.
fn reproducers() -> Vec<(String, String, Reproducer)> {
    let files = std::fs::read_dir(corpus()).expect("the corpus is there");
    let names = files.map(|file| file.expect("a name").file_name());
    let names = names.map(|name| name.into_string().expect("plain names"));
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".repro").map(str::to_owned)).collect();
    names.sort();
    let read = |name: String| {
        let text = text(&corpus().join(format!("{name}.repro")));
        let file = Reproducer::parse(&text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        (name, text, file)
    };
    names.into_iter().map(read).collect()
}

fn planted(file: &Reproducer) -> Option<&str> {
    match &file.status {
        Status::Planted(name) => Some(name),
        Status::Open | Status::Fixed => None,
    }
}

#[test]
fn every_reproducer_does_what_its_status_says() {
    let mut wrong = Vec::new();
    for (name, _, file) in reproducers() {
        let verdict = file.verdict();
        if !verdict.as_said {
            wrong.push(format!("{name}: {:?}, {}", verdict.outcome, verdict.words));
        }
    }
    assert!(wrong.is_empty(), "{}\n{ADVICE}", wrong.join("\n"));
}

#[test]
fn a_planted_reproducer_violates_with_its_bug_only() {
    for (name, _, file) in reproducers() {
        let Some(bug) = planted(&file) else { continue };
        assert_eq!(name, format!("planted-{}", bug.replace('/', "-")));
        let systems = Systems::of(&file.status).unwrap_or_else(|why| panic!("{name}: {why}"));
        let with = file.play(systems.shows());
        assert_eq!(with.met.astray, None, "{name}: {ADVICE}");
        assert!(file.shown(&with).is_some(), "{name}: {ADVICE}");
        let without = file.play(&*systems.right);
        assert!(without.tally.violations.is_empty(), "{name}: {:?}", without.tally.violations);
    }
}

#[test]
fn a_planted_reproducer_is_as_small_as_it_says_and_says_little() {
    for (name, _, file) in reproducers() {
        let Some(bug) = planted(&file) else { continue };
        let Size { operations, faults, crashes, survivors, .. } = Size::of(&file);
        assert_eq!(file.shrinks_to, Some(operations), "{name}");
        let large = LARGE.iter().find(|(large, _)| *large == bug).map(|(_, most)| *most);
        let listed = bug.starts_with("toy/") || OF_THE_ENGINE.contains(&bug);
        let most = large.unwrap_or(if listed { 6 } else { WITH_SEGMENTS });
        assert!(operations <= most, "{name}: {operations}");
        assert!(faults <= 1 && crashes <= 3 && survivors <= 2, "{name}: {:?}", Size::of(&file));
    }
}

#[test]
fn the_shrinker_leaves_a_planted_reproducer_as_it_is() {
    let budget = Budget { runs: 400, ..Budget::default() };
    for (name, _, file) in reproducers() {
        if planted(&file).is_none() {
            continue;
        }
        let systems = Systems::of(&file.status).unwrap_or_else(|why| panic!("{name}: {why}"));
        let again = shrink::shrink(systems.shared(), file.clone(), budget, &mut |_, _| {});
        let again = again.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(again.file.history.operations.len(), file.history.operations.len(), "{name}");
    }
}

#[test]
fn a_file_larger_than_it_says_is_wrong() {
    let (_, _, mut file) = reproducers()
        .into_iter()
        .find(|(_, _, file)| file.shrinks_to.is_some_and(|most| most > 0))
        .expect("one has operations");
    assert!(file.verdict().as_said);
    file.shrinks_to = Some(0);
    let verdict = file.verdict();
    assert_eq!((verdict.as_said, verdict.outcome), (false, Outcome::Strays), "{}", verdict.words);
}

#[test]
fn every_reproducer_is_written_as_the_program_writes_it() {
    for (name, text, file) in reproducers() {
        assert_eq!(file.text(), text, "{name}");
    }
}

#[test]
fn every_planted_bug_of_the_list_and_of_the_toy_has_its_reproducer() {
    let found: BTreeSet<String> =
        reproducers().iter().filter_map(|(_, _, file)| planted(file).map(str::to_owned)).collect();
    let toy = planted_names().into_iter().filter(|name| name.starts_with("toy/"));
    let toy = toy.filter(|name| name != WITHOUT);
    let wanted = toy.chain(OF_THE_ENGINE.map(str::to_owned));
    let missing: Vec<String> = wanted.filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}: {ADVICE}");
}

#[test]
fn the_test_below_is_the_one_that_shrink_prints() {
    let name = "planted-toy-forgets-deletes";
    let text = text(&corpus().join(format!("{name}.repro")));
    let printed = shrink::rust_test(name, &text);
    let own = include_str!("reproducers.rs");
    assert!(own.contains(&printed), "expected, word for word:\n{printed}");
}

#[test]
fn planted_toy_forgets_deletes() {
    use quiver_sim::repro::Reproducer;
    let text = r#"quiver-sim reproducer 1
# Violation of I3 prefix.
# expected the state at LSN 3, of which 3 is acknowledged
# found    LSN 3 with other content, or an LSN that is none of these; against the state at LSN 3:
#              row "a" of "c0" is too many
status planted toy/forgets-deletes
shrinks-to 3
violates I3
slot s0 "c0" dim 1

open
create s0 l2 dim 1
upsert s0 "a" [0] ""
delete s0 "a"
crash after power-loss nothing
"#;
    let file = Reproducer::parse(text).unwrap_or_else(|wrong| panic!("{wrong}"));
    let verdict = file.verdict();
    assert!(verdict.as_said, "{verdict:?}");
}
