//! The toy's stored form of requests and states.

use quiver_store::{CollectionId, Descriptor, DistanceMetric, Dtype};

use super::{Bug, Collection, State};
use crate::digest::Digest;
use crate::system::{Request, RowChange};

const MAGIC: u64 = 0x546f_7946_7261_6d65;

pub(super) fn put(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}

fn put_row(bytes: &mut Vec<u8>, vector: &[f32], payload: &[u8]) {
    put(bytes, vector.len() as u64);
    vector.iter().for_each(|element| put(bytes, u64::from(element.to_bits())));
    put_bytes(bytes, payload);
}

/// The metric of a schema that says something else beside it.
const STORED: u64 = 3;

fn put_descriptor(bytes: &mut Vec<u8>, descriptor: &Descriptor) {
    let Descriptor { dim, metric, .. } = *descriptor;
    put(bytes, u64::from(dim));
    if *descriptor != Descriptor::new(dim, Dtype::F32, metric) {
        put(bytes, STORED);
        return put_bytes(bytes, &descriptor.encode());
    }
    put(
        bytes,
        match metric {
            DistanceMetric::Dot => 0,
            DistanceMetric::Cosine => 1,
            _ => 2,
        },
    );
}

/// Magic, length, checksum, content.
pub(super) fn framed(bytes: &mut Vec<u8>, content: &[u8]) {
    put(bytes, MAGIC);
    put_bytes(bytes, content);
    let digest = Digest::new(9).bytes(content).finish();
    bytes.extend_from_slice(&digest.to_le_bytes());
}

pub(super) fn of_request(request: &Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    match request {
        Request::Write(changes) => {
            put(&mut bytes, 1);
            put(&mut bytes, changes.len() as u64);
            for change in changes {
                put(&mut bytes, change.collection.value());
                put_bytes(&mut bytes, change.id.as_bytes());
                put(&mut bytes, u64::from(change.row.is_some()));
                if let Some((vector, payload)) = &change.row {
                    put_row(&mut bytes, vector, payload);
                }
            }
        }
        Request::Create { name, descriptor } => {
            put(&mut bytes, 2);
            put_bytes(&mut bytes, name.as_bytes());
            put_descriptor(&mut bytes, descriptor);
        }
        Request::Drop { name } | Request::Shred { name } => {
            put(&mut bytes, 3);
            put_bytes(&mut bytes, name.as_bytes());
        }
        Request::Put(change) => {
            put(&mut bytes, 4);
            put(&mut bytes, change.collection.value());
            put_bytes(&mut bytes, change.id.as_bytes());
            let (vector, payload) = change.row.as_ref().expect("what is put is a row");
            put_row(&mut bytes, vector, payload);
        }
        Request::Update { collection, id, payload } => {
            put(&mut bytes, 5);
            put(&mut bytes, collection.value());
            put_bytes(&mut bytes, id.as_bytes());
            put_bytes(&mut bytes, payload);
        }
        Request::Rename { name, new_name } => {
            put(&mut bytes, 6);
            put_bytes(&mut bytes, name.as_bytes());
            put_bytes(&mut bytes, new_name.as_bytes());
        }
        Request::AddField { name, field } => {
            put(&mut bytes, 7);
            put_bytes(&mut bytes, name.as_bytes());
            // A field stands in a schema: the shortest way to write one.
            let schema = Descriptor::new(1, Dtype::F32, DistanceMetric::L2);
            put_descriptor(&mut bytes, &schema.with_filterable([field.clone()]));
        }
    }
    bytes
}

pub(super) fn of_state(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, state.lsn);
    put(&mut bytes, state.last_id);
    put(&mut bytes, state.collections.len() as u64);
    for (name, collection) in &state.collections {
        put_bytes(&mut bytes, name.as_bytes());
        put(&mut bytes, collection.id);
        put_descriptor(&mut bytes, &collection.descriptor);
        put(&mut bytes, collection.rows.len() as u64);
        for (id, (vector, payload)) in &collection.rows {
            put_bytes(&mut bytes, id.as_bytes());
            put_row(&mut bytes, vector, payload);
        }
    }
    bytes
}

/// What is left to read.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (part, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(part)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn row(&mut self) -> Option<(Vec<f32>, Vec<u8>)> {
        let dim = self.number()?;
        let mut vector = Vec::new();
        for _ in 0..dim {
            vector.push(f32::from_bits(u32::try_from(self.number()?).ok()?));
        }
        Some((vector, self.bytes()?.to_vec()))
    }

    fn descriptor(&mut self) -> Option<Descriptor> {
        let dim = u32::try_from(self.number()?).ok()?;
        let metric = match self.number()? {
            0 => DistanceMetric::Dot,
            1 => DistanceMetric::Cosine,
            STORED => return Descriptor::decode(self.bytes()?).ok(),
            _ => DistanceMetric::L2,
        };
        Some(Descriptor::new(dim, Dtype::F32, metric))
    }

    /// The content of the next frame, if it is intact.
    pub(super) fn frame(&mut self, bug: Bug) -> Option<&'a [u8]> {
        let before = self.0;
        let content = self.checked(bug);
        if content.is_none() {
            self.0 = before;
        }
        content
    }

    fn checked(&mut self, bug: Bug) -> Option<&'a [u8]> {
        if self.number()? != MAGIC {
            return None;
        }
        let content = self.bytes()?;
        let (digest, rest) = self.0.split_first_chunk::<16>()?;
        self.0 = rest;
        let right = Digest::new(9).bytes(content).finish() == u128::from_le_bytes(*digest);
        (right || bug == Bug::BelievesTornFrames).then_some(content)
    }

    pub(super) fn request(&mut self, bug: Bug) -> Option<Request> {
        Some(match self.number()? {
            1 => {
                let mut changes = Vec::new();
                for _ in 0..self.number()? {
                    let collection = CollectionId(self.number()?);
                    let id = self.text()?.into();
                    let row = if self.number()? == 1 { Some(self.row()?) } else { None };
                    let row = row.map(|(vector, payload)| (vector.into(), payload.into()));
                    let forgotten = bug == Bug::ForgetsDeletes && row.is_none();
                    let id = if forgotten { "nobody".into() } else { id };
                    changes.push(RowChange { collection, id, row });
                }
                Request::Write(changes)
            }
            2 => {
                let name = self.text()?.into();
                Request::Create { name, descriptor: self.descriptor()? }
            }
            3 => Request::Drop { name: self.text()?.into() },
            4 => {
                let (collection, id) = (CollectionId(self.number()?), self.text()?.into());
                let (vector, payload) = self.row()?;
                let row = Some((vector.into(), payload.into()));
                Request::Put(RowChange { collection, id, row })
            }
            5 => Request::Update {
                collection: CollectionId(self.number()?),
                id: self.text()?.into(),
                payload: self.bytes()?.into(),
            },
            6 => Request::Rename { name: self.text()?.into(), new_name: self.text()?.into() },
            7 => {
                let name = self.text()?.into();
                Request::AddField { name, field: self.descriptor()?.filterable.pop()? }
            }
            _ => return None,
        })
    }

    pub(super) fn state(&mut self) -> Option<State> {
        let mut state = State { lsn: self.number()?, last_id: self.number()?, ..State::default() };
        for _ in 0..self.number()? {
            let name = self.text()?.to_string();
            let (id, descriptor) = (self.number()?, self.descriptor()?);
            let mut collection = Collection { id, descriptor, rows: Default::default() };
            for _ in 0..self.number()? {
                let id = self.text()?.to_string();
                collection.rows.insert(id, self.row()?);
            }
            state.collections.insert(name, collection);
        }
        Some(state)
    }
}
