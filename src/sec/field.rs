//! What can be filtered on: a path into the payload, and the type of what stands there.
//!
//! A path is keys of nested objects, with dots between them. A dot within a key is written `\.`, a
//! backslash `\\`. No key is empty, so an empty key of a payload cannot be reached.

use std::fmt;

use crate::error::{Error, Result};
use crate::limits::{FIELD_PATH_BYTES_MAX, FIELD_PATH_DEPTH_MAX};

/// The type of the values of a filterable field. A value of another type counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum FieldType {
    /// Strings, compared by their bytes. The number is stored on disk.
    Keyword = 1,
    /// Numbers, compared by value. The number is stored on disk.
    Numeric = 2,
    /// `true` and `false`. The number is stored on disk.
    Bool = 3,
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyword => "keyword",
            Self::Numeric => "numeric",
            Self::Bool => "bool",
        })
    }
}

/// A field of the payload that predicates can be put on.
///
/// *Units and limits*: a path has at most [`FIELD_PATH_BYTES_MAX`] bytes and
/// [`FIELD_PATH_DEPTH_MAX`] keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterableField {
    /// The keys that lead to the value, with dots between them; `a\.b` is one key with a dot.
    pub path: String,
    /// The type that a value must have to be present.
    pub field_type: FieldType,
}

impl FilterableField {
    /// A field of strings.
    pub fn keyword(path: impl Into<String>) -> Self {
        Self { path: path.into(), field_type: FieldType::Keyword }
    }

    /// A field of numbers.
    pub fn numeric(path: impl Into<String>) -> Self {
        Self { path: path.into(), field_type: FieldType::Numeric }
    }

    /// A field of `true` and `false`.
    pub fn boolean(path: impl Into<String>) -> Self {
        Self { path: path.into(), field_type: FieldType::Bool }
    }

    /// Checks the path.
    ///
    /// # Errors
    /// `InvalidArgument`: too long, too deep, an empty key, or a backslash before something other
    /// than a dot or a backslash.
    pub fn validate(&self) -> Result<()> {
        self.keys().map(drop)
    }

    /// The keys of the path, without escapes.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub(crate) fn keys(&self) -> Result<Vec<String>> {
        let path = &self.path;
        let invalid = |what: String| Err(Error::invalid(format!("field path {path:?}: {what}")));
        if path.len() > FIELD_PATH_BYTES_MAX {
            let len = path.len();
            // It is not repeated: a message is no place for a megabyte.
            return Err(Error::invalid(format!(
                "field path: {len} bytes, at most {FIELD_PATH_BYTES_MAX}"
            )));
        }
        let mut keys = vec![String::new()];
        let mut characters = path.char_indices();
        while let Some((at, character)) = characters.next() {
            let key = keys.last_mut().expect("it starts with one and never shrinks");
            match character {
                '.' if key.is_empty() => return invalid(format!("empty key at byte {at}")),
                '.' => keys.push(String::new()),
                '\\' => match characters.next() {
                    Some((_, escaped @ ('.' | '\\'))) => key.push(escaped),
                    _ => {
                        return invalid(format!(
                            "backslash at byte {at} before neither dot nor backslash"
                        ));
                    }
                },
                character => key.push(character),
            }
        }
        if keys.last().is_some_and(String::is_empty) {
            return invalid(format!("empty key at byte {}", path.len()));
        }
        if keys.len() > FIELD_PATH_DEPTH_MAX {
            return invalid(format!("{} keys, at most {FIELD_PATH_DEPTH_MAX}", keys.len()));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn keys(path: &str) -> Vec<String> {
        FilterableField::keyword(path).keys().expect("a good path")
    }

    #[test]
    fn path_is_split_at_dots_that_are_not_escaped() {
        assert_eq!(keys("a"), ["a"]);
        assert_eq!(keys("a.b.c"), ["a", "b", "c"]);
        assert_eq!(keys(r"a\.b.c\\.\\\.d"), ["a.b", r"c\", r"\.d"]);
        assert_eq!(keys("\u{e9}.\u{1f600} x"), ["\u{e9}", "\u{1f600} x"]);
        assert_eq!(keys(&["k"; FIELD_PATH_DEPTH_MAX].join(".")).len(), FIELD_PATH_DEPTH_MAX);
        assert_eq!(keys(&"k".repeat(FIELD_PATH_BYTES_MAX)).len(), 1);
    }

    #[test]
    fn malformed_path_is_refused_with_its_place() {
        let refused = |path: &str, message: &str| {
            let error = FilterableField::numeric(path).validate().expect_err("malformed");
            assert_eq!(
                (error.kind(), error.to_string()),
                (ErrorKind::InvalidArgument, message.into())
            );
        };
        refused("", r#"field path "": empty key at byte 0"#);
        refused(".a", r#"field path ".a": empty key at byte 0"#);
        refused("a..b", r#"field path "a..b": empty key at byte 2"#);
        refused("a.", r#"field path "a.": empty key at byte 2"#);
        let escape = "before neither dot nor backslash";
        refused(r"a\", &format!(r#"field path "a\\": backslash at byte 1 {escape}"#));
        refused(r"a\n", &format!(r#"field path "a\\n": backslash at byte 1 {escape}"#));
        refused(&"k".repeat(256), "field path: 256 bytes, at most 255");
        let deep = ["k"; 17].join(".");
        refused(&deep, &format!("field path {deep:?}: 17 keys, at most 16"));
    }
}
