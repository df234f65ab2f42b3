//! What an operation that was done elsewhere comes to on a follower: the model of following.
//!
//! **Place.** Shares no code with the engine. The channel's owner keeps such a follower too, which is
//! how what an observer is told is held against the leader's model.
//!
//! - A1. An operation comes to what it would if a caller asked for it, but for collection ids, which are
//!   the leader's.
//! - A2. What is so already comes to nothing: a creation of an id that was given here, a drop of what is
//!   gone, the name or the fields that are there. So does what concerns a collection that was dropped
//!   here. Rows are written again.

use std::collections::BTreeSet;
use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, Dtype, ErrorKind, WalOp};

use crate::model::{KnownId, State};
use crate::system::{Request, RowChange};

/// What a follower holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Stand {
    /// The collections and rows, at its own LSN.
    pub(super) state: Arc<State>,
    /// The highest collection id that was given here.
    pub(super) floor: u64,
}

/// What a batch of operations comes to.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// There is nothing to do.
    Nothing,
    /// It is refused, and nothing changes.
    Refused(ErrorKind),
    /// It leads to this.
    Leads(Stand),
}

impl Stand {
    /// What operations that commit together come to (A1).
    pub(super) fn behind(&self, ops: &[WalOp]) -> Effect {
        let mut changes = Vec::new();
        let mut others = 0;
        for op in ops {
            match op {
                WalOp::Checkpoint { .. } => {}
                WalOp::Upsert { collection_id, external_id, vector, payload } => {
                    let Some(descriptor) = self.descriptor(*collection_id) else {
                        if collection_id.value() > self.floor {
                            return Effect::Refused(ErrorKind::NotFound);
                        }
                        continue;
                    };
                    if !fits(vector, descriptor) {
                        return Effect::Refused(ErrorKind::InvalidArgument);
                    }
                    let row = (elements(vector, descriptor), Arc::from(payload.as_slice()));
                    let id = Arc::from(external_id.as_str());
                    changes.push(RowChange { collection: *collection_id, id, row: Some(row) });
                }
                WalOp::Delete { collection_id, external_id } => {
                    if collection_id.value() > self.floor {
                        return Effect::Refused(ErrorKind::NotFound);
                    }
                    if self.descriptor(*collection_id).is_some() {
                        let id = Arc::from(external_id.as_str());
                        changes.push(RowChange { collection: *collection_id, id, row: None });
                    }
                }
                other => {
                    others += 1;
                    if ops.len() == 1 {
                        return self.behind_one(other);
                    }
                }
            }
        }
        if others > 0 {
            return Effect::Refused(ErrorKind::InvalidArgument);
        }
        if changes.is_empty() { Effect::Nothing } else { self.with(&Request::Write(changes), 0) }
    }

    /// What an operation on a collection comes to (A2).
    fn behind_one(&self, op: &WalOp) -> Effect {
        match op {
            WalOp::CreateCollection { collection_id, name, descriptor } => {
                let id = collection_id.value();
                if id <= self.floor {
                    return match self.descriptor(*collection_id) {
                        Some(own) if !extends(own, descriptor) => {
                            Effect::Refused(ErrorKind::AlreadyExists)
                        }
                        _ => Effect::Nothing,
                    };
                }
                let name = Arc::from(name.as_str());
                self.with(&Request::Create { name, descriptor: descriptor.clone() }, id)
            }
            WalOp::DropCollection { collection_id } => {
                self.named(*collection_id, |name| Some(Request::Drop { name }))
            }
            WalOp::RenameCollection { collection_id, name: new } => {
                self.named(*collection_id, |name| {
                    let new_name = Arc::from(new.as_str());
                    (*name != **new).then_some(Request::Rename { name, new_name })
                })
            }
            WalOp::AlterCollection { collection_id, descriptor } => {
                self.altered(*collection_id, descriptor)
            }
            _ => Effect::Refused(ErrorKind::InvalidArgument),
        }
    }

    fn named(&self, id: CollectionId, request: impl FnOnce(Arc<str>) -> Option<Request>) -> Effect {
        match self.state.collection(id) {
            None if id.value() > self.floor => Effect::Refused(ErrorKind::NotFound),
            None => Effect::Nothing,
            Some((name, _)) => {
                request(name.clone()).map_or(Effect::Nothing, |request| self.with(&request, 0))
            }
        }
    }

    fn altered(&self, id: CollectionId, descriptor: &Descriptor) -> Effect {
        let Some((name, collection)) = self.state.collection(id) else {
            return self.named(id, |_| None);
        };
        let own = &collection.descriptor;
        if extends(own, descriptor) {
            return Effect::Nothing;
        }
        if !extends(descriptor, own) {
            return Effect::Refused(ErrorKind::InvalidArgument);
        }
        let mut state = State::clone(&self.state);
        for field in descriptor.filterable.iter().filter(|field| !own.filterable.contains(field)) {
            let (name, field) = (name.clone(), field.clone());
            state.apply(&Request::AddField { name, field }, KnownId::Above(0));
        }
        state.lsn = self.state.lsn + 1;
        Effect::Leads(Self { state: Arc::new(state), floor: self.floor })
    }

    /// What a request comes to; `id` is a creation's.
    fn with(&self, request: &Request, id: u64) -> Effect {
        use crate::model::Verdict::{Refused, Unchanged};
        match self.state.verdict(request) {
            Refused(kind) => return Effect::Refused(kind),
            Unchanged => return Effect::Nothing,
            _ => {}
        }
        let mut state = State::clone(&self.state);
        state.apply(request, KnownId::Is(id));
        Effect::Leads(Self { state: Arc::new(state), floor: self.floor.max(id) })
    }

    pub(super) fn descriptor(&self, id: CollectionId) -> Option<&Descriptor> {
        self.state.collection(id).map(|(_, collection)| &collection.descriptor)
    }
}

/// Whether a schema is another one, with more fields or as many.
fn extends(descriptor: &Descriptor, of: &Descriptor) -> bool {
    let paths = |of: &Descriptor| -> BTreeSet<String> {
        of.filterable.iter().map(|field| format!("{field:?}")).collect()
    };
    let bare = |of: &Descriptor| of.clone().with_filterable(Vec::new());
    bare(descriptor) == bare(of) && paths(descriptor).is_superset(&paths(of))
}

/// Bytes of one stored vector.
pub(super) fn vector_bytes(descriptor: &Descriptor) -> usize {
    let dim = descriptor.dim as usize;
    match descriptor.dtype {
        Dtype::F16 | Dtype::Bf16 => 2 * dim,
        Dtype::I8 | Dtype::U8 => dim,
        Dtype::Binary => dim.div_ceil(8),
        _ => 4 * dim,
    }
}

/// Whether stored bytes are a vector of a schema, or several where a row may have those.
fn fits(stored: &[u8], descriptor: &Descriptor) -> bool {
    let one = vector_bytes(descriptor);
    let is_whole = !stored.is_empty() && stored.len().is_multiple_of(one);
    is_whole && (descriptor.multivector || stored.len() == one)
}

/// The elements of stored vectors.
fn elements(stored: &[u8], descriptor: &Descriptor) -> Arc<[f32]> {
    let pairs = || stored.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    match descriptor.dtype {
        Dtype::F16 => pairs().map(half).collect(),
        Dtype::Bf16 => pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
        Dtype::I8 => stored.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
        Dtype::U8 => stored.iter().map(|byte| f32::from(*byte)).collect(),
        Dtype::Binary => {
            let dim = descriptor.dim as usize;
            let bit = |vector: &[u8], i: usize| f32::from(vector[i / 8] >> (i % 8) & 1);
            let vectors = stored.chunks_exact(dim.div_ceil(8));
            vectors.flat_map(|vector| (0..dim).map(move |i| bit(vector, i))).collect()
        }
        _ => {
            let (words, _) = stored.as_chunks::<4>();
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        }
    }
}

/// The value of half-precision bits.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        0x1f if bits & 0x3ff != 0 => f32::NAN,
        0x1f => f32::INFINITY,
        _ => (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}
