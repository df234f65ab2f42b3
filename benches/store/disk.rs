//! What the benchmark asks the system about files.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Advice;

/// The type of the filesystem that a directory is on, as the system lists its mounts.
pub(crate) fn filesystem(dir: &Path) -> io::Result<String> {
    let dir = dir.canonicalize()?;
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else {
        return Ok("unknown".to_owned());
    };
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        dir.starts_with(point).then(|| (point.len(), kind.to_owned()))
    });
    // Of two mounts on one point the later one is seen.
    Ok(mounts.max_by_key(|(len, _)| *len).map_or("unknown".to_owned(), |(_, kind)| kind))
}

/// Makes the files of a directory durable, without which the system keeps them in memory.
pub(crate) fn settle(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    Ok(())
}

/// Drops the files of a directory from the system's page cache; [`settle`] them first.
pub(crate) fn drop_cached(dir: &Path) -> io::Result<()> {
    for file in open_all(dir)? {
        drop_cached_file(&file)?;
    }
    Ok(())
}

/// The files of a directory, to be dropped often.
pub(crate) fn open_all(dir: &Path) -> io::Result<Vec<File>> {
    std::fs::read_dir(dir)?.map(|entry| File::open(entry?.path())).collect()
}

/// Drops one file from the system's page cache.
pub(crate) fn drop_cached_file(file: &File) -> io::Result<()> {
    rustix::fs::fadvise(file, 0, None, Advice::DontNeed).map_err(io::Error::from)
}

/// Space that the files of a directory take.
pub(crate) fn bytes_on_disk(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.blocks() * 512;
    }
    Ok(bytes)
}

/// Copies the files of a directory into a new one, durable.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    settle(to)
}
