#![no_main]
use quiver_fuzz_bodies::WAL_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = WAL_DECODE.run(input);
});
