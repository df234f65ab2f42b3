#![no_main]
use quiver_fuzz_bodies::SEC_DECODE;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = SEC_DECODE.run(input);
});
