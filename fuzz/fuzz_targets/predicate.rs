#![no_main]
use quiver_fuzz_bodies::PREDICATE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = PREDICATE.run(input);
});
