//! One crash image: which disk a stopped machine leaves.
//!
//! **Place.** Drawn by the explorer for a point and a number; built only where its key is new.
//!
//! - D1. An image is a function of the disk at its point and of its address alone.
//! - D2. Number 0 is the kill of the process. Where all legal losses of power are few, the next
//!   numbers enumerate them; all further numbers draw a policy, one in ten `everything`.
//! - D3. Where nothing is pending there is one image: whatever stops the machine leaves the same.

use crate::address::Address;
use crate::disk::{CrashPlan, DiskState, Inside, LegalImages, Policy, Step, Survivors, Tear};
use crate::stream::Stream;
use crate::tally::{ENUMERATED, KILL};

/// Points with no more legal losses of power than this have all of them checked.
pub(crate) const LEGAL_IMAGES_MAX: u64 = 64;

/// More pending mutations than this have more legal losses of power than [`LEGAL_IMAGES_MAX`].
const PENDING_MAX: u64 = 6;

/// The word for losses of power of which it was said what survives.
const SAID: &str = "said";

/// Sets the keys of kill images apart: what is pending is part of those.
const KILL_KEY: u128 = 0x6b69_6c6c_6b69_6c6c_6b69_6c6c_6b69_6c6c;

/// A disk that a stopped machine leaves.
#[derive(Clone, Debug)]
pub(crate) enum Image {
    /// The process was killed.
    Kill(DiskState),
    /// Power was lost.
    Loss(CrashPlan, &'static str),
}

/// The images of one point.
#[derive(Debug)]
pub(crate) struct Images<'a> {
    state: &'a DiskState,
    step: Option<&'a Step>,
    /// Those that are enumerated, and how many of them.
    legal: Option<(LegalImages<'a>, u64)>,
    exhaustive: bool,
}

impl<'a> Images<'a> {
    /// The images just before a call or after an operation; all legal ones if `enumerate` and they
    /// are few.
    pub(crate) fn of(state: &'a DiskState, enumerate: bool) -> Self {
        let few = enumerate && (1..=PENDING_MAX).contains(&state.pending_mutations());
        let legal = if few { state.legal_images() } else { None };
        let max = u128::from(LEGAL_IMAGES_MAX);
        Self::enumerated(state, legal.filter(|legal| legal.count() <= max), LEGAL_IMAGES_MAX)
    }

    /// The images just before a call or after an operation; so many of the legal ones, if there are more.
    pub(crate) fn up_to(state: &'a DiskState, images_max: u64) -> Self {
        let legal = if state.is_quiet() { None } else { state.legal_images() };
        Self::enumerated(state, legal, images_max)
    }

    fn enumerated(state: &'a DiskState, legal: Option<LegalImages<'a>>, max: u64) -> Self {
        let counted = |legal: LegalImages<'a>| {
            let count = u64::try_from(legal.count()).unwrap_or(u64::MAX).min(max);
            (legal, count)
        };
        let legal = legal.map(counted);
        let whole = |(legal, count): &(LegalImages<'_>, u64)| legal.count() == u128::from(*count);
        let exhaustive = state.is_quiet() || legal.as_ref().is_some_and(whole);
        Self { state, step: None, legal, exhaustive }
    }

    /// The images inside a call.
    pub(crate) fn inside(step: &'a Step) -> Self {
        Self { state: &step.before, step: Some(step), legal: None, exhaustive: false }
    }

    /// Of how many legal losses of power how many are looked at, where they are enumerated.
    pub(crate) fn share(&self) -> Option<(u128, u64)> {
        let (legal, enumerated) = self.legal.as_ref()?;
        Some((legal.count(), *enumerated))
    }

    /// Whether all legal losses of power are among the images.
    pub(crate) fn are_exhaustive(&self) -> bool {
        self.exhaustive
    }

    /// How many images to look at, given how many are wanted where there is much to choose.
    pub(crate) fn count(&self, wanted: u64) -> u64 {
        if self.step.is_some() {
            return wanted.div_ceil(2);
        }
        if self.state.is_quiet() {
            return 1;
        }
        self.legal.as_ref().map_or(wanted, |(_, enumerated)| 1 + enumerated)
    }

    /// The image of an address; `None` where the call has no inside.
    pub(crate) fn get(&self, number: u64, address: Address) -> Option<Image> {
        Some(self.get_with_inside(number, address)?.0)
    }

    /// The same, and how far the call came that the image is inside of.
    pub(crate) fn get_with_inside(
        &self,
        number: u64,
        address: Address,
    ) -> Option<(Image, Option<Inside>)> {
        let mut stream = address.stream(0);
        let Some(step) = self.step else { return Some((self.between(number, stream)?, None)) };
        let inside = step.draw_inside(&mut stream)?;
        let state = step.stopped_in(&inside)?;
        let kill = stream.chance(1, 4);
        let image = if kill { Image::Kill(state.kill()) } else { lost(&state, &mut stream) };
        Some((image, Some(inside)))
    }

    /// An image between two calls.
    fn between(&self, number: u64, mut stream: Stream) -> Option<Image> {
        match number {
            0 if self.state.is_quiet() => {
                let plan = self.state.plan_power_loss(Policy::Nothing, false, &mut stream);
                Some(Image::Loss(plan, Policy::Nothing.name()))
            }
            0 => Some(Image::Kill(self.state.kill())),
            _ => match &self.legal {
                Some((legal, enumerated)) if number <= *enumerated => {
                    let place = number - 1;
                    let of = if self.exhaustive { place.into() } else { legal.spread(place) };
                    Some(Image::Loss(legal.plan(of), ENUMERATED))
                }
                _ => Some(lost(self.state, &mut stream)),
            },
        }
    }
}

impl Image {
    /// A loss of power by a policy.
    pub(crate) fn loss(state: &DiskState, policy: Policy, stream: &mut Stream) -> Self {
        Self::Loss(state.plan_power_loss(policy, false, stream), policy.name())
    }

    /// A loss of power after which just this survives.
    ///
    /// # Errors
    /// What of it there is not.
    pub(crate) fn said(state: &DiskState, survivors: &Survivors) -> Result<Self, String> {
        Ok(Self::Loss(state.plan_survivors(survivors)?, SAID))
    }

    /// What the image is known by.
    pub(crate) fn key(&self) -> u128 {
        match self {
            Self::Kill(state) if state.is_quiet() => state.key(),
            Self::Kill(state) => state.full_key() ^ KILL_KEY,
            Self::Loss(plan, _) => plan.key(),
        }
    }

    /// The disk.
    pub(crate) fn build(&self) -> DiskState {
        match self {
            Self::Kill(state) => state.clone(),
            Self::Loss(plan, _) => plan.build(),
        }
    }

    /// The word under which reports count it.
    pub(crate) fn policy(&self) -> &'static str {
        match self {
            Self::Kill(_) => KILL,
            Self::Loss(_, policy) => policy,
        }
    }

    /// How finely it divides what was pending.
    pub(crate) fn finest_tear(&self) -> Tear {
        match self {
            Self::Kill(_) => Tear::None,
            Self::Loss(plan, _) => plan.finest_tear(),
        }
    }

    /// What of everything pending survived, one line each.
    pub(crate) fn describe(&self) -> Vec<String> {
        match self {
            Self::Kill(_) => vec!["the process is killed: the page cache survives".to_string()],
            Self::Loss(plan, policy) => {
                let mut lines = vec![match *policy {
                    SAID => "power is lost, it is said what survives:".to_string(),
                    policy => format!("power is lost, policy {policy}:"),
                }];
                lines.extend(plan.describe().into_iter().map(|line| format!("  {line}")));
                lines
            }
        }
    }
}

fn lost(state: &DiskState, stream: &mut Stream) -> Image {
    let easy = stream.chance(1, 10);
    let policy = if easy { Policy::Everything } else { *stream.pick(&Policy::ALL) };
    let torn_sectors = stream.chance(1, 4);
    Image::Loss(state.plan_power_loss(policy, torn_sectors, stream), policy.name())
}
