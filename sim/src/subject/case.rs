//! One failure in a line: seed, operations, calls, survivors.
//!
//! - A1. It says in full what the crash left, so it means the same when what is drawn for an image has
//!   changed; what is drawn for the operations of a seed must not.
//! - A2. The first crash is in the last of the acts, or behind it; each further one is in the process that
//!   recovers from the one before: in its opening, in the operations that it is then given, or while it is
//!   closed. Calls are counted by their kind, from zero, in that act or process.
//! - A3. What is asked of the last process, and what power takes behind its operations, is not said: it is drawn from
//!   the seed and the image.

use std::fmt;
use std::str::FromStr;

use super::history::Struck;
use crate::disk::Fault;
use crate::explore::chain::Crash;
use crate::repro::words::{Text, Words};
use crate::repro::{Wrong, read_crash, write_crash};

/// One failure. It is printed as a line, and read from one.
///
/// `seed 7; acts 0 2 5; crash before rename 0 power-loss nothing; but keeps change 0 of /`
///
/// In words: of the operations and restarts that seed 7 draws the first, the third and the sixth are carried out.
/// Just before the first rename that the sixth makes, power is lost, and takes all that was not synced but the first
/// change of names in `/`. `acts` without a number is the creation alone. `fault sync-eio 3;` in front of the crash
/// lets the fourth sync of the run fail. Further `crash` parts are in the process that recovers from the crash before
/// them. In names of files eight hexadecimal digits behind a dash are told as `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub(super) seed: u64,
    /// The acts that are left, by their places in the history of the seed.
    pub(super) acts: Vec<usize>,
    pub(super) struck: Option<Struck>,
    pub(super) crashes: Vec<Crash>,
}

impl Case {
    /// The seed of the history.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many operations and restarts come before the crash, the one it is in among them.
    pub fn acts(&self) -> usize {
        self.acts.len()
    }

    /// How many changes are named whose fate is not that of the rest.
    pub fn exceptions(&self) -> usize {
        let survivors =
            self.crashes.iter().filter_map(|crash| super::explore::survivors_of(&crash.end));
        survivors.map(|survivors| survivors.exceptions.len()).sum()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}; acts", self.seed)?;
        self.acts.iter().try_for_each(|act| write!(f, " {act}"))?;
        if let Some(Struck { fault, call }) = self.struck {
            write!(f, "; fault {} {call}", fault.name())?;
        }
        let mut text = Text::default();
        self.crashes.iter().for_each(|crash| write_crash(&mut text, crash));
        text.into_string().lines().try_for_each(|line| write!(f, "; {}", line.trim()))
    }
}

impl FromStr for Case {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        // As a report prints it, too.
        let text = text.trim_start();
        let mut words = Words::of(text.strip_prefix("case:").unwrap_or(text))?;
        words.expect("seed")?;
        let seed = words.number("a seed")?;
        words.end_of_line()?;
        words.expect("acts")?;
        let mut case = Self { seed, acts: Vec::new(), struck: None, crashes: Vec::new() };
        while words.end_of_line().is_err() {
            case.acts.push(words.number("the place of an act")?);
        }
        words.skip_ends();
        if words.took("fault") {
            let fault = words.one_of("the name of a fault", |word| {
                Fault::ALL.into_iter().find(|fault| fault.name() == word)
            })?;
            case.struck = Some(Struck { fault, call: words.number("the number of a call")? });
            words.end_of_line()?;
        }
        words.skip_ends();
        while !words.is_done() {
            words.expect("crash")?;
            case.crashes.push(read_crash(&mut words)?);
            words.skip_ends();
        }
        Ok(case)
    }
}
