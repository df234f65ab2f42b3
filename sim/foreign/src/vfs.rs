//! The simulated disk as a VFS of SQLite: the one file here with unsafe code.
//!
//! - V1. A connection belongs to the [`SimFs`] that was entered when it was opened, and each of its files
//!   keeps it. Names that SQLite asks about are looked up on the one that is entered just now, so that every
//!   call into SQLite is made from within [`within`].
//! - V2. A panic of the disk does not pass through C: it is kept, every later call fails, and `within` goes
//!   on with it.
//! - V3. SQLite draws its random numbers, and reads its clock, from here. Its generator is one for the whole
//!   process; [`reseed`] makes it begin anew. So what is to be repeatable has one thread.
//! - V4. As SQLite's own VFS for Unix: the directory is synced once, with the first sync of a journal or log
//!   that this handle may have created, and after a removal where SQLite asks for it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::Once;

use quiver_sim::fs::{File, OpenOptions, SimFs};
use quiver_sim::stream::scrambled;
use rusqlite::ffi;

/// The name of the VFS.
pub(crate) const NAME: &str = "quiver-sim";

/// Bytes of a path, at most, and its end.
const PATH_BYTES_MAX: c_int = 256;

/// The bytes that are written or lost as one.
const SECTOR_BYTES: c_int = 512;

/// Noon of a day in 2026, as a Julian day.
const NOW_DAYS: f64 = 2_461_042.0;

thread_local! {
    static ENTERED: RefCell<Option<SimFs>> = const { RefCell::new(None) };
    static PANIC: RefCell<Option<Box<dyn Any + Send>>> = const { RefCell::new(None) };
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

/// A file as SQLite sees it: it gives the space, we what is in it.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    /// None once it is closed.
    inner: *mut Inner,
}

struct Inner {
    file: File,
    fs: SimFs,
    /// The directory has to be synced with the next sync (V4).
    syncs_directory: bool,
}

/// Lets SQLite run on this filesystem (V1, V2).
pub(crate) fn within<T>(fs: &SimFs, run: impl FnOnce() -> T) -> T {
    register();
    let before = ENTERED.replace(Some(fs.clone()));
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    ENTERED.set(before);
    match (PANIC.take(), result) {
        (Some(first), _) => panic::resume_unwind(first),
        (None, Err(panic)) => panic::resume_unwind(panic),
        (None, Ok(value)) => value,
    }
}

/// Begins the random numbers of SQLite anew (V3), with others for a process that finds another disk: it rests on
/// salts that do not come again, of which those before a crash are still on the disk.
pub(crate) fn reseed(fs: &SimFs) {
    register();
    DRAWN.set(fs.seed());
    // SAFETY: with no buffer it only forgets the state of the generator.
    unsafe { ffi::sqlite3_randomness(0, ptr::null_mut()) };
}

fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let name = c"quiver-sim";
        assert_eq!(name.to_str(), Ok(NAME));
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: c_int::try_from(size_of::<OpenFile>()).expect("two pointers"),
            mxPathname: PATH_BYTES_MAX,
            pNext: ptr::null_mut(),
            zName: name.as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(get_last_error),
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: the table lives as long as the process, and is never written by us again. It is the default,
        // as the random numbers are drawn from that.
        let status = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 1) };
        assert_eq!(status, ffi::SQLITE_OK, "a VFS of version 1 is accepted");
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without shared memory: the log is used by one connection, in exclusive mode.
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(nothing_to_lock),
    xUnlock: Some(nothing_to_lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Runs a call, and keeps its panic (V2). `failed` is the code of an error.
fn guarded(failed: c_int, run: impl FnOnce() -> io::Result<c_int>) -> c_int {
    if PANIC.with_borrow(Option::is_some) {
        return failed;
    }
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) if error.kind() == io::ErrorKind::StorageFull => ffi::SQLITE_FULL,
        Ok(Err(_)) => failed,
        Err(panic) => {
            PANIC.set(Some(panic));
            failed
        }
    }
}

fn entered() -> io::Result<SimFs> {
    ENTERED.with_borrow(Clone::clone).ok_or_else(|| io::Error::other("no filesystem is entered"))
}

/// A path that SQLite names.
///
/// # Safety
/// It is null, or ends in a zero.
unsafe fn path_of<'a>(name: *const c_char) -> io::Result<&'a str> {
    if name.is_null() {
        // Temporary files are in memory, by the settings of the connection.
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: by the contract of this function.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_str().map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// What is in a file.
///
/// # Safety
/// It was opened by [`open`] and is not closed.
unsafe fn inner<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Inner {
    // SAFETY: SQLite hands out only files that `open` has filled in, each from one thread at a time.
    unsafe { &mut *(*file.cast::<OpenFile>()).inner }
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes. Without methods it does not close what is not open.
    unsafe { (*file).pMethods = ptr::null() };
    guarded(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: a name that SQLite hands out.
        let path = unsafe { path_of(name)? };
        let fs = entered()?;
        let creates = flags & ffi::SQLITE_OPEN_CREATE != 0;
        let writes = flags & ffi::SQLITE_OPEN_READWRITE != 0;
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(writes).create(creates).open(&fs, path)?;
        let logs =
            ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
        // Whether it was there or not: whoever made it may have been killed before its sync.
        let syncs_directory = creates && flags & logs != 0;
        let inner = Box::into_raw(Box::new(Inner { file: opened, fs, syncs_directory }));
        // SAFETY: as above; the flags may be null.
        unsafe {
            (*file.cast::<OpenFile>()).inner = inner;
            (*file).pMethods = &METHODS;
            if let Some(out) = out_flags.as_mut() {
                *out = flags;
            }
        }
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once; the box was made by `open`.
    let inner = unsafe { Box::from_raw((*file.cast::<OpenFile>()).inner) };
    drop(inner);
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_READ, || {
        let (count, offset) = (sized(i64::from(count))?, positive(offset)?);
        // SAFETY: SQLite gives this many bytes of its own; they are initialized by `fill`.
        let buf = unsafe {
            ptr::write_bytes(to.cast::<u8>(), 0, count);
            std::slice::from_raw_parts_mut(to.cast::<u8>(), count)
        };
        // SAFETY: an open file.
        let inner = unsafe { inner(file) };
        let mut done = 0;
        while done < count {
            match inner.file.read_at(&mut buf[done..], offset + done as u64) {
                // What is missing is zeros, and told.
                Ok(0) => return Ok(ffi::SQLITE_IOERR_SHORT_READ),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_WRITE, || {
        let (count, offset) = (sized(i64::from(count))?, positive(offset)?);
        // SAFETY: SQLite gives this many initialized bytes.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), count) };
        // SAFETY: an open file.
        unsafe { inner(file) }.file.write_all_at(bytes, offset)?;
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    guarded(ffi::SQLITE_IOERR_TRUNCATE, || {
        // SAFETY: an open file.
        unsafe { inner(file) }.file.set_len(positive(len)?)?;
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    guarded(ffi::SQLITE_IOERR_FSYNC, || {
        // SAFETY: an open file.
        let inner = unsafe { inner(file) };
        inner.file.sync_all()?;
        if std::mem::take(&mut inner.syncs_directory) {
            inner.fs.sync_dir("/")?;
        }
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    guarded(ffi::SQLITE_IOERR_FSTAT, || {
        // SAFETY: an open file.
        let len = unsafe { inner(file) }.file.metadata()?.len();
        // SAFETY: SQLite gives the place.
        unsafe { *size = i64::try_from(len).map_err(io::Error::other)? };
        Ok(ffi::SQLITE_OK)
    })
}

/// There is one connection at a time.
unsafe extern "C" fn nothing_to_lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_file: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: SQLite gives the place.
    unsafe { *held = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(
    _file: *mut ffi::sqlite3_file,
    _operation: c_int,
    _argument: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES
}

/// A write harms no byte beside it: the simulated disk promises no more.
unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_DELETE, || {
        // SAFETY: a name that SQLite hands out.
        let (fs, path) = (entered()?, unsafe { path_of(name)? });
        match fs.remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(ffi::SQLITE_IOERR_DELETE_NOENT);
            }
            removed => removed?,
        }
        if sync_directory != 0 {
            fs.sync_dir("/")?;
        }
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    there: *mut c_int,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_ACCESS, || {
        // SAFETY: a name that SQLite hands out.
        let path = unsafe { path_of(name)? };
        // As for Unix: an empty journal is none.
        let found = entered()?.metadata(path).is_ok_and(|found| found.len() > 0);
        // SAFETY: SQLite gives the place.
        unsafe { *there = c_int::from(found) };
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    guarded(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: a name that SQLite hands out.
        let path = unsafe { path_of(name)? };
        if path.len() >= sized(i64::from(room))? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: there is room for it and the zero behind it.
        unsafe { ptr::copy_nonoverlapping(name, out, path.len() + 1) };
        Ok(ffi::SQLITE_OK)
    })
}

unsafe extern "C" fn randomness(
    _vfs: *mut ffi::sqlite3_vfs,
    count: c_int,
    out: *mut c_char,
) -> c_int {
    let bytes = usize::try_from(count).unwrap_or(0);
    for place in 0..bytes {
        DRAWN.set(DRAWN.get().wrapping_add(1));
        let [byte, ..] = scrambled(DRAWN.get()).to_le_bytes();
        // SAFETY: SQLite gives this many bytes.
        unsafe { *out.cast::<u8>().add(place) = byte };
    }
    count
}

unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, now: *mut f64) -> c_int {
    // SAFETY: SQLite gives the place.
    unsafe { *now = NOW_DAYS };
    ffi::SQLITE_OK
}

unsafe extern "C" fn get_last_error(
    _vfs: *mut ffi::sqlite3_vfs,
    _room: c_int,
    _out: *mut c_char,
) -> c_int {
    0
}

fn positive(number: i64) -> io::Result<u64> {
    u64::try_from(number).map_err(io::Error::other)
}

fn sized(number: i64) -> io::Result<usize> {
    usize::try_from(number).map_err(io::Error::other)
}
