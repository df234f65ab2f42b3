//! One store that follows another through a channel: `cargo run --example replicate`.
//!
//! The leader writes; an observer puts each operation that it commits into a channel; a thread takes
//! them out and applies them to the follower, whole batches at a time. In between the follower is
//! stopped and catches up, the leader is closed and opened again, and a new follower is made where the
//! old one has missed too much. In the end both are compared, row by row.
//!
//! Run it again: both go on from where they were. End it whenever you like, with Ctrl-C or by pulling
//! the plug. What the example rests on:
//!
//! - E1. *Who follows keeps the position.* The leader does not know its followers. A small file beside
//!   the follower says up to which operation of the leader it has come.
//! - E2. *The position may be behind the follower, and never before it.* It is noted after the
//!   operations are durable, and not each time. What was applied and not noted is shown again after a
//!   crash, and applying it again comes to the same: rows are replaced by what they are.
//! - E3. *An operation on a collection is noted at once*, so that at most one of them comes again. Of a
//!   long row of renames applied again, one could meet a name that was given to another since.
//! - E4. *No position, no follower.* A follower that is not yet whole has none, so a crash while it is
//!   made leaves something that the next run makes anew.

#![expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program speaks to its user, keeps a file of its own, and has threads"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use quiver_store::{
    CommitObserver, Descriptor, DistanceMetric, Dtype, Error, ErrorKind, FilterableField, Lsn,
    ReplicationSnapshot, Store, WalEntry, WalOp, WriteBatch,
};

const USAGE: &str = "usage: cargo run --example replicate -- [DIR] [BATCHES]
DIR takes both stores, replicate-stores if it is left out; it is made if it is missing
BATCHES is how much the leader writes in each of four rounds, 1 to 1000000; 100 if it is left out";

const DIR: &str = "replicate-stores";
const BATCHES: u64 = 100;
const BATCHES_MAX: u64 = 1_000_000;

/// Operations that may wait in the channel. A leader that is further ahead waits for its follower; so
/// memory stays bounded.
const CHANNEL_OPERATIONS: usize = 1024;
/// After how many batches of rows the position is noted. More cost less, and repeat more (E2).
const NOTE_BATCHES: u64 = 16;
/// Rows of a snapshot that are applied with one sync.
const SNAPSHOT_ROWS: usize = 250;

const ROWS: u64 = 500;
const ROWS_OF_A_BATCH: u64 = 5;

fn main() -> ExitCode {
    let given: Result<Vec<String>, _> =
        std::env::args_os().skip(1).map(|argument| argument.into_string()).collect();
    let done = match given {
        Ok(arguments) => run(&arguments, &mut io::stdout()),
        Err(odd) => Err(Failure::usage(&format!("{odd:?} is no text"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("replicate: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// Why it ended, for the user and for the shell.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Failure {
    fn usage(what: &str) -> Self {
        Self { code: 2, text: format!("{what}\n{USAGE}") }
    }

    fn new(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match error.kind() {
            ErrorKind::Locked => "\nanother program has it open: wait for it to end",
            ErrorKind::Full => "\nfree some space and run it again: it goes on from there",
            ErrorKind::Corrupt => "\nchoose another DIR, or remove this one and run it again",
            _ => "",
        };
        Self::new(format!("{error}{hint}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// All that the program does; `out` is what the user reads.
pub(crate) fn run(arguments: &[String], out: &mut impl Write) -> Result<(), Failure> {
    if matches!(arguments, [help] if help == "-h" || help == "--help") {
        writeln!(out, "{USAGE}")?;
        return Ok(());
    }
    if let Some(odd) = arguments.iter().find(|it| it.is_empty() || it.starts_with('-')) {
        return Err(Failure::usage(&format!("expected [DIR] [BATCHES], found {odd:?}")));
    }
    let (dir, batches) = match arguments {
        [] => (DIR, BATCHES),
        [dir] => (dir.as_str(), BATCHES),
        [dir, batches] => (dir.as_str(), batches_of(batches)?),
        _ => {
            let what = format!("expected [DIR] [BATCHES], found {} arguments", arguments.len());
            return Err(Failure::usage(&what));
        }
    };
    let home = Home::of(dir)?;
    let mut leader = Store::open(home.leader())?;
    writeln!(out, "leader    {}", figures(&home.leader(), &leader)?)?;

    let link = Link::new(&leader, &home, out)?;
    let wrote = write_rows(&leader, batches)?;
    writeln!(out, "wrote     {wrote} operations, each durable before the follower hears of it")?;
    link.stop(&leader, out)?;

    let wrote = write_rows(&leader, batches)?;
    writeln!(out, "wrote     {wrote} operations while the follower was stopped")?;
    Link::new(&leader, &home, out)?.stop(&leader, out)?;

    let wrote = write_rows(&leader, batches)?;
    leader.close()?;
    leader = Store::open(home.leader())?;
    writeln!(out, "wrote     {wrote} operations; then the leader was closed and opened again")?;
    Link::new(&leader, &home, out)?.stop(&leader, out)?;

    let wrote = write_rows(&leader, batches)?;
    // Moves all rows out of the log, and drops it.
    leader.checkpoint()?;
    writeln!(out, "wrote     {wrote} operations, and dropped the log that they stood in")?;
    let link = Link::new(&leader, &home, out)?;
    let wrote = write_rows(&leader, 1)?;
    writeln!(out, "wrote     {wrote} operations while the follower was made")?;
    link.stop(&leader, out)?;

    let follower = Store::open(home.follower())?;
    let rows = compare(&leader, &follower)?;
    writeln!(out, "compared  {rows} rows: names, schemas, ids, vectors and payloads are the same")?;
    writeln!(out, "leader    {}", figures(&home.leader(), &leader)?)?;
    writeln!(out, "follower  {}", figures(&home.follower(), &follower)?)?;
    follower.close()?;
    leader.close()?;
    writeln!(out, "All is well. Run it again: both go on from here. {dir} is yours to remove.")?;
    Ok(())
}

fn batches_of(argument: &str) -> Result<u64, Failure> {
    argument.parse().ok().filter(|batches| (1..=BATCHES_MAX).contains(batches)).ok_or_else(|| {
        Failure::usage(&format!(
            "BATCHES is {argument:?}, expected a number from 1 to {BATCHES_MAX}"
        ))
    })
}

fn figures(dir: &Path, store: &Store) -> Result<String, Failure> {
    let (stats, collections) = (store.stats()?, store.collection_names()?.len());
    Ok(format!(
        "{}: {} rows in {collections} collections, at its operation {}",
        dir.display(),
        stats.rows,
        stats.last_lsn
    ))
}

/// Where both stores are, and the position of the follower.
#[derive(Clone, Debug)]
struct Home(PathBuf);

/// How far a follower has come.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// The last operation of the leader that it has.
    leader: Lsn,
    /// The last operation of its own at that time. A follower that has not come so far is another one.
    follower: Lsn,
}

impl Home {
    const NAMES: [&str; 4] = ["leader", "follower", "follower.position", "follower.position.new"];

    /// A directory that is ours, empty or not there yet: what is made anew in it is removed before.
    fn of(dir: &str) -> Result<Self, Failure> {
        fs::create_dir_all(dir)
            .map_err(|error| Failure::new(format!("cannot make {dir}: {error}")))?;
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            if !Self::NAMES.iter().any(|own| name.to_str() == Some(*own)) {
                return Err(Failure::new(format!(
                    "{dir} holds something else, {name:?}\nchoose another DIR: one that is empty, \
                     or does not exist yet"
                )));
            }
        }
        Ok(Self(dir.into()))
    }

    fn leader(&self) -> PathBuf {
        self.0.join("leader")
    }

    fn follower(&self) -> PathBuf {
        self.0.join("follower")
    }

    fn position_file(&self) -> PathBuf {
        self.0.join("follower.position")
    }

    /// What was noted last.
    fn position(&self) -> Result<Option<Position>, Failure> {
        let path = self.position_file();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| {
                Failure::new(format!("cannot read {}: {error}", path.display()))
            })?,
        };
        let number = |text: &str| text.parse().ok().map(Lsn);
        let numbers = text.strip_suffix('\n').and_then(|line| line.split_once(' '));
        let position = numbers.and_then(|(leader, follower)| {
            Some(Position { leader: number(leader)?, follower: number(follower)? })
        });
        position.map(Some).ok_or_else(|| {
            Failure::new(format!(
                "{}: expected two numbers in a line, found {text:?}\nremove it, and the follower \
                 is made anew",
                path.display()
            ))
        })
    }

    /// Puts another position in the place of the one that was noted. A crash leaves one or the other,
    /// whole, for the content is durable before it gets the name.
    fn note(&self, position: Position) -> Result<(), Failure> {
        let new = self.0.join("follower.position.new");
        let mut file = File::create(&new)?;
        writeln!(file, "{} {}", position.leader, position.follower)?;
        file.sync_all()?;
        fs::rename(&new, self.position_file())?;
        self.sync()
    }

    /// Removes the follower, its position first (E4).
    fn remove_follower(&self) -> Result<(), Failure> {
        let is_there = |removed: io::Result<()>| match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        is_there(fs::remove_file(self.position_file()))?;
        // Were it only in memory, a position could outlive the rows that it stands for.
        self.sync()?;
        is_there(fs::remove_dir_all(self.follower()))?;
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        Ok(File::open(&self.0)?.sync_all()?)
    }
}

/// A leader's observer, a channel, and the thread of a follower.
struct Link {
    thread: JoinHandle<Result<Followed, Failure>>,
}

/// What came through a channel.
#[derive(Debug, Default)]
struct Followed {
    operations: u64,
    batches: u64,
}

impl Link {
    /// Follows on from the noted position, or from a snapshot where that is not possible.
    fn new(leader: &Store, home: &Home, out: &mut impl Write) -> Result<Self, Failure> {
        let Some(position) = home.position()? else {
            writeln!(out, "follower  there is none, or none that is whole")?;
            return Self::begin(leader, home, out);
        };
        let store = Store::open(home.follower())?;
        if store.stats()?.last_lsn < position.follower {
            writeln!(out, "follower  it is not the one whose position was noted")?;
            drop(store);
            return Self::begin(leader, home, out);
        }
        let after = position.leader;
        let (sender, receiver) = sync_channel(CHANNEL_OPERATIONS);
        let mut follower = Follower { store, home: home.clone(), at: after, unnoted: 0 };
        // The thread comes first: the observer is shown what was missed before the call returns.
        let thread = thread::spawn(move || follower.follow(&receiver));
        match leader.set_commit_observer_from(after, observer(sender)) {
            Ok(()) => {
                writeln!(
                    out,
                    "follower  goes on behind operation {after}, out of the leader's log"
                )?;
                Ok(Self { thread })
            }
            // The log begins later, or the leader is a new one and has not come so far.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidArgument) =>
            {
                ended(thread)?;
                writeln!(out, "follower  cannot go on: {error}")?;
                Self::begin(leader, home, out)
            }
            Err(error) => {
                ended(thread)?;
                Err(error.into())
            }
        }
    }

    /// Makes a new follower, out of a snapshot.
    fn begin(leader: &Store, home: &Home, out: &mut impl Write) -> Result<Self, Failure> {
        home.remove_follower()?;
        let store = Store::open(home.follower())?;
        let (sender, receiver) = sync_channel(CHANNEL_OPERATIONS);
        // The observer comes first: what commits between the two is in both, and missing in neither.
        leader.set_commit_observer(observer(sender))?;
        let snapshot = leader.replication_snapshot()?;
        writeln!(out, "follower  is made, as the leader was at operation {}", snapshot.lsn())?;
        let mut follower = Follower { store, home: home.clone(), at: snapshot.lsn(), unnoted: 0 };
        let thread = thread::spawn(move || {
            follower.copy(snapshot)?;
            follower.follow(&receiver)
        });
        Ok(Self { thread })
    }

    /// Closes the channel, and waits until the follower has all that was in it.
    fn stop(self, leader: &Store, out: &mut impl Write) -> Result<(), Failure> {
        // It drops the observer, and so the sender: a channel without one ends.
        leader.clear_commit_observer()?;
        let Followed { operations, batches } = ended(self.thread)?;
        writeln!(
            out,
            "followed  {operations} operations in {batches} batches; the follower stops"
        )?;
        Ok(())
    }
}

fn ended(thread: JoinHandle<Result<Followed, Failure>>) -> Result<Followed, Failure> {
    let panicked = |_| Failure::new("the follower's thread panicked");
    thread.join().map_err(panicked)?.map_err(|failure| Failure {
        text: format!("the follower ended: {}", failure.text),
        ..failure
    })
}

/// Puts what is committed into a channel. It is called by whoever commits, who waits while the channel
/// is full.
fn observer(sender: SyncSender<WalEntry>) -> CommitObserver {
    Arc::new(move |entry| {
        // A follower that failed has closed the channel. The leader goes on without it, and the
        // follower finds in the log what it missed.
        let _ = sender.send(entry.clone());
    })
}

struct Follower {
    store: Store,
    home: Home,
    /// The last operation of the leader that it has.
    at: Lsn,
    /// Batches since the position was noted.
    unnoted: u64,
}

impl Follower {
    /// Applies a snapshot, and becomes a follower with that.
    fn copy(&mut self, snapshot: ReplicationSnapshot) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for op in snapshot {
            let op = op?;
            let is_row = matches!(op, WalOp::Upsert { .. });
            // A collection is there before its rows, and is created by itself.
            if !is_row || rows.len() == SNAPSHOT_ROWS {
                self.store.apply_replicated_batch(std::mem::take(&mut rows))?;
            }
            match is_row {
                true => rows.push(op),
                false => drop(self.store.apply_replicated(op)?),
            }
        }
        self.store.apply_replicated_batch(rows)?;
        self.note()
    }

    /// Applies what comes, until the channel is closed.
    fn follow(&mut self, channel: &Receiver<WalEntry>) -> Result<Followed, Failure> {
        let mut followed = Followed::default();
        let mut batch = Vec::new();
        for WalEntry { lsn, op, ends_batch, .. } in channel {
            // What came into the channel before the snapshot was taken is part of it. That the leader
            // had a checkpoint is no operation.
            if lsn <= self.at || matches!(op, WalOp::Checkpoint { .. }) {
                continue;
            }
            batch.push(op);
            if !ends_batch {
                continue;
            }
            let is_rows = is_of_a_row(&batch[0]);
            followed.operations += batch.len() as u64;
            followed.batches += 1;
            // What the leader committed together is there together.
            self.store.apply_replicated_batch(std::mem::take(&mut batch))?;
            self.at = lsn;
            self.unnoted += 1;
            if !is_rows || self.unnoted == NOTE_BATCHES {
                self.note()?;
            }
        }
        self.note()?;
        self.store.close()?;
        Ok(followed)
    }

    /// Notes the position: all up to it is durable (E2).
    fn note(&mut self) -> Result<(), Failure> {
        self.unnoted = 0;
        self.home.note(Position { leader: self.at, follower: self.store.stats()?.last_lsn })
    }
}

fn is_of_a_row(op: &WalOp) -> bool {
    matches!(op, WalOp::Upsert { .. } | WalOp::Delete { .. })
}

/// What an application may do to its store; how many operations it came to.
fn write_rows(leader: &Store, batches: u64) -> Result<u64, Failure> {
    let before = leader.stats()?.last_lsn.value();
    let schema = || {
        let schema = Descriptor::new(3, Dtype::F32, DistanceMetric::Cosine);
        schema.with_filterable([FilterableField::numeric("edit")])
    };
    let articles = match leader.collection_id("articles")? {
        Some(id) => id,
        None => leader.create_collection("articles", schema())?,
    };
    for edit in before..before + batches {
        let mut batch = WriteBatch::new();
        let id = |n: u64| format!("article-{:03}", n % ROWS);
        let payload = format!(r#"{{"edit":{edit}}}"#);
        for n in 0..ROWS_OF_A_BATCH {
            let vector = [edit as f32, n as f32, 1.0];
            batch.upsert(articles, &id(edit * ROWS_OF_A_BATCH + n), &vector, payload.as_bytes());
        }
        batch.delete(articles, &id(edit));
        leader.write(batch)?;
    }

    // Collections come, go and change their names too. A run that was ended may have left the drafts.
    let drafts = match leader.collection_id("drafts")? {
        Some(id) => id,
        None => leader.create_collection("drafts", schema())?,
    };
    leader.upsert(drafts, "draft", &[1.0, 2.0, 3.0], b"")?;
    leader.update_payload(drafts, "draft", br#"{"title":"On followers"}"#)?;
    leader.drop_collection("archive")?;
    leader.rename_collection("drafts", "archive")?;
    Ok(leader.stats()?.last_lsn.value() - before)
}

/// How many rows both have, if they have the same ones.
fn compare(leader: &Store, follower: &Store) -> Result<u64, Failure> {
    let names = leader.collection_names()?;
    if names != follower.collection_names()? {
        return Err(Failure::new("the stores differ in the names of their collections"));
    }
    let mut rows = 0;
    for name in names {
        let differ = |what: &str| Failure::new(format!("the stores differ in {name}: {what}"));
        let id = leader.collection_id(&name)?.ok_or_else(|| differ("it is gone"))?;
        // A follower keeps the ids of its leader.
        if leader.descriptor(id)? != follower.descriptor(id)? {
            return Err(differ("the schema"));
        }
        let mut theirs = follower.scan(id)?;
        for ours in leader.scan(id)? {
            let ours = ours?;
            if theirs.next().transpose()?.as_ref() != Some(&ours) {
                return Err(differ(&format!("row {:?}", ours.0)));
            }
            rows += 1;
        }
        if let Some(more) = theirs.next() {
            return Err(differ(&format!("row {:?}", more?.0)));
        }
    }
    Ok(rows)
}
