#![no_main]
use quiver_fuzz_bodies::TOMBSTONES_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = TOMBSTONES_DECODE.run(input);
});
