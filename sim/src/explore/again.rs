//! What must hold after a recovery: recovered again, after a loss of power, tidied up, written to.
//!
//! **Place.** Made on a share of the images, each from a fork of the disk that recovery left, so that
//! none disturbs another.
//!
//! - A1. I6: a second recovery finds the same, and the directory has not grown.
//! - A2. I7: a loss of power right after the recovery takes nothing away.
//! - A3. I8: after a checkpoint the directory holds what the store says, and nothing else.
//! - A4. Probe: what is acknowledged after the recovery is there after the next loss of power, with
//!   all the rest.
//! - A5. Before all of these, rows are looked up in other ways than by a scan (`lookups`).
//! - A6. It verifies without a finding, and the backup that there was is there or can be gone on with
//!   (`copies`).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, DistanceMetric, Dtype};

use super::examine::{Left, Shares, words};
use super::{Expect, Explorer, Image, Way};
use crate::address::Address;
use crate::backup::is_of_backup;
use crate::checker::{self, Content, Finding, Invariant};
use crate::digest;
use crate::disk::{DiskState, Policy, Recording, SimDisk};
use crate::forward::{CALLS_MAX, STORE_DIR};
use crate::panic_trap;
use crate::system::{Call, Outcome, Request, RowChange, Session};

/// A name and an id that no history uses.
const PROBE: &str = "probe";

/// What is written after a recovery.
pub(crate) const PROBE_PAYLOAD: &[u8] = b"after a recovery";

impl Explorer<'_> {
    pub(super) fn further(&mut self, way: &Way<'_>, left: &Left, shares: &Shares) {
        let Left { disk, session, content, address, .. } = left;
        let found = disk.state();
        let mut calls = left.steps.clone();
        if shares.looked_up
            && let Err(finding) = self.look_up(left, &mut address.stream(7))
        {
            self.violated(*address, finding, way);
            return;
        }
        if shares.verified
            && let Err(finding) = self.verify(disk, &**session, 0)
        {
            self.violated(*address, finding, way);
            return;
        }
        if shares.again {
            self.again(way, &found, content, *address);
        }
        calls.extend(disk.take_steps());
        if shares.stays {
            let way = way.behind(&calls, left.steps.len());
            let mut stream = address.stream(4);
            for policy in [Policy::Nothing, Policy::Random] {
                let image = Image::loss(&found, policy, &mut stream);
                self.examine(&way, &image, Expect::Exactly(content, Invariant::I7), *address);
            }
        }
        if shares.tidy {
            if let Err(finding) = self.tidy(disk, &**session) {
                self.violated(*address, finding, way);
                return;
            }
            calls.extend(disk.take_steps());
            let way = way.behind(&calls, left.steps.len());
            let image = Image::loss(&disk.state(), Policy::Random, &mut address.stream(5));
            self.examine(&way, &image, Expect::Exactly(content, Invariant::I7), *address);
        }
        if shares.backup
            && let Err(finding) = self.look_at_backup(left)
        {
            self.violated(*address, finding, way);
            return;
        }
        if shares.probe {
            let mut stream = address.stream(6);
            let creates = content.ids.is_empty() || stream.chance(1, 4);
            match self.probe(left, creates) {
                Err(finding) => self.violated(*address, finding, way),
                Ok(after) => {
                    let policy = if stream.chance(1, 2) { Policy::Nothing } else { Policy::Random };
                    calls.extend(disk.take_steps());
                    let way = way.behind(&calls, left.steps.len());
                    let image = Image::loss(&disk.state(), policy, &mut stream);
                    self.examine(&way, &image, Expect::Exactly(&after, Invariant::Probe), *address);
                }
            }
        }
    }

    pub(super) fn again(
        &mut self,
        way: &Way<'_>,
        left: &DiskState,
        content: &Content,
        address: Address,
    ) {
        let image = Image::Kill(left.kill());
        if !self.alone && self.seen.contains_key(&image.key()) {
            return self.examine(way, &image, Expect::Exactly(content, Invariant::I6), address);
        }
        self.watch.goes_on();
        let recovered = self.recover(left, Recording::Off, &address, 3);
        let tally = &mut self.tally;
        tally.images_checked += 1;
        tally.images_encrypted += u64::from(self.vault.is_some());
        tally.images_nested += 1;
        *tally.policies.entry(image.policy()).or_default() += 1;
        *tally.tears.entry(image.finest_tear().name()).or_default() += 1;
        tally.evaluated(Invariant::I6);
        tally.evaluated(Invariant::I5);
        let finding = match recovered.outcome {
            Err(finding) => Some(finding),
            Ok((_session, found)) if found == *content => {
                let (before, after) = (size_of(left), size_of(&recovered.disk.state()));
                (after.0 > before.0 || after.1 > before.1).then(|| {
                    let words = |(files, bytes)| format!("{files} files of {bytes} bytes");
                    let expected =
                        format!("no more than {} after a second recovery", words(before));
                    Finding::new(Invariant::I6, expected, words(after))
                })
            }
            Ok((_session, found)) => {
                Some(Finding::new(Invariant::I6, words(content), words(&found)))
            }
        };
        if let Some(finding) = finding {
            let way = Way { before: Some(way), image: Some(&image), ..*way };
            self.violated(address, finding, &way);
        }
    }

    pub(super) fn tidy(&mut self, disk: &SimDisk, session: &dyn Session) -> Result<(), Finding> {
        self.tally.evaluated(Invariant::I8);
        let wrong = |expected: &str, found: String| Finding::new(Invariant::I8, expected, found);
        let tidied = in_session(disk, || {
            session.checkpoint()?;
            session.standing()
        })?;
        let standing =
            tidied.map_err(|error| wrong("a checkpoint that succeeds", format!("{error:?}")))?;
        let state = disk.state();
        let mut found = BTreeSet::new();
        for (path, _) in state.list().into_iter().filter(|(path, _)| !is_of_backup(path)) {
            found.insert(relative(&path));
        }
        let mut expected: BTreeSet<String> = standing.files.iter().cloned().collect();
        expected.insert("LOCK".to_string());
        if found != expected {
            let extra: Vec<_> = found.difference(&expected).collect();
            let missing: Vec<_> = expected.difference(&found).collect();
            let found = format!("{extra:?} too many, {missing:?} missing");
            return Err(wrong("the files that the store names, and LOCK", found));
        }
        for directory in state.list_directories().into_iter().filter(|path| !is_of_backup(path)) {
            let name = relative(&directory);
            if !["/", "", "segments"].contains(&&*name) {
                return Err(wrong("no directory but segments", name));
            }
        }
        self.verify(disk, session, standing.rows)?;
        self.tally.evaluated(Invariant::I14);
        let mut reused = disk.reused_names();
        reused.retain(|path| !is_of_backup(path));
        if !reused.is_empty() {
            let expected = "no name of a removed file is used again";
            return Err(Finding::new(Invariant::I14, expected, format!("{reused:?}")));
        }
        Ok(())
    }

    /// Writes something, or creates a collection; what the store must hold then.
    pub(super) fn probe(&mut self, left: &Left, creates: bool) -> Result<Content, Finding> {
        let Left { disk, session, content, id_floor, .. } = left;
        let session = &**session;
        self.tally.evaluated(Invariant::I14);
        let mut after = content.clone();
        after.lsn += 1;
        let performed = in_session(disk, || {
            let request = if creates { creation() } else { first_row(session, &mut after.digest)? };
            session.perform(&request, Call::Single)
        })?;
        let lsn = match performed {
            Ok(Outcome::Created { id, lsn }) => {
                let highest = content.ids.iter().map(|(_, id)| *id).fold(*id_floor, u64::max);
                if id.value() <= highest {
                    let expected = format!("a collection id above {highest}");
                    let found = format!("collection id {id}");
                    return Err(Finding::new(Invariant::I14, expected, found));
                }
                let key = digest::name_key(PROBE);
                after.digest =
                    after.digest.wrapping_add(digest::of_collection(key, &probe_descriptor()));
                let names = in_session(disk, || session.names())?;
                let names = names.map_err(|error| checker::Unreadable::from(error).finding())?;
                let place = names.iter().position(|name| name == PROBE).unwrap_or(0);
                after.ids.insert(place, (key, id.value()));
                lsn
            }
            Ok(Outcome::Written { last_lsn, .. }) => last_lsn,
            other => {
                let expected = "a write that succeeds after a recovery";
                return Err(Finding::new(Invariant::Probe, expected, format!("{other:?}")));
            }
        };
        match lsn {
            Some(lsn) if lsn.value() != after.lsn => {
                let expected = format!("LSN {}", after.lsn);
                Err(Finding::new(Invariant::I14, expected, format!("LSN {lsn}")))
            }
            _ => Ok(after),
        }
    }
}

fn probe_descriptor() -> Descriptor {
    Descriptor::new(2, Dtype::F32, DistanceMetric::Dot)
}

fn creation() -> Request {
    Request::Create { name: PROBE.into(), descriptor: probe_descriptor() }
}

/// A row for the first collection; its term is added to the digest.
fn first_row(session: &dyn Session, digest: &mut u128) -> quiver_store::Result<Request> {
    let name = session.names()?.into_iter().next().unwrap_or_default();
    let collection = session.id_of(&name)?.unwrap_or(CollectionId(0));
    let dim = session.descriptor(collection)?.dim as usize;
    let vector: Arc<[f32]> = vec![1.0; dim].into();
    let payload: Arc<[u8]> = Arc::from(PROBE_PAYLOAD);
    let term = digest::of_row(digest::name_key(&name), PROBE, &vector, &payload);
    *digest = digest.wrapping_add(term);
    let row = Some((vector, payload));
    Ok(Request::Write(vec![RowChange { collection, id: PROBE.into(), row }]))
}

pub(super) fn in_session<T>(disk: &SimDisk, run: impl FnOnce() -> T) -> Result<T, Finding> {
    disk.set_call_budget(CALLS_MAX);
    panic_trap::catch(run).map_err(|panic| Finding::new(Invariant::I5, "no panic", panic))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(STORE_DIR).unwrap_or(path).display().to_string()
}

/// How many files there are, and their bytes.
fn size_of(state: &DiskState) -> (usize, u64) {
    let mut files = state.list();
    files.retain(|(path, _)| !is_of_backup(path));
    (files.len(), files.iter().map(|(_, len)| len).sum())
}
