//! An oracle for crash images that shares no code with the disk: plain vectors, brute force.
//!
//! It is told every call of a small random history and then judges images: is there a subset of
//! the pending changes of names, and for each file a set of surviving shortenings, a legal length and
//! for each sector a legal version, that give this image?

use std::collections::BTreeMap;

use super::*;
use crate::stream::Stream;

const SECTOR: usize = 512;

/// One file as the oracle saw it: every content since the last sync, with the bytes that each
/// mutation touched.
#[derive(Clone, Default)]
struct Known {
    durable: Vec<u8>,
    visible: Vec<u8>,
    pending: Vec<(std::ops::Range<usize>, Vec<u8>)>,
    /// Which of the pending mutations made it shorter.
    cuts: Vec<usize>,
}

type Names = BTreeMap<String, usize>;

#[derive(Clone, Default)]
pub(super) struct Oracle {
    files: Vec<Known>,
    durable: Names,
    visible: Names,
    pending: Vec<Vec<(String, Option<usize>)>>,
}

impl Oracle {
    fn change(&mut self, assigns: &[(String, Option<usize>)]) {
        apply(&mut self.visible, assigns);
        self.pending.push(assigns.to_vec());
    }

    fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let known = &mut self.files[file];
        let end = offset + bytes.len();
        let len = known.visible.len().max(end);
        known.visible.resize(len, 0);
        known.visible[offset..end].copy_from_slice(bytes);
        known.pending.push((offset..end, known.visible.clone()));
    }

    fn grow(&mut self, file: usize, len: usize) {
        let known = &mut self.files[file];
        if len > known.visible.len() {
            known.visible.resize(len, 0);
            known.pending.push((0..0, known.visible.clone()));
        }
    }

    pub(super) fn shorten(&mut self, name: &str, len: usize) {
        let known = &mut self.files[self.visible[name]];
        if len < known.visible.len() {
            known.visible.truncate(len);
            known.cuts.push(known.pending.len());
            known.pending.push((0..0, known.visible.clone()));
        }
    }

    pub(super) fn sync_named(&mut self, name: &str) {
        self.sync(self.visible[name]);
        self.sync_dir();
    }

    fn sync(&mut self, file: usize) {
        let known = &mut self.files[file];
        known.durable = known.visible.clone();
        known.pending.clear();
        known.cuts.clear();
    }

    fn sync_dir(&mut self) {
        self.durable = self.visible.clone();
        self.pending.clear();
    }

    /// Whether the image is one that a power loss may leave.
    pub(super) fn allows(&self, image: &DiskState, torn_sectors: bool) -> bool {
        let shown: BTreeMap<String, Vec<u8>> = image
            .list()
            .iter()
            .map(|(path, _)| {
                let bytes = image.read(path).expect("it is listed");
                (path.display().to_string(), bytes)
            })
            .collect();
        (0..1_u32 << self.pending.len()).any(|subset| {
            let mut names = self.durable.clone();
            for (at, assigns) in self.pending.iter().enumerate() {
                if subset >> at & 1 == 1 {
                    apply(&mut names, assigns);
                }
            }
            names.len() == shown.len()
                && names.iter().all(|(name, file)| {
                    let known = &self.files[*file];
                    let stale = |sector: &[u8]| self.holds(known, sector);
                    let allows = |bytes: &Vec<u8>| known.allows(bytes, torn_sectors, &stale);
                    shown.get(name).is_some_and(allows)
                })
        })
    }
}

impl Oracle {
    /// Whether another file holds these bytes somewhere.
    fn holds(&self, known: &Known, bytes: &[u8]) -> bool {
        let others = self.files.iter().filter(|other| !std::ptr::eq(*other, known));
        let contents = |file: &Known| {
            let pending = file.pending.iter().map(|(_, after)| after.clone());
            pending.chain([file.durable.clone(), file.visible.clone()]).collect::<Vec<_>>()
        };
        // What another file does not hold in full is zeros behind its end.
        let mut all = others.flat_map(contents).map(|mut content| {
            content.resize(content.len() + SECTOR, 0);
            content
        });
        all.any(|content| content.windows(bytes.len()).any(|window| window == bytes))
    }
}

fn apply(names: &mut Names, assigns: &[(String, Option<usize>)]) {
    for (name, file) in assigns {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}

impl Known {
    fn allows(&self, bytes: &[u8], torn_sectors: bool, stale: &impl Fn(&[u8]) -> bool) -> bool {
        let lens = || self.pending.iter().map(|(_, after)| after.len());
        let longest = lens().max().unwrap_or(0).max(self.durable.len());
        let cut_to = self.cuts.iter().map(|cut| self.pending[*cut].1.len()).min();
        let shortest = cut_to.unwrap_or(usize::MAX).min(self.durable.len());
        if !(shortest..=longest).contains(&bytes.len()) {
            return false;
        }
        (0..1_u32 << self.cuts.len()).any(|subset| {
            let kept = self.cuts.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1);
            let kept: Vec<usize> = kept.map(|(_, cut)| *cut).collect();
            (0..bytes.len().div_ceil(SECTOR)).all(|sector| {
                let range = sector * SECTOR..bytes.len().min((sector + 1) * SECTOR);
                self.allows_sector(bytes, range, &kept, torn_sectors, stale)
            })
        })
    }

    /// Where what is as old as this mutation ends, given the shortenings that survive.
    fn end(&self, kept: &[usize], age: Option<usize>) -> usize {
        let later = kept.iter().filter(|cut| age.is_none_or(|age| **cut > age));
        later.map(|cut| self.pending[*cut].1.len()).min().unwrap_or(usize::MAX)
    }

    fn allows_sector(
        &self,
        bytes: &[u8],
        whole: std::ops::Range<usize>,
        kept: &[usize],
        torn_sectors: bool,
        stale: &impl Fn(&[u8]) -> bool,
    ) -> bool {
        // Bytes that never were durable may be anything.
        let durable_end = self.durable.len().clamp(whole.start, whole.end);
        let range = whole.start..durable_end;
        if range.is_empty() {
            return true;
        }
        let aged = |content: &[u8], age: Option<usize>, at: usize| {
            let there = at < self.end(kept, age);
            if there { content.get(at).copied().unwrap_or(0) } else { 0 }
        };
        let of = |content: &[u8], age| range.clone().all(|at| aged(content, age, at) == bytes[at]);
        let touches = |touched: &std::ops::Range<usize>| {
            touched.start < (whole.start / SECTOR + 1) * SECTOR && touched.end > whole.start
        };
        let mut versions = self.pending.iter().enumerate();
        of(&self.durable, None)
            || versions.any(|(age, (touched, after))| touches(touched) && of(after, Some(age)))
            || torn_sectors && self.allows_torn(bytes, &range, kept)
            || self.allows_filled(bytes, &range, kept, stale)
    }

    /// The durable bytes up to a surviving shortening, and behind it garbage or what another file
    /// held: but never what was there.
    fn allows_filled(
        &self,
        bytes: &[u8],
        range: &std::ops::Range<usize>,
        kept: &[usize],
        stale: &impl Fn(&[u8]) -> bool,
    ) -> bool {
        let end = self.end(kept, None).clamp(range.start, range.end);
        let filled = &bytes[end..range.end];
        // Every write of a history is of one small number.
        let garbage = filled.len() > 16 && filled.iter().any(|byte| *byte > 100);
        bytes[range.start..end] == self.durable[range.start..end]
            && !filled.is_empty()
            && (garbage || filled.len() <= 16 || stale(filled))
    }

    /// Every byte is durable, inside a pending write, or behind what the file had in that sector.
    fn allows_torn(&self, bytes: &[u8], range: &std::ops::Range<usize>, kept: &[usize]) -> bool {
        let sector = range.start / SECTOR;
        range.clone().all(|at| {
            let written = self.pending.iter().any(|(touched, _)| touched.contains(&at));
            let behind = |(touched, after): &(std::ops::Range<usize>, Vec<u8>)| {
                let touches =
                    touched.start < (sector + 1) * SECTOR && touched.end > sector * SECTOR;
                touches && at >= after.len()
            };
            let gone = at >= self.end(kept, None) || self.pending.iter().any(behind);
            written || bytes[at] == self.durable[at] || gone && bytes[at] == 0
        })
    }
}

/// Runs a random history on a disk and tells the oracle; the disk and the oracle at the end.
pub(super) fn history(seed: u64) -> (SimDisk, Oracle) {
    history_of(seed, false, SimDisk::new())
}

/// The same, with files that are also made shorter.
pub(super) fn history_with_cuts(seed: u64) -> (SimDisk, Oracle) {
    history_of(seed, true, SimDisk::new())
}

/// Either on a disk that is there.
pub(super) fn history_of(seed: u64, cuts: bool, disk: SimDisk) -> (SimDisk, Oracle) {
    let mut dice = Stream::new(seed);
    let mut oracle = Oracle::default();
    let mut handles = Vec::new();
    for step in 0..14_u8 {
        let name = format!("/{}", ["a", "b", "c"][dice.index(3)]);
        let taken = oracle.visible.get(&name).copied();
        match (dice.below(10), taken) {
            (_, None) => {
                oracle.files.push(Known::default());
                oracle.change(&[(name.clone(), Some(handles.len()))]);
                handles.push(create(&disk, &name, b""));
            }
            (2 | 4, Some(_)) if cuts && dice.chance(3, 4) => {
                let len = dice.index(3000);
                oracle.shorten(&name, len);
                cut(&disk, &name, len as u64);
            }
            (0..=3, Some(file)) => {
                let (offset, len) = (dice.index(2000), 1 + dice.index(1600));
                let bytes = vec![step + 1; len];
                oracle.write(file, offset, &bytes);
                handles[file].write_at(&bytes, offset as u64, here()).expect("no fault");
            }
            (4, Some(file)) => {
                let len = dice.index(5000);
                oracle.grow(file, len);
                handles[file].allocate(len as u64, here()).expect("no fault");
            }
            (5 | 6, Some(file)) => {
                oracle.sync(file);
                handles[file].sync_data(here()).expect("no fault");
            }
            (7, Some(_)) => {
                oracle.sync_dir();
                sync_dir(&disk, "/");
            }
            (8, Some(_)) => {
                oracle.change(&[(name.clone(), None)]);
                disk.unlink(Path::new(&name), here()).expect("it is there");
            }
            (_, Some(file)) => {
                let to = format!("/{}", ["a", "b", "c", "d"][dice.index(4)]);
                if oracle.visible.get(&to) != Some(&file) {
                    oracle.change(&[(name.clone(), None), (to.clone(), Some(file))]);
                }
                disk.rename(Path::new(&name), Path::new(&to), here()).expect("it is there");
            }
        }
    }
    (disk, oracle)
}

/// Makes a file shorter, if it is longer.
pub(super) fn cut(disk: &SimDisk, path: &str, len: u64) {
    let file = disk.open_file(Path::new(path), Access::ReadWrite, here()).expect("it is there");
    if len < file.len(here()).expect("no fault") {
        file.set_len(len, here()).expect("no fault");
    }
}

pub(super) fn check(seed: u64, oracle: &Oracle, plan: &CrashPlan, torn_sectors: bool) {
    let image = plan.build();
    let told = || plan.describe().join("\n");
    assert_eq!(plan.key(), image.key(), "seed {seed}\n{}", told());
    assert!(image.is_quiet() && image.pending_mutations() == 0);
    assert!(oracle.allows(&image, torn_sectors), "seed {seed}: illegal {image:?}\n{}", told());
}

#[test]
fn every_survivor_choice_is_legal_and_has_the_key_of_its_image() {
    for seed in 0..300 {
        let (disk, oracle) = history(seed);
        let state = disk.state();
        let mut rng = rng(seed);
        for policy in Policy::ALL {
            for draw in 0..12 {
                let torn = draw % 3 == 0;
                check(seed, &oracle, &state.plan_power_loss(policy, torn, &mut rng), torn);
            }
        }
        for plan in legal_plans(&state, 256).unwrap_or_default() {
            check(seed, &oracle, &plan, false);
        }
    }
}

#[test]
fn image_key_equals_the_key_recomputed_from_scratch() {
    for seed in 0..100 {
        let state = history(seed).0.state();
        assert_eq!(state.key(), key_from_scratch(&state), "seed {seed}");
        let mut rng = rng(seed);
        for torn in [false, true] {
            let image = state.plan_power_loss(Policy::Random, torn, &mut rng).build();
            assert_eq!(image.key(), key_from_scratch(&image), "seed {seed}");
        }
    }
}

#[test]
fn nothing_and_everything_are_the_two_ends() {
    for seed in 0..100 {
        let (disk, oracle) = history(seed);
        let expected = |names: &Names, content: fn(&Known) -> &Vec<u8>| -> Vec<(String, Vec<u8>)> {
            let shown = names.iter();
            shown.map(|(n, file)| (n.clone(), content(&oracle.files[*file]).clone())).collect()
        };
        let shown = |image: DiskState| -> Vec<(String, Vec<u8>)> {
            let files = image.list().into_iter();
            files
                .map(|(path, _)| {
                    (path.display().to_string(), image.read(&path).expect("it is listed"))
                })
                .collect()
        };
        let nothing = expected(&oracle.durable, |known| &known.durable);
        let everything = expected(&oracle.visible, |known| &known.visible);
        assert_eq!(shown(after(&disk, Policy::Nothing)), nothing, "seed {seed}");
        assert_eq!(shown(after(&disk, Policy::Everything)), everything, "seed {seed}");
    }
}

#[test]
fn power_loss_inside_a_sync_is_one_that_was_legal_before_it() {
    let mut divided = 0;
    for seed in 0..200 {
        let (disk, oracle) = history(seed);
        disk.set_recording(Recording::Forks);
        for (path, _) in disk.state().list() {
            let file = open(&disk, &path.display().to_string());
            file.sync_data(here()).expect("no fault");
        }
        sync_dir(&disk, "/");
        let mut rng = rng(seed);
        let before = history(seed).0.state();
        for mut step in disk.take_steps() {
            // Each sync as if it were the only one.
            step.before = before.clone();
            for _ in 0..6 {
                let Some(inside) = step.inside(&mut rng) else { continue };
                divided += 1;
                assert_eq!(inside.key(), step.before.key());
                let plan = inside.plan_power_loss(Policy::Random, false, &mut rng);
                check(seed, &oracle, &plan, false);
            }
        }
    }
    assert!(divided > 500, "{divided}");
}

#[test]
fn power_loss_after_a_kill_inside_a_write_leaves_parts_of_that_write_only() {
    let mut torn = 0;
    for seed in 0..200 {
        let (disk, mut oracle) = history(seed);
        let mut rng = rng(seed);
        let mut dice = Stream::new(seed);
        let Some((path, _)) = disk.state().list().pop() else { continue };
        let path = path.display().to_string();
        let (offset, len) = (dice.index(3000), 2 + dice.index(3000));
        disk.set_recording(Recording::Forks);
        open(&disk, &path).write_at(&vec![99; len], offset as u64, here()).expect("no fault");
        oracle.write(oracle.visible[&path], offset, &vec![99; len]);
        let step = disk.take_steps().pop().expect("the write");
        for _ in 0..10 {
            let inside = step.inside(&mut rng).expect("two bytes can be torn");
            torn += u32::from(inside.key() != step.before.key());
            assert_eq!(inside.key(), key_from_scratch(&inside));
            let plan = inside.plan_power_loss(Policy::Random, true, &mut rng);
            check(seed, &oracle, &plan, true);
        }
    }
    assert!(torn > 1000, "{torn}");
}

#[test]
fn illegal_images_are_refused_by_the_oracle() {
    // The oracle itself must be able to say no: show it images of another history.
    let refused = (0..100).filter(|seed| {
        let (_, oracle) = history(*seed);
        !oracle.allows(&history(seed + 1000).0.state(), false)
    });
    assert!(refused.count() > 90);
}
