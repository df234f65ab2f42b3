//! Words that stand for something unfinished, unproved or unnamed.

use crate::source::{Source, identifiers};

/// Spelled in halves, so that this file does not find itself.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Names that say nothing of what a thing is.
const NAMELESS: [&str; 5] = ["manager", "handler", "helper", "util", "misc"];

/// What the engine might be told apart by in the simulator.
const SIMULATED: [&str; 2] = ["sim", "madsim"];

/// Names each shipped `unwrap`, and everywhere what is unfinished or skipped.
pub(crate) fn check_code(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let mut report = |at: usize, what: &str| {
            found.push(format!("{}: {what}", source.place(at)));
        };
        for (at, _) in source.shipped.match_indices(".unwrap()") {
            report(at, "unwrap: return the error, or expect with the proof as its text");
        }
        for mark in ["todo!", "unimplemented!"] {
            for (at, _) in source.code.match_indices(mark) {
                report(at, "unfinished: finish it, or leave it out");
            }
        }
        for (at, _) in source.code.match_indices("#[ignore") {
            report(at, "skipped test: a test that does not run proves nothing");
        }
        for (at, word) in identifiers(&source.text) {
            if UNFINISHED.contains(&word) {
                report(at, "unfinished: finish it, or open an issue");
            }
        }
    }
    found
}

/// Names each file, module and type whose name says nothing.
pub(crate) fn check_names(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let path = source.path.trim_end_matches(".rs");
        if let Some(word) = path.split('/').find_map(nameless_part) {
            found.push(format!("{}: a file is named for what it holds, not {word}", source.path));
        }
        let words: Vec<(usize, &str)> = identifiers(&source.code).collect();
        for pair in words.windows(2) {
            let [(_, keyword), (at, name)] = [pair[0], pair[1]];
            let defines = ["struct", "enum", "trait", "mod", "type"].contains(&keyword);
            if let Some(word) = nameless_part(name).filter(|_| defines) {
                let place = source.place(at);
                found.push(format!("{place}: {name} is named for what it is, not {word}"));
            }
        }
    }
    found
}

/// Names each place of the engine that is compiled differently for the simulator.
pub(crate) fn check_no_simulation(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/")) {
        for (at, word) in identifiers(&source.code) {
            let is_condition = ["cfg", "cfg_attr"].contains(&word);
            let condition = source.code[at..].find(['(', ';']).zip(source.code[at..].find(']'));
            let Some((start, end)) = condition.filter(|(start, end)| is_condition && start < end)
            else {
                continue;
            };
            // The text, not the code: the name of a feature is a literal.
            let condition = &source.text[at + start..at + end];
            if identifiers(condition).any(|(_, word)| SIMULATED.contains(&word)) {
                let place = source.place(at);
                found.push(format!("{place}: what is tested is what ships, without a condition"));
            }
        }
    }
    found
}

/// The nameless word in a name in snake or camel case, if there is one.
fn nameless_part(name: &str) -> Option<&'static str> {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_uppercase() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    let mut parts = snake.split('_');
    parts.find_map(|part| {
        let singular = part.strip_suffix('s').unwrap_or(part);
        NAMELESS.into_iter().find(|word| *word == singular)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(check: fn(&[Source]) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
        let found = check(&[Source::new(path, text)]);
        found.iter().filter_map(|line| line.split(": ").next()).map(str::to_owned).collect()
    }

    #[test]
    fn an_unwrap_is_found_where_it_ships() {
        let text =
            "// .unwrap()\nfn a() { b.unwrap(); }\n#[cfg(test)]\nmod t { fn c() { d.unwrap() } }";
        assert_eq!(lines(check_code, "src/x.rs", text), ["src/x.rs:2"]);
        assert_eq!(lines(check_code, "tests/x.rs", text), [""; 0]);
    }

    #[test]
    fn what_is_unfinished_is_found_in_tests_and_comments_too() {
        let mark = UNFINISHED[0];
        let text =
            format!("// {mark}: later\n// {mark}S\n/// `{}`\nfn a() {{ todo!() }}", UNFINISHED[1]);
        let found = lines(check_code, "tests/x.rs", &text);
        assert_eq!(found, ["tests/x.rs:4", "tests/x.rs:1", "tests/x.rs:3"]);
        let skipped = "#[test]\n#[ignore = \"slow\"]\nfn a() {}";
        assert_eq!(lines(check_code, "sim/tests/x.rs", skipped), ["sim/tests/x.rs:2"]);
    }

    #[test]
    fn nameless_names_are_found_whole_words_only() {
        let found = |path: &str| lines(check_names, path, "").len();
        let named = ["src/util.rs", "src/helpers/a.rs", "sim/src/disk_manager.rs"];
        assert_eq!(named.map(found), [1, 1, 1]);
        assert_eq!(["src/utility_company.rs", "src/miscount.rs"].map(found), [0, 0]);
        let text = "struct FileManager;\nfn handler() {}\nmod utils {}\nenum Handled {}";
        assert_eq!(lines(check_names, "src/x.rs", text), ["src/x.rs:1", "src/x.rs:3"]);
    }

    #[test]
    fn a_condition_on_the_simulator_is_found_in_the_engine_only() {
        let text = "#[cfg(unix)]\n#[cfg(not(madsim))]\n#[cfg(feature = \"sim\")]\n#[cfg_attr(sim, a)]\nfn sim() {}";
        let found = lines(check_no_simulation, "src/x.rs", text);
        assert_eq!(found, ["src/x.rs:2", "src/x.rs:3", "src/x.rs:4"]);
        assert_eq!(lines(check_no_simulation, "sim/src/x.rs", text), [""; 0]);
    }
}
