//! Crash images of both stores: recovered by the real code, checked, and connected again.
//!
//! - N1. One store crashes and the other stays as it is. An image is a function of its address.
//! - N2. A leader that came back tells a share of its images again what is behind the noted position; a
//!   follower that came back is given it. Either way what is there in the end is what the leader held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quiver_store::{ErrorKind, WalOp};

use super::TOO_LATE;
use super::applied::{Effect, Stand};
use super::pair::{Marked, Out, Who, same_but_lsn};
use super::side::{heed, judged, opened};
use crate::address::Address;
use crate::checker::{self, Content, Finding, Invariant};
use crate::disk::SimDisk;
use crate::explore::image::{Image, Images};
use crate::forward::CALLS_MAX;
use crate::history::History;
use crate::panic_trap;
use crate::system::{Session, System, Told};
use crate::watch::Watch;

/// Images of one history, before duplicates.
const IMAGES_WANTED: u64 = 800;

/// One image in so many is connected again.
const CONNECTED_ONE_IN: u64 = 4;

/// What the images of one history came to.
#[derive(Default)]
pub(super) struct Explored {
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) findings: Vec<(Address, Finding, Vec<String>)>,
    pub(super) words: Vec<u64>,
    seen: BTreeMap<(Who, u128), Content>,
}

/// The points of a history, and who looks at them.
pub(super) struct Points<'a> {
    pub(super) system: &'a dyn System,
    pub(super) history: &'a History,
    pub(super) out: &'a Out,
    pub(super) watch: &'a Watch,
}

impl Points<'_> {
    /// Looks at images of every call, or of a share of them where there are many.
    pub(super) fn every(&self) -> Explored {
        let mut explored = Explored::default();
        let points = 2 * self.out.calls.len() as u64;
        let run = Address::replica(self.history.seed);
        let each = (IMAGES_WANTED / points.max(1)).max(1);
        let mut stream = run.stream(0x706f_696e);
        for point in 0..points {
            if points > IMAGES_WANTED && !stream.chance(IMAGES_WANTED, points) {
                continue;
            }
            for number in 0..each {
                if self.watch.is_stopped() || !explored.findings.is_empty() {
                    return explored;
                }
                if !self.look(point, number, &mut explored) {
                    break;
                }
            }
        }
        explored
    }

    /// Looks at one image; whether there is one.
    pub(super) fn look(&self, point: u64, number: u64, explored: &mut Explored) -> bool {
        let call = usize::try_from(point / 2).ok().and_then(|call| self.out.calls.get(call));
        let Some(marked) = call else { return false };
        let images = match point % 2 {
            0 => Images::of(&marked.step.before, false),
            _ => Images::inside(&marked.step),
        };
        let address = Address::replica(self.history.seed).below(point, number);
        if point.is_multiple_of(2) && number > 0 && images.are_exhaustive() {
            return false;
        }
        let Some(image) = images.get(number, address) else { return false };
        self.watch.at(&address);
        if let Err(finding) = self.examine(marked, &image, address, explored) {
            let mut trace = self.words_before(point);
            trace.extend(image.describe());
            explored.findings.push((address, finding, trace));
        }
        true
    }

    /// The last calls of the side that crashes.
    fn words_before(&self, point: u64) -> Vec<String> {
        let upto = usize::try_from(point / 2).expect("it is a place");
        let who = self.out.calls[upto].who;
        let own = self.out.calls[..upto].iter().filter(|marked| marked.who == who);
        let words: Vec<String> =
            own.map(|marked| format!("{:?}: {}", marked.who, marked.step.call)).collect();
        words[words.len().saturating_sub(20)..].to_vec()
    }

    fn examine(
        &self,
        marked: &Marked,
        image: &Image,
        address: Address,
        explored: &mut Explored,
    ) -> Result<(), Finding> {
        let key = (marked.who, image.key());
        if let Some(content) = explored.seen.get(&key) {
            return checker::judge(content, &marked.window).map(drop);
        }
        let disk = SimDisk::mount(&image.build());
        disk.set_call_budget(CALLS_MAX);
        let mut stream = address.stream(2);
        *explored
            .counts
            .entry(match marked.who {
                Who::Leader => "images of leaders",
                Who::Follower => "images of followers",
            })
            .or_default() += 1;
        let vault = self.out.vaults[usize::from(marked.who == Who::Follower)].as_ref();
        let on = (&disk, vault);
        let (session, content) = opened(self.system, &self.history.options, on, stream.draw())?;
        explored.words.extend(content.words());
        let place = judged(&*session, &content, &marked.window)?;
        explored.seen.insert(key, content.clone());
        if !stream.chance(1, CONNECTED_ONE_IN) {
            return Ok(());
        }
        let connected = panic_trap::catch(|| match marked.who {
            Who::Leader => self.told_again(marked, &*session, place),
            Who::Follower => self.given_again(marked, &*session, place),
        });
        let connected =
            connected.map_err(|panic| Finding::new(Invariant::I5, "no panic", panic))??;
        heed(vault)?;
        if let Some(name) = connected {
            *explored.counts.entry(name).or_default() += 1;
        }
        Ok(())
    }

    /// A leader that came back tells what is behind the noted position (N2).
    fn told_again(
        &self,
        marked: &Marked,
        leader: &dyn Session,
        place: usize,
    ) -> Result<Option<&'static str>, Finding> {
        let Some((from, start)) = &marked.noted else { return Ok(None) };
        let heard: Arc<Mutex<Vec<Told>>> = Arc::default();
        let own = heard.clone();
        let listener = move |told| own.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        match leader.observe(Some(*from), Arc::new(listener)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && *from < marked.sealed => {
                return Ok(Some(TOO_LATE));
            }
            Err(error) => {
                let expected = format!("a catch-up from LSN {from}, with {} sealed", marked.sealed);
                return Err(Finding::new(Invariant::I14, expected, format!("{error:?}")));
            }
        }
        let told = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        let mut stand = start.clone();
        let mut next = *from;
        let mut ops = Vec::new();
        for Told { lsn, op, ends_batch } in told {
            next += 1;
            if lsn != next {
                let expected = format!("an observer is told of LSN {next} next, once");
                return Err(Finding::new(Invariant::I14, expected, format!("{lsn}: {op:?}")));
            }
            ops.push(op);
            if ends_batch && let Effect::Leads(led) = stand.behind(&std::mem::take(&mut ops)) {
                stand = led;
            }
        }
        let recovered = &marked.window.states[place];
        if stand.state.digest != recovered.digest || next != recovered.lsn {
            let expected = format!("what leads to LSN {}, which is there", recovered.lsn);
            let found = format!("what leads from LSN {from} to {next}, or to other content");
            return Err(Finding::new(Invariant::I14, expected, found));
        }
        Ok(Some("catch-ups of leaders in images"))
    }

    /// A follower that came back is given what is behind the noted position (N2).
    fn given_again(
        &self,
        marked: &Marked,
        follower: &dyn Session,
        place: usize,
    ) -> Result<Option<&'static str>, Finding> {
        let Some((from, _)) = &marked.noted else { return Ok(None) };
        let mut stand: Stand = marked.stands[place].clone();
        let mut next = *from;
        while next < marked.told {
            // What was committed while nobody listened is in no archive.
            let Some(batch) = self.out.archive.get(&(next + 1)) else { return Ok(None) };
            let ops: Vec<WalOp> = batch.iter().map(|told| told.op.clone()).collect();
            let effect = stand.behind(&ops);
            let answer = follower.follow(ops.clone());
            match (answer, effect) {
                (Ok(Some(lsn)), Effect::Leads(led)) if lsn == led.state.lsn => stand = led,
                (Ok(None), Effect::Nothing) => {}
                (Err(error), Effect::Refused(kind)) if error.kind() == kind => {
                    return Ok(Some("refusals in images"));
                }
                (answer, effect) => {
                    let expected = format!("{effect:?} for {ops:?}");
                    return Err(Finding::new(Invariant::Answers, expected, format!("{answer:?}")));
                }
            }
            next += batch.len() as u64;
        }
        let content = checker::read(follower).map_err(checker::Unreadable::finding)?;
        judged(follower, &content, &super::pair::window_of_stands(&[stand.clone()]))?;
        let Some(end) = self.out.ends.get(&next) else { return Ok(None) };
        if !same_but_lsn(&stand.state, &end.state) {
            let expected = format!("what the leader held at LSN {next}");
            let found = "something else on a follower that was given all of it";
            return Err(Finding::new(Invariant::Answers, expected, found));
        }
        Ok(Some("catch-ups of followers in images"))
    }
}
