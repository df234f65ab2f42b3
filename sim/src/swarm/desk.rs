//! The desk: takes what tasks ask for, carries it out one call of the store at a time, and tells them.
//!
//! **Place.** The one future of a run that reaches the store. Each call is an operation of a history, made
//! by the forward run as in any other, with its checks and its crash points.
//!
//! - D1. A call of the store does not wait, so nothing comes between its begin and its end; tasks meet
//!   between calls. What happened is therefore a sequence of operations, which is kept, and which means the
//!   same without tasks.
//! - D2. Where a process ends inside a call, nobody is told what that call answered.
//! - D3. At the end of a process its node is killed, before anybody is told anything more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::{Handle as Runtime, NodeHandle};
use madsim::time::{TimeHandle, sleep};
use quiver_store::ErrorKind;
use quiver_store::vfs::Clock;

use super::counts::{self, Counts};
use super::hall::{Ask, Hall, Handle, Reply, Want};
use super::ledger::{Begun, Ledger};
use super::plan::{self, Plan, Stop};
use super::story::Line;
use super::tasks::{self, Client};
use crate::checker::{Finding, Invariant};
use crate::forward::{Audience, Forward, Stepwise, Taken};
use crate::history::clients::Draws;
use crate::history::{Action, History, Member, Operation, Source};
use crate::stream::Stream;
use crate::system::{System, Ticket};

/// Snapshots, and iterators, that are held at a time: as many as the forward run holds without letting
/// go of any.
const HELD_MAX: usize = 4;

/// Calls of the store after which a run ends.
const CALLS_MAX: usize = 600;

/// The time of the runtime, as the store sees it.
#[derive(Debug)]
struct VirtualClock;

impl Clock for VirtualClock {
    fn monotonic_us(&self) -> u64 {
        now_us()
    }
}

/// Microseconds of virtual time since the begin of the run.
fn now_us() -> u64 {
    let elapsed = TimeHandle::try_current().map(|time| time.elapsed());
    u64::try_from(elapsed.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// What a run leaves.
pub(super) struct Played {
    pub(super) forward: Forward,
    /// What was done, in order.
    pub(super) operations: Vec<Operation>,
    /// By whom, when, and what was answered.
    pub(super) story: Vec<Line>,
    pub(super) counts: Counts,
}

/// The desk of a run.
pub(super) struct Desk<'a> {
    run: Stepwise<'a>,
    history: &'a History,
    plan: &'a Plan,
    hall: Hall,
    stream: Stream,
    ledger: Ledger,
    audience: Audience,
    /// Requests that wait, with who submitted them.
    under_way: BTreeMap<Ticket, (usize, Begun)>,
    /// The request of the call in which the process ended.
    cut_off: Option<Begun>,
    snapshots: Vec<Handle>,
    paused: Vec<(Handle, u64)>,
    /// Whether somebody was told that the store is latched: it has to be opened again.
    is_latched: bool,
    /// How the process ends at its next call of the disk.
    stop: Option<Stop>,
    operations: Vec<Operation>,
    story: Vec<Line>,
    counts: Counts,
    next_handle: Handle,
    lsn: u64,
}

/// What an operation is to its task.
enum Kind {
    Submits(Member),
    Performs(Member),
    Reads,
    Works,
    Other,
}

impl<'a> Desk<'a> {
    /// A desk before a store that is created now.
    pub(super) fn new(system: &'a dyn System, history: &'a History, plan: &'a Plan) -> Self {
        let run = Stepwise::begin(system, history, Arc::new(VirtualClock));
        Self {
            run,
            history,
            plan,
            hall: Hall::default(),
            stream: Stream::at(history.seed, &[0x6465_736b]),
            ledger: Ledger::default(),
            audience: Audience::default(),
            under_way: BTreeMap::new(),
            cut_off: None,
            snapshots: Vec::new(),
            paused: Vec::new(),
            is_latched: false,
            stop: None,
            operations: Vec::new(),
            story: Vec::new(),
            counts: Counts::default(),
            next_handle: 0,
            lsn: 0,
        }
    }

    /// Has the tasks of one process after another come and go.
    pub(super) async fn play(mut self) -> Played {
        self.listen();
        self.create_collections();
        for (round, (after_ms, stop)) in self.plan.rounds.iter().enumerate() {
            if self.is_over() {
                break;
            }
            self.counts.more("processes", 1);
            let node = Runtime::current().create_node().build();
            self.spawn(&node, round as u64, *after_ms, *stop);
            while !self.is_over() {
                let ask = self.hall.take(&mut self.stream).await;
                if self.serve(ask) {
                    break;
                }
                madsim::task::yield_now().await;
            }
            // D3. Tasks that are alive at the end of a runtime leak.
            Runtime::current().kill(node.id());
            self.hall.clear();
            sleep(Duration::from_millis(1)).await;
        }
        self.counts.more(counts::VIRTUAL_MS, now_us() / 1000);
        self.counts.more("linearizable reads", self.ledger.reads);
        self.counts.more("linearizable writes", self.ledger.writes);
        self.counts.more("conditional answers judged", self.ledger.conditions);
        let Self { run, operations, story, counts, .. } = self;
        Played { forward: run.finish(), operations, story, counts }
    }

    fn is_over(&self) -> bool {
        self.run.is_over() || self.operations.len() >= CALLS_MAX
    }

    fn spawn(&mut self, node: &NodeHandle, round: u64, after_ms: u64, stop: Stop) {
        let Plan { clients, driver_ms_max, upkeep_ms_max, sealing_ms_max, fills_disk, .. } =
            self.plan;
        let draws = |task: usize| Draws::of(self.history, (round << 8) + task as u64);
        for (number, habits) in clients.iter().enumerate() {
            let (hall, habits) = (self.hall.clone(), habits.clone());
            node.spawn(Client { number, hall, draws: draws(number), habits }.run());
        }
        let first = clients.len();
        let stream =
            |task: usize| Stream::at(self.history.seed, &[0x7461_736b, round, task as u64]);
        let (task, own) = (first + tasks::DRIVER, stream(tasks::DRIVER));
        node.spawn(tasks::drive(self.hall.clone(), task, *driver_ms_max, own));
        let (task, own) = (first + tasks::UPKEEP, stream(tasks::UPKEEP));
        node.spawn(tasks::keep_up(self.hall.clone(), task, *upkeep_ms_max, own));
        let mut count = first + 3;
        if let Some(ms_max) = sealing_ms_max {
            let task = first + tasks::SEALER;
            node.spawn(tasks::seal(self.hall.clone(), task, *ms_max, draws(task)));
            count += 1;
        }
        if *fills_disk {
            let (task, own) = (first + tasks::FILLER, stream(tasks::FILLER));
            node.spawn(tasks::fill(self.hall.clone(), task, own));
            count += 1;
        }
        node.spawn(tasks::end(self.hall.clone(), first + tasks::ENDER, after_ms, stop));
        self.counts.more("tasks", count as u64);
        self.counts.more("clients", first as u64);
    }

    /// Most collections are there from the first.
    fn create_collections(&mut self) {
        let mut draws = Draws::of(self.history, u64::MAX);
        for slot in 0..self.history.slots.len() {
            if slot == 0 || self.stream.chance(3, 4) {
                let member = draws.creation(slot);
                let (began, task) = (self.hall.event(), usize::MAX);
                let action = Action::Single(member.clone());
                self.carry_out(began, task, action, Kind::Performs(member));
            }
        }
    }

    /// Does what was asked for; whether the process has ended.
    fn serve(&mut self, Ask { number, task, want }: Ask) -> bool {
        let (action, kind) = match want {
            Want::End(stop) => match stop {
                Stop::KillInside(_) | Stop::PowerLossInside(_) => {
                    self.stop = Some(stop);
                    return false;
                }
                Stop::Kill | Stop::PowerLoss | Stop::Close => {
                    self.end(number, task, stop);
                    return true;
                }
            },
            Want::Submit(member) => (Action::Group(vec![member.clone()], 0), Kind::Submits(member)),
            Want::Perform(member) => (Action::Single(member.clone()), Kind::Performs(member)),
            Want::Drive => (Action::Group(Vec::new(), 1), Kind::Other),
            Want::Call(action) => {
                let kind = kind_of(&action);
                (action, kind)
            }
            Want::Snapshot if self.snapshots.len() < HELD_MAX => (Action::Snapshot, Kind::Reads),
            Want::Start(source, slot, read, rows) if self.paused.len() < HELD_MAX => {
                let Some(source) = self.source(source) else { return self.gone(number) };
                (Action::Pause(source, slot, read, rows), Kind::Reads)
            }
            Want::Resume(handle, rows) => match self.paused_at(handle) {
                Some(place) => (Action::Resume(place, rows), Kind::Reads),
                None => return self.gone(number),
            },
            Want::ReadAll(handle) => match self.source(Some(handle)) {
                Some(Source::Snapshot(place)) => (Action::ReadSnapshot(place), Kind::Reads),
                _ => return self.gone(number),
            },
            Want::ReadHeld(handle, slot, read) => match self.source(Some(handle)) {
                Some(source) => (Action::Read(source, slot, read), Kind::Reads),
                None => return self.gone(number),
            },
            Want::Release(handle) => match self.held_at(handle) {
                Some(place) => (Action::Release(place), Kind::Other),
                None => return self.gone(number),
            },
            Want::Snapshot | Want::Start(..) => return self.gone(number),
        };
        match self.carry_out(number, task, action, kind) {
            // Whoever runs it has it opened again after a while.
            Some(_) if self.is_latched && self.stream.chance(1, 12) => {
                self.end(number, task, Stop::Kill);
                true
            }
            Some(reply) => {
                self.hall.reply(number, reply);
                false
            }
            None => true,
        }
    }

    fn gone(&self, number: u64) -> bool {
        self.hall.reply(number, Reply::Gone);
        false
    }

    /// One call of the store; nothing if the process ended in it (D2).
    fn carry_out(&mut self, began: u64, task: usize, action: Action, kind: Kind) -> Option<Reply> {
        let faults = match self.plan.has_faults && !self.operations.is_empty() {
            true => plan::faults(&mut self.stream),
            false => Vec::new(),
        };
        let begun = match &kind {
            Kind::Submits(member) | Kind::Performs(member) => {
                Some(Begun { at: began, request: self.run.request(member) })
            }
            Kind::Reads | Kind::Works | Kind::Other => None,
        };
        self.count(task, &kind, &action);
        let held = self.held_before(&action);
        let taken = self.take(task, Operation { action, faults });
        if self.run.is_over() {
            return Some(Reply::Done);
        }
        if let Some(stop) = self.stop.filter(|_| taken.calls > 0) {
            // The last one under way is the one that this call carries out.
            self.cut_off = begun;
            self.end(began, task, stop);
            return None;
        }
        let ended = self.hall.event();
        self.heard(&taken);
        let own = begun.as_ref().map(|begun| (task, begun));
        self.take_answers(own, ended, &taken);
        self.take_read(began, ended, &taken);
        self.lsn = taken.lsn;
        match (taken.ticket, begun, kind) {
            (Some(ticket), Some(begun), Kind::Submits(_)) => {
                self.under_way.insert(ticket, (task, begun));
                Some(Reply::Waits(ticket))
            }
            _ => Some(self.keep_books(held, &taken)),
        }
    }

    /// Carries out an operation and writes it down.
    fn take(&mut self, task: usize, operation: Operation) -> Taken {
        let taken = self.run.take(&operation);
        self.story.push(Line::new(now_us(), task, &taken));
        self.operations.push(operation);
        self.counts.more("calls of the store", 1);
        taken
    }

    /// The process ends, and the next one begins.
    fn end(&mut self, began: u64, task: usize, stop: Stop) {
        let (action, name) = match stop {
            Stop::Kill => (Action::Kill, "kills"),
            Stop::PowerLoss => (Action::PowerLoss, "losses of power"),
            Stop::KillInside(number) => (Action::KillInside(number), "kills inside a call"),
            Stop::PowerLossInside(number) => {
                (Action::PowerLossInside(number), "losses of power inside a call")
            }
            Stop::Close => (Action::Close, "closes"),
        };
        self.counts.more(name, 1);
        let faults = match self.plan.has_faults {
            true => plan::faults(&mut self.stream),
            false => Vec::new(),
        };
        let taken = self.take(task, Operation { action, faults });
        (self.stop, self.is_latched) = (None, false);
        (self.snapshots, self.paused) = (Vec::new(), Vec::new());
        if self.run.is_over() {
            return;
        }
        if stop == Stop::Close {
            self.take_answers(None, self.hall.event().max(began), &taken);
        }
        let under_way = std::mem::take(&mut self.under_way);
        let cut_off = self.cut_off.take();
        let under_way = under_way.values().map(|(_, begun)| begun).chain(&cut_off);
        self.counts.more("requests under way at an end", under_way.clone().count() as u64);
        let judged = self.ledger.crashed(under_way, taken.lsn);
        self.run.evaluated(Invariant::I1);
        self.judge(judged);
        self.lsn = taken.lsn;
        self.listen();
    }

    /// Sets an observer in a process that begins.
    fn listen(&mut self) {
        let (audience, listener) = Audience::new(self.run.lsn());
        self.audience = audience;
        self.run.listen(listener);
    }

    fn judge(&mut self, judged: Result<(), Finding>) {
        if let Err(finding) = judged {
            self.run.found(finding);
        }
    }

    /// Looks at what the observer was told.
    fn heard(&mut self, taken: &Taken) {
        self.run.evaluated(Invariant::I14);
        match self.audience.hear(taken.lsn) {
            Ok(commits) => self.counts.more("commits observed", commits),
            Err(finding) => self.run.found(finding),
        }
    }

    /// Takes in who was answered, and tells them.
    fn take_answers(&mut self, own: Option<(usize, &Begun)>, ended: u64, taken: &Taken) {
        let mut tasks = Vec::new();
        for (ticket, answer) in &taken.said.answers {
            let judged = match ticket {
                None => own.map(|(task, begun)| {
                    tasks.push(task);
                    self.ledger.answered(begun, ended, answer, Some(taken.lsn))
                }),
                Some(ticket) => self.under_way.remove(ticket).map(|(task, begun)| {
                    tasks.push(task);
                    self.hall.tell(*ticket);
                    self.ledger.answered(&begun, ended, answer, None)
                }),
            };
            self.is_latched |= *answer == Err(ErrorKind::Latched);
            self.run.evaluated(Invariant::Answers);
            self.judge(judged.unwrap_or(Ok(())));
        }
        self.counts.more("groups", u64::from(!tasks.is_empty()));
        let first = tasks.first().copied();
        let is_shared = tasks.iter().any(|task| Some(*task) != first);
        self.counts.more(counts::SHARED_GROUPS, u64::from(is_shared));
    }

    /// Takes in what a read of one row showed.
    fn take_read(&mut self, began: u64, ended: u64, taken: &Taken) {
        let Some((collection, shown)) = taken.said.shown else { return };
        let Some(Action::Get(_, id)) = self.operations.last().map(|last| &last.action) else {
            return;
        };
        let judged = self.ledger.read((collection, id), (began, ended), shown);
        self.run.evaluated(Invariant::Answers);
        self.judge(judged);
    }

    /// Counts how tasks meet.
    fn count(&mut self, task: usize, kind: &Kind, action: &Action) {
        let waits = !self.under_way.is_empty();
        let others_wait = self.under_way.values().any(|(owner, _)| *owner != task);
        let counts = &mut self.counts;
        match kind {
            Kind::Submits(_) => {
                counts.more("requests", 1);
                counts.more(counts::BETWEEN_SUBMIT_AND_DRIVE, u64::from(others_wait));
            }
            Kind::Performs(_) => {
                counts.more("requests", 1);
                counts.more("requests carried out beside waiting ones", u64::from(others_wait));
            }
            Kind::Reads => counts.more("reads between submit and drive", u64::from(waits)),
            Kind::Works => {
                counts.more("background steps between submit and drive", u64::from(waits));
                let is_step = matches!(action, Action::Maintain | Action::MaintainAll);
                counts.more("background steps", u64::from(is_step));
                counts.more("checkpoints and compactions", u64::from(!is_step));
            }
            Kind::Other => {}
        }
        match action {
            Action::Resume(place, _) => {
                let place = usize::try_from(*place).expect("a place");
                let changed = self.paused[place].1 != self.lsn;
                counts.more("scans gone on with after a change", u64::from(changed));
            }
            Action::ReadSnapshot(_) | Action::Read(Source::Snapshot(_), ..) => {
                counts.more("reads of held snapshots", 1);
            }
            _ => {}
        }
    }
}

/// What is held by the store, by its place in what the forward run holds.
impl Desk<'_> {
    fn source(&self, handle: Option<Handle>) -> Option<Source> {
        let Some(handle) = handle else { return Some(Source::Store) };
        let place = self.snapshots.iter().position(|held| *held == handle)?;
        Some(Source::Snapshot(place as u64))
    }

    fn paused_at(&self, handle: Handle) -> Option<u64> {
        let place = self.paused.iter().position(|(held, _)| *held == handle)?;
        Some(place as u64)
    }

    /// Snapshots are counted first, iterators behind them.
    fn held_at(&self, handle: Handle) -> Option<u64> {
        match self.source(Some(handle)) {
            Some(Source::Snapshot(place)) => Some(place),
            _ => Some(self.snapshots.len() as u64 + self.paused_at(handle)?),
        }
    }

    /// The place of what an action goes on with or lets go, among snapshots or among iterators.
    fn held_before(&self, action: &Action) -> Option<usize> {
        let place = match action {
            Action::Resume(place, _) => *place,
            Action::Release(place) => place.saturating_sub(self.snapshots.len() as u64),
            _ => return None,
        };
        usize::try_from(place).ok()
    }

    /// Follows what the forward run holds after a call; what the task is told of it.
    fn keep_books(&mut self, held: Option<usize>, taken: &Taken) -> Reply {
        let Taken { snapshots, paused, .. } = *taken;
        if snapshots > self.snapshots.len() {
            self.counts.more("snapshots held", 1);
            self.next_handle += 1;
            self.snapshots.push(self.next_handle);
            return Reply::Holds(self.next_handle);
        }
        if paused > self.paused.len() {
            self.counts.more("scans left between rows", 1);
            self.next_handle += 1;
            self.paused.push((self.next_handle, taken.lsn));
            return Reply::Holds(self.next_handle);
        }
        let last = self.operations.last().map(|operation| &operation.action);
        if snapshots < self.snapshots.len() {
            if let Some(Action::Release(place)) = last {
                self.snapshots.remove(usize::try_from(*place).expect("a place"));
            }
            return Reply::Done;
        }
        match (held, last) {
            (Some(place), _) if paused < self.paused.len() => {
                self.paused.remove(place);
                Reply::Done
            }
            (Some(place), Some(Action::Resume(..))) => Reply::Holds(self.paused[place].0),
            _ => Reply::Done,
        }
    }
}

fn kind_of(action: &Action) -> Kind {
    match action {
        Action::Get(..) | Action::Read(..) | Action::ReadAll | Action::Verify => Kind::Reads,
        Action::Maintain | Action::MaintainAll | Action::Checkpoint | Action::Compact(_) => {
            Kind::Works
        }
        _ => Kind::Other,
    }
}
