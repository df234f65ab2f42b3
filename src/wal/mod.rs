//! The write-ahead log: what makes an acknowledged write survive.
//!
//! A log file is a header sector and frames. A frame is one batch, written and recovered whole or
//! not at all. What is written together, a *group*, starts on a fresh sector, so that a torn
//! group never shares a sector with an acknowledged one.
//!
//! **Invariants**
//!
//! - W1. A log file takes no frame that is acknowledged before a manifest names the file.
//! - W2. LSNs are contiguous through a file and from one file to the next.
//! - W3. Bytes of a log file are written once. A file in which a write or a sync failed takes no
//!   more: its unproven frames are written again into another file.
//! - W4. A frame states the highest LSN known durable when it was built, its `durable_lsn`. What
//!   is stated is never beyond what a successful sync, or a published manifest, has covered.
//! - W5. Only the last listed file is open-ended. The first frame there that is not intact ends
//!   it: a torn tail if nothing states a `durable_lsn` at or above the LSN expected, else
//!   corruption.
//! - W6. A closing frame is the last of its file, and written only when all before it is durable.
//!
//! **A crash leaves** a tail of frames that may be whole, torn or missing. Recovery drops what is
//! torn and writes again, into a new file, what is whole but unproven.

pub mod codecs;
pub mod frame;
pub mod header;
pub(crate) mod reader;
pub mod section;
pub(crate) mod writer;
