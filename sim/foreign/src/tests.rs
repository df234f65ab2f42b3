//! Small versions of what the program does.

use super::*;

fn verdicts(engine: Engine, images: u64) {
    for setting in SETTINGS.iter().filter(|setting| setting.engine == engine) {
        let report = setting.look(images, false);
        let asked = (setting.name, setting.promise);
        assert_eq!(Verdict::of(&report), setting.expected, "{asked:?}\n{report}");
        if setting.expected == Verdict::Passes {
            assert!(report.tally.images > images / 2, "{asked:?}\n{report}");
        }
    }
}

#[test]
fn redb_passes_where_it_promises_to_and_is_caught_where_not() {
    verdicts(Engine::Redb, 800);
}

#[test]
fn sqlite_passes_where_it_promises_to_and_is_caught_where_not() {
    verdicts(Engine::Sqlite, 800);
}
