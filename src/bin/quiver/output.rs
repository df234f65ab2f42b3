//! What the tool says: answers, progress, failures.

#![expect(clippy::print_stderr, reason = "a program tells its user what went wrong")]

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use indicatif::{ProgressBar, ProgressStyle};
use quiver_store::{Error, ErrorKind};
use serde_json::{Value, json};

/// Why a command ended without having done what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is damaged: the answer says what.
    Damaged(String),
    /// What was asked makes no sense, is not there, or something is in the way.
    Usage(String),
    /// The engine or the disk refused.
    Store(Error),
    /// Standard output, or a file that is no store's.
    File(String, io::Error),
    /// Ctrl-C.
    Interrupted(String),
    /// Whoever read the answer has enough of it.
    PipeClosed,
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Damaged(_) => 1,
            Self::Usage(_) => 2,
            Self::File(..) => 3,
            Self::Interrupted(_) => 130,
            Self::PipeClosed => 0,
            Self::Store(error) => match error.kind() {
                ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::KeyUnavailable => 1,
                ErrorKind::Io | ErrorKind::Full | ErrorKind::Latched | ErrorKind::Unknown => 3,
                ErrorKind::Locked => 4,
                _ => 2,
            },
        }
    }

    /// What happened, and what to do about it.
    fn text(&self) -> String {
        match self {
            Self::Damaged(what) | Self::Usage(what) => what.clone(),
            Self::File(what, error) => format!("{what}: {error}"),
            Self::Interrupted(what) => format!("ended by Ctrl-C: {what}"),
            Self::PipeClosed => String::new(),
            Self::Store(error) => match hint(error.kind()) {
                Some(hint) => format!("{error}\n  {hint}"),
                None => error.to_string(),
            },
        }
    }
}

fn hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Corrupt => Some(
            "`quiver verify DIR` says what is damaged; `quiver restore` makes a store of a backup, \
             `quiver salvage` of what can still be read",
        ),
        ErrorKind::Unsupported => Some("a newer version wrote it: use that one"),
        ErrorKind::Locked => Some("close it there first, or make a copy with `backup_to` there"),
        ErrorKind::Full => Some("free some space and begin again: what was done stays"),
        _ => None,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// Where answers go.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    pub(crate) is_json: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { out: BufWriter::new(io::stdout()), is_json }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(not_written)
    }

    /// Answers: JSON if that was asked for, else the text.
    pub(crate) fn answer(&mut self, json: &Value, text: &str) -> Result<(), Failure> {
        if self.is_json { self.line(&json.to_string()) } else { self.line(text.trim_end()) }
    }

    /// Hands over what was written.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(not_written)
    }

    /// Says why it failed, behind what was answered before.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        // Where this fails too, the exit code still tells.
        let _ = self.out.flush();
        let text = failure.text();
        if self.is_json {
            eprintln!("{}", json!({ "error": text, "exit_code": failure.code() }));
        } else {
            eprintln!("quiver: {text}");
        }
    }
}

fn not_written(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::PipeClosed,
        _ => Failure::File("cannot write the answer".to_owned(), error),
    }
}

/// A bar on standard error; nothing where that is no terminal.
pub(crate) fn bar(unit: Unit) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match unit {
        Unit::Bytes => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}",
        Unit::Rows => "{bar:30} {human_pos}/{human_len} rows {per_sec} {eta} {msg}",
        Unit::Count => "{spinner} {human_pos} rows {per_sec} {msg}",
    };
    let style = ProgressStyle::with_template(template).expect("a template of ours");
    ProgressBar::new(0).with_style(style)
}

/// What a bar counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// Bytes of a known number.
    Bytes,
    /// Rows of a known number.
    Rows,
    /// Rows of an unknown number.
    Count,
}

/// A number of bytes as people read it.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
