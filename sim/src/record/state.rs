//! A run under way, kept in a file so that it can be gone on with.
//!
//! - S1. What was asked for is compared before anything is taken over: a state of another run is an error,
//!   and so is one of another program, whose engine need not be this one.
//! - S2. A part that was ended by Ctrl-C is not kept, and begins anew; campaigns go on at their next seed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::fields::{Fields, Read};
use super::{Bounds, Shards, VERSION, parsed, part, parts};
use crate::campaign::{self, End};
use crate::damage;
use crate::report;
use crate::shrink;
use crate::swarm;
use crate::sweep;
use crate::tally::Tally;

/// The word for a state.
const STATE: &str = "quiver-sim state";

/// A campaign of a run: how far it is.
#[derive(Clone, Debug)]
pub struct Leg {
    /// What was added up.
    pub so_far: campaign::Report,
    /// Whether it came to its end.
    pub is_over: bool,
}

/// A run under way.
#[derive(Debug)]
pub struct State {
    program: String,
    engine_version: String,
    bounds: Bounds,
    shards: Shards,
    /// The sweep, if it is done.
    pub swept: Option<sweep::Report>,
    /// The damage, if it is done.
    pub hurt: Option<damage::Report>,
    /// The swarms, if they are done.
    pub swarmed: Option<swarm::Report>,
    /// The campaigns that have begun.
    pub legs: Vec<Leg>,
}

impl State {
    /// A run that has not begun.
    pub fn new(program: &str, engine_version: &str, bounds: Bounds, shards: Shards) -> Self {
        let (program, engine_version) = (program.to_owned(), engine_version.to_owned());
        let (swept, hurt, swarmed, legs) = (None, None, None, Vec::new());
        Self { program, engine_version, bounds, shards, swept, hurt, swarmed, legs }
    }

    /// Goes on with what a file has, if there is one.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is the state of another run (S1), and what to do.
    pub fn load(self, path: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self),
            text => text.map_err(|error| format!("cannot read the state: {error}"))?,
        };
        let advice = "begin anew with another file, or remove this one";
        let found = Self::read(&text).map_err(|why| format!("{why}; {advice}"))?;
        if found.engine_version != self.engine_version {
            let (found, own) = (&found.engine_version, &self.engine_version);
            return Err(format!("it is of engine version {found}, this is {own}; {advice}"));
        }
        if found.program != self.program {
            let (found, own) = (&found.program, &self.program);
            return Err(format!(
                "it was begun by program {found}, this is {own}, whose engine may be another one; go on \
                 with the program that began it, or remove the file"
            ));
        }
        let advice = "give the arguments that it was begun with, or another file";
        if let Some(differ) = self.bounds.differ(&found.bounds) {
            return Err(format!("it is of another run: {differ}; {advice}"));
        }
        if found.shards != self.shards {
            return Err(format!("it is of another shard; {advice}"));
        }
        Ok(found)
    }

    /// Replaces the file (X3).
    ///
    /// # Errors
    /// As the system says.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let beside = shrink::beside(path);
        let mut file = File::create(&beside)?;
        writeln!(file, "{}", self.json())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // A machine that loses power would have the old one otherwise, or none.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn json(&self) -> Value {
        let Self { program, engine_version, bounds, shards, swept, hurt, swarmed, legs } = self;
        let leg = |leg: &Leg| {
            let mut json = report::json(&leg.so_far, engine_version);
            json["is_over"] = json!(leg.is_over);
            json
        };
        let swept = swept.as_ref().filter(|part| !part.cancelled);
        let hurt = hurt.as_ref().filter(|part| !part.cancelled);
        let swarmed = swarmed.as_ref().filter(|part| !part.cancelled);
        json!({
            "format": STATE,
            "version": VERSION,
            "program": program,
            "engine_version": engine_version,
            "bounds": bounds.json(),
            "shards": shards.parts.iter().map(|part| part + 1).collect::<Vec<u64>>(),
            "shards_of": shards.of,
            "sweep": swept.map(report::sweep_json),
            "damage": hurt.map(report::damage_json),
            "swarm": swarmed.map(report::swarm_json),
            "legs": legs.iter().map(leg).collect::<Vec<Value>>(),
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let value = parsed(text, STATE)?;
        let fields = Fields::of(&value)?;
        let bounds = fields.within("bounds", Bounds::read)?;
        let legs = fields.objects_by_place("legs", |place, fields| {
            leg(fields, &bounds.zero(bounds.of_campaign(place)))
        })?;
        let state = Self {
            program: fields.text("program")?.to_owned(),
            engine_version: fields.text("engine_version")?.to_owned(),
            bounds,
            shards: Shards::read(&fields)?,
            swept: part(&fields, "sweep", parts::sweep)?,
            hurt: part(&fields, "damage", parts::damage)?,
            swarmed: part(&fields, "swarm", parts::swarm)?,
            legs,
        };
        fields.follow(&["format", "version"]);
        fields.end()?;
        Ok(state)
    }
}

fn leg(fields: &Fields<'_>, zero: &Tally) -> Read<Leg> {
    fields.follow(&["engine_version"]);
    Ok(Leg { so_far: super::campaign(fields, zero)?, is_over: fields.flag("is_over")? })
}

impl Leg {
    /// A campaign that has ended; one that was cancelled may go on.
    pub fn ended(so_far: campaign::Report) -> Self {
        let is_over = so_far.end != End::Cancelled;
        Self { so_far, is_over }
    }
}
