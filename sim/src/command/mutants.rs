//! `quiver-sim mutants`: is every sync needed, and would the checks see a wrong engine?

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json};

use super::hunt::{Bound, GROUNDS, Ground, Hunt, IMAGES_MAX, ground};
use super::patches::{self, Copy, Patch};
use super::place::Place;
use super::reports::Reports;
use super::{Refusal, cancelled_by_ctrl_c, jobs_or_cores, run::jobs};
use crate::campaign::Which;
use crate::engine::Engine;
use crate::planted::{Bug, Planted, SyncSites};
use crate::report::{self, number};
use crate::swarm;
use crate::system::System;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many images each wrong engine may take before it counts as not found.
    #[arg(long, default_value_t = IMAGES_MAX, value_parser = clap::value_parser!(u64).range(1..))]
    images: u64,
    /// How many seeds the engine itself has to pass, as the control, and five times as many of which one in
    /// five is encrypted; the syncs that it makes there are switched off in turn.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..))]
    control: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many threads; as many as there are cores by default.
    #[arg(long, value_parser = jobs)]
    jobs: Option<usize>,
    /// Tries the planted bugs and patches of these names only, and no elided sync.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Tries the patches of `sim/mutants/crashes` too, in a copy of the engine, which it builds with
    /// Cargo out of the sources that this program was built from.
    #[arg(long)]
    patches: bool,
    /// Looks first where this table, which an earlier `--json` wrote, says that each was found, and only then
    /// everywhere.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Looks on one ground for what is switched on in this copy, and says as JSON what was found.
    #[arg(long, hide = true, value_name = "GROUND", value_parser = ground)]
    switched: Option<Ground>,
    /// Looks at one place alone, whether it is clean.
    #[arg(long, hide = true, value_name = "PLACE", requires = "switched")]
    at: Option<Place>,
    /// Where to write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to write the table as one page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// How many images the copy with nothing switched on has to pass, and the wrapper that seals anew.
const CONTROL_IMAGES: u64 = 20_000;

/// What became of one wrong engine.
struct Verdict {
    name: String,
    /// What has to coincide before it does harm, or of a patch what it plants.
    conditions: Vec<String>,
    /// How many were looked at until it was found; none where it was known.
    images: Option<u64>,
    /// The invariant that was violated first, and where.
    first: Option<(String, Place)>,
}

/// Where wrong engines were found before, by name.
type Known = BTreeMap<String, (String, Place)>;

/// The places in a table.
fn known(path: &Path) -> Result<Known, Refusal> {
    let refused = |why: &dyn std::fmt::Display| {
        let path = path.display();
        Refusal(format!("{path}: {why}; give a table that `mutants --json` wrote"), 2)
    };
    let text = fs::read_to_string(path).map_err(|error| refused(&error))?;
    let table: Value = serde_json::from_str(&text).map_err(|error| refused(&error))?;
    let rows = ["sync_sites", "planted", "patches"].map(|part| table[part].as_array());
    let mut known = Known::new();
    for row in rows.into_iter().flatten().flatten().filter(|row| row["caught"] == true) {
        let text =
            |name: &str| row[name].as_str().ok_or_else(|| refused(&format!("a row has no {name}")));
        let place = text("address")?.parse().map_err(|why: String| refused(&why))?;
        known.insert(text("name")?.to_owned(), (text("invariant")?.to_owned(), place));
    }
    if known.is_empty() {
        return Err(refused(&"it has no row of a wrong engine that was caught"));
    }
    Ok(known)
}

/// Whether a name means a ground.
#[cfg(test)]
pub(super) fn is_ground(name: &str) -> bool {
    ground(name).is_ok()
}

/// The patches that are wanted; names that nothing has are refused.
fn wanted_patches(arguments: &Arguments) -> Result<Vec<Patch>, Refusal> {
    let only = &arguments.only;
    let mut patches = if arguments.patches || !only.is_empty() { patches::all()? } else { vec![] };
    let names = patches.iter().map(|patch| &*patch.name);
    let known: Vec<&str> = Bug::PLANTED.iter().map(Bug::name).chain(names).collect();
    if let Some(unknown) = only.iter().find(|name| !known.contains(&&***name)) {
        let known = known.join(", ");
        return Err(Refusal(format!("no bug is named {unknown}; there are {known}"), 2));
    }
    patches.retain(|patch| only.is_empty() || only.contains(&patch.name));
    Ok(patches)
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    if !swarm::is_built() {
        return Err(super::swarm::missing());
    }
    let cancel = cancelled_by_ctrl_c();
    let mut out = io::stdout().lock();
    if let Some(ground) = arguments.switched {
        return switched(arguments, ground, &mut out, &cancel);
    }
    let patches = wanted_patches(arguments)?;
    let known = arguments.known.as_deref().map_or(Ok(Known::new()), known)?;
    let reports = Reports::open(arguments.json.as_ref(), arguments.html.as_ref())?;
    let copy = (!patches.is_empty()).then(|| Copy::build(&patches::all()?)).transpose()?;
    let (plain, mut images) = sound(arguments, Which::Plain, &cancel)?;
    let (encrypted, more_images) = sound(arguments, Which::Encrypted, &cancel)?;
    images += more_images;
    let resealed = Arc::new(Planted::new(Bug::Resealed));
    let control = Bound::Images(CONTROL_IMAGES);
    let resealed = hunt_of(arguments, resealed, &cancel).campaign(Which::Plain, control);
    if let Some(violation) = resealed.tally.violations.first() {
        let address = violation.address;
        return Err(Refusal(format!("the wrapper is no control: it fails at {address}"), 1));
    }
    // Where a site is reached without keys too, that is where it is looked for.
    let mut sites = Sites::new();
    sites.extend(encrypted.iter().map(|(site, calls)| (site, (Which::Encrypted, *calls))));
    sites.extend(plain.iter().map(|(site, calls)| (site, (Which::Plain, *calls))));
    let images = number(images);
    writeln!(out, "control: no violation in {images} images, {} sync sites reached", sites.len())?;
    let mut found = Table::default();
    let wanted = Wanted { arguments, known, cancel: &cancel };
    // Controls that were cut prove nothing.
    let may_begin = !wanted.is_cancelled();
    found.cancelled =
        !may_begin || !found.fill(&wanted, sites, patches, copy.as_ref(), &mut out)?;
    drop(out);
    let print = |out: &mut StdoutLock<'_>| found.conclude(out);
    let page = || report::mutants_html(&found.json());
    reports.tell(found.missed() > 0, print, || found.json(), page)
}

/// Runs the engine itself, as the control; the sites of syncs that it reached, and the images.
fn sound(
    arguments: &Arguments,
    which: Which,
    cancel: &AtomicBool,
) -> Result<(SyncSites, u64), Refusal> {
    let control = Arc::new(Planted::new(Bug::None));
    // In seeds: all that was begun is counted, on any number of threads, so that the sites are the same.
    let times = if which == Which::Encrypted { 5 } else { 1 };
    let bound = Bound::Seeds(arguments.control.saturating_mul(times));
    let sound = hunt_of(arguments, control.clone(), cancel).campaign(which, bound);
    match sound.tally.violations.first() {
        None => Ok((control.sync_sites(), sound.tally.images_checked)),
        Some(violation) => {
            let address = violation.address;
            Err(Refusal(format!("the engine itself fails at {address}: see `run`"), 1))
        }
    }
}

/// What is looked for, and how.
struct Wanted<'a> {
    arguments: &'a Arguments,
    known: Known,
    cancel: &'a AtomicBool,
}

/// Where the engine syncs, which histories reach it there, and how often.
type Sites<'a> = BTreeMap<&'a String, (Which, u64)>;

/// What became of all wrong engines.
#[derive(Default)]
struct Table {
    elided: Vec<(Verdict, u64)>,
    planted: Vec<Verdict>,
    patched: Vec<(Verdict, Patch)>,
    /// Images of the copy with nothing switched on.
    control: u64,
    /// Whether some were not tried.
    cancelled: bool,
}

impl Table {
    /// Tries every wrong engine that is wanted; whether none was left out.
    fn fill(
        &mut self,
        wanted: &Wanted<'_>,
        sites: Sites<'_>,
        patches: Vec<Patch>,
        copy: Option<&Copy>,
        out: &mut impl Write,
    ) -> Result<bool, Refusal> {
        let only = &wanted.arguments.only;
        for (site, (which, calls)) in sites.into_iter().filter(|_| only.is_empty()) {
            let bug = Bug::ElidedSync(site.clone());
            let verdict = wanted.hunt(bug, Ground::Crashes(which))?;
            let Some(verdict) = verdict else { return Ok(false) };
            print(out, &verdict)?;
            self.elided.push((verdict, calls));
        }
        let is_wanted = |bug: &&Bug| only.is_empty() || only.iter().any(|name| name == bug.name());
        for bug in Bug::PLANTED.iter().filter(is_wanted) {
            let verdict = wanted.hunt(bug.clone(), Ground::of(bug))?;
            let Some(verdict) = verdict else { return Ok(false) };
            print(out, &verdict)?;
            self.planted.push(verdict);
        }
        let Some(copy) = copy else { return Ok(true) };
        self.control = sound_copy(wanted.arguments, copy)?;
        writeln!(out, "control: no violation of the copy in {} images", number(self.control))?;
        for patch in patches {
            let verdict = wanted.play(copy, &patch)?;
            let Some(verdict) = verdict else { return Ok(false) };
            print(out, &verdict)?;
            self.patched.push((verdict, patch));
        }
        Ok(true)
    }

    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        let elided = self.elided.iter().map(|(verdict, _)| verdict);
        elided.chain(&self.planted).chain(self.patched.iter().map(|(verdict, _)| verdict))
    }

    fn missed(&self) -> usize {
        self.verdicts().filter(|verdict| verdict.first.is_none()).count()
    }

    /// The verdict in the middle by images, and the one that took the most, of those that were caught.
    fn median_and_worst(&self) -> Option<[&Verdict; 2]> {
        let is_counted = |it: &&Verdict| it.first.is_some() && it.images.is_some();
        let mut caught: Vec<&Verdict> = self.verdicts().filter(is_counted).collect();
        caught.sort_by_key(|verdict| verdict.images);
        Some([*caught.get(caught.len() / 2)?, *caught.last()?])
    }

    fn json(&self) -> Value {
        let elided = self.elided.iter().map(|(verdict, calls)| {
            let mut row = row(verdict);
            row["calls"] = json!(calls);
            row
        });
        let patched = self.patched.iter().map(|(verdict, patch)| {
            let mut row = row(verdict);
            row["lesson"] = json!(patch.lesson);
            row["ground"] = json!(patch.plays);
            row
        });
        let figures = self.median_and_worst().map(|[median, worst]| {
            json!({ "median": median.images, "worst": worst.images, "worst_name": worst.name })
        });
        json!({
            "sync_sites": elided.collect::<Vec<_>>(),
            "planted": self.planted.iter().map(row).collect::<Vec<_>>(),
            "patches": patched.collect::<Vec<_>>(),
            "patches_control_images": self.control,
            "images_until_found": figures,
            "all_caught": self.missed() == 0 && !self.cancelled,
            "cancelled": self.cancelled,
        })
    }

    fn conclude(&self, out: &mut impl Write) -> Result<ExitCode, Refusal> {
        if let Some([median, worst]) = self.median_and_worst() {
            let [median, most] = [median, worst].map(|verdict| number(verdict.images.unwrap_or(0)));
            let name = &worst.name;
            writeln!(out, "images until found: median {median}, worst {most} ({name})")?;
        }
        let missed = self.missed();
        if missed > 0 {
            writeln!(out, "{missed} not caught: the checks are too weak, or a sync is not needed")?;
            return Ok(ExitCode::from(1));
        }
        if self.cancelled {
            writeln!(out, "cancelled: the rest was not tried")?;
            return Ok(ExitCode::from(130));
        }
        writeln!(out, "all {} caught", self.verdicts().count())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// In a copy with patches: looks on one ground for what is switched on, and says what was found.
fn switched(
    arguments: &Arguments,
    ground: Ground,
    out: &mut impl Write,
    cancel: &AtomicBool,
) -> Result<ExitCode, Refusal> {
    let nothing = Arc::new(Planted::new(Bug::None));
    if let Some(place) = &arguments.at {
        writeln!(out, "{}", json!({ "violated": place.violated_by(nothing, cancel) }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let verdict = Verdict::of(String::new(), Vec::new());
    let verdict = verdict.hunted(hunt_of(arguments, nothing, cancel), ground);
    writeln!(out, "{}", verdict.map_or(Value::Null, |verdict| row(&verdict)))?;
    Ok(ExitCode::SUCCESS)
}

/// Has a copy look on a ground, with a bug or none switched on; nothing if cancelled.
fn ask(
    arguments: &Arguments,
    copy: &Copy,
    (name, ground, images): (&str, &str, u64),
) -> Result<Option<Verdict>, Refusal> {
    let mut words: Vec<String> =
        ["mutants", "--switched", ground].iter().map(|&word| word.to_owned()).collect();
    let jobs = jobs_or_cores(arguments.jobs) as u64;
    let numbers = [("--images", images), ("--seed", arguments.seed), ("--jobs", jobs)];
    words
        .extend(numbers.iter().flat_map(|(word, number)| [(*word).to_owned(), number.to_string()]));
    let said = copy.play(name, &words)?;
    let Some(images) = said["images"].as_u64() else { return Ok(None) };
    let place = said["address"].as_str().and_then(|place| place.parse().ok());
    let first = said["invariant"].as_str().map(str::to_owned).zip(place);
    let images = Some(images);
    Ok(Some(Verdict { images, first, ..Verdict::of(name.to_owned(), Vec::new()) }))
}

/// What is wrong without the bug as well says nothing of it, and is found.
fn not_the_bugs(engine: &str, invariant: &str, place: &Place) -> Refusal {
    Refusal(format!("{engine} violates {invariant} at {place}"), 1)
}

/// Runs the copy with nothing switched on, as the control; the images.
fn sound_copy(arguments: &Arguments, copy: &Copy) -> Result<u64, Refusal> {
    let mut images = 0;
    for (ground, which) in GROUNDS {
        // Of the others the number is known, and every bug that is found takes a part of it.
        if !matches!(which, Ground::Crashes(_)) {
            continue;
        }
        let Some(verdict) = ask(arguments, copy, ("", ground, CONTROL_IMAGES))? else {
            continue;
        };
        images += verdict.images.unwrap_or(0);
        if let Some((invariant, place)) = &verdict.first {
            return Err(not_the_bugs("the copy with no bug", invariant, place));
        }
    }
    Ok(images)
}

impl Wanted<'_> {
    /// Looks for a wrong engine, and whether the engine itself is right where that one is not; `None` if
    /// cancelled.
    fn hunt(&self, bug: Bug, ground: Ground) -> Result<Option<Verdict>, Refusal> {
        let name = match &bug {
            Bug::ElidedSync(site) => format!("no sync at {site}"),
            other => other.name().to_owned(),
        };
        let conditions = bug.conditions().iter().map(|&condition| condition.to_owned()).collect();
        let (verdict, wrong) = (Verdict::of(name, conditions), Arc::new(Planted::new(bug)));
        let is_there = |(invariant, place): &&(String, Place)| {
            let violated = place.violated_by(wrong.clone(), self.cancel);
            violated.iter().any(|name| name == invariant)
        };
        let verdict = match self.known.get(&verdict.name).filter(is_there) {
            Some(known) => Some(Verdict { first: Some(known.clone()), ..verdict }),
            None => verdict.hunted(hunt_of(self.arguments, wrong.clone(), self.cancel), ground),
        };
        if let Some((invariant, place)) = verdict.as_ref().and_then(|it| it.first.as_ref())
            && !place.violated_by(Arc::new(Engine), self.cancel).is_empty()
        {
            return Err(not_the_bugs("the engine itself", invariant, place));
        }
        Ok(verdict.filter(|_| !self.is_cancelled()))
    }

    /// The same of a patch, in a copy.
    fn play(&self, copy: &Copy, patch: &Patch) -> Result<Option<Verdict>, Refusal> {
        let Patch { name, plants, plays, .. } = patch;
        let violated = |name: &str, place: &Place| -> Result<Vec<Value>, Refusal> {
            let words = ["mutants", "--switched", plays, "--at", &place.to_string()];
            let said = copy.play(name, &words.map(str::to_owned))?;
            Ok(said["violated"].as_array().cloned().unwrap_or_default())
        };
        let mut verdict = Verdict::of(name.clone(), vec![plants.clone()]);
        match self.known.get(name) {
            Some(known) if violated(name, &known.1)?.contains(&json!(known.0)) => {
                verdict.first = Some(known.clone());
            }
            _ => {
                let asked = ask(self.arguments, copy, (name, plays, self.arguments.images))?;
                let Some(Verdict { images, first, .. }) = asked else { return Ok(None) };
                verdict = Verdict { images, first, ..verdict };
            }
        }
        if let Some((invariant, place)) = &verdict.first
            && !violated("", place)?.is_empty()
        {
            return Err(not_the_bugs("the copy with no bug", invariant, place));
        }
        Ok(Some(verdict).filter(|_| !self.is_cancelled()))
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

impl Verdict {
    /// Before anything was looked at.
    fn of(name: String, conditions: Vec<String>) -> Self {
        Self { name, conditions, images: None, first: None }
    }

    /// Looks on a ground; `None` if cancelled.
    fn hunted(mut self, mut hunt: Hunt<'_>, ground: Ground) -> Option<Self> {
        let first = hunt.on(ground);
        self.images = Some(hunt.images);
        self.first = first.map(|(invariant, place)| (invariant.name().to_owned(), place));
        (!hunt.is_cancelled()).then_some(self)
    }
}

fn hunt_of<'a>(arguments: &Arguments, system: Arc<dyn System>, cancel: &'a AtomicBool) -> Hunt<'a> {
    let (seed, jobs) = (arguments.seed, jobs_or_cores(arguments.jobs));
    let images_max = arguments.images;
    Hunt { system, seed, jobs, images_max, images: 0, is_wanted: |_| true, cancel }
}

/// A line of the table: the number behind the name is that of the conditions.
fn print(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let Verdict { name, conditions, images, first } = verdict;
    let count = conditions.len();
    let images = images.map_or_else(
        || "    as was known".to_owned(),
        |images| format!("{:>9} images", number(images)),
    );
    match first {
        Some((invariant, place)) => {
            writeln!(out, "caught      {name:<40} {count} {invariant:<28} {images}, at {place}")
        }
        None => {
            writeln!(out, "NOT CAUGHT  {name:<40} {count} {:<28} {images}", "")?;
            conditions.iter().try_for_each(|condition| writeln!(out, "    where {condition}"))
        }
    }
}

fn row(verdict: &Verdict) -> Value {
    json!({
        "name": verdict.name,
        "conditions": verdict.conditions,
        "caught": verdict.first.is_some(),
        "images": verdict.images,
        "invariant": verdict.first.as_ref().map(|(invariant, _)| invariant),
        "address": verdict.first.as_ref().map(|(_, place)| place.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, is_caught: bool) -> Verdict {
        let first =
            is_caught.then(|| ("I1 durability".to_owned(), "7:1:2".parse().expect("a place")));
        Verdict { images: Some(10), first, ..Verdict::of(name.to_owned(), Vec::new()) }
    }

    fn concluded(table: &Table) -> (String, String) {
        let mut out = Vec::new();
        let code = table.conclude(&mut out).unwrap_or_else(|_| panic!("a buffer takes it all"));
        (format!("{code:?}"), String::from_utf8(out).expect("text"))
    }

    /// Otherwise the gate looks for it everywhere, each time.
    #[test]
    fn every_wrong_engine_is_in_the_table_of_the_gate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants/known.json");
        let known = known(&path).unwrap_or_else(|Refusal(why, _)| panic!("{why}"));
        let patches = patches::all().unwrap_or_else(|Refusal(why, _)| panic!("{why}"));
        let names = Bug::PLANTED.iter().map(Bug::name);
        for name in names.chain(patches.iter().map(|patch| &*patch.name)) {
            assert!(known.contains_key(name), "{name}: write {} anew", path.display());
        }
    }

    #[test]
    fn table_that_is_none_is_refused_with_what_to_give() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("known.json");
        let refused =
            || known(&path).err().map(|Refusal(why, code)| (why.replace('\n', " "), code));
        let advice = "give a table that `mutants --json` wrote";
        for text in ["{", "{}", r#"{"planted":[{"caught":true,"name":"a","invariant":"I1"}]}"#] {
            fs::write(&path, text).expect("a temporary file");
            let (why, code) = refused().expect(text);
            assert!(why.ends_with(advice) && code == 2, "{text}: {why}");
        }
    }

    /// What was found counts, what was not tried is no success, and a bug that was missed is worse.
    #[test]
    fn table_that_was_cancelled_says_so_in_every_form() {
        let is = |code: u8| format!("{:?}", ExitCode::from(code));
        let planted = vec![verdict("one", true)];
        let mut table = Table { planted, cancelled: true, ..Table::default() };
        let (code, text) = concluded(&table);
        assert!(code == is(130) && text.contains("the rest was not tried"), "{code}: {text}");
        assert!(text.contains("median 10, worst 10 (one)") && !text.contains("all "), "{text}");
        let said = table.json();
        assert_eq!((&said["cancelled"], &said["all_caught"]), (&json!(true), &json!(false)));
        let page = report::mutants_html(&said);
        assert!(page.contains("1 wrong engines were found, the rest was not tried"));
        table.planted.push(verdict("two", false));
        let (code, text) = concluded(&table);
        assert!(code == is(1) && text.contains("1 not caught"), "{code}: {text}");
        table = Table { planted: vec![verdict("one", true)], ..Table::default() };
        assert_eq!(concluded(&table).0, is(0));
    }
}
