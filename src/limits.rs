//! Every bound of the engine, with its unit. Each is enforced on the way in.

/// The unit of checksum, sealing and I/O of every file but the log.
pub const PAGE_SIZE_BYTES: usize = 16 * 1024;

/// What a disk writes whole or not at all, on the media that the promises are made for.
pub const SECTOR_SIZE_BYTES: usize = 512;

/// The longest external id, in bytes of UTF-8. The shortest is one byte.
pub const EXTERNAL_ID_BYTES_MAX: usize = 1024;

/// The longest collection name, in bytes.
pub const COLLECTION_NAME_BYTES_MAX: usize = 255;

/// The largest dimension of a vector. The smallest is 1.
pub const DIMENSION_MAX: u32 = 65_536;

/// The longest payload of one record.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most bytes that the vectors of one row take, which bounds how many a multivector row has.
pub const VECTOR_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest frame that any setting allows: what a reader will allocate for one batch.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest path of a filterable field, in bytes as it is written, escapes included.
pub const FIELD_PATH_BYTES_MAX: usize = 255;

/// The most keys on the path of a filterable field.
pub const FIELD_PATH_DEPTH_MAX: usize = 16;

/// The deepest nesting of a predicate; one that holds no other has depth 1.
pub const PREDICATE_DEPTH_MAX: usize = 64;

/// The most parts of a predicate: predicates within it, itself, and the values of `In`.
pub const PREDICATE_PARTS_MAX: usize = 65_536;

/// The most filterable fields of one collection: each payload is looked through for all of them.
pub const FILTERABLE_FIELDS_MAX: usize = 64;

/// The largest index snapshot of a collection.
pub const INDEX_SNAPSHOT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The most collections in one store. Each takes a name and a descriptor in every manifest.
pub const COLLECTIONS_MAX: usize = 65_536;

/// The largest growth of a file that the operating system's `allocate` also fills with zeros, so
/// that a later sync need not record which parts were written: on ext4 that record is a journal
/// commit with each sync.
pub const ALLOCATION_ZEROED_BYTES_MAX: u64 = 256 * 1024;

/// Above every LSN, id and version: a number at or above it is none that the engine gave, and none
/// below it can overflow when it is counted on.
pub const NUMBER_MAX: u64 = 1 << 62;

const _: () = assert!(PAGE_SIZE_BYTES.is_multiple_of(SECTOR_SIZE_BYTES));
const _: () = assert!(PAYLOAD_BYTES_MAX + VECTOR_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(4 * (DIMENSION_MAX as usize) <= VECTOR_BYTES_MAX);
