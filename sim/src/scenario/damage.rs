//! What somebody does to the files of a store that is not open.

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
        let done = disk.unlink(path, site).and_then(|()| {
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
