//! The cases, by name.

use std::io::ErrorKind;

use super::*;

/// Declares each case as a test that runs it on every disk.
macro_rules! cases {
    ($($(#[$doc:meta])* fn $name:ident($disk:ident) $body:block)*) => {
        $($(#[$doc])* #[test] fn $name() { on_every_disk(|$disk: &Subject| $body); })*
    };
}

cases! {
    fn create_new_makes_an_empty_file_that_reads_and_writes(disk) {
        let file = disk.vfs.create_new(&disk.path("a"), here()).expect("the name is free");
        assert_eq!(file.len(here()).expect("it is open"), 0);
        assert_eq!(file.write_at(b"abc", 0, here()).expect("there is room"), 3);
        assert_eq!(content(&*file), b"abc");
    }

    fn create_new_refuses_a_taken_name_and_leaves_it_alone(disk) {
        disk.create("a", b"first");
        disk.create_dir("d").expect("the name is free");
        disk.refused(disk.vfs.create_new(&disk.path("a"), here()), ErrorKind::AlreadyExists);
        disk.refused(disk.vfs.create_new(&disk.path("d"), here()), ErrorKind::AlreadyExists);
        assert_eq!(disk.bytes("a"), b"first");
    }

    fn create_new_needs_its_parent(disk) {
        disk.create("a", b"");
        disk.refused(disk.vfs.create_new(&disk.path("gone/x"), here()), ErrorKind::NotFound);
        disk.refused(disk.vfs.create_new(&disk.path("a/x"), here()), ErrorKind::NotADirectory);
    }

    fn open_refuses_what_is_not_there(disk) {
        disk.create("a", b"");
        for access in [Access::Read, Access::ReadWrite] {
            disk.refused(disk.open("gone", access), ErrorKind::NotFound);
            disk.refused(disk.open("gone/x", access), ErrorKind::NotFound);
            disk.refused(disk.open("a/x", access), ErrorKind::NotADirectory);
        }
    }

    fn open_refuses_a_directory(disk) {
        disk.create_dir("d").expect("the name is free");
        disk.refused(disk.open("d", Access::Read), ErrorKind::IsADirectory);
        disk.refused(disk.open("d", Access::ReadWrite), ErrorKind::IsADirectory);
    }

    fn handles_of_one_file_see_one_another(disk) {
        let first = disk.create("a", b"abc");
        let second = disk.open("a", Access::ReadWrite).expect("it is there");
        let third = disk.open("a", Access::Read).expect("it is there");
        second.write_at(b"XYZ", 2, here()).expect("there is room");
        assert_eq!(content(&*first), b"abXYZ");
        assert_eq!(third.len(here()).expect("it is open"), 5);
    }

    fn read_only_handle_reads_and_does_not_write(disk) {
        disk.create("a", b"abc");
        let file = disk.open("a", Access::Read).expect("it is there");
        assert_eq!(content(&*file), b"abc");
        disk.refused(file.write_at(b"x", 0, here()), ErrorKind::PermissionDenied);
        disk.refused(file.allocate(100, here()), ErrorKind::PermissionDenied);
        assert_eq!(disk.bytes("a"), b"abc");
        file.sync_data(here()).expect("a sync changes nothing");
    }

    fn reads_end_at_the_end(disk) {
        let file = disk.create("a", &[7; 1000]);
        let mut buf = [0xEE; 600];
        assert_eq!(file.read_at(&mut buf, 600, here()).expect("it is open"), 400);
        assert!(buf[..400].iter().all(|byte| *byte == 7));
        assert!(buf[400..].iter().all(|byte| *byte == 0xEE), "only what was read is written");
        assert_eq!(file.read_at(&mut buf, 1000, here()).expect("it is open"), 0);
        assert_eq!(file.read_at(&mut buf, 5000, here()).expect("it is open"), 0);
        assert_eq!(file.read_at(&mut [], 0, here()).expect("it is open"), 0);
    }

    fn write_past_the_end_leaves_a_hole_of_zeros(disk) {
        let file = disk.create("a", b"abc");
        assert_eq!(file.write_at(b"xyz", 9000, here()).expect("there is room"), 3);
        let bytes = content(&*file);
        assert_eq!(bytes.len(), 9003);
        assert_eq!(bytes[..3], *b"abc");
        assert!(bytes[3..9000].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[9000..], *b"xyz");
    }

    fn write_inside_changes_only_its_bytes(disk) {
        let file = disk.create("a", &[1; 10_000]);
        file.write_at(&[2; 5000], 511, here()).expect("there is room");
        let bytes = content(&*file);
        assert_eq!(bytes.len(), 10_000);
        for (at, byte) in bytes.into_iter().enumerate() {
            assert_eq!(byte == 2, (511..5511).contains(&at), "{}: byte {at}", disk.name);
        }
    }

    fn empty_write_does_nothing(disk) {
        let file = disk.create("a", b"abc");
        assert_eq!(file.write_at(b"", 9000, here()).expect("nothing to do"), 0);
        assert_eq!(file.len(here()).expect("it is open"), 3);
    }

    fn allocate_grows_with_zeros_and_keeps_the_bytes(disk) {
        let file = disk.create("a", b"abc");
        file.allocate(70_000, here()).expect("there is room");
        assert_eq!(file.len(here()).expect("it is open"), 70_000);
        let bytes = content(&*file);
        assert_eq!(bytes[..3], *b"abc");
        assert!(bytes[3..].iter().all(|byte| *byte == 0));
    }

    fn allocate_never_shrinks(disk) {
        let file = disk.create("a", &[7; 5000]);
        file.allocate(100, here()).expect("nothing to do");
        file.allocate(0, here()).expect("nothing to do");
        file.allocate(5000, here()).expect("nothing to do");
        assert_eq!(content(&*file), [7; 5000]);
    }

    fn rename_moves_a_file_and_its_open_handles(disk) {
        let file = disk.create("a", b"abc");
        disk.rename("a", "b").expect("same directory");
        disk.refused(disk.open("a", Access::Read), ErrorKind::NotFound);
        file.write_at(b"X", 0, here()).expect("the handle is still good");
        assert_eq!(disk.bytes("b"), b"Xbc");
    }

    fn rename_replaces_and_keeps_open_handles_of_the_old_file(disk) {
        let old = disk.create("current", b"old");
        disk.create("new", b"newer");
        disk.rename("new", "current").expect("same directory");
        assert_eq!(disk.bytes("current"), b"newer");
        assert_eq!(content(&*old), b"old");
        old.write_at(b"O", 0, here()).expect("the handle is still good");
        assert_eq!(content(&*old), b"Old");
        assert_eq!(disk.bytes("current"), b"newer");
        assert_eq!(disk.list("").expect("it is a directory").len(), 1);
    }

    fn rename_onto_itself_changes_nothing(disk) {
        disk.create("a", b"abc");
        disk.rename("a", "a").expect("it is there");
        assert_eq!(disk.bytes("a"), b"abc");
    }

    fn rename_needs_its_source(disk) {
        disk.create("b", b"kept");
        disk.refused(disk.rename("a", "b"), ErrorKind::NotFound);
        disk.refused(disk.rename("gone/a", "gone/b"), ErrorKind::NotFound);
        disk.refused(disk.rename("b/x", "b/y"), ErrorKind::NotADirectory);
        assert_eq!(disk.bytes("b"), b"kept");
    }

    fn rename_across_directories_is_refused(disk) {
        disk.create_dir("d").expect("the name is free");
        disk.create("a", b"abc");
        disk.create("d/b", b"");
        disk.refused(disk.rename("a", "d/a"), ErrorKind::InvalidInput);
        disk.refused(disk.rename("d/b", "b"), ErrorKind::InvalidInput);
        disk.refused(disk.rename("gone", "d/gone"), ErrorKind::InvalidInput);
        assert_eq!(disk.bytes("a"), b"abc");
    }

    fn rename_of_or_onto_a_directory_is_refused(disk) {
        disk.create_dir("d").expect("the name is free");
        disk.create("a", b"abc");
        disk.refused(disk.rename("d", "e"), ErrorKind::IsADirectory);
        disk.refused(disk.rename("a", "d"), ErrorKind::IsADirectory);
        disk.refused(disk.rename("d", "a"), ErrorKind::IsADirectory);
        assert_eq!(disk.bytes("a"), b"abc");
    }

    fn unlinked_file_lives_while_a_handle_is_open(disk) {
        let file = disk.create("a", b"abc");
        disk.unlink("a").expect("it is there");
        disk.refused(disk.open("a", Access::Read), ErrorKind::NotFound);
        file.write_at(b"X", 3, here()).expect("the handle is still good");
        file.allocate(10, here()).expect("the handle is still good");
        file.sync_data(here()).expect("the handle is still good");
        assert_eq!(content(&*file), b"abcX\0\0\0\0\0\0");
        let second = disk.create("a", b"other");
        assert_eq!(content(&*second), b"other");
        assert_eq!(content(&*file)[..4], *b"abcX");
    }

    fn unlink_refuses_what_is_not_there_and_directories(disk) {
        disk.create_dir("d").expect("the name is free");
        disk.create("a", b"");
        disk.refused(disk.unlink("gone"), ErrorKind::NotFound);
        disk.refused(disk.unlink("gone/x"), ErrorKind::NotFound);
        disk.refused(disk.unlink("a/x"), ErrorKind::NotADirectory);
        disk.refused(disk.unlink("d"), ErrorKind::IsADirectory);
        assert_eq!(disk.list("").expect("it is a directory").len(), 2);
    }

    fn create_dir_needs_its_parent_and_a_free_name(disk) {
        disk.create("a", b"");
        disk.create_dir("d").expect("the name is free");
        disk.create_dir("d/e").expect("the parent is there");
        disk.refused(disk.create_dir("d"), ErrorKind::AlreadyExists);
        disk.refused(disk.create_dir("a"), ErrorKind::AlreadyExists);
        disk.refused(disk.create_dir("gone/x"), ErrorKind::NotFound);
        disk.refused(disk.create_dir("a/x"), ErrorKind::NotADirectory);
        disk.create("d/e/f", b"deep");
        assert_eq!(disk.bytes("d/e/f"), b"deep");
    }

    fn read_dir_lists_its_own_names_in_byte_order_with_kinds(disk) {
        assert_eq!(disk.list("").expect("it is a directory"), []);
        for name in ["b", "a", "a.tmp", "a-1", "B", "ä", "log-0000000010", "log-0000000009"] {
            disk.create(name, b"");
        }
        disk.create_dir("a0").expect("the name is free");
        disk.create("a0/inner", b"");
        let names = disk.list("").expect("it is a directory");
        let expected = [
            "B", "a", "a-1", "a.tmp", "a0", "b", "log-0000000009", "log-0000000010", "ä",
        ];
        let kind = |name| if name == "a0" { EntryKind::Directory } else { EntryKind::File };
        assert_eq!(names, expected.map(|name| (name.to_owned(), kind(name))), "{}", disk.name);
    }

    fn read_dir_refuses_what_is_no_directory(disk) {
        disk.create("a", b"");
        disk.refused(disk.list("gone"), ErrorKind::NotFound);
        disk.refused(disk.list("gone/x"), ErrorKind::NotFound);
        disk.refused(disk.list("a"), ErrorKind::NotADirectory);
        disk.refused(disk.list("a/x"), ErrorKind::NotADirectory);
    }

    fn sync_dir_refuses_what_is_no_directory(disk) {
        disk.create("a", b"");
        disk.create_dir("d").expect("the name is free");
        let sync = |name: &str| disk.vfs.sync_dir(&disk.path(name), here());
        sync("").expect("it is a directory");
        sync("d").expect("it is a directory");
        disk.refused(sync("gone"), ErrorKind::NotFound);
        disk.refused(sync("a"), ErrorKind::NotADirectory);
    }

    fn syncs_change_nothing_that_is_visible(disk) {
        let file = disk.create("a", &[3; 3000]);
        file.sync_data(here()).expect("a healthy disk");
        file.sync_data(here()).expect("a healthy disk");
        disk.vfs.sync_dir(&disk.root, here()).expect("a healthy disk");
        assert_eq!(content(&*file), [3; 3000]);
        assert_eq!(disk.list("").expect("it is a directory").len(), 1);
    }

    fn lock_makes_its_file_and_excludes_a_second_one_until_dropped(disk) {
        let path = disk.path("LOCK");
        let held = disk.vfs.lock(&path, Access::ReadWrite, here()).expect("nobody holds it");
        assert_eq!(disk.bytes("LOCK"), b"");
        disk.refused(disk.vfs.lock(&path, Access::ReadWrite, here()), ErrorKind::WouldBlock);
        drop(held);
        let again = disk.vfs.lock(&path, Access::ReadWrite, here()).expect("it was let go");
        disk.refused(disk.vfs.lock(&path, Access::ReadWrite, here()), ErrorKind::WouldBlock);
        drop(again);
        assert_eq!(disk.list("").expect("it is a directory").len(), 1, "it is never removed");
    }

    fn locks_of_two_files_are_independent(disk) {
        let _first = disk.vfs.lock(&disk.path("one"), Access::ReadWrite, here()).expect("nobody holds it");
        let _second = disk.vfs.lock(&disk.path("two"), Access::ReadWrite, here()).expect("nobody holds it");
    }

    fn lock_leaves_the_bytes_of_its_file_alone(disk) {
        disk.create("LOCK", b"text");
        let _held = disk.vfs.lock(&disk.path("LOCK"), Access::ReadWrite, here()).expect("nobody holds it");
        assert_eq!(disk.bytes("LOCK"), b"text");
    }

    fn lock_follows_its_file_not_its_name(disk) {
        let _held = disk.vfs.lock(&disk.path("LOCK"), Access::ReadWrite, here()).expect("nobody holds it");
        disk.rename("LOCK", "other").expect("it is there");
        disk.refused(disk.vfs.lock(&disk.path("other"), Access::ReadWrite, here()), ErrorKind::WouldBlock);
        let _fresh = disk.vfs.lock(&disk.path("LOCK"), Access::ReadWrite, here()).expect("another file");
    }

    fn lock_refuses_directories_and_missing_parents(disk) {
        disk.create_dir("d").expect("the name is free");
        disk.refused(disk.vfs.lock(&disk.path("d"), Access::ReadWrite, here()), ErrorKind::IsADirectory);
        disk.refused(disk.vfs.lock(&disk.path("gone/LOCK"), Access::ReadWrite, here()), ErrorKind::NotFound);
    }
}
