//! Faults, elided syncs, bounded space, the call budget and the record.

use std::io::ErrorKind;

use super::super::MEDIUM_COUNTS;
use super::*;

fn plan(fault: Fault, call_index: u64, seed: u64) -> FaultPlan {
    FaultPlan { faults: vec![PlannedFault { call_index, fault }], seed }
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn failed_sync_then_ok_sync_then_power_loss_loses_the_bytes() {
    let mut outcomes = [0; 2];
    for seed in 0..60 {
        let disk = SimDisk::new();
        let file = durable_file(&disk, "/a", b"old");
        file.write_at(b"new", 0, here()).expect("no fault is due");
        disk.set_faults(plan(Fault::SyncEio, 0, seed));
        assert!(file.sync_data(here()).is_err());
        drop(file);
        // The loss belongs to the file: not to the handle, not to the process.
        let disk = SimDisk::mount(&disk.state().kill());
        let file = open(&disk, "/a");
        file.sync_data(here()).expect("the next sync reports nothing");
        assert_eq!(disk.state().read("/a").as_deref(), Some(&b"new"[..]));
        let image = after(&disk, Policy::Everything).read("/a").expect("durable");
        outcomes[usize::from(image == b"new")] += 1;
    }
    assert!(outcomes[0] > 10 && outcomes[1] > 10, "{outcomes:?}");
}

#[test]
fn failed_sync_dir_then_ok_sync_dir_loses_the_name() {
    let mut outcomes = [0; 2];
    for seed in 0..60 {
        let disk = SimDisk::new();
        create(&disk, "/a", b"x").sync_data(here()).expect("no fault is due");
        disk.set_faults(plan(Fault::SyncDirEio, 0, seed));
        assert!(disk.sync_dir(Path::new("/"), here()).is_err());
        sync_dir(&disk, "/");
        assert_eq!(disk.state().list().len(), 1);
        outcomes[after(&disk, Policy::Everything).list().len()] += 1;
    }
    assert!(outcomes[0] > 10 && outcomes[1] > 10, "{outcomes:?}");
}

#[test]
fn failed_writeback_is_reported_once_and_after_a_kill_never() {
    let mut losses = 0;
    for seed in 0..60 {
        let disk = SimDisk::new();
        let file = durable_file(&disk, "/a", b"old");
        disk.set_faults(plan(Fault::WritebackEio, 0, seed));
        assert_eq!(file.write_at(b"new", 0, here()).expect("the write succeeds"), 3);
        disk.set_faults(FaultPlan::default());
        let again = SimDisk::mount(&disk.state().kill());
        open(&again, "/a").sync_data(here()).expect("a new process is not told");
        assert!(open(&disk, "/a").sync_data(here()).is_err(), "any handle, whatever the plan");
        file.sync_data(here()).expect("once");
        let image = after(&disk, Policy::Everything).read("/a");
        losses += u32::from(image.as_deref() == Some(b"old"));
    }
    assert!(losses > 10, "{losses}");
}

#[test]
fn failed_writeback_is_reported_to_whom_the_medium_says() {
    for (writeback, later_handle, after_a_kill) in [
        (WritebackReport::InTheProcess, true, false),
        (WritebackReport::ToOpenHandles, false, false),
        (WritebackReport::AcrossKills, true, true),
    ] {
        let failed = || {
            let disk = SimDisk::new();
            disk.set_medium(Medium { writeback, ..Medium::default() });
            let file = durable_file(&disk, "/a", b"old");
            disk.set_faults(plan(Fault::WritebackEio, 0, 1));
            file.write_at(b"new", 0, here()).expect("the write succeeds");
            disk
        };
        let told = |disk: &SimDisk| open(disk, "/a").sync_data(here()).is_err();
        assert_eq!(told(&failed()), later_handle, "{writeback:?}");
        let again = SimDisk::mount(&failed().state().kill());
        again.set_medium(Medium { writeback, ..Medium::default() });
        assert_eq!(told(&again), after_a_kill, "{writeback:?}");
        let again = SimDisk::mount(&after(&failed(), Policy::Everything));
        again.set_medium(Medium { writeback, ..Medium::default() });
        assert!(!told(&again), "nobody remembers it without power");
    }
}

#[test]
fn failed_sync_shows_the_old_bytes_and_names_where_the_medium_says() {
    let mut reverted = [0; 2];
    for seed in 0..40 {
        let disk = SimDisk::new();
        disk.set_medium(Medium { failed_sync: FailedSync::ShowsOld, ..Medium::default() });
        let file = durable_file(&disk, "/a", b"old");
        file.write_at(b"new", 0, here()).expect("no fault is due");
        disk.set_faults(plan(Fault::SyncEio, 0, seed));
        assert!(file.sync_data(here()).is_err());
        create(&disk, "/b", b"").sync_data(here()).expect("no fault is due");
        disk.set_faults(plan(Fault::SyncDirEio, 0, seed));
        assert!(disk.sync_dir(Path::new("/"), here()).is_err());
        let image = after(&disk, Policy::Nothing);
        assert_eq!(image.read("/a"), disk.state().read("/a"), "what is shown is what is durable");
        assert_eq!(image.list(), disk.state().list());
        reverted[0] += u32::from(image.read("/a").as_deref() == Some(b"old"));
        reverted[1] += u32::from(image.read("/b").is_none());
    }
    assert!(reverted.iter().all(|count| (5..35).contains(count)), "{reverted:?}");
}

#[test]
fn file_without_a_name_is_not_read() {
    let disk = SimDisk::new();
    let (file, other) = (durable_file(&disk, "/a", b"x"), durable_file(&disk, "/b", b"y"));
    let mut buf = [0; 1];
    disk.unlink(Path::new("/a"), here()).expect("it is there");
    let stale = Some(ErrorKind::StaleNetworkFileHandle);
    assert_eq!(kind(file.read_at(&mut buf, 0, here())), stale);
    create(&disk, "/c", b"z");
    disk.rename(Path::new("/c"), Path::new("/b"), here()).expect("it is there");
    assert_eq!(kind(other.read_at(&mut buf, 0, here())), stale, "its name is another's");
    assert_eq!(open(&disk, "/b").read_at(&mut buf, 0, here()).expect("it has a name"), 1);
    disk.set_medium(Medium { unlinked_reads: UnlinkedReads::Work, ..Medium::default() });
    assert_eq!(file.read_at(&mut buf, 0, here()).expect("as in POSIX"), 1);
}

#[test]
fn elided_sync_makes_nothing_durable() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", b"old");
    file.write_at(b"new", 0, here()).expect("no fault is planned");
    let (elided, other) = (here(), here());
    disk.set_elided(vec![site_name(elided)]);
    assert_ne!(site_name(elided), "");
    file.sync_data(elided).expect("it answers Ok");
    assert_eq!(after(&disk, Policy::Nothing).read("/a").as_deref(), Some(&b"old"[..]));
    assert_eq!(disk.sync_sites().get(&site_name(elided)), Some(&1));
    disk.set_elided(Vec::new());
    file.sync_data(other).expect("no fault is planned");
    assert_eq!(after(&disk, Policy::Nothing).read("/a").as_deref(), Some(&b"new"[..]));
}

#[test]
fn lying_sync_makes_nothing_durable() {
    let disk = SimDisk::new();
    disk.set_lying_syncs(true);
    durable_file(&disk, "/a", b"x");
    assert!(after(&disk, Policy::Nothing).list().is_empty());
}

#[test]
fn short_writes_and_reads_take_a_part() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", &[1; 1000]);
    disk.set_faults(FaultPlan {
        faults: vec![
            PlannedFault { call_index: 0, fault: Fault::WriteShort },
            PlannedFault { call_index: 1, fault: Fault::WriteShortThenEio },
            PlannedFault { call_index: 0, fault: Fault::ReadShort },
            PlannedFault { call_index: 1, fault: Fault::ReadInterrupted },
            PlannedFault { call_index: 2, fault: Fault::ReadEioSticky },
        ],
        seed: 3,
    });
    let written = file.write_at(&[2; 1000], 0, here()).expect("short, but no error");
    assert!((1..1000).contains(&written));
    assert!(file.write_at(&[3; 1000], 0, here()).expect("short, but no error") < 1000);
    assert!(file.write_at(&[4; 1000], 0, here()).is_err());
    assert_eq!(file.write_at(&[5; 1000], 0, here()).expect("the fault is over"), 1000);
    let mut buf = [0; 1000];
    assert!((1..1000).contains(&file.read_at(&mut buf, 0, here()).expect("short, but no error")));
    assert_eq!(kind(file.read_at(&mut buf, 0, here())), Some(ErrorKind::Interrupted));
    assert!(file.read_at(&mut buf, 0, here()).is_err());
    assert!(file.read_at(&mut buf, 0, here()).is_err(), "a sticky fault stays");
    assert_eq!(disk.faults_fired().values().sum::<u64>(), 6);
    disk.set_faults(FaultPlan::default());
    file.read_at(&mut buf, 0, here()).expect("a new plan ends sticky faults");
}

#[test]
fn failed_write_leaves_a_prefix_or_nothing() {
    let mut prefixes = 0;
    for seed in 0..40 {
        let disk = SimDisk::new();
        let file = durable_file(&disk, "/a", &[1; 1000]);
        let fault = if seed % 2 == 0 { Fault::WriteEio } else { Fault::WriteNoSpace };
        disk.set_faults(plan(fault, 0, seed));
        let error = kind(file.write_at(&[2; 1000], 0, here())).expect("the fault is due");
        assert_eq!(error == ErrorKind::StorageFull, fault == Fault::WriteNoSpace);
        let bytes = disk.state().read("/a").expect("it is there");
        let cut = bytes.iter().take_while(|byte| **byte == 2).count();
        assert!(bytes[cut..].iter().all(|byte| *byte == 1));
        prefixes += usize::from(cut > 0);
    }
    assert!((5..35).contains(&prefixes), "{prefixes}");
}

#[test]
fn failed_change_of_names_happened_or_did_not() {
    let mut happened = [[0; 2]; 3];
    for seed in 0..40 {
        let disk = SimDisk::new();
        durable_file(&disk, "/a", b"x");
        let faults = [Fault::RenameEio, Fault::CreateEio, Fault::UnlinkEio];
        let faults = faults.map(|fault| PlannedFault { call_index: 0, fault }).to_vec();
        disk.set_faults(FaultPlan { faults, seed });
        assert!(disk.create_new(Path::new("/b"), here()).is_err());
        happened[0][usize::from(disk.state().read("/b").is_some())] += 1;
        assert!(disk.rename(Path::new("/a"), Path::new("/c"), here()).is_err());
        let renamed = disk.state().read("/c").is_some();
        assert_eq!(renamed, disk.state().read("/a").is_none());
        happened[1][usize::from(renamed)] += 1;
        let left = if renamed { "/c" } else { "/a" };
        assert!(disk.unlink(Path::new(left), here()).is_err());
        happened[2][usize::from(disk.state().read(left).is_none())] += 1;
    }
    assert!(happened.iter().flatten().all(|count| *count > 5), "{happened:?}");
}

#[test]
fn full_disk_refuses_growth_and_serves_again_once_there_is_room() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", &[1; 1000]);
    disk.set_free_bytes(Some(500));
    assert_eq!(kind(file.allocate(2000, here())), Some(ErrorKind::StorageFull));
    let created = disk.create_new(Path::new("/b"), here());
    assert_eq!(kind(created), Some(ErrorKind::StorageFull));
    assert_eq!(file.write_at(&[2; 1000], 0, here()).expect("no growth"), 1000);
    assert_eq!(file.write_at(&[2; 1000], 1000, here()).expect("what fits"), 500);
    let full = file.write_at(&[2; 1000], 1500, here());
    assert_eq!(kind(full), Some(ErrorKind::StorageFull));
    disk.set_free_bytes(None);
    assert_eq!(file.write_at(&[2; 1000], 1500, here()).expect("there is room"), 1000);
}

#[test]
fn every_fault_can_fire() {
    for fault in Fault::ALL {
        let disk = SimDisk::new();
        let file = durable_file(&disk, "/a", &[1; 1000]);
        disk.set_faults(plan(fault, 0, 1));
        let entropy = SimEntropy::with_faults_of(1, &disk);
        let mut buf = [0; 100];
        let _ = quiver_store::vfs::Entropy::fill(&entropy, &mut buf);
        let _ = disk.open(Path::new("/a"), Access::Read, here());
        let _ = disk.read_dir(Path::new("/"), here());
        let _ = file.read_at(&mut buf, 0, here());
        let _ = file.write_at(&buf, 0, here());
        let _ = file.allocate(9000, here());
        let _ = file.sync_data(here());
        let _ = disk.create_new(Path::new("/b"), here());
        let _ = disk.rename(Path::new("/a"), Path::new("/c"), here());
        let _ = disk.unlink(Path::new("/c"), here());
        let _ = disk.sync_dir(Path::new("/"), here());
        let mut fired = disk.faults_fired();
        fired.retain(|name, _| !MEDIUM_COUNTS.contains(name));
        assert_eq!(fired, [(fault.name(), 1)].into(), "{}", fault.name());
    }
}

#[test]
#[should_panic(expected = "call budget exhausted")]
fn call_past_the_budget_panics() {
    let disk = SimDisk::new();
    disk.set_call_budget(3);
    for _ in 0..4 {
        let _ = disk.read_dir(Path::new("/"), here());
    }
}

#[test]
fn name_that_comes_back_is_counted() {
    let disk = SimDisk::new();
    durable_file(&disk, "/seen", b"");
    let disk = SimDisk::mount(&disk.state());
    disk.unlink(Path::new("/seen"), here()).expect("it is there");
    create(&disk, "/new", b"");
    assert!(disk.reused_names().is_empty());
    create(&disk, "/seen", b"");
    disk.rename(Path::new("/new"), Path::new("/other"), here()).expect("it is there");
    create(&disk, "/new", b"");
    assert_eq!(disk.reused_names(), [Path::new("/seen"), Path::new("/new")]);
}

#[test]
fn equal_runs_have_equal_traces_and_other_bytes_another() {
    let run = |byte: u8| {
        let disk = SimDisk::new();
        disk.set_recording(Recording::Trace);
        let file = durable_file(&disk, "/a", &[byte; 700]);
        let mut buf = [0; 10];
        file.read_at(&mut buf, 0, here()).expect("no fault is planned");
        let trace: Vec<String> = disk.take_trace().iter().map(ToString::to_string).collect();
        (disk.trace_hash(), trace)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    assert_eq!(run(1).1, run(2).1);
}

#[test]
fn forks_are_independent_machines() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", b"old");
    let fork = SimDisk::mount(&disk.state());
    file.write_at(b"new", 0, here()).expect("no fault is planned");
    assert_eq!(fork.state().read("/a").as_deref(), Some(&b"old"[..]));
    assert_eq!((fork.open_handles(), disk.open_handles()), (0, 1));
    drop(file);
    assert_eq!(disk.open_handles(), 0);
}

#[test]
fn damage_at_rest_is_durable_and_stays_inside_the_file() {
    let disk = SimDisk::new();
    durable_file(&disk, "/a", b"abc");
    let state = disk.state().damaged("/a", 2, b"xyz").expect("it is there");
    assert_eq!(state.read("/a").as_deref(), Some(&b"abx"[..]));
    assert!(state.is_quiet());
    assert_eq!(state.key(), key_from_scratch(&state));
    assert!(disk.state().damaged("/b", 0, b"x").is_none());
}
