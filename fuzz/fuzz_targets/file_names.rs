#![no_main]
use quiver_fuzz_bodies::FILE_NAMES;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = FILE_NAMES.run(input);
});
