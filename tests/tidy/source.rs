//! Source files, and what the rules look at in them: code without comments and literals, and of
//! that the part that ships.
//!
//! Wiped bytes become spaces and newlines stay, so that a place in the code is the same place in
//! the text.

use std::fs;
use std::path::Path;

/// One file of Rust code.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Without comments and the content of literals.
    pub(crate) code: String,
    /// The code without its tests; nothing where the whole file is a test.
    pub(crate) shipped: String,
}

impl Source {
    /// Takes a file apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = without_comments(text);
        let shipped = if is_test(path) { String::new() } else { without_tests(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped }
    }

    /// `path:line` of a byte of the text.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, line_of(&self.text, at))
    }
}

/// Every Rust file below a folder that may be missing, in order of their paths.
pub(crate) fn read_all(root: &Path, folder: &str) -> Vec<Source> {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("the folder can be listed").file_name())
        .map(|name| name.into_string().expect("names in this repository are UTF-8"))
        .collect();
    names.sort();
    let mut sources = Vec::new();
    for name in names {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            sources.extend(read_all(root, &path));
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(root.join(&path)).expect("sources are readable UTF-8");
            sources.push(Source::new(&path, &text));
        }
    }
    sources
}

/// The line, from 1, of a byte.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
}

/// Where the identifiers of some code are: start and end of each.
pub(crate) fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = code.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then(|| (start, &code[start..at]))
    })
}

/// The body of the item that starts at `from`, from its opening brace to past its closing one;
/// `None` where the item ends with a semicolon.
pub(crate) fn body(code: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let mut depth = 0_usize;
    let mut open = None;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return None,
            b'{' => {
                open = open.or((depth == 0).then_some(at));
                depth += 1;
            }
            b'}' => {
                depth = depth.saturating_sub(1);
                if let Some(open) = open.filter(|_| depth == 0) {
                    return Some(open..at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(end) = opaque_end(bytes, at) {
            wipe(&mut code[at..end]);
            at = end;
        } else if is_word(bytes[at]) {
            // A whole word at once: the `r` of a raw string is a word of its own.
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
        } else {
            at += 1;
        }
    }
    String::from_utf8(code).expect("characters are wiped whole")
}

fn without_tests(code: &str) -> String {
    if code.contains("#![cfg(test)]") {
        return String::new();
    }
    let mut shipped = code.as_bytes().to_vec();
    for mark in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (start, _) in code.match_indices(mark) {
            let after = start + code[start..].find(']').map_or(mark.len(), |end| end + 1);
            let semicolon = code[after..].find(';').map_or(code.len(), |end| after + end + 1);
            let end = body(code, after).map_or(semicolon, |body| body.end);
            wipe(&mut shipped[start..end]);
        }
    }
    String::from_utf8(shipped).expect("items are wiped whole")
}

fn wipe(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// The end of the comment or literal that starts here, if one does.
fn opaque_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let length = match rest[0] {
        b'/' if rest.starts_with(b"//") => rest.iter().position(|byte| *byte == b'\n'),
        b'/' if rest.starts_with(b"/*") => block_comment(rest),
        b'r' | b'b' | b'c' => return raw_string(rest).map(|length| at + length),
        b'"' => quoted(rest, b'"'),
        b'\'' if rest.get(1) == Some(&b'\\') => quoted(rest, b'\''),
        b'\'' => return character(rest).map(|length| at + length),
        _ => return None,
    };
    Some(length.map_or(bytes.len(), |length| at + length))
}

fn block_comment(rest: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    None
}

fn quoted(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = [&b"r"[..], b"br", b"cr"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix.len() + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close = [&b"\""[..], &vec![b'#'; hashes]].concat();
    let body = rest[open + 1..].windows(close.len()).position(|window| window == close);
    Some(body.map_or(rest.len(), |body| open + 1 + body + close.len()))
}

/// A character literal, and no lifetime: its closing quote follows one character later.
fn character(rest: &[u8]) -> Option<usize> {
    let mut width = 1;
    while rest.get(1 + width).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {
        width += 1;
    }
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

#[test]
fn comments_and_literals_are_wiped_in_place() {
    let text =
        "a // b\n/* c /* d */ e */ f \"g\\\"h\" i r#\"j\"k\"# l 'm' 'é' '\\'' n<'o> b\"p\" q";
    let code = without_comments(text);
    assert_eq!(code.len(), text.len());
    let words: Vec<&str> = identifiers(&code).map(|(_, word)| word).collect();
    assert_eq!(words, ["a", "f", "i", "l", "n", "o", "b", "q"]);
}

#[test]
fn what_only_tests_see_does_not_ship() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { if c {} } }\nfn d() {}\n\
                #[cfg(test)]\nuse e;\nfn f() {}\n#[cfg(all(test, g))]\nfn h([u8; 2]) {}\nfn i() {}";
    let words = |text: &str| {
        let shipped = Source::new("src/x.rs", text).shipped;
        identifiers(&shipped).map(|(_, word)| word.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(text), ["fn", "a", "fn", "d", "fn", "f", "fn", "i"]);
    assert_eq!(words("#![cfg(test)]\nfn a() {}"), [""; 0]);
    assert_eq!(Source::new("src/wal/tests.rs", text).shipped, "");
}
