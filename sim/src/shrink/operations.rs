//! Fewer operations, fewer faults.

use super::Shrinker;
use crate::history::{Action, Change, History, Member, Operation, Planned, Strike};
use crate::repro::Reproducer;

/// How many operations besides creations are tried alone, before any are left out.
const LAST_OPERATIONS: [usize; 4] = [1, 2, 4, 8];

/// How many operations in a row become one at most.
const TOGETHER_MAX: usize = 4;

/// How many ways to fall out are tried for a strike that becomes a fault.
const STRIKE_DICE: u64 = 16;

/// Whether an operation stops the process and starts the next.
fn starts_a_process(action: &Action) -> bool {
    use Action::{Close, Kill, KillInside, PowerLoss, PowerLossInside};
    matches!(action, Close | Kill | KillInside(_) | PowerLoss | PowerLossInside(_))
}

/// Whether an operation makes a collection.
fn creates(action: &Action) -> bool {
    let creates = |member: &Member| matches!(member, Member::Create(..));
    match action {
        Action::Single(member) => creates(member),
        Action::Group(members, _) => members.iter().any(creates),
        _ => false,
    }
}

/// The changes of rows that an operation asks for, if it asks for nothing else.
fn changes(action: &Action) -> Option<&[Change]> {
    match action {
        Action::Single(Member::Write(changes)) => Some(changes),
        Action::Batch(changes) | Action::Write(changes) => Some(changes),
        Action::Group(members, _) => match &members[..] {
            [Member::Write(changes)] => Some(changes),
            _ => None,
        },
        _ => None,
    }
}

/// One operation that may do what several did: their changes at once where they are writes, else calls that
/// seal, merge and reopen as a whole.
fn together(operations: &[Operation]) -> Vec<Action> {
    let lists: Option<Vec<&[Change]>> =
        operations.iter().map(|operation| changes(&operation.action)).collect();
    let Some(lists) = lists else {
        return vec![Action::Compact(None), Action::MaintainAll, Action::Close, Action::Kill];
    };
    let mut all: Vec<Change> = Vec::new();
    for change in lists.into_iter().flatten() {
        // A batch changes a row once: as it was changed last.
        all.retain(|other| (other.slot, &other.id) != (change.slot, &change.id));
        all.push(change.clone());
    }
    vec![Action::Write(all)]
}

impl Reproducer {
    /// The same with one operation in the place of some, and with their faults.
    fn with_one_for(&self, operations: std::ops::Range<usize>, action: Action) -> Self {
        let (first, rest) = (operations.start, operations.start + 1..operations.end);
        let mut file = self.without(rest);
        let replaced = &self.history.operations[operations];
        let faults = replaced.iter().flat_map(|operation| operation.faults.clone()).collect();
        file.history.operations[first] = Operation { action, faults };
        file.history.luck[first].loss = None;
        file
    }

    /// The same without some of its operations.
    fn without(&self, operations: std::ops::Range<usize>) -> Self {
        let mut file = self.clone();
        file.history.operations.drain(operations.clone());
        file.history.luck.drain(operations);
        file
    }

    /// The same without one operation that had faults: they come with the one before it, or with
    /// the opening.
    fn with_heir(&self, operations: std::ops::Range<usize>) -> Option<Self> {
        let place = operations.start;
        let mut faults = self.history.operations.get(place)?.faults.clone();
        if operations.len() > 1 || faults.is_empty() {
            return None;
        }
        let mut file = self.without(operations);
        let History { opening, operations, .. } = &mut file.history;
        let heir = place.checked_sub(1).and_then(|before| operations.get_mut(before));
        heir.map_or(opening, |heir| &mut heir.faults).append(&mut faults);
        Some(file)
    }
}

impl Shrinker<'_> {
    /// Keeps the creations and the last operations alone. A hunt sees nearly every image of so short a
    /// history, and of a long one so few that halving it may lose sight of the violation.
    pub(super) fn keep_the_last(&mut self) {
        for last in LAST_OPERATIONS {
            let mut candidate = self.best.clone();
            let History { operations, luck, .. } = &mut candidate.history;
            let early = operations.len().saturating_sub(last);
            let is_kept: Vec<bool> = (0..operations.len())
                .map(|place| place >= early || creates(&operations[place].action))
                .collect();
            let (mut of_operations, mut of_luck) = (is_kept.iter(), is_kept.iter());
            operations.retain(|_| of_operations.next() == Some(&true));
            luck.retain(|_| of_luck.next() != Some(&false));
            if self.attempt_and_hunt(candidate) {
                return;
            }
        }
    }

    /// Leaves out operations: all, halves, quarters, single ones, the late ones first, for those
    /// rest on the early ones.
    pub(super) fn drop_operations(&mut self) {
        let mut size = self.best.history.operations.len();
        while size > 0 {
            let mut end = self.best.history.operations.len();
            while end > 0 {
                if self.is_over() {
                    return;
                }
                let dropped = end.saturating_sub(size)..end;
                let heirs = self.best.with_heir(dropped.clone());
                if !heirs.is_some_and(|candidate| self.attempt_loosely(candidate)) {
                    self.attempt_and_hunt(self.best.without(dropped));
                }
                end = end.saturating_sub(size).min(self.best.history.operations.len());
            }
            size /= 2;
        }
    }

    /// Puts one operation in the place of several in a row, of as many as will go.
    pub(super) fn join_operations(&mut self) {
        for size in (2..=TOGETHER_MAX).rev() {
            let mut first = 0;
            while first + size <= self.best.history.operations.len() && !self.is_over() {
                let range = first..first + size;
                let actions = together(&self.best.history.operations[range.clone()]);
                let mut joined = actions.into_iter().map(|action| {
                    let candidate = self.best.with_one_for(range.clone(), action);
                    self.attempt_loosely(candidate)
                });
                if !joined.any(|is_shown| is_shown) {
                    first += 1;
                }
            }
        }
    }

    /// Leaves out faults, all and then each, and brings those that stay forward.
    pub(super) fn drop_faults(&mut self) {
        let mut without = self.best.clone();
        without.history.opening.clear();
        without.history.strikes.clear();
        without.history.operations.iter_mut().for_each(|operation| operation.faults.clear());
        if self.attempt_and_hunt(without) {
            return;
        }
        self.strikes_to_faults();
        let mut place = 0;
        while let Some(candidate) = self.with_faults(place, |faults, at| {
            faults.remove(at);
        }) {
            if !self.attempt_and_hunt(candidate) {
                self.earlier_fault(place);
                place += 1;
            }
        }
    }

    /// Strikes, which are counted by the process, become faults of the operations that start the
    /// processes; what stays is left out if it can be.
    fn strikes_to_faults(&mut self) {
        if self.best.history.strikes.is_empty() {
            return;
        }
        let mut candidate = self.best.clone();
        let history = &mut candidate.history;
        for Strike { process, call, fault } in std::mem::take(&mut history.strikes) {
            let planned = Planned { after_calls: call, fault };
            let operations = history.operations.iter_mut();
            let mut starts = operations.filter(|operation| starts_a_process(&operation.action));
            match process.checked_sub(1).map(|place| starts.nth(place)) {
                None => history.opening.push(planned),
                Some(Some(operation)) => operation.faults.push(planned),
                Some(None) => {}
            }
        }
        history.dice = 0;
        // Whatever is left to chance in them falls out anew.
        for dice in 0..STRIKE_DICE {
            candidate.history.seed = dice;
            if self.attempt(candidate.clone()) {
                return;
            }
        }
        let mut place = 0;
        while place < self.best.history.strikes.len() {
            let mut candidate = self.best.clone();
            candidate.history.strikes.remove(place);
            if !self.attempt_and_hunt(candidate) {
                place += 1;
            }
        }
    }

    fn earlier_fault(&mut self, place: usize) {
        let mut calls = 0;
        while let Some(candidate) = self.with_faults(place, |faults, at| {
            faults[at].after_calls = calls.min(faults[at].after_calls);
        }) {
            // Equal to the best one when the number is reached, and so tried before.
            let reached = candidate.text() == self.best.text();
            if reached || self.attempt(candidate) {
                return;
            }
            calls += 1;
        }
    }

    /// The best one with its fault of this number changed; `None` where there is none.
    fn with_faults(
        &self,
        mut place: usize,
        change: impl FnOnce(&mut Vec<Planned>, usize),
    ) -> Option<Reproducer> {
        let mut file = self.best.clone();
        let history = &mut file.history;
        let lists = std::iter::once(&mut history.opening)
            .chain(history.operations.iter_mut().map(|operation| &mut operation.faults));
        for list in lists {
            if place < list.len() {
                change(list, place);
                return Some(file);
            }
            place -= list.len();
        }
        None
    }
}
