//! One page of a segment of which every column but the filter has pages of its own.
//!
//! The first byte of the input says which page, counted around the end; the rest is written over the start of
//! its body. Checksums, the footer and the manifest are made to fit. Each input reads thousands of rows: what
//! does not need them is found faster by [`crate::segment_open`].

use std::sync::{Arc, OnceLock};

use quiver_store::codec::PlainCodec;
use quiver_store::limits::PAGE_SIZE_BYTES;
use quiver_store::page::{
    PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PageType, digest, offsets, seal,
};

use crate::sections::{DIGEST_OFFSET, FOOTER_SIZE_BYTES, fill_pages, long};
use crate::segment_open::{self, name_of};
use crate::template::Template;

/// Of the start of a page: what a seed has of it.
const SEED_BYTES: usize = 64;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    opens_whole(input);
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| Template::of(Arc::new(PlainCodec), fill_pages))
}

/// Whether nothing was found in what the input makes.
fn opens_whole(input: &[u8]) -> bool {
    let Some((place, body)) = input.split_first() else { return false };
    let template = template();
    let mut manifest = template.manifest.clone();
    let entry = &mut manifest.segments[0];
    let name = name_of(entry);
    let mut file = template.files[&name].to_vec();
    let last = file.len() / PAGE_SIZE_BYTES - 1;
    let index = usize::from(*place) % (last + 1);
    let page = &mut file[index * PAGE_SIZE_BYTES..][..PAGE_SIZE_BYTES];
    let own = PageType::of(page[offsets::TYPE]).expect("the engine wrote it");
    let mut at = template.place(entry.salt, own);
    at.index = u32::try_from(index).expect("a few pages");
    let len = body.len().min(PAGE_BODY_SIZE_BYTES);
    page[PAGE_HEADER_SIZE_BYTES..][..len].copy_from_slice(&body[..len]);
    // All pages but the last two are full.
    let full = page[offsets::PAYLOAD_LEN..][..4].try_into().expect("four bytes");
    let full = u32::from_le_bytes(full) as usize;
    seal(&at, &PlainCodec, page, full).expect("plain");
    let (before, footer) = file.split_at_mut(last * PAGE_SIZE_BYTES);
    if index < last {
        let body = &mut footer[PAGE_HEADER_SIZE_BYTES..];
        body[DIGEST_OFFSET..][..4].copy_from_slice(&digest(before).to_le_bytes());
        at = template.place(entry.salt, PageType::SegmentFooter);
        at.index = u32::try_from(last).expect("a few pages");
        seal(&at, &PlainCodec, footer, FOOTER_SIZE_BYTES).expect("plain");
    }
    let checksum = footer[offsets::CHECKSUM..][..4].try_into().expect("four bytes");
    entry.footer = u32::from_le_bytes(checksum);
    entry.rows = long(&footer[PAGE_HEADER_SIZE_BYTES..], 0);
    segment_open::check(template, &manifest, &name, &file)
}

/// Seeds: each page as it is.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let template = template();
    let file = &template.files[&name_of(&template.manifest.segments[0])];
    let pages = file.chunks(PAGE_SIZE_BYTES).zip(0_u8..);
    pages
        .map(|(page, index)| {
            let body = &page[PAGE_HEADER_SIZE_BYTES..][..SEED_BYTES];
            (format!("page-{index:02}"), [&[index], body].concat())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise what is mended around an input would be refused whatever the input is.
    #[test]
    fn every_seed_is_whole() {
        let seeds = seeds();
        assert!(seeds.len() > 8, "{} pages", seeds.len());
        assert!(seeds.iter().step_by(4).all(|(_, seed)| opens_whole(seed)));
    }
}
