//! Campaigns as a user runs them: shards that are merged, runs that are ended and gone on with, and
//! directories of reproducers.
//!
//! - What is compared are the reports that the program wrote, counter by counter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Seeds of a run that takes some seconds.
const LONG: &str = "16";

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quiver-sim"));
    command.current_dir(dir).env("RUST_BACKTRACE", "0");
    command
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A run without the parts that take long.
fn arguments<'a>(seeds: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run", "--seeds", seeds, "--no-sweep", "--no-damage", "--no-swarm"];
    all.extend(more);
    all
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    program(dir).args(arguments).output().expect("the program starts")
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ends_with(dir: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = run(dir, arguments);
    let (out, error) = (words(&stdout), words(&stderr));
    assert_eq!(status.code(), Some(code), "{arguments:?}: {error}{out}");
    assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    (out, error)
}

/// A report without what only a machine can tell, and which shards it is of.
fn counted(dir: &Path, name: &str) -> Value {
    let text = fs::read_to_string(dir.join(name)).expect("a report");
    let mut report: Value = serde_json::from_str(&text).expect("it is JSON");
    let fields = report.as_object_mut().expect("an object");
    fields.retain(|name, _| {
        let of_machine =
            ["elapsed_s", "elapsed_encrypted_s", "pace", "next", "shards", "shards_of"];
        !of_machine.contains(&name.as_str()) && !name.starts_with("images_per_second")
    });
    report
}

#[test]
fn two_shards_come_to_what_one_run_does() {
    let dir = folder();
    let dir = dir.path();
    // So few images move few counters.
    ends_with(dir, &arguments("24", &["--quiet", "--json", "whole.json"]), 3);
    for (shard, file) in [("1/2", "1.json"), ("2/2", "2.json")] {
        let (out, _) = ends_with(dir, &arguments("24", &["--shard", shard, "--json", file]), 0);
        assert!(out.contains("counters at zero, to be judged by `merge`: "), "{out}");
    }
    let (_, error) = ends_with(dir, &["merge", "2.json", "1.json", "--json", "all.json"], 3);
    assert!(error.starts_with("error: counters stayed at zero: "), "{error}");
    assert_eq!(counted(dir, "all.json"), counted(dir, "whole.json"));
    assert!(counted(dir, "all.json")["images_checked"].as_u64().is_some_and(|images| images > 500));

    let (out, error) = ends_with(dir, &["merge", "2.json"], 2);
    assert!(out.contains("missing: shard 1/2; run what is missing, then merge again"), "{out}");
    assert!(error.contains("no violation, but only 1 of 2 shards could be joined"), "{error}");
    fs::write(dir.join("cut.json"), "{\"format\"").expect("it can be written");
    let (_, error) = ends_with(dir, &["merge", "1.json", "cut.json", "none.json", "1.json"], 2);
    for says in [
        "left out: cut.json: it is no JSON, as if cut off",
        "left out: none.json: No such file",
        "run that shard again with this program",
        "left out: 1.json: shard 1/2 is in 1.json already, which counts; leave one of the two out",
    ] {
        assert!(error.contains(says), "no {says:?}: {error}");
    }
    let (_, error) = ends_with(dir, &["merge", "cut.json"], 2);
    assert!(error.ends_with("error: no report could be used\n"), "{error}");
}

#[test]
fn a_seed_is_that_of_its_text() {
    let dir = folder();
    let dir = dir.path();
    ends_with(dir, &arguments("2", &["--seed-of", "commit d254703", "--json", "a.json"]), 3);
    let report = counted(dir, "a.json");
    assert_eq!(report["bounds"]["seed_of"], "commit d254703");
    let seed = report["bounds"]["seed"].to_string();
    ends_with(dir, &arguments("2", &["--seed", &seed, "--json", "b.json"]), 3);
    assert_eq!(report["trace_hash"], counted(dir, "b.json")["trace_hash"]);
    let both = ["--seed", "1", "--seed-of", "x"];
    assert!(ends_with(dir, &arguments("2", &both), 2).1.contains("cannot be used with"));
    assert!(
        ends_with(dir, &arguments("2", &["--seed-of", ""]), 2).1.contains("a value is required")
    );
}

#[cfg(unix)]
#[test]
#[expect(clippy::disallowed_methods, reason = "another process is under way, in real time")]
fn runs_that_were_ended_end_as_one_that_was_not() {
    let dir = folder();
    let dir = dir.path();
    let more = |json| {
        let kept = ["--jobs", "1", "--quiet", "--state", "state", "--keep-every-ms", "10"];
        arguments(LONG, &[&kept[..], &["--json", json]].concat())
    };
    let started = |json| {
        let mut command = program(dir);
        command.args(more(json)).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    };
    let next = || {
        // It is not there before the first run has begun.
        let text = fs::read_to_string(dir.join("state")).ok()?;
        let state: Value = serde_json::from_str(&text).expect("it is whole at any time");
        let legs = state["legs"].as_array().expect("a list").clone();
        Some(legs.iter().map(|leg| leg["next"].as_u64().expect("a place")).sum::<u64>())
    };
    let (mut before, mut ended) = (0, 0);
    for signal in ["-KILL", "-INT", "-KILL", "-TERM"] {
        let mut child = started("ended.json");
        // However slow the machine is, something is kept one day, or the run is over.
        while next().is_none_or(|next| next <= before)
            && child.try_wait().expect("it is ours").is_none()
        {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let id = child.id().to_string();
        Command::new("kill").args([signal, &id]).status().expect("kill is there");
        let status = child.wait().expect("it ends");
        // A quick machine may be done before.
        if status.code().is_some_and(|code| code != 130) {
            break;
        }
        let next = next().expect("it was there");
        assert!(next > before, "{signal}: nothing was kept beyond {before}");
        (before, ended) = (next, ended + 1);
    }
    assert!(ended > 0, "no run was ended before its time: nothing was gone on with");
    // So few seeds need not move every counter.
    let ends = |arguments: &[&str]| {
        let Output { status, stderr, .. } = run(dir, arguments);
        assert!(matches!(status.code(), Some(0 | 3)), "{arguments:?}: {}", words(&stderr));
    };
    ends(&more("ended.json"));
    ends(&arguments(LONG, &["--quiet", "--json", "steady.json"]));
    assert_eq!(counted(dir, "ended.json"), counted(dir, "steady.json"));

    // What is done is told again, and other arguments are another run.
    ends(&more("again.json"));
    assert_eq!(counted(dir, "again.json"), counted(dir, "steady.json"));
    let (_, error) = ends_with(dir, &arguments("7", &["--state", "state"]), 2);
    let says = format!("it is of another run: seeds is {LONG}, not 7; give the arguments that");
    assert!(error.contains(&says), "{error}");
    fs::write(dir.join("state"), "{").expect("it can be written");
    let (_, error) = ends_with(dir, &more("again.json"), 2);
    assert!(error.contains("begin anew with another file, or remove this one"), "{error}");
    let (_, error) = ends_with(dir, &arguments("7", &["--state", "none/state"]), 2);
    assert!(error.contains("none/state: cannot write the state: "), "{error}");
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim")
}

#[test]
fn directories_of_reproducers_become_one() {
    let dir = folder();
    let dir = dir.path();
    let planted = corpus().join("planted-toy-forgets-deletes.repro");
    let planted = fs::read_to_string(planted).expect("it is kept");
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a temporary directory");
        fs::write(path, text).expect("a temporary file");
    };
    let line = planted.lines().find(|line| line.starts_with("violates ")).expect("each says it");
    let other = planted.replacen(line, "violates probe", 1);
    put("one/seed-1.repro", &planted);
    put("two/seed-2.repro", &planted.replacen("status", "# by another machine\nstatus", 1));
    put("two/seed-3.repro", &planted[..planted.len() / 2]);
    put("two/seed-1.repro", &other);
    put("two/notes.txt", "none of ours");
    let join = ["merge", "--corpus", "one", "two", "--into", "all"];
    let (out, error) = ends_with(dir, &join, 2);
    assert!(out.contains("new       one/seed-1.repro, as seed-1.repro\n"), "{out}");
    assert!(out.contains("again     two/seed-2.repro, as seed-1.repro, planted toy/"), "{out}");
    assert!(out.contains("new       two/seed-1.repro, as seed-1-2.repro\n"), "{out}");
    assert!(out.ends_with("2 new, 1 there already, 1 not readable\n"), "{out}");
    assert!(error.starts_with("left: two/seed-3.repro: "), "{error}");
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("it was written");
    assert_eq!((read("all/seed-1.repro"), read("all/seed-1-2.repro")), (planted, other));
    assert_eq!(fs::read_dir(dir.join("all")).expect("it was made").count(), 2);
    let (out, _) = ends_with(dir, &join, 2);
    assert!(out.ends_with("0 new, 3 there already, 1 not readable\n"), "{out}");
    let (_, error) = ends_with(dir, &["merge", "--corpus", "none", "--into", "all"], 2);
    assert!(error.contains("cannot read none: "), "{error}");
    assert!(ends_with(dir, &["merge"], 2).1.contains("<REPORT.json>"));
    assert!(ends_with(dir, &["merge", "--corpus", "one"], 2).1.contains("--into"));
}
