//! `quiver compact`: the least space that a store takes.

use quiver_store::{CompactProgress, Store};
use serde_json::json;

use crate::Dir;
use crate::keys::Opener;
use crate::output::{Failure, Output, Unit, bar};
use crate::stop;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes to the store. Needs as much free space as the largest collection takes. Ended early, it leaves \
the store as it is, with what was joined until then.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Dir,
}

pub(crate) fn run(arguments: &Arguments, opener: &Opener, out: &mut Output) -> Result<(), Failure> {
    let store = opener.open_existing(&arguments.store.dir)?;
    let before = store.stats()?;
    let bar = bar(Unit::Rows);
    let done = store.compact_with(|at: CompactProgress| {
        bar.set_length(at.rows);
        bar.set_position(at.rows_done);
        bar.set_message(format!("collection {}", at.collection));
        stop::goes_on()
    });
    bar.finish_and_clear();
    done?;
    let after = store.stats()?;
    Store::close(&store)?;
    let json = json!({
        "segments_before": before.segments,
        "segments": after.segments,
        "is_complete": stop::goes_on().is_continue(),
    });
    out.answer(&json, &format!("{} segments, {} before", after.segments, before.segments))?;
    stop::check("the same command goes on with it")
}
