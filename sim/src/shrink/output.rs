//! Writes the file, plays what was written, and tells of it (Z5).

use std::fs;
use std::path::{Path, PathBuf};

use super::Size;
use crate::repro::Reproducer;
use crate::system::System;
use crate::tally::Violation;

/// A file that was written, read back and played.
#[derive(Clone, Debug)]
pub struct Written {
    /// What its play violated.
    pub violation: Violation,
    /// Its text.
    pub text: String,
    /// Its size.
    pub size: Size,
}

/// Writes a reproducer under a name for the time being, reads that, plays it, and only then gives it
/// its name.
///
/// # Errors
/// The file cannot be written, or what was read does not reproduce.
pub fn write(system: &dyn System, file: &Reproducer, path: &Path) -> Result<Written, String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        format!("cannot {what} {}: {error}", path.display())
    };
    let temporary = beside(path);
    fs::write(&temporary, file.text()).map_err(|error| failed("write", &error))?;
    let written = read_back(system, &temporary);
    if written.is_err() {
        // Whatever it is, it is no reproducer; what is wrong is told by the error already.
        let _ = fs::remove_file(&temporary);
    }
    let written = written.map_err(|why| failed("use what was written as", &why))?;
    fs::rename(&temporary, path).map_err(|error| failed("write", &error))?;
    Ok(written)
}

/// The name that a file has for the time being.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    temporary.into()
}

fn read_back(system: &dyn System, path: &Path) -> Result<Written, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file = Reproducer::parse(&text).map_err(|wrong| wrong.to_string())?;
    let played = file.play(system);
    if let Some(why) = played.met.astray {
        return Err(why);
    }
    let violation = file.shown(&played).cloned();
    let violation = violation.ok_or("the file does not reproduce the violation")?;
    Ok(Written { violation, text, size: Size::of(&file) })
}

impl Reproducer {
    /// The same with remarks that say what is wrong.
    #[must_use]
    pub fn explained(&self, violation: &Violation) -> Self {
        let words = [("expected", &violation.expected), ("found", &violation.found)];
        let mut file = self.clone();
        file.remarks = vec![format!("Violation of {}.", violation.invariant.name())];
        for (word, text) in words {
            for (place, line) in text.lines().enumerate() {
                let word = if place == 0 { word } else { "" };
                file.remarks.push(format!("{word:<8} {}", line.trim_end()));
            }
        }
        file
    }
}

/// A test that plays a reproducer: red until what it shows is mended.
pub fn rust_test(name: &str, text: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    let name =
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("seed_{name}") } else { name };
    let mut quotes = String::from("#");
    while text.contains(&format!("\"{quotes}")) {
        quotes.push('#');
    }
    format!(
        "#[test]\nfn {name}() {{\n    use quiver_sim::repro::Reproducer;\n    \
         let text = r{quotes}\"{text}\"{quotes};\n    \
         let file = Reproducer::parse(text).unwrap_or_else(|wrong| panic!(\"{{wrong}}\"));\n    \
         let verdict = file.verdict();\n    \
         assert!(verdict.as_said, \"{{verdict:?}}\");\n}}\n"
    )
}
