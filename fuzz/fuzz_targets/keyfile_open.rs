#![no_main]
use quiver_fuzz_bodies::KEYFILE_OPEN;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = KEYFILE_OPEN.run(input);
});
