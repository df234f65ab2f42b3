//! Random calls on all three disks at once: every answer and the tree at the end must agree.

use std::collections::BTreeMap;

use quiver_store::vfs::Lock;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const SEEDS: u64 = 200;
const CALLS: u32 = 60;
const PATHS: [&str; 9] = ["", "a", "b", "c", "d", "d/a", "d/b", "e/a", "a/x"];

/// One call, drawn once and made on each disk.
#[derive(Clone, Debug)]
enum Call {
    Create(&'static str),
    Open(&'static str, Access),
    Close(usize),
    Rename(&'static str, &'static str),
    Unlink(&'static str),
    CreateDir(&'static str),
    ReadDir(&'static str),
    SyncDir(&'static str),
    Lock(&'static str),
    Unlock(usize),
    Read(usize, u64, usize),
    Write(usize, u64, Vec<u8>),
    Allocate(usize, u64),
    Len(usize),
    Sync(usize),
}

/// What came of it, as far as it can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    NoHandle,
    Number(u64),
    Bytes(Vec<u8>),
    Entries(Vec<DirEntry>),
}

/// A disk with its handles and locks by number.
struct Client {
    subject: Subject,
    handles: BTreeMap<usize, Arc<dyn File>>,
    locks: BTreeMap<usize, Box<dyn Lock>>,
}

struct Draw(ChaCha8Rng);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("below a usize")
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.index(PATHS.len())]
    }

    fn call(&mut self) -> Call {
        let handle = self.index(6);
        match self.below(24) {
            0..=2 => Call::Create(self.path()),
            3 => Call::Open(self.path(), Access::Read),
            4 | 5 => Call::Open(self.path(), Access::ReadWrite),
            6 => Call::Close(handle),
            7 | 8 => Call::Rename(self.path(), self.path()),
            9 => Call::Unlink(self.path()),
            10 => Call::CreateDir(self.path()),
            11 => Call::ReadDir(self.path()),
            12 => Call::SyncDir(self.path()),
            13 => Call::Lock(self.path()),
            14 => Call::Unlock(handle),
            15 | 16 => Call::Read(handle, self.below(9000), self.index(6000)),
            17..=19 => {
                let byte = u8::try_from(self.below(256)).expect("a byte");
                Call::Write(handle, self.below(9000), vec![byte; self.index(6000)])
            }
            20 | 21 => Call::Allocate(handle, self.below(20_000)),
            22 => Call::Len(handle),
            _ => Call::Sync(handle),
        }
    }
}

impl Client {
    fn make(&mut self, number: usize, call: &Call) -> Result<Answer, io::ErrorKind> {
        self.try_make(number, call).map_err(|error| error.kind())
    }

    fn try_make(&mut self, number: usize, call: &Call) -> io::Result<Answer> {
        let Self { subject, handles, locks } = self;
        let done = |()| Answer::Done;
        match call {
            Call::Create(name) => {
                let file = subject.vfs.create_new(&subject.path(name), here())?;
                handles.insert(number % 6, file);
            }
            Call::Open(name, access) => {
                handles.insert(number % 6, subject.open(name, *access)?);
            }
            Call::Close(handle) => drop(handles.remove(handle)),
            Call::Rename(from, to) => return subject.rename(from, to).map(done),
            Call::Unlink(name) => return subject.unlink(name).map(done),
            Call::CreateDir(name) => return subject.create_dir(name).map(done),
            Call::SyncDir(name) => {
                return subject.vfs.sync_dir(&subject.path(name), here()).map(done);
            }
            Call::ReadDir(name) => {
                let entries = subject.vfs.read_dir(&subject.path(name), here())?;
                return Ok(Answer::Entries(entries));
            }
            Call::Lock(name) => {
                // Taken before an older lock of that number is dropped.
                let lock = subject.vfs.lock(&subject.path(name), Access::ReadWrite, here())?;
                locks.insert(number % 6, lock);
            }
            Call::Unlock(lock) => drop(locks.remove(lock)),
            Call::Read(handle, ..)
            | Call::Write(handle, ..)
            | Call::Allocate(handle, _)
            | Call::Len(handle)
            | Call::Sync(handle) => {
                let Some(file) = handles.get(handle) else { return Ok(Answer::NoHandle) };
                return on_file(&**file, call);
            }
        }
        Ok(Answer::Done)
    }
}

fn on_file(file: &dyn File, call: &Call) -> io::Result<Answer> {
    match call {
        Call::Read(_, offset, len) => {
            let mut bytes = vec![0xEE; *len];
            let count = file.read_at(&mut bytes, *offset, here())?;
            bytes.truncate(count);
            Ok(Answer::Bytes(bytes))
        }
        Call::Write(_, offset, bytes) => {
            file.write_at(bytes, *offset, here()).map(|count| Answer::Number(count as u64))
        }
        Call::Allocate(_, len) => file.allocate(*len, here()).map(|()| Answer::Done),
        Call::Len(_) => file.len(here()).map(Answer::Number),
        Call::Sync(_) => file.sync_data(here()).map(|()| Answer::Done),
        _ => unreachable!("only the calls on an open file come here"),
    }
}

#[test]
fn random_calls_get_the_same_answers_on_all_three() {
    let (mut successes, mut failures) = (0, BTreeMap::<String, u32>::new());
    for seed in 0..SEEDS {
        let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
        let mut clients = subjects().map(|subject| Client {
            subject,
            handles: BTreeMap::new(),
            locks: BTreeMap::new(),
        });
        let mut calls = Vec::new();
        for number in 0..CALLS {
            let call = draw.call();
            calls.push(format!("{call:.60?}"));
            let number = usize::try_from(number).expect("small");
            let [os, memory, simulated] = clients.each_mut().map(|c| c.make(number, &call));
            let told = || format!("seed {seed}, after:\n{}", calls.join("\n"));
            assert!(os == memory, "os {os:.80?}, memory {memory:.80?}, {}", told());
            assert!(os == simulated, "os {os:.80?}, simulated {simulated:.80?}, {}", told());
            match os {
                Ok(_) => successes += 1,
                Err(kind) => *failures.entry(kind.to_string()).or_default() += 1,
            }
        }
        let [os, memory, simulated] = clients.map(|client| {
            drop((client.handles, client.locks));
            tree(&*client.subject.vfs, &client.subject.root)
        });
        assert!(os == memory && os == simulated, "seed {seed}: the trees differ");
    }
    assert!(successes > SEEDS * u64::from(CALLS) / 3, "only {successes} calls succeeded");
    assert!(failures.len() >= 7, "too few kinds of failure: {failures:?}");
}
