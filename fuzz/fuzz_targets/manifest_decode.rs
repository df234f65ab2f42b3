#![no_main]
use quiver_fuzz_bodies::MANIFEST_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = MANIFEST_DECODE.run(input);
});
