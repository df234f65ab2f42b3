//! Key files: [`verify`], [`decode`] and [`encode`].
//!
//! The input is a key file, of which the end may be missing, and also what one is made from.

use arbitrary::{Result, Unstructured};
use quiver_store::ids::{CollectionId, KeyId, StoreId};
use quiver_store::key_file::{KEY_FILE_SIZE_BYTES, KeyIdentity, decode, encode, verify};
use quiver_store::{AesGcmCodec, Key};

use crate::damage::{damage, invert};

/// The checksum stands here, behind all that it covers.
const CHECKSUM_OFFSET: usize = KEY_FILE_SIZE_BYTES - 4;

/// See the module.
pub(crate) fn body(input: &[u8]) {
    what_verifies_is_whole(input, input);
    let mut file = [0; KEY_FILE_SIZE_BYTES];
    let len = file.len().min(input.len());
    file[..len].copy_from_slice(&input[..len]);
    mend(&mut file);
    what_verifies_is_whole(&file, input);
    if let Ok(made) = Made::arbitrary(&mut Unstructured::new(input)) {
        made.opens_in_its_place_only(input);
    }
}

/// Makes the checksum that of the bytes before it.
pub(crate) fn mend(file: &mut [u8; KEY_FILE_SIZE_BYTES]) {
    let (covered, checksum) = file.split_at_mut(CHECKSUM_OFFSET);
    checksum.copy_from_slice(&crc32c::crc32c(covered).to_le_bytes());
}

/// The identity that the header claims, so that its check can be passed.
fn identity_in(bytes: &[u8]) -> KeyIdentity {
    let mut identity = KeyIdentity {
        store: StoreId::default(),
        key: KeyId::default(),
        collection: CollectionId(0),
    };
    if let Some(header) = bytes.first_chunk::<48>() {
        identity.store.0.copy_from_slice(&header[8..24]);
        identity.key.0.copy_from_slice(&header[24..40]);
        let collection = header[40..].try_into().expect("eight bytes");
        identity.collection = CollectionId(u64::from_le_bytes(collection));
    }
    identity
}

/// Nothing that verifies is cut, has more bytes, or verifies when it is damaged. It opens under no key
/// that the input did not have.
fn what_verifies_is_whole(bytes: &[u8], input: &[u8]) {
    let identity = identity_in(bytes);
    let codec = AesGcmCodec::new(Key::from_bytes([7; 32]));
    let decoded = decode(&identity, &codec, bytes);
    let verified = verify(&identity, bytes);
    assert_eq!(decoded.is_ok(), verified.is_ok());
    if verified.is_err() {
        return;
    }
    assert_eq!(bytes.len(), KEY_FILE_SIZE_BYTES);
    assert!(decoded.expect("it verifies").is_none(), "opened under another key");
    let cut = input.len() % KEY_FILE_SIZE_BYTES;
    assert!(verify(&identity, &bytes[..cut]).is_err(), "verified although cut at {cut}");
    assert!(verify(&identity, &[bytes, &[0]].concat()).is_err(), "verified although longer");
    let mut damaged = bytes.to_vec();
    damage(&mut damaged, input);
    assert!(verify(&identity, &damaged).is_err(), "verified although damaged");
}

/// A key, and where it is kept.
#[derive(Debug)]
struct Made {
    identity: KeyIdentity,
    wrapping: [u8; 32],
    key: [u8; 32],
}

impl Made {
    fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        let identity = KeyIdentity {
            store: StoreId(input.arbitrary()?),
            key: KeyId(input.arbitrary()?),
            collection: CollectionId(input.arbitrary()?),
        };
        Ok(Self { identity, wrapping: input.arbitrary()?, key: input.arbitrary()? })
    }

    fn opens_in_its_place_only(&self, input: &[u8]) {
        let Self { identity, wrapping, key } = self;
        let codec = AesGcmCodec::new(Key::from_bytes(*wrapping));
        let mut file = encode(identity, &codec, &Key::from_bytes(*key)).expect("it never fails");
        let opened = decode(identity, &codec, &file).expect("just encoded");
        assert_eq!(opened.expect("its key").bytes(), key);

        let mut other = *wrapping;
        invert(&mut other, input.len());
        let other = AesGcmCodec::new(Key::from_bytes(other));
        assert!(decode(identity, &other, &file).expect("whole").is_none(), "under another key");
        let mut elsewhere = *identity;
        match input.len() % 3 {
            0 => invert(&mut elsewhere.store.0, input.len()),
            1 => invert(&mut elsewhere.key.0, input.len()),
            _ => elsewhere.collection.0 ^= 1 << (input.len() % 64),
        }
        assert!(decode(&elsewhere, &codec, &file).is_err(), "opened in {elsewhere:?}");
        // Mended, it verifies as another's, and does not open.
        file[8..24].copy_from_slice(&elsewhere.store.0);
        file[24..40].copy_from_slice(&elsewhere.key.0);
        file[40..48].copy_from_slice(&elsewhere.collection.0.to_le_bytes());
        mend(&mut file);
        assert!(decode(&elsewhere, &codec, &file).expect("mended").is_none(), "moved");
        damage(&mut file, input);
        assert!(decode(&elsewhere, &codec, &file).is_err(), "decoded although damaged");
    }
}
