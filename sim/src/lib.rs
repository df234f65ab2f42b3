//! Deterministic simulator of disks and crashes.

pub mod disk;
