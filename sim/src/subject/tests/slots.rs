//! A smaller one, right in all that its own recoveries show.

use super::super::{Result, Subject};
use crate::fs::SimFs;
use crate::stream::Stream;

/// A number in two slots of a file, of which each change takes the older one. What is wrong is what it does
/// to the newest one when it was not closed well: for a while there is nothing of it.
pub(super) struct Slots;

impl Slots {
    const LEN: usize = 512;

    /// Where a slot says that it was closed well.
    const CLOSED: usize = 3;

    /// The number and its age.
    fn slots(fs: &SimFs) -> Result<[Option<(u8, u8)>; 2]> {
        let bytes = fs.read("/n")?;
        let slot = |at: usize| match bytes[at * Self::LEN..][..3] {
            [age, number, check] if age != 0 && check == (age ^ number ^ 0x5a) => {
                Some((age, number))
            }
            _ => None,
        };
        Ok([slot(0), slot(1)])
    }

    fn newest(fs: &SimFs) -> Result<(u64, (u8, u8))> {
        let slots = (0..).zip(Self::slots(fs)?);
        let newest = slots.filter_map(|(at, slot)| Some((at, slot?))).max_by_key(|(_, slot)| *slot);
        Ok(newest.unwrap_or((1, (0, 0))))
    }

    fn put(fs: &SimFs, at: u64, bytes: &[u8]) -> Result<()> {
        let file = crate::fs::OpenOptions::new().write(true).open(fs, "/n")?;
        file.write_all_at(bytes, at * Self::LEN as u64)?;
        Ok(file.sync_all()?)
    }
}

impl Subject for Slots {
    type Op = u8;
    type State = u8;
    type Store = SimFs;

    fn open(&self, fs: &SimFs) -> Result<SimFs> {
        if !fs.exists("/n") {
            let file = fs.create("/new")?;
            file.write_all_at(&[0; 2 * Self::LEN], 0)?;
            file.sync_all()?;
            fs.rename("/new", "/n")?;
        }
        fs.sync_dir("/")?;
        let (at, (age, number)) = Self::newest(fs)?;
        let closed = fs.read("/n")?[usize::try_from(at)? * Self::LEN + Self::CLOSED] != 0;
        if !closed && Self::slots(fs)?.iter().all(Option::is_some) {
            Self::put(fs, at, &[0; 4])?;
            Self::put(fs, at, &[age, number, age ^ number ^ 0x5a])?;
        }
        Ok(fs.clone())
    }

    fn draw(&self, dice: &mut Stream) -> u8 {
        u8::try_from(dice.between(1, 200)).expect("it is small")
    }

    fn model(&self, state: &mut u8, op: &u8) {
        *state = *op;
    }

    fn apply(&self, fs: &mut SimFs, op: &u8) -> Result<()> {
        let (at, (age, _)) = Self::newest(fs)?;
        Self::put(fs, 1 - at, &[age + 1, *op, (age + 1) ^ *op ^ 0x5a, 0])
    }

    fn close(&self, fs: SimFs) -> Result<()> {
        let (at, (age, number)) = Self::newest(&fs)?;
        Self::put(&fs, at, &[age, number, age ^ number ^ 0x5a, 1])
    }

    fn observe(&self, fs: &mut SimFs) -> Result<u8> {
        Ok(Self::newest(fs)?.1.1)
    }

    /// What is torn within a sector is not what this is about.
    fn keeps_what_it_showed(&self) -> bool {
        false
    }
}
