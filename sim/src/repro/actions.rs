//! The table of operations.
//!
//! **To add an operation: one line.** A new variant of [`Action`] gets a line in the table below: its
//! word, its name, and a name for each of its parts, in their order. The compiler asks for it. That
//! is all, as long as the parts are of types that are parts already ([`super::parts`]); reading,
//! writing, shrinking and the test that every operation round-trips follow from the line.

use super::parts::{Part, ReadPart};
use super::words::{Text, Token, Words, Wrong};
use crate::history::Action;
use crate::stream::Stream;

macro_rules! operations {
    ($($word:literal => $variant:ident $(($($part:ident),+))?;)+) => {
        /// Writes an operation.
        pub fn write(action: &Action, text: &mut Text) {
            match action {
                // The short ones are known by the word of what they ask for.
                Action::Single(member) => member.write(text),
                $(Action::$variant $(($($part),+))? => {
                    text.word($word);
                    $($($part.write(text);)+)?
                })+
            }
        }

        /// Reads an operation.
        ///
        /// # Errors
        /// What was expected, and what is there.
        pub fn read(words: &mut Words) -> Result<Action, Wrong> {
            let Token::Word(word) = words.peek() else { return Err(words.wrong("an operation")) };
            match word.as_str() {
                $($word => {
                    words.take();
                    $($(let $part = ReadPart::read(words)?;)+)?
                    Ok(Action::$variant $(($($part),+))?)
                })+
                _ => Ok(Action::Single(ReadPart::read(words)?)),
            }
        }

        /// The parts of an operation.
        pub fn parts(action: &mut Action) -> Vec<&mut dyn Part> {
            match action {
                Action::Single(member) => vec![member],
                $(Action::$variant $(($($part),+))? => vec![$($($part as &mut dyn Part),+)?],)+
            }
        }

        /// One operation of each kind, with any parts.
        pub fn samples(stream: &mut Stream) -> Vec<Action> {
            vec![
                Action::Single(ReadPart::sample(stream)),
                $({
                    $($(let $part = ReadPart::sample(stream);)+)?
                    Action::$variant $(($($part),+))?
                }),+
            ]
        }
    };
}

// A new operation is a line here, and nothing else.
operations! {
    "upsert-batch" => Batch(changes);
    "write" => Write(changes);
    "group" => Group(members, drives);
    "get" => Get(slot, id);
    "scan" => Scan(slot);
    "read-all" => ReadAll;
    "read" => Read(source, slot, read);
    "snapshot" => Snapshot;
    "read-snapshot" => ReadSnapshot(number);
    "release" => Release(number);
    "release-all" => ReleaseAll;
    "pause" => Pause(source, slot, read, rows);
    "resume" => Resume(number, rows);
    "capture-index" => CaptureIndex(slot);
    "keep-indexes" => KeepIndexes;
    "restore-index" => RestoreIndex(slot);
    "checkpoint" => Checkpoint;
    "maintain" => Maintain;
    "maintain-all" => MaintainAll;
    "compact" => Compact(steps);
    "verify" => Verify;
    "back-up" => BackUp(steps, steps_each, keys);
    "rotate" => Rotate;
    "rekey" => Rekey(slot);
    "close" => Close;
    "kill" => Kill;
    "kill-inside" => KillInside(call);
    "power-loss" => PowerLoss;
    "power-loss-inside" => PowerLossInside(call);
    "second-open" => SecondOpen;
    "observe" => Observe;
    "bad" => Bad(argument, slot);
    "space-left" => SpaceLeft(bytes);
    "space-back" => SpaceBack;
}
