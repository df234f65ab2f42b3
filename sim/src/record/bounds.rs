//! What was asked of a run: what must be equal in all of its shards, and in all of its beginnings.

use serde_json::{Value, json};

use super::fields::{Fields, Read};
use crate::campaign::{End, Which};
use crate::digest;
use crate::disk::Filesystem;
use crate::tally::Tally;

/// Seeds of texts have so many bits: short enough to be typed.
const SEED_OF_TEXT_BITS: u32 = 48;

/// Of so many images some are of encrypted stores, which have some per cent of them.
const IMAGES_OF_BOTH: u64 = 100;

/// Which parts a run has besides its campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The sweep of faults.
    pub sweep: bool,
    /// The damage to stores.
    pub damage: bool,
    /// The swarms of tasks.
    pub swarm: bool,
}

/// The arguments that a result depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first seed.
    pub seed: u64,
    /// The text that it is the seed of.
    pub seed_of: Option<String>,
    /// How many seeds, of all shards.
    pub seeds: Option<u64>,
    /// How many images, of each shard.
    pub images: Option<u64>,
    /// How many minutes at most, of each shard.
    pub minutes: Option<u64>,
    /// Whether all counters have to move first.
    pub until_met: bool,
    /// Which histories.
    pub which: Which,
    /// Which parts besides.
    pub parts: Parts,
    /// How the disks behave.
    pub medium: String,
}

/// The seed of a text, such as the name of a commit: the same on every machine and in every version.
pub fn seed_of(text: &str) -> u64 {
    digest::name_key(text) >> (u64::BITS - SEED_OF_TEXT_BITS)
}

impl Bounds {
    pub(super) fn json(&self) -> Value {
        let Self { seed, seed_of, seeds, images, minutes, until_met, which, parts, medium } = self;
        let Parts { sweep, damage, swarm } = parts;
        json!({
            "seed": seed,
            "seed_of": seed_of,
            "seeds": seeds,
            "images": images,
            "minutes": minutes,
            "until_met": until_met,
            "histories": which.name(),
            "sweep": sweep,
            "damage": damage,
            "swarm": swarm,
            "medium": medium,
        })
    }

    pub(super) fn read(fields: &Fields<'_>) -> Read<Self> {
        let number = |name: &str| fields.maybe(name, |fields| fields.number(name));
        Ok(Self {
            seed: fields.number("seed")?,
            seed_of: fields.maybe("seed_of", |fields| fields.text("seed_of").map(str::to_owned))?,
            seeds: number("seeds")?,
            images: number("images")?,
            minutes: number("minutes")?,
            until_met: fields.flag("until_met")?,
            which: fields.one_of("histories", Which::ALL, |which| which.name())?,
            parts: Parts {
                sweep: fields.flag("sweep")?,
                damage: fields.flag("damage")?,
                swarm: fields.flag("swarm")?,
            },
            medium: fields.one_of("medium", Filesystem::ALL, |it| it.name())?.name().to_owned(),
        })
    }

    /// The histories that a run which ended so has certainly come to. Those of plain stores come first, and
    /// of few images the others may have no share.
    pub(super) fn came_to(&self, end: End) -> Which {
        let few = self.images.is_some_and(|images| images < IMAGES_OF_BOTH);
        match (self.which, end) {
            (Which::All, End::Target | End::Time) if !few => Which::All,
            (Which::All, _) => Which::Plain,
            (which, _) => which,
        }
    }

    /// Which histories the campaign at a place among those of a run has.
    pub(super) fn of_campaign(&self, place: usize) -> Which {
        match (self.which, place) {
            (Which::All, 0) => Which::Plain,
            (Which::All, _) => Which::Encrypted,
            (which, _) => which,
        }
    }

    /// The counters that may move in campaigns of such histories, at zero.
    pub(super) fn zero(&self, which: Which) -> Tally {
        let mut tally = Tally::zero();
        if which == Which::Plain {
            tally.forget_encryption();
        }
        if self.medium != Filesystem::Posix.name() {
            tally.forget_posix();
        }
        tally
    }

    /// In what another one differs: `seed is 2, not 1`.
    pub fn differ(&self, other: &Self) -> Option<String> {
        let (own, others) = (self.json(), other.json());
        let fields = own.as_object().into_iter().flatten();
        let mut differ = fields.filter(|(name, value)| others[name.as_str()] != **value);
        differ
            .next()
            .map(|(name, value)| format!("{name} is {}, not {value}", others[name.as_str()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_texts_never_change() {
        let commit = "d254703a9c1f0c6e0c1b2a3f4e5d6c7b8a990011";
        let seeds = [72_199_902_034_751, 226_389_788_506_330, 277_987_869_563_182];
        assert_eq!([seed_of(""), seed_of("a"), seed_of(commit)], seeds);
    }
}
