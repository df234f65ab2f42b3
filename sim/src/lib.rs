//! Deterministic simulator of disks and crashes.
