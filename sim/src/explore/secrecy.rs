//! What an image of an encrypted store may not hold, and what its recovery may not show.
//!
//! **Place.** Beside the recovery of each image; in a plain store nothing here does anything.
//!
//! - K1. Of what was said to be destroyed, no key file of an image yields anything (I17). That is held
//!   against an image at each point that has it: it may be owed at one and not at another.
//! - K2. Behind a recovery what was said to be on its way is destroyed as well.
//! - K3. A sample of the images is read whole, for what must not stand anywhere (I15).
//! - K4. Each branch draws random numbers of its own: a nonce that comes twice does so by design.

use quiver_store::Env;

use super::examine::Left;
use super::{Explorer, Image, Way};
use crate::address::Address;
use crate::checker::Invariant;
use crate::disk::{DiskState, SimDisk};
use crate::forward::env_on;

/// One image in so many is read whole (K3).
const READ_WHOLE_ONE_IN: u64 = 24;

impl Explorer<'_> {
    /// What a process on a disk may stand on: as many as there are master keys to be tried.
    pub(super) fn envs(&self, disk: &SimDisk, seed: u64) -> Vec<Env> {
        let Some(vault) = &self.vault else { return vec![env_on(disk, seed)] };
        // K4: a recovery and one of what it left have one address, and other disks.
        let key = disk.state().full_key();
        let half = |at: u32| u64::try_from((key >> at) & u128::from(u64::MAX)).expect("64 bits");
        let seed = seed ^ half(0) ^ half(64).rotate_left(17);
        let masters = self.custody.to_try();
        masters.map(|master| vault.env(disk, seed, master)).collect()
    }

    /// Whether an image holds nothing that it must not (K1, K3).
    pub(super) fn keeps_secrets(&mut self, image: &Image, way: &Way<'_>, address: Address) -> bool {
        let Some(vault) = self.vault.clone() else { return true };
        let reads_whole = self.alone || address.stream(8).chance(1, READ_WHOLE_ONE_IN);
        if !self.custody.is_owed() && !reads_whole {
            return true;
        }
        let state = image.build();
        if reads_whole {
            vault.read_whole(&state);
        }
        self.custody_holds(&state, way, address)
    }

    fn custody_holds(&mut self, state: &DiskState, way: &Way<'_>, address: Address) -> bool {
        let Some(vault) = self.vault.clone().filter(|_| self.custody.is_owed()) else {
            return true;
        };
        self.tally.evaluated(Invariant::I17);
        let judged = self.custody.judge(&vault.opened(state, self.custody.masters.1));
        match judged {
            Ok(()) => true,
            Err(finding) => {
                self.violated(address, finding, way);
                false
            }
        }
    }

    /// Whether a recovery has finished what was begun before the crash (K2).
    pub(super) fn keeps_promises(&mut self, way: &Way<'_>, left: &Left) -> bool {
        if self.custody.begun.is_empty() {
            return true;
        }
        self.custody = self.custody.after_open();
        self.custody_holds(&left.disk.state(), way, left.address)
    }

    /// Takes over what the vault found and counted.
    pub(super) fn heed_vault(&mut self, way: &Way<'_>, address: Address) {
        let Some(vault) = self.vault.clone() else { return };
        for (invariant, times) in vault.take_evaluated() {
            *self.tally.invariants.entry(invariant.name()).or_default() += times;
        }
        for finding in vault.take_findings() {
            self.violated(address, finding, way);
        }
    }
}
