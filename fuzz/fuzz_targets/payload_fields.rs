#![no_main]
use quiver_fuzz_bodies::PAYLOAD_FIELDS;
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    _ = PAYLOAD_FIELDS.run(input);
});
