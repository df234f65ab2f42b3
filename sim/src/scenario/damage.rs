//! What somebody does to the files of a store that is not open.

use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

use quiver_store::vfs::Vfs;

use super::Stage;

impl Stage<'_> {
    pub(super) fn damage(&mut self, words: &[&str]) -> Result<(), String> {
        (self.store, self.is_damaged) = (None, true);
        self.held.clear();
        match words {
            ["remove", file] => self.replace(&self.file(file)?, None),
            ["cut", file, len] => {
                let (path, mut bytes) = self.content(file)?;
                bytes.truncate(len.parse().map_err(|_| "expected a length")?);
                self.replace(&path, Some(&bytes))
            }
            ["flip", file, bit] => {
                let (path, mut bytes) = self.content(file)?;
                let bit: usize = bit.parse().map_err(|_| "expected the number of a bit")?;
                *bytes.get_mut(bit / 8).ok_or("it has fewer bits")? ^= 1 << (bit % 8);
                self.replace(&path, Some(&bytes))
            }
            ["duplicate", file, number] => {
                let (path, bytes) = self.content(file)?;
                self.replace(&renumbered(&path, number)?, Some(&bytes))
            }
            ["restore", file] => {
                let path = self.file(file)?;
                let kept = self.kept.as_ref().ok_or("nothing was kept")?;
                let bytes = kept.read(&path).ok_or("it was not kept")?;
                self.replace(&path, Some(&bytes))
            }
            ["overwrite", file, other] => {
                let (path, bytes) = (self.file(file)?, self.content(other)?.1);
                self.replace(&path, Some(&bytes))
            }
            ["keep"] => {
                self.kept = Some(self.disk.state());
                Ok(())
            }
            ["back"] => {
                let kept = self.kept.clone().ok_or("nothing was kept")?;
                self.mount(&kept);
                Ok(())
            }
            _ => Err("no such command".to_owned()),
        }
    }

    /// The files whose names start so, in order.
    pub(super) fn files(&self, start: &str) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            self.disk.state().list().into_iter().map(|(path, _)| path).collect();
        paths.retain(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(start))
        });
        paths.sort();
        paths
    }

    fn file(&self, words: &str) -> Result<PathBuf, String> {
        let (start, number) = words.split_once('+').unwrap_or((words, "0"));
        let number: usize = number.parse().map_err(|_| "expected a number of a file")?;
        let files = self.files(start);
        files.get(number).cloned().ok_or_else(|| format!("there are {files:?}"))
    }

    fn content(&self, words: &str) -> Result<(PathBuf, Vec<u8>), String> {
        let path = self.file(words)?;
        let bytes = self.disk.state().read(&path).ok_or("it is no file")?;
        Ok((path, bytes))
    }

    /// Puts other bytes in the place of a file, durably, or takes it away.
    fn replace(&self, path: &Path, bytes: Option<&[u8]>) -> Result<(), String> {
        let (disk, site) = (&self.disk, Location::caller());
        let removed = match disk.unlink(path, site) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        let done = removed.and_then(|()| {
            if let Some(bytes) = bytes {
                let file = disk.create_new(path, site)?;
                let written = file.write_at(bytes, 0, site)?;
                assert_eq!(written, bytes.len(), "no fault is planted while it is not open");
                file.sync_data(site)?;
            }
            disk.sync_dir(path.parent().expect("it lies in a directory"), site)
        });
        done.map_err(|error| error.to_string())
    }
}

/// The name of a file, with another number in the place of its own.
fn renumbered(path: &Path, number: &str) -> Result<PathBuf, String> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("it has no name")?;
    let number: u64 = number.parse().map_err(|_| "expected a number")?;
    match name.split('-').collect::<Vec<_>>().as_slice() {
        [kind, _, tag] => Ok(path.with_file_name(format!("{kind}-{number:010}-{tag}"))),
        _ => Err(format!("{name} has no number")),
    }
}
