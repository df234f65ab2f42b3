use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::codec::FileKind;
use crate::ids::{CollectionId, Salt, StoreId};

const PLACE: Place = Place {
    store: StoreId([1; 16]),
    salt: Salt([2; 16]),
    kind: FileKind::Segment,
    collection: CollectionId(3),
    position: 4,
};

fn codec() -> AesGcmCodec {
    AesGcmCodec::new(Key::from_bytes([7; 32]))
}

fn sealed(place: &Place) -> (Vec<u8>, [u8; TAG_SIZE_BYTES]) {
    let mut body = b"a body of a page".to_vec();
    let tag = codec().seal(place, b"header", &mut body).expect("sealed");
    (body, tag)
}

#[test]
fn what_is_sealed_opens_in_its_own_place_only() {
    let (body, tag) = sealed(&PLACE);
    let open = |codec: &dyn PageCodec, place: &Place, associated: &[u8]| {
        let mut opened = body.clone();
        codec.open(place, associated, &mut opened, &tag).map(|()| opened)
    };
    assert_eq!(open(&codec(), &PLACE, b"header").expect("its place"), b"a body of a page");
    for other in [
        Place { store: StoreId([9; 16]), ..PLACE },
        Place { salt: Salt([9; 16]), ..PLACE },
        Place { kind: FileKind::Tombstones, ..PLACE },
        Place { collection: CollectionId(9), ..PLACE },
        Place { position: 9, ..PLACE },
    ] {
        let error = open(&codec(), &other, b"header").expect_err("another place");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{other:?}");
        assert_ne!(sealed(&other), (body.clone(), tag), "{other:?}");
    }
    assert!(open(&codec(), &PLACE, b"heade!").is_err(), "another header");
    let other = AesGcmCodec::new(Key::from_bytes([8; 32]));
    assert!(open(&other, &PLACE, b"header").is_err(), "another key");
}

#[test]
fn codec_of_one_file_does_what_that_of_all_does() {
    let bound = codec().for_file(&PLACE).expect("a key is derived");
    let mut body = b"a body of a page".to_vec();
    let tag = bound.seal(&PLACE, b"header", &mut body).expect("sealed");
    assert_eq!((body, tag), sealed(&PLACE));
}

#[test]
#[should_panic(expected = "another file")]
fn codec_of_one_file_seals_nothing_of_another() {
    let bound = codec().for_file(&PLACE).expect("a key is derived");
    let _ = bound.seal(&Place { salt: Salt([9; 16]), ..PLACE }, b"", &mut []);
}

#[test]
fn codecs_do_not_show_their_keys() {
    let bound = codec().for_file(&PLACE).expect("a key is derived");
    for shown in [format!("{:?}", codec()), format!("{bound:?}")] {
        assert!(!shown.contains("key") && !shown.contains("[7,"), "{shown}");
    }
}

proptest! {
    #[test]
    fn bytes_come_back_and_every_changed_bit_is_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        at in any::<proptest::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let mut body = bytes.clone();
        let tag = codec().seal(&PLACE, b"", &mut body).expect("sealed");
        let mut opened = body.clone();
        codec().open(&PLACE, b"", &mut opened, &tag).expect("own bytes");
        prop_assert_eq!(&opened, &bytes);
        let mut whole = [&body[..], &tag].concat();
        whole[at.index(body.len() + TAG_SIZE_BYTES)] ^= 1_u8 << bit;
        let (body, tag) = whole.split_at_mut(bytes.len());
        let tag: &[u8; TAG_SIZE_BYTES] = (&*tag).try_into().expect("of that size");
        prop_assert!(codec().open(&PLACE, b"", body, tag).is_err());
    }
}
