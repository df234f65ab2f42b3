//! The address of one case: printed with a violation and taken by `quiver-sim replay`.

use std::fmt;
use std::str::FromStr;

/// Which damage to which store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// A small store by its name, and the place in the list of all damages to it.
    Small(String, u64),
    /// A drawn one to the store of a seed's history.
    Drawn(u64, u64),
    /// The same while it is open.
    Running(u64, u64),
}

const START: &str = "damage:";

impl Case {
    /// Whether a text means a case, well formed or not.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(START)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small(name, place) => write!(f, "{START}{name}:{place}"),
            Self::Drawn(seed, place) => write!(f, "{START}drawn:{seed}:{place}"),
            Self::Running(seed, place) => write!(f, "{START}running:{seed}:{place}"),
        }
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no case; expected {START}STORE:N, {START}drawn:SEED:N or {START}running:SEED:N"
            )
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let parts: Vec<&str> = text.strip_prefix(START).ok_or_else(wrong)?.split(':').collect();
        match parts.as_slice() {
            ["drawn", seed, place] => Ok(Self::Drawn(number(seed)?, number(place)?)),
            ["running", seed, place] => Ok(Self::Running(number(seed)?, number(place)?)),
            [name, place] if !name.is_empty() => {
                Ok(Self::Small((*name).to_owned(), number(place)?))
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_round_trips_and_bad_ones_are_explained() {
        for text in ["damage:closed:7", "damage:drawn:1:2", "damage:running:18446744073709551615:0"]
        {
            assert_eq!(text.parse::<Case>().expect("well formed").to_string(), text);
        }
        for text in ["", "closed:7", "damage:", "damage::1", "damage:closed", "damage:drawn:1:x"] {
            assert!(text.parse::<Case>().is_err(), "{text:?} is accepted");
        }
    }
}
