//! What kinder filesystems may leave, and that it is less.

use std::collections::BTreeSet;
use std::panic::Location;
use std::path::Path;

use quiver_store::vfs::{Access, Vfs};

use super::oracle::history_of;
use crate::disk::{DiskState, Filesystem, Medium, Policy, SimDisk};
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
    for seed in 0..400 {
        for policy in Policy::ALL {
            let mut stream = Stream::new(seed);
            let image = state.plan_power_loss(policy, false, &mut stream).build();
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
                for _ in 0..8 {
                    let plan = state.plan_power_loss(policy, false, &mut stream);
                    let image = plan.build();
                    assert_eq!(plan.key(), image.key(), "{filesystem:?}, seed {seed}");
                    let told = plan.describe().join("\n");
                    assert!(oracle.allows(&image, false), "{filesystem:?}, seed {seed}\n{told}");
                }
            }
        }
    }
}
