//! The words of a reproducer: what the lines are made of, read and written.
//!
//! - D1. A line is a statement. Inside braces a line, or what stands before a semicolon, is one
//!   element of a list.
//! - D2. What starts with `#` is a comment up to the end of its line.
//! - D3. Bytes are literals: `"text"` or `x"00ff"`, either with `*N` for N times over, joined by `+`.
//! - D4. Everything wrong is told with its line.

use std::fmt;
use std::str::FromStr;

/// Runs of one byte from this length on are written as a repetition.
const RUN_BYTES_MIN: usize = 8;

/// More bytes than this are no literal that anyone meant.
const LITERAL_BYTES_MAX: usize = 64 << 20;

/// What is wrong with a reproducer, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Letters, digits and signs between two spaces.
    Word(String),
    /// Bytes.
    Literal(Vec<u8>),
    /// `{`, `}`, `[` or `]`.
    Mark(char),
    /// The end of a line, or a semicolon.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Literal(bytes) => {
                let mut shown = literal(bytes);
                if shown.chars().count() > 24 {
                    shown = shown.chars().take(24).collect::<String>() + "...";
                }
                f.write_str(&shown)
            }
            Self::Mark(mark) => write!(f, "`{mark}`"),
            Self::End => f.write_str("the end of the line"),
        }
    }
}

/// The words of a text, read one after another.
#[derive(Debug)]
pub struct Words {
    tokens: Vec<(usize, Token)>,
    at: usize,
    /// How many slots there are: no other is a slot.
    pub slots: usize,
}

impl Words {
    /// Takes a text apart.
    ///
    /// # Errors
    /// A literal that does not end or is none.
    pub fn of(text: &str) -> Result<Self, Wrong> {
        let mut tokens = Vec::new();
        let mut last = 1;
        for (line, number) in text.lines().zip(1..) {
            last = number;
            let wrong = |what| Wrong { line: number, what };
            Scanner { rest: line }
                .scan(&mut |token| tokens.push((number, token)))
                .map_err(wrong)?;
            tokens.push((number, Token::End));
        }
        tokens.push((last, Token::End));
        Ok(Self { tokens, at: 0, slots: 0 })
    }

    fn here(&self) -> &(usize, Token) {
        self.token(self.at)
    }

    fn token(&self, at: usize) -> &(usize, Token) {
        // The last one is an end, and stays.
        &self.tokens[at.min(self.tokens.len() - 1)]
    }

    /// What is wrong with the word taken last.
    fn wrong_before(&self, expected: &str) -> Wrong {
        let (line, token) = self.token(self.at - 1);
        Wrong { line: *line, what: format!("expected {expected}, found {token}") }
    }

    /// The line of the next word.
    pub fn line(&self) -> usize {
        self.here().0
    }

    /// The next word, which stays.
    pub fn peek(&self) -> &Token {
        &self.here().1
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Takes the next word.
    pub fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    /// Takes the next word if it is this one.
    pub fn took(&mut self, word: &str) -> bool {
        let same = matches!(self.peek(), Token::Word(next) if next == word);
        self.at += usize::from(same);
        same
    }

    /// Takes the next word if it is this sign.
    pub fn took_mark(&mut self, mark: char) -> bool {
        let same = *self.peek() == Token::Mark(mark);
        self.at += usize::from(same);
        same
    }

    /// Takes ends as long as there are any.
    pub fn skip_ends(&mut self) {
        while !self.is_done() && *self.peek() == Token::End {
            self.at += 1;
        }
    }

    /// What is wrong with the next word.
    pub fn wrong(&self, expected: &str) -> Wrong {
        self.says(format!("expected {expected}, found {}", self.peek()))
    }

    /// Something wrong in this line.
    pub fn says(&self, what: String) -> Wrong {
        Wrong { line: self.line(), what }
    }

    /// Takes a word that is a word.
    ///
    /// # Errors
    /// It is something else.
    pub fn word(&mut self, expected: &str) -> Result<String, Wrong> {
        let Token::Word(word) = self.peek() else { return Err(self.wrong(expected)) };
        let word = word.clone();
        self.at += 1;
        Ok(word)
    }

    /// Takes this word.
    ///
    /// # Errors
    /// It is another.
    pub fn expect(&mut self, word: &str) -> Result<(), Wrong> {
        if self.took(word) { Ok(()) } else { Err(self.wrong(&format!("`{word}`"))) }
    }

    /// Takes this sign.
    ///
    /// # Errors
    /// It is another.
    pub fn expect_mark(&mut self, mark: char) -> Result<(), Wrong> {
        if self.took_mark(mark) { Ok(()) } else { Err(self.wrong(&format!("`{mark}`"))) }
    }

    /// Takes a number.
    ///
    /// # Errors
    /// It is none, or too large.
    pub fn number<T: FromStr>(&mut self, expected: &str) -> Result<T, Wrong> {
        self.word(expected)?.parse().map_err(|_| self.wrong_before(expected))
    }

    /// Takes a word that stands for one of some.
    ///
    /// # Errors
    /// It stands for none of them.
    pub fn one_of<T>(
        &mut self,
        expected: &str,
        find: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Wrong> {
        find(&self.word(expected)?).ok_or_else(|| self.wrong_before(expected))
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// It is something else.
    pub fn bytes(&mut self, expected: &str) -> Result<Vec<u8>, Wrong> {
        let Token::Literal(bytes) = self.peek() else { return Err(self.wrong(expected)) };
        let bytes = bytes.clone();
        self.at += 1;
        Ok(bytes)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// It is something else, or no UTF-8.
    pub fn text(&mut self, expected: &str) -> Result<String, Wrong> {
        String::from_utf8(self.bytes(expected)?).map_err(|_| self.wrong_before(expected))
    }

    /// Takes the end of the line.
    ///
    /// # Errors
    /// There is more.
    pub fn end_of_line(&mut self) -> Result<(), Wrong> {
        let ends = *self.peek() == Token::End;
        self.at += usize::from(ends);
        if ends { Ok(()) } else { Err(self.wrong("the end of the line")) }
    }

    /// Takes a list in braces, or of one element without (D1).
    ///
    /// # Errors
    /// Of the first element that is wrong.
    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, Wrong> {
        self.expect_mark('{')?;
        let opened = self.line();
        let mut list = Vec::new();
        loop {
            self.skip_ends();
            if self.took_mark('}') {
                return Ok(list);
            }
            if self.is_done() {
                return Err(Wrong { line: opened, what: "`{` is never closed".to_owned() });
            }
            list.push(read(self)?);
            if !matches!(self.peek(), Token::End | Token::Mark('}')) {
                return Err(self.wrong("`;`, a new line or `}`"));
            }
        }
    }
}

/// Finds the words of one line.
struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn scan(&mut self, add: &mut dyn FnMut(Token)) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start();
            let Some(first) = self.rest.chars().next() else { return Ok(()) };
            match first {
                '#' => return Ok(()),
                ';' => {
                    self.rest = &self.rest[1..];
                    add(Token::End);
                }
                '{' | '}' | '[' | ']' => {
                    self.rest = &self.rest[1..];
                    add(Token::Mark(first));
                }
                _ if self.starts_literal() => add(Token::Literal(self.literal()?)),
                _ => {
                    let is_end = |c: char| c.is_whitespace() || "{}[];\"".contains(c);
                    let end = self.rest.find(is_end).unwrap_or(self.rest.len());
                    let (word, rest) = self.rest.split_at(end.max(1));
                    self.rest = rest;
                    add(Token::Word(word.to_owned()));
                }
            }
        }
    }

    fn starts_literal(&self) -> bool {
        self.rest.starts_with('"') || self.rest.starts_with("x\"")
    }

    fn literal(&mut self) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        loop {
            let piece = match self.rest.strip_prefix('x') {
                Some(rest) => {
                    self.rest = rest;
                    hex(self.quoted()?)?
                }
                None => unescaped(self.quoted()?)?,
            };
            let times = self.times()?;
            if piece.len().saturating_mul(times) > LITERAL_BYTES_MAX - all.len() {
                return Err("a literal of more than 64 MiB".to_owned());
            }
            // Of nothing there may be said to be any number.
            all.extend_from_slice(&piece.repeat(times));
            match self.rest.strip_prefix('+') {
                Some(rest) => self.rest = rest,
                None => return Ok(all),
            }
            if !self.starts_literal() {
                return Err("`+` without a literal behind it".to_owned());
            }
        }
    }

    /// What is between two quotes.
    fn quoted(&mut self) -> Result<&str, String> {
        let inside = &self.rest[1..];
        let mut escaped = false;
        for (at, c) in inside.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.rest = &inside[at + 1..];
                    return Ok(&inside[..at]);
                }
                _ => {}
            }
        }
        Err("a literal that does not end".to_owned())
    }

    fn times(&mut self) -> Result<usize, String> {
        let Some(rest) = self.rest.strip_prefix('*') else { return Ok(1) };
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        self.rest = rest;
        digits.parse().map_err(|_| "`*` without a number behind it".to_owned())
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("x{text:?} is no bytes in hexadecimal digits");
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return Err(wrong());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect::<Option<_>>().ok_or_else(wrong)
}

fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('0') => '\0',
            Some(c @ ('"' | '\\')) => c,
            Some('u') => {
                let digits: String =
                    chars.by_ref().skip(1).take_while(|digit| *digit != '}').collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                code.and_then(char::from_u32)
                    .ok_or_else(|| format!("no character \\u{{{digits}}}"))?
            }
            other => return Err(format!("no escape \\{}", other.unwrap_or(' '))),
        });
    }
    Ok(out.into_bytes())
}

/// Bytes as a literal (D3).
pub fn literal(bytes: &[u8]) -> String {
    let mut pieces = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| **byte == bytes[at]).count();
        if run >= RUN_BYTES_MIN {
            if plain < at {
                pieces.push(piece(&bytes[plain..at]));
            }
            pieces.push(format!("{}*{run}", piece(&bytes[at..=at])));
            plain = at + run;
        }
        at += run;
    }
    if plain < bytes.len() || pieces.is_empty() {
        pieces.push(piece(&bytes[plain..]));
    }
    pieces.join("+")
}

fn piece(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !"\n\t\r\0".contains(c)) => {
            let mut out = String::from("\"");
            for c in text.chars() {
                match c {
                    '\0' => out.push_str("\\0"),
                    '"' | '\\' | '\n' | '\t' | '\r' => out.extend(c.escape_default()),
                    ' '..='~' => out.push(c),
                    c if c.is_alphanumeric() => out.push(c),
                    c => out.extend(c.escape_unicode()),
                }
            }
            out + "\""
        }
        _ => format!("x\"{}\"", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// A text in the making.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
    depth: usize,
    inside: bool,
}

impl Text {
    /// Adds a word to the line.
    pub fn word(&mut self, word: &str) {
        if self.inside {
            self.out.push(' ');
        } else {
            self.out.extend(std::iter::repeat_n("    ", self.depth));
        }
        self.inside = true;
        self.out.push_str(word);
    }

    /// Adds a literal to the line.
    pub fn literal(&mut self, bytes: &[u8]) {
        self.word(&literal(bytes));
    }

    /// Ends the line.
    pub fn end(&mut self) {
        self.out.push('\n');
        self.inside = false;
    }

    /// Adds a comment.
    pub fn comment(&mut self, words: &str) {
        self.word(format!("# {words}").trim_end());
        self.end();
    }

    /// Adds a list in braces: of more than one element each on a line of its own.
    pub fn list<T>(&mut self, list: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.word("{");
        match list {
            [] => {}
            [one] => write(self, one),
            many => {
                self.end();
                self.depth += 1;
                for one in many {
                    write(self, one);
                    self.end();
                }
                self.depth -= 1;
            }
        }
        self.word("}");
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;

    fn read(text: &str) -> Result<Vec<u8>, Wrong> {
        let mut words = Words::of(text)?;
        let bytes = words.bytes("bytes")?;
        words.end_of_line().map(|()| bytes)
    }

    #[test]
    fn literals_round_trip() {
        let plain: [&[u8]; 9] = [
            b"",
            b"k1",
            b"a \"b\" \\ # { } ; \n\t\r\0",
            "ключ-\u{1f980}\u{7f}\u{85}".as_bytes(),
            &[0xff, 0x80, 7],
            &[b'y'; 1022],
            &[0; 8],
            b"01yyyyyyyyyyyyyyyy\xff\xff\xff\xff\xff\xff\xff\xff2",
            "\u{7f}".as_bytes(),
        ];
        for bytes in plain {
            assert_eq!(read(&literal(bytes)).as_deref(), Ok(bytes), "{}", literal(bytes));
        }
        let mut stream = Stream::new(5);
        for _ in 0..2000 {
            let len = stream.size(0, 40);
            let few = [0, b'a', 0xc3, 0xa9, 0x80, b'"', b'\\', b'*'];
            let bytes: Vec<u8> = (0..len).map(|_| *stream.pick(&few)).collect();
            assert_eq!(read(&literal(&bytes)).as_ref(), Ok(&bytes), "{}", literal(&bytes));
        }
        assert_eq!(literal(b"02xxxxxxxxxx"), "\"02\"+\"x\"*10");
        let nothing = format!("\"\"*{}+\"a\"", usize::MAX);
        assert_eq!(read(&nothing).as_deref(), Ok(&b"a"[..]));
    }

    #[test]
    fn wrong_literals_are_refused_with_their_line() {
        let wrong = [
            ("\"a", "a literal that does not end"),
            ("x\"0\"", "x\"0\" is no bytes in hexadecimal digits"),
            ("x\"0g\"", "x\"0g\" is no bytes in hexadecimal digits"),
            ("\"a\"*x", "`*` without a number behind it"),
            ("\"a\"+b", "`+` without a literal behind it"),
            ("\"\\q\"", "no escape \\q"),
            ("\"\\u{d800}\"", "no character \\u{d800}"),
            ("\"a\"*99999999999", "a literal of more than 64 MiB"),
            ("\"a\" b", "expected the end of the line, found `b`"),
            ("7", "expected bytes, found `7`"),
        ];
        for (text, what) in wrong {
            let found = read(text).expect_err(text);
            assert_eq!(found, Wrong { line: 1, what: what.to_owned() });
        }
        let found = Words::of("a\nb\nx\"").expect_err("it does not end");
        assert_eq!(found.to_string(), "line 3: a literal that does not end");
    }
}
