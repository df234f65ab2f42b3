//! Where something was found: an image, the run of a swarm, a case of the sweep, or a damaged store.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::sweep::SEEDED;
use crate::address::{Address, Of};
use crate::campaign::PATIENCE;
use crate::checker::Invariant;
use crate::damage;
use crate::explore;
use crate::in_order::{Plan, Seat, in_order};
use crate::replica;
use crate::swarm;
use crate::sweep;
use crate::system::System;
use crate::tally::Violation;
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
    /// The invariants that a system violates there, by name; none where it has no such place. A store that
    /// does not come back has its own; nobody waits for it.
    pub(super) fn violated_by(
        &self,
        system: Arc<dyn System>,
        cancel: &AtomicBool,
    ) -> Vec<&'static str> {
        let (place, mut found) = (self.clone(), Vec::new());
        let plan = Plan { jobs: 1, patience: PATIENCE, cancel };
        let look = move |_, seat: &Seat<()>| {
            seat.begins(());
            place.looked_at(&*system, &seat.watch)
        };
        let hanging = in_order(1, &plan, look, |violated| {
            found = violated;
            true
        });
        found.extend(hanging.map(|_| Invariant::I5.name()));
        found
    }

    fn looked_at(&self, system: &dyn System, watch: &Watch) -> Vec<&'static str> {
        let of = |violations: &[Violation]| -> Vec<&'static str> {
            violations.iter().map(|one| one.invariant.name()).collect()
        };
        match self {
            Self::Swept(case) => sweep::run_case(system, case, SEEDED).map_or(vec![], |done| {
                done.violations.iter().map(|(_, one)| one.invariant.name()).collect()
            }),
            Self::Damaged(case) => damage::run_case(system, case).map_or(vec![], |done| {
                done.violations.iter().map(|one| one.finding.invariant.name()).collect()
            }),
            Self::Address(address) if address.kind() == Of::Swarm => {
                swarm::one(system, address.seed).map_or(vec![], |done| {
                    done.violations.iter().map(|(one, _)| one.invariant.name()).collect()
                })
            }
            Self::Address(address) if address.is_replica() => {
                let done = replica::replay(system, *address, watch);
                done.map_or(vec![], |(tally, _)| of(&tally.violations))
            }
            Self::Address(address) => {
                let done = explore::replay(system, *address, watch);
                done.map_or(vec![], |done| of(&done.tally.violations))
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
        let never = AtomicBool::new(false);
        let wrong: Arc<dyn System> = Arc::new(Planted::new(Bug::AcknowledgedBeforeSync));
        let right: Arc<dyn System> = Arc::new(Engine);
        let places = (1..40).map(|point| format!("1:{point}:0").parse().expect("an address"));
        let places: Vec<Place> = places.collect();
        let violated =
            |place: &Place, system: &Arc<dyn System>| place.violated_by(system.clone(), &never);
        assert!(places.iter().all(|place| violated(place, &right).is_empty()));
        assert!(places.iter().any(|place| !violated(place, &wrong).is_empty()));
        let nowhere: Place = "1:1000000:0".parse().expect("an address");
        assert!(violated(&nowhere, &wrong).is_empty(), "there is no such point");
    }
}
