//! Plays a reproducer and says whether it does what its status says.

use std::sync::Arc;

use super::chain::{self, Played};
use super::{Reproducer, Status, Violates};
use crate::engine::Engine;
use crate::planted::{self, Planted};
use crate::system::System;
use crate::tally::Violation;
use crate::toy::{self, Toy};
use crate::watch::Watch;

/// How many images are looked at where the crash of a mended violation does not fit any more.
const SWEPT_IMAGES: u64 = 4000;

/// What a file is played on.
#[derive(Clone, Debug)]
pub struct Systems {
    /// Where it must reproduce, if it must.
    pub wrong: Option<Arc<dyn System>>,
    /// Where it must pass, or ought to.
    pub right: Arc<dyn System>,
}

/// What came of playing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is violated.
    Passes,
    /// Something is; for a planted bug, with the bug.
    Reproduces,
    /// What it says does not fit the run.
    Strays,
}

/// Whether a file does what its status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What came of it.
    pub outcome: Outcome,
    /// Whether it does.
    pub as_said: bool,
    /// In words.
    pub words: String,
}

/// The names of all planted bugs, of the engine and of the toy.
pub fn planted_names() -> Vec<String> {
    let engine = planted::Bug::PLANTED.iter().map(|bug| bug.name().to_owned());
    let toy = toy::Bug::PLANTED.iter().map(|bug| format!("{}{}", toy::PREFIX, bug.name()));
    engine.chain(toy).collect()
}

impl Systems {
    /// The systems for a status.
    ///
    /// # Errors
    /// There is no planted bug of that name.
    pub fn of(status: &Status) -> Result<Self, String> {
        let Status::Planted(name) = status else {
            return Ok(Self { wrong: None, right: Arc::new(Engine) });
        };
        if let Some(name) = name.strip_prefix(toy::PREFIX)
            && let Some(bug) = toy::Bug::PLANTED.into_iter().find(|bug| bug.name() == name)
        {
            let right = Arc::new(Toy(toy::Bug::None));
            return Ok(Self { wrong: Some(Arc::new(Toy(bug))), right });
        }
        if let Some(bug) = planted::Bug::PLANTED.iter().find(|bug| bug.name() == name) {
            return Ok(Self {
                wrong: Some(Arc::new(Planted::new(bug.clone()))),
                right: Arc::new(Engine),
            });
        }
        let names = planted_names().join(", ");
        Err(format!("there is no planted bug {name:?}; there are {names}"))
    }

    /// The one on which the violation shows.
    pub fn shows(&self) -> &dyn System {
        &**self.shared()
    }

    /// The same, for a thread that may outlive who asks.
    pub fn shared(&self) -> &Arc<dyn System> {
        self.wrong.as_ref().unwrap_or(&self.right)
    }
}

impl Reproducer {
    /// Plays it on a system, once.
    pub fn play(&self, system: &dyn System) -> Played {
        self.play_watched(system, &Watch::default())
    }

    /// The same, seen from outside.
    pub fn play_watched(&self, system: &dyn System, watch: &Watch) -> Played {
        self.chain.play(system, &self.history, watch)
    }

    /// The violation that it shows, if it was met.
    pub fn shown<'a>(&self, played: &'a Played) -> Option<&'a Violation> {
        let mut met = played.tally.violations.iter();
        met.find(|violation| Violates::of(violation) == self.violates)
    }

    /// Plays it as its status says.
    pub fn verdict(&self) -> Verdict {
        let verdict = |outcome, as_said, words: String| Verdict { outcome, as_said, words };
        let systems = match Systems::of(&self.status) {
            Ok(systems) => systems,
            Err(why) => return verdict(Outcome::Strays, false, why),
        };
        let operations = self.history.operations.len();
        if let Some(most) = self.shrinks_to.filter(|most| *most < operations) {
            let words = format!("it has {operations} operations, and says `shrinks-to {most}`");
            return verdict(Outcome::Strays, false, words);
        }
        let mut outcome = Outcome::Passes;
        let mut under = String::new();
        if let Some(wrong) = &systems.wrong {
            let played = self.play(&**wrong);
            if let Some(why) = played.met.astray {
                return verdict(Outcome::Strays, false, why);
            }
            let Some(violation) = self.shown(&played) else {
                let met = what_was_met(&played.tally.violations);
                let word = self.violates.word();
                return verdict(Outcome::Passes, false, format!("no violation of {word}, {met}"));
            };
            outcome = Outcome::Reproduces;
            under = format!("{} with the bug; without it: ", violation.invariant.name());
        }
        let played = self.play(&*systems.right);
        let mut violations = played.tally.violations;
        let mut pass = "passes".to_owned();
        if let Some(why) = played.met.astray {
            if self.status == Status::Open {
                return verdict(Outcome::Strays, false, why);
            }
            violations = self.sweep(&*systems.right);
            pass = format!("passes at every point, for its own is gone: {why}");
        }
        if let Some(violation) = violations.first() {
            let found = violation.found.lines().next().unwrap_or_default();
            let name = violation.invariant.name();
            return verdict(Outcome::Reproduces, false, format!("{under}{name}: {found}"));
        }
        let words = match (&self.status, pass.as_str()) {
            (Status::Open, _) => "its status may be `fixed` now".to_owned(),
            (Status::Fixed, "passes") => String::new(),
            _ => format!("{under}{pass}"),
        };
        verdict(outcome, true, words)
    }

    /// Looks at many images of the history; what they violate.
    fn sweep(&self, system: &dyn System) -> Vec<Violation> {
        let (history, watch) = (&self.history, Watch::default());
        let hunt = chain::hunt(system, history, false, SWEPT_IMAGES, &|_| true, &watch);
        hunt.found.into_iter().collect()
    }
}

fn what_was_met(violations: &[Violation]) -> String {
    match violations.first() {
        None => "and of nothing else".to_owned(),
        Some(other) => format!("but of {}", other.invariant.name()),
    }
}
