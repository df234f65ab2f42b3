//! What the simulated disk promises, by name; an oracle for its crash images; its faults.

mod faults;
mod kindness;
mod names;
mod oracle;
mod power_loss;
mod shortened;
mod survivors;

use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use quiver_store::vfs::{Access, CallSite, File, Vfs};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

#[track_caller]
fn here() -> CallSite {
    Location::caller()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

#[track_caller]
fn create(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.create_new(Path::new(path), here()).expect("the name is free");
    file.write_at(bytes, 0, here()).expect("no fault is planned");
    file
}

#[track_caller]
fn open(disk: &SimDisk, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), Access::ReadWrite, here()).expect("the file is there")
}

#[track_caller]
fn sync_dir(disk: &SimDisk, path: &str) {
    disk.sync_dir(Path::new(path), here()).expect("no fault is planned");
}

#[track_caller]
fn durable_file(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = create(disk, path, bytes);
    file.sync_data(here()).expect("no fault is planned");
    let parent = Path::new(path).parent().expect("not the root");
    disk.sync_dir(parent, here()).expect("no fault is planned");
    file
}

/// The disk after losing power by a policy.
fn after(disk: &SimDisk, policy: Policy) -> DiskState {
    disk.state().plan_power_loss(policy, false, &mut rng(1)).build()
}

/// All legal images, if they are at most so many.
fn legal_plans(state: &DiskState, max: u128) -> Option<Vec<CrashPlan>> {
    let legal = state.legal_images().filter(|legal| legal.count() <= max)?;
    Some((0..legal.count()).map(|number| legal.plan(number)).collect())
}

/// A content key from nothing but names and bytes: the same tree, written anew.
fn key_from_scratch(state: &DiskState) -> u128 {
    let copy = SimDisk::new();
    for path in state.list_directories() {
        if path != Path::new("/") {
            copy.create_dir(&path, here()).expect("parents come first");
        }
    }
    for (path, len) in state.list() {
        let bytes = state.read(&path).expect("it is listed");
        assert_eq!(bytes.len() as u64, len);
        let file = copy.create_new(&path, here()).expect("parents come first");
        file.write_at(&bytes, 0, here()).expect("no fault is planned");
    }
    copy.state().key()
}
