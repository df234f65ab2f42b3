//! What a loss of power leaves of names, and who is told to have made a call.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Seek, Write};

use super::*;
use crate::disk::{
    FailedSync, Fault, FaultPlan, Filesystem, IoKind, PlannedFault, Recording, WritebackReport,
};

const FINE: &str = "no call fails";

/// All paths below the root, of every legal image.
fn images(fs: &SimFs) -> BTreeSet<Vec<String>> {
    let state = fs.disk().state();
    let legal = state.legal_images().expect("the medium is the reference");
    (0..legal.count()).map(|number| paths(&legal.plan(number).build())).collect()
}

fn paths(state: &DiskState) -> Vec<String> {
    let files = state.list().into_iter().map(|(path, _)| path);
    let all = files.chain(state.list_directories()).map(|path| path.display().to_string());
    let all: BTreeSet<String> = all.filter(|path| path != "/").collect();
    all.into_iter().collect()
}

fn sets<const N: usize>(expected: [&[&str]; N]) -> BTreeSet<Vec<String>> {
    expected.iter().map(|paths| paths.iter().map(|path| (*path).to_owned()).collect()).collect()
}

/// A directory `/d` with a file `/d/f` in it, all of it durable.
fn directory_with_a_file() -> SimFs {
    let fs = SimFs::new();
    fs.create_dir("/d").expect(FINE);
    fs.write("/d/f", "bytes").expect(FINE);
    fs.open("/d/f").and_then(|file| file.sync_all()).expect(FINE);
    fs.sync_dir("/d").expect(FINE);
    fs.sync_dir("/").expect(FINE);
    fs
}

#[test]
fn removed_directory_is_gone_or_back_with_each_of_its_changes_there_or_not() {
    let fs = directory_with_a_file();
    assert_eq!(fs.remove_dir("/d").map_err(|e| e.kind()), Err(ErrorKind::DirectoryNotEmpty));
    fs.remove_file("/d/f").expect(FINE);
    drop(fs.create_new("/d/g").expect(FINE));
    fs.remove_file("/d/g").expect(FINE);
    fs.remove_dir("/d").expect(FINE);
    assert!(!fs.exists("/d"));
    let back: [&[&str]; 5] =
        [&[], &["/d"], &["/d", "/d/f"], &["/d", "/d/g"], &["/d", "/d/f", "/d/g"]];
    assert_eq!(images(&fs), sets(back));
    assert_eq!(fs.lose_power(Policy::Nothing, 1).read("/d/f").expect("it is back"), b"bytes");
    fs.sync_dir("/").expect(FINE);
    assert_eq!(images(&fs), sets([&[]]));
}

#[test]
fn synced_removals_in_a_directory_that_comes_back_stay() {
    let fs = directory_with_a_file();
    fs.remove_file("/d/f").expect(FINE);
    fs.sync_dir("/d").expect(FINE);
    fs.remove_dir("/d").expect(FINE);
    assert_eq!(images(&fs), sets([&[], &["/d"]]));
    // Another directory of that name has nothing of it.
    fs.create_dir("/d").expect(FINE);
    assert_eq!(images(&fs), sets([&[], &["/d"]]));
    assert!(fs.read_dir("/d").expect(FINE).is_empty());
}

#[test]
fn renamed_directory_has_one_of_its_names_with_all_that_is_in_it() {
    let fs = directory_with_a_file();
    fs.create_dir("/e").expect(FINE);
    fs.sync_dir("/").expect(FINE);
    fs.rename("/d", "/c").expect(FINE);
    fs.rename("/c", "/e").expect("it is empty");
    let images = images(&fs);
    // The second of the renames alone takes it from where the first had not brought it.
    assert_eq!(images, sets([&["/d", "/d/f", "/e"], &["/c", "/c/f", "/e"], &["/e", "/e/f"]]));
    assert_eq!(fs.read_to_string("/e/f").expect(FINE), "bytes");
}

#[test]
fn handle_of_a_directory_is_of_it_and_not_of_its_path() {
    let fs = directory_with_a_file();
    let handle = fs.open("/d").expect(FINE);
    fs.rename("/d", "/e").expect(FINE);
    fs.create_dir("/d").expect(FINE);
    drop(fs.create_new("/e/g").expect(FINE));
    handle.sync_all().expect(FINE);
    assert_eq!(paths(&fs.lose_power(Policy::Nothing, 1).disk().state()), ["/d", "/d/f", "/d/g"]);
    fs.remove_dir_all("/e").expect(FINE);
    // So many nodes that the ones without a name are forgotten.
    for file in 0..40 {
        fs.write(format!("/{file}"), "").expect(FINE);
        fs.remove_file(format!("/{file}")).expect(FINE);
        fs.sync_dir("/").expect(FINE);
    }
    handle.sync_all().expect("it is open");
    assert!(handle.metadata().expect("it is open").is_dir());
    assert_eq!(fs.disk().open_handles(), 1);
    drop(handle);
    assert_eq!(fs.disk().open_handles(), 0);
}

#[test]
fn removal_of_a_directory_that_fails_happened_or_did_not() {
    let happened = |seed| {
        let fs = directory_with_a_file();
        fs.remove_file("/d/f").expect(FINE);
        let faults = vec![PlannedFault { call_index: 0, fault: Fault::UnlinkEio }];
        fs.disk().set_faults(FaultPlan { faults, seed });
        fs.remove_dir("/d").expect_err("the call fails");
        assert_eq!(fs.disk().faults_fired().get("unlink-eio"), Some(&1));
        !fs.exists("/d")
    };
    assert_eq!((0..20).map(happened).collect::<BTreeSet<bool>>().len(), 2);
}

#[test]
fn all_below_a_directory_is_removed_and_nothing_else() {
    let fs = directory_with_a_file();
    fs.create_dir_all("/d/x/y").expect(FINE);
    fs.write("/d/x/y/z", "").expect(FINE);
    fs.write("/dd", "").expect(FINE);
    assert_eq!(fs.remove_dir_all("/dd").map_err(|e| e.kind()), Err(ErrorKind::NotADirectory));
    fs.remove_dir_all("/d/").expect(FINE);
    assert_eq!(paths(&fs.disk().state()), ["/dd"]);
}

#[test]
fn medium_and_bound_of_space_outlast_losses_of_power_and_kills() {
    let medium = Medium {
        filesystem: Filesystem::Ext4,
        failed_sync: FailedSync::ShowsOld,
        writeback: WritebackReport::AcrossKills,
        unlinked_reads: UnlinkedReads::Fail,
    };
    let fs = directory_with_a_file();
    fs.disk().set_medium(medium);
    fs.disk().set_free_bytes(Some(10_000));
    fs.write("/d/f", [7; 3000]).expect("there is room");
    let bound = fs.disk().capacity_bytes();
    let lost = fs.lose_power(Policy::Random, 1);
    for next in [fs.kill(), fs.kill().lose_power(Policy::Nothing, 2), lost.kill(), lost] {
        assert_eq!((next.disk().medium(), next.disk().capacity_bytes()), (medium, bound));
        let full = next.write("/d/f", [7; 16_000]).map_err(|error| error.kind());
        assert_eq!(full, Err(ErrorKind::StorageFull));
        let file = next.open("/d/f").expect("it is durable");
        next.remove_file("/d/f").expect("it is there");
        file.read_at(&mut [0], 0).expect_err("the medium fails reads of what has no name");
    }
}

/// A call, and the line that it is made at.
macro_rules! at {
    ($call:expr) => {{
        $call.expect(FINE);
        line!()
    }};
}

#[test]
#[rustfmt::skip]
fn calls_are_recorded_with_the_line_of_who_asked() {
    let fs = SimFs::new();
    let mut file = fs.create_new("/a").expect(FINE);
    fs.disk().set_recording(Recording::Trace);
    let (mut bytes, mut text, one, two) = (Vec::new(), String::new(), 1, 2);
    let lines = [
        at!(file.write_all(b"0123456789")),
        at!(write!(file, "{one}{two}")),
        at!(file.rewind()),
        at!(file.read_exact(&mut [0; 4])),
        at!(file.read_to_end(&mut bytes)),
        at!((&file).read_to_string(&mut text)),
        at!((&file).write_all(b"more")),
        at!(file.sync_all()),
        at!(fs.copy("/a", "/b")),
        at!(fs.create_dir_all("/x/y")),
        at!(fs.remove_dir_all("x")),
    ];
    let trace = fs.disk().take_trace();
    assert!(trace.iter().all(|call| call.site.file().ends_with("fs/tests.rs")), "{trace:#?}");
    let told: BTreeSet<u32> = trace.iter().map(|call| call.site.line()).collect();
    let rewinds = lines[2];
    let made = lines.into_iter().filter(|line| *line != rewinds);
    assert_eq!(told, made.collect());
    let pieces = trace.iter().filter(|call| call.site.line() == lines[1]);
    assert_eq!(pieces.filter(|call| call.kind == IoKind::Write).count(), 2);
    assert_eq!((bytes.len(), text.as_str()), (8, ""));
    assert_eq!(fs.read_to_string("/b").expect(FINE), "012345678912more");
}

#[test]
fn seed_of_a_process_is_a_function_of_what_it_finds() {
    let [fs, other] = [(), ()].map(|()| SimFs::new());
    assert_eq!(fs.seed(), other.seed());
    fs.write("/a", "1").expect(FINE);
    assert_ne!(fs.seed(), other.seed());
    assert_eq!(fs.kill().seed(), fs.seed());
    assert_ne!(fs.lose_power(Policy::Nothing, 0).seed(), fs.seed());
}

#[test]
fn names_in_a_directory_come_in_an_order_that_means_nothing_and_is_always_the_same() {
    let names = |fs: &SimFs| {
        let entries = fs.read_dir("/").expect(FINE).into_iter();
        entries.map(|entry| entry.name).collect::<Vec<_>>()
    };
    let (fs, other) = (SimFs::new(), SimFs::new());
    let made: Vec<String> = (0..20).map(|number| format!("log-{number:02}")).collect();
    for (one, another) in made.iter().zip(made.iter().rev()) {
        fs.create(one).expect(FINE);
        other.create(another).expect(FINE);
    }
    assert_eq!(names(&fs), names(&other));
    let (mut sorted, last) = (names(&fs), names(&fs).pop());
    sorted.sort();
    assert_eq!(sorted, made);
    assert_ne!(last.as_ref(), made.last(), "who takes the last one for the newest is wrong");
}
