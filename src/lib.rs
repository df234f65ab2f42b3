//! Embedded, crash-safe storage engine for vector records.

pub mod descriptor;
pub mod error;
pub mod ids;
pub mod limits;
pub mod options;
pub mod vfs;

pub use descriptor::{Descriptor, DistanceMetric, Dtype};
pub use error::{Error, ErrorKind, Result};
pub use ids::{CollectionId, Lsn};
pub use options::Options;
pub use vfs::Env;
