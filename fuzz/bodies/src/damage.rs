//! What the targets share: damage that a checksum has to see.

/// Inverts one bit or three, in places that the input chooses.
///
/// CRC32C finds every change of up to three bits in less than 2^31: its Hamming distance is four
/// there. More bits, or bits that the input may choose so that they cancel out, prove nothing. The
/// changes are odd in number, so they never undo one another.
///
/// *Reference*: P. Koopman, *32-Bit Cyclic Redundancy Codes for Internet Applications*, 2002; a
/// factor x + 1 of the polynomial finds every odd number.
///
/// # Panics
/// If there is nothing to damage.
pub(crate) fn damage(bytes: &mut [u8], input: &[u8]) {
    let mut choices = input.rchunks(4);
    for _ in 0..3 {
        let choice = choices.next().unwrap_or_default();
        let bit = choice.iter().fold(0, |bit, byte| bit << 8 | usize::from(*byte));
        invert(bytes, bit);
    }
}

/// Inverts one bit, counted around the end.
///
/// # Panics
/// If there is nothing to damage.
pub(crate) fn invert(bytes: &mut [u8], bit: usize) {
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}
