//! Text that is safe between and inside the tags of a page.

use std::fmt::{self, Display, Write};

/// Characters of one text that a page shows.
const CHARS_MAX: usize = 4000;

/// A text, escaped, and cut where it is too long for a page.
pub(super) struct Safe<T>(pub(super) T);

impl<T: Display> Display for Safe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        for c in text.chars().take(CHARS_MAX) {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // A page may not have these, however they are written.
                '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}' => {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
                c => f.write_char(c)?,
            }
        }
        if text.chars().nth(CHARS_MAX).is_some() {
            f.write_str(" ... (cut off)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        let text = "</td><script>alert(\"1\" & '2')</script>\u{0}\n";
        let safe = Safe(text).to_string();
        let escaped = "&lt;/td&gt;&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\u{fffd}\n";
        assert_eq!(safe, escaped);
        assert!(Safe("x".repeat(1 << 20)).to_string().len() < 2 * CHARS_MAX);
    }
}
