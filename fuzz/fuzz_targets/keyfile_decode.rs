#![no_main]
use quiver_fuzz_bodies::KEYFILE_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = KEYFILE_DECODE.run(input);
});
