#![no_main]
use quiver_fuzz_bodies::PAGE_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = PAGE_DECODE.run(input);
});
