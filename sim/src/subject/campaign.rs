//! Many seeds on many threads, with an eye on the clock.
//!
//! - G1. The report is that of the seeds in their order, up to the last one that counts, however many
//!   threads there were. Only a hang without I/O calls depends on the clock.
//! - G2. A thread whose image does not end is given up: its case is told, another takes its place, and it
//!   goes on spinning until the program ends. One that was making a failure smaller leaves the failure.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::desk::Desk;
use super::explore::{Explorer, Failure};
use super::replay::Replayed;
use super::report::Asked;
use super::shrink::Shrinker;
use super::{Finding, Found, Kind, Options, Report, Subject, Tally};
use crate::address::Address;
use crate::panic_trap;
use crate::watch::Silence;

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What came of a seed: of which worker, which seed.
type Done = (usize, u64, Tally, Option<Found>);

struct Worker {
    desk: Arc<Desk>,
    silence: Silence,
    given_up: bool,
    thread: JoinHandle<()>,
}

struct Campaign<S: Subject> {
    subject: Arc<S>,
    options: Arc<Options>,
    next: Arc<AtomicU64>,
    sender: Sender<Done>,
    workers: Vec<Worker>,
    done: BTreeMap<u64, (Tally, Option<Found>)>,
    /// The first seed that is not done, and how many of those before it have a finding.
    begun: (u64, usize),
}

/// Explores the seeds, and tells what was found.
///
/// It installs a panic hook, which keeps panics of the code under test quiet.
pub fn explore<S: Subject>(subject: S, options: &Options) -> Report {
    let (sender, receiver) = mpsc::channel();
    let mut campaign = Campaign {
        subject: Arc::new(subject),
        options: Arc::new(options.clone()),
        next: Arc::new(AtomicU64::new(options.seeds.start)),
        sender,
        workers: Vec::new(),
        done: BTreeMap::new(),
        begun: (options.seeds.start, 0),
    };
    let jobs = match options.jobs {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        jobs => jobs,
    };
    let seeds = options.seeds.end.saturating_sub(options.seeds.start);
    for _ in 0..jobs.min(usize::try_from(seeds).unwrap_or(usize::MAX)) {
        campaign.hire();
    }
    campaign.attend(&receiver);
    campaign.dismiss();
    campaign.report()
}

impl<S: Subject> Campaign<S> {
    fn hire(&mut self) {
        let number = self.workers.len();
        let desk = Arc::new(Desk::default());
        let silence = Silence::begun();
        let seen = desk.clone();
        let (subject, options) = (self.subject.clone(), self.options.clone());
        let (next, sender) = (self.next.clone(), self.sender.clone());
        let thread = thread::spawn(move || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if !options.seeds.contains(&seed) || desk.watch.is_stopped() {
                    return;
                }
                let one = || one_seed(&*subject, &options, seed, &desk);
                let (tally, found) =
                    panic_trap::catch(one).unwrap_or_else(|why| panicked(seed, &why));
                if sender.send((number, seed, tally, found)).is_err() {
                    return;
                }
            }
        });
        self.workers.push(Worker { desk: seen, silence, given_up: false, thread });
    }

    /// Takes in what comes, until all has come that counts.
    fn attend(&mut self, receiver: &Receiver<Done>) {
        while !self.is_complete() {
            match receiver.recv_timeout(LOOK) {
                Ok((worker, seed, tally, found)) => {
                    self.workers[worker].silence = Silence::begun();
                    if !self.workers[worker].given_up {
                        self.done.insert(seed, (tally, found));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.give_up_on_the_silent();
        }
        self.workers.iter().for_each(|worker| worker.desk.watch.stop());
    }

    /// Waits for the threads that end: the next campaign of the process is not disturbed by them.
    fn dismiss(&mut self) {
        for worker in self.workers.drain(..).filter(|worker| !worker.given_up) {
            let end = Instant::now() + self.options.patience;
            while !worker.thread.is_finished() && Instant::now() < end {
                thread::yield_now();
            }
        }
    }

    /// Whether every seed is done up to the last one that counts.
    fn is_complete(&mut self) -> bool {
        let (seed, found) = &mut self.begun;
        while *found < self.options.findings_max.max(1) {
            if *seed >= self.options.seeds.end {
                return true;
            }
            let Some((_, one)) = self.done.get(seed) else { return false };
            *found += usize::from(one.is_some());
            *seed += 1;
        }
        true
    }

    fn give_up_on_the_silent(&mut self) {
        let mut hung = Vec::new();
        for worker in self.workers.iter_mut().filter(|worker| !worker.given_up) {
            if worker.silence.is_longer_than(self.options.patience, &worker.desk.watch) {
                let address = worker.desk.watch.address();
                // One that has nothing left to do is silent, too.
                if worker.desk.watch.turns() > 0 && !self.done.contains_key(&address.seed) {
                    worker.given_up = true;
                    worker.desk.watch.stop();
                    hung.push((address, worker.desk.clone()));
                }
            }
        }
        for (address, desk) in hung {
            let found = hung_up(address, &desk, self.options.patience);
            let tally = Tally { seeds: 1, ..Tally::default() };
            self.done.insert(address.seed, (tally, Some(found)));
            self.hire();
        }
    }

    fn report(self) -> Report {
        let Options { faults, nested, .. } = *self.options;
        let mut report = Report { asked: Asked { faults, nested }, ..Report::default() };
        for (_, (tally, found)) in self.done {
            let before = report.tally.images;
            report.tally.add(&tally);
            if let Some(mut found) = found {
                found.images += before;
                report.found.push(found);
                if report.found.len() >= self.options.findings_max.max(1) {
                    break;
                }
            }
        }
        report
    }
}

/// What a thread that is given up leaves (G2).
fn hung_up(address: Address, desk: &Desk, patience: Duration) -> Found {
    let told = format!(
        "image {address} (seed, point, image) has not come back, and makes no I/O call too many: it spins \
         or waits; its thread is given up"
    );
    if let Some(Failure { case, finding }) = desk.failure() {
        let mut story = vec![format!("it was to be made smaller: {told}")];
        story.extend(desk.case().map(|case| format!("which is: {case}")));
        return Found { case, finding, story, images: 0 };
    }
    let expected = format!("an image that is checked within {} s", patience.as_secs_f64());
    let finding = Finding::new(Kind::Hangs, expected, told);
    let advice = "`replay` of this case does not come back either: stop it there with a debugger";
    Found { case: desk.case(), finding, story: vec![advice.to_owned()], images: 0 }
}

fn one_seed<S: Subject>(
    subject: &S,
    options: &Options,
    seed: u64,
    desk: &Desk,
) -> (Tally, Option<Found>) {
    let mut explorer = Explorer::new(subject, options, seed, desk);
    let failure = explorer.explore();
    let tally = std::mem::take(&mut explorer.tally);
    let Some((plan, mut failure)) = failure else { return (tally, None) };
    let images = tally.images;
    if options.shrink && failure.case.is_some() {
        desk.shrinks(Some(failure.clone()));
        let shrinker = Shrinker::new(subject, options, desk, failure.finding.kind);
        failure = shrinker.shrink(plan, failure);
        desk.shrinks(None);
    }
    let story = failure.case.as_ref().map(|case| explorer.replay(case));
    let story = story.map(|replayed| story_of(replayed, failure.finding.kind)).unwrap_or_default();
    let Failure { case, finding } = failure;
    (tally, Some(Found { case, finding, story, images }))
}

/// The story of a case, and whether it is still that of what was found.
fn story_of(replayed: Result<Replayed, String>, kind: Kind) -> Vec<String> {
    const UNSTEADY: &str = "it draws on something else than the seed, as on a clock, a random source or an \
                            address";
    match replayed {
        Err(why) => vec![format!("it does not replay, {why}: {UNSTEADY}")],
        Ok(Replayed { finding: Some(finding), story }) if finding.kind.is_like(kind) => story,
        Ok(Replayed { finding: Some(finding), mut story }) => {
            // More is asked of the images of a case than of most.
            let other = finding.kind.name();
            story.insert(0, format!("carried out again, something else comes first: {other}"));
            story
        }
        Ok(Replayed { finding: None, mut story }) => {
            story.insert(0, format!("carried out again, nothing is wrong: {UNSTEADY}"));
            story
        }
    }
}

/// What comes of a seed at which the subject's own words panic. They make no call that could be told, and a
/// thread that is gone without an answer would be taken for one that hangs.
fn panicked(seed: u64, why: &str) -> (Tally, Option<Found>) {
    let expected = "no panic in `draw`, `model`, `accepts`, or a state or error in words";
    let finding = Finding::new(Kind::Panicked, expected, format!("in seed {seed}, a panic: {why}"));
    let found = Found { case: None, finding, story: Vec::new(), images: 0 };
    (Tally { seeds: 1, ..Tally::default() }, Some(found))
}
