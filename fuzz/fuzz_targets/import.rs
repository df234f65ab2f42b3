#![no_main]
use quiver_fuzz_bodies::IMPORT;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = IMPORT.run(input);
});
