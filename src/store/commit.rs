//! Commits a group from the queue: one write, one sync, then everyone is answered.
//!
//! | what failed | what the file holds | answer |
//! |---|---|---|
//! | making room, sealing | nothing of the group | its own error: not written |
//! | write or sync, then the tail moved | void frames | success |
//! | write or sync, and the move too | frames that recovery may find | `Unknown` |
//! | the move, where no file took frames before | nothing that is named | its own error: not written |
//! | a publish, from its rename on | one or the other | `Unknown`; later writes get `Latched` |
//!
//! Where the disk is full, deletes and drops of the group are tried once more without the others,
//! with the reserve given back for them.
//!
//! While frames are in limbo, told `Unknown` and not yet void, nothing is answered before a move of
//! the tail makes them void: else a drop could answer that there is no such collection, and a
//! reopen bring it back.

use std::task::Waker;

use crate::commit_queue::{Waiting, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::limits::NUMBER_MAX;
use crate::manifest::LogEnd;
use crate::memtable::memory_bytes;
use crate::request::{Outcome, wake_all};
use crate::store::full_disk::{self, with_reserve};
use crate::store::on_disk::{KeyOrphan, OnDisk, Tools};
use crate::store::pace::Load;
use crate::store::panics;
use crate::store::plan::{Member, Refused};
use crate::store::provision::dropped_key;
use crate::store::tail::{move_tail, records};
use crate::store::{Inner, Store};
use crate::sync::{Arc, reading, writing};
use crate::wal::frame::Batch;

/// What driving the queue once did.
#[derive(Debug, Default)]
pub(super) struct Driven {
    pub(super) answered: usize,
    /// Bytes of the group's frames.
    pub(super) bytes: u64,
    /// What there is to do in the background now.
    pub(super) load: Load,
    /// Tasks whose tickets are answered, to be woken once no lock is held.
    pub(super) wakers: Vec<Waker>,
}

impl Store {
    /// Commits one group of the requests that wait, with one write and one sync; how many
    /// requests were answered. Their own errors go to their tickets.
    ///
    /// # Errors
    /// `Closed` after a close; `Latched` if a thread panicked inside the store.
    pub fn drive(&self) -> Result<usize> {
        self.inner.guarded("a commit", || {
            let driven = {
                let mut on_disk = self.lock_on_disk()?;
                self.inner.drive(&mut on_disk)?
            };
            wake_all(driven.wakers);
            if driven.answered > 0 {
                self.inner.work_behind(driven.bytes, driven.load);
            }
            Ok(driven.answered)
        })
    }
}

impl Inner {
    pub(super) fn tools(&self) -> Tools<'_> {
        Tools {
            disk: &self.disk,
            entropy: &*self.entropy,
            options: &self.options,
            keys: &self.keys,
        }
    }

    /// Commits one group.
    pub(super) fn drive(&self, on_disk: &mut OnDisk) -> Result<Driven> {
        let group = self.queue.take_group(self.options.group_bytes_max)?;
        let answered = group.len();
        if answered == 0 {
            return Ok(Driven::default());
        }
        let bytes = group.iter().map(|waiting| waiting.work.bytes() as u64).sum();
        let tickets = group.iter().map(|waiting| waiting.ticket.clone()).collect();
        let tickets = panics::Group(self, tickets);
        let ready = on_disk.check_latch().and_then(|()| self.leave_limbo(on_disk));
        match ready {
            Ok(()) => self.commit_group(on_disk, group)?,
            Err(error) => answer_all(group, &error),
        }
        let mut wakers = Vec::new();
        tickets.1.iter().for_each(|ticket| ticket.take_wakers(&mut wakers));
        Ok(Driven { answered, bytes, load: self.load(on_disk), wakers })
    }

    /// Commits what there is room for, and answers everyone.
    fn commit_group(&self, on_disk: &mut OnDisk, mut group: Vec<Waiting>) -> Result<()> {
        if let Err(error) = full_disk::check_room(&self.tools(), on_disk) {
            refuse_growth(&mut group, &error);
        }
        loop {
            let live = reading(&self.live)?.clone();
            let given = on_disk.next_collection;
            let (members, refused) = self.plan(on_disk, &live, &group);
            let batches: Vec<&Batch> = members.iter().map(|member| &member.batch).collect();
            let durable = match batches.as_slice() {
                [] => Ok(()),
                batches => self.make_durable(on_disk, batches),
            };
            if durable.is_err() {
                give_ids_back(on_disk, &group, given);
                self.orphan_keys_of(on_disk, &members);
            }
            if let Err(error) = &durable
                && group.iter().any(|waiting| waiting.work.frees_space())
                && full_disk::give_back(&self.tools(), on_disk, error)
            {
                refuse_growth(&mut group, error);
                continue;
            }
            note_room(on_disk, &group, &durable);
            for Refused { ticket, answer, rests_on_group } in refused {
                ticket.answer(match &durable {
                    Err(error) if rests_on_group => Err(error.duplicate()),
                    _ => answer,
                });
            }
            match durable {
                Ok(()) => self.make_visible(on_disk, &members),
                Err(error) => {
                    members.iter().for_each(|member| member.ticket.answer(Err(error.duplicate())));
                }
            }
            return Ok(());
        }
    }

    /// Makes void what may be left of a group that was told `Unknown`, before anything else is
    /// decided: no answer may rest on what a reopen could turn over.
    pub(super) fn leave_limbo(&self, on_disk: &mut OnDisk) -> Result<()> {
        let tools = self.tools();
        if on_disk.in_limbo {
            return with_reserve(&tools, on_disk, |on_disk| move_tail(&tools, on_disk, &[]));
        }
        Ok(())
    }

    /// Writes a group behind the last durable record; see the table at the top.
    fn make_durable(&self, on_disk: &mut OnDisk, batches: &[&Batch]) -> Result<()> {
        let (tools, durable) = (self.tools(), on_disk.log_end.lsn);
        if durable.0 + records(batches) >= NUMBER_MAX {
            let what = format!("LSN {durable} is beyond all that were given: none is left");
            return Err(Error::corrupt(what));
        }
        let Some(log) = &mut on_disk.log else {
            return move_tail(&tools, on_disk, batches).map_err(|error| match error.kind() {
                ErrorKind::Latched => unknown(error),
                _ => error,
            });
        };
        let group = batches.iter().copied();
        let appended = match log.prepare(group, durable.next(), durable) {
            Ok(appended) => appended,
            Err(error) => {
                // Where there is no room nothing was sealed; else the offset is used up.
                if error.kind() != ErrorKind::Full {
                    on_disk.log = None;
                }
                return Err(error);
            }
        };
        if let Err(error) = log.append().and_then(|()| log.sync()) {
            tracing::warn!(lsn = durable.0, %error, "a log file ends early");
            on_disk.log = None;
            on_disk.in_limbo = true;
            let moved =
                with_reserve(&tools, on_disk, |on_disk| move_tail(&tools, on_disk, batches));
            return moved.map_err(unknown);
        }
        let lsn = Lsn(durable.0 + records(batches));
        on_disk.log_end = LogEnd { lsn, offset: appended.end };
        on_disk.unproved = true;
        Ok(())
    }

    /// Applies a durable group and answers its members. What cannot be applied would be refused
    /// by a reopen as well: it is our bug, and the store takes no more writes.
    fn make_visible(&self, on_disk: &mut OnDisk, members: &[Member]) {
        for member in members {
            if let Outcome::Dropped { lsn: Some(lsn), .. } = member.outcome {
                let dropped = reading(&self.live).ok().and_then(|live| dropped_key(&live, member));
                let orphan = dropped.map(|(collection, key)| KeyOrphan { lsn, key, collection });
                on_disk.key_orphans.extend(orphan);
            }
            let applied = self.apply(member);
            if let Ok(mut live) = writing(&self.live) {
                on_disk.shreds.append(&mut live.shreds);
            }
            on_disk.memtable_bytes += memory_bytes(&member.batch);
            member.ticket.answer(match (applied, member.outcome) {
                (Ok(hits), Outcome::Written { last_lsn, .. }) => {
                    Ok(Outcome::Written { last_lsn, hits })
                }
                (Ok(_), outcome) => {
                    if let Outcome::Dropped { lsn: Some(lsn), .. } = outcome {
                        // It may have made room for work that failed.
                        (on_disk.last_drop, on_disk.rests) = (lsn, 0);
                    }
                    Ok(outcome)
                }
                (Err(error), _) => {
                    on_disk.latched.get_or_insert(error.to_string());
                    Err(unknown(error))
                }
            });
        }
        for Member { first, batch, .. } in members {
            self.observe(on_disk, *first, batch);
        }
    }

    /// Makes a member's batch visible, whole: its rows go into the memtables above every LSN that a
    /// reader has, and then the last visible LSN moves on.
    fn apply(&self, member: &Member) -> Result<u64> {
        let Member { batch, first, below, outcome, .. } = member;
        let Outcome::Written { last_lsn, .. } = *outcome else {
            writing(&self.live)?.apply(*first, batch)?;
            return Ok(0);
        };
        let version = Arc::clone(&reading(&self.live)?.version);
        let hits = version.insert_rows(*first, batch, below.as_ref())?;
        writing(&self.live)?.last = last_lsn;
        Ok(hits)
    }
}

/// Answers requests with one error.
fn answer_all(group: Vec<Waiting>, error: &Error) {
    group.iter().for_each(|waiting| waiting.ticket.answer(Err(error.duplicate())));
}

/// Answers what would add rows while space is tight, and leaves the rest.
fn refuse_growth(group: &mut Vec<Waiting>, error: &Error) {
    let all = std::mem::take(group);
    let (free, grow) = all.into_iter().partition(|waiting| waiting.work.frees_space());
    *group = free;
    answer_all(grow, error);
}

/// Forgets the ids of creations that were asked for by id and came to nothing. They are asked for
/// again, and would be taken for collections that were dropped since: an id below the next one that
/// is not there. Where the group drew ids of its own, those are not given again.
fn give_ids_back(on_disk: &mut OnDisk, group: &[Waiting], given: CollectionId) {
    if !group.iter().any(|waiting| matches!(waiting.work, Work::Create { .. })) {
        on_disk.next_collection = given;
    }
}

/// Notes whether there was room for what would add rows.
fn note_room(on_disk: &mut OnDisk, group: &[Waiting], durable: &Result<()>) {
    let grows = group.iter().any(|waiting| !waiting.work.frees_space());
    match durable {
        Ok(()) if grows => on_disk.found_full = false,
        Err(error) if error.kind() == ErrorKind::Full => on_disk.found_full = true,
        _ => {}
    }
}

fn unknown(error: Error) -> Error {
    error.reported_as(ErrorKind::Unknown, "the write may or may not survive a reopen")
}
