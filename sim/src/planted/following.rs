//! Wrong replication: what an observer is told, what a copy shows, what a follower does.
//!
//! These bugs stand where those of [`super::filters`] do, between the engine and who calls it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quiver_store::{Dtype, ErrorKind, Result, WalOp};

use super::Bug;
use super::filters::Misled;
use crate::system::{Call, Copied, Listener, Outcome, Request, Restored, RowChange, Told};

impl Bug {
    /// Whether it is about observers, copies, followers or index snapshots.
    pub(super) fn misreplicates(&self) -> bool {
        matches!(
            self,
            Self::ObserverCalledTwice
                | Self::ObserverCalledBeforeCommit
                | Self::ObserverCalledAfterFailure
                | Self::CatchUpOneTooLate
                | Self::CopyWithoutUnsealedRows
                | Self::BatchAppliedInParts
                | Self::FollowerNumbersCollections
                | Self::FollowerKeepsOldPayloads
                | Self::TailWithoutDeletions
        )
    }
}

impl Misled {
    /// Sets an observer, and tells it wrong.
    pub(super) fn observed(&self, after: Option<u64>, listener: Listener) -> Result<()> {
        let mut after = after;
        let told: Listener = match self.bug {
            Bug::ObserverCalledTwice => Arc::new(move |told: Told| {
                if told.lsn.is_multiple_of(4) {
                    listener(told.clone());
                }
                listener(told);
            }),
            Bug::ObserverCalledBeforeCommit | Bug::ObserverCalledAfterFailure => {
                *self.listener.borrow_mut() = Some(listener.clone());
                let foretold = self.foretold.clone();
                Arc::new(move |told: Told| {
                    let is_checkpoint = matches!(told.op, WalOp::Checkpoint { .. });
                    if is_checkpoint || told.lsn > foretold.load(Ordering::Relaxed) {
                        listener(told);
                    }
                })
            }
            _ => listener,
        };
        if self.bug == Bug::CatchUpOneTooLate {
            let last = self.view.last_lsn()?;
            after = after.map(|lsn| (lsn + 1).min(last.max(lsn)));
        }
        self.view.observe(after, told)
    }

    /// Carries out a request, and tells of it too early, or although it failed.
    pub(super) fn performed(&self, request: &Request, call: Call) -> Result<Outcome> {
        let early = self.bug == Bug::ObserverCalledBeforeCommit;
        if !early && self.bug != Bug::ObserverCalledAfterFailure {
            return self.view.perform(request, call);
        }
        let listener = self.listener.borrow().clone();
        let (Some(listener), Some(entries)) = (listener, self.entries_of(request)?) else {
            return self.view.perform(request, call);
        };
        if early {
            let last = entries.last().map_or(0, |told| told.lsn);
            entries.into_iter().for_each(&*listener);
            self.foretold.store(last, Ordering::Relaxed);
            return self.view.perform(request, call);
        }
        let outcome = self.view.perform(request, call);
        let is_failure = |error: &quiver_store::Error| {
            matches!(error.kind(), ErrorKind::Io | ErrorKind::Full | ErrorKind::Unknown)
        };
        if outcome.as_ref().is_err_and(is_failure) {
            entries.into_iter().for_each(&*listener);
        }
        outcome
    }

    /// What an observer will be told of a write, where the vectors are plain ones.
    fn entries_of(&self, request: &Request) -> Result<Option<Vec<Told>>> {
        let Request::Write(changes) = request else { return Ok(None) };
        let mut lsn = self.view.last_lsn()?;
        let last = lsn + changes.len() as u64;
        let mut entries = Vec::new();
        for RowChange { collection, id, row } in changes {
            let plain = self.view.descriptor(*collection).map(|schema| schema.dtype == Dtype::F32);
            if !plain.unwrap_or(false) {
                return Ok(None);
            }
            lsn += 1;
            let (collection_id, external_id) = (*collection, id.to_string());
            let op = match row {
                None => WalOp::Delete { collection_id, external_id },
                Some((vector, payload)) => WalOp::Upsert {
                    collection_id,
                    external_id,
                    vector: vector.iter().flat_map(|element| element.to_le_bytes()).collect(),
                    payload: payload.to_vec(),
                },
            };
            entries.push(Told { lsn, op, ends_batch: lsn == last });
        }
        Ok(Some(entries))
    }

    /// A copy, without what it forgets.
    pub(super) fn copy(&self) -> Result<Copied> {
        let Copied { lsn, ops } = self.view.copied()?;
        if self.bug != Bug::CopyWithoutUnsealedRows {
            return Ok(Copied { lsn, ops });
        }
        let unsealed = self.memory.borrow().unsealed.clone();
        let kept = move |op: &Result<WalOp>| match op {
            Ok(WalOp::Upsert { collection_id, external_id, .. }) => {
                !unsealed.contains(&(*collection_id, external_id.as_str().into()))
            }
            _ => true,
        };
        Ok(Copied { lsn, ops: Box::new(ops.filter(kept)) })
    }

    /// Does what another store did, wrong.
    pub(super) fn followed(&self, ops: Vec<WalOp>) -> Result<Option<u64>> {
        let mut ops = ops;
        match (&self.bug, &mut *ops) {
            (Bug::BatchAppliedInParts, _) => {
                let mut last = None;
                for op in ops {
                    last = self.view.follow(vec![op])?.or(last);
                }
                return Ok(last);
            }
            (
                Bug::FollowerNumbersCollections,
                [WalOp::CreateCollection { name, descriptor, .. }],
            ) if self.view.id_of(name)?.is_none() => {
                let (name, descriptor) = (name.as_str().into(), descriptor.clone());
                self.view.perform(&Request::Create { name, descriptor }, Call::Single)?;
                return self.view.last_lsn().map(Some);
            }
            (Bug::FollowerKeepsOldPayloads, ops) => {
                for op in ops {
                    if let WalOp::Upsert { collection_id, external_id, payload, .. } = op
                        && let Ok(Some(old)) = self.view.get_payload(*collection_id, external_id)
                    {
                        *payload = old;
                    }
                }
            }
            _ => {}
        }
        self.view.follow(ops)
    }

    /// An index snapshot, with a tail that is made from what is there.
    pub(super) fn restored(&self, restored: Option<Restored>) -> Option<Restored> {
        let mut restored = restored?;
        if self.bug == Bug::TailWithoutDeletions
            && let Some(tail) = &mut restored.tail
        {
            tail.retain(|(_, now)| now.is_some());
        }
        Some(restored)
    }
}
