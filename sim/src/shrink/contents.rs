//! Plainer operations: fewer members and changes, small rows, calmer calls.

use super::Shrinker;
use crate::history::{Action, Member, Operation};
use crate::repro::Reproducer;
use crate::repro::actions;
use crate::repro::parts::Visit;
use crate::system::Row;

/// How many requests an operation holds: changes of rows, creations, drops.
pub(super) fn requests(operation: &Operation) -> usize {
    struct Count(usize);
    impl Visit for Count {
        fn slot(&mut self, _: &mut usize) {
            self.0 += 1;
        }
    }
    let writes = matches!(
        operation.action,
        Action::Single(_) | Action::Batch(_) | Action::Write(_) | Action::Group(..)
    );
    let mut count = Count(0);
    let mut action = operation.action.clone();
    if writes {
        actions::parts(&mut action).into_iter().for_each(|part| part.visit(&mut count));
    }
    count.0
}

/// What asks for less than an operation and may do as well, the least first.
fn calmer(action: &Action) -> Vec<Action> {
    match action {
        Action::Group(members, _) if members.len() == 1 => vec![Action::Single(members[0].clone())],
        Action::Batch(changes) | Action::Write(changes) if changes.len() == 1 => {
            vec![Action::Single(Member::Write(changes.clone()))]
        }
        Action::Single(Member::Write(changes)) if changes.len() > 1 => {
            vec![Action::Write(changes.clone())]
        }
        Action::Batch(changes) => vec![Action::Write(changes.clone())],
        Action::PowerLossInside(call) => {
            vec![Action::Kill, Action::PowerLoss, Action::KillInside(*call)]
        }
        Action::PowerLoss | Action::KillInside(_) | Action::Close => vec![Action::Kill],
        // Whether these do anything hangs on how much was written before them.
        Action::Maintain | Action::MaintainAll | Action::Compact(_) => vec![Action::Checkpoint],
        _ => Vec::new(),
    }
}

impl Shrinker<'_> {
    /// Makes every operation plainer, in whatever way its parts offer.
    pub(super) fn plainer_contents(&mut self) {
        self.plain_rows();
        let mut place = 0;
        while place < self.best.history.operations.len() && !self.is_over() {
            self.calmer_operation(place);
            self.plainer_parts(place);
            place += 1;
        }
    }

    /// Tries small rows for all operations at once: most often their content does not matter.
    fn plain_rows(&mut self) {
        struct Plain;
        impl Visit for Plain {
            fn row(&mut self, _: usize, row: &mut Row) {
                *row = (vec![0.0; row.0.len()].into(), Vec::new().into());
            }
        }
        let candidate = self.best.visited(&mut Plain);
        self.attempt_and_hunt(candidate);
    }

    fn calmer_operation(&mut self, place: usize) {
        loop {
            let action = &self.best.history.operations[place].action;
            let calmer = calmer(action);
            let attempt = |this: &mut Self, action: &Action| {
                let mut candidate = this.best.clone();
                candidate.history.operations[place].action = action.clone();
                if matches!(action, Action::Kill | Action::KillInside(_)) {
                    candidate.history.luck[place].loss = None;
                }
                this.attempt_loosely(candidate)
            };
            let count = self.best.history.operations.len();
            if !calmer.iter().any(|action| attempt(self, action)) {
                return;
            }
            if self.best.history.operations.len() != count {
                return;
            }
        }
    }

    fn plainer_parts(&mut self, place: usize) {
        let mut at = 0;
        loop {
            let mut ways = 0;
            let mut candidate = self.best.clone();
            let Some(operation) = candidate.history.operations.get_mut(place) else { return };
            for part in actions::parts(&mut operation.action) {
                let own = part.ways();
                if (ways..ways + own).contains(&at) {
                    part.simplify(at - ways);
                }
                ways += own;
            }
            if at >= ways || self.is_over() {
                return;
            }
            // A way that worked leaves others in its place. Those before it get their turn again in
            // the next pass: to go back each time takes the square of the number of parts.
            at += usize::from(!self.attempt_and_hunt(candidate));
        }
    }
}

impl Reproducer {
    /// The same after something saw all parts of all operations.
    pub(super) fn visited(&self, visit: &mut dyn Visit) -> Self {
        let mut file = self.clone();
        for operation in &mut file.history.operations {
            actions::parts(&mut operation.action).into_iter().for_each(|part| part.visit(visit));
        }
        file
    }
}
