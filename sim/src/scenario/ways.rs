//! Crashes, and the ways in which one may go.

use std::collections::BTreeSet;

use super::{Stage, mounted};
use crate::disk::{DiskState, Policy, Recording};
use crate::stream::Stream;

/// How often a policy is drawn where any way will do.
const DRAWS: u64 = 12;

/// Names of ways, each with what it leaves.
type Ways = Vec<(String, DiskState)>;

impl Stage<'_> {
    /// The same scenario on another disk.
    pub(super) fn fork(&self, state: &DiskState) -> Self {
        Self {
            engine: self.engine,
            options: self.options.clone(),
            master: self.master.clone(),
            disk: mounted(state, self.disk.capacity_bytes()),
            store: None,
            held: Vec::new(),
            kept: self.kept.clone(),
            seen: self.seen.clone(),
            faults: Vec::new(),
            given: self.given.clone(),
            written: self.written,
            payload_bytes: self.payload_bytes,
            processes: self.processes,
            is_damaged: self.is_damaged,
        }
    }

    /// The ways in which it may go on behind a command; nothing if there is only one.
    pub(super) fn ways(&mut self, command: &str) -> Result<Option<Ways>, String> {
        let mut ways = Ways::new();
        if command == "lose any" {
            self.check_names()?;
            losses(&self.disk.state(), "", &mut ways);
        } else if let Some(command) = command.strip_prefix("crash any: ") {
            self.attempt(command)?;
            self.check_names()?;
            for (number, step) in self.disk.take_steps().iter().enumerate() {
                let place = format!("before call {number}, {}", step.call.kind.name());
                ways.push((format!("kill {place}"), step.before.kill()));
                losses(&step.before, &place, &mut ways);
            }
        } else {
            return Ok(None);
        }
        (self.store, _) = (None, self.held.clear());
        let mut known = BTreeSet::new();
        ways.retain(|(_, state)| known.insert(state.full_key()));
        Ok(Some(ways))
    }

    /// Carries out a command whose answer does not matter: nobody will have lived to hear it.
    fn attempt(&mut self, command: &str) -> Result<(), String> {
        self.disk.set_recording(Recording::Forks);
        let given = self.given.clone();
        match command.strip_prefix("together ") {
            Some(group) => drop(self.together(group)),
            None => {
                let words: Vec<&str> = command.split_whitespace().collect();
                drop(self.call(&words)?);
            }
        }
        self.given = given;
        Ok(())
    }

    /// Carries out a command and goes back to just before one of its calls.
    pub(super) fn interrupt(&mut self, crash: &str, command: &str) -> Result<(), String> {
        let (how, at) = crash.split_once(" before ").ok_or("expected `before CALL N`")?;
        let (call, number) = at.split_once(' ').ok_or("expected `before CALL N`")?;
        let number: usize = number.parse().map_err(|_| "expected a number of a call")?;
        self.attempt(command)?;
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
}

/// Every way to lose power now, as far as policies and a few draws go.
fn losses(state: &DiskState, place: &str, ways: &mut Ways) {
    for policy in Policy::ALL {
        for draw in 0..DRAWS {
            let image = state.plan_power_loss(policy, false, &mut Stream::at(draw, &[])).build();
            ways.push((format!("lose {} {place}, draw {draw}", policy.name()), image));
        }
    }
}

pub(super) fn lose(state: &DiskState, policy: &str) -> Result<DiskState, String> {
    let policy = Policy::ALL.into_iter().find(|known| known.name() == policy);
    let policy = policy.ok_or("no such policy")?;
    Ok(state.plan_power_loss(policy, false, &mut Stream::at(1, &[])).build())
}
