//! The rows of one collection of the model: an ordered map of which versions share what is equal.
//!
//! **Place.** The model keeps every state that a crash or a snapshot may show; with this map a
//! change copies one leaf and the list of leaves, not the rows.
//!
//! - L1. Leaves are in the order of their ids, and so are the rows in each; no leaf is empty.
//! - L2. Nothing that another version can see is changed.

use std::sync::Arc;

use crate::model::Row;

/// A leaf beyond this is halved.
const LEAF_ROWS_MAX: usize = 32;

type Leaf = Vec<(Arc<str>, Arc<Row>)>;

/// Rows by their ids. A clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    leaves: Vec<Arc<Leaf>>,
    len: usize,
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row of an id.
    pub fn get(&self, id: &str) -> Option<&Arc<Row>> {
        let leaf = self.leaves.get(self.leaf_of(id))?;
        let place = place_in(leaf, id).ok()?;
        Some(&leaf[place].1)
    }

    /// The row of an id, with the id.
    pub fn get_key(&self, id: &str) -> Option<(&Arc<str>, &Arc<Row>)> {
        let leaf = self.leaves.get(self.leaf_of(id))?;
        let place = place_in(leaf, id).ok()?;
        Some((&leaf[place].0, &leaf[place].1))
    }

    /// Whether there is a row of an id.
    pub fn contains_key(&self, id: &str) -> bool {
        self.get(id).is_some()
    }

    /// Puts a row; the one that it replaces.
    pub fn insert(&mut self, id: Arc<str>, row: Arc<Row>) -> Option<Arc<Row>> {
        let at = self.leaf_of(&id);
        let Some(shared) = self.leaves.get_mut(at) else {
            self.leaves.push(Arc::new(vec![(id, row)]));
            self.len += 1;
            return None;
        };
        let leaf = Arc::make_mut(shared);
        match place_in(leaf, &id) {
            Ok(place) => Some(std::mem::replace(&mut leaf[place].1, row)),
            Err(place) => {
                leaf.insert(place, (id, row));
                self.len += 1;
                if leaf.len() > LEAF_ROWS_MAX {
                    let upper = leaf.split_off(LEAF_ROWS_MAX / 2);
                    self.leaves.insert(at + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    /// Takes a row away.
    pub fn remove(&mut self, id: &str) -> Option<Arc<Row>> {
        let at = self.leaf_of(id);
        let shared = self.leaves.get_mut(at)?;
        let place = place_in(shared, id).ok()?;
        let (_, row) = Arc::make_mut(shared).remove(place);
        if shared.is_empty() {
            self.leaves.remove(at);
        }
        self.len -= 1;
        Some(row)
    }

    /// All rows in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Row>)> {
        self.leaves.iter().flat_map(|leaf| leaf.iter()).map(|(id, row)| (id, row))
    }

    /// The leaf in which an id is or belongs; none where there is no leaf.
    fn leaf_of(&self, id: &str) -> usize {
        self.leaves.partition_point(|leaf| *leaf[0].0 <= *id).saturating_sub(1)
    }
}

fn place_in(leaf: &Leaf, id: &str) -> Result<usize, usize> {
    leaf.binary_search_by(|(known, _)| (**known).cmp(id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stream::Stream;

    #[test]
    fn every_version_is_the_map_that_it_was() {
        let mut stream = Stream::new(3);
        let (mut rows, mut plain) = (Rows::default(), BTreeMap::new());
        let mut versions = Vec::new();
        for turn in 0..4000 {
            let id: Arc<str> = format!("{}", stream.below(300)).into();
            if stream.chance(2, 5) {
                assert_eq!(rows.remove(&id).map(|row| row.payload.clone()), plain.remove(&id));
            } else {
                let payload: Arc<[u8]> = stream.draw().to_le_bytes().into();
                let row = Row::new(0, &id, [].into(), payload.clone());
                let old = rows.insert(id.clone(), Arc::new(row)).map(|row| row.payload.clone());
                assert_eq!(old, plain.insert(id, payload));
            }
            if turn % 100 == 0 {
                versions.push((rows.clone(), plain.clone()));
            }
        }
        for (rows, plain) in versions {
            assert_eq!((rows.len(), rows.is_empty()), (plain.len(), plain.is_empty()));
            let found = rows.iter().map(|(id, row)| (id.clone(), row.payload.clone()));
            assert!(found.eq(plain.clone()), "in order, none too many, none missing");
            assert!(plain.iter().all(|(id, payload)| {
                rows.get(id).is_some_and(|row| row.payload == *payload) && rows.contains_key(id)
            }));
            assert!(!rows.contains_key("nobody"));
        }
    }
}
