//! The tasks of a run: clients, who drives, background work, a disk that is full for a while, the end.
//!
//! **Place.** Futures of the simulated runtime on one node, which is killed with their process. They reach
//! the store through the hall alone, and know of it what they are told there.

use std::time::Duration;

use madsim::time::sleep;

use super::hall::{Hall, Handle, Reply, Want};
use super::plan::{Habits, Kind, Stop};
use crate::history::clients::Draws;
use crate::history::{Action, Member, Source};
use crate::stream::Stream;
use crate::system::Ticket;

/// Tasks besides the clients, counted from behind the last of these.
pub(super) const DRIVER: usize = 0;
pub(super) const UPKEEP: usize = 1;
pub(super) const SEALER: usize = 2;
pub(super) const FILLER: usize = 3;
pub(super) const ENDER: usize = 4;

/// Waits for up to so long in virtual time.
async fn pause(stream: &mut Stream, ms_max: u64) {
    sleep(Duration::from_millis(stream.between(1, ms_max.max(1)))).await;
}

/// A client.
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) hall: Hall,
    pub(super) draws: Draws,
    pub(super) habits: Habits,
}

impl Client {
    /// Goes on until its process ends.
    pub(super) async fn run(mut self) {
        let mut in_flight: Vec<Ticket> = Vec::new();
        loop {
            pause(self.draws.stream(), self.habits.pause_ms_max).await;
            let member = match self.habits.kind(self.draws.stream()) {
                Kind::Upsert => self.draws.upsert(),
                Kind::Delete => self.draws.deletion(),
                Kind::Batch => self.draws.batch(),
                Kind::Put => self.draws.put(),
                Kind::Update => self.draws.update(),
                Kind::Collections => self.draws.change_of_collections(),
                Kind::Get => {
                    let (slot, id) = self.draws.get();
                    self.ask(Want::Call(Action::Get(slot, id))).await;
                    continue;
                }
                Kind::Read => {
                    let read = self.draws.read(Source::Store);
                    self.ask(Want::Call(read)).await;
                    continue;
                }
                Kind::Snapshot => {
                    self.look_at_snapshot().await;
                    continue;
                }
                Kind::Scan => {
                    self.scan(None).await;
                    continue;
                }
            };
            in_flight.retain(|ticket| !self.hall.is_answered(*ticket));
            if let Some(ticket) = self.request(member).await {
                in_flight.push(ticket);
            }
            if in_flight.len() >= self.habits.in_flight_max {
                self.hall.answer(in_flight.remove(0)).await;
            }
        }
    }

    async fn ask(&self, want: Want) -> Reply {
        self.hall.ask(self.number, want).await
    }

    /// One request; its ticket, where others are to drive it.
    async fn request(&mut self, member: Member) -> Option<Ticket> {
        let leaves = self.draws.stream().chance(self.habits.leaves_of_eight, 8);
        if !leaves && self.draws.stream().chance(1, 2) {
            self.ask(Want::Perform(member)).await;
            return None;
        }
        let Reply::Waits(ticket) = self.ask(Want::Submit(member)).await else { return None };
        if leaves {
            return Some(ticket);
        }
        pause(self.draws.stream(), 3).await;
        while !self.hall.is_answered(ticket) {
            self.ask(Want::Drive).await;
        }
        None
    }

    /// A snapshot that is held for a while: read as a whole, by some read, by an iterator.
    async fn look_at_snapshot(&mut self) {
        let Reply::Holds(handle) = self.ask(Want::Snapshot).await else { return };
        for _ in 0..self.draws.stream().below(5) {
            pause(self.draws.stream(), 15).await;
            match self.draws.stream().below(3) {
                0 => drop(self.ask(Want::ReadAll(handle)).await),
                1 => self.scan(Some(handle)).await,
                _ => {
                    let Action::Read(_, slot, read) = self.draws.read(Source::Store) else {
                        continue;
                    };
                    self.ask(Want::ReadHeld(handle, slot, read)).await;
                }
            }
        }
        self.ask(Want::Release(handle)).await;
    }

    /// A scan that is left between rows, mostly gone on with to its end.
    async fn scan(&mut self, source: Option<Handle>) {
        let (slot, read, rows) = self.draws.scan();
        let mut reply = self.ask(Want::Start(source, slot, read, rows)).await;
        while let Reply::Holds(handle) = reply {
            pause(self.draws.stream(), 10).await;
            if self.draws.stream().chance(1, 16) {
                self.ask(Want::Release(handle)).await;
                return;
            }
            let rows = *self.draws.stream().pick(&[1, 1, 2, 5]);
            reply = self.ask(Want::Resume(handle, rows)).await;
        }
    }
}

/// Drives what others have submitted.
pub(super) async fn drive(hall: Hall, task: usize, ms_max: u64, mut stream: Stream) {
    loop {
        pause(&mut stream, ms_max).await;
        hall.ask(task, Want::Drive).await;
    }
}

/// Does background work, a step at a time.
pub(super) async fn keep_up(hall: Hall, task: usize, ms_max: u64, mut stream: Stream) {
    loop {
        pause(&mut stream, ms_max).await;
        for _ in 0..stream.between(1, 3) {
            hall.ask(task, Want::Call(Action::Maintain)).await;
        }
    }
}

/// Makes the calls that do much at once.
pub(super) async fn seal(hall: Hall, task: usize, ms_max: u64, mut draws: Draws) {
    loop {
        pause(draws.stream(), ms_max).await;
        let action = match draws.stream().below(16) {
            0..9 => Action::Checkpoint,
            9..12 => draws.compaction(),
            12 => Action::MaintainAll,
            13 => Action::Verify,
            14 => Action::SecondOpen,
            _ => Action::ReadAll,
        };
        hall.ask(task, Want::Call(action)).await;
    }
}

/// Has the disk full for a while.
pub(super) async fn fill(hall: Hall, task: usize, mut stream: Stream) {
    loop {
        pause(&mut stream, 80).await;
        let width = stream.between(0, 17);
        let left = stream.below(1 << width);
        hall.ask(task, Want::Call(Action::SpaceLeft(left))).await;
        pause(&mut stream, 40).await;
        hall.ask(task, Want::Call(Action::SpaceBack)).await;
    }
}

/// Ends the process.
pub(super) async fn end(hall: Hall, task: usize, after_ms: u64, stop: Stop) {
    sleep(Duration::from_millis(after_ms)).await;
    hall.ask(task, Want::End(stop)).await;
}
