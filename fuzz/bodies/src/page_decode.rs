//! Pages: [`verify`], [`open`] and [`seal`].
//!
//! The input is a page, of which the end may be missing; the missing part is zero.

use quiver_store::PlainCodec;
use quiver_store::ids::{CollectionId, Salt, StoreId};
use quiver_store::limits::PAGE_SIZE_BYTES;
use quiver_store::page::{
    PAGE_BODY_SIZE_BYTES, PAGE_HEADER_SIZE_BYTES, PagePlace, PageType, offsets, open, seal, verify,
};

use crate::damage::{damage, invert};

/// See the module.
pub(crate) fn body(input: &[u8]) {
    let mut page = input[..input.len().min(PAGE_SIZE_BYTES)].to_vec();
    page.resize(PAGE_SIZE_BYTES, 0);
    let place = place_in(&page);
    // A page of another length is an error as well.
    assert!(input.len() == PAGE_SIZE_BYTES || verify(&place, input).is_err());
    opened_page_seals_to_the_same_bytes(&place, &page);
    mend(&mut page);
    opened_page_seals_to_the_same_bytes(&place, &page);
    sealed_page_opens_in_its_place_only(&place, page, input);
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

/// Every byte of a page is either checked or part of the body, so none can be lost.
fn opened_page_seals_to_the_same_bytes(place: &PagePlace, page: &[u8]) {
    let mut opened = page.to_vec();
    let Ok(payload) = open(place, &PlainCodec, &mut opened) else { return };
    let len = payload.len();
    assert_eq!(payload, &page[PAGE_HEADER_SIZE_BYTES..][..len]);
    let checksum = seal(place, &PlainCodec, &mut opened, len).expect("plain");
    assert!(opened == page, "sealed to other bytes");
    assert_eq!(checksum, verify(place, page).expect("it opened"));
}

/// A plain page does not name its collection, so another collection is no other place.
fn sealed_page_opens_in_its_place_only(place: &PagePlace, mut page: Vec<u8>, input: &[u8]) {
    let choice = word(&page, offsets::PAYLOAD_LEN) as usize;
    let len = choice % (PAGE_BODY_SIZE_BYTES + 1);
    let body = page[PAGE_HEADER_SIZE_BYTES..].to_vec();
    let checksum = seal(place, &PlainCodec, &mut page, len).expect("plain");
    assert_eq!(verify(place, &page).expect("just sealed"), checksum);
    let mut opened = page.clone();
    assert!(open(place, &PlainCodec, &mut opened).expect("just sealed") == &body[..len]);

    let mut elsewhere = *place;
    match choice % 4 {
        0 => elsewhere.index ^= 1 << (input.len() % 32),
        1 => invert(&mut elsewhere.store.0[..8], input.len()),
        2 => invert(&mut elsewhere.salt.0, input.len()),
        _ if place.page_type == PageType::Manifest => elsewhere.page_type = PageType::SegmentColumn,
        _ => elsewhere.page_type = PageType::Manifest,
    }
    assert!(verify(&elsewhere, &page).is_err(), "opened in {elsewhere:?}");
    damage(&mut page, input);
    assert!(verify(place, &page).is_err(), "opened although damaged");
}
