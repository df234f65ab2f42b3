//! An in-memory disk for doc examples and unit tests.
