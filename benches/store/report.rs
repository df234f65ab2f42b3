//! The table: one line for each figure, as they are found, and the same as JSON.

use std::fmt::Write as _;
use std::path::Path;

use crate::rounds::Figure;

/// In what a figure is, and so which of two is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    RowsPerSecond,
    MegabytesPerSecond,
    Microseconds,
    Milliseconds,
    Mebibytes,
    /// A plain number.
    Count,
}

impl Unit {
    fn text(self) -> &'static str {
        match self {
            Self::RowsPerSecond => "rows/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::Count => "",
        }
    }

    fn is_rate(self) -> bool {
        matches!(self, Self::RowsPerSecond | Self::MegabytesPerSecond)
    }

    fn ratio(self, store: f64, raw: f64) -> f64 {
        if self.is_rate() { store / raw } else { raw / store }
    }
}

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    None,
    /// The ratio to raw.
    Ratio(f64),
    /// The store's own figure, at least.
    AtLeast(f64),
    /// The store's own figure, at most.
    AtMost(f64),
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) store: Figure,
    pub(crate) raw: Option<Figure>,
    pub(crate) raw_pre: Option<Figure>,
    pub(crate) goal: Goal,
    /// Calls of the store to sync a file or directory, for each row.
    pub(crate) syncs: Option<f64>,
    pub(crate) note: String,
}

impl Line {
    pub(crate) fn new(what: impl Into<String>, unit: Unit, store: impl Into<Figure>) -> Self {
        let (what, store) = (what.into(), store.into());
        let note = String::new();
        Self { what, unit, store, raw: None, raw_pre: None, goal: Goal::None, syncs: None, note }
    }

    pub(crate) fn raw(self, raw: impl Into<Figure>) -> Self {
        Self { raw: Some(raw.into()), ..self }
    }

    pub(crate) fn raw_pre(self, raw_pre: impl Into<Figure>) -> Self {
        Self { raw_pre: Some(raw_pre.into()), ..self }
    }

    pub(crate) fn goal(self, goal: Goal) -> Self {
        Self { goal, ..self }
    }

    pub(crate) fn syncs(self, syncs: f64) -> Self {
        Self { syncs: Some(syncs), ..self }
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// How fast the store is, measured in raw.
    fn ratio(&self) -> Option<f64> {
        Some(self.unit.ratio(self.store.wall, self.raw?.wall))
    }

    /// The same by the time of processors.
    fn cpu_ratio(&self) -> Option<f64> {
        Some(self.unit.ratio(self.store.cpu?, self.raw?.cpu?))
    }

    fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::Ratio(goal) => self.ratio().map(|ratio| ratio >= goal),
            Goal::AtLeast(goal) => Some(self.store.wall >= goal),
            Goal::AtMost(goal) => Some(self.store.wall <= goal),
        }
    }

    fn goal_text(&self) -> String {
        match self.goal {
            Goal::None => String::new(),
            Goal::Ratio(goal) => format!("{goal}x raw"),
            Goal::AtLeast(goal) => format!(">= {goal}"),
            Goal::AtMost(goal) => format!("<= {goal}"),
        }
    }

    fn verdict(&self) -> &'static str {
        self.is_met().map_or("", |is_met| if is_met { "met" } else { "short" })
    }
}

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Report {
    head: String,
    filesystem: String,
    lines: Vec<(&'static str, Line)>,
    section: &'static str,
}

impl Report {
    pub(crate) fn new(dir: &Path, filesystem: &str) -> Self {
        let threads = std::thread::available_parallelism().map_or(0, usize::from);
        let head = format!("{} on {filesystem}, {threads} processors", dir.display());
        println!("{head}");
        println!(
            "| {:<46} | {:<6} | {:>9} | {:>9} | {:>9} | {:>6} | {:>5} | {:>9} | {:<5} | {:>9} | note",
            "what", "unit", "store", "raw", "raw-pre", "ratio", "cpu", "goal", "", "syncs/row"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---");
        Self { head, filesystem: filesystem.to_owned(), lines: Vec::new(), section: "" }
    }

    /// The lines that follow are of this section.
    pub(crate) fn start(&mut self, section: &'static str) {
        self.section = section;
    }

    pub(crate) fn add(&mut self, line: Line) {
        println!(
            "| {:<46} | {:<6} | {:>9} | {:>9} | {:>9} | {:>6} | {:>5} | {:>9} | {:<5} | {:>9} | {}",
            line.what,
            line.unit.text(),
            figure(Some(line.store)),
            figure(line.raw),
            figure(line.raw_pre),
            hundredths(line.ratio()),
            hundredths(line.cpu_ratio()),
            line.goal_text(),
            line.verdict(),
            line.syncs.map_or(String::new(), |syncs| format!("{syncs:.4}")),
            line.note,
        );
        self.lines.push((self.section, line));
    }

    /// The last line: how many goals are met.
    pub(crate) fn end(&self) {
        let with = |wanted| {
            let verdicts = self.lines.iter().map(|(_, line)| line.is_met());
            verdicts.filter(|is_met| *is_met == Some(wanted)).count()
        };
        println!("{} goals met, {} short", with(true), with(false));
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> String {
        let mut out = format!(
            "{{\"head\":{},\"filesystem\":{},\"lines\":[",
            quoted(&self.head),
            quoted(&self.filesystem)
        );
        for (i, (section, line)) in self.lines.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let written = write!(
                out,
                "{comma}\n{{\"section\":{},\"what\":{},\"unit\":{},\"store\":{},\"raw\":{},\
                 \"raw_pre\":{},\"ratio\":{},\"cpu_ratio\":{},\"goal\":{},\"met\":{},\"syncs_per_row\":{},\"note\":{}}}",
                quoted(section),
                quoted(&line.what),
                quoted(line.unit.text()),
                number(Some(line.store.wall)),
                number(line.raw.map(|raw| raw.wall)),
                number(line.raw_pre.map(|raw| raw.wall)),
                number(line.ratio()),
                number(line.cpu_ratio()),
                quoted(&line.goal_text()),
                line.is_met().map_or("null".to_owned(), |is_met| is_met.to_string()),
                number(line.syncs),
                quoted(&line.note),
            );
            written.expect("a string takes everything");
        }
        out.push_str("\n]}\n");
        out
    }
}

fn hundredths(ratio: Option<f64>) -> String {
    ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
}

fn figure(figure: Option<Figure>) -> String {
    let Some(Figure { wall: value, .. }) = figure else { return String::new() };
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn number(value: Option<f64>) -> String {
    let finite = value.filter(|value| value.is_finite());
    finite.map_or("null".to_owned(), |value| value.to_string())
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => {
                let written = write!(out, "\\u{:04x}", u32::from(control));
                written.expect("a string takes everything");
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
