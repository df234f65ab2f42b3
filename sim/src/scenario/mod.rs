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
//! | `against BUG: COMMAND` | no command: with this planted bug that command must fail |
//! | `against src/FILE.rs: COMMAND` | the same, where one of the syncs in that file of the engine does nothing |
//! | `option NAME N` | a setting of the opens below, `reserve-bytes 0` unless told, or `payload-bytes`: of the rows below, 4 at least |
//! | `encrypted` | the opens below have a master key |
//! | `open`, `close`, `checkpoint`, `compact`, `maintain` | the call |
//! | `open-again` | a second open beside the first |
//! | `compact beside COMMAND, COMMAND...` | compacts; the commands come once it has chosen what to merge first |
//! | `step`, `rest` | one `maintain` that finds something to do; as many as there is something to do |
//! | `create NAME`, `drop NAME`, `drop-missing NAME` | a collection of dimension 2; the last answers false |
//! | `shred NAME`, `shred-missing NAME` | answers true; answers false |
//! | `put NAME ID`, `delete NAME ID` | one row, with a new payload each time |
//! | `fill NAME N`, `clear NAME` | that many rows as one batch; deletes all rows as one batch |
//! | `many NAME ID...` | asks for these rows, or for none, at once |
//! | `batch NAME/ID...` | one row each, as one batch |
//! | `together CALL, CALL... -> ANSWER ANSWER...` | `create`, `drop` and `put` as one group; an answer is `Ok`, `Missing` for a drop that found nothing, or a kind |
//! | `fault NAME CALL [LUCK]` | a fault at a call of its class, counted from zero from here on; what it leaves is drawn by the number |
//! | `mend` | no faults any more |
//! | `space N`, `space back` | so many bytes are free on the disk; it has no bound |
//! | `kill` | the process dies, the page cache stays |
//! | `lose POLICY` | power is lost, and what is pending survives by the policy |
//! | `lose any` | the rest is played once for each way in which power may be lost here |
//! | `kill before CALL N: COMMAND`, `lose POLICY before CALL N: COMMAND` | the same, just before the command's Nth call of that name, from zero |
//! | `crash any: COMMAND` | the rest is played once for each call of the command and each way to die before it |
//! | `remove FILE`, `cut FILE BYTES`, `flip FILE BIT`, `overwrite FILE FILE` | damage at rest; a file is the start of its name, and `+N` for the Nth behind the first |
//! | `duplicate FILE NUMBER` | the same bytes once more, under that number |
//! | `keep`, `back`, `restore FILE` | remembers the disk at rest; starts again from there; takes one file from there |
//! | `see` | remembers what the store shows |
//! | `same` | the store shows what was remembered |
//! | `rows NAME ID...` | exactly these rows, `ID?` or not; `gone NAME`: no such collection |
//! | `together-or-not NAME/ID...` | all of these rows, or none of them |
//! | `hold`, `held NAME ID...`, `let-go` | takes a snapshot; the last one shows exactly these rows; gives it up |
//! | `files FILE N` | so many files have a name that starts so |
//! | `keys N` | so many keys of collections can be read with the master key, of the disk as it is |
//!
//! - N1. At each stop of the machine, no name of a removed file was created again (I14), unless the
//!   scenario did it.
//! - N2. No collection id is given twice (I14).

mod calls;
mod damage;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

use quiver_store::{CollectionId, Key, Options, Snapshot, Store};

use crate::disk::{DiskState, Fault, FaultPlan, Medium, PlannedFault, SimDisk, UnlinkedReads};
use crate::panic_trap;
use crate::planted::{Bug, Planted};

/// What a store shows: payloads by collection and id.
type Shown = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// The lines that are left, with their numbers.
type Lines<'a> = [(usize, &'a str)];

/// The master key of encrypted stores.
const MASTER: [u8; 32] = [0x6d; 32];

/// A scenario under way.
struct Stage<'a> {
    engine: &'a Planted,
    options: Options,
    /// Of an encrypted store.
    master: Option<Key>,
    disk: SimDisk,
    store: Option<Store>,
    held: Vec<Snapshot>,
    kept: Option<DiskState>,
    seen: Option<Shown>,
    faults: Vec<PlannedFault>,
    given: BTreeSet<CollectionId>,
    written: u32,
    payload_bytes: usize,
    processes: u64,
    /// Whether the scenario made names of its own.
    is_damaged: bool,
}

/// Plays a scenario.
///
/// # Errors
/// The line that did not go as it says, and why.
pub fn play(text: &str) -> Result<(), String> {
    play_with(text, &Planted::new(Bug::None))
}

/// Plays a scenario with a planted bug between the engine and its disk.
///
/// # Errors
/// As [`play`].
pub fn play_with(text: &str, engine: &Planted) -> Result<(), String> {
    let lines: Vec<(usize, &str)> = (1..).zip(text.lines().map(command)).collect();
    let options = Options { log_step_bytes_min: 4096, reserve_bytes: 0, ..Options::default() };
    let mut stage = Stage {
        engine,
        options,
        master: None,
        disk: mounted(&SimDisk::new().state(), None),
        store: None,
        held: Vec::new(),
        kept: None,
        seen: None,
        faults: Vec::new(),
        given: BTreeSet::new(),
        written: 0,
        payload_bytes: 4,
        processes: 0,
        is_damaged: false,
    };
    stage.play_all(&lines)
}

/// Plays a scenario, and that it fails where it says so with each bug that it is against.
///
/// # Errors
/// As [`play`]; or the bug with which every line goes as it says, or another one does not.
pub fn check(text: &str) -> Result<(), String> {
    let right = Planted::new(Bug::None);
    play_with(text, &right)?;
    for against in text.lines().filter_map(|line| command(line).strip_prefix("against ")) {
        let (name, place) = against.split_once(": ").ok_or("expected `against BUG: COMMAND`")?;
        let sites = right.sync_sites();
        let elided = sites.keys().filter(|site| name.ends_with(".rs") && site.starts_with(name));
        let planted = Bug::PLANTED.iter().filter(|bug| bug.name() == name).cloned();
        let bugs: Vec<Bug> = planted.chain(elided.cloned().map(Bug::ElidedSync)).collect();
        let mut elsewhere = Vec::new();
        let is_found = bugs.into_iter().any(|bug| {
            // A wrong engine may panic.
            let played = panic_trap::catch(|| play_with(text, &Planted::new(bug.clone())));
            let is_here = matches!(&played, Ok(Err(why)) if why.contains(&format!("`{place}`: ")));
            elsewhere.push((bug, played));
            is_here
        });
        if !is_found {
            return Err(format!("does not fail at `{place}` with {name}: {elsewhere:?}"));
        }
    }
    Ok(())
}

/// A line without its comment.
fn command(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

impl Stage<'_> {
    fn play_all(&mut self, mut lines: &Lines<'_>) -> Result<(), String> {
        while let [(number, command), rest @ ..] = lines {
            lines = rest;
            if command.is_empty() || command.starts_with("against ") {
                continue;
            }
            let named = |why| format!("line {number}, `{command}`: {why}");
            if let Some(ways) = self.ways(command).map_err(named)? {
                return ways.into_iter().try_for_each(|(name, state)| {
                    let played = self.fork(&state).play_all(rest);
                    played.map_err(|why| format!("{why} (line {number}: {name})"))
                });
            }
            self.play(command).map_err(named)?;
        }
        self.check_names()
    }

    fn play(&mut self, command: &str) -> Result<(), String> {
        if let Some((crash, command)) = command.split_once(": ") {
            return self.interrupt(crash, command);
        }
        if let Some(group) = command.strip_prefix("together ") {
            return self.together(group);
        }
        if let Some(commands) = command.strip_prefix("compact beside ") {
            return self.compact_beside(commands);
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["option", name, value] => self.set(name, value),
            ["encrypted"] => {
                self.master = Some(Key::from_bytes(MASTER));
                Ok(())
            }
            ["space", bytes] => {
                let free = match *bytes {
                    "back" => None,
                    bytes => Some(bytes.parse().map_err(|_| "expected a number of bytes")?),
                };
                self.disk.set_free_bytes(free);
                Ok(())
            }
            ["kill"] => self.restart(|state| Ok(state.kill())),
            ["lose", policy] => self.restart(|state| ways::lose(state, policy)),
            ["fault", name, call] => self.plan(name, call, "1"),
            ["fault", name, call, luck] => self.plan(name, call, luck),
            ["mend"] => {
                self.faults.clear();
                self.disk.set_faults(FaultPlan::default());
                Ok(())
            }
            [
                "remove" | "cut" | "flip" | "overwrite" | "duplicate" | "restore" | "keep" | "back",
                ..,
            ] => self.damage(&words),
            [call @ .., "->", kind] => match self.call(call)? {
                Err(found) if format!("{:?}", found.kind()) == *kind => Ok(()),
                other => Err(format!("answered {other:?}")),
            },
            words => match self.look(words)? {
                Some(()) => Ok(()),
                None => self.call(words)?.map_err(|error| format!("answered {error:?}")),
            },
        }
    }

    /// Compares what the store shows; nothing if it is another command.
    fn look(&mut self, words: &[&str]) -> Result<Option<()>, String> {
        match words {
            ["see"] => self.seen = Some(self.shown()?),
            ["same"] => {
                let (shown, seen) = (self.shown()?, self.seen.as_ref());
                if seen != Some(&shown) {
                    return Err(format!("shows {shown:?}, was {seen:?}"));
                }
            }
            ["rows", name, ids @ ..] => {
                let shown = self.shown()?;
                are_rows(shown.get(*name).ok_or("no such collection")?.keys(), ids)?;
            }
            ["together-or-not", rows @ ..] => {
                let shown = self.shown()?;
                let is_there = |row: &&&str| {
                    let (name, id) = row.split_once('/').unwrap_or_default();
                    shown.get(name).is_some_and(|rows| rows.contains_key(id))
                };
                let count = rows.iter().filter(is_there).count();
                if count != 0 && count != rows.len() {
                    return Err(format!("shows {shown:?}"));
                }
            }
            ["gone", name] => {
                if self.shown()?.contains_key(*name) {
                    return Err("is there".to_owned());
                }
            }
            ["held", name, ids @ ..] => self.held_shows(name, ids)?,
            ["files", start, count] => {
                let found = self.files(start);
                if found.len().to_string() != *count {
                    return Err(format!("there are {found:?}"));
                }
            }
            ["keys", count] => {
                let found = self.keys().ok_or("the store is not encrypted")?;
                if found.len().to_string() != *count {
                    return Err(format!("there are those of {found:?}"));
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    /// Checks at a stop what holds at every one (N1).
    fn check_names(&self) -> Result<(), String> {
        let reused = self.disk.reused_names();
        if reused.is_empty() || self.is_damaged {
            return Ok(());
        }
        Err(format!("names of removed files were used again: {reused:?}"))
    }

    fn restart(
        &mut self,
        image: impl FnOnce(&DiskState) -> Result<DiskState, String>,
    ) -> Result<(), String> {
        self.check_names()?;
        self.store = None;
        self.held.clear();
        let image = image(&self.disk.state())?;
        self.mount(&image);
        Ok(())
    }

    fn mount(&mut self, state: &DiskState) {
        self.disk = mounted(state, self.disk.capacity_bytes());
        self.faults.clear();
    }

    fn plan(&mut self, name: &str, call: &str, luck: &str) -> Result<(), String> {
        let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
        let fault = fault.ok_or("no such fault")?;
        let call_index = call.parse().map_err(|_| "expected a number of a call")?;
        self.faults.push(PlannedFault { call_index, fault });
        let seed = luck.parse().map_err(|_| "expected a number for what is drawn")?;
        self.disk.set_faults(FaultPlan { faults: self.faults.clone(), seed });
        Ok(())
    }
}

/// A disk on which nobody reads a file that has no name any more, as large as it was.
fn mounted(state: &DiskState, capacity: Option<u64>) -> SimDisk {
    let disk = SimDisk::mount(state);
    disk.set_capacity_bytes(capacity);
    disk.set_medium(Medium { unlinked_reads: UnlinkedReads::Fail, ..Medium::default() });
    disk
}

/// Whether ids in order are those that are said; one with a question mark may be missing.
fn are_rows<'i>(found: impl Iterator<Item = &'i String>, said: &[&str]) -> Result<(), String> {
    let found: Vec<&str> = found.map(String::as_str).collect();
    let mut left = found.as_slice();
    for id in said {
        let name = id.trim_end_matches('?');
        match left {
            [first, rest @ ..] if *first == name => left = rest,
            _ if id.ends_with('?') => {}
            _ => return Err(format!("has {found:?}")),
        }
    }
    if left.is_empty() { Ok(()) } else { Err(format!("has {found:?}")) }
}
