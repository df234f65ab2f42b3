//! The files of a report, beside what is printed.
//!
//! - F1. Files are opened before the work, so that a wrong path costs nothing.
//! - F2. What came of the work is printed first, then written as JSON, then as a page, for which violations
//!   are played again. None of the three is left out because another one could not be written.
//! - F3. What cannot be written ends a command with 2, unless it found a violation: that is 1 in any case.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, StdoutLock, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::{Refusal, complain};

/// The files that were asked for.
pub(super) struct Reports {
    json: Option<ReportFile>,
    page: Option<ReportFile>,
}

/// A file that can be written.
struct ReportFile {
    path: PathBuf,
    file: File,
}

impl Reports {
    /// Opens them (F1).
    pub(super) fn open(json: Option<&PathBuf>, page: Option<&PathBuf>) -> Result<Self, Refusal> {
        let open = |path: Option<&PathBuf>| path.map(|path| ReportFile::open(path)).transpose();
        Ok(Self { json: open(json)?, page: open(page)? })
    }

    /// Tells what came of the work (F2) and ends as `print` says, or as F3 says.
    pub(super) fn tell(
        self,
        found: bool,
        print: impl FnOnce(&mut StdoutLock<'_>) -> Result<ExitCode, Refusal>,
        json: impl FnOnce() -> Value,
        page: impl FnOnce() -> String,
    ) -> Result<ExitCode, Refusal> {
        let mut out = io::stdout().lock();
        let printed =
            print(&mut out).and_then(|code| out.flush().map(|()| code).map_err(Refusal::from));
        drop(out);
        let json = self.json.and_then(|file| file.write(&format!("{:#}\n", json())).err());
        let page = self.page.and_then(|file| file.write(&page()).err());
        let unwritten: Vec<String> = [json, page].into_iter().flatten().collect();
        let ended = match (printed, unwritten.is_empty()) {
            (printed, true) => printed,
            (Ok(_), false) => Err(Refusal(unwritten.join("; "), 2)),
            (Err(Refusal(why, _)), false) => {
                complain(&why);
                Err(Refusal(unwritten.join("; "), 2))
            }
        };
        ended.map_err(|Refusal(why, code)| Refusal(why, if found { 1 } else { code }))
    }
}

impl ReportFile {
    fn open(path: &Path) -> Result<Self, Refusal> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| Refusal(unwritable(path, &error), 2))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    fn write(mut self, text: &str) -> Result<(), String> {
        self.replace(text).map_err(|error| unwritable(&self.path, &error))
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        let kind = self.file.metadata()?;
        if is_output(&kind) {
            return io::stdout().write_all(text.as_bytes());
        }
        // A pipe or a device has no length that could be set.
        if kind.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())
    }
}

/// Whether a file is the one that was printed to, of which nothing may be cut off.
fn is_output(kind: &Metadata) -> bool {
    let out = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let out = out.and_then(|out| out.metadata());
    out.is_ok_and(|out| (out.dev(), out.ino()) == (kind.dev(), kind.ino()))
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot write the report {}: {error}", path.display())
}
