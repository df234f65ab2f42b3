//! A reader of JSON that knows nothing of the engine's.
//!
//! **Place.** Only the evaluator above it. Written out by RFC 8259, so that a payload means what the
//! standard says and not what a parser that both sides share makes of it.
//!
//! - J1. Either the whole payload is JSON, or it is none; a value that no type here can hold (half a
//!   surrogate pair, a number beyond all floats) is JSON all the same.
//! - J2. Members stay in their order, those of one name too: who looks one up takes the last.
//! - J3. It goes as deep into its own calls as values are nested; payloads of histories are not deep.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Text(String),
    Number(Number),
    Array(Vec<Value>),
    /// A name that is no text is none.
    Object(Vec<(Option<String>, Value)>),
    /// `null`, and what is JSON but nothing that can be compared (J1).
    Other,
}

/// A number as it stands in a payload or in a predicate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Without fraction and exponent, and within i64 or u64.
    Whole(i128),
    /// Anything else.
    Float(f64),
}

/// The value that a payload is; `None` if it is no JSON.
pub(super) fn parse(payload: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut reader = Reader { rest: text };
    let value = reader.value()?;
    reader.skip_space();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn took(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a sign with space before it.
    fn took_sign(&mut self, sign: &str) -> bool {
        self.skip_space();
        self.took(sign)
    }

    fn value(&mut self) -> Option<Value> {
        self.skip_space();
        match self.rest.chars().next()? {
            '{' => self.object(),
            '[' => self.array(),
            '"' => Some(self.string()?.map_or(Value::Other, Value::Text)),
            '-' | '0'..='9' => self.number(),
            _ if self.took("true") => Some(Value::Bool(true)),
            _ if self.took("false") => Some(Value::Bool(false)),
            _ if self.took("null") => Some(Value::Other),
            _ => None,
        }
    }

    fn object(&mut self) -> Option<Value> {
        let mut members = Vec::new();
        self.took("{");
        if self.took_sign("}") {
            return Some(Value::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            if !self.took_sign(":") {
                return None;
            }
            members.push((name, self.value()?));
            if self.took_sign("}") {
                return Some(Value::Object(members));
            }
            if !self.took(",") {
                return None;
            }
        }
    }

    fn array(&mut self) -> Option<Value> {
        let mut elements = Vec::new();
        self.took("[");
        if self.took_sign("]") {
            return Some(Value::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            if self.took_sign("]") {
                return Some(Value::Array(elements));
            }
            if !self.took(",") {
                return None;
            }
        }
    }

    /// A string; the inner `None` where its escapes are no text.
    fn string(&mut self) -> Option<Option<String>> {
        if !self.took("\"") {
            return None;
        }
        let mut units: Vec<u16> = Vec::new();
        loop {
            let mut chars = self.rest.chars();
            let first = chars.next()?;
            self.rest = chars.as_str();
            match first {
                '"' => return Some(String::from_utf16(&units).ok()),
                '\\' => units.push(self.escape()?),
                '\0'..='\u{1f}' => return None,
                other => units.extend_from_slice(other.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        let mut chars = self.rest.chars();
        let letter = chars.next()?;
        self.rest = chars.as_str();
        let plain = match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits = self.rest.get(..4)?;
                self.rest = &self.rest[4..];
                let all = digits.chars().all(|digit| digit.is_ascii_hexdigit());
                return if all { u16::from_str_radix(digits, 16).ok() } else { None };
            }
            _ => return None,
        };
        u16::try_from(u32::from(plain)).ok()
    }

    fn number(&mut self) -> Option<Value> {
        let all = self.rest;
        self.took("-");
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let mut is_whole = true;
        if self.took(".") {
            is_whole = false;
            if self.digits().is_empty() {
                return None;
            }
        }
        if self.took("e") || self.took("E") {
            is_whole = false;
            let _ = self.took("+") || self.took("-");
            if self.digits().is_empty() {
                return None;
            }
        }
        let text = &all[..all.len() - self.rest.len()];
        let exact = text.parse::<i128>().ok().filter(|_| is_whole);
        let exact = exact.filter(|it| (i64::MIN.into()..=u64::MAX.into()).contains(it));
        Some(match (exact, text.parse::<f64>()) {
            (Some(whole), _) => Value::Number(Number::Whole(whole)),
            (None, Ok(float)) if float.is_finite() => Value::Number(Number::Float(float)),
            _ => Value::Other,
        })
    }

    fn digits(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;

    #[test]
    fn what_is_no_json_is_none() {
        let wrong = [
            "",
            " ",
            "nul",
            "tru",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1}{",
            "{\"a\":1} x",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "Infinity",
            "\"",
            "\"\\",
            "\"\\q\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\n\"",
            "\"\0\"",
            "'a'",
            "\u{feff}1",
            "\u{a0}1",
            "[1 2]",
            "1 2",
        ];
        for text in wrong {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(b"\"\xff\""), None);
    }

    #[test]
    fn values_are_what_the_standard_says() {
        let number = |text: &str| match parse(text.as_bytes()) {
            Some(Value::Number(number)) => number,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(number("-0"), Number::Whole(0));
        assert_eq!(number("18446744073709551615"), Number::Whole(u64::MAX.into()));
        assert_eq!(number("-9223372036854775808"), Number::Whole(i64::MIN.into()));
        assert_eq!(number("18446744073709551616"), Number::Float(18_446_744_073_709_551_616.0));
        assert_eq!(number("1e2"), Number::Float(100.0));
        assert_eq!(number("1e-400"), Number::Float(0.0));
        assert_eq!(parse(b"1e400"), Some(Value::Other));
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        assert_eq!(
            parse(b"\"\\u00e9\\ud83d\\ude00\\/\\\\\\\"\\b\""),
            text("\u{e9}\u{1f600}/\\\"\u{8}")
        );
        assert_eq!(parse(b"\"\\ud83d\""), Some(Value::Other));
        assert_eq!(parse(b"\"\\ud83dx\\ude00\""), Some(Value::Other));
    }

    /// Another reader of the same standard takes and refuses the same texts.
    #[test]
    fn same_texts_are_json_as_to_another_reader() {
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"\\u0041\"",
            "1",
            "-",
            "0",
            ".5",
            "e1",
            "true",
            "null",
            " ",
            "\"",
            "\\",
        ];
        let mut stream = Stream::new(9);
        let (mut good, mut bad) = (0, 0);
        for _ in 0..40_000 {
            let len = stream.size(1, 7);
            let text: String = (0..len).map(|_| *stream.pick(&pieces)).collect();
            let other = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert_eq!(parse(text.as_bytes()).is_some(), other, "{text}");
            if other { good += 1 } else { bad += 1 }
        }
        assert!(good > 1000 && bad > 1000, "{good} and {bad}");
    }
}
