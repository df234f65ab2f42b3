//! The operations that sequences are made of.
//!
//! **Place.** Few, because their number to the power of the depth is what has to be looked at; each is
//! there because it writes to the disk in a way of its own.

use std::fmt;
use std::str::FromStr;

use crate::disk::{Base, Survivors};
use crate::history::{Action, History, Luck};
use crate::sweep;

/// Of plain stores: a collection begins and ends, a row is written and deleted, two are written as one, all
/// is sealed, segments are joined, the process is killed, power is lost.
pub const PLAIN: &[&str] = &[
    "+a",
    "-a",
    "a.x=9",
    "a.x-",
    "write a.x=700 & a.y=9",
    "checkpoint",
    "compact",
    "kill",
    "power-loss",
];

/// Of encrypted ones: the same, with keys that are destroyed and replaced.
pub const ENCRYPTED: &[&str] =
    &["+a", "!a", "a.x=9", "a.x-", "rotate", "rekey a", "checkpoint", "kill", "power-loss"];

/// All sequences have it (X2), so that those of one beginning are equal up to there.
const SEED: u64 = 0x6578_6861;

/// Some operations, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence(Vec<&'static str>);

impl Sequence {
    /// The sequence of a length and a number below the number of letters to the power of the length; its
    /// last operation changes fastest.
    pub fn numbered(letters: &[&'static str], length: usize, number: u64) -> Self {
        let count = letters.len() as u64;
        let mut rest = number;
        let mut steps = Vec::with_capacity(length);
        for _ in 0..length {
            let letter = usize::try_from(rest % count).expect("below the number of letters");
            steps.push(letters[letter]);
            rest /= count;
        }
        steps.reverse();
        Self(steps)
    }

    /// What it does to a store.
    pub fn history(&self, encrypted: bool) -> History {
        let mut history = sweep::told_in(SEED, &self.0);
        history.encrypted = encrypted;
        let luck = history.operations.iter().zip(0..).map(|(operation, dice)| {
            let is_loss = matches!(operation.action, Action::PowerLoss);
            Luck { dice, loss: is_loss.then(|| Survivors::of(Base::Nothing)) }
        });
        history.luck = luck.collect();
        history
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl FromStr for Sequence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters = || PLAIN.iter().chain(ENCRYPTED);
        let step = |word: &str| {
            let known = letters().find(|letter| **letter == word.trim());
            known.copied().ok_or_else(|| {
                let mut known: Vec<&str> = letters().copied().collect();
                known.sort_unstable();
                known.dedup();
                format!("{word:?} is none of the operations: {}", known.join("; "))
            })
        };
        let words = text.split(';').filter(|word| !word.trim().is_empty());
        Ok(Self(words.map(step).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_sequence_has_one_number_and_reads_back() {
        let mut all = BTreeSet::new();
        for number in 0..729 {
            let sequence = Sequence::numbered(PLAIN, 3, number);
            let text = sequence.to_string();
            assert_eq!(text.parse(), Ok(sequence));
            all.insert(text);
        }
        assert_eq!(all.len(), 729);
        assert_eq!("".parse(), Ok(Sequence::default()));
        assert!("+a; erase".parse::<Sequence>().is_err_and(|why| why.contains("checkpoint")));
    }
}
