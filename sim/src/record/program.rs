//! Which program it is: two builds of one version may hold two engines.
//!
//! **Place.** Reports and states carry it. A state is gone on with by the program that began it, and shards
//! of several programs are joined only by who says so: an engine that was changed has the version of the one
//! before, and what that one came to says nothing of this one.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use crate::digest::Digest;

/// What sets the digest of a program apart.
const KIND: u64 = 0x7072_6f67;

/// Where Linux has the program that runs, even if another one was built in its place meanwhile.
const RUNNING: &str = "/proc/self/exe";

/// The digest of the bytes of the program that runs, in hexadecimal digits.
///
/// # Errors
/// It cannot be read.
pub fn program() -> io::Result<String> {
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let bytes = match fs::read(Path::new(RUNNING)) {
        Ok(bytes) => bytes,
        Err(_) => fs::read(env::current_exe()?)?,
    };
    let digest = of(&bytes);
    Ok(KNOWN.get_or_init(|| digest).clone())
}

fn of(bytes: &[u8]) -> String {
    format!("{:032x}", Digest::new(KIND).bytes(bytes).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_bytes() {
        let running = program().expect("it runs, so it is there");
        let own = fs::read(env::current_exe().expect("it has a name")).expect("it is there");
        assert_eq!((running.len(), &running), (32, &of(&own)));
        let mut other = own;
        let middle = other.len() / 2;
        other[middle] ^= 1;
        assert_ne!(of(&other), running);
    }
}
