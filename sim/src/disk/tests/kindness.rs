//! What kinder filesystems may leave, and that it is less.

use std::collections::BTreeSet;
use std::panic::Location;
use std::path::Path;

use quiver_store::vfs::{Access, Vfs};

use super::oracle::history_of;
use crate::disk::{
    Base, DiskState, Exception, Filesystem, Medium, Policy, Recording, SimDisk, Survivors, What,
};
use crate::stream::Stream;

/// A disk on which this was done.
fn disk(filesystem: Filesystem, acts: impl FnOnce(&SimDisk)) -> DiskState {
    let disk = SimDisk::new();
    disk.set_medium(Medium { filesystem, ..Medium::default() });
    acts(&disk);
    disk.state()
}

fn write(disk: &SimDisk, name: &str, bytes: &[u8], offset: u64) {
    let here = Location::caller();
    let path = Path::new(name);
    let file = disk.open(path, Access::ReadWrite, here).or_else(|_| disk.create_new(path, here));
    file.and_then(|file| file.write_at(bytes, offset, here)).expect("no fault is planned");
}

fn sync(disk: &SimDisk, name: &str) {
    let here = Location::caller();
    let file = disk.open(Path::new(name), Access::ReadWrite, here).expect("it is there");
    file.sync_data(here).expect("no fault is planned");
}

fn rename(disk: &SimDisk, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to), Location::caller()).expect("no fault is planned");
}

/// Names, with the bytes behind each, of all images that many draws of all policies come to.
fn images(state: &DiskState) -> BTreeSet<Vec<(String, Vec<u8>)>> {
    let mut found = BTreeSet::new();
    for seed in 0..800 {
        for policy in Policy::ALL {
            let mut stream = Stream::new(seed);
            let plan = state.plan_power_loss(policy, seed % 2 == 1, &mut stream);
            // What is drawn is admitted when it is said (J1).
            let said = state.plan_survivors(&plan.survivors()).expect("it was drawn");
            assert_eq!(said.key(), plan.key());
            let image = plan.build();
            let after = SimDisk::mount(&image);
            let shown = image.list().into_iter().map(|(path, len)| {
                let mut bytes = vec![0; usize::try_from(len).expect("short")];
                let file = after.open(&path, Access::Read, Location::caller()).expect("listed");
                assert_eq!(
                    file.read_at(&mut bytes, 0, Location::caller()).expect("no fault"),
                    bytes.len()
                );
                (path.display().to_string(), bytes)
            });
            found.insert(shown.collect());
        }
    }
    found
}

/// The names in each image.
fn names(state: &DiskState) -> BTreeSet<Vec<String>> {
    let only_names = |image: Vec<(String, Vec<u8>)>| image.into_iter().map(|(name, _)| name);
    images(state).into_iter().map(|image| only_names(image).collect()).collect()
}

fn has(found: &BTreeSet<Vec<String>>, names: &[&str]) -> bool {
    found.contains(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

fn make_dir(disk: &SimDisk, name: &str) {
    let here = Location::caller();
    disk.create_dir(Path::new(name), here).expect("no fault is planned");
    disk.sync_dir(Path::new("/"), here).expect("no fault is planned");
}

/// K2: on a journal the second of two names is never there without the first, in other directories too.
#[test]
fn journals_keep_the_order_of_names() {
    let acts = |disk: &SimDisk| {
        make_dir(disk, "/d");
        write(disk, "/a", b"a", 0);
        write(disk, "/d/b", b"b", 0);
    };
    for filesystem in [Filesystem::Posix, Filesystem::Btrfs] {
        assert!(has(&names(&disk(filesystem, acts)), &["/d/b"]), "{filesystem:?}");
    }
    for filesystem in [Filesystem::Ext4, Filesystem::Xfs] {
        let found = names(&disk(filesystem, acts));
        assert!(!has(&found, &["/d/b"]), "{filesystem:?}");
        assert!(has(&found, &["/a"]) && has(&found, &["/a", "/d/b"]), "{filesystem:?}");
    }
}

/// K3: which names a sync of a file brings along.
#[test]
fn sync_of_a_file_reaches_the_names_that_its_filesystem_says() {
    let acts = |disk: &SimDisk| {
        write(disk, "/a", b"a", 0);
        write(disk, "/b", b"b", 0);
        sync(disk, "/b");
    };
    let none = names(&disk(Filesystem::Posix, acts));
    assert!(has(&none, &[]) && has(&none, &["/a"]) && has(&none, &["/b"]));
    let own = names(&disk(Filesystem::Btrfs, acts));
    assert!(has(&own, &["/b"]) && has(&own, &["/a", "/b"]) && own.len() == 2, "{own:?}");
    for filesystem in [Filesystem::Ext4, Filesystem::Xfs] {
        let all = names(&disk(filesystem, acts));
        assert!(has(&all, &["/a", "/b"]) && all.len() == 1, "{filesystem:?}: {all:?}");
    }
}

/// K4: neither holes nor garbage nor a length without its bytes.
#[test]
fn lengths_come_with_their_bytes() {
    let acts = |disk: &SimDisk| {
        write(disk, "/a", b"", 0);
        write(disk, "/a", &[1; 1024], 0);
        write(disk, "/a", &[2; 1024], 1024);
    };
    let whole = |bytes: &[u8]| {
        let written = [[1; 1024], [2; 1024]].concat();
        [0, 1024, 2048].contains(&bytes.len()) && *bytes == written[..bytes.len()]
    };
    for filesystem in Filesystem::ALL {
        let found = images(&disk(filesystem, acts));
        let all_whole = found.iter().flatten().all(|(_, bytes)| whole(bytes));
        assert_eq!(all_whole, filesystem != Filesystem::Posix, "{filesystem:?}");
    }
}

/// K4 within a sector: both appends are there in their order, whatever else is written over it.
#[test]
fn lengths_come_with_their_bytes_within_a_sector() {
    let acts = |disk: &SimDisk| {
        write(disk, "/a", &[1; 100], 0);
        write(disk, "/a", &[2; 100], 100);
    };
    let written = [[1; 100], [2; 100]].concat();
    let whole =
        |bytes: &[u8]| [0, 100, 200].contains(&bytes.len()) && *bytes == written[..bytes.len()];
    for filesystem in Filesystem::ALL {
        let found = images(&disk(filesystem, acts));
        let all_whole = found.iter().flatten().all(|(_, bytes)| whole(bytes));
        assert_eq!(all_whole, filesystem != Filesystem::Posix, "{filesystem:?}");
        let has = |len: usize| found.iter().flatten().any(|(_, bytes)| bytes.len() == len);
        assert!(has(0) && has(100) && has(200), "{filesystem:?}");
    }
}

/// K5: the file that replaces another is there with its bytes, on ext4 alone.
#[test]
fn replacing_rename_brings_its_bytes_along_on_ext4() {
    let acts = |disk: &SimDisk| {
        write(disk, "/a", b"old", 0);
        sync(disk, "/a");
        disk.sync_dir(Path::new("/"), Location::caller()).expect("no fault is planned");
        write(disk, "/b", b"new", 0);
        rename(disk, "/b", "/a");
    };
    for filesystem in Filesystem::ALL {
        let found = images(&disk(filesystem, acts));
        let is_empty = |image: &Vec<(String, Vec<u8>)>| *image == [("/a".to_owned(), Vec::new())];
        assert_eq!(found.iter().any(is_empty), filesystem != Filesystem::Ext4, "{filesystem:?}");
        let is_new =
            |image: &Vec<(String, Vec<u8>)>| *image == [("/a".to_owned(), b"new".to_vec())];
        assert!(found.iter().any(is_new), "{filesystem:?}");
    }
}

/// K5 within a sector and behind a sync of the directory: the bytes are there whole, in their order.
#[test]
fn replacing_rename_brings_all_of_its_bytes_along() {
    let acts = |disk: &SimDisk| {
        write(disk, "/a", b"old", 0);
        write(disk, "/b", &[1; 200], 0);
        sync(disk, "/a");
        sync(disk, "/b");
        disk.sync_dir(Path::new("/"), Location::caller()).expect("no fault is planned");
        write(disk, "/b", &[2; 100], 0);
        write(disk, "/b", &[3; 100], 50);
        rename(disk, "/b", "/a");
    };
    let mut new = [[2; 100], [3; 100]].concat();
    new[50..150].fill(3);
    new[150..].fill(1);
    let is_promised =
        |(name, bytes): &(String, Vec<u8>)| name != "/a" || *bytes == b"old" || *bytes == new;
    for filesystem in Filesystem::ALL {
        let unsynced = disk(filesystem, acts);
        let synced = disk(filesystem, |disk| {
            acts(disk);
            disk.sync_dir(Path::new("/"), Location::caller()).expect("no fault is planned");
        });
        for (state, is_synced) in [(unsynced, false), (synced, true)] {
            let found = images(&state);
            let holds = found.iter().flatten().all(is_promised);
            assert_eq!(holds, filesystem == Filesystem::Ext4, "{filesystem:?}, {is_synced}");
        }
    }
}

/// What is left where a sync of some kind is broken off in the middle, and then power is lost.
fn images_inside(
    filesystem: Filesystem,
    acts: impl FnOnce(&SimDisk),
) -> BTreeSet<Vec<(String, Vec<u8>)>> {
    let recorded = SimDisk::new();
    recorded.set_medium(Medium { filesystem, ..Medium::default() });
    recorded.set_recording(Recording::Forks);
    acts(&recorded);
    let steps = recorded.take_steps();
    let last = steps.last().expect("it did something");
    let mut found = BTreeSet::new();
    for seed in 0..60 {
        let Some(inside) = last.draw_inside(&mut Stream::new(seed)) else { continue };
        let state = last.stopped_in(&inside).expect("it was drawn");
        let survivors = last.survivors_of(&inside).expect("it is of a sync");
        let least = last.before.plan_survivors(&survivors);
        least.unwrap_or_else(|why| panic!("{filesystem:?}, seed {seed}: {why}: {inside}"));
        for seed in 0..20 {
            for policy in Policy::ALL {
                let mut stream = Stream::new(seed);
                let plan = state.plan_power_loss(policy, seed % 2 == 1, &mut stream);
                let image = plan.build();
                let shown = image.list().into_iter();
                let bytes = |path: &Path| image.read(path).unwrap_or_default();
                let shown = shown.map(|(path, _)| (path.display().to_string(), bytes(&path)));
                found.insert(shown.collect());
            }
        }
    }
    found
}

/// K2 and K4 hold inside a sync as they do between two calls.
#[test]
fn syncs_that_are_broken_off_keep_the_promises() {
    let written = [[1; 100], [2; 100]].concat();
    let names = |disk: &SimDisk| {
        make_dir(disk, "/d");
        write(disk, "/a", b"a", 0);
        write(disk, "/d/b", b"b", 0);
        disk.sync_dir(Path::new("/d"), Location::caller()).expect("no fault is planned");
    };
    let bytes = |disk: &SimDisk| {
        write(disk, "/a", b"", 0);
        disk.sync_dir(Path::new("/"), Location::caller()).expect("no fault is planned");
        write(disk, "/a", &[1; 100], 0);
        write(disk, "/a", &[2; 100], 100);
        sync(disk, "/a");
    };
    for filesystem in Filesystem::ALL {
        let found = images_inside(filesystem, names);
        let is_alone = |image: &Vec<(String, Vec<u8>)>| image.len() == 1 && image[0].0 == "/d/b";
        let in_order = matches!(filesystem, Filesystem::Ext4 | Filesystem::Xfs);
        assert_eq!(!found.iter().any(is_alone), in_order, "{filesystem:?}");
        let found = images_inside(filesystem, bytes);
        let whole = |(_, bytes): &(String, Vec<u8>)| *bytes == written[..bytes.len()];
        let holds = found.iter().flatten().all(whole);
        assert_eq!(holds, filesystem != Filesystem::Posix, "{filesystem:?}");
    }
}

/// What is said of a loss of power is refused where the filesystem never leaves it.
#[test]
fn survivors_that_break_a_promise_are_refused() {
    let acts = |disk: &SimDisk| {
        write(disk, "/a", &[1; 512], 0);
        write(disk, "/a", &[2; 512], 512);
        write(disk, "/b", b"b", 0);
    };
    let keeps = |place: &str, change| Exception {
        place: place.to_owned(),
        what: What::Keeps(change, BTreeSet::new()),
    };
    let cases = [
        (vec![keeps("/", 1)], "no name that is younger", true),
        (vec![keeps("/", 0), keeps("/a", 1)], "a length only with all bytes up to it", false),
        (
            vec![keeps("/", 0), Exception { place: "/a".to_owned(), what: What::Length(512) }],
            "a length only with all bytes up to it",
            false,
        ),
    ];
    for filesystem in Filesystem::ALL {
        let state = disk(filesystem, acts);
        for (exceptions, says, of_journals) in &cases {
            let survivors = Survivors { base: Base::Nothing, exceptions: exceptions.clone() };
            let planned = state.plan_survivors(&survivors);
            let kind = match filesystem {
                Filesystem::Posix => false,
                Filesystem::Btrfs => !of_journals,
                Filesystem::Ext4 | Filesystem::Xfs => true,
            };
            let refused = planned.err().is_some_and(|why| why.contains(says));
            assert_eq!(refused, kind, "{filesystem:?}: {says}");
        }
        for base in [Base::Nothing, Base::Everything] {
            state.plan_survivors(&Survivors::of(base)).expect("either is always admitted");
        }
    }
}

/// K1: the oracle of the reference allows every image of the others.
#[test]
fn every_image_of_a_kinder_filesystem_is_one_of_the_reference() {
    for filesystem in [Filesystem::Ext4, Filesystem::Xfs, Filesystem::Btrfs] {
        for seed in 0..200 {
            let disk = SimDisk::new();
            disk.set_medium(Medium { filesystem, ..Medium::default() });
            let (disk, oracle) = history_of(seed, seed % 2 == 0, disk);
            let (state, mut stream) = (disk.state(), Stream::new(seed));
            for policy in Policy::ALL {
                for turn in 0..8 {
                    let plan = state.plan_power_loss(policy, turn % 2 == 1, &mut stream);
                    // What is drawn is admitted when it is said (J1).
                    let said = state.plan_survivors(&plan.survivors());
                    said.unwrap_or_else(|why| panic!("{filesystem:?}, seed {seed}: {why}"));
                    let image = plan.build();
                    assert_eq!(plan.key(), image.key(), "{filesystem:?}, seed {seed}");
                    let told = plan.describe().join("\n");
                    assert!(
                        oracle.allows(&image, turn % 2 == 1),
                        "{filesystem:?}, seed {seed}\n{told}"
                    );
                }
            }
        }
    }
}
