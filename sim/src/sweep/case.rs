//! One case of the sweep: a small history and what goes wrong in it.
//!
//! **Place.** Printed with a violation, and taken by `quiver-sim sweep --case`.

use std::fmt;
use std::str::FromStr;

use crate::disk::{Fault, Medium};
use crate::history::{Action, History, Operation, Strike};

/// A disk that is full for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Before which operation.
    pub operation: usize,
    /// How many bytes are left.
    pub bytes: u64,
    /// For how many operations.
    pub operations: usize,
}

/// A history by name, and what goes wrong in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which history.
    pub history: String,
    /// A full disk.
    pub full: Option<Full>,
    /// The faults.
    pub strikes: Vec<Strike>,
    /// Seeds what they leave to chance, and chooses the medium.
    pub dice: u64,
}

impl Case {
    /// The history with the faults in it.
    pub fn apply(&self, history: &History) -> History {
        let mut history = history.clone();
        history.strikes = self.strikes.clone();
        history.dice = self.dice;
        history.medium = Medium::of(self.dice);
        history.faulty = self.full.is_some() || !self.strikes.is_empty();
        if let Some(Full { operation, bytes, operations }) = self.full {
            let steps = &mut history.operations;
            let step = |action| Operation { action, faults: Vec::new() };
            let first = operation.min(steps.len());
            let back = first.saturating_add(operations).min(steps.len());
            steps.insert(back, step(Action::SpaceBack));
            steps.insert(first, step(Action::SpaceLeft(bytes)));
        }
        history
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.history)?;
        if let Some(Full { operation, bytes, operations }) = self.full {
            write!(f, "+full@{operation}.{bytes}.{operations}")?;
        }
        for Strike { process, call, fault } in &self.strikes {
            write!(f, "+{}@{process}.{call}", fault.name())?;
        }
        write!(f, "~{}", self.dice)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no case, expected HISTORY+FAULT@PROCESS.CALL~DICE");
        let (faults, dice) = text.rsplit_once('~').ok_or_else(wrong)?;
        let mut parts = faults.split('+');
        let history = parts.next().unwrap_or_default().to_owned();
        let mut full = None;
        let mut strikes = Vec::new();
        for part in parts {
            if let Some(numbers) = part.strip_prefix("full@") {
                let numbers: Vec<u64> = numbers
                    .split('.')
                    .map(str::parse)
                    .collect::<Result<_, _>>()
                    .map_err(|_| wrong())?;
                let [operation, bytes, operations] = numbers[..] else { return Err(wrong()) };
                let count = |number| usize::try_from(number).map_err(|_| wrong());
                let (operation, operations) = (count(operation)?, count(operations)?);
                full = Some(Full { operation, bytes, operations });
                continue;
            }
            let (name, place) = part.split_once('@').ok_or_else(wrong)?;
            let (process, call) = place.split_once('.').ok_or_else(wrong)?;
            let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
            strikes.push(Strike {
                process: process.parse().map_err(|_| wrong())?,
                call: call.parse().map_err(|_| wrong())?,
                fault: fault.ok_or_else(|| format!("there is no fault {name:?}"))?,
            });
        }
        Ok(Self { history, full, strikes, dice: dice.parse().map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_round_trips_and_wrong_ones_are_explained() {
        for text in
            ["a~0", "a-b+sync-eio@1.20~3", "a+read-eio@0.0+rename-eio@2.1~1", "a+full@3.0.9~0"]
        {
            assert_eq!(text.parse::<Case>().expect("well formed").to_string(), text);
        }
        for text in
            ["", "a", "a+sync-eio~1", "a+none@0.0~1", "a+sync-eio@0~1", "a~x", "a+full@1.1~0"]
        {
            assert!(text.parse::<Case>().is_err(), "{text:?} is accepted");
        }
    }
}
