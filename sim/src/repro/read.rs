//! Reads a reproducer.

use std::collections::BTreeSet;

use quiver_store::Options;

use super::chain::{At, Chain, Crash, Deed, End, Then};
use super::words::{Token, Words, Wrong};
use super::write::base_word;
use super::{Reproducer, Status, VERSION, Violates, actions, invariant_of, settings};
use crate::disk::{
    Base, Exception, FailedSync, Fault, Filesystem, Inside, IoKind, Medium, Survivors, Synced,
    What, WriteTear, WritebackReport,
};
use crate::history::{History, Luck, Operation, Planned, Shape, Slot, Strike};

/// More sectors than this no change has.
const SECTORS_MAX: u64 = 1 << 22;

pub(super) fn reproducer(text: &str) -> Result<Reproducer, Wrong> {
    let remarks = remarks(text);
    let mut words = Words::of(text)?;
    let words = &mut words;
    words.expect("quiver-sim")?;
    words.expect("reproducer")?;
    let version: u32 = words.number("the version of the format")?;
    if version != VERSION {
        let what = format!("format version {version}, this program knows {VERSION}");
        return Err(Wrong { line: 1, what });
    }
    words.end_of_line()?;
    let mut head = Head::default();
    let mut faults = Vec::new();
    loop {
        words.skip_ends();
        if words.took("open") {
            break;
        }
        if words.took("fault") {
            faults.push(fault(words)?);
        } else {
            head.line(words)?;
        }
        words.end_of_line()?;
    }
    let line = words.line();
    words.end_of_line()?;
    let missing = |what: &str| Wrong { line, what: format!("no `{what}` line before this one") };
    let history = History {
        seed: head.seed.unwrap_or(0),
        shape: head.shape.unwrap_or(Shape::Small),
        options: head.options,
        slots: head.slots,
        opening: faults,
        operations: Vec::new(),
        strikes: head.strikes,
        dice: head.strike_dice,
        luck: Vec::new(),
        medium: head.medium.unwrap_or_default(),
        encrypted: head.encrypted,
        faulty: false,
    };
    let mut file = Reproducer {
        remarks,
        status: head.status.ok_or_else(|| missing("status"))?,
        shrinks_to: head.shrinks_to,
        violates: head.violates.ok_or_else(|| missing("violates"))?,
        history,
        chain: Chain::default(),
    };
    body(words, &mut file)?;
    Ok(file)
}

/// The comments right below the first line.
fn remarks(text: &str) -> Vec<String> {
    let lines = text.lines().skip(1).map_while(|line| line.strip_prefix('#'));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()).collect()
}

/// What stands before `open`.
#[derive(Default)]
struct Head {
    status: Option<Status>,
    shrinks_to: Option<usize>,
    violates: Option<Violates>,
    seed: Option<u64>,
    medium: Option<Medium>,
    shape: Option<Shape>,
    encrypted: bool,
    options: Options,
    slots: Vec<Slot>,
    strikes: Vec<Strike>,
    strike_dice: u64,
}

fn status(words: &mut Words) -> Result<Status, Wrong> {
    Ok(match words.word("open, fixed or planted")?.as_str() {
        "open" => Status::Open,
        "fixed" => Status::Fixed,
        "planted" => Status::Planted(words.word("the name of a planted bug")?),
        other => return Err(words.says(format!("no status {other:?}: open, fixed or planted"))),
    })
}

impl Head {
    fn line(&mut self, words: &mut Words) -> Result<(), Wrong> {
        if words.is_done() {
            return Err(words.says("no `open` line: the file has no history".to_owned()));
        }
        let twice = |words: &Words, what: &str| words.says(format!("a second `{what}` line"));
        if words.took("status") {
            let status = status(words)?;
            return self.status.replace(status).map_or(Ok(()), |_| Err(twice(words, "status")));
        }
        if words.took("shrinks-to") {
            let before = self.shrinks_to.replace(words.number("a number of operations")?);
            return before.map_or(Ok(()), |_| Err(twice(words, "shrinks-to")));
        }
        if words.took("violates") {
            let invariant = words
                .one_of("the first word of an invariant's name", |word| invariant_of(word).ok())?;
            let violates = Violates { invariant, panics: words.took("panics") };
            let before = self.violates.replace(violates);
            return before.map_or(Ok(()), |_| Err(twice(words, "violates")));
        }
        if words.took("seed") {
            let before = self.seed.replace(words.number("a seed")?);
            return before.map_or(Ok(()), |_| Err(twice(words, "seed")));
        }
        if words.took("medium") {
            let medium = medium(words)?;
            let before = self.medium.replace(medium);
            return before.map_or(Ok(()), |_| Err(twice(words, "medium")));
        }
        if words.took("shape") {
            let shape = words.one_of("small, many, wide or churn", |word| {
                Shape::ALL.into_iter().find(|shape| shape.name() == word)
            })?;
            let before = self.shape.replace(shape);
            return before.map_or(Ok(()), |_| Err(twice(words, "shape")));
        }
        if words.took("encrypted") {
            let before = std::mem::replace(&mut self.encrypted, true);
            return if before { Err(twice(words, "encrypted")) } else { Ok(()) };
        }
        if words.took("option") {
            return settings::read(words, &mut self.options);
        }
        if words.took("strike") {
            let Planned { after_calls: call, fault } = fault(words)?;
            words.expect("process")?;
            let process = words.number("a number of a process")?;
            self.strikes.push(Strike { process, call, fault });
            return Ok(());
        }
        if words.took("strike-dice") {
            self.strike_dice = words.number("a number")?;
            return Ok(());
        }
        if words.took("slot") {
            return self.slot(words);
        }
        Err(words.wrong(
            "status, shrinks-to, violates, seed, encrypted, option, slot, strike, fault or open",
        ))
    }

    fn slot(&mut self, words: &mut Words) -> Result<(), Wrong> {
        words.expect(&format!("s{}", self.slots.len()))?;
        let name = words.text("the name of a collection in quotes")?.into();
        words.expect("dim")?;
        let dim = words.number("a dimension")?;
        let mut ids = Vec::new();
        while *words.peek() != Token::End {
            ids.push(words.text("an id in quotes")?.into());
        }
        self.slots.push(Slot { name, dim, ids });
        words.slots = self.slots.len();
        Ok(())
    }
}

/// What stands after `open`: operations, then crashes.
fn body(words: &mut Words, file: &mut Reproducer) -> Result<(), Wrong> {
    let (mut faults, mut dice) = (Vec::new(), 0);
    let Reproducer { history, chain, .. } = file;
    loop {
        words.skip_ends();
        if words.is_done() {
            break;
        }
        let line = words.line();
        let crashed = !chain.crashes.is_empty() || history.faulty;
        if words.took("crash") {
            chain.crashes.push(crash(words)?);
            continue;
        } else if words.took("then") {
            if chain.crashes.is_empty() || chain.then.is_some() {
                return Err(Wrong {
                    line,
                    what: "`then` belongs behind the last crash".to_owned(),
                });
            }
            chain.then = Some(then(words)?);
            continue;
        } else if words.took("drawn") {
            chain.dice.push((words.number("a point")?, words.number("an image")?));
        } else if crashed {
            let what = "an operation behind `crash` or `come-back`".to_owned();
            return Err(Wrong { line, what });
        } else if words.took("fault") {
            faults.push(fault(words)?);
        } else if words.took("dice") {
            dice = words.number("a number")?;
        } else if words.took("come-back") {
            history.faulty = true;
        } else {
            let action = actions::read(words)?;
            let said = matches!(words.peek(), Token::Word(word) if base_of(word).is_some());
            let loss = if said { Some(survivors(words)?) } else { None };
            let faults = std::mem::take(&mut faults);
            history.operations.push(Operation { action, faults });
            history.luck.push(Luck { dice: std::mem::take(&mut dice), loss });
            if said {
                continue;
            }
        }
        words.end_of_line()?;
    }
    if faults.is_empty() && dice == 0 {
        return Ok(());
    }
    Err(words.says("faults or dice without an operation behind them".to_owned()))
}

fn fault(words: &mut Words) -> Result<Planned, Wrong> {
    let fault = words.one_of("the name of a fault", |word| {
        Fault::ALL.into_iter().find(|fault| fault.name() == word)
    })?;
    Ok(Planned { after_calls: words.number("a number of a call")?, fault })
}

pub(crate) fn crash(words: &mut Words) -> Result<Crash, Wrong> {
    let at = match words.word("after, before or inside")?.as_str() {
        "after" => At::After,
        "before" => At::Before(call(words)?, words.number("a number of a call")?),
        "inside" => At::Inside(call(words)?, words.number("a number of a call")?, inside(words)?),
        other => return Err(words.says(format!("no crash {other:?}: after, before or inside"))),
    };
    if words.took("kill") {
        words.end_of_line()?;
        return Ok(Crash { at, end: End::Kill });
    }
    if !words.took("power-loss") {
        return Err(words.wrong("kill or power-loss"));
    }
    Ok(Crash { at, end: End::Loss(survivors(words)?) })
}

fn call(words: &mut Words) -> Result<IoKind, Wrong> {
    words.one_of("a call that changes something, such as sync", |word| {
        let mut kinds = IoKind::ALL.into_iter().filter(|kind| kind.mutates());
        kinds.find(|kind| kind.name() == word)
    })
}

fn inside(words: &mut Words) -> Result<Inside, Wrong> {
    let expected = "cut, torn, grown, synced, happened or not-happened";
    let wrong = words.wrong(expected);
    Ok(match words.word(expected)?.as_str() {
        "cut" => Inside::Cut(words.number("a number of bytes")?),
        "grown" => Inside::Grown(words.number("a length")?),
        "torn" => Inside::Torn(words.one_of("the name of a tear", |word| {
            WriteTear::ALL.into_iter().find(|tear| tear.name() == word)
        })?),
        "synced" => Inside::Synced(words.list(|words| {
            let wrong = words.wrong("kept, pending or scattered");
            Ok(match words.word("kept, pending or scattered")?.as_str() {
                "kept" => Synced::Kept,
                "pending" => Synced::Pending,
                "scattered" => Synced::Scattered(words.number("a seed")?),
                _ => return Err(wrong),
            })
        })?),
        "happened" => Inside::Happened,
        "not-happened" => Inside::NotHappened,
        _ => return Err(wrong),
    })
}

fn then(words: &mut Words) -> Result<Then, Wrong> {
    let deed = words.one_of(
        "again, nothing, look-up, verify, back-up, tidy, write, create or everything",
        |word| Deed::ALL.iter().find(|(_, known)| *known == word).map(|(deed, _)| *deed),
    )?;
    if words.took("power-loss") {
        return Ok(Then { deed, loss: Some(survivors(words)?) });
    }
    words.end_of_line()?;
    Ok(Then { deed, loss: None })
}

fn base_of(word: &str) -> Option<Base> {
    [Base::Nothing, Base::Everything].into_iter().find(|base| base_word(*base) == word)
}

/// The rest of a line, and the exceptions below it.
fn survivors(words: &mut Words) -> Result<Survivors, Wrong> {
    let base = words.one_of("nothing or everything", base_of)?;
    words.end_of_line()?;
    let mut exceptions = Vec::new();
    loop {
        words.skip_ends();
        if !words.took("but") {
            return Ok(Survivors { base, exceptions });
        }
        let what = what(words)?;
        words.expect("of")?;
        exceptions.push(Exception { place: place(words, "a file or directory")?, what });
        words.end_of_line()?;
    }
}

/// A word, or what is none in quotes.
fn place(words: &mut Words, expected: &str) -> Result<String, Wrong> {
    match words.peek() {
        Token::Literal(_) => words.text(expected),
        _ => words.word(expected),
    }
}

fn what(words: &mut Words) -> Result<What, Wrong> {
    let expected = "keeps, loses, length, mix, scrap, garbage or stale";
    let wrong = words.wrong(expected);
    let word = words.word(expected)?;
    let named = |words: &mut Words, name: &str| -> Result<u64, Wrong> {
        words.expect(name)?;
        words.number(&format!("the number of a {name}"))
    };
    let change = |words: &mut Words| -> Result<usize, Wrong> {
        words.expect("change")?;
        words.number("the number of a change")
    };
    Ok(match word.as_str() {
        "keeps" => What::Keeps(change(words)?, sectors(words)?),
        "loses" => What::Loses(change(words)?, sectors(words)?),
        "length" => What::Length(words.number("a length")?),
        "mix" => {
            let (change, sector) = (change(words)?, named(words, "sector")?);
            words.expect("at")?;
            let at = words.number("a byte of a sector")?;
            let old_first = words.one_of("old-first or new-first", |word| match word {
                "old-first" => Some(true),
                "new-first" => Some(false),
                _ => None,
            })?;
            What::Mix { change, sector, at, old_first }
        }
        "scrap" => What::Scrap {
            change: change(words)?,
            sector: named(words, "sector")?,
            seed: named(words, "seed")?,
        },
        "garbage" => What::Garbage { sector: named(words, "sector")?, seed: named(words, "seed")? },
        "stale" => {
            let sector = named(words, "sector")?;
            words.expect("from")?;
            What::Stale { sector, of: place(words, "a file")? }
        }
        _ => return Err(wrong),
    })
}

/// How the disks behave, behind that word.
fn medium(words: &mut Words) -> Result<Medium, Wrong> {
    let failed_sync = words.one_of("shows-new or shows-old", |word| {
        FailedSync::ALL.into_iter().find(|kind| kind.name() == word)
    })?;
    let writeback = words.one_of("told-in-process, -to-handles or -after-kills", |word| {
        WritebackReport::ALL.into_iter().find(|kind| kind.name() == word)
    })?;
    let filesystem = match words.peek() {
        Token::Word(_) => words.one_of("ext4, xfs or btrfs", |word| {
            Filesystem::ALL.into_iter().find(|kind| kind.name() == word)
        })?,
        _ => Filesystem::Posix,
    };
    Ok(Medium { filesystem, failed_sync, writeback, ..Medium::default() })
}

/// Sectors as `sectors 0-3 5`; none where nothing is said.
fn sectors(words: &mut Words) -> Result<BTreeSet<u64>, Wrong> {
    let mut sectors = BTreeSet::new();
    if !words.took("sectors") {
        return Ok(sectors);
    }
    loop {
        let (first, last) = words.one_of("sectors, such as 0-3", |word| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last && last < SECTORS_MAX).then_some((first, last))
        })?;
        sectors.extend(first..=last);
        if matches!(words.peek(), Token::Word(next) if next == "of") {
            return Ok(sectors);
        }
    }
}
