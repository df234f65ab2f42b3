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
//! While frames are in limbo, told `Unknown` and not yet void, nothing is answered before a move of
//! the tail makes them void: else a drop could answer that there is no such collection, and a
//! reopen bring it back.

use std::collections::{BTreeMap, BTreeSet};

use crate::commit_queue::{Waiting, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CollectionId, Lsn};
use crate::limits::COLLECTIONS_MAX;
use crate::live_set::LiveSet;
use crate::manifest::LogEnd;
use crate::record::Record;
use crate::request::{Outcome, Ticket};
use crate::store::on_disk::{OnDisk, Tools};
use crate::store::tail::{move_tail, records};
use crate::store::{Inner, Store};
use crate::sync::{reading, writing};
use crate::wal::frame::{Batch, Section};

/// How many groups pass between a checkpoint that failed and the next try.
const GROUPS_BETWEEN_CHECKPOINTS: u32 = 64;

/// A request that takes part in the group's write.
struct Member {
    ticket: Ticket,
    batch: Batch,
    first: Lsn,
    outcome: Outcome,
}

/// A request that changes nothing.
struct Refused {
    ticket: Ticket,
    answer: Result<Outcome>,
    /// Whether the answer is true only if the group becomes durable.
    rests_on_group: bool,
}

/// Names and collections as they will be after the members before.
#[derive(Default)]
struct Overlay {
    names: BTreeMap<String, Option<CollectionId>>,
    gone: BTreeSet<CollectionId>,
    created: usize,
}

impl Store {
    /// Commits one group of the requests that wait, with one write and one sync; how many
    /// requests were answered. Their own errors go to their tickets.
    ///
    /// # Errors
    /// `Closed` after a close; `Latched` if a thread panicked inside the store.
    pub fn drive(&self) -> Result<usize> {
        let inner = &*self.inner;
        let mut on_disk = self.lock_on_disk()?;
        let answered = inner.drive(&mut on_disk)?;
        if answered > 0 && inner.log_is_long(&on_disk) && on_disk.rests == 0 {
            // The writes are acknowledged. A checkpoint that fails is tried again, but not behind
            // every write: a full disk would make each of them pay for it.
            on_disk.rests = match inner.checkpoint(&mut on_disk) {
                Ok(()) => 0,
                Err(error) => {
                    tracing::warn!(%error, "a checkpoint by log size failed");
                    GROUPS_BETWEEN_CHECKPOINTS
                }
            };
        }
        on_disk.rests = on_disk.rests.saturating_sub(1);
        Ok(answered)
    }
}

impl Inner {
    pub(super) fn tools(&self) -> Tools<'_> {
        Tools {
            disk: &self.disk,
            entropy: &*self.entropy,
            options: &self.options,
            codec: &self.codec,
        }
    }

    /// Commits one group; how many requests were answered.
    pub(super) fn drive(&self, on_disk: &mut OnDisk) -> Result<usize> {
        let group = self.queue.take_group(self.options.group_bytes_max)?;
        let answered = group.len();
        if answered == 0 {
            return Ok(0);
        }
        let ready = on_disk.check_latch().and_then(|()| self.leave_limbo(on_disk));
        let (members, refused) = match ready.and_then(|()| reading(&self.live)) {
            Ok(live) => plan(on_disk, &live, group),
            Err(error) => {
                group.iter().for_each(|waiting| waiting.ticket.answer(Err(error.duplicate())));
                return Ok(answered);
            }
        };
        let batches: Vec<&Batch> = members.iter().map(|member| &member.batch).collect();
        let durable = match batches.as_slice() {
            [] => Ok(()),
            batches => self.make_durable(on_disk, batches),
        };
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
        Ok(answered)
    }

    /// Makes void what may be left of a group that was told `Unknown`, before anything else is
    /// decided: no answer may rest on what a reopen could turn over.
    fn leave_limbo(&self, on_disk: &mut OnDisk) -> Result<()> {
        if on_disk.in_limbo {
            return move_tail(&self.tools(), on_disk, &[]);
        }
        Ok(())
    }

    /// Writes a group behind the last durable record; see the table at the top.
    fn make_durable(&self, on_disk: &mut OnDisk, batches: &[&Batch]) -> Result<()> {
        let (tools, durable) = (self.tools(), on_disk.log_end.lsn);
        let Some(log) = &mut on_disk.log else {
            return move_tail(&tools, on_disk, batches).map_err(|error| match error.kind() {
                ErrorKind::Latched => unknown(error),
                _ => error,
            });
        };
        let group = batches.iter().copied();
        let appended = log.prepare(group, durable.next(), durable, tools.codec)?;
        if let Err(error) = log.append().and_then(|()| log.sync()) {
            tracing::warn!(lsn = durable.0, %error, "a log file ends early");
            on_disk.log = None;
            on_disk.in_limbo = true;
            return move_tail(&tools, on_disk, batches).map_err(unknown);
        }
        let lsn = Lsn(durable.0 + records(batches));
        on_disk.log_end = LogEnd { lsn, offset: appended.end };
        on_disk.unproved = true;
        Ok(())
    }

    /// Applies a durable group and answers its members. What cannot be applied would be refused
    /// by a reopen as well: it is our bug, and the store takes no more writes.
    fn make_visible(&self, on_disk: &mut OnDisk, members: &[Member]) {
        if members.is_empty() {
            return;
        }
        let mut live = writing(&self.live);
        for member in members {
            let applied = match &mut live {
                Ok(live) => live.apply(member.first, &member.batch),
                Err(error) => Err(error.duplicate()),
            };
            member.ticket.answer(match (applied, member.outcome) {
                (Ok(hits), Outcome::Written { last_lsn, .. }) => {
                    Ok(Outcome::Written { last_lsn, hits })
                }
                (Ok(_), outcome) => Ok(outcome),
                (Err(error), _) => {
                    on_disk.latched.get_or_insert(error.to_string());
                    Err(unknown(error))
                }
            });
        }
    }
}

/// Gives LSNs to the requests of a group, in order.
fn plan(on_disk: &mut OnDisk, live: &LiveSet, group: Vec<Waiting>) -> (Vec<Member>, Vec<Refused>) {
    let mut next = on_disk.log_end.lsn.next();
    let mut overlay = Overlay::default();
    let (mut members, mut refused) = (Vec::with_capacity(group.len()), Vec::new());
    for Waiting { work, ticket } in group {
        let rests_on_group = overlay.decides(&work);
        let planned = match work {
            Work::Write(batch) => plan_write(live, &overlay, next, batch),
            Work::Create { name, descriptor } => {
                plan_create(on_disk, live, &mut overlay, next, name, &descriptor.encode())
            }
            Work::Drop { name } => plan_drop(live, &mut overlay, next, name),
        };
        let answer = match planned {
            Ok(Some((batch, outcome))) => {
                let first = next;
                next = Lsn(next.0 + u64::from(batch.records()));
                members.push(Member { ticket, batch, first, outcome });
                continue;
            }
            Ok(None) => Ok(Outcome::Dropped { existed: false, lsn: None }),
            Err(error) => Err(error),
        };
        refused.push(Refused { ticket, answer, rests_on_group });
    }
    (members, refused)
}

impl Overlay {
    /// Whether an earlier member of the group has a say in what becomes of this request.
    fn decides(&self, work: &Work) -> bool {
        match work {
            Work::Write(batch) => {
                batch.sections.iter().any(|section| self.gone.contains(&section.collection))
            }
            Work::Create { name, .. } | Work::Drop { name } => self.names.contains_key(name),
        }
    }
}

type Planned = Result<Option<(Batch, Outcome)>>;

fn plan_write(live: &LiveSet, overlay: &Overlay, next: Lsn, batch: Batch) -> Planned {
    for section in &batch.sections {
        live.collection(section.collection)?;
        if overlay.gone.contains(&section.collection) {
            let id = section.collection;
            return Err(Error::not_found(format!("collection {id} was dropped")));
        }
    }
    let last_lsn = Lsn(next.0 + u64::from(batch.records()) - 1);
    Ok(Some((batch, Outcome::Written { last_lsn, hits: 0 })))
}

fn plan_create(
    on_disk: &mut OnDisk,
    live: &LiveSet,
    overlay: &mut Overlay,
    lsn: Lsn,
    name: String,
    descriptor: &[u8],
) -> Planned {
    if overlay.names.get(&name).copied().unwrap_or_else(|| live.id(&name)).is_some() {
        return Err(Error::new(ErrorKind::AlreadyExists, format!("collection {name} exists")));
    }
    if live.collections.len() + overlay.created >= COLLECTIONS_MAX {
        let what = format!("a store holds at most {COLLECTIONS_MAX} collections");
        return Err(Error::too_large(what));
    }
    let id = on_disk.take_collection();
    let record = Record::CreateCollection { id, name: &name, descriptor };
    let batch = catalog_batch(&record);
    overlay.names.insert(name, Some(id));
    overlay.created += 1;
    Ok(Some((batch, Outcome::Created { id, lsn })))
}

fn plan_drop(live: &LiveSet, overlay: &mut Overlay, lsn: Lsn, name: String) -> Planned {
    let Some(id) = overlay.names.get(&name).copied().unwrap_or_else(|| live.id(&name)) else {
        return Ok(None);
    };
    let batch = catalog_batch(&Record::DropCollection { id });
    overlay.names.insert(name, None);
    overlay.gone.insert(id);
    Ok(Some((batch, Outcome::Dropped { existed: true, lsn: Some(lsn) })))
}

fn catalog_batch(record: &Record<'_>) -> Batch {
    let mut section = Section::new(CollectionId(0));
    section.push(record);
    Batch { sections: vec![section] }
}

fn unknown(error: Error) -> Error {
    error.reported_as(ErrorKind::Unknown, "the write may or may not survive a reopen")
}
