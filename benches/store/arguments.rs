//! What the command line asks for.

use std::path::PathBuf;

use crate::Failure;

/// One run of this program.
#[derive(Debug)]
pub(crate) enum Arguments {
    Measure {
        dir: PathBuf,
        json: Option<PathBuf>,
        large: bool,
        /// Parts of the names of sections; none for all.
        names: Vec<String>,
    },
    /// A process whose memory another one wants to know, and what it is to do.
    Child(Vec<String>),
}

/// The first argument of a child.
pub(crate) const CHILD: &str = "--child";

impl Arguments {
    pub(crate) fn read() -> Result<Self, Failure> {
        let mut words = std::env::args().skip(1);
        let mut dir = std::env::var_os("QUIVER_BENCH_DIR").map(PathBuf::from);
        let (mut json, mut large, mut names) = (None, false, Vec::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                CHILD => return Ok(Self::Child(words.collect())),
                "--dir" => dir = Some(value()?.into()),
                "--json" => json = Some(value()?.into()),
                "--large" => large = true,
                // Cargo's own.
                "--bench" => {}
                _ if word.starts_with('-') => return Err(format!("no such option: {word}").into()),
                _ => names.push(word),
            }
        }
        let dir = dir.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
        Ok(Self::Measure { dir, json, large, names })
    }
}
