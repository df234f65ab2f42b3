use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::campaign::{Campaign, Course, PATIENCE, Report, Which};
use crate::checker::Invariant;
use crate::disk::Filesystem;
use crate::engine::Engine;
use crate::tally::{Tally, Violation};

/// Seeds with plain, encrypted and replica histories.
const SEEDS: u64 = 9;

/// What stands for the digest of a program.
const PROGRAM: &str = "abc";

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

fn campaign(which: Which, shard: (u64, u64)) -> Campaign {
    Campaign {
        seed: 33,
        seeds: Some(SEEDS),
        images: None,
        limit: None,
        which,
        filesystem: Filesystem::Posix,
        jobs: 2,
        shard,
        patience: PATIENCE,
        system: Arc::new(Engine),
    }
}

fn ran(shard: (u64, u64)) -> Report {
    let of = |which| campaign(which, shard).run(&mut |_| {}, &never());
    of(Which::Plain).and(of(Which::Encrypted))
}

fn bounds() -> Bounds {
    Bounds {
        seed: 33,
        seed_of: None,
        seeds: Some(SEEDS),
        images: None,
        minutes: None,
        until_met: false,
        which: Which::All,
        parts: Parts { sweep: true, damage: true, swarm: true },
        medium: "posix".to_owned(),
    }
}

/// A record of nothing: all counters at zero.
fn blank(shard: (u64, u64)) -> Record {
    let (elapsed, elapsed_encrypted) = (Duration::from_millis(1500), Duration::ZERO);
    let (tally, end, next, pace) = (Tally::zero(), End::Target, 0, Pace::default());
    Record {
        engine_version: "0.1.0".to_owned(),
        programs: BTreeSet::from([PROGRAM.to_owned()]),
        bounds: bounds(),
        shards: Shards::one(shard),
        done: Report { tally, end, elapsed, elapsed_encrypted, next, pace },
        swept: Some(sweep::Report::default()),
        hurt: Some(damage::Report::default()),
        swarmed: Some(swarm::Report::default()),
    }
}

fn violation(seed: u64) -> Violation {
    Violation {
        address: format!("{seed}:2:3").parse().expect("an address"),
        invariant: Invariant::I1,
        expected: "a row\nand \"another\"".to_owned(),
        found: "<nothing> & \u{1f980}".to_owned(),
        trace: vec!["op 1: #3 write /store/x".to_owned()],
    }
}

fn text(record: &Record) -> String {
    format!("{:#}", record.json())
}

fn merged<'a>(files: impl IntoIterator<Item = (&'a str, String)>) -> Merged {
    let mut merge = Merge::new(false);
    files.into_iter().for_each(|(name, text)| merge.take(name, Ok(text)));
    merge.finish()
}

#[test]
fn shards_of_campaigns_come_to_what_one_run_does() {
    let whole = ran((0, 1));
    assert!(whole.tally.images_checked > 1000, "{} images", whole.tally.images_checked);
    assert_ne!((whole.tally.images_encrypted, whole.tally.replica_images()), (0, 0));
    let shard = |part| Record { done: ran((part, 3)), ..blank((part, 3)) };
    let files = (0..3).rev().map(|part| ("a file", text(&shard(part))));
    let Merged { record, refused } = merged(files);
    assert_eq!(refused, [""; 0]);
    let record = record.expect("all could be used");
    assert_eq!(record.done.tally, whole.tally);
    assert_eq!(record.shards.missing(), None);
}

#[test]
fn shards_of_parts_come_to_what_one_run_does() {
    // A shard of so many is two of twice as many.
    let shards = [(0, 64), (0, 128), (64, 128)];
    let [whole, one, other] = shards.map(|shard| {
        let bounds =
            sweep::Bounds { seeded: 0, pairs_one_in: 300, jobs: 2, shard, patience: PATIENCE };
        read_back(
            sweep::sweep(Arc::new(Engine), &bounds, &never()),
            report::sweep_json,
            parts::sweep,
        )
    });
    let joined = parts::join_sweeps(one, other);
    assert!(joined.runs > 0 && joined.pairs > 0 && joined.tally.images_checked > 0);
    assert_eq!((joined.histories, joined.full), (whole.histories, whole.full));
    assert_eq!((joined.tally, joined.planned), (whole.tally, whole.planned));
    let [whole, one, other] = shards.map(|shard| {
        let (jobs, patience) = (2, PATIENCE);
        let bounds = damage::Bounds { seed: 1, seeds: 1, jobs, shard, violations_max: 1, patience };
        read_back(
            damage::run(Arc::new(Engine), &bounds, &never()),
            report::damage_json,
            parts::damage,
        )
    });
    assert!(one.counts.cases > 0 && other.counts.cases > 0);
    assert_eq!(parts::join_damage(one, other).counts, whole.counts);
    if !swarm::is_built() {
        return;
    }
    let [whole, one, other] = [(0, 1), (0, 2), (1, 2)].map(|shard| {
        let (jobs, patience) = (2, PATIENCE);
        let bounds = swarm::Bounds { seed: 1, seeds: 5, jobs, shard, alone: false, patience };
        let done = swarm::run(Arc::new(Engine), &bounds, &never()).expect("it is built");
        read_back(done, report::swarm_json, parts::swarm)
    });
    let joined = parts::join_swarms(one, other);
    assert_eq!((joined.runs, joined.counts), (5, whole.counts));
    assert_eq!(joined.tally, whole.tally);
}

/// A part as it is behind a file: nothing of it is lost on the way.
fn read_back<T: std::fmt::Debug>(
    part: T,
    write: fn(&T) -> Value,
    read: fn(&Fields<'_>) -> Read<T>,
) -> T {
    let value = write(&part);
    let again = read(&Fields::of(&value).expect("an object")).expect("it was written");
    assert_eq!(write(&again), value);
    again
}

#[test]
fn report_that_is_read_back_is_the_same() {
    let mut record = blank((1, 4));
    record.bounds.seed_of = Some("a commit".to_owned());
    record.done.tally.violations = vec![violation(1), violation(2)];
    record.done.tally.trace_hash = 0xabc;
    record.done.pace.mark(Duration::from_secs(3), 900);
    let case = "small+sync-eio@0.1~2".parse().expect("a case");
    let swept = record.swept.as_mut().expect("it has one");
    swept.violations.push((case, violation(3)));
    let found = damage::Found {
        case: "damage:drawn:1:2".parse().expect("a case"),
        finding: crate::checker::Finding::new(Invariant::I9, "an error", "a row"),
        wounds: vec!["a flip".to_owned()],
    };
    record.hurt.as_mut().expect("it has one").violations.push(found);
    let swarmed = record.swarmed.as_mut().expect("it has one");
    swarmed.violations.push((violation(4), vec!["task 1 waits".to_owned()]));
    let again = Record::read(&text(&record)).expect("it was written");
    assert_eq!(text(&again), text(&record));
    assert_eq!(again.done.tally, record.done.tally);
    assert_eq!(again.violations(), 5);
    assert_eq!(record.json()["medium"], "posix");
}

#[test]
fn damaged_report_is_refused_with_the_place() {
    let whole = text(&blank((0, 1)));
    for cut in (0..whole.len()).step_by(97) {
        let why = Record::read(&whole[..cut]).expect_err("it is cut off");
        assert!(why.contains("as if cut off"), "{why}");
    }
    let cases = [
        ("[]", "the file is no object but []"),
        ("{}", "does not say that it is a quiver-sim report"),
        ("\u{0}", "it is no JSON"),
    ];
    for (text, says) in cases {
        let why = Record::read(text).expect_err("it is none");
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn report_that_says_two_things_or_counts_too_far_is_refused() {
    let mut other = blank((0, 1)).json();
    other["medium"] = json!("xfs");
    let why = Record::read(&other.to_string()).expect_err("it says two things");
    assert!(why.contains("medium is not that of the bounds"), "{why}");
    other["pace"]["images"] = json!([u64::MAX]);
    let why = Record::read(&other.to_string()).expect_err("nobody counts so far");
    assert!(why.contains("pace.images is no list of counts"), "{why}");
}

#[test]
fn damaged_field_of_a_report_is_refused_by_its_name() {
    let whole = text(&blank((0, 1)));
    let cases = [
        ("\"version\": 3", "\"version\": 4", "format version 4, this program knows 3"),
        ("quiver-sim report", "quiver-sim state", "it is a quiver-sim state"),
        (
            "\"I1 durable\"",
            "\"I1 doubtful\"",
            "invariants.I1 doubtful is nothing that this program",
        ),
        (
            "\"ended\": \"target",
            "\"ended\": \"no target",
            "ended is no word that this program knows",
        ),
        (
            "\"seeds_encrypted\": 0",
            "\"seeds_encrypted\": -1",
            "seeds_encrypted is no whole number but -1",
        ),
        ("\"operations\": 0", "\"operations\": 18446744073709551615", "operations is no count"),
        ("\"elapsed_s\": 1.5", "\"elapsed_s\": -1.5", "elapsed_s is no time in seconds"),
        ("\"shards_of\": 1", "\"shards_of\": 0", "shards are not some of 1 to 0"),
        ("\"elapsed_s\": 1.5", "\"elapsed_s\": 1e19", "elapsed_s is no time in seconds"),
        (
            "\"every_ms\": 1000",
            "\"every_ms\": 1000000000000000",
            "pace has more than 240 marks, or too",
        ),
        ("\"images_encrypted\": 0", "\"images_encrypted\": 1", "more than images_checked"),
        (
            "\"until_met\"",
            "\"until\": 1, \"until_met\"",
            "bounds.until is nothing that this program wr",
        ),
        (
            "\"every_ms\"",
            "\"any\": 1, \"every_ms\"",
            "pace.any is nothing that this program writes",
        ),
        (
            "\"shards_of\"",
            "\"shards_off\": 1, \"shards_of\"",
            "shards_off is nothing that this prog",
        ),
        (
            "\"full_disks\"",
            "\"full\": 1, \"full_disks\"",
            "sweep.full is nothing that this program",
        ),
        (
            "\"medium\": \"posix\"",
            "\"medium\": \"fat\"",
            "bounds.medium is no word that this program",
        ),
        ("\"trace_hash\": \"0", "\"trace_hash\": \"x", "trace_hash is no hash"),
    ];
    for (part, wrong, says) in cases {
        assert!(whole.contains(part), "{part}");
        let why = Record::read(&whole.replace(part, wrong)).expect_err(part);
        assert!(why.contains(says), "{part}: {why}");
    }
}

#[test]
fn no_counter_may_be_missing() {
    let whole = blank((0, 1)).json();
    let head = ["format", "version", "engine_version", "programs", "bounds", "shards", "shards_of"];
    let rest = ["ended", "elapsed_s", "next", "violations", "pace", "sweep", "damage", "swarm"];
    let counters = counters(&Tally::default());
    let names = counters.keys().map(String::as_str).chain(head).chain(rest);
    for name in names {
        let mut without = whole.clone();
        without.as_object_mut().expect("an object").remove(name);
        let why = Record::read(&without.to_string()).expect_err(name);
        assert!(why.contains(name) || name == "format", "{name}: {why}");
    }
    let zero = Tally::zero();
    let tables = zero.counters().tables.into_iter();
    let rows = tables.flat_map(|(table, .., rows)| rows.keys().map(move |row| (table, *row)));
    let spreads = zero.spreads.keys().map(|row| ("spreads", *row));
    for (table, row) in rows.chain(spreads) {
        let mut without = whole.clone();
        without[table].as_object_mut().expect("a table").remove(row).expect("it was written");
        let why = Record::read(&without.to_string()).expect_err(row);
        assert_eq!(why, format!("there is no {table}.{row}"));
    }
}

#[test]
fn counters_that_a_run_cannot_move_may_be_missing() {
    type Change<'a> = &'a dyn Fn(&mut Record);
    let read = |changes: &[Change<'_>]| {
        let mut record = blank((0, 1));
        changes.iter().for_each(|change| change(&mut record));
        Record::read(&text(&record)).map(|again| again.done.tally == record.done.tally)
    };
    let no_keys: Change<'_> = &|one| one.done.tally.forget_encryption();
    let ends = |end| move |one: &mut Record| one.done.end = end;
    let histories = |which| move |one: &mut Record| one.bounds.which = which;
    assert_eq!(read(&[no_keys, &histories(Which::Plain)]), Ok(true));
    // Plain histories come first: what ends a run there ends it before the others.
    assert_eq!(read(&[no_keys, &ends(End::Violations)]), Ok(true));
    assert_eq!(read(&[no_keys, &|one| one.bounds.images = Some(8)]), Ok(true));
    for change in [&ends(End::Time) as Change<'_>, &histories(Which::Encrypted)] {
        let why = read(&[no_keys, change]).expect_err("nobody would see that they never moved");
        assert_eq!(why, "there is no invariants.I15 secret");
    }
    let kind = |one: &mut Record| {
        one.bounds.medium = "ext4".to_owned();
        one.bounds.parts = Parts { sweep: false, damage: false, swarm: false };
        (one.swept, one.hurt, one.swarmed) = (None, None, None);
    };
    assert_eq!(read(&[&kind, &|one| one.done.tally.forget_posix()]), Ok(true));
    // Counted where it occurs.
    let seldom = |one: &mut Record| {
        one.done.tally.replica.insert(crate::replica::TOO_LATE, 1);
    };
    assert_eq!(read(&[&seldom]), Ok(true));
}

#[test]
fn no_counter_of_a_state_may_be_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state.json");
    let state = || State::new(PROGRAM, "0.1.0", bounds(), Shards::one((0, 1)));
    let [mut plain, encrypted] = [(); 2].map(|()| Leg::ended(blank((0, 1)).done));
    plain.so_far.tally.forget_encryption();
    let mut begun = state();
    begun.legs = vec![plain, encrypted];
    begun.save(&path).expect("it can be written");
    assert_eq!(state().load(&path).expect("it was written").legs.len(), 2);
    let whole = std::fs::read_to_string(&path).expect("it is there");
    for (leg, table, row) in [(0, "faults", "sync-eio"), (1, "keys", "shreds")] {
        let mut without: Value = serde_json::from_str(&whole).expect("it is JSON");
        let rows = without["legs"][leg][table].as_object_mut().expect("a table");
        rows.remove(row).expect("it was written");
        std::fs::write(&path, without.to_string()).expect("it can be written");
        let why = state().load(&path).expect_err(row);
        assert!(why.starts_with(&format!("there is no legs[{leg}].{table}.{row}; ")), "{why}");
    }
}

#[test]
fn what_does_not_belong_together_is_named_and_the_rest_is_joined() {
    let shard = |part| blank((part, 3));
    let other = |change: &dyn Fn(&mut Record)| {
        let mut record = shard(1);
        change(&mut record);
        text(&record)
    };
    const OTHER: &str = "shard 1/3 is in a too, and came to something else there";
    let other_part = |change: &dyn Fn(&mut Record)| {
        other(&|one| {
            one.shards = Shards::one((0, 3));
            change(one);
        })
    };
    let cases = [
        (other(&|one| one.engine_version = "0.2.0".to_owned()), "engine version 0.2.0, a of 0.1.0"),
        (
            other(&|one| one.programs = BTreeSet::from(["def".to_owned()])),
            "it is of program def, a of abc, and their engines may differ; run that shard again with one \
             program, or say --other-builds",
        ),
        (other(&|one| one.bounds.seed = 7), "seed is 7, not 33 as in a; join reports of one run"),
        (other(&|one| one.bounds.until_met = true), "until_met is true, not false"),
        (other(&|one| one.shards = Shards::one((1, 4))), "it is one of 4 shards, a one of 3"),
        (other(&|one| one.shards = Shards::one((0, 3))), "shard 1/3 is in a already, which counts"),
        (other_part(&|one| one.done.tally.trace_hash = 1), OTHER),
        (other_part(&|one| one.swept.as_mut().expect("it was asked for").tally.seeds = 1), OTHER),
        (other_part(&|one| one.hurt.as_mut().expect("it was asked for").counts.cases = 1), OTHER),
        (other_part(&|one| one.swarmed.as_mut().expect("it was asked for").tally.seeds = 1), OTHER),
        ("{".to_owned(), "as if cut off"),
    ];
    for (bad, says) in cases {
        let Merged { record, refused } =
            merged([("a", text(&shard(0))), ("bad", bad), ("c", text(&shard(2)))]);
        assert!(refused[0].starts_with("bad: ") && refused[0].contains(says), "{refused:?}");
        assert_eq!(refused.len(), 1);
        let record = record.expect("two could be used");
        assert_eq!(record.shards.missing().as_deref(), Some("2/3"));
    }
    // A bound in minutes may have cut what comes behind the campaign, and never the campaign of so many seeds.
    for (hash, says) in [(0, "which counts"), (1, OTHER)] {
        let [a, b] = [0, hash].map(|hash| {
            let mut one = shard(0);
            one.bounds.minutes = Some(3);
            one.done.tally.trace_hash = hash;
            one.hurt.as_mut().expect("it was asked for").counts.cases = u64::from(hash == 0);
            text(&one)
        });
        let refused = merged([("a", a), ("b", b)]).refused;
        assert!(refused.len() == 1 && refused[0].contains(says), "{refused:?}");
    }
    // What one of the two found is told, whichever counts.
    let [clean, found] = [0, 1].map(|count| {
        let mut one = shard(0);
        one.done.tally.violations.extend((0..count).map(violation));
        text(&one)
    });
    for files in [[("a", clean.clone()), ("b", found.clone())], [("a", found), ("b", clean)]] {
        let Merged { record, refused } = merged(files);
        assert!(refused.len() == 1 && refused[0].contains(OTHER), "{refused:?}");
        assert_eq!(record.expect("one counts").violations(), 1);
    }
    let Merged { record, refused } = merged([("a", String::new())]);
    assert!(record.is_none() && refused.len() == 1);
    let first =
        text(&merged([("a", text(&shard(0))), ("b", text(&shard(2)))]).record.expect("two"));
    let all = merged([("a and b", first), ("c", text(&shard(1)))]).record.expect("three");
    assert_eq!(all.shards.missing(), None);
    assert_eq!(all.done.elapsed, Duration::from_millis(4500));
}

/// G4.
#[test]
fn shard_that_was_ended_is_missing_and_what_it_found_is_told() {
    let ended = |seeds: &[u64]| {
        let mut record = blank((1, 2));
        record.done.end = End::Cancelled;
        record.done.tally.seeds = 5;
        record.done.tally.violations = seeds.iter().map(|seed| violation(*seed)).collect();
        text(&record)
    };
    for seeds in [&[][..], &[4]] {
        let Merged { record, refused } = merged([("a", text(&blank((0, 2)))), ("b", ended(seeds))]);
        assert_eq!(refused.len(), 1);
        assert!(
            refused[0].starts_with("b: shard 2/2 was ended by Ctrl-C; go on with it"),
            "{refused:?}"
        );
        let record = record.expect("one could be used");
        assert_eq!(record.shards.missing().as_deref(), Some("2/2"));
        assert_eq!((record.done.tally.seeds, record.violations()), (0, seeds.len()));
        assert!(!record.is_cancelled());
    }
    let Merged { record, .. } = merged([("b", ended(&[4, 5]))]);
    let record = record.expect("it has found something");
    assert_eq!((record.violations(), record.verdict()), (2, Verdict::Violated));
    assert_eq!(record.shards.missing().as_deref(), Some("1/2, 2/2"));
    assert!(merged([("b", ended(&[]))]).record.is_none());
}

/// G4.
#[test]
fn record_of_ended_shards_alone_is_read_back_and_counts_as_no_shard() {
    let mut ended = blank((1, 2));
    ended.done.end = End::Cancelled;
    ended.done.tally.violations = vec![violation(4)];
    let none = text(&merged([("b", text(&ended))]).record.expect("it has found something"));
    assert_eq!(text(&Record::read(&none).expect("it was written")), none);
    let [first, last] = [("a", text(&blank((0, 2)))), ("none", none.clone())];
    for files in [[first.clone(), last.clone()], [last, first]] {
        let Merged { record, refused } = merged(files);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].starts_with("none: it counts as no shard"), "{refused:?}");
        let record = record.expect("one could be used");
        assert_eq!(record.shards.missing().as_deref(), Some("2/2"));
        assert_eq!(record.violations(), 1);
    }
    let alone = merged([("none", none)]).record.expect("it has found something");
    assert_eq!(alone.shards.missing().as_deref(), Some("1/2, 2/2"));
    // The first real one is what others are compared with.
    let other = Record { engine_version: "0.2.0".to_owned(), ..blank((1, 2)) };
    let files = [("none", text(&alone)), ("a", text(&blank((0, 2)))), ("b", text(&other))];
    let refused = merged(files).refused;
    assert!(refused[1].contains("it is of engine version 0.2.0, a of 0.1.0"), "{refused:?}");
}

#[test]
fn shards_of_several_programs_are_joined_by_who_says_so() {
    let other = Record { programs: BTreeSet::from(["def".to_owned()]), ..blank((1, 2)) };
    let mut merge = Merge::new(true);
    merge.take("a", Ok(text(&blank((0, 2)))));
    merge.take("b", Ok(text(&other)));
    let Merged { record, refused } = merge.finish();
    assert_eq!(refused, [""; 0]);
    let record = record.expect("both could be used");
    assert_eq!(record.shards.missing(), None);
    let programs: Vec<&str> = record.programs.iter().map(String::as_str).collect();
    assert_eq!(programs, ["abc", "def"]);
    assert_eq!(Record::read(&text(&record)).expect("it was written").programs, record.programs);
}

#[test]
fn campaign_that_goes_on_ends_as_one_that_was_never_ended() {
    let (whole, before) = (campaign(Which::All, (1, 2)), campaign(Which::All, (1, 2)));
    let uninterrupted = whole.run(&mut |_| {}, &never());
    let mut state = State::new(PROGRAM, "0.1.0", bounds(), Shards::one((1, 2)));
    for seeds in [2, 5, 6] {
        let part = Campaign { seeds: Some(seeds), ..before.clone() };
        let so_far = state.legs.pop().map(|leg| leg.so_far);
        let so_far = part.run_on(course(so_far), &mut |_| {}, &never());
        // As it is behind a file.
        let leg = Leg { so_far, is_over: false };
        state.legs.push(leg);
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state.json");
        state.save(&path).expect("it can be written");
        let blank = State::new(PROGRAM, "0.1.0", bounds(), Shards::one((1, 2)));
        state = blank.load(&path).expect("it was written");
    }
    let so_far = state.legs.pop().map(|leg| leg.so_far);
    let done = whole.run_on(course(so_far), &mut |_| {}, &never());
    assert_eq!((done.tally, done.next), (uninterrupted.tally, uninterrupted.next));
}

fn course(so_far: Option<Report>) -> Course<'static> {
    match so_far {
        None => Course::default(),
        Some(Report { tally, elapsed, next, pace, .. }) => {
            Course { tally: Some(tally), next, elapsed, pace, ..Course::default() }
        }
    }
}

#[test]
fn campaign_ends_only_when_all_is_met() {
    let met = |tally: &Tally| tally.seeds >= 5;
    let campaign = Campaign { images: Some(1), seeds: None, ..campaign(Which::Plain, (0, 1)) };
    let course = Course { met: Some(&met), ..Course::default() };
    let done = campaign.run_on(course, &mut |_| {}, &never());
    assert_eq!((done.end, done.tally.seeds), (End::Target, 5));
}

/// S2.
#[test]
fn part_that_was_ended_begins_anew_and_one_that_was_cut_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state.json");
    let blank = || State::new(PROGRAM, "0.1.0", bounds(), Shards::one((0, 2)));
    let mut state = blank();
    state.swept = Some(sweep::Report { cancelled: true, ..sweep::Report::default() });
    state.hurt = Some(damage::Report { cut: true, ..damage::Report::default() });
    state.save(&path).expect("it can be written");
    let found = blank().load(&path).expect("it was written");
    assert!(found.swept.is_none() && found.swarmed.is_none());
    assert!(found.hurt.is_some_and(|part| part.cut));
}

#[test]
fn state_of_another_run_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state.json");
    let shards = || Shards::one((0, 2));
    let state = || State::new(PROGRAM, "0.1.0", bounds(), shards());
    assert!(state().load(&path).is_ok(), "one that is not there is one that has not begun");
    state().save(&path).expect("it can be written");
    assert!(state().load(&path).is_ok());
    let other = Bounds { minutes: Some(3), ..bounds() };
    let cases = [
        (
            State::new(PROGRAM, "0.2.0", bounds(), shards()),
            "it is of engine version 0.1.0, this is 0.2.0",
        ),
        (
            State::new("def", "0.1.0", bounds(), shards()),
            "it was begun by program abc, this is def, whose engine may be another one; go on with the \
             program that began it, or remove the file",
        ),
        (
            State::new(PROGRAM, "0.1.0", other, shards()),
            "another run: minutes is null, not 3; give the arg",
        ),
        (State::new(PROGRAM, "0.1.0", bounds(), Shards::one((1, 2))), "it is of another shard"),
    ];
    for (state, says) in cases {
        let why = state.load(&path).expect_err(says);
        assert!(why.contains(says), "{why}");
    }
    let whole = std::fs::read_to_string(&path).expect("it is there");
    for cut in (0..whole.trim_end().len()).step_by(31) {
        std::fs::write(&path, &whole[..cut]).expect("it can be written");
        let why = state().load(&path).expect_err("it is cut off");
        assert!(why.contains("begin anew with another file, or remove this one"), "{why}");
    }
}
