//! Encryption at rest: the cipher, and the keys that it takes.
//!
//! **Place.** Floor 2, behind the feature `encryption`. [`aead`] is the codec of pages and log
//! sections, [`key`] what keys are made of. Which key seals what, and where keys are kept, is
//! [`crate::keys`]' business.

pub mod aead;
pub mod key;
