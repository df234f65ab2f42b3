#![no_main]
use quiver_fuzz_bodies::{STORE_OPS, store_ops};
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = STORE_OPS.run(input);
});
libfuzzer_sys::fuzz_mutator!(|input: &mut [u8], len: usize, len_max: usize, seed: u32| {
    let made = store_ops::mutate(&input[..len], seed.into(), len_max);
    input[..made.len()].copy_from_slice(&made);
    made.len()
});
