//! Pages: [`verify`], [`open`] and [`seal`].
//!
//! The input is a page, of which the end may be missing; the missing part is zero.

use std::cell::RefCell;

use quiver_store::PlainCodec;
use quiver_store::ids::{CollectionId, Salt, StoreId};
use quiver_store::limits::PAGE_SIZE_BYTES;
use quiver_store::page::{
    PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PagePlace, PageType, offsets, open, seal, verify,
};

use crate::damage::{damage, invert};
use crate::errors;

/// Between two copies of a page: a copy to a little above a multiple of 4096 from where it comes from is
/// several times slower.
const APART_BYTES: usize = 2048;

thread_local! {
    /// Two pages. Each input writes over all of both before it looks at them, so nothing is kept (Z1): it only
    /// saves taking and zeroing them.
    static PAGES: RefCell<Vec<u8>> = RefCell::new(vec![0; 2 * PAGE_SIZE_BYTES + APART_BYTES]);
}

/// See the module.
pub(crate) fn body(input: &[u8]) {
    PAGES.with_borrow_mut(|pages| {
        let (page, opened) = pages.split_at_mut(PAGE_SIZE_BYTES);
        holds(input, page, &mut opened[APART_BYTES..]);
    });
}

/// `page` and `opened` are overwritten.
fn holds(input: &[u8], page: &mut [u8], opened: &mut [u8]) {
    let (start, end) = page.split_at_mut(input.len().min(PAGE_SIZE_BYTES));
    start.copy_from_slice(&input[..start.len()]);
    end.fill(0);
    let place = place_in(page);
    // A page of another length is an error as well.
    assert!(input.len() == PAGE_SIZE_BYTES || verify(&place, input).is_err());
    if let Err(error) = verify(&place, page) {
        errors::check_names(&error, &["page"]);
        mend(page);
    }
    opened.copy_from_slice(page);
    if !opened_page_seals_to_the_same_bytes(&place, page, opened) {
        sealed_page_opens(&place, page, opened);
    }
    is_refused_elsewhere_or_damaged(&place, page, input);
}

/// The place that the header claims, so that its checks can be passed.
fn place_in(page: &[u8]) -> PagePlace {
    let mut place = PagePlace {
        store: StoreId::default(),
        salt: Salt::default(),
        collection: CollectionId(1),
        page_type: PageType::of(page[offsets::TYPE]).unwrap_or(PageType::Tombstones),
        index: word(page, offsets::INDEX),
    };
    place.store.0[..8].copy_from_slice(&page[offsets::STORE_TAG..][..8]);
    place.salt.0.copy_from_slice(&page[offsets::SALT..][..16]);
    place
}

fn word(page: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(page[at..][..4].try_into().expect("four bytes"))
}

/// Makes the checksum that of the page.
fn mend(page: &mut [u8]) {
    page[offsets::CHECKSUM..][..4].fill(0);
    let checksum = crc32c::crc32c(page);
    page[offsets::CHECKSUM..][..4].copy_from_slice(&checksum.to_le_bytes());
}

/// Every byte of a page is either checked or part of the body, so none can be lost; whether it opened.
/// `opened` is a copy of the page.
fn opened_page_seals_to_the_same_bytes(place: &PagePlace, page: &[u8], opened: &mut [u8]) -> bool {
    let len = match open(place, &PlainCodec, opened) {
        Ok(payload) => {
            assert_eq!(payload, &page[PAGE_HEADER_SIZE_BYTES..][..payload.len()]);
            payload.len()
        }
        Err(error) => {
            errors::check_names(&error, &["page", "position"]);
            return false;
        }
    };
    let checksum = seal(place, &PlainCodec, opened, len).expect("plain");
    assert!(opened == page, "sealed to other bytes");
    assert_eq!(checksum, word(page, offsets::CHECKSUM));
    true
}

/// Makes a page of what was none.
fn sealed_page_opens(place: &PagePlace, page: &mut [u8], opened: &mut [u8]) {
    let len = word(page, offsets::PAYLOAD_LEN) as usize % (PAGE_BODY_SIZE_BYTES + 1);
    let body = &page[PAGE_HEADER_SIZE_BYTES..][..len];
    opened[PAGE_HEADER_SIZE_BYTES..][..len].copy_from_slice(body);
    seal(place, &PlainCodec, page, len).expect("plain");
    let body = open(place, &PlainCodec, page).expect("just sealed");
    assert_eq!(body, &opened[PAGE_HEADER_SIZE_BYTES..][..len]);
    assert_eq!(body.len(), len);
    // Opening takes the checksum out of the header.
    seal(place, &PlainCodec, page, len).expect("plain");
}

/// A plain page does not name its collection, so another collection is no other place.
fn is_refused_elsewhere_or_damaged(place: &PagePlace, page: &mut [u8], input: &[u8]) {
    let mut elsewhere = *place;
    // The page opens, so its checksum is one of everything that could choose.
    match word(page, offsets::CHECKSUM) % 8 {
        0 => elsewhere.index ^= 1 << (input.len() % 32),
        1 => invert(&mut elsewhere.store.0[..8], input.len()),
        2 => invert(&mut elsewhere.salt.0, input.len()),
        3 if place.page_type == PageType::Manifest => {
            elsewhere.page_type = PageType::SegmentColumn;
        }
        3 => elsewhere.page_type = PageType::Manifest,
        _ => damage(page, input),
    }
    assert!(verify(&elsewhere, page).is_err(), "opened in {elsewhere:?}");
}
