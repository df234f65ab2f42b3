//! Reproducers of several machines, gathered into one collection.
//!
//! - U1. A violation with the same content is there once, whatever is remarked at its head. A file that
//!   is mended and one that is open are the same; files of different planted bugs are not.
//! - U2. A name that another content has gets a number behind it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Reproducer, Status, Wrong};

/// What was gathered so far.
#[derive(Debug, Default)]
pub struct Gather {
    seen: BTreeMap<String, (String, Status)>,
    names: BTreeSet<String>,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// It is new, and has this name.
    New(String),
    /// The same is there under this name and with this status.
    Again(String, Status),
}

impl Gather {
    /// Takes in a file by its name without the ending.
    ///
    /// # Errors
    /// It does not parse.
    pub fn take(&mut self, name: &str, text: &str) -> Result<Gathered, Wrong> {
        let file = Reproducer::parse(text)?;
        let status = file.status.clone();
        let planted = matches!(status, Status::Planted(_));
        let of = if planted { status.clone() } else { Status::Open };
        let plain = Reproducer { remarks: Vec::new(), status: of, shrinks_to: None, ..file };
        let content = plain.text();
        if let Some((name, status)) = self.seen.get(&content) {
            return Ok(Gathered::Again(name.clone(), status.clone()));
        }
        let names = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(names);
        let free = names.find(|name| !self.names.contains(name));
        let free = free.expect("numbers do not run out");
        self.names.insert(free.clone());
        self.seen.insert(content, (free.clone(), status));
        Ok(Gathered::New(free))
    }

    /// Says that a name is taken by something else.
    pub fn occupy(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "quiver-sim reproducer 1\nstatus open\nviolates I1\nslot s0 \"c0\" dim 1\n\n\
                        open\ncreate s0 l2 dim 1\ncrash after power-loss nothing\n";

    #[test]
    fn same_content_is_there_once_and_names_that_clash_are_told_apart() {
        let mut gather = Gather::default();
        let new = |name: &str| Ok(Gathered::New(name.to_owned()));
        let again = |name: &str, status| Ok(Gathered::Again(name.to_owned(), status));
        assert_eq!(gather.take("a", OPEN), new("a"));
        let remarked = OPEN.replace("status", "# seen by shard 2\nstatus");
        assert_eq!(gather.take("b", &remarked), again("a", Status::Open));
        assert_eq!(
            gather.take("b", &OPEN.replace("open\nv", "fixed\nv")),
            again("a", Status::Open)
        );
        assert_eq!(gather.take("a", &OPEN.replace("violates I1", "violates I2")), new("a-2"));
        assert_eq!(gather.take("a", &OPEN.replace("nothing", "everything")), new("a-3"));
        let planted = OPEN.replace("status open", "status planted lying-sync");
        assert_eq!(gather.take("a", &planted), new("a-4"));
        gather.occupy("c");
        assert_eq!(gather.take("c", &OPEN.replace("\"c0\"", "\"c1\"")), new("c-2"));
        assert!(gather.take("d", &OPEN[..60]).is_err());
    }
}
