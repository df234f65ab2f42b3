#![no_main]
use quiver_fuzz_bodies::PARKED_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = PARKED_DECODE.run(input);
});
