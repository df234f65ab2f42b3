use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::address::Address;
use crate::campaign::{self, End, MARKS_MAX, Pace, Which};
use crate::checker::Invariant;
use crate::disk::IoKind;
use crate::forward::Forward;
use crate::history::History;
use crate::record::{self, Bounds, Parts, Record, Shards};
use crate::report::timeline::{Event, Fate, Left, Ways, of_record};
use crate::repro::{Reproducer, Status, Systems};
use crate::tally::{Counters, Tally};
use crate::{damage, swarm, sweep};

/// What a page of any run may have.
const PAGE_BYTES_MAX: usize = 600_000;

fn record() -> Record {
    let (elapsed, elapsed_encrypted) = (Duration::from_secs(60), Duration::ZERO);
    let (tally, end, next, pace) = (Tally::zero(), End::Target, 0, Pace::default());
    let parts = Parts { sweep: true, damage: true, swarm: true };
    Record {
        programs: ["abc".to_owned()].into(),
        engine_version: "0.1.0".to_owned(),
        bounds: Bounds {
            seed: 1,
            seed_of: Some("<b>'x'</b>".to_owned()),
            seeds: None,
            images: Some(1_000_000),
            minutes: None,
            until_met: true,
            which: Which::All,
            parts,
            medium: "posix".to_owned(),
        },
        shards: Shards::one((0, 1)),
        done: campaign::Report { tally, end, elapsed, elapsed_encrypted, next, pace },
        swept: Some(sweep::Report::default()),
        hurt: Some(damage::Report::default()),
        swarmed: Some(swarm::Report::default()),
    }
}

fn violation_of(seed: u64, words: &str) -> Violation {
    Violation {
        address: format!("{seed}:2:3").parse().expect("an address"),
        invariant: Invariant::I1,
        expected: words.to_owned(),
        found: words.to_owned(),
        trace: vec![words.to_owned(); 50],
    }
}

/// Each tag that is opened is closed, in order: what a browser would not have to mend.
fn is_well_formed(page: &str) {
    const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = |tag: &'_ str| tag.split([' ', '/']).next().unwrap_or_default().len();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "before {rest:.80}");
        } else if !tag.ends_with('/') && !VOID.contains(&&tag[..name(tag)]) {
            open.push(&tag[..name(tag)]);
        }
    }
    assert_eq!(open, [""; 0]);
}

fn needs_nothing_else(page: &str) {
    for word in
        ["<script", "<link", "<img", "<iframe", "http:", "https:", "url(", "@import", "onload"]
    {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn every_counter_of_the_tally_is_on_the_page() {
    let mut record = record();
    let tally = &mut record.done.tally;
    let mut next = 1_000;
    let mut fresh = || {
        next += 1;
        next
    };
    let Counters { sums, tables } = tally.counters_mut();
    sums.into_iter().for_each(|(.., times)| *times = fresh());
    for times in tables.into_iter().flat_map(|(.., table)| table.values_mut()) {
        *times = fresh();
    }
    for spread in tally.spreads.values_mut() {
        spread.count(fresh());
    }
    tally.recovery_calls_max = fresh();
    // That of the other parts is zero.
    tally.trace_hash = 0xfeed;
    let all = record::counters(tally);
    let page = run_html(&record, &Ways::new());
    let mut seen = 0;
    for (name, value) in &all {
        match value {
            serde_json::Value::Number(times) => {
                let times = times.as_u64().expect("a counter");
                assert!(page.contains(&crate::report::number(times)), "{name}");
                seen += 1;
            }
            serde_json::Value::Object(table) => {
                for (row, times) in table {
                    assert!(page.contains(&Safe(row).to_string()), "{name} {row}");
                    if let Some(times) = times.as_u64() {
                        assert!(page.contains(&crate::report::number(times)), "{name} {row}");
                    }
                    seen += 1;
                }
            }
            hash => assert!(page.contains(hash.as_str().expect("a hash")), "{name}"),
        }
    }
    assert!(seen > 120, "{seen} counters");
}

#[test]
fn counter_at_zero_stands_out_and_the_head_says_so() {
    let page = run_html(&record(), &Ways::new());
    assert!(page.contains("<header class=doubtful><h1>No violation, but counters at zero"));
    assert!(page.contains("<span class=name>sync-eio</span><i class=zero></i><b class=zero>0</b>"));
}

/// The page is as doubtful as the command, whose exit code is 3 then.
#[test]
fn counter_at_zero_of_another_part_counts_too() {
    let mut record = record();
    record.done.tally = Tally { images_checked: 1, images_nested: 1, ..Tally::default() };
    let tally = &mut record.done.tally;
    (tally.images_duplicate, tally.exhaustive_points, tally.runs_repeated) = (1, 1, 1);
    let page = run_html(&record, &Ways::new());
    assert!(page.contains("<header class=doubtful><h1>No violation, but counters at zero"));
    assert!(page.contains("runs of the sweep; "), "{page}");
    (record.swept, record.hurt, record.swarmed) = (None, None, None);
    let page = run_html(&record, &Ways::new());
    assert!(page.contains("<header class=good><h1>No violation</h1>"));
}

#[test]
fn the_same_again_is_the_same_command() {
    let mut record = record();
    record.bounds.seed_of = Some("it's".to_owned());
    record.bounds.medium = "ext4".to_owned();
    let page = run_html(&record, &Ways::new());
    let words =
        r"run --seed-of 'it'\''s' --images 1000000 --until-met --medium ext4 --histories all";
    assert!(page.contains(&Safe(words).to_string()), "{page}");
}

#[test]
fn text_is_escaped_wherever_it_comes_from() {
    let evil = "</style></pre><script>x</script>";
    let mut record = record();
    record.engine_version = evil.to_owned();
    record.bounds.medium = evil.to_owned();
    record.done.tally.violations = vec![violation_of(1, evil)];
    let case: sweep::Case = "small<i>+sync-eio@0.1~2".parse().expect("a case");
    record.swept.as_mut().expect("one").violations = vec![(case, violation_of(2, evil))];
    let found = damage::Found {
        case: "damage:<i>:2".parse().expect("a case"),
        finding: crate::checker::Finding::new(Invariant::I9, evil, evil),
        wounds: vec![evil.to_owned()],
    };
    record.hurt.as_mut().expect("one").violations = vec![found];
    let swarmed = record.swarmed.as_mut().expect("one");
    swarmed.violations = vec![(violation_of(3, evil), vec![evil.to_owned()])];
    let page = run_html(&record, &Ways::new());
    assert!(page.contains("<header class=bad><h1>4 violations</h1>"));
    assert!(!page.contains("<i>+") && !page.contains("<b>'x'"));
    let row = json!({"name": evil, "conditions": [evil], "caught": true, "images": 7,
        "invariant": evil, "address": evil});
    let table = json!({"planted": [row], "all_caught": true});
    let pages = [
        page,
        mutants_html(&table),
        replay_html(evil, &[violation_of(1, evil)], None, &[evil.to_owned()]),
    ];
    for page in pages {
        needs_nothing_else(&page);
        is_well_formed(&page);
        assert_eq!(page.matches("</style>").count(), 1);
    }
}

#[test]
fn page_of_a_million_images_is_small() {
    let mut record = record();
    record.done.tally.images_checked = 1_000_000;
    for second in 1..100_000 {
        record.done.pace.mark(Duration::from_secs(second), 1_000 * second);
    }
    assert!(record.done.pace.marks.len() <= MARKS_MAX);
    for name in crate::tally::SPREADS {
        (0..100_000).for_each(|number| record.done.tally.count(name, number));
    }
    let long = "x <y> ".repeat(100_000);
    record.done.tally.violations = (0..500).map(|seed| violation_of(seed, "short")).collect();
    record.done.tally.violations.insert(0, violation_of(1, &long));
    let story = vec!["task 1 waits".to_owned(); 100_000];
    let swarmed = record.swarmed.as_mut().expect("one");
    swarmed.violations =
        (0..500).map(|seed| (violation_of(seed, "short"), story.clone())).collect();
    let page = run_html(&record, &Ways::new());
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    assert!(page.contains("and 977 more, which the JSON report has"));
    is_well_formed(&page);
}

#[test]
fn mutant_that_was_not_found_comes_first_and_decides() {
    let row = |name: &str, caught: bool, images: u64| {
        json!({"name": name, "conditions": [],
        "caught": caught, "images": images, "invariant": null, "address": null})
    };
    let planted =
        [row("easy", true, 10), row("missed", false, 1_500_000), row("hard", true, 4_000)];
    let page = mutants_html(&json!({"planted": planted, "sync_sites": [row("s", true, 30)]}));
    assert!(page.contains("<header class=bad><h1>1 of 4 wrong engines were not found</h1>"));
    assert!(page.contains("30 in the median, 4,000 for the one that took most"));
    let place = |name: &str| page.find(name).expect("it is there");
    assert!(place("missed<") < place("hard<") && place("hard<") < place("easy<"));
    is_well_formed(&page);
}

/// All that a run finds before a crash has one address.
#[test]
fn each_violation_of_an_address_is_played_for_itself() {
    let planted = Status::Planted("name-under-catalog-key".to_owned());
    let systems = Systems::of(&planted).expect("the bug is there");
    let mut runs = (1..60).map(|seed| {
        let address = Address::run(seed);
        let forward = Forward::of(systems.shows(), &History::at(address));
        let found = forward.findings.into_iter().map(|(_, finding)| finding.invariant);
        found.map(|invariant| (address.to_string(), invariant)).collect::<BTreeSet<_>>()
    });
    let found = runs.find(|found| found.len() > 1).expect("a run that finds several things");
    let mut record = record();
    record.done.tally.violations = found
        .iter()
        .map(|(address, invariant)| Violation {
            address: address.parse().expect("printed addresses parse"),
            invariant: *invariant,
            ..violation_of(1, "x")
        })
        .collect();
    let ways = of_record(systems.shows(), &record, 0);
    assert!(ways.keys().eq(&found), "{found:?}");
    for ((_, invariant), way) in &ways {
        assert_eq!(way.violation.invariant, *invariant);
    }
}

#[test]
fn each_violation_of_an_address_has_a_way_of_its_own_on_the_page() {
    let mut record = record();
    let of = |invariant| Violation { invariant, ..violation_of(1, "x") };
    let found = [Invariant::I1, Invariant::I5].map(of);
    let way = |violation: &Violation| {
        let (words, changes) = (format!("of {}", violation.invariant.name()), Vec::new());
        let (violation, events) = (violation.clone(), vec![Event::Crash(Left { words, changes })]);
        let known = (violation.address.to_string(), violation.invariant);
        (known, Timeline { violation, events, good: None })
    };
    let ways = Ways::from_iter(found.each_ref().map(way));
    record.done.tally.violations = found.to_vec();
    let page = run_html(&record, &ways);
    let articles: Vec<&str> = page.split("<article>").skip(1).collect();
    assert_eq!(articles.len(), 2);
    for (article, other) in [(0, 1), (1, 0)] {
        let crash = |of: usize| format!("<b>crash</b> of {}", found[of].invariant.name());
        assert!(articles[article].contains(&crash(article)), "{}", articles[article]);
        assert!(!articles[article].contains(&crash(other)), "{}", articles[article]);
    }
    is_well_formed(&page);
}

/// The way to the violation of a file of the corpus.
fn timeline(name: &str) -> Timeline {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim");
    let text = fs::read_to_string(folder.join(name)).expect("it is kept");
    let file = Reproducer::parse(&text).expect("it parses");
    let systems = Systems::of(&file.status).expect("the bug is there");
    Timeline::of(systems.shows(), &file).expect("it shows")
}

#[test]
fn timeline_has_its_crash_and_a_good_image_beside_the_bad_one() {
    let timeline = timeline("planted-toy-forgets-deletes.repro");
    let bad = timeline.bad().expect("it crashes");
    let page =
        replay_html("it.repro", std::slice::from_ref(&timeline.violation), Some(&timeline), &[]);
    assert!(page.contains(&format!("<b>crash</b> {}", Safe(&bad.words))), "{}", bad.words);
    for change in &bad.changes {
        let what = change.what.replace("/store/", "");
        assert!(page.contains(&Safe(&what).to_string()), "{what}");
        assert!(page.contains(&Safe(&change.words).to_string()), "{what}");
    }
    is_well_formed(&page);
    needs_nothing_else(&page);
}

#[test]
fn calls_of_the_process_behind_a_crash_stand_before_the_next_one() {
    let timeline = timeline("planted-toy-keeps-torn-tail.repro");
    let parts: Vec<&[Event]> =
        timeline.events.split(|event| matches!(event, Event::Crash(_))).collect();
    assert_eq!(parts.len(), 3, "two crashes: {:?}", timeline.events);
    let writes = |event: &Event| match event {
        Event::Call { called, .. } => called.call.kind == IoKind::Write,
        Event::Crash(_) => false,
    };
    assert!(parts[1].iter().any(writes), "{:?}", timeline.events);
    let trace = timeline.violation.trace.join("\n");
    let behind = trace.split_once("the next process opens it and goes on").expect("it does").1;
    assert!(behind.contains("afterwards: #") && behind.contains("power is lost"), "{trace}");
}

#[test]
fn calls_of_pending_changes_are_told_what_became_of_them() {
    let mut fates = BTreeMap::new();
    let (mut crashes, mut goods, mut files) = (0, 0, 0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim");
    let names =
        fs::read_dir(folder).expect("the corpus").map(|file| file.expect("a name").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    let planted =
        names.iter().filter(|name| name.starts_with("planted") && name.ends_with(".repro"));
    for name in planted.step_by(3) {
        let timeline = timeline(name);
        files += 1;
        goods += usize::from(timeline.good.is_some());
        for event in &timeline.events {
            match event {
                Event::Call { fate: Some(fate), .. } => *fates.entry(*fate).or_insert(0) += 1,
                Event::Call { .. } => {}
                Event::Crash(_) => crashes += 1,
            }
        }
        let page =
            replay_html(name, std::slice::from_ref(&timeline.violation), Some(&timeline), &[]);
        assert!(page.len() < PAGE_BYTES_MAX, "{name}: {} bytes", page.len());
        is_well_formed(&page);
    }
    assert!(
        files > 5 && crashes > 3 && goods > 2,
        "{files} files, {crashes} crashes, {goods} good"
    );
    assert!(fates.contains_key(&Fate::Lost) && fates.len() > 1, "{fates:?}");
}
