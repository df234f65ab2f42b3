//! Calls on the store, and what it shows.

use std::ops::ControlFlow;
use std::sync::Arc;

use quiver_store::{
    CollectionId, Descriptor, DistanceMetric, Dtype, Env, EnvelopeKeyRing, Outcome, Request, Store,
    WriteBatch,
};

use super::{Shown, Stage, are_rows};
use crate::disk::{SimClock, SimEntropy};
use crate::vault;

/// Steps of background work after which it counts as endless.
const STEPS_MAX: usize = 10_000;

type Called = Result<quiver_store::Result<()>, String>;

impl Stage<'_> {
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value: u64 = value.parse().map_err(|_| "expected a number")?;
        match name {
            "step-bytes" => self.options.step_bytes = value,
            "log-size-bytes" => self.options.log_size_bytes_max = value,
            "reserve-bytes" => self.options.reserve_bytes = value,
            "log-step-bytes" => self.options.log_step_bytes_min = value,
            "merge-factor" => {
                self.options.merge_factor = usize::try_from(value).map_err(|_| "too large")?;
            }
            "payload-bytes" => {
                self.payload_bytes = usize::try_from(value).map_err(|_| "too large")?.max(4);
            }
            _ => return Err("no such option".to_owned()),
        }
        Ok(())
    }

    fn open(&mut self) -> quiver_store::Result<Store> {
        self.processes += 1;
        let env = Env::new(
            "/store",
            Arc::new(self.disk.clone()),
            Arc::new(SimClock::new(1)),
            Arc::new(SimEntropy::with_faults_of(self.processes, &self.disk)),
        );
        let env = match &self.master {
            Some(master) => env.with_keyring(Arc::new(EnvelopeKeyRing::new(master.clone()))),
            None => env,
        };
        Store::open_with(self.engine.beneath(env), self.options.clone())
    }

    /// The collections whose keys the disk yields to who has the master key.
    pub(super) fn keys(&self) -> Option<Vec<CollectionId>> {
        let opened = vault::opened_with(&self.disk.state(), self.master.as_ref()?);
        Some(opened.data.into_iter().map(|(_, id, _)| id).collect())
    }

    /// Makes a call on the store; the outer error is one of the scenario's.
    pub(super) fn call(&mut self, words: &[&str]) -> Called {
        match words {
            ["open"] => {
                return Ok(self.open().map(|store| self.store = Some(store)));
            }
            ["open-again"] => return Ok(self.open().map(drop)),
            ["put", ..] | ["batch", ..] | ["fill", ..] => self.written += 1,
            _ => {}
        }
        let store = self.store.as_ref().ok_or("the store is not open")?;
        match words {
            ["close"] => Ok(store.close()),
            ["checkpoint"] => Ok(store.checkpoint()),
            ["compact"] => Ok(store.compact()),
            ["maintain"] => Ok(store.maintain().map(drop)),
            ["step"] => match store.maintain() {
                Ok(false) => Err("there was nothing to do".to_owned()),
                other => Ok(other.map(drop)),
            },
            ["rest"] => rest(store),
            ["hold"] => Ok(store.snapshot().map(|snapshot| self.held.push(snapshot))),
            ["let-go"] => {
                self.held.pop().ok_or("nothing is held")?;
                Ok(Ok(()))
            }
            ["create", name] => self.create(name),
            ["scan", name] => {
                let id = store.collection_id(name).ok().flatten().ok_or("no collection")?;
                Ok(store.scan(id).and_then(|mut rows| rows.try_for_each(|row| row.map(drop))))
            }
            // No collection has the last id of all.
            ["many", name, ids @ ..] => Ok(store
                .collection_id(name)
                .and_then(|id| store.get_many(id.unwrap_or(CollectionId(u64::MAX)), ids))
                .map(drop)),
            _ => {
                let mut payload = self.written.to_le_bytes().to_vec();
                payload.resize(self.payload_bytes, b'.');
                write(store, words, &payload)
            }
        }
    }

    fn create(&mut self, name: &str) -> Called {
        let store = self.store.as_ref().ok_or("the store is not open")?;
        let id = match store.create_collection(name, schema()) {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        if !self.given.insert(id) {
            return Err(format!("collection id {id} is given again"));
        }
        Ok(Ok(()))
    }

    /// Submits several requests, drives once, and compares the answers.
    pub(super) fn together(&mut self, group: &str) -> Result<(), String> {
        let store = self.store.as_ref().ok_or("the store is not open")?;
        let (calls, expected) = group.split_once(" -> ").ok_or("expected `-> ANSWER...`")?;
        let mut tickets = Vec::new();
        for call in calls.split(", ") {
            let request = match call.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["create", name] => {
                    Request::CreateCollection { name: (*name).to_owned(), descriptor: schema() }
                }
                ["drop", name] => Request::DropCollection { name: (*name).to_owned() },
                ["put", name, row] => {
                    let id = store.collection_id(name).ok().flatten().ok_or("no collection")?;
                    let mut batch = WriteBatch::new();
                    batch.upsert(id, row, &[1.0, 2.0], b"");
                    batch.into()
                }
                _ => return Err(format!("`{call}` cannot be part of a group")),
            };
            tickets.push(store.submit(request).map_err(|error| error.to_string())?);
        }
        store.drive().map_err(|error| error.to_string())?;
        let answers = tickets.iter().map(|ticket| match ticket.poll() {
            None => "Waiting".to_owned(),
            Some(Ok(Outcome::Dropped { existed: false, .. })) => "Missing".to_owned(),
            Some(Ok(_)) => "Ok".to_owned(),
            Some(Err(error)) => format!("{:?}", error.kind()),
        });
        let found = answers.collect::<Vec<_>>().join(" ");
        (found == expected).then_some(()).ok_or_else(|| format!("answered {found}"))
    }

    /// Compacts, and carries out commands beside it once it has chosen what to merge first.
    pub(super) fn compact_beside(&mut self, commands: &str) -> Result<(), String> {
        let store = self.store.clone().ok_or("the store is not open")?;
        let mut beside = None;
        let compacted = store.compact_with(|_| {
            beside.get_or_insert_with(|| {
                commands.split(", ").try_for_each(|command| {
                    self.play(command).map_err(|why| format!("`{command}` {why}"))
                })
            });
            ControlFlow::Continue(())
        });
        beside.ok_or("there was nothing to merge")??;
        compacted.map_err(|error| format!("answered {error:?}"))
    }

    pub(super) fn shown(&self) -> Result<Shown, String> {
        let store = self.store.as_ref().ok_or("the store is not open")?;
        let read = || {
            let mut shown = Shown::new();
            for name in store.collection_names()? {
                let id = store.collection_id(&name)?.expect("it was just named");
                let rows = store.scan(id)?.map(|row| row.map(|(id, row)| (id, row.payload)));
                shown.insert(name, rows.collect::<quiver_store::Result<_>>()?);
            }
            Ok(shown)
        };
        read().map_err(|error: quiver_store::Error| error.to_string())
    }

    /// Compares the rows of the last snapshot that is held.
    pub(super) fn held_shows(&self, name: &str, said: &[&str]) -> Result<(), String> {
        let snapshot = self.held.last().ok_or("nothing is held")?;
        let id = snapshot.collection_id(name).map_err(|error| error.to_string())?;
        let id = id.ok_or("no such collection")?;
        let read = || snapshot.scan(id)?.map(|row| row.map(|(id, _)| id)).collect::<Result<_, _>>();
        let ids: Vec<String> = read().map_err(|error: quiver_store::Error| error.to_string())?;
        are_rows(ids.iter(), said)
    }
}

/// Does background work to its end.
fn rest(store: &Store) -> Called {
    for _ in 0..STEPS_MAX {
        match store.maintain() {
            Ok(true) => {}
            other => return Ok(other.map(drop)),
        }
    }
    Err("background work does not end".to_owned())
}

fn write(store: &Store, words: &[&str], payload: &[u8]) -> Called {
    let id = |name: &str| {
        let found = store.collection_id(name).map_err(|error| error.to_string())?;
        found.ok_or_else(|| format!("no collection {name}"))
    };
    let mut batch = WriteBatch::new();
    match words {
        ["drop", name] => match store.drop_collection(name) {
            Ok(false) => return Err("answered that it was not there".to_owned()),
            other => return Ok(other.map(drop)),
        },
        ["drop-missing", name] => match store.drop_collection(name) {
            Ok(true) => return Err("answered that it was there".to_owned()),
            other => return Ok(other.map(drop)),
        },
        ["shred", name] => match store.shred_collection(name) {
            Ok(false) => return Err("answered that there was nothing of it".to_owned()),
            other => return Ok(other.map(drop)),
        },
        ["shred-missing", name] => match store.shred_collection(name) {
            Ok(true) => return Err("answered that there was something of it".to_owned()),
            other => return Ok(other.map(drop)),
        },
        ["put", name, row] => {
            batch.upsert(id(name)?, row, &[1.0, 2.0], payload);
        }
        ["batch", rows @ ..] => {
            for row in rows {
                let (name, row) = row.split_once('/').ok_or("expected NAME/ID")?;
                batch.upsert(id(name)?, row, &[1.0, 2.0], payload);
            }
        }
        ["delete", name, row] => {
            batch.delete(id(name)?, row);
        }
        ["fill", name, count] => {
            let count: u32 = count.parse().map_err(|_| "expected a number of rows")?;
            for row in 0..count {
                batch.upsert(id(name)?, &format!("{row:06}"), &[1.0, 2.0], payload);
            }
        }
        ["clear", name] => {
            let id = id(name)?;
            let rows = store.scan(id).and_then(|rows| rows.collect::<quiver_store::Result<_>>());
            let rows: Vec<(String, _)> = rows.map_err(|error| error.to_string())?;
            for (row, _) in &rows {
                batch.delete(id, row);
            }
        }
        _ => return Err("no such command".to_owned()),
    }
    Ok(store.write(batch).map(drop))
}

fn schema() -> Descriptor {
    Descriptor::new(2, Dtype::F32, DistanceMetric::L2)
}
