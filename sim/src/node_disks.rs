//! Disks for the nodes of `madsim`: a node that is killed loses power, and what it had not synced.
//!
//! **Place.** For users of the simulated runtime, whose own filesystem forgets nothing. It is a
//! simulator of theirs, like their network, over [`crate::fs`]. Only in a build with `--cfg madsim`.
//!
//! - D1. `Handle::kill` loses power: what survives is drawn, by the runtime's seed, from all that the
//!   crash model allows, or is what [`NodeDisks::set_end`] says. Who kept an open file or a [`SimFs`] of
//!   the process before writes to a disk that nobody will see. Medium and bound of space stay those that
//!   were set at [`SimFs::disk`]; faults end.
//! - D2. [`NodeDisks::set_process_kill`] makes of `Handle::kill` the end of a process: the page cache survives, open
//!   files and locks do not. `Handle::restart` without a kill before it does not end a process at once: the
//!   runtime drops its tasks some turns later, and until then they hold their locks, and may write, on the disk
//!   that the next ones have.
//! - D3. Each node has a disk of its own, empty at first. Calls take no virtual time.
//!
//! ```
//! use quiver_sim::node_disks::{self, NodeDisks};
//!
//! let runtime = madsim::runtime::Runtime::with_seed_and_config(7, madsim::Config::default());
//! runtime.add_simulator::<NodeDisks>();
//! let node = runtime.create_node().build();
//! runtime.block_on(async {
//!     let task = node.spawn(async {
//!         let fs = node_disks::fs();
//!         fs.write("/kept", "synced")?;
//!         fs.open("/kept")?.sync_all()?;
//!         fs.sync_dir("/")?;
//!         fs.write("/lost", "not synced")
//!     });
//!     task.await.expect("it is not killed yet").expect("no call fails");
//! });
//! runtime.block_on(async {
//!     madsim::plugin::simulator::<NodeDisks>().set_end(node.id(), Some(quiver_sim::disk::Policy::Nothing));
//!     madsim::runtime::Handle::current().kill(node.id());
//!     let fs = node_disks::of(node.id());
//!     assert!(fs.exists("/kept") && !fs.exists("/lost"));
//! });
//! ```

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use madsim::Config;
use madsim::plugin::{self, Simulator};
use madsim::rand::{GlobalRng, RngCore};
use madsim::task::NodeId;
use madsim::time::TimeHandle;

use crate::disk::Policy;
use crate::fs::SimFs;
use crate::stream::Stream;

/// The disks of all nodes of a runtime: `runtime.add_simulator::<NodeDisks>()`, before nodes are made.
#[derive(Debug)]
pub struct NodeDisks {
    seed: u64,
    nodes: Mutex<BTreeMap<NodeId, NodeDisk>>,
}

#[derive(Debug, Default)]
struct NodeDisk {
    fs: SimFs,
    end: Option<Policy>,
    process_only: bool,
    losses: u64,
}

/// The disk of the node that the running task belongs to.
///
/// # Panics
/// Outside of the runtime, and if it has no [`NodeDisks`].
pub fn fs() -> SimFs {
    of(plugin::node())
}

/// The disk of a node.
///
/// # Panics
/// As [`fs`].
pub fn of(node: NodeId) -> SimFs {
    plugin::simulator::<NodeDisks>().nodes().entry(node).or_default().fs.clone()
}

impl NodeDisks {
    /// Says what survives when this node is killed; `None` draws it, as at first.
    pub fn set_end(&self, node: NodeId, end: Option<Policy>) {
        self.nodes().entry(node).or_default().end = end;
    }

    /// Whether a kill of this node ends its process alone (D2), and power stays.
    pub fn set_process_kill(&self, node: NodeId, alone: bool) {
        self.nodes().entry(node).or_default().process_only = alone;
    }

    /// How often this node has lost power.
    pub fn losses(&self, node: NodeId) -> u64 {
        self.nodes().get(&node).map_or(0, |disk| disk.losses)
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, NodeDisk>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator for NodeDisks {
    fn new(rand: &GlobalRng, _time: &TimeHandle, _config: &Config) -> Self {
        Self { seed: rand.clone().next_u64(), nodes: Mutex::default() }
    }

    fn create_node(&self, node: NodeId) {
        self.nodes().entry(node).or_default();
    }

    fn reset_node(&self, node: NodeId) {
        let mut nodes = self.nodes();
        // Nodes by their place, so that their streams differ.
        let place = nodes.keys().take_while(|other| **other < node).count() as u64;
        let disk = nodes.entry(node).or_default();
        if disk.process_only {
            disk.fs = disk.fs.kill();
            return;
        }
        let mut dice = Stream::at(self.seed, &[place, disk.losses]);
        let policy = disk.end.unwrap_or_else(|| *dice.pick(&Policy::ALL));
        disk.fs = disk.fs.lose_power(policy, dice.draw());
        disk.losses += 1;
    }
}
