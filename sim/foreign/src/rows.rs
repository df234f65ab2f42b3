//! What both engines are asked to do: numbered rows, a few of them changed in each transaction.

use std::collections::BTreeMap;

use quiver_sim::stream::Stream;

/// All rows.
pub(crate) type Rows = BTreeMap<u8, Vec<u8>>;

/// A transaction: rows put, or removed.
pub(crate) type Changes = Vec<(u8, Option<Vec<u8>>)>;

/// Rows there may be: few, so that they are changed often.
const KEYS: u64 = 12;

/// Long enough for several pages.
const VALUE_BYTES_MAX: usize = 3000;

/// Draws a transaction.
pub(crate) fn draw(dice: &mut Stream) -> Changes {
    let count = dice.size(1, 3);
    let change = |_| {
        let key = u8::try_from(dice.below(KEYS)).expect("there are few");
        let byte = u8::try_from(dice.below(256)).expect("a byte");
        let len = if dice.chance(1, 3) { dice.index(VALUE_BYTES_MAX) } else { dice.index(60) };
        (key, (!dice.chance(1, 4)).then(|| vec![byte; len]))
    };
    (0..count).map(change).collect()
}

/// What a transaction makes of the rows.
pub(crate) fn apply(rows: &mut Rows, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(rows.insert(*key, value.clone())),
            None => drop(rows.remove(key)),
        }
    }
}
