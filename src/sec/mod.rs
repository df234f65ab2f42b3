//! Secondary indexes: which rows hold a predicate on their payload.
//!
//! **Place.** Floor 3, pure: bytes in, bytes out. A segment keeps one index for each filterable
//! field of its collection; the memtable's rows are looked into directly. Both stand on the same
//! extraction and the same order of terms, so that they cannot differ (I12).
//!
//! From a payload to an answer:
//!
//! 1. `field`: what is declared, a dot path and a type.
//! 2. `payload`: the present values of all declared fields, in one pass, as *terms*.
//! 3. `value`: a term is a byte string; terms compare as their values do.
//! 4. `terms`: what one leaf of a predicate accepts is a set of intervals of terms.
//! 5. `predicate`: a predicate is checked and resolved against the declared fields.
//! 6. `index`: the index of one field of one segment, as it is stored; `search` reads it.

mod field;
mod node;
mod posting;
pub(crate) mod predicate;
pub(crate) mod terms;
mod value;

pub(crate) mod index;
pub(crate) mod payload;
pub(crate) mod search;

#[cfg(test)]
mod tests;

pub use field::{FieldType, FilterableField};
pub use predicate::SecPredicate;
pub use value::SecValue;
