//! A key-value file of a hundred lines is tested, its bug found, made small, told, and fixed:
//! `cargo run --release -p quiver-sim --example kv`.
//!
//! The store keeps its rows in memory and saves them as a whole with each change: to a new file, which
//! is then renamed into place. That much everybody knows. What is easily forgotten is what the
//! rename promises, which is nothing: neither that the bytes are there, nor that the name is.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeMap;
use std::io::Write;

use quiver_sim::fs::SimFs;
use quiver_sim::stream::Stream;
use quiver_sim::subject::{Case, Options, Report, Result, Subject, explore, replay};

type Rows = BTreeMap<String, String>;

/// The store. In a program of yours it would take a trait of your own that `std::fs` and [`SimFs`] both
/// implement, or be made for one of the two by a type parameter.
struct KvFile {
    fs: SimFs,
    rows: Rows,
    care: Care,
}

/// How careful it is when it saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// It renames, and hopes.
    None,
    /// It syncs the bytes before it renames.
    SyncsFile,
    /// It syncs the name, too.
    SyncsFileAndName,
}

impl KvFile {
    fn open(fs: &SimFs, care: Care) -> Result<Self> {
        let mut rows = Rows::new();
        if fs.exists("/kv") {
            let text = String::from_utf8(fs.read("/kv")?)?;
            for line in text.lines() {
                let (key, value) = line.split_once('=').ok_or("a line without a value")?;
                rows.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(Self { fs: fs.clone(), rows, care })
    }

    fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let mut rows = self.rows.clone();
        rows.insert(key.to_owned(), value.to_owned());
        self.save(rows)
    }

    fn remove(&mut self, key: &str) -> Result<()> {
        let mut rows = self.rows.clone();
        rows.remove(key);
        self.save(rows)
    }

    /// Rows are taken over when they are on disk, so that a change that failed is not seen.
    fn save(&mut self, rows: Rows) -> Result<()> {
        let mut file = self.fs.create("/kv.tmp")?;
        for (key, value) in &rows {
            writeln!(file, "{key}={value}")?;
        }
        if self.care != Care::None {
            file.sync_all()?;
        }
        self.fs.rename("/kv.tmp", "/kv")?;
        if self.care == Care::SyncsFileAndName {
            self.fs.sync_dir("/")?;
        }
        self.rows = rows;
        Ok(())
    }
}

/// What the simulator has to know of it.
struct Tested(Care);

#[derive(Clone, Debug)]
enum Op {
    Put(&'static str, String),
    Remove(&'static str),
}

impl Subject for Tested {
    type Op = Op;
    type State = Rows;
    type Store = KvFile;

    fn open(&self, fs: &SimFs) -> Result<KvFile> {
        KvFile::open(fs, self.0)
    }

    fn draw(&self, dice: &mut Stream) -> Op {
        let key = *dice.pick(&["apple", "pear", "plum"]);
        // Some values are longer than a sector, so that a write can be torn.
        let len = if dice.chance(1, 3) { dice.size(500, 900) } else { dice.size(0, 9) };
        if dice.chance(1, 4) { Op::Remove(key) } else { Op::Put(key, "x".repeat(len)) }
    }

    fn model(&self, rows: &mut Rows, op: &Op) {
        match op {
            Op::Put(key, value) => drop(rows.insert((*key).to_owned(), value.clone())),
            Op::Remove(key) => drop(rows.remove(*key)),
        }
    }

    fn apply(&self, store: &mut KvFile, op: &Op) -> Result<()> {
        match op {
            Op::Put(key, value) => store.put(key, value),
            Op::Remove(key) => store.remove(key),
        }
    }

    fn observe(&self, store: &mut KvFile) -> Result<Rows> {
        Ok(store.rows.clone())
    }

    /// It reads what a killed process renamed and did not sync, and does not sync it itself.
    fn keeps_what_it_showed(&self) -> bool {
        false
    }
}

/// A failed sync of a directory loses a name for good, and only another rename brings it back: this
/// store does not promise to live with failing disks.
fn options() -> Options {
    Options { seeds: 0..40, faults: false, ..Options::default() }
}

fn test(care: Care) -> Report {
    explore(Tested(care), &options())
}

fn main() {
    for care in [Care::None, Care::SyncsFile, Care::SyncsFileAndName] {
        let report = test(care);
        println!("== {care:?}\n{report}");
        if let Some(case) = report.found.first().and_then(|found| found.case.as_ref()) {
            // What was printed is all that a test needs to keep.
            let case: Case = case.to_string().parse().expect("it was printed");
            let again = replay(&Tested(care), &options(), &case).expect("it is the same store");
            println!("replayed: {}\n", again.finding.expect("it fails again"));
        }
    }
}

#[test]
fn both_bugs_are_found_with_one_operation_and_the_fixed_store_passes() {
    for care in [Care::None, Care::SyncsFile] {
        let report = test(care);
        let found = report.found.first().unwrap_or_else(|| panic!("{care:?} passes: {report}"));
        let case = found.case.as_ref().expect("a crash can be made again").to_string();
        let case: Case = case.parse().expect("it was printed");
        assert!(case.acts() <= 1, "{report}");
        let again = replay(&Tested(care), &options(), &case).expect("it is the same store");
        assert!(again.finding.is_some(), "{report}");
        // The same crash does no harm to the fixed one, or is none of its crashes.
        let fixed = replay(&Tested(Care::SyncsFileAndName), &options(), &case);
        match fixed {
            Ok(replayed) => assert_eq!(replayed.finding, None, "{case}"),
            // Only a call that the other one does not make is missing.
            Err(why) => assert_eq!(care, Care::SyncsFile, "{case}: {why}"),
        }
    }
    test(Care::SyncsFileAndName).assert_clean();
}
