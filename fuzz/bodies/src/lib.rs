//! What the fuzz targets do with an input: one function each, that `cargo test` runs too.
//!
//! **Place.** Beside the engine, through its public interface only. The wrappers of `fuzz/` hand these to
//! libFuzzer; `tests/bodies.rs` gives them the corpus and mutated inputs; `docs/fuzzing.md` says how both
//! are run.
//!
//! - Z1. A body is a function of its input: it keeps nothing, asks no clock and starts no thread. So an
//!   input that failed fails again.
//! - Z2. Memory is bounded by the length of the input ([`Target::memory_bytes_max`]), and so is time.
//! - Z3. An error says what is wrong, and where the input is a file it says in which (`errors`).

pub mod allocation;
mod answers;
mod changes_decode;
mod damage;
mod descriptor_decode;
mod errors;
mod file_names;
mod frames;
mod headers;
mod import;
mod keyfile_decode;
mod keyfile_open;
mod logs;
mod manifest_decode;
mod manifests;
pub mod mutate;
mod page_decode;
mod parked_decode;
mod payload_fields;
mod predicate;
mod replays;
mod rescues;
mod sections;
pub mod seeds;
mod segment_open;
mod segment_pages;
pub mod store_ops;
mod template;
mod tombstones_decode;
mod wal_decode;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its folder in `corpus/fuzz`.
    pub name: &'static str,
    /// What is done with an input.
    pub body: fn(&[u8]),
    /// Longer inputs are not worth their time.
    pub input_bytes_max: usize,
    /// What a body may take whatever its input is.
    pub memory_bytes_base: usize,
    /// What it may take for each byte of its input.
    pub memory_bytes_each: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

macro_rules! targets {
    ($($constant:ident = $name:literal, $body:path, $len:expr, $base:expr, $each:expr;)+) => {
        $(#[doc = concat!("The target `", $name, "`.")]
        pub const $constant: Target = Target {
            name: $name,
            body: $body,
            input_bytes_max: $len,
            memory_bytes_base: $base,
            memory_bytes_each: $each,
        };)+

        /// All of them.
        pub const TARGETS: &[Target] = &[$($constant),+];
    };
}

targets! {
    PAGE_DECODE = "page_decode", page_decode::body, 16 * KIB, 128 * KIB, 8;
    WAL_DECODE = "wal_decode", wal_decode::body, 16 * KIB, 64 * KIB, 32;
    LOG_REPLAY = "log_replay", logs::body, 16 * KIB, 4 * MIB, 64;
    MANIFEST_DECODE = "manifest_decode", manifest_decode::body, 4 * KIB, 16 * MIB, 64;
    SEGMENT_OPEN = "segment_open", segment_open::body, 160 * KIB, 8 * MIB, 64;
    SEGMENT_PAGES = "segment_pages", segment_pages::body, 16 * KIB, 16 * MIB, 64;
    TOMBSTONES_DECODE = "tombstones_decode", tombstones_decode::body, 16 * KIB, 4 * MIB, 64;
    CHANGES_DECODE = "changes_decode", changes_decode::body, 32 * KIB, 8 * MIB, 64;
    PARKED_DECODE = "parked_decode", parked_decode::body, 16 * KIB, 8 * MIB, 64;
    SEC_DECODE = "sec_decode", segment_open::index_body, 16 * KIB, 4 * MIB, 64;
    DESCRIPTOR_DECODE = "descriptor_decode", descriptor_decode::body, 4 * KIB, 64 * KIB, 32;
    KEYFILE_DECODE = "keyfile_decode", keyfile_decode::body, 256, 64 * KIB, 32;
    KEYFILE_OPEN = "keyfile_open", keyfile_open::body, 256, 4 * MIB, 64;
    PAYLOAD_FIELDS = "payload_fields", payload_fields::body, 4 * KIB, 4 * MIB, 256;
    PREDICATE = "predicate", predicate::body, 4 * KIB, 4 * MIB, 512;
    IMPORT = "import", import::body, 16 * KIB, 512 * KIB, 64;
    FILE_NAMES = "file_names", file_names::body, 128, 64 * KIB, 32;
    STORE_OPS = "store_ops", store_ops::body, 8 * KIB, 64 * MIB, 16 * KIB;
}

impl Target {
    /// The target of a name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.iter().find(|target| target.name == name).copied()
    }

    /// Gives the body an input.
    ///
    /// # Panics
    /// If the body finds something, or took more memory than its input accounts for (Z2).
    pub fn run(&self, input: &[u8]) -> allocation::Taken {
        let input = &input[..input.len().min(self.input_bytes_max)];
        let taken = allocation::measured(|| (self.body)(input));
        let most = self.memory_bytes_max(input.len());
        assert!(taken.peak_bytes <= most, "{taken:?} for {} bytes, expected {most}", input.len());
        taken
    }

    /// What the body may take for an input of a length.
    pub fn memory_bytes_max(&self, input_bytes: usize) -> usize {
        self.memory_bytes_base + self.memory_bytes_each * input_bytes
    }
}
