//! What an observer of a run is told (I14).
//!
//! **Place.** A history that says `observe` has one until its process ends; the desk of a swarm sets one in
//! each process. It is looked at after each operation.
//!
//! - O1. LSNs come one after another, from the one behind what was committed when it was set; each once.
//! - O2. What is committed was told, and what was told is committed: an observer is neither late nor early.

use std::sync::{Arc, Mutex, PoisonError};

use quiver_store::WalOp;

use super::Runner;
use crate::checker::{Finding, Invariant};
use crate::system::Listener;

/// An observer.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// LSNs as they were told, and whether each was of a checkpoint.
    told: Arc<Mutex<Vec<(u64, bool)>>>,
    last: u64,
}

impl Audience {
    /// One that is set now, where so much is committed.
    pub(crate) fn new(committed: u64) -> (Self, Listener) {
        let audience = Self { told: Arc::default(), last: committed };
        let told = audience.told.clone();
        let listener = Arc::new(move |entry: crate::system::Told| {
            let is_checkpoint = matches!(entry.op, WalOp::Checkpoint { .. });
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push((entry.lsn, is_checkpoint));
        });
        (audience, listener)
    }

    /// Takes in what was told, where so much is committed now; how much it was.
    pub(crate) fn hear(&mut self, committed: u64) -> Result<u64, Finding> {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        let wrong = |expected: String, found: String| {
            Err(Finding::new(Invariant::I14, format!("an observer is told of {expected}"), found))
        };
        let mut commits = 0;
        for (lsn, is_checkpoint) in told {
            if is_checkpoint {
                if lsn > committed {
                    let expected = format!("a checkpoint of no more than LSN {committed}");
                    return wrong(expected, format!("one of LSN {lsn}"));
                }
                continue;
            }
            if lsn != self.last + 1 {
                return wrong(format!("LSN {} next, once", self.last + 1), format!("LSN {lsn}"));
            }
            self.last = lsn;
            commits += 1;
        }
        if self.last != committed {
            return wrong(format!("all up to LSN {committed}"), format!("up to {}", self.last));
        }
        Ok(commits)
    }
}

impl Runner<'_> {
    /// Sets an observer, in the place of the one before.
    pub(super) fn observe(&mut self) {
        if !self.system.replicates() {
            return;
        }
        let (audience, listener) = Audience::new(self.model.committed().lsn);
        match self.inside(|session| session.observe(None, listener)) {
            Some(Ok(())) => self.audience = Some(audience),
            Some(Err(error)) => {
                let expected = "an observer that is set".to_owned();
                self.wrong(Invariant::Answers, expected, format!("{error:?}"));
            }
            None => {}
        }
    }

    /// Looks at what the observer of this process was told, if it has one.
    pub(super) fn heed_audience(&mut self) {
        let committed = self.model.committed().lsn;
        let Some(audience) = self.audience.as_mut().filter(|_| !self.stopped) else { return };
        let heard = audience.hear(committed);
        self.evaluated(Invariant::I14);
        if let Err(finding) = heard {
            self.found(finding);
            self.stopped = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::forward::Forward;
    use crate::history::{History, Shape};
    use crate::planted::{Bug, Planted};
    use crate::sweep;

    #[test]
    fn engine_tells_an_observer_right_in_drawn_histories() {
        let mut drawn = 0;
        for seed in 0..120 {
            let history = History::of(seed);
            if history.shape != Shape::Churn {
                let forward = Forward::of(&Engine, &history.observed());
                assert!(forward.findings.is_empty(), "{seed}: {:?}", forward.findings);
                drawn += 1;
            }
        }
        assert!(drawn > 100, "{drawn}");
    }

    #[test]
    fn observed_history_makes_the_calls_of_the_one_that_nobody_observes() {
        for seed in (0..40).filter(|seed| History::of(*seed).shape != Shape::Churn) {
            let history = History::of(seed);
            let alone = Forward::of(&Engine, &history);
            let observed = Forward::of(&Engine, &history.observed());
            let (one, two) = (alone.calls.len(), observed.calls.len());
            assert_eq!((one, alone.points.len()), (two, observed.points.len()), "{seed}");
            let keys = |forward: &Forward| -> Vec<u128> {
                forward.points.iter().map(|point| forward.at(point).0.full_key()).collect()
            };
            assert_eq!(keys(&alone), keys(&observed), "{seed}");
        }
    }

    #[test]
    fn observer_that_is_told_twice_is_found_where_somebody_observes() {
        let planted = Planted::new(Bug::ObserverCalledTwice);
        let history = sweep::told(1, "+a; a.x=9; a.y=9; a.x-; a.z=9");
        assert!(Forward::of(&planted, &history).findings.is_empty());
        let findings = Forward::of(&planted, &history.observed()).findings;
        let found = findings.first().map(|(_, finding)| finding.invariant);
        assert_eq!(found, Some(crate::checker::Invariant::I14), "{findings:?}");
    }
}
