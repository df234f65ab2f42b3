//! What a store shows that replays records out of an input.
//!
//! - L2. What a reader of a read-only store is shown, the next writer recovers, and so does the one after
//!   that.
//! - L3. Where a reader is refused, a salvage says what is lost.

use quiver_store::{Env, Lsn, Result, Store};

use crate::template::options;
use crate::{answers, errors};

/// What a replay came to.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Nothing was found in the store.
    pub(crate) was_whole: bool,
    /// What a reader was shown, if it was shown all.
    pub(crate) shown: answers::Shown,
    /// Where a salvage ended, and what it showed, if a reader was refused.
    pub(crate) salvaged: Option<(Lsn, Result<answers::Shown>)>,
}

/// L2 and L3. Any of some names says where an error is.
pub(crate) fn same_each_time(env: &Env, names: &[&str]) -> Replayed {
    let opened = Store::open_read_only_with(env.clone(), options());
    let (was_whole, read) = match &opened {
        Ok(store) => (answers::check(store, names).is_some(), answers::show(store)),
        Err(error) => {
            errors::check_names(error, names);
            let salvaged = Store::open_salvage_with(env.clone(), options());
            let (store, lost) = salvaged.expect("the manifest is whole");
            assert!(!lost.is_empty(), "salvaged without a loss, and refused: {error:?}");
            lost.iter().for_each(|error| errors::check_names(error, names));
            answers::check(&store, names);
            // One that what is parked keeps from being read says nothing of where it ends.
            let salvaged = store.stats().ok().map(|it| (it.last_lsn, answers::show(&store)));
            return Replayed { salvaged, ..Replayed::default() };
        }
    };
    drop(opened);
    for _ in 0..2 {
        let store = Store::open_with(env.clone(), options()).expect("it opened for reading");
        let written = answers::show(&store);
        match (&read, &written) {
            (Ok(read), Ok(written)) => {
                assert_eq!(written, read, "a writer recovers something else than a reader");
            }
            _ => assert!(!was_whole, "{read:?} by a reader, {written:?} by a writer"),
        }
    }
    Replayed { was_whole, shown: read.unwrap_or_default(), salvaged: None }
}
