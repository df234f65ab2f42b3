#![no_main]
use quiver_fuzz_bodies::DESCRIPTOR_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = DESCRIPTOR_DECODE.run(input);
});
