//! `quiver-sim shrink`, `replay` and `corpus` as a user meets them: arguments, files that are not as
//! they should be, directories that cannot be written, Ctrl-C, a pipe that nobody reads.
//!
//! - Each error is one line that says what to do, with an exit code of the table in
//!   `sim/src/command/mod.rs`; none is a panic, and none leaves a file behind or changes one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use quiver_sim::repro::Reproducer;
use tempfile::TempDir;

/// What to do about a file that cannot be read, in every error about one.
const RESTORE: &str =
    "restore it, play it with the program that wrote it, or shrink its violation again";

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quiver-sim"));
    command.current_dir(dir).env("RUST_BACKTRACE", "0");
    command
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    program(dir).args(arguments).output().expect("the program starts")
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The command ends with this code, nothing on its output, and an error that contains the words.
fn is_refused(dir: &Path, arguments: &[&str], code: i32, says: &[&str]) {
    let Output { status, stdout, stderr } = run(dir, arguments);
    let (out, error) = (words(&stdout), words(&stderr));
    assert_eq!(status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.starts_with("error: ") && !error.contains("panicked"), "{arguments:?}: {error}");
    assert_eq!(out, "", "{arguments:?}");
    for word in says {
        assert!(error.contains(word), "{arguments:?} does not say {word:?}: {error}");
    }
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim")
}

fn planted() -> String {
    fs::read_to_string(corpus().join("planted-toy-forgets-deletes.repro")).expect("it is kept")
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("it is there");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("a name").file_name();
    let mut names: Vec<String> =
        files.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn wrong_arguments_are_told_what_is_right() {
    let dir = folder();
    let dir = dir.path();
    fs::write(dir.join("it.repro"), planted()).expect("a temporary file");
    let cases: [(&[&str], &[&str]); 11] = [
        (&["shrink"], &["SEED:POINT:IMAGE", ".repro file", "--case", "--mutant NAME"]),
        (&["shrink", "1:2"], &["has a point without an image"]),
        (&["shrink", "--mutant", "nobody"], &["there is no planted bug", "lying-sync"]),
        (&["shrink", "it.repro", "--mutant", "lying-sync"], &["leave --mutant and --violates out"]),
        (&["shrink", "it.repro", "--violates", "I1"], &["leave --mutant and --violates out"]),
        (&["shrink", "1", "--violates", "I99"], &["expected one of I1,"]),
        (&["shrink", "1", "--minutes", "0"], &["not in 1.."]),
        (&["shrink", "--case", "a+b"], &["expected HISTORY+FAULT@PROCESS.CALL~DICE"]),
        (&["shrink", "1", "--case", "a~0"], &["cannot be used with"]),
        (&["replay"], &["<TARGET>"]),
        (&["replay", "4711:x"], &["4711:x"]),
    ];
    for (arguments, says) in cases {
        is_refused(dir, arguments, 2, says);
    }
    is_refused(dir, &["shrink", "--case", "nobody~0"], 1, &["there is no history \"nobody\""]);
    assert_eq!(names(dir), ["it.repro"]);
}

#[test]
fn what_is_not_there_is_named() {
    let dir = folder();
    let dir = dir.path();
    for command in ["replay", "shrink"] {
        let says = ["none.repro: ", "give an address SEED:POINT:IMAGE or a .repro file"];
        is_refused(dir, &[command, "none.repro"], 2, &says);
        is_refused(dir, &[command, "."], 2, &["error: .: ", "or a .repro file"]);
    }
    let advice = "begin in the repository, or name the directory";
    is_refused(dir, &["corpus"], 2, &["corpus/sim", advice]);
    is_refused(dir, &["corpus", "none"], 2, &["none", advice]);
    is_refused(dir, &["corpus", "."], 2, &["has no .repro", advice]);
    assert_eq!(names(dir), [""; 0]);
}

#[test]
fn damaged_and_foreign_files_are_refused_with_the_line_and_left_alone() {
    let dir = folder();
    let dir = dir.path();
    let whole = planted();
    let cut = |at: usize| whole.as_bytes()[..at].to_vec();
    let cases: [(Vec<u8>, &str); 7] = [
        (Vec::new(), "line 1: expected `quiver-sim`"),
        (b"\xff\xfe\x00".to_vec(), "it is no text"),
        (
            whole.replace("reproducer 1", "reproducer 2").into(),
            "format version 2, this program knows 1",
        ),
        (whole.replace("upsert", "upsett").into(), "expected an operation, found `upsett`"),
        (whole.replace("toy/forgets-deletes", "toy/unknown").into(), "there is no planted bug"),
        (cut(whole.find("open").expect("each file opens")), "no `open` line"),
        (cut(whole.find("nothing").expect("it loses power")), "expected nothing or everything"),
    ];
    for (bytes, says) in cases {
        fs::write(dir.join("it.repro"), &bytes).expect("a temporary file");
        let advice = if says.starts_with("there is no planted") { "there are" } else { RESTORE };
        for command in ["replay", "shrink"] {
            is_refused(dir, &[command, "it.repro"], 2, &["it.repro: ", says, advice]);
        }
        assert_eq!(fs::read(dir.join("it.repro")).expect("it is there"), bytes);
        assert_eq!(names(dir), ["it.repro"]);
        let all = run(dir, &["corpus", "."]);
        let foreign = advice != RESTORE;
        assert_eq!(all.status.code(), Some(if foreign { 1 } else { 2 }), "{says}");
        assert!(words(&all.stdout).contains(says), "{}", words(&all.stdout));
    }
}

#[test]
fn a_file_that_does_not_show_what_it_says_is_not_shrunk() {
    let dir = folder();
    let dir = dir.path();
    // The engine itself forgets no deletes.
    let open =
        planted().replace("planted toy/forgets-deletes", "open").replace("shrinks-to 3\n", "");
    fs::write(dir.join("it.repro"), &open).expect("a temporary file");
    is_refused(dir, &["shrink", "it.repro"], 1, &["does not reproduce", "`fixed`"]);
    assert_eq!(fs::read_to_string(dir.join("it.repro")).expect("it is there"), open);
    let replayed = run(dir, &["replay", "it.repro"]);
    assert_eq!(replayed.status.code(), Some(0));
    assert!(words(&replayed.stdout).contains("no violation"));
    let stray = planted().replace("crash after", "crash before rename 9");
    fs::write(dir.join("it.repro"), stray).expect("a temporary file");
    let says = ["does not fit this run any more", "there is no 9", "shrink it again"];
    is_refused(dir, &["replay", "it.repro"], 2, &says);
    // That is what it says, and so it is.
    let again = run(dir, &["shrink", "it.repro"]);
    assert_eq!(again.status.code(), Some(0), "{}", words(&again.stderr));
    assert_eq!(run(dir, &["replay", "it.repro"]).status.code(), Some(1));
}

#[test]
fn what_cannot_be_written_is_refused_before_any_work() {
    let dir = folder();
    let dir = dir.path();
    fs::write(dir.join("file"), "as it was").expect("a temporary file");
    fs::write(dir.join("it.repro"), planted()).expect("a temporary file");
    fs::create_dir(dir.join("folder")).expect("a temporary directory");
    for out in ["none/it.repro", "file/it.repro", "folder"] {
        let says = ["cannot write", out, "say where to with --out FILE"];
        is_refused(dir, &["shrink", "it.repro", "--out", out], 2, &says);
    }
    let read_only = dir.join("folder");
    let mut permissions = fs::metadata(&read_only).expect("it is there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&read_only, permissions).expect("it is ours");
    // Not for one who may do everything.
    if fs::write(read_only.join("probe"), "").is_err() {
        let says = ["cannot write folder/x.repro", "say where to with --out FILE"];
        is_refused(dir, &["shrink", "it.repro", "--out", "folder/x.repro"], 2, &says);
    }
    assert_eq!(fs::read_to_string(dir.join("file")).expect("it is there"), "as it was");
    fs::write(dir.join("planted-lying-sync.repro"), "mine").expect("a temporary file");
    let says = ["is there already", "--out"];
    is_refused(dir, &["shrink", "--mutant", "lying-sync"], 2, &says);
    // None of these is found within the bound of the search, nor is there anything in the others.
    let bug = "toy/keeps-dead-rows";
    fs::write(dir.join("planted-toy-keeps-dead-rows.repro"), "mine").expect("a temporary file");
    is_refused(dir, &["shrink", "--mutant", bug], 2, &says);
    let begins: [&[&str]; 4] =
        [&["--mutant", bug], &["--case", "nobody~0"], &["--sequence", "+a"], &["1:0:0"]];
    for begin in begins {
        let arguments = [&["shrink", "--out", "none/it.repro"], begin].concat();
        is_refused(dir, &arguments, 2, &["cannot write none/it.repro", "--out FILE"]);
    }
    assert!(names(dir).iter().all(|name| !name.ends_with(".new")), "{:?}", names(dir));
}

#[test]
fn a_planted_bug_is_found_shrunk_written_and_played() {
    let dir = folder();
    let dir = dir.path();
    let Output { status, stdout, stderr } = run(dir, &["shrink", "--mutant", "lying-sync"]);
    assert_eq!(status.code(), Some(0), "{}", words(&stderr));
    let text = fs::read_to_string(dir.join("planted-lying-sync.repro")).expect("it was written");
    let out = words(&stdout);
    assert!(out.starts_with(&text), "{out}");
    for part in ["before: ", "after:  ", " s, nothing smaller", "replay with: ", "#[test]\nfn "] {
        assert!(out.contains(part), "no {part:?}: {out}");
    }
    assert!(Reproducer::parse(&text).is_ok_and(|file| file.verdict().as_said));
    let replayed = run(dir, &["replay", "planted-lying-sync.repro", "--trace"]);
    assert_eq!(replayed.status.code(), Some(1));
    assert!(words(&replayed.stdout).contains("with the planted bug lying-sync"));
    fs::write(dir.join("crash.repro"), planted()).expect("a temporary file");
    let dumped = run(dir, &["replay", "crash.repro", "--dump", "image"]);
    assert_eq!(dumped.status.code(), Some(1), "{}", words(&dumped.stderr));
    assert!(words(&dumped.stdout).contains("files of the image are in image"));
    assert_ne!(names(&dir.join("image")), [""; 0]);
    is_refused(dir, &["replay", "1:0:0", "--dump", "."], 2, &["the directory is not empty"]);
    let all = run(dir, &["corpus", "."]);
    assert_eq!(all.status.code(), Some(0), "{}", words(&all.stdout));
    // An open one is wrong for as long as it is open.
    fs::write(dir.join("open.repro"), text.replace("planted lying-sync", "open"))
        .expect("a temporary file");
    let all = run(dir, &["corpus", "."]);
    assert!(words(&all.stdout).contains("its status may be `fixed` now"), "{all:?}");
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error_without_a_panic() {
    let dir = corpus();
    let bug = "planted-toy-forgets-deletes.repro";
    for arguments in [&["corpus", "."][..], &["replay", bug, "--trace"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = program(&dir).args(arguments).stdout(writer).stderr(Stdio::piped()).spawn();
        let child = child.expect("the program starts");
        let Output { status, stderr, .. } = child.wait_with_output().expect("it ends");
        let error = words(&stderr);
        // What is played is a violation, whoever reads of it.
        let code = if arguments[0] == "replay" { 1 } else { 2 };
        assert_eq!(status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.starts_with("error: cannot print: "), "{arguments:?}: {error}");
    }
}

#[test]
fn a_shard_of_sequences_that_has_none_is_refused_and_a_report_says_what_it_is_of() {
    let dir = folder();
    let dir = dir.path();
    let says = ["shard 10/16 has no sequence of length 3", "take fewer of them"];
    is_refused(dir, &["exhaust", "--shard", "10/16", "--depth", "3"], 2, &says);
    let report = |more: &[&str]| {
        let arguments = [&["exhaust", "--images-max", "4", "--json", "it.json"], more].concat();
        let done = run(dir, &arguments);
        assert_eq!(done.status.code(), Some(0), "{}", words(&done.stderr));
        let text = fs::read_to_string(dir.join("it.json")).expect("it was written");
        serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON")
    };
    let shard = report(&["--depth", "1", "--shard", "1/1"]);
    assert_eq!(shard["format"], "quiver-sim exhaust report");
    assert_eq!((&shard["depth"], shard["shard"].to_string()), (&1.into(), "[1,1]".to_owned()));
    let one = report(&["--sequence", "+a; kill"]);
    assert_eq!(one["sequence"], "+a; kill");
    assert!(one["depth"].is_null(), "{one}");
}

/// A run of next to nothing.
const SHORT: [&str; 6] = ["run", "--seeds", "1", "--no-sweep", "--no-damage", "--no-swarm"];

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_leaves_the_table_and_the_other_one() {
    let dir = folder();
    let dir = dir.path();
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--json", "/dev/full", "--html", "page.html"]);
    let Output { status, stdout, stderr } = run(dir, &arguments);
    let (out, error) = (words(&stdout), words(&stderr));
    assert_eq!(status.code(), Some(2), "{error}");
    assert!(out.contains("images checked per second"), "{out}");
    assert!(error.contains("error: counters stayed at zero: "), "{error}");
    assert!(error.contains("error: cannot write the report /dev/full: No space"), "{error}");
    let page = fs::read_to_string(dir.join("page.html")).expect("it was written");
    assert!(page.ends_with("</html>\n"));
    let bug = corpus().join("planted-toy-forgets-deletes.repro");
    let bug = bug.to_str().expect("a name");
    let Output { status, stdout, stderr } = run(dir, &["replay", bug, "--html", "/dev/full"]);
    assert_eq!(status.code(), Some(1), "a violation is one: {}", words(&stderr));
    assert!(words(&stdout).contains("violation of "), "{}", words(&stdout));
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_may_be_printed_behind_the_table() {
    let dir = folder();
    let dir = dir.path();
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--json", "/dev/stdout"]);
    let piped = run(dir, &arguments);
    let file = fs::File::create(dir.join("out")).expect("a temporary file");
    let kept = program(dir).args(&arguments).stdout(file).stderr(Stdio::null()).status();
    assert_eq!(kept.expect("the program starts").code(), Some(3));
    let kept = fs::read_to_string(dir.join("out")).expect("it is there");
    assert_eq!(piped.status.code(), Some(3), "{}", words(&piped.stderr));
    for out in [words(&piped.stdout), kept] {
        let at = out.find("\n{").unwrap_or_else(|| panic!("no report: {out}"));
        assert!(out[..at].contains("images checked per second"), "{out}");
        let report: serde_json::Value = serde_json::from_str(&out[at..]).expect("it is JSON");
        assert_eq!(report["seeds"], 1);
    }
}

#[test]
fn a_table_that_nobody_reads_leaves_the_report() {
    let dir = folder();
    let dir = dir.path();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--json", "it.json"]);
    let child = program(dir).args(&arguments).stdout(writer).stderr(Stdio::piped()).spawn();
    let Output { status, stderr, .. } =
        child.expect("the program starts").wait_with_output().expect("it ends");
    assert_eq!(status.code(), Some(2), "{}", words(&stderr));
    let report = fs::read_to_string(dir.join("it.json")).expect("it was written");
    assert!(serde_json::from_str::<serde_json::Value>(&report).is_ok());
}

#[cfg(unix)]
mod ctrl_c {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "another process is under way, in real time")]
    fn interrupted(dir: &Path, arguments: &[&str], times: u32) -> Output {
        let child = program(dir)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        for _ in 0..times {
            sleep(Duration::from_millis(700));
            let id = child.id().to_string();
            // Where it has ended already, there is nobody to tell.
            let _ = Command::new("kill").args(["-INT", &id]).stderr(Stdio::null()).status();
        }
        child.wait_with_output().expect("it ends")
    }

    /// A file that takes long to shrink: its end shows the bug, and all before it is hunted through.
    fn long() -> String {
        let mut text = planted();
        let at = text.find("upsert").expect("it has one");
        let rows: String =
            (0..4000).map(|row| format!("upsert s0 \"b{row}\" [0] \"\"\n")).collect();
        text.insert_str(at, &rows);
        text.replace("shrinks-to 3\n", "")
    }

    #[test]
    fn it_ends_a_shrinking_with_a_file_that_reproduces() {
        let dir = folder();
        let dir = dir.path();
        fs::write(dir.join("it.repro"), long()).expect("a temporary file");
        let Output { status, stdout, stderr } = interrupted(dir, &["shrink", "it.repro"], 1);
        assert_eq!(status.code(), Some(130), "{}", words(&stderr));
        assert!(words(&stdout).contains("cancelled: begin again with the file"));
        assert_eq!(names(dir), ["it.repro"]);
        assert_eq!(run(dir, &["replay", "it.repro"]).status.code(), Some(1));
    }

    #[test]
    fn a_second_one_ends_it_at_once_and_the_file_is_whole() {
        let dir = folder();
        let dir = dir.path();
        fs::write(dir.join("it.repro"), long()).expect("a temporary file");
        let Output { status, .. } = interrupted(dir, &["shrink", "it.repro"], 2);
        assert_eq!(status.code(), Some(130));
        let text = fs::read_to_string(dir.join("it.repro")).expect("it is there");
        assert!(Reproducer::parse(&text).is_ok());
    }

    #[test]
    fn it_ends_the_search_for_a_planted_bug_without_a_file() {
        let dir = folder();
        let dir = dir.path();
        let done = interrupted(dir, &["shrink", "--mutant", "toy/keeps-dead-rows"], 1);
        assert_eq!(done.status.code(), Some(130), "{}", words(&done.stderr));
        assert_eq!(words(&done.stderr), "error: cancelled before the bug was found\n");
        assert_eq!(names(dir), [""; 0]);
    }
}
