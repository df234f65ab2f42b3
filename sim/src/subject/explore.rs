//! The crash images of one history.
//!
//! - E1. The result is a function of seed and options. An image is a function of its address: seed,
//!   point and number.
//! - E2. Point `2n` is just before the n-th call that changes something, `2n + 1` inside it, the last
//!   one behind the last act.
//! - E3. An image that was seen is not opened again, but what it showed is held against the window of this
//!   point too, and so is what was shown behind crashes in its recovery. Where one of them is too old now, the
//!   same crashes are looked at again.

use std::collections::BTreeMap;

use super::case::Case;
use super::desk::{Desk, Doing};
use super::examine::Shares;
use super::history::{Act, Struck};
use super::life::Life;
use super::run::{Made, Run};
use super::{Finding, Kind, Options, Subject, Tally, history};
use crate::address::Address;
use crate::disk::{DiskState, Inside, Step, Survivors, Tear};
use crate::explore::chain::{At, Crash, End};
use crate::explore::image::{Image, Images};

/// Images of a point, at least and at most.
const IMAGES_OF_POINT: (u64, u64) = (2, 24);

/// Images of the points of a process behind a crash, per point.
const NESTED_PER_POINT: u64 = 2;

/// One image in so many has its recovery's crashes looked at.
const NESTED_ONE_IN: u64 = 8;

/// One of those in so many has all crashes of the process behind it looked at, to its end.
const WHOLE_LIFE_ONE_IN: u64 = 4;

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

impl Failure {
    /// What two recoveries of one image differ in, one of them cannot show.
    fn of(case: Case, finding: Finding) -> Self {
        let case = (finding.kind != Kind::Unsteady).then_some(case);
        Self { case, finding }
    }
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
    /// What each image showed, and what was shown behind crashes in its recovery (E3).
    seen: BTreeMap<u128, Seen<S::State>>,
    /// What was shown behind crashes in the recovery that is looked at.
    below: Vec<S::State>,
    /// The case of the act whose images are looked at, without a crash.
    under: Option<Case>,
}

/// An image that was looked at.
struct Seen<State> {
    /// What it showed, and what was shown behind crashes in its recovery.
    shown: Vec<State>,
    /// Where it was met: by that the images below it are drawn.
    path: Vec<(u64, u64)>,
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
        let (thorough, below) = (false, Vec::new());
        Self { subject, options, seed, desk, tally, thorough, seen, below, under: None }
    }

    /// Explores the history of the seed.
    pub(super) fn explore(&mut self) -> Option<(Plan, Failure)> {
        let count = history::len(self.seed, self.options);
        let mut plan = Plan { seed: self.seed, acts: (0..count).collect(), struck: None };
        let mut run = self.run(&plan);
        if run.finding.is_none()
            && let Some(classes) = run.classes.last()
        {
            plan.struck = history::fault(self.seed, self.options, classes);
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
                let seed = self.seed;
                let found = format!(
                    "others in seed {seed}: it draws on a clock, a random source, an address or a thread"
                );
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
        Run::of(self.subject, self.options, plan.seed, acts, plan.struck)
    }

    /// Looks for the first failure of a run.
    pub(super) fn every_point(&mut self, plan: &Plan, run: &Run<S>) -> Option<Failure> {
        if let Some(finding) = &run.finding {
            let case = Some(case_of(plan, run, run.acts.len()));
            return Some(Failure { case, finding: finding.clone() });
        }
        let points = 2 * run.made.len() as u64 + 1;
        let wanted = (self.options.images / points).clamp(IMAGES_OF_POINT.0, IMAGES_OF_POINT.1);
        let made = run.made.iter().enumerate();
        for (place, made @ Made { act, step, .. }) in made {
            let window = run.window_of(self.subject, made);
            let under = case_of(plan, run, *act);
            self.under = Some(under.clone());
            let same_act = run.made[..place].iter().filter(|made| made.act == *act);
            let nth = same_act.filter(|made| made.step.call.kind == step.call.kind).count();
            for inside in [false, true] {
                let images = images_of(step, inside);
                let at = At::Before(step.call.kind, nth);
                let point = 2 * place as u64 + u64::from(inside);
                let failure = self.point(&images, wanted, &window, &[], at, &[(point, 0)]);
                if let Some((crashes, finding)) = failure {
                    return Some(Failure::of(Case { crashes, ..under }, finding));
                }
            }
        }
        let last = run.acts.len();
        let window = run.window_after(last);
        let under = case_of(plan, run, last);
        self.under = Some(under.clone());
        let images = Images::of(&run.end, true);
        let point = [(points - 1, 0)];
        let failure = self.point(&images, wanted, &window, &[], At::After, &point);
        let (crashes, finding) = failure?;
        Some(Failure::of(Case { crashes, ..under }, finding))
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
            let path: Vec<(u64, u64)> =
                path[..path.len() - 1].iter().copied().chain([(last.0, number)]).collect();
            if let Some(failure) = self.image(&image, window, before, &crash, address, &path) {
                return Some(failure);
            }
        }
        self.tally.points += u64::from(any);
        None
    }

    /// Looks at an image, or at what its equal has shown (E3).
    fn image(
        &mut self,
        image: &Image,
        window: &[S::State],
        before: &[Crash],
        crash: &dyn Fn() -> Vec<Crash>,
        address: Address,
        path: &[(u64, u64)],
    ) -> Option<(Vec<Crash>, Finding)> {
        let key = image.key();
        let mut dice = address.stream(8);
        let further = dice.chance(1, FURTHER_ONE_IN) || self.thorough;
        let steps = self.options.nested && before.is_empty() && dice.chance(1, NESTED_ONE_IN);
        let whole_life = steps && dice.chance(1, WHOLE_LIFE_ONE_IN);
        let mut shares = Shares { further, steps, whole_life };
        let too_old = self.too_old(key, window, before.is_empty());
        match too_old {
            None => self.tally.nested += u64::from(!before.is_empty()),
            Some(too_old) => {
                self.tally.duplicates += 1;
                let Some(place) = too_old else {
                    self.shows_below(key);
                    return None;
                };
                // Recovered alike, but from later: it says so itself, in full.
                shares = Shares { further: false, steps: place > 0, whole_life: false };
            }
        }
        match self.examine(image, window, shares) {
            Err(finding) => Some((crash(), finding)),
            Ok(_) if too_old == Some(Some(0)) => {
                let expected = "the same of two recoveries from one image";
                let found = format!(
                    "not the same, at image {address} (seed, point, image): it draws on a clock, a random source or an address"
                );
                Some((crash(), Finding::new(Kind::Unsteady, expected, found)))
            }
            Ok(recovered) => {
                let path = match self.seen.get(&key) {
                    Some(seen) => seen.path.clone(),
                    None => path.to_vec(),
                };
                let shown = vec![recovered.shown];
                self.seen.insert(key, Seen { shown, path: path.clone() });
                self.shows_below(key);
                self.nested(&recovered.life, key, &crash(), &path)
            }
        }
    }

    /// Whether the medium that is asked for leaves such a disk.
    fn is_of_the_medium(&self, image: &Image) -> bool {
        let Image::Loss(plan, _) = image else { return true };
        let Options { stale_bytes, torn_sectors, .. } = self.options;
        (*stale_bytes || !plan.shows_stale_bytes())
            && (*torn_sectors || plan.finest_tear() != Tear::TornSector)
    }

    /// Whether an image was seen, and which of what it showed, and what was shown below it, is not in this
    /// window. Below an image that is below another one nothing is looked at.
    fn too_old(&self, key: u128, window: &[S::State], is_first: bool) -> Option<Option<usize>> {
        let shown = &self.seen.get(&key)?.shown;
        let shown = if is_first { &shown[..] } else { &shown[..1] };
        Some(shown.iter().position(|state| !self.subject.accepts(state, window)))
    }

    /// What an image below the one that is looked at showed.
    fn shows_below(&mut self, key: u128) {
        if let Some(shown) = self.seen.get(&key).and_then(|seen| seen.shown.first())
            && !self.below.contains(shown)
        {
            self.below.push(shown.clone());
        }
    }

    /// Looks at the crashes of the process behind an image (C5).
    fn nested(
        &mut self,
        life: &Life<S::State>,
        key: u128,
        before: &[Crash],
        path: &[(u64, u64)],
    ) -> Option<(Vec<Crash>, Finding)> {
        let calls = life.calls();
        if calls.is_empty() {
            return None;
        }
        self.below.clear();
        for (place, (step, window)) in calls.iter().enumerate() {
            let same = |(other, _): &&(&Step, &[S::State])| other.call.kind == step.call.kind;
            let nth = calls[..place].iter().filter(same).count();
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
            // Of the recovery alone: what comes behind it adds to what is shown.
            let below = std::mem::take(&mut self.below);
            if place < life.calls_of_recovery()
                && let Some(Seen { shown, .. }) = self.seen.get_mut(&key)
            {
                for state in below {
                    if !shown.contains(&state) {
                        shown.push(state);
                    }
                }
            }
        }
        None
    }
}

/// The case of an act without a crash. A fault that strikes later, or nowhere, is no part of it.
fn case_of<S: Subject>(plan: &Plan, run: &Run<S>, act: usize) -> Case {
    let mut case = plan.case(act, Vec::new());
    case.struck = case.struck.filter(|_| run.struck_in.is_some_and(|struck| struck <= act));
    case
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
