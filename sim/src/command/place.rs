//! Where something was found: an image, the run of a swarm, a case of the sweep, or a damaged store.

use std::fmt;
use std::str::FromStr;

use super::sweep::SEEDED;
use crate::address::{Address, Of};
use crate::damage;
use crate::explore;
use crate::replica;
use crate::swarm;
use crate::sweep;
use crate::system::System;
use crate::tally::Tally;
use crate::watch::Watch;

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An image, or the run of a swarm.
    Address(Address),
    /// A case of the sweep.
    Swept(sweep::Case),
    /// A damaged store.
    Damaged(damage::Case),
}

impl Place {
    /// Whether another system has nothing wrong there, or no such place at all.
    pub(super) fn is_clean_with(&self, system: &dyn System) -> bool {
        let is_clean = |tally: &Tally| tally.violations.is_empty();
        match self {
            Self::Swept(case) => {
                let done = sweep::run_case(system, case, SEEDED);
                done.map_or(true, |done| done.violations.is_empty())
            }
            Self::Damaged(case) => {
                let done = damage::run_case(system, case);
                done.map_or(true, |done| done.violations.is_empty())
            }
            Self::Address(address) if address.kind() == Of::Swarm => {
                swarm::one(system, address.seed).is_none_or(|done| done.violations.is_empty())
            }
            Self::Address(address) if address.is_replica() => {
                let done = replica::replay(system, *address, &Watch::default());
                done.map_or(true, |(tally, _)| is_clean(&tally))
            }
            Self::Address(address) => {
                let done = explore::replay(system, *address, &Watch::default());
                done.map_or(true, |done| is_clean(&done.tally))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Swept(case) => case.fmt(f),
            Self::Damaged(case) => case.fmt(f),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if damage::Case::is_meant(text) {
            return text.parse().map(Self::Damaged);
        }
        match text.parse() {
            Ok(case) => Ok(Self::Swept(case)),
            Err(_) => text.parse().map(Self::Address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::planted::{Bug, Planted};

    #[test]
    fn place_is_read_as_it_is_written() {
        let texts =
            ["7:1:2", "replica-7:1:2", "swarm-7", "damage:closed:3", "a+sync-eio@0.1~0", "7"];
        for text in texts {
            let place: Place = text.parse().expect(text);
            assert_eq!(place.to_string(), text);
        }
        assert!("nothing".parse::<Place>().is_err());
    }

    #[test]
    fn engine_is_clean_where_a_wrong_one_is_not() {
        let wrong = Planted::new(Bug::AcknowledgedBeforeSync);
        let places = (1..40).map(|point| format!("1:{point}:0").parse().expect("an address"));
        let places: Vec<Place> = places.collect();
        assert!(places.iter().all(|place| place.is_clean_with(&Engine)));
        assert!(places.iter().any(|place| !place.is_clean_with(&wrong)));
        let nowhere: Place = "1:1000000:0".parse().expect("an address");
        assert!(nowhere.is_clean_with(&wrong), "there is no such point");
    }
}
