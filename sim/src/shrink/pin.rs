//! From an address or a case of the sweep to a reproducer: what was drawn becomes what is said.

use crate::address::{Address, Of};
use crate::checker::Invariant;
use crate::disk::{Base, Policy, Survivors};
use crate::exhaust::{self, PointBounds, Sequence};
use crate::explore;
use crate::explore::chain::{self, Chain, Deed, Then};
use crate::forward::{Forward, Point};
use crate::history::{History, Luck};
use crate::panic_trap;
use crate::repro::{Reproducer, Status, Violates};
use crate::stream::Stream;
use crate::swarm;
use crate::sweep::{self, Case};
use crate::system::System;
use crate::tally::Violation;
use crate::watch::Watch;

/// How many losses of power after a recovery are drawn for each deed.
const LOSSES_DRAWN: usize = 64;

/// How many images are looked at for the violation of a case.
const IMAGES_OF_A_CASE: u64 = 4000;

/// The violation at an address, said in full: the wanted one, or else the first.
///
/// # Errors
/// There is no such image, nothing is violated there, or it cannot be said.
pub fn of_address(
    system: &dyn System,
    status: Status,
    address: Address,
    wanted: Option<Invariant>,
) -> Result<Reproducer, String> {
    if address.kind() == Of::Swarm {
        return Ok(Reproducer { status, ..of_swarm(system, address, wanted)? });
    }
    if address.is_replica() {
        return Err(format!(
            "{address} is a history of leader and follower, which is not made smaller: `replay {address}` \
             tells of it"
        ));
    }
    let replayed = explore::replay(system, address, &Watch::default())?;
    let violation = the_wanted(&replayed.tally.violations, wanted, &address)?;
    let file = pin(system, &History::at(address), violation, None, &Watch::default())?;
    Ok(Reproducer { status, ..file })
}

/// The violation of a swarm: what its tasks did is a history like any other.
fn of_swarm(
    system: &dyn System,
    address: Address,
    wanted: Option<Invariant>,
) -> Result<Reproducer, String> {
    let report = swarm::one(system, address.seed).ok_or(swarm::MISSING)?;
    let history = report.history.ok_or("the simulator itself fails there")?;
    let violations: Vec<Violation> = report.violations.into_iter().map(|(one, _)| one).collect();
    let violation = the_wanted(&violations, wanted, &address)?;
    let pin = |history: &History| pin(system, history, violation, None, &Watch::default());
    if !violation.address.crashes().is_empty() {
        return pin(&history);
    }
    // What its observer was told is seen only where the history has one too.
    pin(&history).or_else(|_| pin(&history.observed())).map_err(|why| {
        let seed = address.seed;
        format!(
            "{why} in what its tasks did one after another: what only they saw is not made smaller, \
             `swarm --seed {seed}` tells of it"
        )
    })
}

/// The violation of a case of the sweep, said in full: the wanted one, or else the first.
///
/// # Errors
/// There is no such history, nothing is violated in it, or it cannot be said.
pub fn of_case(
    system: &dyn System,
    status: Status,
    case: &Case,
    seeded: u64,
    wanted: Option<Invariant>,
) -> Result<Reproducer, String> {
    let report = sweep::run_case(system, case, seeded)?;
    let histories = sweep::all(seeded, system.encrypts());
    let named = histories.iter().find(|named| named.name == case.history);
    let named = named.ok_or_else(|| format!("there is no history {:?}", case.history))?;
    let history = case.apply(&named.history);
    let violations: Vec<Violation> = report.violations.into_iter().map(|(_, one)| one).collect();
    let file = pin_or_hunt(system, &history, the_wanted(&violations, wanted, case)?, None)?;
    Ok(Reproducer { status, ..file })
}

/// The violation of a sequence of operations, said in full, where its points are looked at as closely as
/// this, in an encrypted store or a plain one: the wanted one, or else the first.
///
/// # Errors
/// Nothing is violated in it, or it cannot be said.
pub fn of_sequence(
    system: &dyn System,
    status: Status,
    sequence: &Sequence,
    (encrypted, points): (bool, PointBounds),
    wanted: Option<Invariant>,
) -> Result<Reproducer, String> {
    let report = exhaust::one(system, sequence, encrypted, points);
    let violations: Vec<Violation> = report.violations.into_iter().map(|(_, one)| one).collect();
    let violation = the_wanted(&violations, wanted, sequence)?;
    let file =
        pin_or_hunt(system, &sequence.history(encrypted), violation, Some(points.images_max))?;
    Ok(Reproducer { status, ..file })
}

/// The sweep and the sequences draw some images in a way of their own, which their addresses do not tell:
/// such a one is looked for among the others of its history.
fn pin_or_hunt(
    system: &dyn System,
    history: &History,
    violation: &Violation,
    images_max: Option<u64>,
) -> Result<Reproducer, String> {
    pin(system, history, violation, images_max, &Watch::default()).or_else(|why| {
        let violates = Violates::of(violation);
        let same = |violation: &Violation| Violates::of(violation) == violates;
        let (images, watch) = (IMAGES_OF_A_CASE, Watch::default());
        let hunt = chain::hunt(system, history, false, images, &same, &watch);
        let pin = |violation| pin(system, history, &violation, None, &Watch::default());
        hunt.found.map_or(Err(why), pin)
    })
}

/// One of the violations that were met somewhere.
fn the_wanted<'a>(
    violations: &'a [Violation],
    wanted: Option<Invariant>,
    place: &dyn std::fmt::Display,
) -> Result<&'a Violation, String> {
    let is_wanted = |violation: &&Violation| wanted.is_none_or(|it| it == violation.invariant);
    violations.iter().find(is_wanted).ok_or_else(|| {
        let what = wanted.map_or("nothing", Invariant::name);
        let is = if wanted.is_some() { "is not" } else { "is" };
        format!(
            "{what} {is} violated at {place}: take the program that found it, and say --mutant \
             NAME if a planted bug was found"
        )
    })
}

/// A violation that was found in a history, said in full and played. Which image has a number depends on
/// how many of a point were looked at: `images_max` of a sequence, or what an exploration says.
pub(super) fn pin(
    system: &dyn System,
    history: &History,
    violation: &Violation,
    images_max: Option<u64>,
    watch: &Watch,
) -> Result<Reproducer, String> {
    let address = violation.address;
    let forward = Forward::of(system, history);
    let mut history = cut(history, &forward, violation)?;
    let forward = Forward::of(system, &history);
    let chain = Chain::of(system, &history, &forward, address, images_max)?;
    for (operation, plan) in &forward.losses {
        history.luck[*operation].loss = Some(plan.survivors());
    }
    let violates = Violates::of(violation);
    let (remarks, status, shrinks_to) = (Vec::new(), Status::Open, None);
    let file = Reproducer { remarks, status, shrinks_to, violates, history, chain };
    let found = with_a_deed(system, file, watch);
    found.ok_or_else(|| format!("the violation at {address} cannot be said in full"))
}

/// The history up to the operation in which it happens.
fn cut(history: &History, forward: &Forward, violation: &Violation) -> Result<History, String> {
    let last = match violation.address.crashes().first() {
        None => {
            let mut findings = forward.findings.iter();
            let found = findings.find(|(_, finding)| finding.invariant == violation.invariant);
            Some(found.ok_or("the violation is not seen again")?.0)
        }
        Some((point, _)) => {
            let place = usize::try_from(*point).ok().and_then(|place| forward.points.get(place));
            match place.ok_or_else(|| format!("there is no point {point}"))? {
                Point::Before(call) | Point::Inside(call) => {
                    let opened = *call >= forward.opening_calls;
                    opened.then(|| forward.calls[*call].operation)
                }
                Point::End { operation, .. } => Some(*operation),
            }
        }
    };
    let count = history.operations.len();
    let mut cut = history.clone();
    cut.operations.truncate(last.map_or(0, |last| last + 1));
    // What comes back is behind the last operation.
    cut.faulty = last.is_some_and(|last| last >= count);
    cut.luck = (0..cut.operations.len())
        .map(|place| {
            let loss = history.luck.get(place).and_then(|luck| luck.loss.clone());
            Luck { dice: history.dice_of(place), loss }
        })
        .collect();
    Ok(cut)
}

/// The file with whatever has to be done after the last recovery for the violation to show; nothing, once
/// the watch is told to stop.
pub(super) fn with_a_deed(
    system: &dyn System,
    mut file: Reproducer,
    watch: &Watch,
) -> Option<Reproducer> {
    let play = |file: &Reproducer| {
        // What the simulator panics at shows nothing.
        let play = || panic_trap::catch(|| file.play_watched(system, watch)).ok();
        (!watch.is_stopped()).then(play).flatten()
    };
    let shows = |file: &Reproducer| {
        let played = play(file);
        played.is_some_and(|played| played.met.astray.is_none() && file.shown(&played).is_some())
    };
    if shows(&file) {
        return Some(file);
    }
    if file.chain.crashes.is_empty() {
        return None;
    }
    let plain = [Base::Nothing, Base::Everything].map(|base| Some(Survivors::of(base)));
    let [nothing, everything] = plain;
    let deeds = [Deed::Again, Deed::LookUp, Deed::Verify, Deed::BackUp, Deed::Nothing, Deed::Tidy];
    for deed in deeds.into_iter().chain([Deed::Write, Deed::Create]) {
        for loss in [None, nothing.clone(), everything.clone()] {
            file.chain.then = Some(Then { deed, loss });
            if shows(&file) {
                return Some(file);
            }
        }
    }
    for deed in [Deed::Nothing, Deed::Tidy, Deed::Write, Deed::Create] {
        file.chain.then = Some(Then { deed, loss: nothing.clone() });
        let Some(after) = play(&file).and_then(|played| played.met.after) else { continue };
        let mut stream = Stream::new(1);
        for turn in 0..LOSSES_DRAWN {
            let policy = Policy::ALL[turn % Policy::ALL.len()];
            let plan = after.plan_power_loss(policy, false, &mut stream);
            file.chain.then = Some(Then { deed, loss: Some(plan.survivors()) });
            if shows(&file) {
                return Some(file);
            }
        }
    }
    file.chain.then = Some(Then { deed: Deed::LoseKey, loss: None });
    if shows(&file) {
        return Some(file);
    }
    file.chain.then = Some(Then { deed: Deed::Everything, loss: None });
    shows(&file).then_some(file)
}
