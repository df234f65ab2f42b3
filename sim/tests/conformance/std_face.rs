//! The face of the simulated disk that is like `std::fs`, and `std::fs`: random calls on both at once.
//!
//! Left out is what the model does not have: renames into other directories. It says so, and is right.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quiver_sim::fs::{File as SimFile, Lock, OpenOptions, SimFs};
use quiver_sim::stream::Stream;

const SEEDS: u64 = 300;
const CALLS: usize = 80;
const PATHS: [&str; 8] = ["a", "b", "c", "d", "d/a", "d/b", "e/a", "a/x"];
/// Other spellings, which mean the same or a directory.
const SPELLINGS: [&str; 17] = [
    "", ".", "./a", "//b", "a/", "b//", "d/", "d/.", "a/.", "e/", "e/.", "d//a", "./d/./b", "d/a/",
    "e/a/", "a/x/", "d/e/.",
];
const HANDLES: u64 = 4;

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
struct How {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
}

#[derive(Clone, Debug)]
enum Call {
    Open(&'static str, How),
    Close(u64),
    Clone(u64, u64),
    ReadAt(u64, u64, usize),
    WriteAt(u64, u64, Vec<u8>),
    Read(u64, usize),
    Write(u64, Vec<u8>),
    Seek(u64, SeekFrom),
    SetLen(u64, u64),
    Len(u64),
    Sync(u64),
    Rename(&'static str, &'static str),
    RemoveFile(&'static str),
    CreateDir(&'static str),
    CreateDirAll(&'static str),
    ReadDir(&'static str),
    ReadAll(&'static str),
    WriteAll(&'static str, Vec<u8>),
    Metadata(&'static str),
    ReadExact(u64, usize),
    ReadToEnd(u64),
    WriteText(u64, u64),
    RemoveDir(&'static str),
    RemoveDirAll(&'static str),
    ReadString(&'static str),
    Copy(&'static str, &'static str),
    Lock(u64, &'static str),
    Unlock(u64),
}

/// What came of it, as far as it can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Number(u64),
    Bytes(Vec<u8>),
    Names(Vec<String>),
    Found { is_dir: bool, len: u64 },
}

/// Both sides by one body: the calls have the same names.
macro_rules! made {
    ($call:expr, $path:expr, $side:expr, $open:expr, $fs:expr, $names:expr) => {{
        let (path, side, fs) = ($path, $side, $fs);
        let Side { handles, locks } = side;
        let held = |at: &u64| handles.get(at).ok_or(ErrorKind::Other);
        match $call {
            Call::Open(name, how) => {
                let file = $open(path(name), *how)?;
                let place = handles.keys().next_back().map_or(0, |last| last + 1) % HANDLES;
                handles.insert(place, file);
            }
            Call::Close(at) => drop(handles.remove(at)),
            Call::Clone(at, to) => {
                let clone = held(at)?.try_clone()?;
                handles.insert(*to, clone);
            }
            Call::ReadAt(at, offset, len) => {
                let mut bytes = vec![0; *len];
                let count = held(at)?.read_at(&mut bytes, *offset)?;
                bytes.truncate(count);
                return Ok(Answer::Bytes(bytes));
            }
            Call::WriteAt(at, offset, bytes) => {
                let file = held(at)?;
                return Ok(Answer::Number(file.write_at(bytes, *offset)? as u64));
            }
            Call::Read(at, len) => {
                let mut bytes = vec![0; *len];
                let mut file = held(at)?;
                let count = file.read(&mut bytes)?;
                bytes.truncate(count);
                return Ok(Answer::Bytes(bytes));
            }
            Call::Write(at, bytes) => {
                let mut file = held(at)?;
                return Ok(Answer::Number(file.write(bytes)? as u64));
            }
            Call::Seek(at, to) => {
                let mut file = held(at)?;
                return Ok(Answer::Number(file.seek(*to)?));
            }
            Call::SetLen(at, len) => held(at)?.set_len(*len)?,
            Call::Len(at) => {
                let found = held(at)?.metadata()?;
                let len = if found.is_dir() { 0 } else { found.len() };
                return Ok(Answer::Found { is_dir: found.is_dir(), len });
            }
            Call::Sync(at) => held(at)?.sync_all()?,
            Call::Rename(from, to) => fs.rename(path(from), path(to))?,
            Call::RemoveFile(name) => fs.remove_file(path(name))?,
            Call::CreateDir(name) => fs.create_dir(path(name))?,
            Call::CreateDirAll(name) => fs.create_dir_all(path(name))?,
            Call::ReadDir(name) => return Ok(Answer::Names($names(path(name))?)),
            Call::ReadAll(name) => return Ok(Answer::Bytes(fs.read(path(name))?)),
            Call::WriteAll(name, bytes) => fs.write(path(name), bytes)?,
            Call::Metadata(name) => {
                let found = fs.metadata(path(name))?;
                let len = if found.is_dir() { 0 } else { found.len() };
                return Ok(Answer::Found { is_dir: found.is_dir(), len });
            }
            Call::ReadExact(at, len) => {
                let mut bytes = vec![0; *len];
                let mut file = held(at)?;
                file.read_exact(&mut bytes)?;
                return Ok(Answer::Bytes(bytes));
            }
            Call::ReadToEnd(at) => {
                let mut bytes = vec![7];
                let mut file = held(at)?;
                let count = file.read_to_end(&mut bytes)?;
                assert_eq!(count + 1, bytes.len());
                return Ok(Answer::Bytes(bytes));
            }
            Call::WriteText(at, number) => {
                let mut file = held(at)?;
                writeln!(file, "{number}: {number:x}")?;
                file.write_all(b".")?;
            }
            Call::RemoveDir(name) => fs.remove_dir(path(name))?,
            Call::RemoveDirAll(name) => fs.remove_dir_all(path(name))?,
            Call::ReadString(name) => {
                return Ok(Answer::Bytes(fs.read_to_string(path(name))?.into_bytes()));
            }
            Call::Copy(from, to) => return Ok(Answer::Number(fs.copy(path(from), path(to))?)),
            Call::Lock(at, name) => drop(locks.insert(*at, fs.lock(path(name))?)),
            Call::Unlock(at) => drop(locks.remove(at)),
        }
        Ok(Answer::Done)
    }};
}

/// What is open on one side.
struct Side<F, L> {
    handles: BTreeMap<u64, F>,
    locks: BTreeMap<u64, L>,
}

impl<F, L> Default for Side<F, L> {
    fn default() -> Self {
        Self { handles: BTreeMap::new(), locks: BTreeMap::new() }
    }
}

type RealSide = Side<fs::File, fs::File>;
type SimulatedSide = Side<SimFile, Box<dyn Lock>>;

/// `std::fs` with the face of a value.
struct RealFs;

impl RealFs {
    fn rename(&self, from: PathBuf, to: PathBuf) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn remove_file(&self, path: PathBuf) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn create_dir(&self, path: PathBuf) -> io::Result<()> {
        fs::create_dir(path)
    }
    fn create_dir_all(&self, path: PathBuf) -> io::Result<()> {
        fs::create_dir_all(path)
    }
    fn read(&self, path: PathBuf) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
    fn write(&self, path: PathBuf, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)
    }
    fn metadata(&self, path: PathBuf) -> io::Result<fs::Metadata> {
        fs::metadata(path)
    }
    fn remove_dir(&self, path: PathBuf) -> io::Result<()> {
        fs::remove_dir(path)
    }
    fn remove_dir_all(&self, path: PathBuf) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
    fn read_to_string(&self, path: PathBuf) -> io::Result<String> {
        fs::read_to_string(path)
    }
    fn copy(&self, from: PathBuf, to: PathBuf) -> io::Result<u64> {
        fs::copy(from, to)
    }
    fn lock(&self, path: PathBuf) -> io::Result<fs::File> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock()?;
        Ok(file)
    }
}

/// A path below the root as it is spelled. That of nothing is nothing.
fn below(root: &Path, name: &str) -> PathBuf {
    let root = root.display();
    PathBuf::from(if name.is_empty() { String::new() } else { format!("{root}/{name}") })
}

fn on_real(root: &Path, side: &mut RealSide, call: &Call) -> io::Result<Answer> {
    let open = |path: PathBuf, how: How| {
        let mut options = fs::OpenOptions::new();
        options.read(how.read).write(how.write).append(how.append).truncate(how.truncate);
        options.create(how.create).create_new(how.create_new).open(path)
    };
    let names = |path: PathBuf| {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        io::Result::Ok(names)
    };
    made!(call, |name: &str| below(root, name), side, open, &RealFs, names)
}

fn on_simulated(sim: &SimFs, side: &mut SimulatedSide, call: &Call) -> io::Result<Answer> {
    let open = |path: PathBuf, how: How| {
        let mut options = OpenOptions::new();
        options.read(how.read).write(how.write).append(how.append).truncate(how.truncate);
        options.create(how.create).create_new(how.create_new).open(sim, path)
    };
    let names = |path: PathBuf| {
        let entries = sim.read_dir(path)?.into_iter();
        let mut names: Vec<String> = entries.map(|entry| entry.name).collect();
        names.sort();
        io::Result::Ok(names)
    };
    made!(call, PathBuf::from, side, open, sim, names)
}

/// Pairs for a rename: of files, of directories, between directories, and in other spellings.
const RENAMES: [(&str, &str); 40] = [
    ("a", "b"),
    ("b", "c"),
    ("c", "a"),
    ("a", "a"),
    ("a", "d"),
    ("d/a", "d/b"),
    ("d/b", "d/a"),
    ("e/a", "e/b"),
    ("a/x", "a/y"),
    ("./a", "b"),
    ("a", "//b"),
    ("d//a", "./d/b"),
    ("a/", "b"),
    ("a", "b/"),
    ("a/.", "b"),
    ("b", "d/."),
    ("", "a"),
    ("a", ""),
    (".", "a"),
    ("e/a", "b/"),
    ("d", "b"),
    ("b", "d"),
    ("d", "e"),
    ("e", "d"),
    ("d", "e"),
    ("e", "d"),
    ("d", "d"),
    ("d", "d/x"),
    ("d/a", "d"),
    ("d", "e/a"),
    ("d/", "e"),
    ("e", "d/"),
    ("d", "a/"),
    ("a", "d/"),
    ("d/a", "b"),
    ("a", "d/b"),
    ("b", "e/a"),
    ("e/a", "d/a"),
    ("d/.", "e"),
    ("d/a", "d/b/"),
];

fn path(dice: &mut Stream) -> &'static str {
    match dice.chance(1, 6) {
        true => dice.pick::<&str>(&SPELLINGS),
        false => dice.pick::<&str>(&PATHS),
    }
}

fn bytes(dice: &mut Stream) -> Vec<u8> {
    let byte = u8::try_from(dice.below(256)).expect("a byte");
    vec![byte; dice.index(3000)]
}

fn drawn(dice: &mut Stream) -> Call {
    match dice.below(36) {
        0..=5 => {
            let mut coin = || dice.chance(1, 2);
            let how = How {
                read: coin(),
                write: coin(),
                append: coin() && coin() && coin(),
                truncate: coin() && coin(),
                create: coin(),
                create_new: coin() && coin() && coin(),
            };
            Call::Open(path(dice), how)
        }
        6..=22 => drawn_of_handles(dice),
        _ => drawn_of_names(dice),
    }
}

fn drawn_of_handles(dice: &mut Stream) -> Call {
    let at = dice.below(HANDLES);
    match dice.below(17) {
        0 => Call::Close(at),
        1 => Call::Clone(at, dice.below(HANDLES)),
        2 | 3 => Call::ReadAt(at, dice.below(6000), dice.index(4000)),
        4 | 5 => Call::WriteAt(at, dice.below(6000), bytes(dice)),
        6 => Call::Read(at, dice.index(4000)),
        7 => Call::Write(at, bytes(dice)),
        8 => {
            let by = i64::try_from(dice.below(4000)).expect("it is small") - 2000;
            let to = match dice.below(3) {
                0 => SeekFrom::Start(dice.below(6000)),
                1 => SeekFrom::Current(by),
                _ => SeekFrom::End(by),
            };
            Call::Seek(at, to)
        }
        9..=11 => Call::SetLen(at, dice.below(6000)),
        12 => Call::Len(at),
        13 => Call::Sync(at),
        14 => Call::ReadExact(at, dice.index(3000)),
        15 => Call::ReadToEnd(at),
        _ => Call::WriteText(at, dice.below(10_000)),
    }
}

fn drawn_of_names(dice: &mut Stream) -> Call {
    let name = |dice: &mut Stream, names: &[&'static str]| *dice.pick::<&str>(names);
    match dice.below(14) {
        0..=2 => {
            let (from, to) = *dice.pick(&RENAMES);
            Call::Rename(from, to)
        }
        3 => Call::RemoveFile(path(dice)),
        4 => Call::CreateDir(path(dice)),
        5 => {
            let names = ["d", "e", "d", "a/x/y", "", "d/", "e/.", "a/.", "a/", "d/./e"];
            Call::CreateDirAll(name(dice, &names))
        }
        6 => Call::ReadDir(name(dice, &[".", "d", "e", "a", "", "d/", "a/", "./d"])),
        7 => Call::RemoveDir(name(dice, &["d", "e", "d/", "e/.", "a", "a/", ".", "", "d/b"])),
        8 => Call::RemoveDirAll(name(dice, &["d/b", "e", "d/", "a", "", "d/b", "e/."])),
        9 => Call::ReadAll(path(dice)),
        10 => Call::ReadString(path(dice)),
        11 => Call::Copy(path(dice), path(dice)),
        12 => match dice.chance(1, 2) {
            true => Call::WriteAll(path(dice), bytes(dice)),
            false => Call::Metadata(path(dice)),
        },
        _ => match dice.chance(1, 2) {
            true => Call::Lock(dice.below(HANDLES), path(dice)),
            false => Call::Unlock(dice.below(HANDLES)),
        },
    }
}

/// Whether two paths are in two directories, as the system sees it.
fn cross_directories(root: &Path, from: &str, to: &str) -> bool {
    let parent = |name: &str| {
        let path = below(root, name);
        fs::canonicalize(path.parent().expect("it is below the root")).expect("it is there")
    };
    parent(from) != parent(to)
}

#[test]
fn random_calls_of_the_face_like_std_get_the_answers_of_std() {
    let (mut successes, mut cuts, mut removals, mut crossings) = (0, 0, 0, 0);
    let mut failures = BTreeMap::<String, u32>::new();
    for seed in 0..SEEDS {
        let mut dice = Stream::new(seed);
        let real = tempfile::tempdir().expect("the system has a temporary directory");
        let (mut on_std, mut here) = (RealSide::default(), SimulatedSide::default());
        let sim = SimFs::new();
        let mut calls = Vec::new();
        let first = [Call::CreateDir("d"), Call::WriteAll("d/a", vec![1]), Call::CreateDir("e")];
        let mut first = first.into_iter().take(dice.index(4));
        for _ in 0..CALLS {
            let call = first.next().unwrap_or_else(|| drawn(&mut dice));
            // Where the end of a directory is, each filesystem says for itself.
            let of_directory = |at: &u64| {
                let found = on_std.handles.get(at).map(|file| file.metadata());
                found.is_some_and(|found| found.is_ok_and(|found| found.is_dir()))
            };
            if matches!(&call, Call::Seek(at, _) if of_directory(at)) {
                continue;
            }
            calls.push(format!("{call:.70?}"));
            let found = on_simulated(&sim, &mut here, &call).map_err(|e| e.kind());
            if let (Call::Rename(from, to), Err(ErrorKind::CrossesDevices)) = (&call, &found) {
                assert!(cross_directories(real.path(), from, to), "{from} to {to}");
                crossings += 1;
                continue;
            }
            let expected = on_real(real.path(), &mut on_std, &call).map_err(|e| e.kind());
            let told = || format!("seed {seed}, after:\n{}", calls.join("\n"));
            assert!(expected == found, "std {expected:.90?}, here {found:.90?}, {}", told());
            match expected {
                Ok(_) => successes += 1,
                Err(kind) => *failures.entry(kind.to_string()).or_default() += 1,
            }
            removals += u32::from(matches!(&call, Call::RemoveDir(..)) && found.is_ok());
            cuts += u32::from(matches!(&call, Call::SetLen(..)) && found.is_ok());
        }
        for name in PATHS {
            let expected = fs::read(real.path().join(name)).map_err(|e| e.kind());
            assert_eq!(sim.read(Path::new("/").join(name)).map_err(|e| e.kind()), expected);
        }
    }
    assert!(successes > SEEDS * CALLS as u64 / 5, "only {successes} calls succeeded");
    assert!(cuts > 400, "only {cuts} changes of length");
    assert!(removals > 20 && crossings > 20, "{removals} removals, {crossings} crossings");
    assert!(failures.len() >= 12, "too few kinds of failure: {failures:?}");
}

#[test]
fn rename_into_another_directory_is_told_as_another_device() {
    let fs = SimFs::new();
    fs.create_dir("/d").expect("the name is free");
    fs.write("/a", "bytes").expect("no call fails");
    assert_eq!(fs.rename("/a", "/d/a").map_err(|e| e.kind()), Err(ErrorKind::CrossesDevices));
    assert_eq!(fs.rename("/b", "/d/a").map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    assert!(fs.exists("/a"));
}

#[test]
fn what_a_directory_handle_syncs_is_the_names() {
    let fs = SimFs::new();
    let mut file = fs.create_new("/a").expect("the name is free");
    file.write_all(b"bytes").expect("no call fails");
    file.sync_all().expect("no call fails");
    let nothing = quiver_sim::disk::Policy::Nothing;
    assert!(!fs.lose_power(nothing, 1).exists("/a"));
    fs.open("/").and_then(|directory| directory.sync_all()).expect("no call fails");
    assert_eq!(fs.lose_power(nothing, 1).read("/a").expect("it is durable"), b"bytes");
}
