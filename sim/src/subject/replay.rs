//! One case, looked at again and told.

use super::desk::{Desk, Doing};
use super::examine::Shares;
use super::explore::{Explorer, Plan, image_of, stopped};
use super::history::{self, Act, Struck};
use super::run::{Made, Outcome, Run};
use super::told::short;
use super::{Case, Finding, Options, Subject};
use crate::address::Address;
use crate::disk::{IoCall, IoKind, Step};
use crate::explore::chain::{At, End};
use crate::explore::image::Image;

/// Calls of one operation or recovery that are told.
const CALLS_TOLD_MAX: usize = 24;

/// No history is as long.
const ACTS_MAX: usize = 1 << 16;

/// What became of a case.
#[derive(Clone, Debug)]
#[must_use = "what is wrong stands in `finding`"]
pub struct Replayed {
    /// What is wrong, if it still is.
    pub finding: Option<Finding>,
    /// The operations, the calls, the crash and what survived, one line each.
    pub story: Vec<String>,
}

/// Carries a case out again: its operations, its fault, its crashes, and every check of the last image.
///
/// Of the options `calls_max` counts, and `stale_bytes` and `faults`, by which the last image is asked further: with
/// those under which a case was found, it is asked the same.
///
/// It is done by the thread that calls. Where the code under test spins or waits for ever it does not come
/// back, which is what to stop a debugger in.
///
/// # Errors
/// What of the case does not fit the run: code that makes other calls now, so that the crash or the fault of the case
/// meets none, or another subject.
pub fn replay<S: Subject>(subject: &S, options: &Options, case: &Case) -> Result<Replayed, String> {
    let desk = Desk::default();
    Explorer::new(subject, options, case.seed, &desk).replay(case)
}

impl<S: Subject> Explorer<'_, S> {
    /// Carries a case out.
    pub(super) fn replay(&mut self, case: &Case) -> Result<Replayed, String> {
        let mut replayed = self.carried_out(case)?;
        let then = replayed.finding.iter().flat_map(|finding| finding.then.clone());
        replayed.story.extend(then);
        Ok(replayed)
    }

    fn carried_out(&mut self, case: &Case) -> Result<Replayed, String> {
        let Case { seed, acts, struck, crashes } = case;
        fits(case)?;
        let plan = Plan { seed: *seed, acts: acts.clone(), struck: *struck };
        let run = self.run(&plan);
        let last = acts.len();
        if run.finding.is_some() {
            // The run itself is wrong now, before any crash.
            let last = run.acts.len();
            let story = told(&run, last, usize::MAX, None);
            let story = struck_told(case).into_iter().chain(story).collect();
            return Ok(Replayed { finding: run.finding, story });
        }
        fits_run(case, &run)?;
        let made: Vec<&Made> = run.made.iter().filter(|made| made.act == last).collect();
        let steps: Vec<&Step> = made.iter().map(|made| &made.step).collect();
        let answered = made.iter().take_while(|made| !made.is_behind).count();
        let Some((crash, nested)) = crashes.split_first() else {
            let story = told(&run, last, steps.len(), None);
            let story = struck_told(case).into_iter().chain(story).collect();
            return Ok(Replayed { finding: None, story });
        };
        let (state, place) = stopped(&steps, &run.end, &crash.at)?;
        let (place, window) = match made.get(place) {
            Some(call) => (place, run.window_of(self.subject, call)),
            None => (answered, run.window_after(last)),
        };
        let mut story: Vec<String> = struck_told(case).into_iter().collect();
        story.extend(told(&run, last, place, Some(&crash.at)));
        let mut image = image_of(&state, &crash.end)?;
        self.desk.begins(&Address::run(*seed), Doing { case: case.clone(), last: None });
        story.extend(end_told(&image, &crash.end));
        let mut window = window;
        let is_nested = !nested.is_empty();
        let mut shares = Shares { further: true, steps: is_nested, whole_life: is_nested };
        for (place, crash) in nested.iter().enumerate() {
            let recovered = match self.examine(&image, &window, shares) {
                Ok(recovered) => recovered,
                Err(finding) => return Ok(Replayed { finding: Some(finding), story }),
            };
            let calls = recovered.life.calls();
            let steps: Vec<&Step> = calls.iter().map(|(step, _)| *step).collect();
            let (state, upto) = stopped(&steps, &image.build(), &crash.at)?;
            story.push("the next process opens it".to_owned());
            let of_recovery = recovered.life.calls_of_recovery();
            story.extend(calls_told(steps[..upto.min(of_recovery)].iter().map(|step| &step.call)));
            if upto >= of_recovery {
                story.push("and has done so; operations and an end follow".to_owned());
                story.extend(calls_told(steps[of_recovery..upto].iter().map(|step| &step.call)));
            }
            story.push(at_told(&crash.at, steps.get(upto).map(|step| &step.call)));
            window = calls.get(upto).map_or(window, |(_, window)| window.to_vec());
            image = image_of(&state, &crash.end)?;
            story.extend(end_told(&image, &crash.end));
            shares.steps = place + 1 < nested.len();
            shares.whole_life = shares.steps;
        }
        // Should it not open, its calls are told.
        shares = Shares { steps: true, whole_life: false, ..shares };
        let finding = self.examine(&image, &window, shares).err();
        story.push("the next process opens it and looks".to_owned());
        Ok(Replayed { finding, story })
    }
}

/// Whether there can be such a case.
fn fits(case: &Case) -> Result<(), String> {
    if let Some(act) = case.acts.iter().find(|act| **act >= ACTS_MAX) {
        return Err(format!("act {act}: a history has fewer than {ACTS_MAX} acts"));
    }
    // Behind the process that recovers there is no act, and what it left is the disk of the next one.
    match case.crashes.iter().skip(1).any(|crash| crash.at == At::After) {
        true => {
            Err("`crash after` is for the first crash: the others are in the process behind it"
                .to_owned())
        }
        false => Ok(()),
    }
}

/// Whether the run came to the last act, and met the fault.
fn fits_run<S: Subject>(case: &Case, run: &Run<S>) -> Result<(), String> {
    let (last, carried_out) = (case.acts.len(), run.acts.len());
    if carried_out < last {
        return Err(format!(
            "the run ends after {carried_out} of its {last} acts: too many failed, each of which may \
             have happened"
        ));
    }
    match case.struck {
        Some(Struck { fault, call }) if run.struck_in.is_none() => {
            let (name, class) = (fault.name(), fault.class());
            Err(format!(
                "the fault strikes nothing: there is no call {call} that {name} may strike ({class:?})"
            ))
        }
        _ => Ok(()),
    }
}

/// The fault, and what of the medium matters where there is one.
fn struck_told(case: &Case) -> Option<String> {
    let Struck { fault, call } = case.struck?;
    let medium = history::medium(case.seed);
    let (name, class) = (fault.name(), fault.class());
    let (shows, told) = (medium.failed_sync.name(), medium.writeback.name());
    Some(format!("a fault: {name} at call {call} of {class:?}; the medium: {shows}, {told}"))
}

/// The acts up to the crash, with their calls.
fn told<S: Subject>(run: &Run<S>, last: usize, place: usize, at: Option<&At>) -> Vec<String> {
    let mut lines = Vec::new();
    for act in 0..=last.min(run.acts.len()) {
        let made: Vec<&Made> = run.made.iter().filter(|made| made.act == act).collect();
        let is_behind = made.get(place).is_none_or(|made| made.is_behind);
        let crashes_here = act == last && at.is_some() && !is_behind;
        let steps: Vec<&Step> = made.iter().map(|made| &made.step).collect();
        lines.push(act_told(run, act, crashes_here));
        let upto = if act == last { place.min(steps.len()) } else { steps.len() };
        lines.extend(calls_told(steps[..upto].iter().map(|step| &step.call)));
        if let Some(at) = at.filter(|_| act == last) {
            lines.push(at_told(at, steps.get(upto).map(|step| &step.call)));
        }
    }
    lines
}

fn act_told<S: Subject>(run: &Run<S>, act: usize, crashes_here: bool) -> String {
    let Some(before) = act.checked_sub(1) else {
        let what = "it is opened on an empty disk";
        return match &run.unopened {
            None => what.to_owned(),
            Some(error) => format!("{what}: failed, {error}; and once more"),
        };
    };
    let what = match &run.acts[before] {
        Act::Do(op) => short(&format!("{op:?}")),
        Act::Restart => "it is closed and opened again".to_owned(),
    };
    match run.outcomes.get(before) {
        _ if crashes_here => format!("{what}: the crash is in here"),
        Some(Outcome::Acknowledged) => format!("{what}: acknowledged"),
        Some(Outcome::Failed(error)) => format!("{what}: failed, {error}"),
        Some(Outcome::Restarted) | None => what,
    }
}

/// The last of some calls, one line each.
pub(super) fn calls_told<'a>(calls: impl Iterator<Item = &'a IoCall>) -> Vec<String> {
    let calls: Vec<&IoCall> = calls.collect();
    let skipped = calls.len().saturating_sub(CALLS_TOLD_MAX);
    let mut lines = Vec::new();
    if skipped > 0 {
        lines.push(format!("    ... {skipped} calls before these"));
    }
    for call in &calls[skipped..] {
        // What makes anything durable stands out.
        let sync = matches!(call.kind, IoKind::Sync | IoKind::SyncDir);
        let mark = if sync { "====" } else { "    " };
        lines.push(format!("{mark}{call}"));
    }
    lines
}

fn at_told(at: &At, call: Option<&IoCall>) -> String {
    let call = call.map_or_else(|| "the end".to_owned(), IoCall::to_string);
    match at {
        At::After => "**  crash: behind all of that".to_owned(),
        At::Before(..) => format!("**  crash: just before {call}"),
        At::Inside(_, _, how) => format!("**  crash: inside of {call}: {how}"),
    }
}

fn end_told(image: &Image, end: &End) -> Vec<String> {
    let mut lines = image.describe();
    if matches!(end, End::Loss(_)) && lines.len() == 1 {
        lines = vec!["power is lost, nothing was pending".to_owned()];
    }
    lines.into_iter().map(|line| format!("    {line}")).collect()
}
