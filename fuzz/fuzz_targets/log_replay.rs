#![no_main]
use quiver_fuzz_bodies::LOG_REPLAY;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = LOG_REPLAY.run(input);
});
