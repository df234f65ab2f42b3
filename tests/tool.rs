//! The tool `quiver`: what an operator sees of good, broken and wrong things, and the exit codes.

#![expect(
    clippy::disallowed_methods,
    reason = "it runs a program on the real disk, and damages files there"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A directory with a store of 300 rows, `s`, and the rows in a file, `rows.jsonl`.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let rows = |row| format!("{{\"id\":\"r{row:04}\",\"vector\":[{row},0.5],\"n\":{row}}}\n");
        fs::write(bench.path("rows.jsonl"), (0..300).map(rows).collect::<String>()).expect("room");
        let create = ["--create", "--dim", "2", "--field", "n:numeric"];
        bench.ok(&[&["import", "s", "a", "rows.jsonl"], &create[..]].concat());
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_quiver"));
        tool.args(arguments).current_dir(self.dir.path()).output().expect("it was built")
    }

    /// What it answers where nothing is wrong.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        assert!(errors.is_empty(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What it answers and says where something is: with this exit code.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// The only file of a store with this at the end of its name.
    fn file(&self, store: &str, end: &str) -> PathBuf {
        let entries = fs::read_dir(self.path(store)).expect("a store");
        let mut paths = entries.map(|entry| entry.expect("listed").path());
        paths.find(|path| path.to_string_lossy().ends_with(end)).expect("there is one")
    }

    fn flip(path: &Path, at: usize) {
        let mut bytes = fs::read(path).expect("there");
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("room");
    }
}

#[test]
fn rows_go_in_come_out_and_are_looked_at() {
    let bench = Bench::new();
    let stats: Value = serde_json::from_str(&bench.ok(&["stats", "s", "--json"])).expect("JSON");
    assert_eq!((&stats["rows"], &stats["collections"][0]["name"]), (&300.into(), &"a".into()));
    assert!(bench.ok(&["stats", "s"]).contains("a           1   2 x f32  Cosine  300   n:numeric"));
    bench.ok(&["compact", "s"]);
    assert!(bench.ok(&["verify", "s"]).starts_with("sound: "));
    assert!(bench.ok(&["verify", "s", "--stored"]).starts_with("sound: "));
    bench.ok(&["export", "s", "a", "--out", "out.jsonl"]);
    bench.ok(&["import", "t", "a", "out.jsonl", "--create", "--dim", "2"]);
    assert_eq!(bench.ok(&["export", "t", "a"]), bench.ok(&["export", "s", "a"]));
    assert!(bench.fails(3, &["export", "s", "a", "--out", "out.jsonl"]).contains("exists"));
    let dumped = bench.ok(&["dump", "s", "--json"]);
    let items: Vec<Value> =
        dumped.lines().map(|line| serde_json::from_str(line).expect("a line each")).collect();
    assert!(items.iter().any(|item| item["item"] == "segment" && item["rows"] == 300));
    let segment = bench.file("s", ".seg");
    let segment = segment.to_str().expect("text");
    let rows = bench.ok(&["dump", segment, "--no-pages"]);
    assert!(rows.contains("row id=r0299 payload={\"n\":299}"), "{rows}");
}

#[test]
fn columns_of_a_segment_are_shown_one_by_one() {
    let bench = Bench::new();
    bench.ok(&["compact", "s"]);
    let segment = bench.file("s", ".seg");
    let segment = segment.to_str().expect("text").to_owned();
    let items = |column: &str| -> Vec<Value> {
        let shown = bench.ok(&["dump", &segment, "--column", column, "--json"]);
        shown.lines().map(|line| serde_json::from_str(line).expect("a line each")).collect()
    };
    let of = |items: &[Value], kind: &str| items.iter().filter(|item| item["item"] == kind).count();
    let ids = items("ids");
    assert_eq!((of(&ids, "id page"), of(&ids, "id"), &ids[300]["id"]), (1, 300, &"r0299".into()));
    let directory = items("directory");
    let last = &directory[299];
    assert_eq!((&last["row"], &last["payload_bytes"]), (&299.into(), &9.into()), "{last}");
    assert_eq!((&last["vector_at"], &last["vector_bytes"]), (&2392.into(), &8.into()), "{last}");
    assert_eq!(items("vectors")[7]["vector"], serde_json::json!([7.0, 0.5]));
    assert_eq!(items("payloads")[7]["payload"], "{\"n\":7}");
    let indexes = items("indexes");
    let index = &indexes[0];
    assert_eq!((indexes.len(), &index["field"]), (1, &"n:numeric".into()));
    assert_eq!((&index["terms"], &index["rows_with_a_value"]), (&300.into(), &300.into()));
    let filter = items("filter");
    assert_eq!(filter[0]["blocks"], of(&filter, "filter block"), "{}", filter[0]);
    // Without its store nobody knows of what type the elements are.
    fs::copy(&segment, bench.path("copy.seg")).expect("room");
    let text = bench.ok(&["dump", "copy.seg", "--column", "vectors", "--limit", "2"]);
    assert_eq!(text.lines().last(), Some("vector row=1 vector=0000803f0000003f"), "{text}");
    assert!(bench.fails(2, &["dump", "s", "--column", "ids"]).contains("name its file"));
    assert!(bench.fails(2, &["dump", "s/CURRENT", "--column", "ids"]).contains("is no segment"));
}

#[test]
fn a_damaged_column_is_shown_around_the_damage() {
    let dir = Bench::new();
    let rows = |row| format!("{{\"id\":\"r{row:05}\",\"vector\":[{row},0.5],\"n\":{row}}}\n");
    fs::write(dir.path("more.jsonl"), (0..6000).map(rows).collect::<String>()).expect("room");
    dir.ok(&["import", "t", "a", "more.jsonl", "--create", "--dim", "2"]);
    dir.ok(&["compact", "t"]);
    let segment = dir.file("t", ".seg");
    let of = |column: &str| -> Vec<(bool, Value)> {
        let output =
            dir.run(&["dump", segment.to_str().expect("text"), "--column", column, "--json"]);
        let text = String::from_utf8(output.stdout).expect("text");
        let item = |line| serde_json::from_str::<Value>(line).expect("a line each");
        text.lines().map(item).map(|item| (item.get("error").is_some(), item)).collect()
    };
    assert!(of("vectors").iter().all(|(failed, _)| !failed));
    // The page that the first vectors are in.
    let bytes = fs::read(&segment).expect("there");
    let first = [0, 0, 0, 0, 0, 0, 0, 0x3f, 0, 0, 0x80, 0x3f];
    let at = bytes.windows(first.len()).position(|found| found == first).expect("rows 0 and 1");
    Bench::flip(&segment, at);
    let vectors = of("vectors");
    let failed = vectors.iter().filter(|(failed, _)| *failed).count();
    assert!(vectors.len() == 6000 && failed > 0 && failed < 6000, "{failed} failed");
    assert!(of("ids").iter().all(|(failed, _)| !failed));
}

#[test]
fn a_backup_is_made_once_and_restored() {
    let bench = Bench::new();
    assert!(bench.ok(&["backup", "s", "b"]).contains("every page was checked"));
    assert!(bench.fails(2, &["backup", "s", "b"]).contains("holds a store"));
    assert!(bench.fails(2, &["restore", "b", "s"]).contains("holds a store"));
    fs::create_dir(bench.path("full")).expect("free");
    fs::write(bench.path("full/notes.txt"), "mine").expect("room");
    assert!(bench.fails(2, &["restore", "b", "full"]).contains("notes.txt"));
    assert_eq!(fs::read_dir(bench.path("full")).expect("there").count(), 1);
    bench.ok(&["restore", "b", "again"]);
    assert_eq!(bench.ok(&["export", "again", "a"]), bench.ok(&["export", "s", "a"]));
    // A copy of half of the files.
    fs::create_dir(bench.path("half")).expect("free");
    fs::copy(bench.file("b", ".wal"), bench.path("half/log-0000000002-00000000.wal"))
        .expect("room");
    assert!(bench.fails(1, &["restore", "half", "x"]).contains("CURRENT is missing"));
}

#[test]
fn damage_is_named_and_what_can_be_read_is_saved() {
    let bench = Bench::new();
    bench.ok(&["compact", "s"]);
    bench.ok(&["backup", "s", "b"]);
    let segment = bench.file("s", ".seg");
    let name = segment.file_name().and_then(|name| name.to_str()).expect("text").to_owned();
    Bench::flip(&segment, 1000);
    for arguments in [&["verify", "s"][..], &["verify", "s", "--stored"], &["dump", "s/../s"]] {
        if arguments[0] == "verify" {
            let said = bench.fails(1, arguments);
            assert!(said.contains(&name) && said.contains("quiver salvage"), "{said}");
        }
    }
    assert!(bench.fails(1, &["dump", segment.to_str().expect("text")]).contains("ERROR page 0"));
    assert!(bench.fails(1, &["backup", "s", "c"]).contains(&name));
    let said = bench.fails(1, &["salvage", "s", "new"]);
    assert!(said.contains("rows of 1 collections copied into new"), "{said}");
    assert!(bench.ok(&["verify", "new"]).starts_with("sound: "));
    // The backup is as it was.
    assert!(bench.ok(&["verify", "b"]).starts_with("sound: "));
    fs::remove_file(bench.file("b", "CURRENT")).expect("there");
    let said = bench.fails(1, &["stats", "b", "--json"]);
    let error: Value = serde_json::from_str(said.trim()).expect("JSON");
    assert_eq!(error["exit_code"], 1);
}

#[test]
fn wrong_things_are_told_with_what_is_right() {
    let bench = Bench::new();
    fs::write(bench.path("odd"), "no store's").expect("room");
    for (code, arguments, said) in [
        (2, &[][..], "Usage: quiver"),
        (2, &["frobnicate"], "unrecognized subcommand"),
        (2, &["stats"], "<DIR>"),
        (2, &["stats", "nowhere"], "holds no store"),
        (2, &["stats", "odd"], "is a file; a store is a directory"),
        (2, &["dump", "odd"], "neither its name nor its first bytes"),
        (2, &["dump", "nowhere"], "there is no"),
        (2, &["export", "s", "b"], "there are: a"),
        (2, &["import", "s", "b", "rows.jsonl"], "--create makes it"),
        (2, &["import", "s", "b", "rows.jsonl", "--create"], "--dim"),
        (2, &["import", "s", "a", "odd"], "ends in .jsonl"),
        (3, &["import", "s", "a", "gone.jsonl"], "cannot open gone.jsonl"),
        (2, &["import", "s", "a", "rows.jsonl", "--create", "--dim", "2", "--dtype", "f8"], "f16"),
        (2, &["compact", "nowhere"], "holds no store"),
        (2, &["salvage", "nowhere", "x"], "holds no store"),
    ] {
        let found = bench.fails(code, arguments);
        assert!(found.contains(said), "{arguments:?}: {found}");
    }
    assert!(!bench.path("nowhere").exists() && !bench.path("x").exists());
    let store = quiver_store::Store::open(bench.path("s")).expect("it is there");
    assert!(bench.fails(4, &["stats", "s"]).contains("open already"));
    drop(store);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let bench = Bench::new();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_quiver"));
    tool.args(["export", "s", "a"]).current_dir(bench.dir.path());
    let mut running =
        tool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    drop(running.stdout.take());
    let ended = running.wait_with_output().expect("it ends");
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}
