//! What an open store shows, held against the model: all of what was not hit, and of the rest the
//! right data or an error.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::base::Base;
use super::hit::{Harm, Hit, wrong};
use crate::checker::Finding;
use crate::index;
use crate::model::{Collection, State};
use crate::reads::{self, Parts, Read, Seen, Wrong};
use crate::row_range::RowRange;
use crate::stream::Stream;
use crate::system::{Session, View};
use quiver_store::{CollectionId, ErrorKind};

/// Rows of one collection that are asked for one by one.
const ROWS_ASKED: usize = 24;

/// Errors of one scan after which it counts as endless.
const ERRORS_MAX: usize = 10_000;

/// An id that nobody writes.
const NOBODY: &str = "nobody at all";

/// Who looks at what a store shows.
pub(super) struct Looker<'a> {
    pub(super) base: &'a Base,
    pub(super) hit: &'a Hit,
    pub(super) stream: Stream,
    pub(super) is_running: bool,
    /// Collections of which only the names are held against the state.
    pub(super) skipped: Vec<Arc<str>>,
    /// The collections of which a read was `Corrupt`.
    pub(super) met: Met,
}

/// Ids of collections of which damage was met.
pub(super) type Met = RefCell<BTreeSet<u64>>;

impl Looker<'_> {
    /// Holds all of a store against a state.
    pub(super) fn check(&mut self, session: &dyn Session, state: &State) -> Result<(), Finding> {
        let failed = |error: quiver_store::Error| wrong("an answer", format!("{error:?}"));
        let names = session.names().map_err(failed)?;
        let expected: Vec<&str> = state.collections.keys().map(|name| &**name).collect();
        let lsn = session.snapshot().and_then(|view| view.last_lsn()).map_err(failed)?;
        if lsn != state.lsn || names != expected {
            let expected = format!("LSN {} and the collections {expected:?}", state.lsn);
            return Err(wrong(expected, format!("LSN {lsn} and {names:?}")));
        }
        for (name, collection) in &state.collections {
            if self.skipped.contains(name) {
                continue;
            }
            let id = session.id_of(name).map_err(failed)?;
            let id = id.ok_or_else(|| wrong("the id of a collection", "none"))?;
            let harm = self.hit.owners.get(&id.value()).cloned();
            self.scan(session, id, collection, harm.as_ref())?;
            self.ask(session, id, name, collection, harm.as_ref())?;
            self.check_index(session, id, collection, harm.as_ref())?;
        }
        Ok(())
    }

    /// An error of a read of a collection.
    fn excuse(
        &self,
        id: CollectionId,
        error: &quiver_store::Error,
        harm: Option<&Harm>,
    ) -> Result<(), Finding> {
        if error.kind() == ErrorKind::Corrupt {
            self.met.borrow_mut().insert(id.value());
        }
        match harm.filter(|harm| harm.rows) {
            Some(_) => self.hit.check(error, self.is_running),
            None => Err(wrong("rows of a collection that was not hit", format!("{error:?}"))),
        }
    }

    /// Every row that a scan shows is right, and none is left out without an error.
    pub(super) fn scan(
        &self,
        view: &dyn View,
        id: CollectionId,
        collection: &Collection,
        harm: Option<&Harm>,
    ) -> Result<(), Finding> {
        let rows = match view.scan_range(id, &RowRange::default()) {
            Ok(rows) => rows,
            Err(error) => return self.excuse(id, &error, harm),
        };
        let (mut shown, mut errors, mut last) = (BTreeSet::new(), 0, None);
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    self.excuse(id, &error, harm)?;
                    errors += 1;
                    if errors > ERRORS_MAX {
                        return Err(wrong("a scan that ends", "errors without an end"));
                    }
                    continue;
                }
            };
            let known = collection.rows.get_key(&row.id);
            let right = known.map(|(id, row)| Seen::expected(id, row, Parts::Whole));
            if right != Some(Seen::of(&row)) || last.as_ref() >= Some(&row.id) {
                let expected = format!("the rows of the model behind {last:?}");
                return Err(wrong(expected, format!("a scan shows {row:?}")));
            }
            shown.insert(row.id.clone());
            last = Some(row.id);
        }
        if errors == 0 && shown.len() != collection.rows.len() {
            let missing = collection.rows.iter().find(|(id, _)| !shown.contains(&***id));
            let expected = format!("the row {:?} of collection {id}, or an error", missing);
            return Err(wrong(expected, format!("a scan of {} rows", shown.len())));
        }
        Ok(())
    }

    fn ask(
        &mut self,
        view: &dyn View,
        id: CollectionId,
        name: &str,
        collection: &Collection,
        harm: Option<&Harm>,
    ) -> Result<(), Finding> {
        let ids: Vec<&Arc<str>> = collection.rows.iter().map(|(id, _)| id).collect();
        let from = self.stream.index(ids.len());
        let asked = ids.iter().cycle().skip(from).take(ROWS_ASKED.min(ids.len()));
        for row in asked {
            let must = harm.is_some_and(|harm| self.must_show(name, collection, row, harm));
            self.read(view, id, collection, &Read::Get((*row).clone()), harm, must)?;
        }
        let mut gone: Vec<Arc<str>> = vec![NOBODY.into()];
        if let Some(before) = self.base.states.values().rev().find_map(|state| {
            state.collections.get(name).filter(|before| before.rows.len() > collection.rows.len())
        }) {
            let dead = before.rows.iter().filter(|(id, _)| !collection.rows.contains_key(id));
            gone.extend(dead.map(|(id, _)| id.clone()).take(3));
        }
        let all = RowRange::default;
        let reads = gone.into_iter().map(Read::Get);
        for read in reads.chain([Read::Len, Read::Payloads(all()), Read::Vectors]) {
            self.read(view, id, collection, &read, harm, false)?;
        }
        Ok(())
    }

    fn read(
        &self,
        view: &dyn View,
        id: CollectionId,
        collection: &Collection,
        read: &Read,
        harm: Option<&Harm>,
        must: bool,
    ) -> Result<(), Finding> {
        match reads::check(view, id, Some(collection), read) {
            Ok(()) => Ok(()),
            Err(Wrong::Differs { expected, found }) => Err(wrong(expected, found)),
            Err(Wrong::Failed(error)) if must => {
                let expected = format!("{read:?} of a row whose own files are whole");
                Err(wrong(expected, format!("{error:?}")))
            }
            Err(Wrong::Failed(error)) => self.excuse(id, &error, harm),
        }
    }

    fn check_index(
        &self,
        session: &dyn Session,
        id: CollectionId,
        collection: &Collection,
        harm: Option<&Harm>,
    ) -> Result<(), Finding> {
        match (index::check(session, id, collection), harm) {
            (Ok(_), _) => Ok(()),
            (Err(Wrong::Differs { expected, found }), _) => Err(wrong(expected, found)),
            (Err(Wrong::Failed(error)), Some(_)) => self.hit.check(&error, self.is_running),
            (Err(Wrong::Failed(error)), None) => {
                Err(wrong("the index of a collection that was not hit", format!("{error:?}")))
            }
        }
    }

    /// Whether a row is one that no damage can hide: it is in memory, or in a segment that was not hit.
    fn must_show(&self, name: &str, collection: &Collection, row: &Arc<str>, harm: &Harm) -> bool {
        let base = self.base;
        let home = base.homes.get(&(name.to_owned(), row.to_string()));
        let is_elsewhere = !harm.parked && home.is_some_and(|home| !harm.segments.contains(home));
        is_elsewhere || is_fresh(base, name, collection, row)
    }
}

/// Whether a row was written behind the last checkpoint: then it is in memory.
fn is_fresh(base: &Base, name: &str, collection: &Collection, row: &str) -> bool {
    let sealed = base.states.get(&base.layout.sealed);
    let Some(before) = sealed.and_then(|state| state.collections.get(name)) else { return false };
    if before.key() != collection.key() || before.id != collection.id {
        return false;
    }
    let now = collection.rows.get(row);
    now.is_some_and(|now| match before.rows.get(row) {
        Some(old) => !Arc::ptr_eq(&now.payload, &old.payload),
        None => true,
    })
}
