//! The address of one crash image: `SEED:POINT:IMAGE`, and below it the points and images of nested
//! crashes.
//!
//! The address of an image of a replica history has `replica-` before it, that of a swarm `swarm-`, that of
//! one on a filesystem that is kinder than POSIX its name: `ext4-`.
//!
//! **Place.** Printed with every violation and taken by `replay`. Everything that is random about an
//! image derives from its address (R1 of [`crate::stream`]), so it can be rebuilt alone.

use std::fmt;
use std::str::FromStr;

use crate::disk::Filesystem;
use crate::stream::Stream;

/// How many crashes may follow one another: the first and two nested ones.
pub const DEPTH_MAX: usize = 3;

/// What a run is a run of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// One store.
    #[default]
    Store,
    /// A leader and a follower.
    Replica,
    /// Several tasks on one store.
    Swarm,
    /// One store, on ext4.
    Ext4,
    /// One store, on XFS.
    Xfs,
    /// One store, on btrfs.
    Btrfs,
}

impl Of {
    /// Each, by its place.
    pub const ALL: [Self; 6] =
        [Self::Store, Self::Replica, Self::Swarm, Self::Ext4, Self::Xfs, Self::Btrfs];

    /// One store on a filesystem.
    pub const fn on(filesystem: Filesystem) -> Self {
        match filesystem {
            Filesystem::Posix => Self::Store,
            Filesystem::Ext4 => Self::Ext4,
            Filesystem::Xfs => Self::Xfs,
            Filesystem::Btrfs => Self::Btrfs,
        }
    }

    /// The filesystem that it is on.
    pub const fn filesystem(self) -> Filesystem {
        match self {
            Self::Store | Self::Replica | Self::Swarm => Filesystem::Posix,
            Self::Ext4 => Filesystem::Ext4,
            Self::Xfs => Filesystem::Xfs,
            Self::Btrfs => Filesystem::Btrfs,
        }
    }

    /// What is before the address.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Store => "",
            Self::Replica => "replica-",
            Self::Swarm => "swarm-",
            Self::Ext4 => "ext4-",
            Self::Xfs => "xfs-",
            Self::Btrfs => "btrfs-",
        }
    }
}

/// Which image of which run. An address without a crash is the forward run itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The history.
    pub seed: u64,
    crashes: [(u64, u64); DEPTH_MAX],
    depth: usize,
    of: Of,
}

impl Address {
    /// The forward run of a seed.
    pub const fn run(seed: u64) -> Self {
        Self::of(Of::Store, seed)
    }

    /// The run of a seed of this kind.
    pub const fn of(of: Of, seed: u64) -> Self {
        Self { seed, crashes: [(0, 0); DEPTH_MAX], depth: 0, of }
    }

    /// The replica history of a seed.
    pub const fn replica(seed: u64) -> Self {
        Self::of(Of::Replica, seed)
    }

    /// The swarm of a seed.
    pub const fn swarm(seed: u64) -> Self {
        Self::of(Of::Swarm, seed)
    }

    /// What it is a run of.
    pub const fn kind(&self) -> Of {
        self.of
    }

    /// Whether it is of a replica history.
    pub const fn is_replica(&self) -> bool {
        matches!(self.of, Of::Replica)
    }

    /// The address of an image after a crash at a point of this run or of this image's recovery.
    ///
    /// # Panics
    /// If there is no room for one more crash.
    #[must_use]
    pub fn below(mut self, point: u64, image: u64) -> Self {
        self.crashes[self.depth] = (point, image);
        self.depth += 1;
        self
    }

    /// Point and image of each crash, the first one first.
    pub fn crashes(&self) -> &[(u64, u64)] {
        &self.crashes[..self.depth]
    }

    /// The stream of choices of one use of this address.
    pub fn stream(&self, of_use: u64) -> Stream {
        let mut path = [0; 2 * DEPTH_MAX + 1];
        path[0] = of_use;
        for (place, (point, image)) in self.crashes().iter().enumerate() {
            path[2 * place + 1] = *point;
            path[2 * place + 2] = *image;
        }
        Stream::at(self.seed, &path[..=2 * self.depth])
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.of.prefix(), self.seed)?;
        self.crashes().iter().try_for_each(|(point, image)| write!(f, ":{point}:{image}"))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = Vec::new();
        let parts = Of::ALL.into_iter().rev();
        let mut parts = parts.filter_map(|of| Some((of, text.strip_prefix(of.prefix())?)));
        let (of, numbers_of) = parts.next().expect("one of them has nothing before it");
        for part in numbers_of.split(':') {
            let number = part.parse::<u64>().map_err(|_| {
                format!("{part:?} in the address {text:?} is no number, expected SEED:POINT:IMAGE")
            })?;
            numbers.push(number);
        }
        let (seed, rest) = numbers.split_first().expect("splitting gives at least one part");
        let (crashes, odd) = rest.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(format!("the address {text:?} has a point without an image"));
        }
        if crashes.len() > DEPTH_MAX {
            return Err(format!("the address {text:?} has more than {DEPTH_MAX} crashes"));
        }
        let below = |address: Self, [point, image]: &[u64; 2]| address.below(*point, *image);
        Ok(crashes.iter().fold(Self::of(of, *seed), below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_round_trips_and_bad_ones_are_explained() {
        for text in [
            "7",
            "7:1:2",
            "replica-7",
            "replica-7:1:2",
            "swarm-7:1:2",
            "ext4-7:1:2",
            "xfs-7",
            "btrfs-7:1:2",
            "18446744073709551615:1:2:3:4:5:6",
        ] {
            assert_eq!(text.parse::<Address>().expect("well formed").to_string(), text);
        }
        for text in
            ["", "x", "replica-", "replica-x", "1:2", "1:2:3:4", "1:-2:3", "1:1:1:1:1:1:1:1:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text:?} is accepted");
        }
    }
}
