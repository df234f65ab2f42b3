//! Every sequence of operations up to a depth, and every legal image of each of its crash points: a proof
//! of a small scope, where a campaign draws from a large one.
//!
//! **Place.** `quiver-sim exhaust`. Its histories are told in the steps of [`crate::sweep`], its images
//! come from [`crate::explore::scope`].
//!
//! - X1. Sequences of one length after the other, so what is found first is as short as can be. Of each
//!   sequence only the points of its last operation are looked at: those before it are the points of a
//!   shorter one, which all sequences of this beginning share to the byte.
//! - X2. All sequences have one seed and are carried out on their own disk from the beginning on. A loss of
//!   power in a sequence leaves nothing of what was pending, a kill leaves all of it; what lies between
//!   is looked at as an image.
//! - X3. The result is a function of depth, letters and bounds, not of the number of threads: sequences
//!   that share all but their last two operations are one piece of work, and share what they recovered.
//! - X4. What is not looked at is counted: points with more legal images than the bound, and how many of
//!   those there are.
//! - X5. A store that hangs is told with its sequence, and ends it: its thread cannot be stopped.

mod alphabet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use alphabet::{ENCRYPTED, PLAIN, Sequence};

use crate::explore;
pub use crate::explore::scope::Bounds as PointBounds;
use crate::explore::scope::{self, Coverage, Seen};
use crate::forward::Forward;
use crate::in_order::{Plan, Seat, in_order};
use crate::panic_trap;
use crate::system::System;
use crate::tally::{Tally, Violation};

/// Legal images of a point that are all looked at, if the caller does not say. No point of a plain store has
/// more of them up to depth 5.
pub const IMAGES_MAX: u64 = 262_144;

/// Violations after which it ends.
const VIOLATIONS_MAX: usize = 4;

/// Operations at the end of a sequence that are tried in one piece of work (X3).
const TOGETHER: usize = 2;

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest sequences, in operations.
    pub depth: usize,
    /// The operations.
    pub letters: &'static [&'static str],
    /// Whether the stores are encrypted.
    pub encrypted: bool,
    /// How closely points are looked at.
    pub points: scope::Bounds,
    /// How many threads.
    pub jobs: usize,
    /// Which of how many parts of the work: `(i, n)` with `i < n`.
    pub shard: (u64, u64),
    /// How long one image may take before it counts as hanging.
    pub patience: Duration,
}

/// What one length of sequences came to.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// Sequences of that length.
    pub sequences: u64,
    /// What their runs and images counted.
    pub tally: Tally,
    /// How much of what is legal was looked at.
    pub coverage: Coverage,
}

/// What it came to.
#[derive(Debug, Default)]
pub struct Report {
    /// By the length of the sequences, from none on; the last one may have been broken off.
    pub levels: Vec<Level>,
    /// What does not hold, with the sequence.
    pub violations: Vec<(Sequence, Violation)>,
    /// Whether it was called off.
    pub cancelled: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// All lengths together.
    pub fn total(&self) -> Level {
        let mut total = Level::default();
        self.levels.iter().for_each(|level| total.add(level));
        total
    }

    /// Whether it came to its end, and nothing was looked at: no proof of anything.
    pub fn is_idle(&self) -> bool {
        let is_over = !self.cancelled && self.violations.is_empty();
        is_over && self.total().tally.images_checked == 0
    }
}

impl Level {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.sequences += other.sequences;
        self.tally.add(&other.tally);
        self.coverage.add(&other.coverage);
    }
}

/// What a piece of work came to.
#[derive(Default)]
struct Done {
    level: Level,
    violations: Vec<(Sequence, Violation)>,
}

/// Looks at everything within the bounds; `progress` is told of the length and of how many of its
/// sequences were looked at.
pub fn run(
    system: &Arc<dyn System>,
    bounds: &Bounds,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(usize, u64),
) -> Report {
    let start = Instant::now();
    let mut report = Report::default();
    for length in 0..=bounds.depth {
        let work = Work::of(bounds, length);
        let (part, parts) = bounds.shard;
        let count = work.pieces.saturating_sub(part).div_ceil(parts);
        let mut level = Level::default();
        let (system, bounds_of_work) = (system.clone(), *bounds);
        let hanging = in_order(
            count,
            &Plan { jobs: bounds.jobs, patience: bounds.patience, cancel },
            move |place, seat| work.piece(&*system, &bounds_of_work, place * parts + part, seat),
            |done: Done| {
                level.add(&done.level);
                report.violations.extend(done.violations);
                progress(length, level.sequences);
                report.violations.len() < VIOLATIONS_MAX
            },
        );
        report.violations.extend(hanging.map(|(sequence, address)| {
            let violation = Violation::hang(address, bounds.patience);
            (sequence, violation)
        }));
        report.levels.push(level);
        report.cancelled = cancel.load(Ordering::Relaxed);
        if report.cancelled || !report.violations.is_empty() {
            break;
        }
    }
    report.elapsed = start.elapsed();
    report
}

/// Looks at one sequence, at the points of its last operation.
pub fn one(
    system: &dyn System,
    sequence: &Sequence,
    encrypted: bool,
    points: scope::Bounds,
) -> Report {
    let start = Instant::now();
    let mut done = Done::default();
    let seat = Seat::default();
    look_at(system, sequence, (encrypted, points), &seat, &mut Seen::new(), &mut done);
    let Done { level, violations } = done;
    let elapsed = start.elapsed();
    Report { levels: vec![level], violations, cancelled: false, elapsed }
}

/// The sequences of one length.
struct Work {
    length: usize,
    pieces: u64,
    each: u64,
}

impl Work {
    fn of(bounds: &Bounds, length: usize) -> Self {
        let letters = bounds.letters.len() as u64;
        let count =
            |length: usize| letters.saturating_pow(u32::try_from(length).unwrap_or(u32::MAX));
        let together = length.min(TOGETHER);
        Self { length, pieces: count(length - together), each: count(together) }
    }

    fn piece(
        &self,
        system: &dyn System,
        bounds: &Bounds,
        piece: u64,
        seat: &Seat<Sequence>,
    ) -> Done {
        let (mut done, mut seen) = (Done::default(), Seen::new());
        for number in piece * self.each..(piece + 1) * self.each {
            if seat.watch.is_stopped() || done.violations.len() >= VIOLATIONS_MAX {
                break;
            }
            let sequence = Sequence::numbered(bounds.letters, self.length, number);
            let how = (bounds.encrypted, bounds.points);
            look_at(system, &sequence, how, seat, &mut seen, &mut done);
        }
        done
    }
}

fn look_at(
    system: &dyn System,
    sequence: &Sequence,
    (encrypted, points): (bool, scope::Bounds),
    seat: &Seat<Sequence>,
    seen: &mut Seen,
    done: &mut Done,
) {
    let history = sequence.history(encrypted);
    seat.begins(sequence.clone());
    seat.watch.at(&history.address());
    let looked = panic_trap::catch(|| {
        let forward = Forward::of(system, &history);
        scope::last_operation(system, &history, &forward, points, &seat.watch, seen)
    });
    let (mut tally, coverage) = looked
        .unwrap_or_else(|panic| (explore::panicked(history.seed, panic), Coverage::default()));
    let violations = std::mem::take(&mut tally.violations);
    done.violations.extend(violations.into_iter().map(|one| (sequence.clone(), one)));
    done.level.add(&Level { sequences: 1, tally, coverage });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::forward::Point;

    #[test]
    fn nothing_looked_at_is_no_proof() {
        let level = |images_checked| {
            let tally = Tally { images_checked, ..Tally::default() };
            Level { sequences: 9, tally, ..Level::default() }
        };
        let report = |images| Report { levels: vec![level(0), level(images)], ..Report::default() };
        assert!(report(0).is_idle() && !report(1).is_idle());
        assert!(!Report { cancelled: true, ..report(0) }.is_idle());
    }

    /// What X1 leaves out is looked at elsewhere only if it is the same there.
    #[test]
    fn sequences_of_one_beginning_are_equal_to_the_byte_up_to_its_end() {
        let letters = PLAIN.len() as u64;
        let keys = |sequence: &Sequence, operations: usize| -> Vec<u128> {
            let forward = Forward::of(&Engine, &sequence.history(false));
            let belongs = |call: usize| {
                call < forward.opening_calls || forward.calls[call].operation < operations
            };
            let points = forward.points.iter().take_while(|point| match point {
                Point::Before(call) | Point::Inside(call) => belongs(*call),
                Point::End { operation, .. } => *operation < operations,
            });
            points.map(|point| forward.at(point).0.full_key()).collect()
        };
        // +a; a.x=9; and each operation behind it, and each behind that.
        let beginning = Sequence::numbered(PLAIN, 2, 2);
        let alone = keys(&beginning, 2);
        assert!(alone.len() > 20, "{beginning}: {} points", alone.len());
        for last in 0..letters {
            let longer = Sequence::numbered(PLAIN, 3, 2 * letters + last);
            assert!(longer.to_string().starts_with(&beginning.to_string()), "{longer}");
            assert_eq!(keys(&longer, 2), alone, "{longer}");
            let longest = Sequence::numbered(PLAIN, 4, (2 * letters + last) * letters + 5);
            assert_eq!(keys(&longest, 2), alone, "{longest}");
        }
    }
}
