//! Writes a reproducer.

use std::collections::BTreeSet;

use super::chain::{At, Chain, Crash, Deed, End};
use super::words::{Text, literal};
use super::{Reproducer, VERSION, actions, settings};
use crate::disk::{Base, Exception, Filesystem, Medium, Survivors, What};
use crate::history::{Luck, Planned, Shape, Strike};

pub(super) fn reproducer(file: &Reproducer) -> String {
    let mut text = Text::default();
    line(&mut text, &format!("quiver-sim reproducer {VERSION}"));
    file.remarks.iter().for_each(|remark| text.comment(remark));
    let Reproducer { status, violates, history, .. } = file;
    line(&mut text, &format!("status {}", status.words()));
    if let Some(operations) = file.shrinks_to {
        line(&mut text, &format!("shrinks-to {operations}"));
    }
    let panics = if violates.panics { " panics" } else { "" };
    line(&mut text, &format!("violates {}{panics}", violates.word()));
    if history.seed != 0 {
        line(&mut text, &format!("seed {}", history.seed));
    }
    if history.shape != Shape::Small {
        line(&mut text, &format!("shape {}", history.shape.name()));
    }
    let Medium { filesystem, failed_sync, writeback, .. } = history.medium;
    if history.medium != Medium::default() {
        let on = match filesystem {
            Filesystem::Posix => String::new(),
            kinder => format!(" {}", kinder.name()),
        };
        line(&mut text, &format!("medium {} {}{on}", failed_sync.name(), writeback.name()));
    }
    if history.encrypted {
        line(&mut text, "encrypted");
    }
    for (name, value) in settings::changed(&history.options) {
        line(&mut text, &format!("option {name} {value}"));
    }
    for Strike { process, call, fault } in &history.strikes {
        line(&mut text, &format!("strike {} {call} process {process}", fault.name()));
    }
    if history.dice != 0 {
        line(&mut text, &format!("strike-dice {}", history.dice));
    }
    for (place, slot) in history.slots.iter().enumerate() {
        text.word(&format!("slot s{place}"));
        text.literal(slot.name.as_bytes());
        text.word(&format!("dim {}", slot.dim));
        slot.ids.iter().for_each(|id| text.literal(id.as_bytes()));
        text.end();
    }
    text.end();
    faults(&mut text, &history.opening);
    line(&mut text, "open");
    for (place, operation) in history.operations.iter().enumerate() {
        let luck = history.luck.get(place).cloned();
        let luck = luck.unwrap_or_else(|| Luck { dice: history.dice_of(place), loss: None });
        if luck.dice != 0 {
            line(&mut text, &format!("dice {}", luck.dice));
        }
        faults(&mut text, &operation.faults);
        actions::write(&operation.action, &mut text);
        match &luck.loss {
            Some(loss) => survivors(&mut text, loss),
            None => text.end(),
        }
    }
    if history.faulty {
        line(&mut text, "come-back");
    }
    chain(&mut text, &file.chain);
    text.into_string()
}

fn line(text: &mut Text, words: &str) {
    text.word(words);
    text.end();
}

fn faults(text: &mut Text, faults: &[Planned]) {
    for planned in faults {
        line(text, &format!("fault {} {}", planned.fault.name(), planned.after_calls));
    }
}

fn chain(text: &mut Text, chain: &Chain) {
    for (point, image) in &chain.dice {
        line(text, &format!("drawn {point} {image}"));
    }
    chain.crashes.iter().for_each(|one| crash(text, one));
    if let Some(then) = &chain.then {
        let word = Deed::ALL.iter().find(|(deed, _)| *deed == then.deed);
        text.word("then");
        text.word(word.expect("every deed has its word").1);
        match &then.loss {
            Some(loss) => {
                text.word("power-loss");
                survivors(text, loss);
            }
            None => text.end(),
        }
    }
}

pub(crate) fn crash(text: &mut Text, crash: &Crash) {
    text.word("crash");
    match &crash.at {
        At::After => text.word("after"),
        At::Before(kind, nth) => text.word(&format!("before {} {nth}", kind.name())),
        At::Inside(kind, nth, how) => {
            text.word(&format!("inside {} {nth} {how}", kind.name()));
        }
    }
    match &crash.end {
        End::Kill => line(text, "kill"),
        End::Loss(loss) => {
            text.word("power-loss");
            survivors(text, loss);
        }
    }
}

/// The rest of a line, and the exceptions below it.
fn survivors(text: &mut Text, survivors: &Survivors) {
    line(text, base_word(survivors.base));
    for exception in &survivors.exceptions {
        line(text, &format!("    but {}", words_of(exception)));
    }
}

pub(super) fn base_word(base: Base) -> &'static str {
    match base {
        Base::Nothing => "nothing",
        Base::Everything => "everything",
    }
}

fn words_of(exception: &Exception) -> String {
    let what = match &exception.what {
        What::Keeps(change, sectors) => format!("keeps change {change}{}", ranges(sectors)),
        What::Loses(change, sectors) => format!("loses change {change}{}", ranges(sectors)),
        What::Length(len) => format!("length {len}"),
        What::Mix { change, sector, at, old_first } => {
            let first = if *old_first { "old-first" } else { "new-first" };
            format!("mix change {change} sector {sector} at {at} {first}")
        }
        What::Scrap { change, sector, seed } => {
            format!("scrap change {change} sector {sector} seed {seed}")
        }
        What::Garbage { sector, seed } => format!("garbage sector {sector} seed {seed}"),
        What::Stale { sector, of } => format!("stale sector {sector} from {}", place(of)),
    };
    format!("{what} of {}", place(&exception.place))
}

/// A file or directory: in quotes where its name is no word.
fn place(name: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || c.is_control() || "{}[];\"\\".contains(c);
    let is_word = !name.is_empty() && !name.starts_with('#') && !name.contains(ends_word);
    if is_word { name.to_owned() } else { literal(name.as_bytes()) }
}

/// Sectors as ` sectors 0-3 5`.
fn ranges(sectors: &BTreeSet<u64>) -> String {
    let mut out = String::new();
    let mut rest = sectors.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while rest.next_if(|next| *next == last + 1).is_some() {
            last += 1;
        }
        out.push_str(if out.is_empty() { " sectors " } else { " " });
        out.push_str(&if first == last { first.to_string() } else { format!("{first}-{last}") });
    }
    out
}
