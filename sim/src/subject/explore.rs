//! The crash images of one history.
//!
//! - E1. The result is a function of seed and options. An image is a function of its address: seed,
//!   point and number.
//! - E2. Point `2n` is just before the n-th call that changes something, `2n + 1` inside it, the last
//!   one behind all.

use std::collections::BTreeMap;

use super::case::Case;
use super::desk::{Desk, Doing};
use super::examine::Shares;
use super::history::{Act, Struck};
use super::run::{Made, Run};
use super::{Finding, Kind, Options, Subject, Tally, history};
use crate::address::Address;
use crate::disk::{DiskState, Fault, Inside, Step, Survivors, Tear};
use crate::explore::chain::{At, Crash, End};
use crate::explore::image::{Image, Images};

/// Images of a point, at least and at most.
const IMAGES_OF_POINT: (u64, u64) = (2, 24);

/// Images of a recovery's points, per point.
const NESTED_PER_POINT: u64 = 2;

/// One image in so many has its recovery's crashes looked at.
const NESTED_ONE_IN: u64 = 8;

/// One image in so many is gone on with.
const FURTHER_ONE_IN: u64 = 4;

/// One history in so many is run twice: of those with a fault, and of those without.
const REPEATED_ONE_IN: u64 = 7;
const _: () = assert!(!REPEATED_ONE_IN.is_multiple_of(history::FAULT_ONE_IN));

/// A failure before it is told.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) case: Option<Case>,
    pub(super) finding: Finding,
}

/// The exploration of one history.
pub(super) struct Explorer<'a, S: Subject> {
    pub(super) subject: &'a S,
    pub(super) options: &'a Options,
    pub(super) seed: u64,
    pub(super) desk: &'a Desk,
    pub(super) tally: Tally,
    /// Each image is gone on with, not a share of them: a history that was made smaller has few.
    pub(super) thorough: bool,
    seen: BTreeMap<u128, S::State>,
    /// The case of the act whose images are looked at, without a crash.
    under: Option<Case>,
}

/// A history: some of the acts of a seed, and a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// The places of the acts among those of the seed.
    pub(super) acts: Vec<usize>,
    pub(super) struck: Option<Struck>,
}

impl Plan {
    /// The acts themselves.
    pub(super) fn acts<S: Subject>(&self, subject: &S) -> Vec<Act<S::Op>> {
        let count = self.acts.iter().max().map_or(0, |last| last + 1);
        let all = history::acts(subject, self.seed, count);
        self.acts.iter().map(|place| all[*place].clone()).collect()
    }

    /// The case of a crash in this act, zero for the first opening.
    pub(super) fn case(&self, act: usize, crashes: Vec<Crash>) -> Case {
        let acts = self.acts[..act.min(self.acts.len())].to_vec();
        Case { seed: self.seed, acts, struck: self.struck, crashes }
    }
}

impl<'a, S: Subject> Explorer<'a, S> {
    pub(super) fn new(subject: &'a S, options: &'a Options, seed: u64, desk: &'a Desk) -> Self {
        let (tally, seen) = (Tally::default(), BTreeMap::new());
        Self { subject, options, seed, desk, tally, thorough: false, seen, under: None }
    }

    /// Explores the history of the seed.
    pub(super) fn explore(&mut self) -> Option<(Plan, Failure)> {
        let count = history::len(self.seed, self.options);
        let mut plan = Plan { seed: self.seed, acts: (0..count).collect(), struck: None };
        let mut run = self.run(&plan);
        let calls = |fault: Fault| {
            let classes = run.classes.last();
            classes.and_then(|classes| classes.get(&fault.class()).copied()).unwrap_or(0)
        };
        if run.finding.is_none() {
            plan.struck = history::fault(self.seed, self.options, calls);
        }
        if plan.struck.is_some() {
            run = self.run(&plan);
        }
        self.tally.seeds += 1;
        self.tally.operations += run.acts.len() as u64;
        self.tally.calls += run.calls;
        for (fault, times) in &run.fired {
            *self.tally.faults.entry(fault).or_default() += times;
        }
        if self.seed.is_multiple_of(REPEATED_ONE_IN) && run.finding.is_none() {
            let again = self.run(&plan);
            if again.trace_hash != run.trace_hash {
                let expected = "the same I/O calls in two runs of one seed";
                let found = "others: it draws on a clock, a random source, an address or a thread";
                let finding = Finding::new(Kind::Unsteady, expected, found);
                return Some((plan, Failure { case: None, finding }));
            }
        }
        let failure = self.every_point(&plan, &run)?;
        Some((plan, failure))
    }

    pub(super) fn run(&self, plan: &Plan) -> Run<S> {
        let case = plan.case(plan.acts.len(), Vec::new());
        self.desk.begins(&Address::run(self.seed), Doing { case, last: None });
        let acts = plan.acts(self.subject);
        Run::of(self.subject, self.options, acts, plan.struck)
    }

    /// Looks for the first failure of a run.
    pub(super) fn every_point(&mut self, plan: &Plan, run: &Run<S>) -> Option<Failure> {
        if let Some(finding) = &run.finding {
            let case = Some(plan.case(run.acts.len(), Vec::new()));
            return Some(Failure { case, finding: finding.clone() });
        }
        let points = 2 * run.made.len() as u64 + 1;
        let wanted = (self.options.images / points).clamp(IMAGES_OF_POINT.0, IMAGES_OF_POINT.1);
        let made = run.made.iter().enumerate();
        for (place, Made { act, step }) in made {
            let window = run.window(self.subject, *act);
            self.under = Some(plan.case(*act, Vec::new()));
            let same_act = run.made[..place].iter().filter(|made| made.act == *act);
            let nth = same_act.filter(|made| made.step.call.kind == step.call.kind).count();
            for inside in [false, true] {
                let images = images_of(step, inside);
                let at = At::Before(step.call.kind, nth);
                let point = 2 * place as u64 + u64::from(inside);
                let failure = self.point(&images, wanted, &window, &[], at, &[(point, 0)]);
                if let Some((crashes, finding)) = failure {
                    let case = Some(plan.case(*act, crashes));
                    return Some(Failure { case, finding });
                }
            }
        }
        let last = run.acts.len();
        let window = run.window_after(last);
        self.under = Some(plan.case(last, Vec::new()));
        let images = Images::of(&run.end, true);
        let point = [(points - 1, 0)];
        let failure = self.point(&images, wanted, &window, &[], At::After, &point);
        let (crashes, finding) = failure?;
        Some(Failure { case: Some(plan.case(last, crashes)), finding })
    }

    /// Looks at the images of one point; the crashes of the first that fails.
    fn point(
        &mut self,
        images: &Images<'_>,
        wanted: u64,
        window: &[S::State],
        before: &[Crash],
        at: At,
        path: &[(u64, u64)],
    ) -> Option<(Vec<Crash>, Finding)> {
        let (last, above) = path.split_last().expect("there is this point");
        let above = above.iter().fold(Address::run(self.seed), |a, (p, i)| a.below(*p, *i));
        let mut any = false;
        for number in 0..images.count(wanted) {
            let address = above.below(last.0, number);
            let Some((image, inside)) = images.get_with_inside(number, address) else { break };
            any = true;
            if self.desk.watch.is_stopped() {
                return None;
            }
            if !self.is_of_the_medium(&image) {
                continue;
            }
            let crash = || {
                let mut crashes = before.to_vec();
                crashes.push(said(&image, &at, inside.clone()));
                crashes
            };
            let mut case = self.under.clone().expect("it is a point of an act");
            case.crashes = before.to_vec();
            let stop = Some((image.clone(), at.clone(), inside.clone()));
            self.desk.begins(&address, Doing { case, last: stop });
            let key = image.key();
            if let Some(shown) = self.seen.get(&key) {
                self.tally.duplicates += 1;
                if !self.subject.accepts(shown, window) {
                    // Recovered alike, but from later: it says so itself, in full.
                    let shares = Shares { further: false, steps: false };
                    let finding = self.examine(&image, window, shares).err();
                    return finding.map(|finding| (crash(), finding));
                }
                continue;
            }
            let mut dice = address.stream(8);
            let shares = Shares {
                further: dice.chance(1, FURTHER_ONE_IN) || self.thorough,
                steps: self.options.nested && before.is_empty() && dice.chance(1, NESTED_ONE_IN),
            };
            self.tally.nested += u64::from(!before.is_empty());
            match self.examine(&image, window, shares) {
                Err(finding) => return Some((crash(), finding)),
                Ok(recovered) => {
                    self.seen.insert(key, recovered.shown);
                    let path: Vec<(u64, u64)> =
                        path[..path.len() - 1].iter().copied().chain([(last.0, number)]).collect();
                    let nested = self.nested(&recovered.steps, window, &crash(), &path);
                    if nested.is_some() {
                        return nested;
                    }
                }
            }
        }
        self.tally.points += u64::from(any);
        None
    }

    /// Whether the medium that is asked for leaves such a disk.
    fn is_of_the_medium(&self, image: &Image) -> bool {
        let Image::Loss(plan, _) = image else { return true };
        let Options { stale_bytes, torn_sectors, .. } = self.options;
        (*stale_bytes || !plan.shows_stale_bytes())
            && (*torn_sectors || plan.finest_tear() != Tear::TornSector)
    }

    /// Looks at the crashes of a recovery (C5).
    fn nested(
        &mut self,
        steps: &[Step],
        window: &[S::State],
        before: &[Crash],
        path: &[(u64, u64)],
    ) -> Option<(Vec<Crash>, Finding)> {
        for (place, step) in steps.iter().enumerate() {
            let same = |step: &&Step| step.call.kind == steps[place].call.kind;
            let nth = steps[..place].iter().filter(same).count();
            for inside in [false, true] {
                let images = images_of(step, inside);
                let at = At::Before(step.call.kind, nth);
                let point = 2 * place as u64 + u64::from(inside);
                let path: Vec<(u64, u64)> = path.iter().copied().chain([(point, 0)]).collect();
                let failure = self.point(&images, NESTED_PER_POINT, window, before, at, &path);
                if failure.is_some() {
                    return failure;
                }
            }
        }
        None
    }
}

fn images_of(step: &Step, inside: bool) -> Images<'_> {
    if inside { Images::inside(step) } else { Images::of(&step.before, true) }
}

/// A crash in words that mean the same without the stream that drew it.
pub(super) fn said(image: &Image, at: &At, inside: Option<Inside>) -> Crash {
    let at = match (at, inside) {
        (At::Before(kind, nth), Some(how)) => At::Inside(*kind, *nth, how),
        (at, _) => at.clone(),
    };
    let end = match image {
        Image::Kill(_) => End::Kill,
        Image::Loss(plan, _) => End::Loss(plan.survivors()),
    };
    Crash { at, end }
}

/// The disk of a crash among the calls of one act or one recovery.
pub(super) fn stopped(
    steps: &[&Step],
    end: &DiskState,
    at: &At,
) -> Result<(DiskState, usize), String> {
    let find = |kind, nth: usize| {
        let mut alike = steps.iter().enumerate().filter(|(_, step)| step.call.kind == kind);
        let found = alike.nth(nth).map(|(place, step)| (place, *step));
        found.ok_or_else(|| format!("there is no call {} {nth}", kind.name()))
    };
    match at {
        At::After => Ok((end.clone(), steps.len())),
        At::Before(kind, nth) => {
            let (place, step) = find(*kind, *nth)?;
            Ok((step.before.clone(), place))
        }
        At::Inside(kind, nth, how) => {
            let (place, step) = find(*kind, *nth)?;
            let state = step.stopped_in(how);
            let state = state.ok_or_else(|| format!("call {} {nth} has no {how}", kind.name()))?;
            Ok((state, place))
        }
    }
}

/// The image of an end.
pub(super) fn image_of(state: &DiskState, end: &End) -> Result<Image, String> {
    match end {
        End::Kill => Ok(Image::Kill(state.kill())),
        End::Loss(survivors) => Image::said(state, survivors),
    }
}

/// What survives at an end.
pub(super) fn survivors_of(end: &End) -> Option<&Survivors> {
    match end {
        End::Kill => None,
        End::Loss(survivors) => Some(survivors),
    }
}
