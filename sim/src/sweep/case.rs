//! One case of the sweep: a small history and what goes wrong in it.
//!
//! **Place.** Printed with a violation, and taken by `quiver-sim sweep --case`.

use std::fmt;
use std::str::FromStr;

use crate::disk::{Fault, Medium};
use crate::history::{History, Strike};

/// A history by name, and the faults in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which history.
    pub history: String,
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
        history.faulty = !self.strikes.is_empty();
        history
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.history)?;
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
        let strike = |part: &str| {
            let (name, place) = part.split_once('@').ok_or_else(wrong)?;
            let (process, call) = place.split_once('.').ok_or_else(wrong)?;
            let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
            Ok::<_, String>(Strike {
                process: process.parse().map_err(|_| wrong())?,
                call: call.parse().map_err(|_| wrong())?,
                fault: fault.ok_or_else(|| format!("there is no fault {name:?}"))?,
            })
        };
        let strikes = parts.map(strike).collect::<Result<_, _>>()?;
        Ok(Self { history, strikes, dice: dice.parse().map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_round_trips_and_wrong_ones_are_explained() {
        for text in ["a~0", "a-b+sync-eio@1.20~3", "a+read-eio@0.0+rename-eio@2.1~1"] {
            assert_eq!(text.parse::<Case>().expect("well formed").to_string(), text);
        }
        for text in ["", "a", "a+sync-eio~1", "a+none@0.0~1", "a+sync-eio@0~1", "a~x"] {
            assert!(text.parse::<Case>().is_err(), "{text:?} is accepted");
        }
    }
}
