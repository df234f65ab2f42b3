//! Plainer crashes, and fewer words for what survives them.

use super::{Shrinker, pin};
use crate::disk::{Base, DiskState, Exception, Inside, Survivors, Synced, What};
use crate::explore::chain::{At, Chain, Crash, Deed, End, Then};
use crate::history::{Action, Luck, Operation, Source};
use crate::repro::Reproducer;
use crate::repro::parts::pieces;

/// As many runs as a search for a deed may take.
const RUNS_FOR_A_DEED: u64 = 290;

/// How many draws of what is looked up are tried with one crash less.
const DICE_TRIED: u64 = 16;

/// A loss of power of a reproducer.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// The one that is this operation.
    Operation(usize),
    /// The one that is this crash.
    Crash(usize),
    /// The one after the last recovery.
    After,
}

impl Loss {
    /// What survives it, where it is said.
    fn of(self, file: &mut Reproducer) -> Option<&mut Survivors> {
        match self {
            Self::Operation(place) => file.history.luck.get_mut(place)?.loss.as_mut(),
            Self::Crash(place) => match &mut file.chain.crashes.get_mut(place)?.end {
                End::Loss(survivors) => Some(survivors),
                End::Kill => None,
            },
            Self::After => file.chain.then.as_mut()?.loss.as_mut(),
        }
    }

    fn all(file: &Reproducer) -> Vec<Self> {
        let operations = (0..file.history.luck.len()).map(Self::Operation);
        let crashes = (0..file.chain.crashes.len()).map(Self::Crash);
        operations.chain(crashes).chain([Self::After]).collect()
    }
}

/// How plain a way to stop is; less is plainer.
fn rank(end: &End) -> usize {
    match end {
        End::Loss(survivors) if survivors.exceptions.is_empty() => {
            usize::from(survivors.base == Base::Everything)
        }
        End::Kill => 2,
        End::Loss(survivors) => 3 + survivors.exceptions.len(),
    }
}

fn plainer_ends(end: &End) -> Vec<End> {
    let plain = |base| End::Loss(Survivors::of(base));
    let mut ends = vec![plain(Base::Nothing), plain(Base::Everything), End::Kill];
    ends.retain(|other| rank(other) < rank(end));
    ends
}

/// Plainer moments; only the first crash can come after an operation.
fn plainer_moments(at: &At, first: bool) -> Vec<At> {
    let after = first.then_some(At::After);
    match at {
        At::After => Vec::new(),
        At::Before(kind, nth) => {
            after.into_iter().chain((0..*nth).map(|nth| At::Before(*kind, nth))).collect()
        }
        At::Inside(kind, nth, inside) => {
            let before = [At::Before(*kind, *nth), At::Before(*kind, *nth + 1)];
            let insides = plainer_insides(inside);
            let insides = insides.into_iter().map(|inside| At::Inside(*kind, *nth, inside));
            after.into_iter().chain(before).chain(insides).collect()
        }
    }
}

fn plainer_insides(inside: &Inside) -> Vec<Inside> {
    match inside {
        Inside::Cut(bytes) => {
            let mut cuts = vec![1, 512, bytes / 512 * 512];
            cuts.retain(|cut| (1..*bytes).contains(cut));
            cuts.dedup();
            cuts.into_iter().map(Inside::Cut).collect()
        }
        Inside::Synced(changes) => {
            let mut all = Vec::new();
            for (place, change) in changes.iter().enumerate() {
                let plainer: &[Synced] = match change {
                    Synced::Pending => &[],
                    Synced::Kept => &[Synced::Pending],
                    Synced::Scattered(_) => &[Synced::Pending, Synced::Kept],
                };
                for synced in plainer {
                    let mut changes = changes.clone();
                    changes[place] = *synced;
                    all.push(Inside::Synced(changes));
                }
            }
            all
        }
        Inside::Torn(_) | Inside::Grown(_) | Inside::Happened | Inside::NotHappened => Vec::new(),
    }
}

/// The same exception with plainer bytes.
fn plainer_bytes(what: &What) -> Option<What> {
    match what {
        What::Stale { sector, .. } => Some(What::Garbage { sector: *sector, seed: 0 }),
        What::Garbage { sector, seed: 1.. } => Some(What::Garbage { sector: *sector, seed: 0 }),
        What::Mix { change, sector, .. } => {
            Some(What::Scrap { change: *change, sector: *sector, seed: 0 })
        }
        What::Scrap { change, sector, seed: 1.. } => {
            Some(What::Scrap { change: *change, sector: *sector, seed: 0 })
        }
        _ => None,
    }
}

impl Shrinker<'_> {
    /// Stops the machine less often, at plainer moments, in plainer ways.
    pub(super) fn plainer_crashes(&mut self) {
        // Where the run itself has the finding, it needs no crash.
        let mut candidate = self.best.clone();
        candidate.chain = Chain::default();
        self.attempt(candidate);
        let mut place = 0;
        while self.best.chain.crashes.len() > 1 && place < self.best.chain.crashes.len() {
            let mut candidate = self.best.clone();
            candidate.chain.crashes.remove(place);
            if place == 0 {
                candidate.chain.crashes[0].at = At::After;
            }
            if !self.attempt(candidate.clone()) && !self.attempt_other_dice(candidate) {
                place += 1;
            }
        }
        self.read_in_the_history();
        self.plainer_deed();
        for place in 0..self.best.chain.crashes.len() {
            self.before_its_sync(place);
            self.plainer_crash(place);
        }
        for loss in Loss::all(&self.best) {
            self.without_exceptions(loss);
        }
    }

    /// What is looked up after a recovery is drawn, by its place below the crashes.
    fn attempt_other_dice(&mut self, mut candidate: Reproducer) -> bool {
        let looks_up = |then: &Then| matches!(then.deed, Deed::LookUp | Deed::Everything);
        if !candidate.chain.then.as_ref().is_some_and(looks_up) {
            return false;
        }
        (0..DICE_TRIED).any(|dice| {
            candidate.chain.dice = vec![(dice, 0)];
            self.attempt(candidate.clone())
        })
    }

    /// Where a read after the last recovery shows it, the same read may do as an operation, of the
    /// store that runs or of one that came back: nothing is drawn then.
    fn read_in_the_history(&mut self) {
        let Some((name, read)) = self.met_by_the_best().and_then(|met| met.looked_up) else {
            return;
        };
        let mut slots = self.best.history.slots.iter();
        let Some(slot) = slots.position(|slot| slot.name == name) else { return };
        for stop in [None, Some(Action::Kill), Some(Action::PowerLoss)] {
            let mut candidate = self.best.clone();
            candidate.chain = Chain::default();
            let history = &mut candidate.history;
            for action in stop.into_iter().chain([Action::Read(Source::Store, slot, read.clone())])
            {
                let loss =
                    matches!(action, Action::PowerLoss).then(|| Survivors::of(Base::Nothing));
                history.operations.push(Operation { action, faults: Vec::new() });
                history.luck.push(Luck { dice: 0, loss });
            }
            if self.attempt(candidate) {
                return;
            }
        }
    }

    pub(super) fn plainer_deed(&mut self) {
        let Some(then) = self.best.chain.then.clone() else { return };
        let mut candidate = self.best.clone();
        candidate.chain.then = None;
        if then.deed == Deed::Everything {
            self.attempt_with_a_deed(candidate);
            return;
        }
        if self.attempt(candidate.clone()) {
            return;
        }
        // A loss of power after the recovery may as well come instead of it.
        let last = candidate.chain.crashes.last_mut();
        if let (Some(last), Some(loss)) = (last, &then.loss) {
            last.end = End::Loss(Survivors::of(loss.base));
            if self.attempt(candidate) {
                return;
            }
        }
        let mut candidate = self.best.clone();
        if let Some(then) = &mut candidate.chain.then {
            then.loss = None;
        }
        self.attempt(candidate);
    }

    /// Says of a crash inside a sync what survives one before it.
    fn before_its_sync(&mut self, place: usize) {
        let Some(crash) = self.best.chain.crashes.get(place).cloned() else { return };
        let At::Inside(kind, nth, inside) = crash.at else { return };
        let Some(met) = self.met_by_the_best() else { return };
        let Some(Some(step)) = met.inside.get(place) else { return };
        let Some(survivors) = step.survivors_of(&inside) else { return };
        let crash = Crash { at: At::Before(kind, nth), end: End::Loss(survivors) };
        let mut candidate = self.best.clone();
        candidate.chain.crashes[place] = crash;
        self.attempt(candidate);
    }

    fn plainer_crash(&mut self, place: usize) {
        loop {
            let Some(Crash { at, end }) = self.best.chain.crashes.get(place).cloned() else {
                return;
            };
            let moments = plainer_moments(&at, place == 0).into_iter();
            let ends = plainer_ends(&end);
            // Both at once, for one of them may not be enough.
            let both = moments.clone().flat_map(|at| {
                ends.iter().map(move |end| Crash { at: at.clone(), end: end.clone() })
            });
            let moments = moments.clone().map(|at| Crash { at, end: end.clone() });
            let ends = ends.iter().map(|end| Crash { at: at.clone(), end: end.clone() });
            let all: Vec<Crash> = both.clone().chain(moments).chain(ends).collect();
            let plainer = all.into_iter().any(|crash| {
                let mut candidate = self.best.clone();
                candidate.chain.crashes[place] = crash;
                self.attempt(candidate.clone()) || self.attempt_with_another_deed(candidate)
            });
            if !plainer {
                return;
            }
        }
    }

    /// What survives a loss of power after the last recovery depends on the crash before it.
    fn attempt_with_another_deed(&mut self, mut candidate: Reproducer) -> bool {
        let loss = candidate.chain.then.take().and_then(|then| then.loss);
        if loss.is_none_or(|loss| loss.exceptions.is_empty()) {
            return false;
        }
        self.attempt_with_a_deed(candidate)
    }

    fn attempt_with_a_deed(&mut self, candidate: Reproducer) -> bool {
        if self.is_over() {
            return false;
        }
        self.runs += RUNS_FOR_A_DEED;
        let said = self.aside(move |system, watch| pin::with_a_deed(system, candidate, watch));
        said.flatten().is_some_and(|said| self.attempt(said))
    }

    fn without_exceptions(&mut self, loss: Loss) {
        for base in [Base::Nothing, Base::Everything] {
            let mut candidate = self.best.clone();
            let Some(survivors) = loss.of(&mut candidate) else { return };
            let plain = Survivors::of(base);
            if *survivors == plain {
                return;
            }
            *survivors = plain;
            if self.attempt(candidate) {
                return;
            }
        }
    }

    /// Says what survives in as few words as will do (Z2).
    pub(super) fn fewer_survivors(&mut self) {
        for loss in Loss::all(&self.best) {
            self.fewer_of(loss);
            self.plainer_bytes_of(loss);
        }
    }

    fn fewer_of(&mut self, loss: Loss) {
        let Some(now) = loss.of(&mut self.best.clone()).cloned() else { return };
        if now.exceptions.is_empty() {
            return;
        }
        let Some(disk) = self.disk_at(loss) else { return };
        let Ok(plan) = disk.plan_survivors(&now) else { return };
        let mut least = now;
        for base in [Base::Nothing, Base::Everything] {
            let said = self.least(loss, &disk, plan.survivors_from(base));
            if let Some(said) = said.filter(|said| said.exceptions.len() < least.exceptions.len()) {
                least = said;
            }
        }
        let mut file = self.best.clone();
        if let Some(survivors) = loss.of(&mut file) {
            *survivors = least;
            self.adopt(file);
        }
    }

    /// The disk that loses power.
    fn disk_at(&mut self, loss: Loss) -> Option<DiskState> {
        let met = self.met_by_the_best()?;
        match loss {
            Loss::Operation(place) => {
                let plan = met.losses.into_iter().find(|(operation, _)| *operation == place);
                plan.map(|(_, plan)| plan.state().clone())
            }
            Loss::Crash(place) => met.stops.get(place).cloned(),
            Loss::After => met.after,
        }
    }

    /// Whether the best one with these survivors counts.
    fn counts(&mut self, loss: Loss, survivors: &Survivors) -> bool {
        let mut candidate = self.best.clone();
        match loss.of(&mut candidate) {
            Some(said) if said == survivors => return true,
            Some(said) => said.clone_from(survivors),
            None => return false,
        }
        let Some(played) = self.try_out(&candidate) else { return false };
        played.met.astray.is_none() && candidate.shown(&played).is_some()
    }

    /// The fewest exceptions from one end: whole ones are left out first, then single sectors.
    fn least(&mut self, loss: Loss, disk: &DiskState, start: Survivors) -> Option<Survivors> {
        if !self.counts(loss, &start) {
            return None;
        }
        let whole = self.fewest(loss, start);
        let fine = self.fewest(loss, whole.apart());
        // Together again, in the words of the disk.
        let told = disk.plan_survivors(&fine).ok()?.survivors_from(fine.base);
        let shorter = told.exceptions.len() < fine.exceptions.len();
        let least = if shorter && self.counts(loss, &told) { told } else { fine };
        Some(if whole.exceptions.len() < least.exceptions.len() { whole } else { least })
    }

    fn fewest(&mut self, loss: Loss, mut best: Survivors) -> Survivors {
        let without = |best: &Survivors, range: std::ops::Range<usize>| {
            let mut fewer = best.clone();
            fewer.exceptions.drain(range);
            fewer
        };
        let all = 0..best.exceptions.len();
        let none = without(&best, all);
        if self.counts(loss, &none) {
            return none;
        }
        let mut smaller = true;
        while smaller {
            let fewer = pieces(best.exceptions.len()).into_iter().map(|one| without(&best, one));
            let fewer: Vec<Survivors> = fewer.collect();
            let found = fewer.into_iter().find(|fewer| self.counts(loss, fewer));
            smaller = found.is_some();
            best = found.unwrap_or(best);
        }
        best
    }

    fn plainer_bytes_of(&mut self, loss: Loss) {
        let mut place = 0;
        loop {
            let mut candidate = self.best.clone();
            let Some(survivors) = loss.of(&mut candidate) else { return };
            let Some(Exception { what, .. }) = survivors.exceptions.get_mut(place) else { return };
            let plainer = plainer_bytes(what);
            let changed = plainer.map(|plainer| *what = plainer).is_some();
            if !changed || !self.attempt(candidate) {
                place += 1;
            }
        }
    }
}
