//! Round trips, and what wrong files are told.

use super::chain::{At, Chain, Crash, Deed, End, Then};
use super::*;
use crate::disk::{Base, Exception, Fault, Inside, IoKind, Survivors, Synced, What, WriteTear};
use crate::history::{Luck, Operation, Strike};
use crate::stream::Stream;

/// A file of any history, with any crashes.
fn any(seed: u64) -> Reproducer {
    let mut stream = Stream::at(seed, &[7]);
    let mut history = History::of(seed);
    history.luck = (0..history.operations.len())
        .map(|_| Luck {
            dice: stream.below(3),
            loss: stream.chance(1, 5).then(|| any_survivors(&mut stream)),
        })
        .collect();
    for process in 0..stream.index(3) {
        let fault = *stream.pick(&Fault::ALL);
        history.strikes.push(Strike { process, call: stream.below(9), fault });
        history.dice = stream.below(3);
    }
    let mut chain = Chain::default();
    for _ in 0..stream.below(4) {
        chain.dice.push((stream.below(1000), stream.draw()));
        let at = any_moment(&mut stream);
        let kill = stream.chance(1, 2);
        let end = if kill { End::Kill } else { End::Loss(any_survivors(&mut stream)) };
        chain.crashes.push(Crash { at, end });
    }
    if !chain.crashes.is_empty() && stream.chance(1, 2) {
        let deed = stream.pick(&Deed::ALL).0;
        let loss = stream.chance(1, 2).then(|| any_survivors(&mut stream));
        chain.then = Some(Then { deed, loss });
    }
    let remarks = vec!["expected: this".to_owned(), String::new(), "found: # that".to_owned()];
    let status = match stream.below(3) {
        0 => Status::Open,
        1 => Status::Fixed,
        _ => Status::Planted("lying-sync".to_owned()),
    };
    let invariant = *stream.pick(&Invariant::ALL);
    let violates = Violates { invariant, panics: stream.chance(1, 4) };
    let shrinks_to = stream.chance(1, 3).then(|| stream.index(20));
    Reproducer { remarks, status, shrinks_to, violates, history, chain }
}

fn any_moment(stream: &mut Stream) -> At {
    let kinds: Vec<IoKind> = IoKind::ALL.into_iter().filter(|kind| kind.mutates()).collect();
    let (kind, nth) = (*stream.pick(&kinds), stream.index(20));
    let inside = match stream.below(8) {
        0 => return At::After,
        1 => return At::Before(kind, nth),
        2 => Inside::Cut(stream.below(5000)),
        3 => Inside::Torn(*stream.pick(&WriteTear::ALL)),
        4 => Inside::Grown(stream.below(5000)),
        5 => Inside::Synced(vec![Synced::Kept, Synced::Pending, Synced::Scattered(stream.draw())]),
        6 => Inside::Happened,
        _ => Inside::NotHappened,
    };
    At::Inside(kind, nth, inside)
}

fn any_survivors(stream: &mut Stream) -> Survivors {
    let base = if stream.chance(1, 2) { Base::Nothing } else { Base::Everything };
    let mut exceptions = Vec::new();
    for _ in 0..stream.below(4) {
        let (change, sector, seed) = (stream.index(9), stream.below(9), stream.draw());
        let sectors = (0..stream.below(5)).map(|_| stream.below(9)).collect();
        let what = match stream.below(7) {
            0 => What::Keeps(change, sectors),
            1 => What::Loses(change, sectors),
            2 => What::Length(seed),
            3 => What::Mix { change, sector, at: 17, old_first: seed.is_multiple_of(2) },
            4 => What::Scrap { change, sector, seed },
            5 => What::Garbage { sector, seed },
            _ => What::Stale { sector, of: "deleted@2".to_owned() },
        };
        exceptions.push(Exception { place: "/store/log-0000000001-*.wal@2".to_owned(), what });
    }
    Survivors { base, exceptions }
}

#[test]
fn every_file_round_trips() {
    for seed in 0..600 {
        let file = any(seed);
        let text = file.text();
        let read = Reproducer::parse(&text).unwrap_or_else(|wrong| panic!("{wrong} of {text}"));
        assert_eq!(read.text(), text, "seed {seed}");
        assert_eq!(format!("{read:?}"), format!("{file:?}"), "seed {seed}: {text}");
    }
}

#[test]
fn every_operation_of_the_table_round_trips() {
    let mut stream = Stream::new(3);
    for turn in 0..300 {
        let mut file = any(1);
        let slot = file.history.slots[0].clone();
        file.history.slots = vec![slot; 3];
        let actions = actions::samples(&mut stream);
        file.history.operations =
            actions.into_iter().map(|action| Operation { action, faults: Vec::new() }).collect();
        file.history.luck = vec![Luck::default(); file.history.operations.len()];
        let text = file.text();
        let read = Reproducer::parse(&text).unwrap_or_else(|wrong| panic!("{wrong} of {text}"));
        assert_eq!(format!("{read:?}"), format!("{file:?}"), "turn {turn}: {text}");
    }
}

#[test]
fn every_way_to_make_an_operation_simpler_is_one() {
    let mut stream = Stream::new(4);
    let mut tried = 0;
    for _ in 0..100 {
        for action in actions::samples(&mut stream) {
            let before = format!("{action:?}");
            for part in 0..actions::parts(&mut action.clone()).len() {
                let ways = actions::parts(&mut action.clone())[part].ways();
                for way in 0..ways {
                    let mut simpler = action.clone();
                    actions::parts(&mut simpler)[part].simplify(way);
                    assert_ne!(format!("{simpler:?}"), before);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 5000, "{tried}");
}

#[test]
fn invariants_are_told_apart_by_their_first_words() {
    let words: std::collections::BTreeSet<&str> = Invariant::ALL.into_iter().map(word_of).collect();
    assert_eq!(words.len(), Invariant::ALL.len());
}

const HEAD: &str = "quiver-sim reproducer 1\nstatus open\nviolates I1\nslot s0 \"c\" dim 1\n";

#[test]
fn wrong_files_are_refused_with_the_line() {
    let after_head = [
        ("open\nupsert s0 \"a\" [x] \"\"", 6, "expected a number of a vector, or `]`, found `x`"),
        ("open\nupsert s1 \"a\" [0] \"\"", 6, "expected the slot s0, found `s1`"),
        ("open\nupsert s0 a [0] \"\"", 6, "expected an id in quotes, found `a`"),
        ("open\nupsert s0 \"a\" [0]", 6, "expected a payload in quotes, found the end of the line"),
        ("open\nfly s0", 6, "expected an operation, found `fly`"),
        ("open\ncheckpoint now", 6, "expected the end of the line, found `now`"),
        ("open\nwrite { delete s0 \"a\"", 6, "`{` is never closed"),
        (
            "open\nwrite { delete s0 \"a\" delete s0 \"b\" }",
            6,
            "expected `;`, a new line or `}`, found `delete`",
        ),
        ("open\nfault sync-eio 0\n\nfault late 1", 8, "expected the name of a fault, found `late`"),
        ("open\nfault sync-eio 0\n", 6, "faults or dice without an operation behind them"),
        ("open\ncrash after sleep", 6, "expected kill or power-loss, found `sleep`"),
        (
            "open\ncrash before read 0 kill",
            6,
            "expected a call that changes something, such as sync, found `read`",
        ),
        ("open\ncrash after kill\nkill", 7, "an operation behind `crash` or `come-back`"),
        ("open\nthen tidy", 6, "`then` belongs behind the last crash"),
        ("open\npower-loss nothing\n  but keeps 1 of /a", 7, "expected `change`, found `1`"),
        ("open\npower-loss all", 6, "expected the end of the line, found `all`"),
        ("open\nbut length 3 of /a", 6, "expected an operation, found `but`"),
        ("option depth 3\nopen", 5, "expected a setting, as a field of Options, found `depth`"),
        ("option create maybe\nopen", 5, "expected a value of that setting, found `maybe`"),
        ("slot s2 \"d\" dim 1\nopen", 5, "expected `s1`, found `s2`"),
        ("status fixed\nopen", 5, "a second `status` line"),
        (
            "kill\nopen",
            5,
            "expected status, shrinks-to, violates, seed, encrypted, option, slot, strike, fault or open, \
             found `kill`",
        ),
        ("shrinks-to few\nopen", 5, "expected a number of operations, found `few`"),
        ("shrinks-to 2\nshrinks-to 3\nopen", 6, "a second `shrinks-to` line"),
        ("", 4, "no `open` line: the file has no history"),
    ];
    for (body, line, what) in after_head {
        let found = Reproducer::parse(&format!("{HEAD}{body}")).expect_err(body);
        assert_eq!((found.line, found.what.as_str()), (line, what), "{body:?}");
    }
    let whole = [
        ("", 1, "expected `quiver-sim`, found the end of the line"),
        ("quiver-sim reproducer 2\n", 1, "format version 2, this program knows 1"),
        ("quiver-sim reproducer 1\nopen", 2, "no `status` line before this one"),
        ("quiver-sim reproducer 1\nstatus open\nopen", 3, "no `violates` line before this one"),
        (
            "quiver-sim reproducer 1\nviolates I99\n",
            2,
            "expected the first word of an invariant's name, found `I99`",
        ),
    ];
    for (text, line, what) in whole {
        let found = Reproducer::parse(text).expect_err(text);
        assert_eq!((found.line, found.what.as_str()), (line, what), "{text:?}");
    }
}

#[test]
fn no_cut_and_no_changed_byte_of_a_file_is_a_panic() {
    for seed in 0..40 {
        let text = any(seed).text();
        let mut stream = Stream::new(seed);
        for _ in 0..200 {
            let mut bytes = text.clone().into_bytes();
            bytes.truncate(stream.size(0, bytes.len()));
            for _ in 0..stream.below(3).min(bytes.len() as u64) {
                let at = stream.index(bytes.len());
                bytes[at] = *stream.pick(b"0 \"{}[];#x*+\n-9k");
            }
            drop(Reproducer::parse(&String::from_utf8_lossy(&bytes)));
        }
    }
}
