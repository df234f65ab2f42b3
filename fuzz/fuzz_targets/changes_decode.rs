#![no_main]
use quiver_fuzz_bodies::CHANGES_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = CHANGES_DECODE.run(input);
});
