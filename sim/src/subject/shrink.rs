//! Makes a failure smaller: operations left out, then as little as possible that is out of the
//! ordinary about what survived.
//!
//! - K1. What is left fails in the same way, by its [`Kind`](super::Kind) or one that is like it.
//! - K2. Each attempt looks at a whole history anew, and takes its first failure: without an operation
//!   the calls are others, and so are the crashes that matter.

use super::desk::Desk;
use super::explore::{Explorer, Failure, Plan};
use super::history::Struck;
use super::run::Run;
use super::{Case, Kind, Options, Subject};
use crate::disk::{Base, Survivors};
use crate::explore::chain::End;

/// Attempts, at most.
const ATTEMPTS_MAX: usize = 400;

/// Makes failures smaller.
pub(super) struct Shrinker<'a, S: Subject> {
    subject: &'a S,
    options: &'a Options,
    desk: &'a Desk,
    kind: Kind,
    attempts: usize,
}

impl<'a, S: Subject> Shrinker<'a, S> {
    pub(super) fn new(subject: &'a S, options: &'a Options, desk: &'a Desk, kind: Kind) -> Self {
        Self { subject, options, desk, kind, attempts: 0 }
    }

    /// A smaller failure, or the same.
    pub(super) fn shrink(mut self, plan: Plan, failure: Failure) -> Failure {
        let mut smallest = (plan, failure);
        if let Some(Case { acts, .. }) = &smallest.1.case {
            smallest.0.acts.clone_from(acts);
        }
        if smallest.0.struck.is_some() {
            self.try_plan(Plan { struck: None, ..smallest.0.clone() }, &mut smallest);
        }
        let mut size = smallest.0.acts.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            let before = smallest.0.acts.len();
            while from < smallest.0.acts.len() {
                if !self.leave_out(from, size, &mut smallest) {
                    from += size;
                }
            }
            // As long as single ones go, others may go that did not before.
            let again = size == 1 && smallest.0.acts.len() < before;
            size = if again { 1 } else { size / 2 };
        }
        let (_, mut failure) = smallest;
        if let Some(case) = &failure.case {
            let (case, finding) = self.survivors(case.clone(), failure.finding.clone());
            failure = Failure { case: Some(case), finding };
        }
        failure
    }

    /// Whether it fails without some acts.
    fn leave_out(&mut self, from: usize, size: usize, smallest: &mut (Plan, Failure)) -> bool {
        let plan = &smallest.0;
        let upto = (from + size).min(plan.acts.len());
        let mut acts = plan.acts.clone();
        acts.drain(from..upto);
        let struck = plan.struck.map(|struck| self.moved(plan, struck, from, upto));
        self.try_plan(Plan { seed: plan.seed, acts, struck }, smallest)
    }

    /// The fault, at the same call without the calls of these acts.
    fn moved(&self, plan: &Plan, struck: Struck, from: usize, upto: usize) -> Struck {
        let run = self.run(&Plan { struck: None, ..plan.clone() });
        let class = struck.fault.class();
        let calls = |act: usize| {
            let classes = run.classes.get(act).or(run.classes.last());
            classes.and_then(|classes| classes.get(&class).copied()).unwrap_or(0)
        };
        // Of the acts before it: `classes` has the opening in front.
        let (before, after) = (calls(from).min(struck.call), calls(upto).min(struck.call));
        Struck { call: struck.call - (after - before), ..struck }
    }

    fn run(&self, plan: &Plan) -> Run<S> {
        Explorer::new(self.subject, self.options, plan.seed, self.desk).run(plan)
    }

    fn try_plan(&mut self, plan: Plan, smallest: &mut (Plan, Failure)) -> bool {
        if self.attempts >= ATTEMPTS_MAX {
            return false;
        }
        self.attempts += 1;
        let mut explorer = Explorer::new(self.subject, self.options, plan.seed, self.desk);
        explorer.thorough = true;
        let run = explorer.run(&plan);
        let failure = explorer.every_point(&plan, &run);
        let Some(failure) = failure.filter(|failure| failure.finding.kind.is_like(self.kind))
        else {
            return false;
        };
        let acts = failure.case.as_ref().map_or_else(|| plan.acts.clone(), |c| c.acts.clone());
        *smallest = (Plan { acts, ..plan }, failure);
        true
    }

    /// The same crashes with the fewest exceptions about what survives.
    fn survivors(&mut self, mut case: Case, mut finding: super::Finding) -> (Case, super::Finding) {
        // Where the recovery from an earlier crash fails already, the later ones say nothing.
        while case.crashes.len() > 1 {
            let mut fewer = case.clone();
            fewer.crashes.pop();
            if !self.try_case(fewer, &mut case, &mut finding) {
                break;
            }
        }
        for place in 0..case.crashes.len() {
            let End::Loss(survivors) = case.crashes[place].end.clone() else { continue };
            let ends = [Base::Nothing, Base::Everything].map(Survivors::of);
            let simple = ends.into_iter().filter(|end| *end != survivors);
            let mut done = false;
            for end in simple {
                done = done || self.try_survivors(&mut case, &mut finding, place, end);
            }
            let mut rest = survivors.apart();
            let mut at = 0;
            while !done && at < rest.exceptions.len() {
                let mut fewer = rest.clone();
                fewer.exceptions.remove(at);
                if self.try_survivors(&mut case, &mut finding, place, fewer.clone()) {
                    rest = fewer;
                } else {
                    at += 1;
                }
            }
        }
        (case, finding)
    }

    fn try_survivors(
        &mut self,
        case: &mut Case,
        finding: &mut super::Finding,
        place: usize,
        survivors: Survivors,
    ) -> bool {
        let mut smaller = case.clone();
        smaller.crashes[place].end = End::Loss(survivors);
        self.try_case(smaller, case, finding)
    }

    fn try_case(&mut self, smaller: Case, case: &mut Case, finding: &mut super::Finding) -> bool {
        if self.attempts >= ATTEMPTS_MAX {
            return false;
        }
        self.attempts += 1;
        let mut explorer = Explorer::new(self.subject, self.options, case.seed, self.desk);
        // Other survivors may make another recovery, in which the next crash is none.
        match explorer.replay(&smaller) {
            Ok(replayed)
                if replayed.finding.as_ref().is_some_and(|f| f.kind.is_like(self.kind)) =>
            {
                *case = smaller;
                *finding = replayed.finding.expect("it has just been looked at");
                true
            }
            _ => false,
        }
    }
}
