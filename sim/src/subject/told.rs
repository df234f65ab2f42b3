//! States in words, as far as they tell anything.

use std::fmt::Debug;

/// A text that is longer is told from shortly before its first difference on.
const SHOWN_MAX: usize = 400;

/// So much stands before a difference.
const BEFORE_MAX: usize = 60;

/// States in words.
fn words_of<T: Debug>(states: &[T]) -> String {
    match states {
        [one] => format!("{one:?}"),
        many => {
            let words: Vec<String> = many.iter().map(|state| format!("{state:?}")).collect();
            format!("one of {}", words.join(" or "))
        }
    }
}

/// What ought to be shown and what is. Long texts that differ late are no help as they are: of those, the
/// state that is nearest is told, and both from shortly before they differ.
pub(super) fn told_apart<T: Debug>(expected: &[T], shown: &T) -> (String, String) {
    let (all, found) = (words_of(expected), format!("{shown:?}"));
    if all.len() <= SHOWN_MAX && found.len() <= SHOWN_MAX {
        return (all, found);
    }
    let alike = |text: &String| text.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let texts = expected.iter().map(|state| format!("{state:?}"));
    let Some(nearest) = texts.max_by_key(alike) else { return (all, from(&found, 0)) };
    let start = alike(&nearest).saturating_sub(BEFORE_MAX);
    let told = from(&nearest, start);
    let expected = match expected.len() {
        1 => told,
        count => format!("one of {count}, the nearest of which is {told}"),
    };
    (expected, from(&found, start))
}

/// The beginning of a text.
pub(super) fn short(text: &str) -> String {
    const SHOWN_MAX: usize = 160;
    let short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

/// A text from a character on, with dots for what is left out.
fn from(text: &str, start: usize) -> String {
    let rest: Vec<char> = text.chars().skip(start).collect();
    let before = if start > 0 { "..." } else { "" };
    let behind = if rest.len() > SHOWN_MAX { "..." } else { "" };
    let shown: String = rest.iter().take(SHOWN_MAX).collect();
    format!("{before}{shown}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_told_from_shortly_before_they_differ() {
        let rows = |last: u8| (0..2000_u32).chain([u32::from(last) + 7000]).collect::<Vec<_>>();
        let (expected, found) = told_apart(&[rows(1)], &rows(2));
        assert_ne!(expected, found);
        assert!(expected.starts_with("...") && expected.ends_with(", 1999, 7001]"), "{expected}");
        assert!(found.ends_with(", 1999, 7002]") && found.len() < 100, "{found}");
        let (expected, found) = told_apart(&[vec![], rows(1), rows(2)], &rows(2)[..9].to_vec());
        assert!(expected.starts_with("one of 3, the nearest of which is [0, 1, 2"), "{expected}");
        assert!(expected.ends_with("...") && found == "[0, 1, 2, 3, 4, 5, 6, 7, 8]", "{found}");
        let (expected, found) = told_apart(&["\u{1f980}".repeat(500)], &"\u{1f980}".repeat(499));
        assert_ne!(expected, found);
    }

    #[test]
    fn short_texts_are_told_whole() {
        let told = told_apart(&[1, 2], &3);
        assert_eq!(told, ("one of 1 or 2".to_owned(), "3".to_owned()));
    }
}
