//! What a seed decides before the run: operations, restarts, a fault, the medium.

use std::collections::BTreeMap;

use super::{Options, Subject};
use crate::disk::SimDisk;
use crate::disk::{
    CallClass, DiskState, FailedSync, Fault, FaultPlan, IoCall, Medium, PlannedFault, UnlinkedReads,
};
use crate::fs::SimFs;
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
    /// At which call of its class, counted from the first one of the process that it strikes.
    pub(super) call: u64,
}

impl Struck {
    /// The fault, for a disk. What it leaves is the seed's and not the call's: where a history is made
    /// smaller, the same thing happens at another number.
    pub(super) fn plan(self, seed: u64) -> FaultPlan {
        let faults = vec![PlannedFault { call_index: self.call, fault: self.fault }];
        FaultPlan { faults, seed: Stream::at(seed, &[5]).draw() }
    }
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

/// How often calls of each class were made.
pub(super) fn classes(calls: &[IoCall]) -> BTreeMap<CallClass, u64> {
    let mut classes = BTreeMap::new();
    for class in calls.iter().filter_map(IoCall::class) {
        *classes.entry(class).or_default() += 1;
    }
    classes
}

/// The fault of a seed, if it has one, given the calls that a run without it makes.
pub(super) fn fault(
    seed: u64,
    options: &Options,
    classes: &BTreeMap<CallClass, u64>,
) -> Option<Struck> {
    if !options.faults || seed % FAULT_ONE_IN != FAULT_ONE_IN - 1 {
        return None;
    }
    fault_among(&mut Stream::at(seed, &[3]), classes)
}

/// The fault of a recovery, given the calls that one without it makes.
pub(super) fn fault_of_recovery(
    seed: u64,
    image: u128,
    classes: &BTreeMap<CallClass, u64>,
) -> Option<Struck> {
    let low = u64::try_from(image & u128::from(u64::MAX)).expect("the low half");
    fault_among(&mut Stream::at(seed, &[7, low]), classes)
}

fn fault_among(dice: &mut Stream, classes: &BTreeMap<CallClass, u64>) -> Option<Struck> {
    let calls = |fault: Fault| classes.get(&fault.class()).copied().unwrap_or(0);
    let possible: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| calls(*fault) > 0).collect();
    if possible.is_empty() {
        return None;
    }
    let fault = *dice.pick(&possible);
    Some(Struck { fault, call: dice.below(calls(fault)) })
}

/// The medium of a seed. A failed writeback is told to the next sync of the file in the process, and the process
/// behind it is not blamed for one.
pub(super) fn medium(seed: u64) -> Medium {
    let failed_sync = *Stream::at(seed, &[6]).pick(&FailedSync::ALL);
    Medium { failed_sync, unlinked_reads: UnlinkedReads::Work, ..Medium::default() }
}

/// A new process on a disk of the seed's medium.
pub(super) fn mount(seed: u64, state: &DiskState) -> SimFs {
    let disk = SimDisk::mount(state);
    disk.set_medium(medium(seed));
    SimFs::on(disk)
}
