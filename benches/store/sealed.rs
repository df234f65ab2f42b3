//! Encrypted stores beside AES-256-GCM over the same bytes and plain files; and beside stores that are
//! not encrypted.
//!
//! The raw contender seals each batch in pieces of a page before it appends it, and opens each piece
//! behind its `pread`, with the engine's codec under a key that is derived already.

use std::cell::RefCell;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use quiver_store::codec::{FileKind, Place};
use quiver_store::ids::{Salt, StoreId};
use quiver_store::{
    AesGcmCodec, CollectionId, EnvelopeKeyRing, Key, Options, PageCodec, ScanRange,
};

use crate::plain::{Plain, touch};
use crate::report::{Goal, Line, Unit};
use crate::rounds::{Samples, seconds, take_turns};
use crate::rows::{Rows, ids, picks};
use crate::subject::{BATCH_ROWS, Subject, uncached_options};
use crate::{Bench, Failure};

const DIM: usize = 128;

/// Fewer bytes than the page cache holds at default options.
const ROWS: u64 = 30_000;

const BATCHES: u64 = 20;

const ROUNDS: usize = 7;

const GETS: usize = 20_000;

const PIECE_BYTES: usize = 16_384;

const PLACE: Place = Place {
    store: StoreId([1; 16]),
    salt: Salt([2; 16]),
    kind: FileKind::Segment,
    collection: CollectionId(1),
    position: 0,
};

fn ring() -> Arc<EnvelopeKeyRing> {
    Arc::new(EnvelopeKeyRing::new(Key::from_bytes([7; 32])))
}

fn open(path: &Path, rows: &Rows, options: &Options) -> Result<Subject, Failure> {
    Subject::open_with_keys(path, rows.dim(), options, ring())
}

fn build(path: &Path, rows: &Rows, count: u64, is_encrypted: bool) -> Result<(), Failure> {
    let options = Options::default();
    let subject = match is_encrypted {
        true => open(path, rows, &options)?,
        false => Subject::open(path, rows.dim(), &options)?,
    };
    subject.ingest(rows, 0, count)?;
    subject.store.checkpoint()?;
    subject.store.close()?;
    Ok(())
}

/// Seals and opens bytes in pieces, as a store does with its pages.
struct Cipher {
    codec: Arc<dyn PageCodec>,
    next: RefCell<u64>,
}

impl Cipher {
    fn new() -> Result<Self, Failure> {
        let codec = AesGcmCodec::new(Key::from_bytes([7; 32]));
        let codec = codec.for_file(&PLACE).ok_or("a codec for one file")?;
        Ok(Self { codec, next: RefCell::new(0) })
    }

    fn seal(&self, bytes: &mut [u8], tags: &mut Vec<[u8; 16]>) -> Result<(), Failure> {
        for piece in bytes.chunks_mut(PIECE_BYTES) {
            let mut next = self.next.borrow_mut();
            tags.push(self.codec.seal(&Place { position: *next, ..PLACE }, &[], piece)?);
            *next += 1;
        }
        Ok(())
    }
}

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let rows = Rows::new(DIM);
    ingest(bench, &rows)?;
    let (sealed, plain) = (bench.dir.join("sealed"), bench.dir.join("plain"));
    build(&sealed, &rows, ROWS, true)?;
    build(&plain, &rows, ROWS, false)?;
    scan(bench, &rows, &sealed)?;
    gets(bench, &rows, &sealed, &plain)
}

/// Batches of 1000 rows, each durable before its call returns.
fn ingest(bench: &mut Bench<'_>, rows: &Rows) -> Result<(), Failure> {
    let dir = tempfile::tempdir_in(bench.dir)?;
    let run = vec![b'x'; rows.row_bytes() * usize::try_from(BATCH_ROWS)?];
    let megabytes = (BATCHES * run.len() as u64) as f64 / 1e6;
    let raw = Plain::new(&dir.path().join("raw"), 0)?;
    let cipher = Cipher::new()?;
    let subject = open(&dir.path().join("store"), rows, &Options::default())?;
    let (mut own, mut plain) = <(Samples, Samples)>::default();
    take_turns(
        ROUNDS,
        &mut [
            &mut |round| {
                let first = round as u64 * BATCHES * BATCH_ROWS;
                let took = seconds(|| subject.ingest(rows, first, BATCHES * BATCH_ROWS))?;
                own.rate(megabytes, took);
                subject.store.checkpoint()?;
                Ok(())
            },
            &mut |_| {
                let (mut sealed, mut tags) = (run.clone(), Vec::new());
                let took = seconds(|| {
                    for _ in 0..BATCHES {
                        sealed.copy_from_slice(&run);
                        cipher.seal(&mut sealed, &mut tags)?;
                        raw.append(&sealed)?;
                    }
                    Ok(())
                })?;
                black_box(tags);
                plain.rate(megabytes, took);
                Ok(())
            },
        ],
    )?;
    subject.store.close()?;
    let what = "encrypted batches of 1000, dim 128, acknowledged";
    let line = Line::new(what, Unit::MegabytesPerSecond, own.median());
    bench.report.add(line.raw(plain.median()).goal(Goal::Ratio(0.6)));
    Ok(())
}

fn scan(bench: &mut Bench<'_>, rows: &Rows, path: &Path) -> Result<(), Failure> {
    let bytes = ROWS * rows.row_bytes() as u64;
    let megabytes = bytes as f64 / 1e6;
    let cipher = Cipher::new()?;
    let (mut sealed, mut tags) = (vec![b'x'; usize::try_from(bytes)?], Vec::new());
    cipher.seal(&mut sealed, &mut tags)?;
    let raw = Plain::new(&bench.dir.join("raw"), 0)?;
    raw.append(&sealed)?;
    let subject = open(path, rows, &Options::default())?;
    let (mut own, mut plain) = <(Samples, Samples)>::default();
    let mut piece_buffer = vec![0; PIECE_BYTES];
    take_turns(
        ROUNDS,
        &mut [
            &mut |_| {
                let mut count = 0;
                let took = seconds(|| {
                    subject.store.scan_with(subject.rows, ScanRange::all(), |id, row| {
                        black_box(touch(id.as_bytes()) ^ touch(row.vector) ^ touch(row.payload));
                        count += 1;
                        ControlFlow::Continue(())
                    })?;
                    Ok(())
                })?;
                own.rate(megabytes, took);
                if count == ROWS { Ok(()) } else { Err(format!("{count} rows of {ROWS}").into()) }
            },
            &mut |_| {
                let (mut position, mut failed) = (0, None);
                let took = seconds(|| {
                    raw.scan(bytes, |run| {
                        for piece in run.chunks(PIECE_BYTES) {
                            let opened = &mut piece_buffer[..piece.len()];
                            opened.copy_from_slice(piece);
                            let place = Place { position, ..PLACE };
                            let tag = &tags[usize::try_from(position).unwrap_or_default()];
                            if let Err(error) = cipher.codec.open(&place, &[], opened, tag) {
                                failed = Some(error);
                            }
                            black_box(touch(opened));
                            position += 1;
                        }
                    })
                })?;
                plain.rate(megabytes, took);
                failed.map_or(Ok(()), |error| Err(error.into()))
            },
        ],
    )?;
    subject.store.close()?;
    let line =
        Line::new("encrypted scan_with, each byte read", Unit::MegabytesPerSecond, own.median());
    bench.report.add(line.raw(plain.median()).goal(Goal::Ratio(0.6)));
    Ok(())
}

/// Single rows; here a store that is not encrypted stands under *raw*.
fn gets(bench: &mut Bench<'_>, rows: &Rows, sealed: &Path, plain: &Path) -> Result<(), Failure> {
    let ids = ids(0, ROWS);
    let lines = [
        ("encrypted get, cached (raw: not encrypted)", Options::default(), Goal::Ratio(0.95)),
        ("encrypted get, uncached (raw: not encrypted)", uncached_options(), Goal::AtMost(12.0)),
    ];
    for (what, options, goal) in lines {
        let sealed = open(sealed, rows, &options)?;
        let plain = Subject::open(plain, rows.dim(), &options)?;
        let (mut own, mut other) = <(Samples, Samples)>::default();
        let get = |samples: &mut Samples, subject: &Subject, round: usize| {
            let picked = picks(round as u64 + 1, GETS, ROWS);
            let took = seconds(|| {
                picked.iter().try_for_each(|&row| {
                    let record = subject.store.get(subject.rows, &ids[usize::try_from(row)?])?;
                    black_box(record.ok_or("a row is missing")?);
                    Ok(())
                })
            })?;
            samples.time(1e6, GETS as f64, took);
            Ok(())
        };
        take_turns(
            ROUNDS,
            &mut [&mut |round| get(&mut own, &sealed, round), &mut |round| {
                get(&mut other, &plain, round)
            }],
        )?;
        sealed.store.close()?;
        plain.store.close()?;
        let line = Line::new(what, Unit::Microseconds, own.median());
        bench.report.add(line.raw(other.median()).goal(goal));
    }
    Ok(())
}
