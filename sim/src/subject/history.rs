//! What a seed decides before the run: operations, restarts, a fault.

use super::{Options, Subject};
use crate::disk::Fault;
use crate::stream::Stream;

/// The last one of so many seeds has a fault: the simpler failures come first.
pub(super) const FAULT_ONE_IN: u64 = 4;

/// One thing done.
#[derive(Clone, Debug)]
pub(super) enum Act<Op> {
    /// An operation.
    Do(Op),
    /// The store is closed well and opened again, in a new process.
    Restart,
}

/// A fault at a call of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Struck {
    /// What goes wrong.
    pub(super) fault: Fault,
    /// At which call of its class after the first opening.
    pub(super) call: u64,
}

/// How many acts a seed has.
pub(super) fn len(seed: u64, options: &Options) -> usize {
    let most = options.operations.max(1);
    Stream::at(seed, &[1]).size(most.div_ceil(3), most)
}

/// So many acts of a seed, in their order. Each is the same however many are asked for, and whatever
/// the options say: a case is kept longer than the options by which it was found.
pub(super) fn acts<S: Subject>(subject: &S, seed: u64, count: usize) -> Vec<Act<S::Op>> {
    let mut dice = Stream::at(seed, &[1]);
    // The draw of their number.
    dice.draw();
    let restarts = dice.chance(1, 2);
    let act = |_| {
        // An operation is drawn in any case, so that restarts do not shift the others.
        let op = subject.draw(&mut dice);
        if restarts && dice.chance(1, 6) { Act::Restart } else { Act::Do(op) }
    };
    (0..count).map(act).collect()
}

/// The operations that are tried after a recovery, by their number.
pub(super) fn probe<S: Subject>(subject: &S, seed: u64, nth: u64) -> S::Op {
    subject.draw(&mut Stream::at(seed, &[2, nth]))
}

/// The fault of a seed, if it has one, given how many calls of its class a run without it makes.
pub(super) fn fault(seed: u64, options: &Options, calls: impl Fn(Fault) -> u64) -> Option<Struck> {
    let mut dice = Stream::at(seed, &[3]);
    if !options.faults || seed % FAULT_ONE_IN != FAULT_ONE_IN - 1 {
        return None;
    }
    let possible: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| calls(*fault) > 0).collect();
    if possible.is_empty() {
        return None;
    }
    let fault = *dice.pick(&possible);
    Some(Struck { fault, call: dice.below(calls(fault)) })
}
