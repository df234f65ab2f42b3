//! Files that are made shorter: what a loss of power may leave of them.

use std::collections::BTreeSet;

use super::oracle::{check, cut, history_with_cuts};
use super::*;
use crate::stream::Stream;

/// Every image of many losses of power, as the bytes of one file.
fn contents(state: &DiskState, path: &str) -> BTreeSet<Vec<u8>> {
    let mut rng = rng(3);
    let mut found = BTreeSet::new();
    for policy in Policy::ALL {
        for _ in 0..300 {
            let image = state.plan_power_loss(policy, false, &mut rng).build();
            found.insert(image.read(path).expect("its name is durable"));
        }
    }
    found
}

fn set_len(disk: &SimDisk, path: &str, len: u64) {
    let file = disk.open_file(Path::new(path), Access::ReadWrite, here()).expect("it is there");
    file.set_len(len, here()).expect("no fault is planned");
}

#[test]
fn shortening_survives_or_not_and_is_durable_after_a_sync() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", &[7; 2000]);
    set_len(&disk, "/a", 600);
    assert_eq!(disk.state().read("/a"), Some(vec![7; 600]));
    assert_eq!(after(&disk, Policy::Nothing).read("/a"), Some(vec![7; 2000]));
    assert_eq!(after(&disk, Policy::Everything).read("/a"), Some(vec![7; 600]));
    assert_eq!(legal_plans(&disk.state(), 64).map(|images| images.len()), Some(2));
    file.sync_data(here()).expect("no fault is planned");
    assert!(disk.state().is_quiet());
    assert_eq!(contents(&disk.state(), "/a"), BTreeSet::from([vec![7; 600]]));
}

#[test]
fn length_is_one_that_the_file_had_or_between_two_where_a_write_made_it_grow() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", &[7; 2000]);
    let lens = |disk: &SimDisk| -> BTreeSet<usize> {
        contents(&disk.state(), "/a").into_iter().map(|bytes| bytes.len()).collect()
    };
    set_len(&disk, "/a", 9000);
    // Whole or not at all, as a change of metadata is.
    assert_eq!(lens(&disk), BTreeSet::from([2000, 9000]));
    set_len(&disk, "/a", 600);
    file.write_at(&[8; 1000], 600, here()).expect("no fault is planned");
    let lens = lens(&disk);
    assert!([600, 1600, 2000, 9000].iter().all(|len| lens.contains(len)), "{lens:?}");
    assert!(lens.iter().all(|len| (600..=1600).contains(len) || [2000, 9000].contains(len)));
    assert!(lens.iter().filter(|len| (601..1600).contains(*len)).count() > 3, "{lens:?}");
}

#[test]
fn what_lay_beyond_a_surviving_shortening_never_shows_again() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", &[7; 4000]);
    file.write_at(&[8; 1000], 2500, here()).expect("no fault is planned");
    set_len(&disk, "/a", 700);
    set_len(&disk, "/a", 4000);
    let (mut gone, mut back, mut filled) = (0, 0, 0);
    for bytes in contents(&disk.state(), "/a") {
        let tail = bytes.get(700..).unwrap_or_default();
        let old = tail.iter().filter(|byte| [7, 8].contains(*byte)).count();
        if old == tail.len() {
            back += 1;
        } else if tail.iter().all(|byte| *byte == 0) {
            gone += 1;
        } else {
            // Garbage holds one of two numbers in 128 bytes.
            filled += 1;
            assert!(old < tail.len() / 8, "old bytes among new ones: {old} of {}", tail.len());
        }
        assert!(bytes[..700].iter().all(|byte| *byte == 7));
    }
    assert!(gone > 0 && back > 0 && filled > 0, "{gone} gone, {back} back, {filled} filled");
}

#[test]
fn write_behind_a_shortening_shows_over_zeros() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/a", &[7; 2048]);
    set_len(&disk, "/a", 0);
    file.write_at(&[9; 100], 1024, here()).expect("no fault is planned");
    let mut expected = vec![0; 1124];
    expected[1024..].fill(9);
    assert_eq!(disk.state().read("/a"), Some(expected.clone()));
    let shown = contents(&disk.state(), "/a");
    assert!(shown.contains(&expected) && shown.contains(&vec![7; 2048]) && shown.contains(&vec![]));
    // The write without the cut: the sector as the page cache had it, in the file as it was.
    let mut alone = vec![7; 2048];
    alone[1024..1536].fill(0);
    alone[1024..1124].fill(9);
    assert!(shown.contains(&alone));
}

#[test]
fn images_of_shortened_files_are_legal_and_have_their_keys() {
    for seed in 0..400 {
        let (disk, oracle) = history_with_cuts(seed);
        let state = disk.state();
        assert_eq!(state.key(), key_from_scratch(&state), "seed {seed}");
        let mut rng = rng(seed);
        for policy in Policy::ALL {
            for draw in 0..12 {
                let torn = draw % 3 == 0;
                let plan = state.plan_power_loss(policy, torn, &mut rng);
                check(seed, &oracle, &plan, torn);
                if draw == 1 {
                    let image = plan.build();
                    assert_eq!(image.key(), key_from_scratch(&image), "seed {seed}");
                }
            }
        }
        for plan in legal_plans(&state, 256).unwrap_or_default() {
            check(seed, &oracle, &plan, false);
        }
    }
}

#[test]
fn oracle_refuses_old_bytes_behind_a_surviving_shortening() {
    let (mut refused, mut looked) = (0, 0);
    for seed in 0..1500 {
        let (disk, mut oracle) = history_with_cuts(seed);
        let Some((path, len)) = disk.state().list().pop() else { continue };
        let bytes = disk.state().read(&path).expect("it is listed");
        if len < 1000 || bytes[100..1000].contains(&0) {
            continue;
        }
        let name = path.display().to_string();
        open(&disk, &name).sync_data(here()).expect("no fault");
        sync_dir(&disk, "/");
        oracle.sync_named(&name);
        looked += 1;
        cut(&disk, &name, 100);
        oracle.shorten(&name, 100);
        // A disk that cuts in one sector and shows in the next one what was there.
        let shortened = after(&disk, Policy::Everything);
        let torn = [&bytes[..100], &[0; 412], &bytes[512..1000]].concat();
        let broken = shortened.with_file(&path, Some(&torn));
        refused += u32::from(!oracle.allows(&broken, false));
    }
    assert!(looked > 20 && refused * 10 > looked * 8, "{refused} of {looked}");
}

#[test]
fn power_loss_inside_a_sync_of_a_shortened_file_was_legal_before_it() {
    let mut divided = 0;
    for seed in 0..300 {
        let (disk, oracle) = history_with_cuts(seed);
        let before = disk.state();
        disk.set_recording(Recording::Forks);
        for (path, _) in disk.state().list() {
            open(&disk, &path.display().to_string()).sync_data(here()).expect("no fault");
        }
        let mut rng = rng(seed);
        for mut step in disk.take_steps() {
            step.before = before.clone();
            for _ in 0..6 {
                let Some(inside) = step.draw_inside(&mut rng) else { continue };
                divided += 1;
                let state = step.stopped_in(&inside).expect("it was drawn for this step");
                for policy in [Policy::Random, Policy::Nothing, Policy::Everything] {
                    check(seed, &oracle, &state.plan_power_loss(policy, false, &mut rng), false);
                }
                let said = step.survivors_of(&inside).expect("a sync");
                let said = before.plan_survivors(&said).expect("of this disk");
                let nothing = state.plan_power_loss(Policy::Nothing, false, &mut rng);
                assert_eq!(said.key(), nothing.key(), "seed {seed}: {inside}");
            }
        }
    }
    assert!(divided > 500, "{divided}");
}

#[test]
fn failed_sync_keeps_a_shortening_or_loses_it_for_good() {
    let mut kept = 0;
    for seed in 0..60 {
        let disk = SimDisk::new();
        let file = durable_file(&disk, "/a", &[7; 2000]);
        set_len(&disk, "/a", 600);
        let faults = vec![PlannedFault { call_index: 0, fault: Fault::SyncEio }];
        disk.set_faults(FaultPlan { faults, seed });
        file.sync_data(here()).expect_err("the fault is due");
        let at_once = after(&disk, Policy::Nothing).read("/a").map(|bytes| bytes.len());
        file.sync_data(here()).expect("a later sync says Ok");
        let later = after(&disk, Policy::Everything).read("/a").map(|bytes| bytes.len());
        assert_eq!(at_once, later, "seed {seed}");
        assert!([Some(600), Some(2000)].contains(&later));
        kept += u32::from(later == Some(600));
    }
    assert!((10..50).contains(&kept), "{kept}");
}

#[test]
fn shortening_is_told_in_words_and_counts_in_the_full_key() {
    let disk = SimDisk::new();
    durable_file(&disk, "/a", &[0; 2000]);
    let before = disk.state();
    set_len(&disk, "/a", 600);
    set_len(&disk, "/a", 2000);
    assert_eq!(disk.state().key(), before.key());
    assert_ne!(disk.state().full_key(), before.full_key());
    let plan = disk.state().plan_power_loss(Policy::Nothing, false, &mut Stream::new(1));
    let words = plan.describe();
    assert!(words[0].starts_with("set_len /a from 2000 to 600: lost"), "{words:?}");
}
