//! Random removals and renames of directories: every image is a tree, and plans keep their word.

use std::collections::BTreeMap;

use super::super::state::{Inner, Node, NodeId, ROOT};
use super::*;
use crate::fs::{File, SimFs};
use crate::stream::Stream;

const PATHS: [&str; 9] = ["/a", "/b", "/c", "/a/a", "/a/b", "/b/a", "/b/b", "/c/a", "/a/a/a"];

/// One random call. Many fail: names are missing, or in use.
fn one_call(fs: &SimFs, held: &mut Vec<File>, dice: &mut Stream) {
    let path = *dice.pick(&PATHS);
    let sibling = Path::new(path).with_file_name(dice.pick::<&str>(&["a", "b", "c"]));
    match dice.below(12) {
        0..=2 => drop(fs.create_dir(path)),
        3 | 4 => drop(fs.rename(path, sibling)),
        5 => drop(fs.remove_dir(path)),
        6 => drop(fs.remove_dir_all(path)),
        7 => drop(fs.write(path, [1; 700])),
        8 => drop(fs.sync_dir(dice.pick::<&str>(&["/", "/a", "/b", "/a/a"]))),
        9 => drop(fs.open(path).and_then(|file| file.sync_all())),
        10 => held.extend(fs.open(path)),
        _ => drop(held.pop().map(|file| file.sync_all())),
    }
}

/// How many names each directory has among the visible ones.
fn names_of_directories(inner: &Inner, id: NodeId, names: &mut BTreeMap<NodeId, u32>) {
    let Node::Directory(directory) = inner.node(id) else { return };
    *names.entry(id).or_default() += 1;
    for (_, child) in directory.volatile.iter() {
        names_of_directories(inner, *child, names);
    }
}

#[test]
fn removed_and_renamed_directories_leave_trees_by_plans_that_keep_their_word() {
    let (mut images, mut removals, mut renames) = (0, 0, 0);
    for seed in 0..160 {
        let mut dice = Stream::new(seed);
        let (fs, mut held) = (SimFs::new(), Vec::new());
        let filesystem = Filesystem::ALL[usize::try_from(seed % 4).expect("below 4")];
        fs.disk().set_medium(Medium { filesystem, ..fs.disk().medium() });
        if dice.chance(1, 4) {
            let fault = *dice.pick(&[Fault::UnlinkEio, Fault::RenameEio, Fault::SyncDirEio]);
            let faults = vec![PlannedFault { call_index: dice.below(6), fault }];
            fs.disk().set_faults(FaultPlan { faults, seed });
        }
        fs.disk().set_recording(Recording::Forks);
        for _ in 0..40 {
            one_call(&fs, &mut held, &mut dice);
        }
        for step in fs.disk().take_steps() {
            let is_ok = step.call.result.is_ok();
            removals += u64::from(is_ok && step.call.kind == IoKind::RemoveDir);
            renames += u64::from(is_ok && step.call.kind == IoKind::Rename);
            for state in [Some(step.after.clone()), step.inside(&mut dice)].into_iter().flatten() {
                let policy = *dice.pick(&Policy::ALL);
                let plan = state.plan_power_loss(policy, false, &mut dice);
                let built = plan.build();
                let told = || format!("seed {seed}, {}, {plan:#?}", step.call);
                assert_eq!(plan.key(), built.key(), "{}", told());
                let mut names = BTreeMap::new();
                names_of_directories(built.inner(), ROOT, &mut names);
                assert!(names.values().all(|count| *count == 1), "{}", told());
                let again = state.plan_survivors(&plan.survivors()).expect("it is of this disk");
                assert_eq!(again.build().key(), built.key(), "{}", told());
                images += 1;
            }
        }
    }
    assert!(images > 3000 && removals > 100 && renames > 100, "{images} {removals} {renames}");
}

#[test]
fn seam_renames_no_directory() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/a"), here()).expect("the name is free");
    create(&disk, "/f", b"bytes");
    for (from, to) in [("/a", "/b"), ("/f", "/a"), ("/", "/b")] {
        let refused = disk.rename(Path::new(from), Path::new(to), here()).map_err(|e| e.kind());
        assert!(refused.is_err(), "{from} to {to}");
    }
    assert_eq!(disk.state().list_directories().len(), 2);
}
