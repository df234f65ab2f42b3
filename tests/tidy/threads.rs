//! Locks, atomics and threads come from one file, behind which schedules are explored.

use crate::source::{Source, identifiers};

/// The one file that may say which threads it stands on.
const SWITCH: &str = "src/sync.rs";

/// Besides it: what stands behind the seam, and programs, which no schedule explores.
const BESIDES: [&str; 2] = ["src/vfs/os/", "src/bin/"];

/// Names each place of the engine that reaches around `src/sync.rs`, or that is compiled differently
/// where schedules are explored.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let engine = sources.iter().filter(|source| source.path.starts_with("src/"));
    for source in engine.filter(|source| source.path != SWITCH) {
        let is_beside = BESIDES.iter().any(|folder| source.path.starts_with(folder));
        for (at, word) in identifiers(&source.shipped) {
            let place = source.place(at);
            if word == "shuttle" {
                found.push(format!("{place}: only {SWITCH} knows of the scheduler"));
            } else if word == "std" && !is_beside && names_threads(&source.shipped[at..]) {
                found.push(format!("{place}: from {SWITCH}, or no schedule explores it"));
            }
        }
    }
    found
}

/// Whether a path that starts with `std` leads to locks, atomics or threads.
fn names_threads(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("std::") else { return false };
    let is_group = rest.starts_with('{');
    let end = rest.find(';').unwrap_or(rest.len());
    let mut words = identifiers(&rest[..end]).map(|(_, word)| word);
    let names = |word: &str| ["sync", "thread"].contains(&word);
    if is_group { words.any(names) } else { words.next().is_some_and(names) }
}

#[test]
fn what_reaches_around_the_one_file_is_named() {
    let text = "use std::sync::Arc;\nuse std::io;\nfn a() { std::thread::yield_now(); }\n\
                use std::{fmt, sync::Mutex};\nuse crate::sync::RwLock;\n// std::sync\n\
                #[cfg(shuttle)]\nfn b() {}\nuse std::{fmt, io};\n\
                #[cfg(test)]\nmod tests { use std::thread; }\n";
    let lines = |path: &str| -> Vec<String> {
        let sources = [Source::new(path, text)];
        let places = check(&sources)
            .into_iter()
            .map(|line| line.split(": ").next().expect("a line begins with its place").to_owned());
        places.collect()
    };
    assert_eq!(lines("src/x.rs"), ["src/x.rs:1", "src/x.rs:3", "src/x.rs:4", "src/x.rs:7"]);
    assert_eq!(lines("src/vfs/os/x.rs"), ["src/vfs/os/x.rs:7"]);
    assert_eq!(lines("src/sync.rs"), [""; 0]);
    assert_eq!(lines("sim/src/x.rs"), [""; 0]);
}
