//! The toy's files: `gen-N`, `CURRENT`, `CURRENT.N.tmp`, `LOCK`.

use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::vfs::{Access, CallSite, File, Lock};
use quiver_store::{Env, Error, ErrorKind, Result};

use super::bytes::{Rest, framed, of_request, of_state, put};
use super::{Bug, State};
use crate::system::Request;

pub(super) struct Files {
    env: Env,
    pub(super) bug: Bug,
    pub(super) generation: u64,
    highest: u64,
    log: Option<Arc<dyn File>>,
    end: u64,
    /// Where the log begins, behind everything as of the generation's start.
    log_start: u64,
    leaked: Vec<Arc<dyn File>>,
    /// Bytes of all frames since the open.
    appended: usize,
    /// Whether anything failed (X2).
    pub(super) latched: bool,
    /// Files that are still to be removed.
    pub(super) orphans: Vec<String>,
}

#[track_caller]
pub(super) fn here() -> CallSite {
    Location::caller()
}

fn failed(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => ErrorKind::Full,
        io::ErrorKind::WouldBlock => ErrorKind::Locked,
        _ => ErrorKind::Io,
    };
    Error::new(kind, error.to_string())
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

impl Files {
    pub(super) fn open(env: Env, bug: Bug) -> Result<(Self, Box<dyn Lock>, State)> {
        match env.vfs.create_dir(&env.dir, here()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(failed)?,
        }
        let above = env.dir.parent().expect("the directory is not the root").to_path_buf();
        env.vfs.sync_dir(&above, here()).map_err(failed)?;
        let lock =
            env.vfs.lock(&env.dir.join("LOCK"), Access::ReadWrite, here()).map_err(failed)?;
        let entries = env.vfs.read_dir(&env.dir, here()).map_err(failed)?;
        let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
        let numbers = names.iter().flat_map(|name| name.split(['-', '.']));
        let highest = numbers.filter_map(|part| part.parse().ok()).max().unwrap_or(0);
        let mut files = Self {
            env,
            bug,
            generation: highest,
            highest,
            log: None,
            end: 0,
            log_start: 0,
            leaked: Vec::new(),
            appended: 0,
            latched: false,
            orphans: Vec::new(),
        };
        let mut state = State::default();
        let mut current = None;
        if names.iter().any(|name| name == "CURRENT") {
            let bytes = files.read(&files.path("CURRENT"))?;
            let content = Rest(&bytes).frame(Bug::None).ok_or_else(|| corrupt("CURRENT"))?;
            let number = Rest(content).number().ok_or_else(|| corrupt("CURRENT"))?;
            state = files.replay(number)?;
            current = Some(number);
        }
        let stays = matches!(bug, Bug::KeepsTornTail | Bug::OnlySyncs);
        match current.filter(|_| stays) {
            Some(number) => files.stay(number)?,
            None => files.publish(&state)?,
        }
        if bug != Bug::LeavesOrphans {
            files.sweep(&names)?;
        }
        Ok((files, lock, state))
    }

    pub(super) fn log_bytes(&self) -> u64 {
        self.end - self.log_start
    }

    pub(super) fn names(&self) -> Vec<String> {
        vec!["CURRENT".to_string(), format!("gen-{}", self.generation)]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.env.dir.join(name)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let file = self.env.vfs.open(path, Access::Read, here()).map_err(failed)?;
        let len = file.len(here()).map_err(failed)?;
        let mut bytes = vec![0; usize::try_from(len).expect("toys are small")];
        let mut at = 0;
        while at < bytes.len() {
            match file.read_at(&mut bytes[at..], at as u64, here()) {
                Ok(0) => return Err(corrupt("a file that shrinks")),
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(bytes)
    }

    fn replay(&mut self, number: u64) -> Result<State> {
        let path = self.path(&format!("gen-{number}"));
        let bytes = self.read(&path)?;
        let mut rest = Rest(&bytes);
        let snapshot = rest.frame(self.bug).ok_or_else(|| corrupt("a snapshot"))?;
        let mut state = Rest(snapshot).state().ok_or_else(|| corrupt("a snapshot"))?;
        while let Some(content) = rest.frame(self.bug) {
            let mut content = Rest(content);
            let lsn = content.number();
            let Some(request) = content.request(self.bug) else { break };
            if lsn != Some(state.lsn + 1) || state.apply(&request, self.bug).is_err() {
                break;
            }
        }
        self.end = (bytes.len() - rest.0.len()) as u64;
        if !rest.0.is_empty() {
            match self.bug {
                Bug::PanicsAtTornTail => panic!("a torn tail"),
                Bug::ReadsForEver => loop {
                    self.read(&path)?;
                },
                Bug::KeepsTornTail => self.end = bytes.len() as u64,
                _ => {}
            }
        }
        Ok(state)
    }

    /// Goes on with the file that was found.
    fn stay(&mut self, number: u64) -> Result<()> {
        let path = self.path(&format!("gen-{number}"));
        let log = self.env.vfs.open(&path, Access::ReadWrite, here()).map_err(failed)?;
        log.sync_data(here()).map_err(failed)?;
        self.env.vfs.sync_dir(&self.env.dir, here()).map_err(failed)?;
        self.generation = number;
        self.log = Some(log);
        Ok(())
    }

    /// Writes everything into a new generation and makes it current (X1).
    pub(super) fn publish(&mut self, state: &State) -> Result<()> {
        self.highest += 1;
        let number = self.highest;
        let (generation, current) = (format!("gen-{number}"), format!("CURRENT.{number}.tmp"));
        let made = self.make_current(state, number, &generation, &current);
        let (log, end) = match made {
            Ok(made) => made,
            Err(error) => {
                // Their names tell the next open which numbers are taken.
                self.orphans.extend([generation, current]);
                return Err(error);
            }
        };
        let old = format!("gen-{}", std::mem::replace(&mut self.generation, number));
        let old_log = self.log.replace(log);
        let had_log = old_log.is_some();
        if self.bug == Bug::LeaksHandles {
            self.leaked.extend(old_log);
        }
        (self.end, self.log_start) = (end, end);
        let orphans = std::mem::take(&mut self.orphans);
        self.remove(orphans);
        if had_log && self.bug != Bug::LeavesOrphans {
            self.remove([old]);
        }
        Ok(())
    }

    /// The new log and its length.
    fn make_current(
        &self,
        state: &State,
        number: u64,
        generation: &str,
        current: &str,
    ) -> Result<(Arc<dyn File>, u64)> {
        let vfs = self.env.vfs.clone();
        let (mut snapshot, mut content, mut named) = (Vec::new(), Vec::new(), Vec::new());
        let mut stored = of_state(state);
        if self.bug == Bug::KeepsDeadRows {
            stored.resize(stored.len() + self.appended, 0);
        }
        framed(&mut snapshot, &stored);
        put(&mut named, number);
        framed(&mut content, &named);
        let log = self.written(generation, &snapshot)?;
        self.written(current, &content)?;
        vfs.sync_dir(&self.env.dir, here()).map_err(failed)?;
        vfs.rename(&self.path(current), &self.path("CURRENT"), here()).map_err(failed)?;
        if self.bug != Bug::ForgetsDirectorySync {
            vfs.sync_dir(&self.env.dir, here()).map_err(failed)?;
        }
        Ok((log, snapshot.len() as u64))
    }

    /// Removes files, those that cannot be removed now at a later publish.
    fn remove(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            match self.env.vfs.unlink(&self.path(&name), here()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => self.orphans.push(name),
                _ => {}
            }
        }
    }

    fn written(&self, name: &str, bytes: &[u8]) -> Result<Arc<dyn File>> {
        let file = self.env.vfs.create_new(&self.path(name), here()).map_err(failed)?;
        write_all(&*file, bytes, 0)?;
        file.sync_data(here()).map_err(failed)?;
        Ok(file)
    }

    fn sweep(&self, names: &[String]) -> Result<()> {
        let own = self.names();
        for name in names {
            let foreign = name.starts_with("gen-") || name.ends_with(".tmp");
            if foreign && !own.contains(name) {
                self.env.vfs.unlink(&self.path(name), here()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Adds the frames of a request.
    pub(super) fn frame(&self, frames: &mut Vec<u8>, request: &Request, lsn: u64) {
        let mut one = |request: &Request, lsn: u64| {
            let mut content = Vec::new();
            put(&mut content, lsn);
            content.extend(of_request(request));
            framed(frames, &content);
        };
        match request {
            Request::Write(changes) if self.bug == Bug::SplitsBatches => {
                for (place, change) in changes.iter().enumerate() {
                    one(&Request::Write(vec![change.clone()]), lsn + place as u64);
                }
            }
            _ => one(request, lsn),
        }
    }

    pub(super) fn append(&mut self, frames: &[u8]) -> Result<()> {
        let log = self.log.as_ref().expect("open since the first publish");
        write_all(&**log, frames, self.end)?;
        self.end += frames.len() as u64;
        self.appended += frames.len();
        match self.bug {
            Bug::AcknowledgesBeforeSync => Ok(()),
            Bug::RetriesSync => log.sync_data(here()).or_else(|_| log.sync_data(here())),
            _ => log.sync_data(here()),
        }
        .map_err(failed)
    }
}

fn write_all(file: &dyn File, mut bytes: &[u8], mut at: u64) -> Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at, here()) {
            Ok(count) => {
                bytes = &bytes[count..];
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}
