//! A file imports only lower floors, or earlier files of its own folder.
//!
//! The tables below are the whole order: what stands further up or further left may not know what
//! comes after it. So there are no cycles, and a file can be read after those before it.
//!
//! `mod` stands for a folder's `mod.rs`, which has a place like any other file: first where its
//! files build on it, last where it builds on them. It may always re-export what is in its folder.

use crate::source::{Source, identifiers};

/// The files and folders of `src`, one line for each floor, in order.
const FLOORS: [&str; 9] = [
    "limits error ids options sync",
    "vfs",
    "checksum cursor codec crypto keyring env page page_cache row_bytes",
    "file_names key_file keys sec descriptor vector row scan_range record wal manifest paged_file change_set parked segment",
    "write_batch replication request memtable damage collection live_set row_cursor matching commit_queue",
    "store",
    "import dump",
    "lib",
    "bin",
];

/// The files of each folder, in order.
const FOLDERS: [(&str, &str); 12] = [
    ("vfs", "mod disk memory os"),
    ("vfs/os", "clock entropy file dir lock threads mod"),
    ("sec", "field value terms payload predicate posting node index search mod"),
    ("wal", "header codecs section frame reader writer mod"),
    ("manifest", "current index_snapshots parked schema entries mod"),
    ("crypto", "key aead mod"),
    (
        "segment",
        "layout ids filter indexes builder reader ahead cursor probe by_row by_field check_ids \
         check_indexes verify rescue dump tombstones mod",
    ),
    (
        "store",
        "reserve on_disk reclaim publish full_disk tail create load stored salvage used_keys recovery pace seal merge jobs observing worker threads mod scan snapshot index_snapshot vector_source park checkpoint compaction panics work plan provision observe commit background wait write replicate close maintain rekey rotate shred read live_once verify verify_catalog backup_keys backup rescue",
    ),
    ("dump", "item tables log segment pages directory columns mod"),
    ("bin", "quiver"),
    ("bin/quiver", "output stop keys import export compact copies stats verify dump main"),
    ("import", "mod input vecs npy_header npy json_lines write"),
];

/// Names each import that points up, and each file that has no place in the tables.
pub(crate) fn check(engine: &[Source]) -> Vec<String> {
    let places: Vec<Vec<&str>> = engine.iter().map(|source| place_of(&source.path)).collect();
    let mut found = Vec::new();
    for (source, place) in engine.iter().zip(&places) {
        if source.path.ends_with("/tests.rs") || source.path.contains("/tests/") {
            continue;
        }
        if let Some(table) = unlisted(place) {
            let path = &source.path;
            found.push(format!("{path}: add it to {table} in tests/tidy/floors.rs, in its order"));
            continue;
        }
        for import in imports(&source.shipped, place, &places) {
            if !is_below(import.place, place) && !import.is_reexport {
                let (from, to) = (source.place(import.at), import.place.join("/"));
                let own = place.join("/");
                found.push(format!("{from}: {own} imports {to}, which stands above it"));
            }
        }
    }
    // One line of code may lead to the same file several times.
    found.dedup();
    found
}

/// A file as the tables name it: `src/vfs/mod.rs` is `vfs`, `mod`.
fn place_of(path: &str) -> Vec<&str> {
    path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect()
}

/// The module that a file is: the place without `mod`, and nothing for `lib`.
fn module_of<'a, 'b>(place: &'b [&'a str]) -> &'b [&'a str] {
    match place {
        ["lib"] => &[],
        [folder @ .., "mod"] => folder,
        _ => place,
    }
}

/// The order of a folder's files; `None` for a folder without a table.
fn order(folder: &[&str]) -> Option<Vec<&'static str>> {
    if folder.is_empty() {
        return Some(FLOORS.iter().flat_map(|floor| floor.split(' ')).collect());
    }
    let folder = folder.join("/");
    let (_, files) = FOLDERS.iter().find(|(name, _)| *name == folder)?;
    Some(files.split(' ').collect())
}

fn position(folder: &[&str], name: &str) -> Option<usize> {
    order(folder)?.iter().position(|listed| *listed == name)
}

/// The table in which a place is missing.
fn unlisted(place: &[&str]) -> Option<&'static str> {
    let missing =
        (0..place.len()).find(|depth| position(&place[..*depth], place[*depth]).is_none());
    missing.map(|depth| if depth == 0 { "FLOORS" } else { "FOLDERS" })
}

/// Whether one listed file stands before another, or is the same.
fn is_below(lower: &[&str], upper: &[&str]) -> bool {
    let shared = lower.iter().zip(upper).take_while(|(a, b)| a == b).count();
    match (lower.get(shared), upper.get(shared)) {
        (Some(a), Some(b)) => position(&lower[..shared], a) < position(&lower[..shared], b),
        _ => true,
    }
}

struct Import<'a> {
    at: usize,
    place: &'a [&'a str],
    is_reexport: bool,
}

/// Every file that some code names by a path, in `use` or anywhere else.
fn imports<'a>(code: &str, own: &[&str], places: &'a [Vec<&'a str>]) -> Vec<Import<'a>> {
    let module = module_of(own);
    let is_child = |word: &str| {
        let child = [module, &[word]].concat();
        is_folder(own) && places.iter().any(|place| module_of(place) == child)
    };
    let mut found = Vec::new();
    for (at, word) in identifiers(code) {
        let starts =
            !code[..at].trim_end().ends_with("::") && code[at + word.len()..].starts_with("::");
        let from = match word {
            "crate" => &[][..],
            "self" => module,
            "super" => &module[..module.len().saturating_sub(1)],
            _ if is_child(word) => module,
            _ => continue,
        };
        if !starts {
            continue;
        }
        let skipped = if is_child(word) { 0 } else { word.len() + 2 };
        for path in paths(&code[at + skipped..]) {
            let place = resolve(from, &path, places);
            let inside = is_folder(own) && place.starts_with(module);
            found.push(Import { at, place, is_reexport: inside && is_reexport(&code[..at]) });
        }
    }
    found
}

/// Whether a file is the face of a folder.
fn is_folder(place: &[&str]) -> bool {
    matches!(place.last(), Some(&"mod" | &"lib"))
}

/// Whether what stands before a path is `pub use`, with whatever visibility.
fn is_reexport(before: &str) -> bool {
    let Some(before) = before.trim_end().strip_suffix("use") else { return false };
    let statement = before.rsplit([';', '}', ']', '\n']).next().unwrap_or("").trim_start();
    statement.starts_with("pub")
}

/// The paths that a tree of imports stands for: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn paths(tree: &str) -> Vec<Vec<&str>> {
    let tree = tree.trim_start();
    if let Some(inside) = tree.strip_prefix('{') {
        return branches(inside).into_iter().flat_map(paths).collect();
    }
    let Some((0, word)) = identifiers(tree).next() else { return vec![Vec::new()] };
    let rest = tree[word.len()..].strip_prefix("::").map_or(vec![Vec::new()], paths);
    rest.into_iter().map(|path| [&[word][..], &path].concat()).collect()
}

/// What stands between the commas up to the closing brace.
fn branches(inside: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0_usize, 0);
    let mut found = Vec::new();
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b',' if depth > 0 => {}
            b'}' | b',' => {
                found.push(inside[start..at].trim());
                start = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|branch| !branch.is_empty());
    found
}

/// The file that a path leads into: the longest part of it that is a module.
fn resolve<'a>(from: &[&str], path: &[&str], places: &'a [Vec<&'a str>]) -> &'a [&'a str] {
    let mut whole = from.to_vec();
    for word in path {
        match *word {
            "super" => drop(whole.pop()),
            "self" => {}
            word => whole.push(word),
        }
    }
    loop {
        if let Some(place) = places.iter().find(|place| module_of(place) == whole) {
            return place;
        }
        if whole.pop().is_none() {
            return &["lib"];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in one file, among the others it may name.
    fn found(path: &str, text: &str) -> Vec<String> {
        let others =
            ["error", "ids", "page", "lib", "vfs/mod", "vfs/disk", "vfs/memory", "vfs/os/mod"];
        let others = others.iter().map(|other| Source::new(&format!("src/{other}.rs"), ""));
        let mut engine: Vec<Source> = others.filter(|other| other.path != path).collect();
        engine.push(Source::new(path, text));
        check(&engine)
    }

    #[test]
    fn lower_floors_and_earlier_files_may_be_imported() {
        let text = "use crate::error::{Error, Result};\nuse crate::vfs::Access;\nfn f(a: crate::ids::Lsn) {}";
        assert_eq!(found("src/page.rs", text), [""; 0]);
        assert_eq!(found("src/vfs/disk.rs", "use super::{Access, File};"), [""; 0]);
        assert_eq!(found("src/vfs/os/mod.rs", "use super::super::error::Error;"), [""; 0]);
        assert_eq!(found("src/vfs/mod.rs", "mod disk;\npub use disk::{Disk, DiskFile};"), [""; 0]);
        assert_eq!(found("src/lib.rs", "pub(crate) use page::Page;\nuse vfs::Access;"), [""; 0]);
    }

    #[test]
    fn an_import_that_points_up_is_found_wherever_it_stands() {
        let up = |path: &str, text: &str, what: &str| {
            let expected = format!("{what}, which stands above it");
            assert_eq!(found(path, text), [expected], "{text}");
        };
        up("src/error.rs", "\nuse crate::ids::Lsn;", "src/error.rs:2: error imports ids");
        up(
            "src/ids.rs",
            "use crate::{error::Error, page::{A, B as C}};",
            "src/ids.rs:1: ids imports page",
        );
        up("src/vfs/mod.rs", "fn f() { disk::g() }", "src/vfs/mod.rs:1: vfs/mod imports vfs/disk");
        up(
            "src/vfs/disk.rs",
            "use super::os::OsVfs;",
            "src/vfs/disk.rs:1: vfs/disk imports vfs/os/mod",
        );
        up(
            "src/vfs/disk.rs",
            "use super::super::page::P;",
            "src/vfs/disk.rs:1: vfs/disk imports page",
        );
        up("src/page.rs", "use crate::Error;", "src/page.rs:1: page imports lib");
    }

    #[test]
    fn tests_may_import_anything() {
        let text = "#[cfg(test)]\nmod tests {\n use crate::page::P;\n}";
        assert_eq!(found("src/error.rs", text), [""; 0]);
        assert_eq!(found("src/vfs/tests.rs", "use crate::page::P;"), [""; 0]);
    }

    #[test]
    fn a_file_without_a_place_is_told_where_to_add_one() {
        let expected = "src/new.rs: add it to FLOORS in tests/tidy/floors.rs, in its order";
        assert_eq!(found("src/new.rs", ""), [expected]);
        let expected = "src/vfs/new.rs: add it to FOLDERS in tests/tidy/floors.rs, in its order";
        assert_eq!(found("src/vfs/new.rs", ""), [expected]);
    }

    #[test]
    fn the_tables_name_nothing_twice() {
        let floors = order(&[]).expect("the floors are a table");
        let folders = FOLDERS.iter().map(|(_, files)| files.split(' ').collect());
        for names in folders.chain([floors]) {
            let mut once: Vec<&str> = names.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{names:?}");
        }
    }
}
