//! What a store must hold: the plainest store there is, in memory, without files.
//!
//! **Place.** Shares no code with the engine, only words for arguments. The forward run tells it
//! every request and what was answered; it says whether the answer is right, and which states a
//! crash at any moment may leave.
//!
//! - M1. A state is known by its last LSN and its digest. States are kept whole, for the diff that
//!   a violation prints; what did not change is shared between them. So a snapshot of the model is
//!   the state that was committed when it was taken.
//! - M2. Requests commit in the order of submission. A refused one leaves no trace.
//! - M3. *Limbo* is what an `Unknown` answer leaves: the committed state, plus some first part of
//!   that group's requests. The next answer that is decided on what is there voids it, also one that
//!   changes nothing, and so does a reopen, after which the state that was seen is the only one.
//! - M4. The id of a collection is known once a creation was acknowledged or the collection was
//!   seen. Until then it is only known to be above every id known before. One that a creation of unknown
//!   outcome took is not given again by that process.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use quiver_store::{CollectionId, Descriptor, ErrorKind, Lsn};

use crate::backup::Backup;
use crate::digest;
use crate::rows::Rows;
use crate::system::{Outcome, Request, RowChange};
use crate::vault::Custody;

/// What is known of a collection's id (M4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownId {
    /// It is this.
    Is(u64),
    /// It is above this.
    Above(u64),
}

impl KnownId {
    /// Whether an id that was found may be the one.
    pub fn admits(self, found: u64) -> bool {
        match self {
            Self::Is(id) => found == id,
            Self::Above(floor) => found > floor,
        }
    }
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Its vector.
    pub vector: Arc<[f32]>,
    /// Its payload.
    pub payload: Arc<[u8]>,
    term: u128,
}

impl Row {
    /// A row of the collection whose name has this key.
    pub fn new(name_key: u64, id: &str, vector: Arc<[f32]>, payload: Arc<[u8]>) -> Self {
        let term = digest::of_row(name_key, id, &vector, &payload);
        Self { vector, payload, term }
    }

    /// Its bytes, those of its id included.
    pub fn bytes(&self, id: &str) -> u64 {
        (id.len() + size_of_val(&*self.vector) + self.payload.len()) as u64
    }
}

/// One collection.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Its id.
    pub id: KnownId,
    /// Its schema.
    pub descriptor: Descriptor,
    /// Its rows, by external id.
    pub rows: Rows,
    key: u64,
}

/// Everything that a store holds at one LSN.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The last operation's LSN.
    pub lsn: u64,
    /// The sum of the digests of all collections and rows.
    pub digest: u128,
    /// Bytes of all ids, vectors and payloads.
    pub bytes: u64,
    /// The collections, by name.
    pub collections: BTreeMap<Arc<str>, Arc<Collection>>,
}

/// Which states a crash at one moment may leave.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The LSN of the last acknowledged operation.
    pub acked_lsn: u64,
    /// The highest collection id that anyone knows of.
    pub id_floor: u64,
    /// The states; the committed one is first.
    pub states: Vec<Arc<State>>,
    /// Whether any request on the way here held more than one operation.
    pub batches: bool,
    /// A version of the manifest that is durable; zero where nobody looked.
    pub manifest: u64,
    /// The backup that there is or that is being made, if there is one.
    pub backup: Option<Arc<Backup>>,
    /// What is owed of the keys.
    pub custody: Custody,
}

impl Window {
    /// What is left of it once a reader saw this LSN. A reader that saw what no state has is told
    /// of by the last one.
    pub fn seen_up_to(&self, lsn: u64) -> Self {
        let mut states = self.states.clone();
        let highest = states.iter().map(|state| state.lsn).max().unwrap_or(0);
        states.retain(|state| state.lsn >= lsn.min(highest));
        Self { acked_lsn: self.acked_lsn.max(lsn), states, ..self.clone() }
    }
}

/// What the model says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It commits.
    Written {
        /// Deletes that find a live row.
        hits: u64,
    },
    /// It commits.
    Created,
    /// It commits.
    Altered,
    /// There is nothing to do.
    Unchanged,
    /// It commits, or finds nothing to drop.
    Dropped {
        /// Whether there is such a collection.
        existed: bool,
    },
    /// It is refused.
    Refused(ErrorKind),
}

impl State {
    /// The collection of an id.
    pub fn collection(&self, id: CollectionId) -> Option<(&Arc<str>, &Arc<Collection>)> {
        let exact = |known: KnownId| known == KnownId::Is(id.value());
        self.collections.iter().find(|(_, collection)| exact(collection.id))
    }

    /// The number of rows in all collections.
    pub fn rows(&self) -> u64 {
        self.collections.values().map(|collection| collection.rows.len() as u64).sum()
    }

    /// What a request on this state comes to.
    pub fn verdict(&self, request: &Request) -> Verdict {
        match request {
            Request::Create { name, .. } if self.collections.contains_key(name) => {
                Verdict::Refused(ErrorKind::AlreadyExists)
            }
            Request::Create { .. } => Verdict::Created,
            Request::Drop { name } | Request::Shred { name } => {
                Verdict::Dropped { existed: self.collections.contains_key(name) }
            }
            Request::Write(changes) => {
                if changes.iter().any(|change| self.target(change.collection).is_none()) {
                    return Verdict::Refused(ErrorKind::NotFound);
                }
                Verdict::Written { hits: self.hits(changes) }
            }
            Request::Put(change) => match self.has_row(change.collection, &change.id) {
                None => Verdict::Refused(ErrorKind::NotFound),
                Some(true) => Verdict::Unchanged,
                Some(false) => Verdict::Written { hits: 0 },
            },
            Request::Update { collection, id, .. } => match self.has_row(*collection, id) {
                None => Verdict::Refused(ErrorKind::NotFound),
                Some(true) => Verdict::Written { hits: 0 },
                Some(false) => Verdict::Unchanged,
            },
            Request::Rename { name, new_name } => {
                match (self.collections.contains_key(name), self.collections.contains_key(new_name))
                {
                    (false, _) => Verdict::Refused(ErrorKind::NotFound),
                    (true, true) => Verdict::Refused(ErrorKind::AlreadyExists),
                    (true, false) => Verdict::Altered,
                }
            }
            Request::AddField { name, field } => match self.collections.get(name) {
                None => Verdict::Refused(ErrorKind::NotFound),
                Some(collection) => {
                    let own = &collection.descriptor.filterable;
                    match own.iter().any(|own| own.path == field.path) {
                        true => Verdict::Refused(ErrorKind::AlreadyExists),
                        false => Verdict::Altered,
                    }
                }
            },
        }
    }

    /// Whether a collection has a row; nothing where there is no such collection.
    fn has_row(&self, collection: CollectionId, id: &str) -> Option<bool> {
        let name = self.target(collection)?;
        self.collections.get(&name).map(|collection| collection.rows.contains_key(id))
    }

    /// Applies a request that the verdict does not refuse; `id` is a creation's.
    pub fn apply(&mut self, request: &Request, id: KnownId) {
        match request {
            Request::Create { name, descriptor } => {
                let key = digest::name_key(name);
                let collection =
                    Collection { id, descriptor: descriptor.clone(), rows: Rows::default(), key };
                self.digest = self.digest.wrapping_add(digest::of_collection(key, descriptor));
                self.collections.insert(name.clone(), Arc::new(collection));
                self.lsn += 1;
            }
            Request::Drop { name } | Request::Shred { name } => {
                let Some(gone) = self.collections.remove(name) else { return };
                self.digest =
                    self.digest.wrapping_sub(digest::of_collection(gone.key, &gone.descriptor));
                for (id, row) in gone.rows.iter() {
                    self.digest = self.digest.wrapping_sub(row.term);
                    self.bytes -= row.bytes(id);
                }
                self.lsn += 1;
            }
            Request::Write(changes) => {
                for change in changes {
                    self.change(change);
                }
                self.lsn += changes.len() as u64;
            }
            Request::Put(change) => {
                self.change(change);
                self.lsn += 1;
            }
            Request::Update { collection, id, payload } => {
                let name = self.target(*collection).expect("the verdict found the collection");
                let row = self.collections[&name].rows.get(id).expect("and the row");
                let row = Some((row.vector.clone(), payload.clone()));
                self.change(&RowChange { collection: *collection, id: id.clone(), row });
                self.lsn += 1;
            }
            Request::Rename { name, new_name } => {
                let collection = self.taken(name);
                let key = digest::name_key(new_name);
                let mut renamed = Collection { key, rows: Rows::default(), ..collection.clone() };
                for (id, row) in collection.rows.iter() {
                    let row = Row::new(key, id, row.vector.clone(), row.payload.clone());
                    renamed.rows.insert(id.clone(), Arc::new(row));
                }
                self.put(new_name.clone(), renamed);
                self.lsn += 1;
            }
            Request::AddField { name, field } => {
                let mut collection = self.taken(name);
                let mut fields = std::mem::take(&mut collection.descriptor.filterable);
                fields.push(field.clone());
                collection.descriptor = collection.descriptor.with_filterable(fields);
                self.put(name.clone(), collection);
                self.lsn += 1;
            }
        }
    }

    /// Takes a collection out, with all that it adds to the sums.
    fn taken(&mut self, name: &str) -> Collection {
        let gone = self.collections.remove(name).expect("the verdict found it");
        self.digest = self.digest.wrapping_sub(digest::of_collection(gone.key, &gone.descriptor));
        for (id, row) in gone.rows.iter() {
            self.digest = self.digest.wrapping_sub(row.term);
            self.bytes -= row.bytes(id);
        }
        Collection::clone(&gone)
    }

    /// Puts a collection in, with all that it adds to the sums.
    fn put(&mut self, name: Arc<str>, collection: Collection) {
        let term = digest::of_collection(collection.key, &collection.descriptor);
        self.digest = self.digest.wrapping_add(term);
        for (id, row) in collection.rows.iter() {
            self.digest = self.digest.wrapping_add(row.term);
            self.bytes += row.bytes(id);
        }
        self.collections.insert(name, Arc::new(collection));
    }

    /// The same state with the ids that were seen.
    pub fn with_ids(&self, ids: &BTreeMap<u64, u64>) -> Self {
        let mut state = self.clone();
        for collection in state.collections.values_mut() {
            if let Some(id) = ids.get(&collection.key) {
                Arc::make_mut(collection).id = KnownId::Is(*id);
            }
        }
        state
    }

    fn target(&self, id: CollectionId) -> Option<Arc<str>> {
        if let Some((name, _)) = self.collection(id) {
            return Some(name.clone());
        }
        // M4: a creation in the same group, whose answer is not known.
        let admits = |known| matches!(known, KnownId::Above(floor) if id.value() > floor);
        let mut open = self.collections.iter().filter(|(_, collection)| admits(collection.id));
        open.next().map(|(name, _)| name.clone())
    }

    fn hits(&self, changes: &[RowChange]) -> u64 {
        let mut lives: BTreeMap<(CollectionId, &str), bool> = BTreeMap::new();
        let mut hits = 0;
        for change in changes {
            let key = (change.collection, &*change.id);
            let live = lives.get(&key).copied().unwrap_or_else(|| {
                let name = self.target(change.collection);
                let collection = name.and_then(|name| self.collections.get(&name));
                collection.is_some_and(|collection| collection.rows.contains_key(&change.id))
            });
            hits += u64::from(live && change.row.is_none());
            lives.insert(key, change.row.is_some());
        }
        hits
    }

    fn change(&mut self, change: &RowChange) {
        let name = self.target(change.collection).expect("the verdict found the collection");
        let collection = self.collections.get_mut(&name).expect("found by its name");
        let collection = Arc::make_mut(collection);
        let old = match &change.row {
            None => collection.rows.remove(&change.id),
            Some((vector, payload)) => {
                let row = Row::new(collection.key, &change.id, vector.clone(), payload.clone());
                self.digest = self.digest.wrapping_add(row.term);
                self.bytes += row.bytes(&change.id);
                collection.rows.insert(change.id.clone(), Arc::new(row))
            }
        };
        if let Some(old) = old {
            self.digest = self.digest.wrapping_sub(old.term);
            self.bytes -= old.bytes(&change.id);
        }
    }
}

impl Collection {
    /// What stands for the collection's name in digests.
    pub fn key(&self) -> u64 {
        self.key
    }
}

/// The model of one store through one history.
#[derive(Clone, Debug, Default)]
pub struct Model {
    committed: Arc<State>,
    limbo: Vec<Arc<State>>,
    id_floor: u64,
    /// Ids above that, which creations of unknown outcome took in this process.
    ids_in_limbo: u64,
    batches: bool,
}

/// A request that a call answered.
#[derive(Debug)]
pub struct Answered {
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub answer: Result<Outcome, ErrorKind>,
}

impl Model {
    /// The state that readers must see.
    pub fn committed(&self) -> &Arc<State> {
        &self.committed
    }

    /// The highest collection id that anyone knows of.
    pub fn id_floor(&self) -> u64 {
        self.id_floor
    }

    /// Whether an `Unknown` answer is unsettled.
    pub fn in_limbo(&self) -> bool {
        !self.limbo.is_empty()
    }

    /// What a crash now may leave.
    pub fn window(&self) -> Window {
        let mut states = vec![self.committed.clone()];
        states.extend(self.limbo.iter().cloned());
        Window {
            acked_lsn: self.committed.lsn,
            id_floor: self.id_floor,
            states,
            batches: self.batches,
            manifest: 0,
            backup: None,
            custody: Custody::default(),
        }
    }

    /// Takes in what a call answered, in the order of submission. Returns what a crash *during*
    /// the call may leave, and a complaint for each answer that is wrong.
    pub fn settle(&mut self, answered: &[Answered]) -> (Window, Vec<String>) {
        let mut window = self.window();
        window.batches |= answered
            .iter()
            .any(|member| matches!(&member.request, Request::Write(changes) if changes.len() > 1));
        if answered.iter().any(is_decided) {
            // No answer may rest on what a reopen could turn over: what was in limbo before is void.
            self.limbo.clear();
        }
        let mut complaints = Vec::new();
        // What was tried, whatever came of it; apart from `committed` only after a failure.
        let mut tried = self.committed.clone();
        let mut unknown = self.committed.clone();
        let mut failed = false;
        for (place, Answered { request, answer }) in answered.iter().enumerate() {
            let open_id = KnownId::Above(self.id_floor);
            match answer {
                Ok(outcome) => {
                    let before = self.committed.lsn;
                    if let Err(complaint) = self.acknowledge(request, *outcome) {
                        complaints
                            .push(format!("request {place} of {}: {complaint}", answered.len()));
                        continue;
                    }
                    if self.committed.lsn > before {
                        self.limbo.clear();
                        unknown = self.committed.clone();
                    }
                    if failed {
                        window.states.extend(advanced(&mut tried, request, open_id));
                    } else {
                        tried = self.committed.clone();
                    }
                    window.states.push(self.committed.clone());
                }
                Err(kind) if is_refusal(*kind) => {
                    let expected = Verdict::Refused(*kind);
                    // No refusal may rest on a member that failed either.
                    if self.committed.verdict(request) != expected {
                        let verdict = self.committed.verdict(request);
                        complaints.push(format!(
                            "request {place} of {}: answered {kind:?}, expected {verdict:?}",
                            answered.len()
                        ));
                    }
                }
                Err(kind) => {
                    failed = true;
                    window.states.extend(advanced(&mut tried, request, open_id));
                    if *kind == ErrorKind::Unknown {
                        let is_creation = unknown.verdict(request) == Verdict::Created;
                        self.ids_in_limbo += u64::from(is_creation);
                        self.limbo.extend(advanced(&mut unknown, request, open_id));
                    }
                }
            }
        }
        (window, complaints)
    }

    /// Makes a state that was seen after a reopen the only one (M3).
    pub fn adopt(&mut self, seen: &State, ids: &BTreeMap<u64, u64>) {
        self.committed = Arc::new(seen.with_ids(ids));
        self.limbo.clear();
        // What did not come back was never there: its id may be given.
        self.ids_in_limbo = 0;
        self.id_floor = ids.values().copied().fold(self.id_floor, u64::max);
    }

    /// Goes back to a moment: what was answered after it never was.
    pub fn rewind(&mut self, window: &Window) {
        let (committed, limbo) = window.states.split_first().expect("a window is never empty");
        self.committed = committed.clone();
        self.limbo = limbo.to_vec();
        (self.id_floor, self.ids_in_limbo) = (window.id_floor, 0);
    }

    fn acknowledge(&mut self, request: &Request, outcome: Outcome) -> Result<(), String> {
        let verdict = self.committed.verdict(request);
        let mut next = State::clone(&self.committed);
        let mut id = KnownId::Above(self.id_floor);
        let right = match (verdict, outcome) {
            (Verdict::Written { hits }, Outcome::Written { hits: told, .. }) => {
                told.is_none_or(|told| told == hits)
            }
            (Verdict::Created, Outcome::Created { id: given, .. }) => {
                let taken = self.id_floor + self.ids_in_limbo;
                if given.value() <= taken {
                    return Err(format!(
                        "collection id {given} was given, expected one above {taken}"
                    ));
                }
                id = KnownId::Is(given.value());
                (self.id_floor, self.ids_in_limbo) = (given.value(), 0);
                true
            }
            (Verdict::Altered, Outcome::Altered { .. }) => true,
            (Verdict::Unchanged, Outcome::Unchanged) => return Ok(()),
            (Verdict::Dropped { existed }, Outcome::Dropped { existed: told, lsn }) => {
                told == existed && (existed || lsn.is_none())
            }
            _ => false,
        };
        if !right {
            return Err(format!("answered {outcome:?}, expected {verdict:?}"));
        }
        next.apply(request, id);
        let told = match outcome {
            Outcome::Written { last_lsn, .. } => last_lsn,
            Outcome::Created { lsn, .. }
            | Outcome::Dropped { lsn, .. }
            | Outcome::Altered { lsn } => lsn,
            Outcome::Unchanged => None,
        };
        if let Some(Lsn(told)) = told
            && told != next.lsn
        {
            return Err(format!("answered LSN {told}, expected {}", next.lsn));
        }
        self.batches |= matches!(request, Request::Write(changes) if changes.len() > 1);
        self.committed = Arc::new(next);
        Ok(())
    }
}

/// Whether an error says that the request itself was wrong.
pub fn is_refusal(kind: ErrorKind) -> bool {
    use ErrorKind::{AlreadyExists, InvalidArgument, NotFound, TooLarge};
    matches!(kind, AlreadyExists | InvalidArgument | NotFound | TooLarge)
}

/// Whether the answer was decided on what is there, changed or not. Other refusals need not look.
fn is_decided(answered: &Answered) -> bool {
    matches!(answered.answer, Ok(_) | Err(ErrorKind::AlreadyExists))
}

/// Applies a request where it is not refused, and returns the state it leads to.
fn advanced(tip: &mut Arc<State>, request: &Request, id: KnownId) -> Option<Arc<State>> {
    match tip.verdict(request) {
        Verdict::Refused(_) | Verdict::Unchanged | Verdict::Dropped { existed: false } => None,
        Verdict::Written { .. } | Verdict::Created | Verdict::Altered | Verdict::Dropped { .. } => {
            let mut next = State::clone(tip);
            next.apply(request, id);
            *tip = Arc::new(next);
            Some(tip.clone())
        }
    }
}
