//! What was opened before, so that it need not be opened again for each of a thousand images.
//!
//! - M1. Opening is a function of key, place, associated bytes, sealed bytes and tag. All of them are
//!   compared, so what is answered from here is what the cipher answered.
//! - M2. Only what opened is kept: what does not is asked of the cipher each time.
//! - M3. What is kept is bounded, and let go of as a whole: nothing is answered otherwise without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use quiver_store::Key;
use quiver_store::codec::{PageCodec, TAG_SIZE_BYTES};

use super::seals::RawKey;

/// Bytes that are kept at most, sealed and opened.
const BYTES_MAX: usize = 16 << 20;

/// Codecs of files, and key files, that are kept at most.
const CODECS_MAX: usize = 4096;

/// The key of a file, and a position in it.
pub(super) type Seat = (u128, u64);

/// Opened seals, and codecs whose keys are derived.
#[derive(Debug, Default)]
pub(super) struct Recall {
    opened: BTreeMap<Seat, Opened>,
    bytes: usize,
    codecs: BTreeMap<u128, Arc<dyn PageCodec>>,
    pub(super) keys: KnownKeys,
}

/// What key files, by their bytes, come to under a key.
#[derive(Debug, Default)]
pub(super) struct KnownKeys(BTreeMap<(Vec<u8>, RawKey), Option<RawKey>>);

/// A seal, and what was in it.
#[derive(Debug)]
struct Opened {
    associated: Vec<u8>,
    tag: [u8; TAG_SIZE_BYTES],
    /// The sealed bytes, and as many plain ones.
    bytes: Vec<u8>,
}

impl KnownKeys {
    /// The key in a file, if it opens under a key; worked out where it is not known.
    pub(super) fn open(
        &mut self,
        file: &[u8],
        under: &Key,
        open: impl FnOnce() -> Option<Key>,
    ) -> Option<Key> {
        if self.0.len() == CODECS_MAX {
            self.0.clear();
        }
        let known = self.0.entry((file.to_vec(), *under.bytes()));
        let raw = known.or_insert_with(|| open().map(|key| *key.bytes()));
        raw.map(Key::from_bytes)
    }
}

impl Recall {
    /// The codec of a file, made where it is not known.
    pub(super) fn codec(
        &mut self,
        file: u128,
        make: impl FnOnce() -> Arc<dyn PageCodec>,
    ) -> Arc<dyn PageCodec> {
        if self.codecs.len() == CODECS_MAX {
            self.codecs.clear();
        }
        self.codecs.entry(file).or_insert_with(make).clone()
    }

    /// Opens what was opened before; whether it was (M1).
    pub(super) fn open(
        &self,
        seat: Seat,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE_BYTES],
    ) -> bool {
        let Some(known) = self.opened.get(&seat) else { return false };
        let (sealed, plain) = known.bytes.split_at(known.bytes.len() / 2);
        let is_same = known.tag == *tag && known.associated == associated && sealed == body;
        if is_same {
            body.copy_from_slice(plain);
        }
        is_same
    }

    /// Keeps what has opened (M2, M3).
    pub(super) fn keep(
        &mut self,
        seat: Seat,
        associated: &[u8],
        (mut sealed, plain): (Vec<u8>, &[u8]),
        tag: &[u8; TAG_SIZE_BYTES],
    ) {
        sealed.extend_from_slice(plain);
        self.bytes += sealed.len();
        if self.bytes > BYTES_MAX {
            self.opened.clear();
            self.bytes = sealed.len();
        }
        let opened = Opened { associated: associated.to_vec(), tag: *tag, bytes: sealed };
        if let Some(before) = self.opened.insert(seat, opened) {
            self.bytes = self.bytes.saturating_sub(before.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_in_all_its_parts_is_opened_from_here() {
        let mut recall = Recall::default();
        let (seat, tag) = ((7, 3), [1; TAG_SIZE_BYTES]);
        recall.keep(seat, b"head", (b"sealed".to_vec(), b"opened"), &tag);
        let open = |seat, associated: &[u8], sealed: &[u8; 6], tag| {
            let mut body = *sealed;
            recall.open(seat, associated, &mut body, &tag).then_some(body)
        };
        assert_eq!(open(seat, b"head", b"sealed", tag), Some(*b"opened"));
        assert_eq!(open((7, 4), b"head", b"sealed", tag), None);
        assert_eq!(open((8, 3), b"head", b"sealed", tag), None);
        assert_eq!(open(seat, b"heat", b"sealed", tag), None);
        assert_eq!(open(seat, b"head", b"seale!", tag), None);
        assert_eq!(open(seat, b"head", b"sealed", [2; TAG_SIZE_BYTES]), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut recall = Recall::default();
        for position in 0..600 {
            recall.keep((1, position), b"", (vec![0; 16_000], &[1; 16_000]), &[0; TAG_SIZE_BYTES]);
            assert!(recall.bytes <= BYTES_MAX);
            let kept: usize = recall.opened.values().map(|opened| opened.bytes.len()).sum();
            assert_eq!(kept, recall.bytes);
        }
    }
}
