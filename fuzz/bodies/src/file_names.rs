//! Names of files: [`FileName::parse`] and [`FileName::text`].
//!
//! The input is a name, and also what a name is made from.

use arbitrary::{Result, Unstructured};
use quiver_store::file_names::{FileName, Tag};
use quiver_store::ids::{FileId, KeyId, ManifestVersion, Salt};
use quiver_store::limits::NUMBER_MAX;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        // No two texts are one name.
        let name = FileName::parse(text);
        assert!(name.is_none_or(|name| name.text() == text), "{text:?} is {name:?}");
    }
    if let Ok(id) = Unstructured::new(input).arbitrary() {
        let name = FileName::Key(KeyId(id));
        assert_eq!(FileName::parse(&name.text()), Some(name));
    }
    if let Ok((number, name)) = name(&mut Unstructured::new(input)) {
        // A number that the engine never gives is in no name of its.
        let expected = (number < NUMBER_MAX).then_some(name);
        assert_eq!(FileName::parse(&name.text()), expected);
    }
}

fn name(input: &mut Unstructured<'_>) -> Result<(u64, FileName)> {
    // Small numbers need padding, large ones are beyond the bound.
    let number = input.arbitrary::<u64>()? >> input.int_in_range(0..=63)?;
    let tag = Tag::from(Salt(input.arbitrary()?));
    let names = [
        FileName::CurrentTemporary(ManifestVersion(number), tag),
        FileName::Manifest(ManifestVersion(number), tag),
        FileName::Log(FileId(number), tag),
        FileName::Segment(FileId(number), tag),
        FileName::Tombstones(FileId(number), tag),
        FileName::IndexSnapshot(FileId(number), tag),
        FileName::Changes(FileId(number), tag),
        FileName::Parked(FileId(number), tag),
        FileName::Reserve(FileId(number), tag),
    ];
    Ok((number, *input.choose(&names)?))
}
