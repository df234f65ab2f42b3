//! A chain of crashes, said in full: where the machine stops, what that leaves, what is done then.
//!
//! **Place.** Reproducers carry one beside a history. Unlike an address it says what survives, so it
//! means the same when what is drawn for an address has changed.
//!
//! - H1. The first crash is in the last operation of the history, or just after it. Nothing that
//!   would come later could matter.
//! - H2. A run with a finding of its own is that finding: its crashes are not looked at, as in a
//!   campaign.

use std::sync::Arc;

use super::examine::Left;
use super::image::{Image, Images};
use super::{Calls, Expect, Explorer, Way, forward_images, nested_images};
use crate::address::{Address, DEPTH_MAX};
use crate::checker::Invariant;
use crate::disk::{CrashPlan, DiskState, Inside, IoCall, IoKind, Step, Survivors};
use crate::forward::{Forward, Marked, Point};
use crate::history::History;
use crate::model::Window;
use crate::reads::Read;
use crate::system::System;
use crate::tally::{Tally, Violation};
use crate::watch::Watch;

/// Calls before a crash that are told.
pub const CALLS_TOLD: usize = 80;

/// Crashes one after another, and what is done after the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The crashes. Each but the first is in the recovery from the one before it.
    pub crashes: Vec<Crash>,
    /// What is done after the last recovery, besides looking at what it found.
    pub then: Option<Then>,
    /// What is left to chance in each recovery is drawn as at these points and images.
    pub dice: Vec<(u64, u64)>,
}

/// A crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// When.
    pub at: At,
    /// What it leaves.
    pub end: End,
}

/// When the machine stops. Calls of a kind are counted from zero in the operation or recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// After the operation, its answers known.
    After,
    /// Just before a call that changes something.
    Before(IoKind, usize),
    /// Inside such a call.
    Inside(IoKind, usize, Inside),
}

/// What is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed.
    Kill,
    /// Power is lost.
    Loss(Survivors),
}

/// What is done after a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Then {
    /// The deed.
    pub deed: Deed,
    /// What survives the loss of power after it, if there is one.
    pub loss: Option<Survivors>,
}

/// What may be done after a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A second recovery.
    Again,
    /// Nothing.
    Nothing,
    /// A sample of reads.
    LookUp,
    /// A verification.
    Verify,
    /// A look at the backup that there was, which is gone on with.
    BackUp,
    /// A checkpoint, after which no file is too many.
    Tidy,
    /// A row is written.
    Write,
    /// A collection is created.
    Create,
    /// The key of a collection is lost for a while, in the image that was recovered.
    LoseKey,
    /// All that `replay` does, drawn as in `dice`.
    Everything,
}

impl Deed {
    /// Each with its word.
    pub const ALL: [(Self, &str); 10] = [
        (Self::Again, "again"),
        (Self::Nothing, "nothing"),
        (Self::LookUp, "look-up"),
        (Self::Verify, "verify"),
        (Self::BackUp, "back-up"),
        (Self::Tidy, "tidy"),
        (Self::Write, "write"),
        (Self::Create, "create"),
        (Self::LoseKey, "lose-key"),
        (Self::Everything, "everything"),
    ];
}

/// What came of a chain.
#[derive(Debug)]
pub struct Played {
    /// The counters, and the violations.
    pub tally: Tally,
    /// What was met on the way.
    pub met: Met,
    /// The way and the last recovery, one line each.
    pub log: Vec<String>,
    /// The disk that the last recovery started from; none without a crash.
    pub disk: Option<DiskState>,
}

/// What is met on the way of a chain.
#[derive(Debug, Default)]
pub struct Met {
    /// What the history or the chain says that does not fit the run, if anything.
    pub astray: Option<String>,
    /// The losses of power that are part of the history, with the operation.
    pub losses: Vec<(usize, CrashPlan)>,
    /// The disk at each crash, what is pending still pending.
    pub stops: Vec<DiskState>,
    /// The call that each crash is inside of.
    pub inside: Vec<Option<Step>>,
    /// The operation that each crash is in; none of a crash in a recovery.
    pub operations: Vec<Option<usize>>,
    /// The last calls before each crash.
    pub calls: Vec<Vec<Called>>,
    /// The disk at the loss of power after the last recovery.
    pub after: Option<DiskState>,
    /// The last calls of the process before that: of its recovery, and of what it did then.
    pub calls_after: Vec<Called>,
    /// The read of a collection that was made last after a recovery, with the collection's name.
    pub looked_up: Option<(Arc<str>, Read)>,
}

/// A call that changes something, on the way to a crash.
#[derive(Clone, Debug)]
pub struct Called {
    /// The operation of the history; none of a recovery.
    pub operation: Option<usize>,
    /// The call.
    pub call: IoCall,
}

/// Where the forward run stops.
struct Spot {
    state: DiskState,
    step: Option<Step>,
    window: Arc<Window>,
    calls: usize,
    operation: Option<usize>,
}

impl Chain {
    /// The address whose draws a recovery takes.
    fn address(&self, seed: u64, depth: usize) -> Address {
        let numbers = self.dice.iter().copied().chain(std::iter::repeat((0, 0)));
        numbers
            .take(depth)
            .fold(Address::run(seed), |address, (point, image)| address.below(point, image))
    }

    /// Carries out a history and stops it by this chain.
    pub fn play(&self, system: &dyn System, history: &History, watch: &Watch) -> Played {
        watch.at(&history.address());
        let forward = Forward::of(system, history);
        let mut explorer = Explorer::new(system, history, watch, true);
        explorer.chain = Some(self);
        explorer.take_run(&forward);
        explorer.met.astray.clone_from(&forward.astray);
        if forward.parent_lost {
            let why = "the name of the store's directory was lost above it: nothing is judged";
            explorer.met.astray = Some(why.to_owned());
            explorer.tally.violations.clear();
        }
        let mut disk = None;
        // H2.
        if explorer.met.astray.is_none() && forward.findings.is_empty() {
            match explorer.follow(&forward, self) {
                Ok(image) => disk = image,
                Err(why) => explorer.met.astray = Some(why),
            }
        }
        if self.crashes.is_empty() {
            explorer.log = explorer.words_of_run(&forward);
        }
        let Explorer { tally, mut met, log, .. } = explorer;
        met.losses = forward.losses;
        Played { tally, met, log, disk }
    }

    /// The chain of an address: its crashes, without anything done after them. Where all legal images of a
    /// point were looked at, up to `images_max`, that decides which one has a number.
    ///
    /// # Errors
    /// There is no such point or image.
    pub fn of(
        system: &dyn System,
        history: &History,
        forward: &Forward,
        address: Address,
        images_max: Option<u64>,
    ) -> Result<Self, String> {
        let mut chain = Self { dice: address.crashes().to_vec(), ..Self::default() };
        let Some(((point, number), nested)) = address.crashes().split_first() else {
            return Ok(chain);
        };
        let points = forward.points.len();
        let place = usize::try_from(*point).ok().and_then(|place| forward.points.get(place));
        let place = place.ok_or_else(|| {
            format!("the history of seed {} has {points} points, there is no {point}", history.seed)
        })?;
        let mut at = history.address().below(*point, *number);
        let images = match (images_max, place) {
            (Some(max), Point::Before(_) | Point::End { .. }) => {
                Images::up_to(forward.at(place).0, max)
            }
            _ => forward_images(history, forward, place),
        };
        let (mut image, crash) =
            crash_of(&images, *number, at, |inside| forward.at_of(history, place, inside))?;
        chain.crashes.push(crash);
        let watch = Watch::default();
        let mut explorer = Explorer::new(system, history, &watch, true);
        explorer.vault.clone_from(&forward.vault);
        explorer.custody = forward.at(place).1.custody.clone();
        for (point, number) in nested {
            let steps = explorer.steps_of_recovery(&image, at);
            let place = usize::try_from(point / 2).ok().filter(|place| *place < steps.len());
            let place = place.ok_or_else(|| {
                format!("the recovery of {at} has {} points, there is no {point}", 2 * steps.len())
            })?;
            at = at.below(*point, *number);
            let kind = steps[place].call.kind;
            let nth = steps[..place].iter().filter(|step| step.call.kind == kind).count();
            let images = nested_images(&steps[place], point % 2 == 1);
            let (next, crash) = crash_of(&images, *number, at, |inside| match inside {
                Some(inside) => At::Inside(kind, nth, inside),
                None => At::Before(kind, nth),
            })?;
            chain.crashes.push(crash);
            image = next;
        }
        Ok(chain)
    }
}

/// The image of an address, in words.
fn crash_of(
    images: &Images<'_>,
    number: u64,
    address: Address,
    at: impl FnOnce(Option<Inside>) -> At,
) -> Result<(Image, Crash), String> {
    let image = images.get_with_inside(number, address);
    let (image, inside) = image.ok_or_else(|| format!("there is no image {address}"))?;
    let end = match &image {
        Image::Kill(_) => End::Kill,
        Image::Loss(plan, _) => End::Loss(plan.survivors()),
    };
    Ok((image, Crash { at: at(inside), end }))
}

impl Forward {
    /// The calls of the last operation, or of the opening where there is none.
    fn last_calls(&self, history: &History) -> &[Marked] {
        let operations = history.operations.len();
        if operations == 0 && !history.faulty {
            return &self.calls[..self.opening_calls];
        }
        let last = if history.faulty { operations } else { operations - 1 };
        let later = &self.calls[self.opening_calls..];
        let from = later.iter().position(|marked| marked.operation >= last);
        &later[from.unwrap_or(later.len())..]
    }

    /// When a point of a history that ends with its operation is.
    fn at_of(&self, history: &History, point: &Point, inside: Option<Inside>) -> At {
        let (Point::Before(call) | Point::Inside(call)) = point else { return At::After };
        let kind = self.calls[*call].step.call.kind;
        let first = self.calls.len() - self.last_calls(history).len();
        let own = self.calls.get(first..*call).unwrap_or_default();
        let nth = own.iter().filter(|marked| marked.step.call.kind == kind).count();
        match inside {
            Some(inside) => At::Inside(kind, nth, inside),
            None => At::Before(kind, nth),
        }
    }

    fn spot(&self, history: &History, at: &At) -> Result<Spot, String> {
        let calls = self.calls.len();
        let (kind, nth, inside) = match at {
            At::After => {
                let (state, window) = self.last.clone().ok_or("the run did not come to its end")?;
                let operation = self.calls.last().map(|marked| marked.operation);
                return Ok(Spot { state, step: None, window, calls, operation });
            }
            At::Before(kind, nth) => (*kind, *nth, None),
            At::Inside(kind, nth, inside) => (*kind, *nth, Some(inside)),
        };
        let last = self.last_calls(history);
        let steps = last.iter().map(|marked| &marked.step);
        let (place, state) = stop(steps, kind, nth, inside, "the last operation")?;
        let calls = calls - last.len() + place;
        let step = inside.map(|_| last[place].step.clone());
        let operation = Some(last[place].operation);
        Ok(Spot { state, step, window: last[place].window.clone(), calls, operation })
    }
}

/// The place of a call among others, and the disk just before or inside it.
fn stop<'a>(
    steps: impl Iterator<Item = &'a Step>,
    kind: IoKind,
    nth: usize,
    inside: Option<&Inside>,
    whose: &str,
) -> Result<(usize, DiskState), String> {
    let mut count = 0;
    for (place, step) in steps.enumerate().filter(|(_, step)| step.call.kind == kind) {
        if count == nth {
            let Some(inside) = inside else { return Ok((place, step.before.clone())) };
            let stopped = step.stopped_in(inside);
            let name = kind.name();
            let state =
                stopped.ok_or_else(|| format!("{name} {nth} of {whose} has no `{inside}`"))?;
            return Ok((place, state));
        }
        count += 1;
    }
    Err(format!("{whose} makes {count} calls of {}, there is no {nth}", kind.name()))
}

impl Called {
    /// A call of the forward run.
    pub fn of(marked: &Marked) -> Self {
        Self { operation: Some(marked.operation), call: marked.step.call.clone() }
    }
}

impl End {
    fn image(&self, state: &DiskState) -> Result<Image, String> {
        match self {
            Self::Kill => Ok(Image::Kill(state.kill())),
            Self::Loss(survivors) => Image::said(state, survivors),
        }
    }
}

impl Explorer<'_> {
    /// Follows a chain to its last image and looks at that.
    fn follow(&mut self, forward: &Forward, chain: &Chain) -> Result<Option<DiskState>, String> {
        let Some((first, nested)) = chain.crashes.split_first() else { return Ok(None) };
        if chain.crashes.len() > DEPTH_MAX {
            return Err(format!("there are more than {DEPTH_MAX} crashes"));
        }
        let spot = forward.spot(self.history, &first.at)?;
        let calls = Calls::Forward(&forward.calls[..spot.calls]);
        let way = Way { before: None, calls, image: None };
        let image = first.end.image(&spot.state)?;
        let before = &forward.calls[spot.calls.saturating_sub(CALLS_TOLD)..spot.calls];
        self.met.calls.push(before.iter().map(Called::of).collect());
        self.met.stops.push(spot.state);
        self.met.inside.push(spot.step);
        self.met.operations.push(spot.operation);
        self.follow_into(&way, &image, &spot.window, 1, nested, chain).map(Some)
    }

    fn follow_into(
        &mut self,
        way: &Way<'_>,
        image: &Image,
        window: &Window,
        depth: usize,
        nested: &[Crash],
        chain: &Chain,
    ) -> Result<DiskState, String> {
        let address = chain.address(self.history.seed, depth);
        let Some((crash, rest)) = nested.split_first() else {
            self.examine(way, image, Expect::Window(window), address);
            return Ok(image.build());
        };
        self.custody = window.custody.clone();
        let steps = self.steps_of_recovery(image, address);
        let (kind, nth, inside) = match &crash.at {
            At::After => return Err("a crash after a recovery is said by `then`".to_owned()),
            At::Before(kind, nth) => (*kind, *nth, None),
            At::Inside(kind, nth, inside) => (*kind, *nth, Some(inside)),
        };
        let (place, state) = stop(steps.iter(), kind, nth, inside, "the recovery")?;
        let crashed = Way { image: Some(image), ..*way };
        let calls = Calls::Recovery(&steps[..place]);
        let way = Way { before: Some(&crashed), calls, image: None };
        let image = crash.end.image(&state)?;
        let before = steps[place.saturating_sub(CALLS_TOLD)..place].iter();
        let told = before.map(|step| Called { operation: None, call: step.call.clone() });
        self.met.calls.push(told.collect());
        self.met.stops.push(state);
        self.met.inside.push(inside.map(|_| steps[place].clone()));
        self.met.operations.push(None);
        self.follow_into(&way, &image, window, depth + 1, rest, chain)
    }

    /// Does after a recovery what a chain says.
    pub(super) fn said_further(
        &mut self,
        way: &Way<'_>,
        image: &Image,
        left: &Left,
        chain: &Chain,
    ) {
        let Some(then) = &chain.then else { return };
        let Left { disk, session, content, address, .. } = left;
        let (mut expected, mut invariant) = (content.clone(), Invariant::I7);
        let done = match then.deed {
            Deed::Nothing => Ok(()),
            Deed::Again => return self.again(way, &disk.state(), content, *address),
            Deed::LoseKey => return self.without_a_key(way, image, left),
            Deed::Everything => return self.everything_further(way, image, left),
            Deed::LookUp => self.look_up(left, &mut address.stream(7)),
            Deed::Verify => self.verify(disk, &**session, 0),
            Deed::BackUp => self.look_at_backup(left),
            Deed::Tidy => self.tidy(disk, &**session),
            Deed::Write | Deed::Create => {
                invariant = Invariant::Probe;
                let creates = then.deed == Deed::Create || content.ids.is_empty();
                self.probe(left, creates).map(|after| expected = after)
            }
        };
        let calls: Vec<Step> = left.steps.iter().cloned().chain(disk.take_steps()).collect();
        let way = way.behind(&calls, left.steps.len());
        if let Err(finding) = done {
            return self.violated(*address, finding, &way);
        }
        let Some(survivors) = &then.loss else { return };
        let after = disk.state();
        let image = Image::said(&after, survivors);
        self.met.after = Some(after);
        let told = calls[calls.len().saturating_sub(CALLS_TOLD)..].iter();
        self.met.calls_after =
            told.map(|step| Called { operation: None, call: step.call.clone() }).collect();
        match image {
            Ok(image) => {
                self.examine(&way, &image, Expect::Exactly(&expected, invariant), *address);
            }
            Err(why) => self.met.astray = Some(format!("after the recovery: {why}")),
        }
    }
}

/// What a hunt found, and what it cost.
#[derive(Debug)]
pub(crate) struct Hunt {
    /// The first violation that was looked for.
    pub(crate) found: Option<Violation>,
    /// How many images were checked.
    pub(crate) images: u64,
}

/// A history looked at from its first point on, until a violation is one that is looked for. Every
/// image gets every check, and `nested` ones are looked at too if so said.
pub(crate) fn hunt(
    system: &dyn System,
    history: &History,
    nested: bool,
    images: u64,
    wanted: &dyn Fn(&Violation) -> bool,
    watch: &Watch,
) -> Hunt {
    watch.at(&history.address());
    let forward = Forward::of(system, history);
    let mut explorer = Explorer::new(system, history, watch, false);
    explorer.thorough = Some(nested);
    // One point with all that is nested in it can have more images than all the others.
    explorer.images_max = images;
    explorer.take_run(&forward);
    if forward.parent_lost {
        explorer.tally.violations.clear();
    } else if forward.findings.is_empty() && forward.astray.is_none() {
        explorer.hunt_points(&forward, images, wanted);
    }
    let Tally { violations, images_checked: images, .. } = explorer.tally;
    Hunt { found: violations.into_iter().find(|violation| wanted(violation)), images }
}

impl Explorer<'_> {
    fn hunt_points(&mut self, forward: &Forward, images: u64, wanted: &dyn Fn(&Violation) -> bool) {
        let each = (images / (forward.points.len() as u64).max(1)).clamp(4, 48);
        for (place, point) in (0..).zip(&forward.points) {
            let (_, window, calls) = forward.at(point);
            let calls = Calls::Forward(&forward.calls[..calls]);
            let way = Way { before: None, calls, image: None };
            let at = self.history.address();
            self.point(
                &way,
                &forward_images(self.history, forward, point),
                each,
                window,
                at,
                place,
            );
            let enough = self.tally.images_checked >= images || self.gives_up();
            if enough || self.tally.violations.iter().any(wanted) {
                return;
            }
        }
    }
}
