//! `quiver-sim mutants`: is every sync needed, and would the checks see a wrong engine?

use std::collections::BTreeMap;
use std::io::{self, StdoutLock, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json};

use super::patches::{self, Copy, Patch};
use super::reports::Reports;
use super::sweep::default_bounds;
use super::{Refusal, cancelled_by_ctrl_c, jobs_or_cores, run::jobs};
use crate::campaign::{Campaign, PATIENCE, Report, Which};
use crate::damage;
use crate::disk::Filesystem;
use crate::planted::{Bug, Planted, SyncSites};
use crate::report::{self, number};
use crate::swarm;
use crate::sweep;
use crate::system::System;

/// How many times as long an image of an encrypted store takes.
const ENCRYPTED_TAKES: u64 = 5;

/// How many images a campaign checks before the sweep has its turn, which takes a known number.
const IMAGES_BEFORE_SWEEP: u64 = 60_000;

/// Seeds whose stores are damaged for each bug that only damage shows.
const DAMAGED_SEEDS: u64 = 100;

/// Seeds whose tasks meet for each bug that only they show.
const SWARM_SEEDS: u64 = 200;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many images each wrong engine may take before it counts as not found.
    #[arg(long, default_value_t = 1_500_000, value_parser = clap::value_parser!(u64).range(1..))]
    images: u64,
    /// How many images the engine itself has to pass, as the control.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
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
    /// Looks on one ground for what is switched on in this copy, and says as JSON what was found.
    #[arg(long, hide = true, value_name = "GROUND", value_parser = ground)]
    switched: Option<Ground>,
    /// Where to write the table as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to write the table as one page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What became of one wrong engine.
struct Verdict {
    name: String,
    /// What has to coincide before it does harm, or of a patch what it plants.
    conditions: Vec<String>,
    images: u64,
    /// The invariant that was violated first, and where.
    first: Option<(String, String)>,
}

/// Where a wrong engine is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// In a campaign and the sweep.
    Crashes(Which),
    /// In stores that are damaged.
    Damage,
    /// In swarms.
    Tasks,
}

const GROUNDS: [(&str, Ground); 4] = [
    ("plain", Ground::Crashes(Which::Plain)),
    ("encrypted", Ground::Crashes(Which::Encrypted)),
    ("damage", Ground::Damage),
    ("tasks", Ground::Tasks),
];

fn ground(name: &str) -> Result<Ground, String> {
    let found = GROUNDS.iter().find(|(known, _)| *known == name);
    found.map(|(_, ground)| *ground).ok_or_else(|| format!("there is no ground {name}"))
}

/// Whether a name means a ground.
#[cfg(test)]
pub(super) fn is_ground(name: &str) -> bool {
    ground(name).is_ok()
}

impl Ground {
    fn of(bug: &Bug, which: Which) -> Self {
        match (bug.is_of_tasks(), bug.is_of_damage()) {
            (true, _) => Self::Tasks,
            (_, true) => Self::Damage,
            _ => Self::Crashes(which),
        }
    }
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
    let reports = Reports::open(arguments.json.as_ref(), arguments.html.as_ref())?;
    let copy = (!patches.is_empty()).then(|| Copy::build(&patches::all()?)).transpose()?;
    let (plain, mut images) = sound(arguments, Which::Plain, &cancel)?;
    let (encrypted, more_images) = sound(arguments, Which::Encrypted, &cancel)?;
    images += more_images;
    let resealed = Arc::new(Planted::new(Bug::Resealed));
    let (seed, which) = (arguments.seed, Which::Plain);
    let resealed = campaign(arguments, which, seed, resealed, arguments.control, &cancel);
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
    found.cancelled = !found.fill(arguments, sites, patches, copy.as_ref(), &mut out, &cancel)?;
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
    let (seed, images) = (arguments.seed, arguments.control);
    let sound = campaign(arguments, which, seed, control.clone(), images, cancel);
    match sound.tally.violations.first() {
        None => Ok((control.sync_sites(), sound.tally.images_checked)),
        Some(violation) => {
            let address = violation.address;
            Err(Refusal(format!("the engine itself fails at {address}: see `run`"), 1))
        }
    }
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
        arguments: &Arguments,
        sites: Sites<'_>,
        patches: Vec<Patch>,
        copy: Option<&Copy>,
        out: &mut impl Write,
        cancel: &AtomicBool,
    ) -> Result<bool, Refusal> {
        let only = &arguments.only;
        for (site, (which, calls)) in sites.into_iter().filter(|_| only.is_empty()) {
            let verdict = hunt(arguments, Bug::ElidedSync(site.clone()), which, cancel);
            let Some(verdict) = verdict else { return Ok(false) };
            print(out, &verdict)?;
            self.elided.push((verdict, calls));
        }
        let is_wanted = |bug: &&Bug| only.is_empty() || only.iter().any(|name| name == bug.name());
        for bug in Bug::PLANTED.iter().filter(is_wanted) {
            let which = if bug.is_of_encryption() { Which::Encrypted } else { Which::Plain };
            let verdict = hunt(arguments, bug.clone(), which, cancel);
            let Some(verdict) = verdict else { return Ok(false) };
            print(out, &verdict)?;
            self.planted.push(verdict);
        }
        let Some(copy) = copy else { return Ok(true) };
        self.control = sound_copy(arguments, copy)?;
        writeln!(out, "control: no violation of the copy in {} images", number(self.control))?;
        for patch in patches {
            let verdict = play(arguments, copy, &patch, cancel)?;
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
        let mut caught: Vec<&Verdict> = self.verdicts().filter(|it| it.first.is_some()).collect();
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
            let (median, most, name) = (number(median.images), number(worst.images), &worst.name);
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
    let verdict = Verdict { name: String::new(), conditions: Vec::new(), images: 0, first: None };
    let verdict = verdict.hunted(arguments, ground, nothing, cancel);
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
    let first = said["invariant"].as_str().zip(said["address"].as_str());
    let first = first.map(|(invariant, place)| (invariant.to_owned(), place.to_owned()));
    Ok(Some(Verdict { name: name.to_owned(), conditions: Vec::new(), images, first }))
}

/// Looks for a patch where it says.
fn play(
    arguments: &Arguments,
    copy: &Copy,
    patch: &Patch,
    cancel: &AtomicBool,
) -> Result<Option<Verdict>, Refusal> {
    let asked = ask(arguments, copy, (&patch.name, &patch.plays, arguments.images))?;
    let verdict = asked.filter(|_| !cancel.load(Ordering::Relaxed));
    Ok(verdict.map(|verdict| Verdict { conditions: vec![patch.plants.clone()], ..verdict }))
}

/// Runs the copy with nothing switched on, as the control; the images.
fn sound_copy(arguments: &Arguments, copy: &Copy) -> Result<u64, Refusal> {
    let mut images = 0;
    for (ground, which) in GROUNDS {
        // Of the others the number is known, and every bug that is found takes a part of it.
        if !matches!(which, Ground::Crashes(_)) {
            continue;
        }
        let Some(verdict) = ask(arguments, copy, ("", ground, arguments.control))? else {
            continue;
        };
        images += verdict.images;
        if let Some((invariant, place)) = verdict.first {
            let what = format!("the copy with no bug violates {invariant} at {place}");
            return Err(Refusal(what, 1));
        }
    }
    Ok(images)
}

/// Looks for a wrong engine; `None` if cancelled.
fn hunt(arguments: &Arguments, bug: Bug, which: Which, cancel: &AtomicBool) -> Option<Verdict> {
    let name = match &bug {
        Bug::ElidedSync(site) => format!("no sync at {site}"),
        other => other.name().to_owned(),
    };
    let conditions = bug.conditions().iter().map(|&condition| condition.to_owned()).collect();
    let verdict = Verdict { name, conditions, images: 0, first: None };
    let ground = Ground::of(&bug, which);
    verdict.hunted(arguments, ground, Arc::new(Planted::new(bug)), cancel)
}

impl Verdict {
    /// Looks on a ground; where that is crashes, as the default run does: in a campaign, and in the
    /// sweep, which puts faults where a campaign rarely draws them. `None` if cancelled.
    fn hunted(
        mut self,
        arguments: &Arguments,
        ground: Ground,
        system: Arc<Planted>,
        cancel: &AtomicBool,
    ) -> Option<Self> {
        let which = match ground {
            Ground::Tasks => {
                self.swarm(arguments, &*system, cancel);
                return (!cancel.load(Ordering::Relaxed)).then_some(self);
            }
            Ground::Damage => {
                self.damage(arguments, &*system, cancel);
                return (!cancel.load(Ordering::Relaxed)).then_some(self);
            }
            Ground::Crashes(which) => which,
        };
        // Histories with keys take a multiple of the time.
        let bound = match which {
            Which::Encrypted => arguments.images / ENCRYPTED_TAKES,
            _ => arguments.images,
        };
        let first = bound.min(IMAGES_BEFORE_SWEEP);
        let from = (which, arguments.seed);
        let seeds = self.campaign(arguments, from, system.clone(), first, cancel);
        if self.first.is_none() && self.images < bound {
            self.sweep(&*system, jobs_or_cores(arguments.jobs), cancel);
        }
        if self.first.is_none() && self.images < bound {
            let rest = bound - self.images;
            self.campaign(arguments, (which, arguments.seed + seeds), system, rest, cancel);
        }
        (!cancel.load(Ordering::Relaxed)).then_some(self)
    }
}

impl Verdict {
    /// Goes on in a campaign; how many seeds it took.
    fn campaign(
        &mut self,
        arguments: &Arguments,
        (which, seed): (Which, u64),
        system: Arc<dyn System>,
        images: u64,
        cancel: &AtomicBool,
    ) -> u64 {
        let tally = campaign(arguments, which, seed, system, images, cancel).tally;
        self.images += tally.images_checked + tally.replica_images();
        let first = tally.violations.first();
        self.first = first.map(|violation| {
            (violation.invariant.name().to_owned(), violation.address.to_string())
        });
        tally.seeds + tally.seeds_left_out
    }

    /// Goes on in the sweep.
    fn sweep(&mut self, system: &dyn System, jobs: usize, cancel: &AtomicBool) {
        let done = sweep::sweep(system, &default_bounds(jobs, (0, 1)), cancel);
        self.images += done.tally.images_checked;
        let first = done.violations.first();
        self.first = first
            .map(|(case, violation)| (violation.invariant.name().to_owned(), case.to_string()));
    }
}

impl Verdict {
    /// Goes on in swarms.
    fn swarm(&mut self, arguments: &Arguments, system: &dyn System, cancel: &AtomicBool) {
        let bounds = swarm::Bounds {
            seed: arguments.seed,
            seeds: SWARM_SEEDS,
            jobs: jobs_or_cores(arguments.jobs),
            shard: (0, 1),
            alone: false,
        };
        let Some(done) = swarm::run(system, &bounds, cancel) else { return };
        self.images += done.tally.images_checked;
        let first = done.violations.first();
        self.first = first.map(|(violation, _)| {
            (violation.invariant.name().to_owned(), violation.address.to_string())
        });
    }

    /// Goes on with damage, which has a known number of cases.
    fn damage(&mut self, arguments: &Arguments, system: &dyn System, cancel: &AtomicBool) {
        let bounds = damage::Bounds {
            seed: arguments.seed,
            seeds: DAMAGED_SEEDS,
            jobs: jobs_or_cores(arguments.jobs),
            shard: (0, 1),
            violations_max: 1,
        };
        let done = damage::run(system, &bounds, cancel);
        self.images += done.counts.images;
        let first = done.violations.first();
        self.first =
            first.map(|found| (found.finding.invariant.name().to_owned(), found.case.to_string()));
    }
}

fn campaign(
    arguments: &Arguments,
    which: Which,
    seed: u64,
    system: Arc<dyn System>,
    images: u64,
    cancel: &AtomicBool,
) -> Report {
    let campaign = Campaign {
        seed,
        seeds: None,
        images: Some(images),
        limit: None,
        jobs: jobs_or_cores(arguments.jobs),
        shard: (0, 1),
        which,
        filesystem: Filesystem::Posix,
        patience: PATIENCE,
        system,
    };
    let enough = AtomicBool::new(false);
    campaign.run(
        &mut |progress| {
            if cancel.load(Ordering::Relaxed) || !progress.tally.violations.is_empty() {
                enough.store(true, Ordering::Relaxed);
            }
        },
        &enough,
    )
}

/// A line of the table: the number behind the name is that of the conditions.
fn print(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    let Verdict { name, conditions, images, first } = verdict;
    let (count, images) = (conditions.len(), number(*images));
    match first {
        Some((invariant, place)) => writeln!(
            out,
            "caught      {name:<40} {count} {invariant:<28} {images:>9} images, at {place}"
        ),
        None => {
            writeln!(out, "NOT CAUGHT  {name:<40} {count} {:<28} {images:>9} images", "")?;
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
        "address": verdict.first.as_ref().map(|(_, place)| place),
    })
}
