//! Tombstones: the set of dead rows of a segment, as a store opens it.
//!
//! The first byte says how many rows the segment has (0: eight, else more than it has, so that sets of
//! several containers are parsed); the rest is the set. The header before it, the number of dead rows
//! and the manifest are made to fit. With 128 added to the first byte, the rest is the whole content.

use std::sync::{Arc, OnceLock};

use quiver_store::RoaringBitmap;
use quiver_store::Store;
use quiver_store::codec::PlainCodec;
use quiver_store::file_names::FileName;
use quiver_store::ids::{FileId, Salt};
use quiver_store::manifest::TombstonesEntry;
use quiver_store::page::{PageType, digest, seal_stream};

use crate::sections::{PAYLOADS, fill};
use crate::template::{Template, options};
use crate::{answers, errors, segment_open};

const SALT: Salt = Salt([5; 16]);

/// Bytes before the set.
const HEADER_SIZE_BYTES: usize = 40;

/// Where the number of dead rows is.
const DEAD_OFFSET: usize = 32;

/// Added where the header is the input's too.
const WITH_HEADER: u8 = 128;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    opens_whole(input);
}

/// Whether nothing was found in what the input makes.
fn opens_whole(input: &[u8]) -> bool {
    let Some((choice, rest)) = input.split_first() else { return false };
    let template = template();
    let mut manifest = template.manifest.clone();
    let segment = &mut manifest.segments[0];
    segment.rows += u64::from(choice & !WITH_HEADER) * 4096;
    let mut content = Vec::new();
    if choice & WITH_HEADER == 0 {
        content.extend_from_slice(&segment.file.0.to_le_bytes());
        content.extend_from_slice(&segment.salt.0);
        content.extend_from_slice(&segment.rows.to_le_bytes());
        content.extend_from_slice(&[0; 8]);
    }
    content.extend_from_slice(rest);
    let set = content.get(HEADER_SIZE_BYTES..);
    let set = set.and_then(|set| RoaringBitmap::deserialize_from(set).ok());
    if let Some(set) = &set {
        content[DEAD_OFFSET..][..8].copy_from_slice(&set.len().to_le_bytes());
    }
    let dead = content.get(DEAD_OFFSET..).and_then(|rest| rest.first_chunk::<8>());
    let dead = dead.map_or(1, |bytes| u64::from_le_bytes(*bytes));
    // The manifest is refused for another count.
    let rows = dead.clamp(1, segment.rows - 1);
    let place = template.place(SALT, PageType::Tombstones);
    let pages = seal_stream(&place, &*template.codec, &content).expect("plain");
    let (len, digest) = (pages.len() as u64, digest(&pages));
    let (file, segment_file) = (FileId(1000), segment.file);
    let entry = TombstonesEntry { file, segment: segment_file, salt: SALT, len, rows, digest };
    let segment_name = segment_open::name_of(segment);
    manifest.tombstones.push(entry);
    manifest.next_file = FileId(1001);
    let name = FileName::Tombstones(file, SALT.into()).text();
    let env = template.env(&manifest, &[(name.clone(), &pages)]);
    let names = [&*name, &*segment_name, "manifest"];
    match Store::open_read_only_with(env, options()) {
        Err(error) => {
            errors::check_names(&error, &names);
            false
        }
        Ok(store) => {
            let shown = answers::check(&store, &names);
            if let Some(shown) = &shown {
                let set = set.expect("what verifies can be parsed");
                // A line for the collection, and one for each row that lives.
                let living = (0_u32..).take(PAYLOADS.len()).filter(|row| !set.contains(*row));
                let living: Vec<String> = living.map(|row| format!("\"row-{row:02}\" ")).collect();
                let are_those = shown.len() == living.len() + 1
                    && shown[1..].iter().zip(&living).all(|(line, row)| line.starts_with(row));
                assert!(are_those, "{set:?} are dead: {shown:?}");
            }
            shown.is_some()
        }
    }
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), fill))
}

/// Seeds: an array, a bitset and runs, within one container and over several.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let of = |choice: u8, mut set: RoaringBitmap| {
        set.optimize();
        let mut bytes = vec![choice];
        set.serialize_into(&mut bytes).expect("a vector takes every byte");
        bytes
    };
    let mut whole = vec![WITH_HEADER];
    let template = template();
    let segment = template.manifest.segments[0];
    whole.extend_from_slice(&segment.file.0.to_le_bytes());
    whole.extend_from_slice(&segment.salt.0);
    whole.extend_from_slice(&segment.rows.to_le_bytes());
    whole.extend_from_slice(&2_u64.to_le_bytes());
    whole.extend_from_slice(&of(0, [1, 3].into())[1..]);
    vec![
        ("array".to_owned(), of(0, [1, 3].into())),
        ("run".to_owned(), of(0, (2..7).collect())),
        ("with-header".to_owned(), whole),
        ("bitset".to_owned(), of(4, (0..16_000).filter(|row| row % 3 == 0).collect())),
        ("two-containers".to_owned(), of(30, [1, 65_535, 65_536, 70_000].into())),
        ("runs-and-arrays".to_owned(), of(40, (0..66_000).chain([100_000]).collect())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The others are of more rows than the segment has.
    #[test]
    fn seeds_of_eight_rows_are_whole() {
        let whole = seeds().iter().filter(|(_, seed)| opens_whole(seed)).count();
        assert_eq!(whole, 3);
    }
}
