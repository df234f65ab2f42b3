//! What a worker is at, for who looks on when it does not come back.
//!
//! - D1. The case of an image is made only where it is asked for: nearly all of them come back.
//! - D2. A worker that hangs while it makes a failure smaller leaves that failure as large as it was.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Case;
use super::explore::{Failure, said};
use crate::address::Address;
use crate::disk::Inside;
use crate::explore::chain::At;
use crate::explore::image::Image;
use crate::watch::Watch;

/// One worker's place.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) watch: Watch,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    doing: Option<Doing>,
    failure: Option<Failure>,
}

/// A run, or an image of one.
#[derive(Debug)]
pub(super) struct Doing {
    /// All but the last crash.
    pub(super) case: Case,
    pub(super) last: Option<(Image, At, Option<Inside>)>,
}

impl Desk {
    /// Says what comes next.
    pub(super) fn begins(&self, address: &Address, doing: Doing) {
        self.now().doing = Some(doing);
        self.watch.at(address);
    }

    /// Says which failure is being made smaller.
    pub(super) fn shrinks(&self, failure: Option<Failure>) {
        self.now().failure = failure;
    }

    /// The case of what was begun last.
    pub(super) fn case(&self) -> Option<Case> {
        let now = self.now();
        let Doing { case, last } = now.doing.as_ref()?;
        let mut case = case.clone();
        case.crashes
            .extend(last.as_ref().map(|(image, at, inside)| said(image, at, inside.clone())));
        Some(case)
    }

    /// The failure that is being made smaller (D2).
    pub(super) fn failure(&self) -> Option<Failure> {
        self.now().failure.clone()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
