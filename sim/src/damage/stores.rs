//! The small stores that are damaged at every sector.

use std::sync::Arc;

use quiver_store::Options;

use super::base::Base;
use super::exam::{Way, ids_of};
use super::layout::Kind;
use super::wound::{Form, SECTOR, Wound};
use super::{Tried, layout};
use crate::disk::SimDisk;
use crate::forward::env_on;
use crate::history::History;
use crate::model::KnownId;
use crate::stream::Stream;
use crate::sweep;
use crate::system::{Call, Request, RowChange, System};

/// Names, and the steps that make them, as the sweep tells its own.
const TOLD: [(&str, &str); 8] = [
    ("unclosed", "+a; a.x=9; a.y=600; a.x-; a.z=9"),
    ("closed", "+a; a.x=9; a.y=600; a.x-; close"),
    ("proved", "+a; a.x=9; a.y=600; a.z=9; maintain"),
    ("many-logs", "+a; kill; a.x=9; kill; a.y=9; kill; a.z=9; a.w=9"),
    (
        "groups",
        "+a; +b; group(1) a.x=50 b.x=50 a.y=50; write a.z=9 & b.z=9; group(1) a.z=50 b.y=50",
    ),
    (
        "segments",
        "+a; +b; a.x=500; b.x=500; a.u=9; checkpoint; a.y=9; a.x-; b.y=9; checkpoint; a.z=9; b.x-; \
         a.y=50; a.u=7",
    ),
    (
        "tombstones",
        "+a; +b; a.x=9; a.y=9; b.x=9; checkpoint; a.x-; a.z=9; b.y=9; checkpoint; a.y-; a.w=9; \
         checkpoint; b.z=9; close",
    ),
    (
        "indexes",
        "+a; +b; a.x=9; b.x=9; checkpoint; capture a; capture b; keep-indexes; a.y=9; a.x-; b.y=9; \
         checkpoint; a.z=9; close",
    ),
];

/// How a store is made of another.
type Make = fn(&dyn System, &Base) -> Option<Base>;

/// Those with parked records: of which store each is made, and how.
const MADE: [(&str, &str, Make); 3] = [
    ("parked", "segments", |system, base| parked(system, base, Kind::Segment)),
    ("parked-behind", "parked", written),
    ("parked-twice", "parked-behind", |system, base| parked(system, base, Kind::Parked)),
];

/// A small store by its name.
#[derive(Debug)]
pub(super) struct Small {
    pub(super) name: &'static str,
    pub(super) base: Base,
    /// Every form of damage at every sector or to the whole file.
    pub(super) places: Vec<(Form, std::path::PathBuf, usize)>,
}

/// The names of all.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TOLD.into_iter().map(|(name, _)| name).chain(MADE.map(|(name, ..)| name))
}

/// The one of a name.
pub(super) fn one(system: &dyn System, name: &str) -> Option<Small> {
    if let Some((name, of, make)) = MADE.iter().find(|(known, ..)| *known == name) {
        let base = make(system, &one(system, of)?.base)?;
        return Some(Small { name, places: places(&base), base });
    }
    let (place, (name, steps)) = TOLD.iter().enumerate().find(|(_, (known, _))| *known == name)?;
    let history = History { options: options(), ..sweep::told(9500 + place as u64, steps) };
    let base = Base::at_the_end(system, &history, true)?;
    Some(Small { name, places: places(&base), base })
}

fn options() -> Options {
    Options {
        log_step_bytes_min: 2048,
        log_step_bytes_max: 2048,
        log_window_bytes: 512,
        page_cache_bytes: 0,
        read_ahead_bytes: 16_384,
        merge_factor: 4,
        reserve_bytes: 0,
        ..Options::default()
    }
}

/// The same store once records of a collection were parked that missed a file of this kind, and the
/// file is back.
fn parked(system: &dyn System, base: &Base, kind: Kind) -> Option<Base> {
    let missed = base.layout.roles.iter().find(|(_, role)| role.kind == kind)?;
    let place = (Form::Missing, missed.0.as_path(), 0);
    let wound = Wound::at(base, &base.state, place, &mut Stream::new(0))?;
    let disk = SimDisk::mount(&wound.apply(&base.state));
    let session = system.open(env_on(&disk, 1), &base.options).ok()?;
    session.checkpoint().ok()?;
    session.close().ok()?;
    drop(session);
    base.later(wound.undo(&disk.state().kill()), base.states.clone())
}

/// The same store once rows were written that no checkpoint has sealed: of each collection one that is
/// new, one that was there, and a deletion.
fn written(system: &dyn System, base: &Base) -> Option<Base> {
    let disk = SimDisk::mount(&base.state);
    let session = system.open(env_on(&disk, 1), &base.options).ok()?;
    let mut states = base.states.clone();
    let state = states.get(&base.layout.last)?;
    let mut state = state.with_ids(&ids_of(&*session, state).ok()?);
    let names: Vec<_> = state.collections.keys().cloned().collect();
    for name in names {
        let collection = session.id_of(&name).ok()??;
        let found = &state.collections[&name];
        let vector: Arc<[f32]> = vec![1.0; found.descriptor.dim as usize].into();
        let row = |payload: &[u8]| Some((vector.clone(), Arc::from(payload)));
        let mut changes = vec![("new".into(), row(b"{}"))];
        let known: Vec<Arc<str>> = found.rows.iter().take(2).map(|(id, _)| id.clone()).collect();
        let values = [row(b"[]"), None];
        changes.extend(known.into_iter().zip(values));
        for (id, row) in changes {
            let request = Request::Write(vec![RowChange { collection, id, row }]);
            session.perform(&request, Call::Single).ok()?;
            state.apply(&request, KnownId::Is(collection.value()));
            states.insert(state.lsn, Arc::new(state.clone()));
        }
    }
    session.close().ok()?;
    drop(session);
    base.later(disk.state().kill(), states)
}

fn places(base: &Base) -> Vec<(Form, std::path::PathBuf, usize)> {
    let mut places = Vec::new();
    for (path, len) in base.files() {
        let sectors = usize::try_from(len).expect("a small file").div_ceil(SECTOR);
        places.extend(Form::OF_FILES.map(|form| (form, path.clone(), 0)));
        for sector in 0..sectors {
            places.extend(Form::OF_SECTORS.map(|form| (form, path.clone(), sector)));
        }
        // A log that ends early is what a crash leaves; each length is a case of its own.
        let cuts = 1..if base.layout.kind(&path) == Kind::Log { sectors } else { 1 };
        places.extend(cuts.map(|sector| (Form::Cut, path.clone(), sector)));
    }
    places
}

/// Which segment shows each row: the one without which it is not shown. There is one at most.
pub(super) fn find_homes(
    tried: &mut Tried<'_>,
    base: &mut Base,
) -> Result<(), crate::checker::Finding> {
    let segments: Vec<(std::path::PathBuf, layout::Role)> = base
        .layout
        .roles
        .iter()
        .filter(|(_, role)| role.kind == Kind::Segment)
        .map(|(path, role)| (path.clone(), *role))
        .collect();
    let Some(state) = base.states.get(&base.layout.last).cloned() else { return Ok(()) };
    for (path, role) in segments {
        let place = (Form::Missing, path.as_path(), 0);
        let Some(wound) = Wound::at(base, &base.state, place, &mut tried.stream) else { continue };
        let wounds = [wound];
        let damaged = wounds[0].apply(&base.state);
        let frozen = base.clone();
        let mut exam = tried.exam(&frozen, damaged.clone(), &wounds);
        let disk = SimDisk::mount(&damaged);
        let (session, _) = exam.opened(&disk, Way::Write)?;
        for (name, collection) in &state.collections {
            let failed = |error| super::hit::wrong("an id", format!("{error:?}"));
            let Some(id) = session.id_of(name).map_err(failed)? else { continue };
            if Some(id.value()) != role.owner {
                continue;
            }
            for (row, _) in collection.rows.iter() {
                if session.get(id, row, &mut |_, _| {}).is_ok_and(|is_there| is_there) {
                    continue;
                }
                let place = (name.to_string(), row.to_string());
                if let Some(other) = base.homes.insert(place.clone(), role.segment) {
                    let expected =
                        format!("{place:?} without one of segments {other} and {}", role.segment);
                    return Err(super::hit::wrong(expected, "it is shown without neither"));
                }
                tried.counts.more("told from its segments");
            }
        }
    }
    Ok(())
}
