//! The table of settings: how each field of [`Options`] is written and read.
//!
//! **To add a setting: one line**, its name. The compiler asks for it. Settings at their default are
//! not written.

use std::str::FromStr;

use quiver_store::Options;

use super::words::{Words, Wrong};

macro_rules! settings {
    ($($name:ident),+ $(,)?) => {
        /// The settings that are not at their default: name and value.
        pub fn changed(options: &Options) -> Vec<(&'static str, String)> {
            let usual = Options::default();
            // A field that is missing in the table below does not compile.
            let Options { $($name),+ } = options;
            let mut changed = Vec::new();
            $(if *$name != usual.$name {
                changed.push((stringify!($name), $name.to_string()));
            })+
            changed
        }

        /// Reads the name of a setting and its value.
        ///
        /// # Errors
        /// There is no such setting, or it cannot have that value.
        pub fn read(words: &mut Words, options: &mut Options) -> Result<(), Wrong> {
            let unknown = words.wrong("a setting, as a field of Options");
            match words.word("a setting")?.as_str() {
                $(stringify!($name) => options.$name = value(words)?,)+
                _ => return Err(unknown),
            }
            Ok(())
        }

        /// The same settings with one more at its default, in every way.
        pub fn simpler(options: &Options) -> Vec<Options> {
            let usual = Options::default();
            let mut all = Vec::new();
            $(if options.$name != usual.$name {
                let mut simpler = options.clone();
                simpler.$name.clone_from(&usual.$name);
                all.push(simpler);
            })+
            all
        }
    };
}

// A new setting is a line here, and nothing else.
settings! {
    batch_bytes_max,
    group_bytes_max,
    log_step_bytes_min,
    log_step_bytes_max,
    log_size_bytes_max,
    log_files_max,
    log_window_bytes,
    memtable_bytes_max,
    page_cache_bytes,
    read_ahead_bytes,
    step_bytes,
    merge_factor,
    index_bytes_max,
    reserve_bytes,
    background,
    idle_us,
    create,
}

fn value<T: FromStr>(words: &mut Words) -> Result<T, Wrong> {
    words.number("a value of that setting")
}
