//! What happened in a run, for people.

use super::tasks;
use crate::forward::Taken;
use crate::history::Operation;

/// Characters of one line that are shown.
const SHOWN: usize = 160;

/// One call of the store: when, for whom, what was answered. What it was stands in the operations.
#[derive(Clone, Debug)]
pub(super) struct Line {
    at_us: u64,
    task: usize,
    answers: Vec<String>,
    lsn: u64,
}

impl Line {
    pub(super) fn new(at_us: u64, task: usize, taken: &Taken) -> Self {
        let answers = taken.said.answers.iter().map(|(ticket, answer)| {
            let whose = ticket.map_or("own".to_owned(), |ticket| format!("ticket {}", ticket.0));
            match answer {
                Ok(outcome) => format!("{whose}: {outcome:?}"),
                Err(kind) => format!("{whose}: {kind:?}"),
            }
        });
        let mut answers: Vec<String> = answers.collect();
        answers.extend(taken.ticket.map(|ticket| format!("ticket {} waits", ticket.0)));
        Self { at_us, task, answers, lsn: taken.lsn }
    }

    /// What of it tells one run from another.
    pub(super) fn words(&self) -> [u64; 3] {
        [self.at_us, self.task as u64, self.lsn]
    }
}

/// The story of a run, the end of it where it is long.
pub(super) fn told(
    lines: &[Line],
    operations: &[Operation],
    clients: usize,
    lines_max: usize,
) -> Vec<String> {
    let first = lines.len().saturating_sub(lines_max);
    let shown = lines[first..].iter().zip(&operations[first..]);
    let mut told = Vec::new();
    if first > 0 {
        told.push(format!("{first} calls before these"));
    }
    for (place, (line, operation)) in shown.enumerate() {
        let faults = match operation.faults.is_empty() {
            true => String::new(),
            false => format!(" with {:?}", operation.faults),
        };
        let what = shortened(&format!("{:?}{faults}", operation.action));
        let (at, who) = (line.at_us, name_of(line.task, clients));
        let place = first + place;
        told.push(format!("{place:>4} {:>9}.{:03} ms  {who:<10} {what}", at / 1000, at % 1000));
        for answer in &line.answers {
            told.push(format!("{:32}{}", "", shortened(answer)));
        }
    }
    told
}

fn name_of(task: usize, clients: usize) -> String {
    match task.checked_sub(clients) {
        None => format!("client {task}"),
        Some(tasks::DRIVER) => "driver".to_owned(),
        Some(tasks::UPKEEP) => "upkeep".to_owned(),
        Some(tasks::SEALER) => "sealer".to_owned(),
        Some(tasks::FILLER) => "filler".to_owned(),
        Some(tasks::ENDER) => "end".to_owned(),
        Some(_) => "begin".to_owned(),
    }
}

fn shortened(words: &str) -> String {
    let mut chars = words.chars();
    let head: String = chars.by_ref().take(SHOWN).collect();
    if chars.next().is_some() { format!("{head}...") } else { head }
}
