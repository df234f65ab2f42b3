//! What stands before the array in a `.npy` file.
//!
//! | offset | size | field | type | meaning and check |
//! |---|---|---|---|---|
//! | 0 | 6 | magic | bytes | `\x93NUMPY` |
//! | 6 | 1 | major version | u8 | 1, 2 or 3 |
//! | 7 | 1 | minor version | u8 | 0 |
//! | 8 | 2, from version 2 on 4 | length of the header | u16 or u32, little-endian | at most 65,536 |
//! | 10 or 12 | the length | header | a Python dictionary, ASCII (UTF-8 from version 3 on) | exactly the keys `descr`, `fortran_order`, `shape`; white space behind it |
//!
//! Only what `numpy.save` writes for a plain array is understood: the values are one string, one
//! boolean, and one tuple of two numbers.
//!
//! *Reference*: NumPy documentation, `numpy.lib.format`, "Format Version 1.0" to "3.0".

use std::io::Read;

use half::f16;

use crate::error::{Error, Result};
use crate::import::input::{Input, dimension};
use crate::limits::DIMENSION_MAX;

/// The longest header of a `.npy` file, in bytes. `numpy.save` writes 118 for a plain array.
pub const NPY_HEADER_BYTES_MAX: usize = 65_536;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
const VERSION_END: usize = MAGIC.len() + 2;

/// The type of the elements of a `.npy` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NpyElement {
    /// `<f4`: taken bit by bit.
    F32,
    /// `<f2`: taken exactly.
    F16,
    /// `<f8`: rounded to the nearest `f32`, ties to even; a finite one must stay finite.
    F64,
    /// `|u1`: taken exactly.
    U8,
    /// `|i1`: taken exactly.
    I8,
}

impl NpyElement {
    const ALL: [Self; 5] = [Self::F32, Self::F16, Self::F64, Self::U8, Self::I8];

    /// What NumPy calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "<f4",
            Self::F16 => "<f2",
            Self::F64 => "<f8",
            Self::U8 => "|u1",
            Self::I8 => "|i1",
        }
    }

    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 => 2,
            Self::U8 | Self::I8 => 1,
        }
    }

    /// The elements that stand in `bytes`.
    ///
    /// # Errors
    /// The place and value of the first one beyond the range of `f32`.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<Vec<f32>, (usize, f64)> {
        Ok(match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect(),
            Self::F16 => {
                bytes.as_chunks().0.iter().map(|it| f16::from_le_bytes(*it).to_f32()).collect()
            }
            Self::U8 => bytes.iter().map(|byte| f32::from(*byte)).collect(),
            Self::I8 => bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
            Self::F64 => {
                let all = bytes.as_chunks().0.iter().map(|it| f64::from_le_bytes(*it)).enumerate();
                return all.map(|(i, x)| narrowed(x).ok_or((i, x))).collect();
            }
        })
    }
}

/// The nearest `f32`; none for a finite one beyond all of them.
fn narrowed(wide: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is meant")]
    let narrow = wide as f32;
    (narrow.is_finite() || !wide.is_finite()).then_some(narrow)
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element: NpyElement,
    pub(super) rows: u64,
    pub(super) dim: u32,
}

/// Reads everything before the first element.
pub(super) fn read<R: Read>(input: &mut Input<R>) -> Result<Header> {
    let mut bytes = Vec::new();
    input.take(VERSION_END, &mut bytes)?;
    if !bytes.starts_with(MAGIC) {
        let shown = &bytes[..bytes.len().min(MAGIC.len())];
        return Err(Error::invalid(format!(
            "byte 0: the file begins with `{}`, expected `{}`: check that it is a .npy file (a .npz \
             file is a zip of them: unzip it)",
            shown.escape_ascii(),
            MAGIC.escape_ascii()
        )));
    }
    let length_size_bytes = match bytes[MAGIC.len()..] {
        [1, 0] => 2,
        [2 | 3, 0] => 4,
        [major, minor] => {
            return Err(Error::invalid(format!(
                "byte 6: version {major}.{minor} of the .npy format, expected 1.0, 2.0 or 3.0: \
                 write the array again with numpy.save"
            )));
        }
        _ => return Err(cut_off(input)),
    };
    input.take(length_size_bytes, &mut bytes)?;
    if bytes.len() < length_size_bytes {
        return Err(cut_off(input));
    }
    bytes.resize(size_of::<u32>(), 0);
    let length = bytes.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if length > NPY_HEADER_BYTES_MAX {
        return Err(Error::invalid(format!(
            "byte {VERSION_END}: a header of {length} bytes, expected at most \
             {NPY_HEADER_BYTES_MAX}: the file is damaged, or no plain array"
        )));
    }
    let start = input.position();
    input.take(length, &mut bytes)?;
    if bytes.len() < length {
        return Err(cut_off(input));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Literal { text, at: 0, start }.header(),
        Err(error) => {
            let at = start + error.valid_up_to() as u64;
            Err(Error::invalid(format!(
                "byte {at}: the header is no UTF-8, expected that of a plain array: save \
                 array.astype('<f4')"
            )))
        }
    }
}

fn cut_off<R: Read>(input: &Input<R>) -> Error {
    let at = input.position();
    Error::invalid(format!(
        "byte {at}: the file ends within its header: it was cut off, fetch it again"
    ))
}

/// The dictionary, being read.
struct Literal<'a> {
    text: &'a str,
    at: usize,
    /// Where the text begins in the file.
    start: u64,
}

impl<'a> Literal<'a> {
    fn header(mut self) -> Result<Header> {
        let (mut element, mut is_fortran, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.accept("}") {
            let key_at = self.place();
            let key = self.string("a key in quotes")?;
            self.expect(":")?;
            let is_first = match key {
                "descr" => element.replace(self.element()?).is_none(),
                "fortran_order" => is_fortran.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.shape()?).is_none(),
                _ => {
                    let key = shown(key);
                    return Err(Error::invalid(format!(
                        "byte {key_at}: the header has a key {key}, expected only `descr`, \
                         `fortran_order` and `shape`: write the array again with numpy.save"
                    )));
                }
            };
            if !is_first {
                let what = format!("byte {key_at}: the header has `{key}` twice, expected it once");
                return Err(Error::invalid(what));
            }
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        if !self.rest().trim().is_empty() {
            return Err(self.unexpected("nothing behind the dictionary"));
        }
        let missing = |key: &str| {
            let at = self.start;
            Error::invalid(format!("byte {at}: the header has no `{key}`: the file is damaged"))
        };
        let element = element.ok_or_else(|| missing("descr"))?;
        let is_fortran = is_fortran.ok_or_else(|| missing("fortran_order"))?;
        let (rows, dim) = shape.ok_or_else(|| missing("shape"))?;
        if is_fortran {
            return Err(Error::invalid(format!(
                "byte {}: the array is in Fortran order (column after column), expected C order: \
                 save numpy.ascontiguousarray(array)",
                self.start
            )));
        }
        Ok(Header { element, rows, dim })
    }

    fn element(&mut self) -> Result<NpyElement> {
        let at = self.place();
        let hint = "save array.astype('<f4')";
        if self.rest().starts_with('[') {
            return Err(Error::invalid(format!(
                "byte {at}: elements of several fields, expected one number each: {hint}"
            )));
        }
        let name = self.string("a type in quotes")?;
        NpyElement::ALL.into_iter().find(|element| element.name() == name).ok_or_else(|| {
            let expected = NpyElement::ALL.map(NpyElement::name).join(", ");
            let name = shown(name);
            Error::invalid(format!(
                "byte {at}: elements of type {name}, expected one of {expected}: {hint}"
            ))
        })
    }

    fn boolean(&mut self) -> Result<bool> {
        if self.accept("True") {
            return Ok(true);
        }
        if self.accept("False") {
            return Ok(false);
        }
        Err(self.unexpected("`True` or `False`"))
    }

    /// The rows and columns of an array that has both.
    fn shape(&mut self) -> Result<(u64, u32)> {
        let at = self.place();
        self.expect("(")?;
        let (mut first_two, mut axes) = ([0_u64; 2], 0_usize);
        while !self.accept(")") {
            let length = self.number()?;
            if let Some(slot) = first_two.get_mut(axes) {
                *slot = length;
            }
            axes += 1;
            if !self.accept(",") {
                self.expect(")")?;
                break;
            }
        }
        let [rows, columns] = first_two;
        if axes != 2 {
            return Err(Error::invalid(format!(
                "byte {at}: an array of {axes} axes, expected 2, rows and elements: save \
                 array.reshape(-1, DIMENSION)"
            )));
        }
        let dim = dimension(columns).ok_or_else(|| {
            Error::invalid(format!(
                "byte {at}: rows of {columns} elements, expected 1 to {DIMENSION_MAX}"
            ))
        })?;
        Ok((rows, dim))
    }

    fn number(&mut self) -> Result<u64> {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let Ok(number) = rest[..end].parse() else {
            return Err(self.unexpected("a number below 2^64"));
        };
        self.at += end;
        Ok(number)
    }

    /// A string without escapes: no name that is known has any.
    fn string(&mut self, expected: &str) -> Result<&'a str> {
        self.skip_space();
        let rest = self.rest();
        let quoted = rest.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let Some((text, _)) = quoted.and_then(|quote| rest[1..].split_once(quote)) else {
            return Err(self.unexpected(expected));
        };
        self.at += text.len() + 2;
        Ok(text)
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{word}`")))
    }

    fn accept(&mut self, word: &str) -> bool {
        self.skip_space();
        let is_next = self.rest().starts_with(word);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Where in the file the next word stands.
    fn place(&mut self) -> u64 {
        self.skip_space();
        self.start + self.at as u64
    }

    fn unexpected(&mut self, expected: &str) -> Error {
        let at = self.place();
        let found = shown(self.rest());
        Error::invalid(format!(
            "byte {at}: the header has {found}, expected {expected}: the file is damaged, or no \
             plain array: write it again with numpy.save"
        ))
    }
}

/// The beginning of a text in quotes.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(24).collect::<String>())
}
