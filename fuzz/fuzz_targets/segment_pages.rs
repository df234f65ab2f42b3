#![no_main]
use quiver_fuzz_bodies::SEGMENT_PAGES;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = SEGMENT_PAGES.run(input);
});
