//! Every reader against a small writer of its format, and against bytes that nobody wrote.

mod formats;
mod writing;

use std::io::{self, Read};

use crate::error::{Error, ErrorKind, Result};
use crate::import::{ImportRow, JsonLinesReader, NpyReader, VecsReader};

/// Gives a few bytes at a time, as a pipe does, and fails behind the last one if told to.
struct Pipe<'a> {
    bytes: &'a [u8],
    step: usize,
    fails: bool,
}

impl Read for Pipe<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.fails {
            return Err(io::Error::other("the cable was pulled"));
        }
        let len = self.step.min(space.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(len);
        space[..len].copy_from_slice(now);
        self.bytes = later;
        Ok(len)
    }
}

fn pipe(bytes: &[u8]) -> Pipe<'_> {
    Pipe { bytes, step: 3, fails: false }
}

/// Never ends: what is asked of it is given.
struct Endless(u8);

impl Read for Endless {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        space.fill(self.0);
        Ok(space.len())
    }
}

fn npy_rows(bytes: &[u8]) -> Result<Vec<ImportRow>> {
    NpyReader::new(pipe(bytes))?.collect()
}

fn fvecs_rows(bytes: &[u8]) -> Result<Vec<ImportRow>> {
    VecsReader::fvecs(pipe(bytes)).collect()
}

fn json_rows(text: &str) -> Result<Vec<ImportRow>> {
    JsonLinesReader::new(pipe(text.as_bytes())).collect()
}

/// The message of what has to be refused as the caller's mistake.
fn refusal<T>(result: Result<T>) -> String {
    let error: Error = result.err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    error.to_string()
}

/// What `numpy.save` writes.
fn npy_file(version: u8, descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}          \n");
    npy_with(version, &text, elements)
}

fn npy_with(version: u8, header: &str, elements: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).expect("short").to_le_bytes();
    let length = if version == 1 { &length[..2] } else { &length[..] };
    [b"\x93NUMPY", &[version, 0][..], length, header.as_bytes(), elements].concat()
}

fn fvecs_file(vectors: &[Vec<f32>]) -> Vec<u8> {
    let mut file = Vec::new();
    for vector in vectors {
        file.extend_from_slice(&i32::try_from(vector.len()).expect("short").to_le_bytes());
        vector.iter().for_each(|element| file.extend_from_slice(&element.to_le_bytes()));
    }
    file
}

fn vectors(rows: Vec<ImportRow>) -> Vec<Vec<f32>> {
    rows.into_iter().map(|row| row.vector).collect()
}

/// How far apart in bytes two elements are is not asked: NaN has to be the same NaN.
fn bits(vectors: &[Vec<f32>]) -> Vec<Vec<u32>> {
    vectors.iter().map(|vector| vector.iter().map(|it| it.to_bits()).collect()).collect()
}
