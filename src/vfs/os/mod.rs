//! The operating system behind the seam.
