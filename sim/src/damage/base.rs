//! A store at rest before anything happens to it, and all that is known of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quiver_store::Options;

use super::layout::{Kind, Layout};
use super::twin::Twin;
use crate::disk::DiskState;
use crate::forward::{Forward, Point};
use crate::history::History;
use crate::model::State;
use crate::stream::Stream;
use crate::system::System;

/// Moments of a history of which the files are kept as older versions.
const OLDER_MOMENTS: usize = 6;

/// The states that were committed, by their last LSN.
pub(super) type States = BTreeMap<u64, Arc<State>>;

/// An undamaged store, closed.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) options: Options,
    pub(super) state: DiskState,
    pub(super) layout: Layout,
    /// What it held on the way to where it is.
    pub(super) states: States,
    /// Older versions of its files.
    pub(super) older: BTreeMap<PathBuf, Vec<Vec<u8>>>,
    /// The same history under another store id.
    pub(super) twin: Option<DiskState>,
    /// For each collection and row, the segment that shows it, where that was looked for.
    pub(super) homes: BTreeMap<(String, String), u64>,
}

impl Base {
    /// The end of a history; `None` where the run itself fails, which is the campaign's to tell.
    pub(super) fn at_the_end(
        system: &dyn System,
        history: &History,
        with_twin: bool,
    ) -> Option<Self> {
        let forward = Forward::of(system, history);
        let (state, window) = forward.last.as_ref().filter(|_| forward.findings.is_empty())?;
        let mut states = states_up_to(&forward, forward.points.len());
        states.insert(window.states[0].lsn, window.states[0].clone());
        let twin = with_twin.then(|| Forward::of(&Twin::of(system), history).last).flatten();
        let twin = twin.map(|(state, _)| state);
        Self::of(history, &forward, state.kill(), states, twin)
    }

    /// A point of a history, and a way to stop there.
    pub(super) fn at_a_crash(
        system: &dyn System,
        history: &History,
        stream: &mut Stream,
    ) -> Option<Self> {
        let forward = Forward::of(system, history);
        if !forward.findings.is_empty() || forward.points.is_empty() {
            return None;
        }
        let place = stream.index(forward.points.len());
        let (state, window, _) = forward.at(&forward.points[place]);
        let mut states = states_up_to(&forward, place);
        for found in &window.states {
            states.insert(found.lsn, found.clone());
        }
        let image = if stream.chance(1, 2) {
            state.kill()
        } else {
            let policy = *stream.pick(&crate::disk::Policy::ALL);
            state.plan_power_loss(policy, stream.chance(1, 4), stream).build()
        };
        Self::of(history, &forward, image, states, None)
    }

    fn of(
        history: &History,
        forward: &Forward,
        state: DiskState,
        states: States,
        twin: Option<DiskState>,
    ) -> Option<Self> {
        let layout = Layout::of(&state)?;
        let older = older(forward, &layout);
        let (options, homes) = (history.options.clone(), BTreeMap::new());
        Some(Self { options, state, layout, states, older, twin, homes })
    }

    /// The same store a while later, undamaged.
    pub(super) fn later(&self, state: DiskState, states: States) -> Option<Self> {
        let layout = Layout::of(&state)?;
        Some(Self { state, layout, states, homes: BTreeMap::new(), ..self.clone() })
    }

    /// Another file of the same kind.
    pub(super) fn another(
        &self,
        state: &DiskState,
        path: &Path,
        stream: &mut Stream,
    ) -> Option<PathBuf> {
        let kind = self.layout.kind(path);
        let paths: Vec<PathBuf> = state.list().into_iter().map(|(path, _)| path).collect();
        let others: Vec<&PathBuf> = paths
            .iter()
            .filter(|other| self.layout.kind(other) == kind && other.as_path() != path)
            .collect();
        (!others.is_empty()).then(|| (*stream.pick(&others)).clone())
    }

    /// The files that may be damaged: all but the lock, which holds nothing.
    pub(super) fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = self.state.list();
        files.retain(|(path, _)| !path.ends_with("LOCK"));
        files
    }

    /// Whether nothing is left that tells the store from an unfinished creation: no `CURRENT`, and no
    /// other file but manifests that were hit, or that name nothing. One copy cannot tell this.
    pub(super) fn looks_unfinished(&self, damaged: &DiskState) -> bool {
        let is_empty = self.layout.last == 0 && self.layout.logs.is_empty();
        damaged.read(super::layout::path("CURRENT")).is_none()
            && damaged.list().iter().all(|(path, _)| {
                let name = super::hit::name_of(path);
                let is_whole = self.layout.kind(path) == Kind::Manifest
                    && self.state.read(path) == damaged.read(path);
                let starts = ["LOCK", "CURRENT.", "manifest-"];
                starts.iter().any(|start| name.starts_with(start)) && (is_empty || !is_whole)
            })
    }

    /// Whether this `CURRENT` is an older one that would be obeyed: a store that was taken back as a
    /// whole, which one copy cannot tell.
    pub(super) fn is_taken_back(&self, damaged: &DiskState) -> bool {
        let current = super::layout::path("CURRENT");
        let (before, now) = (self.state.read(&current), damaged.read(&current));
        let older = self
            .older
            .get(&current)
            .is_some_and(|older| older.iter().any(|older| Some(older) == now.as_ref()));
        before != now && older && Layout::of(damaged).is_some()
    }

    /// Whether every file that counts became that of another store: a store that was replaced as a whole,
    /// which is a sound one.
    pub(super) fn is_replaced(&self, damaged: &DiskState) -> bool {
        let Some(twin) = &self.twin else { return false };
        let current = super::layout::path("CURRENT");
        let is_its = |path: &Path| damaged.read(path) == twin.read(path);
        // Only what is whole can be read as a layout.
        if !is_its(&current) || self.state.read(&current) == damaged.read(&current) {
            return false;
        }
        Layout::of(twin).is_some_and(|layout| layout.roles.keys().all(|path| is_its(path)))
    }
}

/// What was committed before a point, on the way that was not taken back.
fn states_up_to(forward: &Forward, place: usize) -> States {
    let mut states = States::new();
    states.insert(0, Arc::default());
    for point in &forward.points[..place] {
        let (_, window, _) = forward.at(point);
        let committed = window.states[0].lsn;
        states.retain(|lsn, _| *lsn <= committed);
        for state in &window.states {
            states.insert(state.lsn, state.clone());
        }
    }
    states
}

fn older(forward: &Forward, layout: &Layout) -> BTreeMap<PathBuf, Vec<Vec<u8>>> {
    let mut older: BTreeMap<PathBuf, Vec<Vec<u8>>> = BTreeMap::new();
    let ends: Vec<&DiskState> = forward
        .points
        .iter()
        .filter_map(|point| match point {
            Point::End { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    let step = ends.len().div_ceil(OLDER_MOMENTS).max(1);
    for state in ends.into_iter().step_by(step) {
        for (path, role) in &layout.roles {
            let keeps = matches!(role.kind, Kind::Log | Kind::Current);
            let Some(bytes) = state.read(path).filter(|_| keeps) else { continue };
            let versions = older.entry(path.clone()).or_default();
            if !versions.contains(&bytes) {
                versions.push(bytes);
            }
        }
    }
    older
}
