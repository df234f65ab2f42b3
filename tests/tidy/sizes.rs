//! No file is longer than a reader's patience and no function longer than a screen.

use crate::source::{Source, body, identifiers, line_of};

/// With tests and documentation.
const FILE_LINES_MAX: usize = 600;

/// From `fn` to the closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Names each file and function that is too long.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path));
        }
        for (name, at, lines) in functions(&source.code) {
            if lines > FUNCTION_LINES_MAX {
                let place = source.place(at);
                found.push(format!(
                    "{place}: {name} has {lines} lines, at most {FUNCTION_LINES_MAX}"
                ));
            }
        }
    }
    found
}

/// Every function with a body: name, where it starts, how many lines it has.
fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let words: Vec<(usize, &str)> = identifiers(code).collect();
    let mut found = Vec::new();
    for pair in words.windows(2) {
        let [(at, word), (name_at, name)] = [pair[0], pair[1]];
        // `fn` before a parenthesis is the type of a function pointer.
        if word != "fn" || !code[at + word.len()..name_at].trim().is_empty() {
            continue;
        }
        if let Some(body) = body(code, name_at) {
            found.push((name, at, 1 + line_of(code, body.end - 1) - line_of(code, at)));
        }
    }
    found
}

#[test]
fn lines_of_a_function_are_counted_from_its_name_to_its_brace() {
    let code =
        "trait T { fn a(&self) -> [u8; 4]; }\nfn b(f: fn(u8) -> u8)\nwhere\n{\n  c\n}\nfn d() {}";
    let found: Vec<_> = functions(code)
        .into_iter()
        .map(|(name, at, lines)| (name, line_of(code, at), lines))
        .collect();
    assert_eq!(found, [("b", 2, 5), ("d", 7, 1)]);
}

#[test]
fn only_what_is_too_long_is_named() {
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "x;\n".repeat(lines - 2));
    let check = |text: &str| check(&[Source::new("src/x.rs", text)]);
    assert_eq!(check(&function(FUNCTION_LINES_MAX)), [""; 0]);
    let long = function(FUNCTION_LINES_MAX + 1);
    assert_eq!(check(&long), ["src/x.rs:1: f has 71 lines, at most 70"]);
    assert_eq!(check(&"\n".repeat(FILE_LINES_MAX)), [""; 0]);
    assert_eq!(check(&"\n".repeat(FILE_LINES_MAX + 1)), ["src/x.rs: 601 lines, at most 600"]);
}
