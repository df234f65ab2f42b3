//! A scenario: a few commands in a text file that show one crash, one fault, one expectation.
//!
//! **Place.** Each bug that was found leaves one in `corpus/sim/`, with a test of its own. It names
//! calls and faults, not seeds, so that it means the same when the generator has changed.
//!
//! One command a line; `#` starts a comment. A command that changes something may end in
//! `-> KIND`, the error that it must answer; otherwise it must succeed.
//!
//! | command | meaning |
//! |---|---|
//! | `open`, `close`, `checkpoint`, `maintain` | the call |
//! | `create NAME`, `drop NAME`, `drop-missing NAME` | a collection of dimension 2; the last answers false |
//! | `put NAME ID`, `delete NAME ID` | one row, with a new payload each time |
//! | `together CALL, CALL... -> ANSWER ANSWER...` | `create`, `drop` and `put` as one group; an answer is `Ok`, `Missing` for a drop that found nothing, or a kind |
//! | `fault NAME CALL` | a fault at a call of its class, counted from zero from here on |
//! | `mend` | no faults any more |
//! | `kill` | the process dies, the page cache stays |
//! | `lose POLICY` | power is lost, and what is pending survives by the policy |
//! | `kill before CALL N: COMMAND`, `lose POLICY before CALL N: COMMAND` | the same, just before the command's Nth call of that name, from zero |
//! | `see` | remembers what the store shows |
//! | `same` | the store shows what was remembered |
//! | `rows NAME ID...` | exactly these rows; `gone NAME`: no such collection |
//!
//! - N1. At each stop of the machine, no name of a removed file was created again (I14).

use std::collections::BTreeMap;
use std::sync::Arc;

use quiver_store::{
    Descriptor, DistanceMetric, Dtype, Env, Options, Outcome, Request, Store, WriteBatch,
};

use crate::disk::{
    DiskState, Fault, FaultPlan, PlannedFault, Policy, Recording, SimClock, SimDisk, SimEntropy,
};
use crate::stream::Stream;

/// What a store shows: payloads by collection and id.
type Shown = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// A scenario under way.
struct Stage {
    disk: SimDisk,
    store: Option<Store>,
    seen: Option<Shown>,
    faults: Vec<PlannedFault>,
    written: u32,
    processes: u64,
}

/// Plays a scenario.
///
/// # Errors
/// The line that did not go as it says, and why.
pub fn play(text: &str) -> Result<(), String> {
    let mut stage = Stage {
        disk: SimDisk::new(),
        store: None,
        seen: None,
        faults: Vec::new(),
        written: 0,
        processes: 0,
    };
    for (line, number) in text.lines().zip(1..) {
        let command = line.split('#').next().unwrap_or_default().trim();
        if !command.is_empty() {
            stage.play(command).map_err(|why| format!("line {number}, `{command}`: {why}"))?;
        }
    }
    Ok(())
}

impl Stage {
    fn play(&mut self, command: &str) -> Result<(), String> {
        if let Some((crash, command)) = command.split_once(": ") {
            return self.interrupt(crash, command);
        }
        if let Some(group) = command.strip_prefix("together ") {
            return self.together(group);
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["kill"] => self.restart(|state| Ok(state.kill())),
            ["lose", policy] => self.restart(|state| lose(state, policy)),
            ["fault", name, call] => self.plan(name, call),
            ["mend"] => {
                self.faults.clear();
                self.disk.set_faults(FaultPlan::default());
                Ok(())
            }
            ["see"] => {
                self.seen = Some(self.shown()?);
                Ok(())
            }
            ["same"] => {
                let (shown, seen) = (self.shown()?, self.seen.as_ref());
                let equal = seen == Some(&shown);
                equal.then_some(()).ok_or_else(|| format!("shows {shown:?}, was {seen:?}"))
            }
            ["rows", name, ids @ ..] => {
                let shown = self.shown()?;
                let found: Vec<&String> =
                    shown.get(*name).ok_or("no such collection")?.keys().collect();
                (found == *ids).then_some(()).ok_or_else(|| format!("has {found:?}"))
            }
            ["gone", name] => {
                let there = self.shown()?.contains_key(*name);
                (!there).then_some(()).ok_or_else(|| "is there".to_owned())
            }
            [call @ .., "->", kind] => match self.call(call)? {
                Err(found) if format!("{:?}", found.kind()) == *kind => Ok(()),
                other => Err(format!("answered {other:?}")),
            },
            call => self.call(call)?.map_err(|error| format!("answered {error:?}")),
        }
    }

    /// Makes a call on the store; the outer error is one of the scenario's.
    fn call(&mut self, words: &[&str]) -> Result<quiver_store::Result<()>, String> {
        if words == ["open"] {
            self.processes += 1;
            let env = Env {
                dir: "/store".into(),
                vfs: Arc::new(self.disk.clone()),
                clock: Arc::new(SimClock::new(1)),
                entropy: Arc::new(SimEntropy::with_faults_of(self.processes, &self.disk)),
            };
            let options = Options { log_step_bytes_min: 4096, ..Options::default() };
            return match Store::open_with(env, options) {
                Ok(store) => {
                    self.store = Some(store);
                    Ok(Ok(()))
                }
                Err(error) => Ok(Err(error)),
            };
        }
        let store = self.store.as_ref().ok_or("the store is not open")?;
        let id = |name: &str| {
            let found = store.collection_id(name).map_err(|error| error.to_string())?;
            found.ok_or_else(|| format!("no collection {name}"))
        };
        let done = match words {
            ["close"] => store.close(),
            ["checkpoint"] => store.checkpoint(),
            ["maintain"] => store.maintain().map(drop),
            ["create", name] => store.create_collection(name, schema()).map(drop),
            ["drop", name] => match store.drop_collection(name) {
                Ok(false) => return Err("answered that it was not there".to_owned()),
                other => other.map(drop),
            },
            ["drop-missing", name] => match store.drop_collection(name) {
                Ok(true) => return Err("answered that it was there".to_owned()),
                other => other.map(drop),
            },
            ["put", name, row] => {
                self.written += 1;
                let payload = self.written.to_le_bytes();
                store.upsert(id(name)?, row, &[1.0, 2.0], &payload).map(drop)
            }
            ["delete", name, row] => {
                let mut batch = WriteBatch::new();
                batch.delete(id(name)?, row);
                store.write(batch).map(drop)
            }
            _ => return Err("no such command".to_owned()),
        };
        Ok(done)
    }

    /// Submits several requests, drives once, and compares the answers.
    fn together(&mut self, group: &str) -> Result<(), String> {
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

    /// Carries out a command and goes back to just before one of its calls.
    fn interrupt(&mut self, crash: &str, command: &str) -> Result<(), String> {
        let (how, at) = crash.split_once(" before ").ok_or("expected `before CALL N`")?;
        let (call, number) = at.split_once(' ').ok_or("expected `before CALL N`")?;
        let number: usize = number.parse().map_err(|_| "expected a number of a call")?;
        self.disk.set_recording(Recording::Forks);
        let words: Vec<&str> = command.split_whitespace().collect();
        // What it answers does not matter: nobody lived to hear it.
        let _ = self.call(&words)?;
        let steps = self.disk.take_steps();
        let mut of_kind = steps.iter().filter(|step| step.call.kind.name() == call);
        let step = of_kind.nth(number).ok_or_else(|| format!("makes fewer calls of {call}"))?;
        let before = step.before.clone();
        self.restart(|_| match how.split_once(' ') {
            None if how == "kill" => Ok(before.kill()),
            Some(("lose", policy)) => lose(&before, policy),
            _ => Err("expected `kill` or `lose POLICY`".to_owned()),
        })
    }

    fn restart(
        &mut self,
        image: impl FnOnce(&DiskState) -> Result<DiskState, String>,
    ) -> Result<(), String> {
        let reused = self.disk.reused_names();
        if !reused.is_empty() {
            return Err(format!("names of removed files were used again: {reused:?}"));
        }
        self.store = None;
        let image = image(&self.disk.state())?;
        self.disk = SimDisk::mount(&image);
        self.faults.clear();
        Ok(())
    }

    fn plan(&mut self, name: &str, call: &str) -> Result<(), String> {
        let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
        let fault = fault.ok_or("no such fault")?;
        let call_index = call.parse().map_err(|_| "expected a number of a call")?;
        self.faults.push(PlannedFault { call_index, fault });
        self.disk.set_faults(FaultPlan { faults: self.faults.clone(), seed: 1 });
        Ok(())
    }

    fn shown(&self) -> Result<Shown, String> {
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
}

fn schema() -> Descriptor {
    Descriptor::new(2, Dtype::F32, DistanceMetric::L2)
}

fn lose(state: &DiskState, policy: &str) -> Result<DiskState, String> {
    let policy = Policy::ALL.into_iter().find(|known| known.name() == policy);
    let policy = policy.ok_or("no such policy")?;
    Ok(state.plan_power_loss(policy, false, &mut Stream::at(1, &[])).build())
}
