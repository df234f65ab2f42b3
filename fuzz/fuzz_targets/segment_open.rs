#![no_main]
use quiver_fuzz_bodies::SEGMENT_OPEN;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = SEGMENT_OPEN.run(input);
});
