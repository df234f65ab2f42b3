//! The stored form of vectors, worked out by hand: what the engine's is held against.

use quiver_store::Dtype;

/// The bytes of vectors whose every element its type holds exactly; `None` where one does not.
pub(crate) fn stored(elements: &[f32], dtype: Dtype, dim: u32) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if dtype == Dtype::Binary {
        for vector in elements.chunks(dim as usize) {
            for byte in vector.chunks(8) {
                let mut bits = 0_u8;
                for (i, &element) in byte.iter().enumerate() {
                    if element.to_bits() == 1.0_f32.to_bits() {
                        bits += 1 << i;
                    } else if element.to_bits() != 0 {
                        return None;
                    }
                }
                out.push(bits);
            }
        }
        return Some(out);
    }
    for &element in elements {
        match dtype {
            Dtype::F32 => out.extend_from_slice(&element.to_le_bytes()),
            Dtype::F16 => out.extend_from_slice(&half(element)?.to_le_bytes()),
            Dtype::Bf16 => {
                let [low, lower, high @ ..] = element.to_le_bytes();
                if [low, lower] != [0; 2] {
                    return None;
                }
                out.extend_from_slice(&high);
            }
            // The low byte of a two's complement of any width is that of eight bits.
            Dtype::I8 => out.push(whole(element, -128.0, 127.0)?),
            Dtype::U8 => out.push(whole(element, 0.0, 255.0)?),
            _ => return None,
        }
    }
    Some(out)
}

/// The lowest byte of a whole number of a range.
fn whole(element: f32, low: f32, high: f32) -> Option<u8> {
    let is_it = element.trunc().to_bits() == element.to_bits() && (low..=high).contains(&element);
    // From 2^16 to 2^17 the lowest bit of single precision stands for 2^-7, and 256 more leaves the
    // lowest byte of the whole number as it is.
    let wide = element + 65_792.0;
    is_it.then(|| (wide.to_bits() >> 7).to_le_bytes()[0])
}

/// The half-precision bits of a value that it holds exactly.
fn half(element: f32) -> Option<u16> {
    let sign = if element.is_sign_negative() { 0x8000 } else { 0 };
    let magnitude = element.abs();
    let rest = if magnitude.is_nan() {
        0x7e00
    } else if magnitude.is_infinite() {
        0x7c00
    } else {
        // Of all magnitudes there are, the bits go up with the value.
        let value = |bits: u16| {
            let (exponent, fraction) = (i32::from(bits >> 10), f32::from(bits & 0x3ff));
            match exponent {
                0 => fraction * 2.0_f32.powi(-24),
                _ => (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
            }
        };
        let (mut low, mut high) = (0, 0x7c00);
        while low < high {
            let middle = low + (high - low) / 2;
            if value(middle) < magnitude { low = middle + 1 } else { high = middle }
        }
        if low == 0x7c00 || value(low).to_bits() != magnitude.to_bits() {
            return None;
        }
        low
    };
    Some(sign | rest)
}
