//! Frames of the log: [`FrameHeader::plausible`], [`decode`] and [`encode`].
//!
//! The input is a frame as it stands in a log file, and also what a batch is made from.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use quiver_store::codec::TAG_SIZE_BYTES;
use quiver_store::ids::{CollectionId, KeyId, Lsn, Salt, StoreId};
use quiver_store::keys::Keys;
use quiver_store::limits::NUMBER_MAX;
use quiver_store::wal::codecs::{LogCodecs, LogFileIdentity};
use quiver_store::wal::frame::{
    Batch, Carried, FRAME_HEADER_SIZE_BYTES, FrameHeader, FrameKind, FramePlan, Section, checksum,
    decode, encode,
};

use crate::damage::{damage, invert};

/// The codec of sections that are carried.
const CIPHER: u8 = 1;

/// Where frames that are read from the input stand.
const OFFSET: u64 = 512;

const LOG: LogFileIdentity = LogFileIdentity { store: StoreId([1; 16]), salt: Salt([2; 16]) };

/// The fewest bytes of a record: what a section may announce is bounded by it.
const RECORD_BYTES_MIN: usize = 3;

/// Where the header has its own checksum: in front of the tag, which ends it.
pub(crate) const HEADER_CHECKSUM_OFFSET: usize = FRAME_HEADER_SIZE_BYTES - TAG_SIZE_BYTES - 4;

/// Takes the input for a frame.
pub(crate) fn frame(input: &[u8]) {
    // What a reader skips must be no danger either.
    drop(decode(input, OFFSET, &mut LogCodecs::plain(LOG)));
    sealed_frame_is_read_without_keys(input);
    intact_frame_encodes_to_the_same_bytes(input);
    let mut mended = input.to_vec();
    mend(&mut mended);
    intact_frame_encodes_to_the_same_bytes(&mended);
    sealed_frame_is_read_without_keys(&mended);
    if let Ok(planned) = Planned::arbitrary(&mut Unstructured::new(input)) {
        planned.decodes_in_its_place_only(input);
    }
}

/// Makes the length that of the input, and both checksums those of the frame.
fn mend(frame: &mut [u8]) {
    let Ok(len) = u32::try_from(frame.len()) else { return };
    if frame.len() < FRAME_HEADER_SIZE_BYTES {
        return;
    }
    frame[..4].copy_from_slice(&len.to_le_bytes());
    // The header's checksum is the frame's, of a frame that ends where the checksum stands.
    let (header, own) = frame.split_at_mut(HEADER_CHECKSUM_OFFSET);
    own[..4].copy_from_slice(&checksum(header, LOG.salt, OFFSET).to_le_bytes());
    let checksum = checksum(frame, LOG.salt, OFFSET);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Who has no key reads the headers, and leaves every section sealed.
fn sealed_frame_is_read_without_keys(bytes: &[u8]) {
    let mut codecs = LogCodecs::new(Arc::new(Keys::keyless(CIPHER)), LOG);
    let Ok(batch) = decode(bytes, OFFSET, &mut codecs) else { return };
    let is_sealed = |section: &Section| {
        section.carried.is_some_and(|seal| seal.codec == CIPHER) && !section.bytes.is_empty()
    };
    assert!(batch.sections.iter().all(is_sealed));
}

/// Every field is checked or kept, so an intact frame that decodes has one byte string.
fn intact_frame_encodes_to_the_same_bytes(bytes: &[u8]) {
    let Some(header) = FrameHeader::plausible(bytes) else { return };
    let Some(frame) = bytes.get(..header.len) else { return };
    if !header.is_intact(frame, LOG.salt, OFFSET) {
        return;
    }
    let mut codecs = LogCodecs::plain(LOG);
    let Ok(batch) = decode(frame, OFFSET, &mut codecs) else { return };
    assert_eq!(batch.records(), header.records);
    assert_eq!(header.last().0, header.first.0 + u64::from(header.records) - 1);
    let FrameHeader { first, durable, kind, ends_group, .. } = header;
    let plan = FramePlan { first, durable, kind, ends_group };
    let mut again = Vec::new();
    encode(&mut again, OFFSET, &plan, &batch, &mut codecs).expect("plain");
    assert_eq!(again, frame);
}

/// A batch that the engine could write, and where.
#[derive(Debug)]
struct Planned {
    log: LogFileIdentity,
    offset: u64,
    plan: FramePlan,
    batch: Batch,
}

impl Planned {
    fn arbitrary(input: &mut Unstructured<'_>) -> Result<Self> {
        let log =
            LogFileIdentity { store: StoreId(input.arbitrary()?), salt: Salt(input.arbitrary()?) };
        let offset = input.int_in_range(0..=i64::MAX as u64)?;
        let first = input.int_in_range(1..=NUMBER_MAX - 1)?;
        let durable = input.int_in_range(0..=first - 1)?;
        let ends_group = input.arbitrary()?;
        let mut sections = Vec::new();
        let mut collection = 0u64;
        // A log without keys has no section of a key.
        let are_carried = input.ratio(1, 4)?;
        for _ in 0..input.int_in_range(0..=4)? {
            let size = input.arbitrary_len::<u8>()?.min(300);
            let mut bytes = input.bytes(size)?.to_vec();
            bytes.resize(size.max(RECORD_BYTES_MIN), 0);
            let most = u32::try_from(bytes.len() / RECORD_BYTES_MIN).expect("a few records");
            let records = input.int_in_range(1..=most)?;
            let (mut key, mut carried) = (KeyId::NONE, None);
            if are_carried {
                key = KeyId(input.arbitrary()?);
                key.0[0] |= 1;
                let (salt, offset) = (Salt(input.arbitrary()?), input.arbitrary()?);
                carried = Some(Carried { salt, offset, codec: CIPHER, tag: input.arbitrary()? });
            }
            let id = CollectionId(collection);
            sections.push(Section { collection: id, records, key, bytes: bytes.into(), carried });
            collection += 1 + u64::from(input.arbitrary::<u32>()?);
        }
        let kind = match (sections.is_empty(), ends_group) {
            (false, _) => FrameKind::Batch,
            (true, false) => FrameKind::Proof,
            (true, true) => FrameKind::Closing,
        };
        let plan = FramePlan { first: Lsn(first), durable: Lsn(durable), kind, ends_group };
        Ok(Self { log, offset, plan, batch: Batch { sections } })
    }

    fn decodes_in_its_place_only(&self, input: &[u8]) {
        let Self { log, offset, plan, batch } = self;
        let mut out = vec![0xEE; input.len() % 7];
        let start = out.len();
        let mut codecs = LogCodecs::plain(*log);
        encode(&mut out, *offset, plan, batch, &mut codecs).expect("plain");
        assert!(out[..start].iter().all(|byte| *byte == 0xEE), "wrote in front of itself");
        let frame = &mut out[start..];
        assert_eq!(frame.len(), batch.frame_bytes());

        let header = FrameHeader::plausible(frame).expect("just encoded");
        assert!(header.is_intact(frame, log.salt, *offset), "{self:?}");
        assert_eq!(
            (header.len, header.first, header.durable, header.kind, header.ends_group),
            (frame.len(), plan.first, plan.durable, plan.kind, plan.ends_group)
        );
        let are_carried = batch.sections.iter().any(|section| section.carried.is_some());
        let decoded = decode(frame, *offset, &mut codecs);
        assert_eq!(decoded.is_err(), are_carried, "{decoded:?} without keys");
        if are_carried {
            codecs = LogCodecs::new(Arc::new(Keys::keyless(CIPHER)), *log);
        }
        let decoded = decode(frame, *offset, &mut codecs).expect("just encoded");
        assert_eq!(decoded, *batch);

        let mut salt = log.salt;
        invert(&mut salt.0, input.len());
        assert!(!header.stands_at(frame, salt, *offset), "intact in another file");
        let elsewhere = *offset ^ 1 << (input.len() % 64);
        assert!(!header.stands_at(frame, log.salt, elsewhere), "intact at {elsewhere}");
        damage(frame, input);
        assert!(!is_intact(frame, log.salt, *offset), "intact although damaged: {self:?}");
    }
}

/// As a reader asks: the header says how long the frame is.
fn is_intact(bytes: &[u8], salt: Salt, offset: u64) -> bool {
    FrameHeader::plausible(bytes).is_some_and(|header| {
        let frame = bytes.get(..header.len);
        frame.is_some_and(|frame| header.is_intact(frame, salt, offset))
    })
}
