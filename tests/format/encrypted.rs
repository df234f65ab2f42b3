//! The encrypted sample: read by the document, opened with its key and with others, and searched for what
//! must not be readable in it.

use std::sync::Arc;

use quiver_store::{EnvelopeKeyRing, ErrorKind, Key, KeyRing, SingleCodecKeyRing};

use crate::document::Document;
use crate::sample::{Golden, MASTER_KEY, Sample, rows};
use crate::seals::{Keys, Seals};
use crate::{ROWS, assert_written_to_the_byte, golden_files, sample, walk_all};

#[test]
fn files_of_an_encrypted_store_are_as_documented() {
    let files = sample::write(Golden::Encrypted).expect("memory does not fail");
    walk_all(&Document::read(), &files, Seals::Keys(Keys::new(MASTER_KEY)));
}

#[test]
fn encrypted_golden_files_are_written_to_the_byte() {
    assert_written_to_the_byte(Golden::Encrypted);
}

#[test]
fn encrypted_golden_files_are_read_back_with_their_key() {
    let files = golden_files(Golden::Encrypted);
    let store = Sample::of(&files, Golden::Encrypted.ring()).open().expect("opens");
    assert_eq!(rows(&store).expect("open"), ROWS);
}

#[test]
fn encrypted_golden_files_do_not_open_without_their_key() {
    let files = golden_files(Golden::Encrypted);
    let mut other = MASTER_KEY;
    other[31] ^= 1;
    let rings: [Arc<dyn KeyRing>; 2] = [
        Arc::new(SingleCodecKeyRing::plaintext()),
        Arc::new(EnvelopeKeyRing::new(Key::from_bytes(other))),
    ];
    for ring in rings {
        let error = Sample::of(&files, Arc::clone(&ring)).open().expect_err("not its key");
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{ring:?}: {error}");
    }
}

#[test]
fn encrypted_golden_files_show_no_name_id_vector_or_payload() {
    let texts =
        ["fruit", "seeds", "grain", "gone", "ashes", "kind", "apple", "kiwi", "lime", "pear"];
    let more = ["plum", "poppy", "nobody", "\"red\"", "true", "null", "graph"];
    let vector = [7.0_f32, 7.0].map(f32::to_le_bytes).concat();
    let mut secrets: Vec<Vec<u8>> =
        texts.iter().chain(&more).map(|text| text.as_bytes().to_vec()).collect();
    secrets.push(vector);
    let files_with = |golden: Golden, secret: &[u8]| {
        let files = golden_files(golden).into_iter();
        let with =
            files.filter(|(_, bytes)| bytes.windows(secret.len()).any(|part| part == secret));
        with.map(|(name, _)| name).collect::<Vec<_>>()
    };
    for secret in secrets {
        let text = String::from_utf8_lossy(&secret).into_owned();
        assert_eq!(files_with(Golden::Encrypted, &secret), [""; 0], "{text:?} can be read");
        let is_in_the_plain_one = !files_with(Golden::Plain, &secret).is_empty();
        assert!(is_in_the_plain_one || text == "ashes", "{text:?} is no secret of the sample");
    }
}
