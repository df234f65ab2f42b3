//! Every scenario of `corpus/sim`, each under a test of its name.

use std::path::PathBuf;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus/sim")
}

fn play(name: &str) {
    let text = std::fs::read_to_string(corpus().join(format!("{name}.scenario")));
    let text = text.expect("the scenario is in the corpus");
    quiver_sim::scenario::check(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
}

macro_rules! scenarios {
    ($($test:ident = $name:literal,)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(
            #[test]
            fn $test() {
                play($name);
            }
        )*
    };
}

scenarios! {
    what_is_seen_after_a_rename_survives_though_its_directory_was_not_synced =
        "rename-seen-before-its-directory-was-synced",
    name_of_an_unpublished_file_is_never_given_again =
        "name-of-an-unpublished-file-given-again",
    no_answer_rests_on_limbo = "answer-that-rests-on-limbo",
    tail_read_back_after_a_failed_sync_is_written_again = "tail-read-back-after-a-failed-sync",
    creation_cut_short_starts_again = "creation-cut-short",
    no_answer_rests_on_a_member_that_failed = "answer-that-rests-on-its-group",
    log_never_stands_without_its_store = "log-without-current",
    end_of_a_log_is_given_once = "end-of-a-log-given-twice",
    l4_nothing_is_acknowledged_behind_a_hole =
        "hole-behind-a-short-write",
    l5_a_failed_sync_ends_its_file =
        "sync-that-failed-once",
    l6_no_collection_id_is_given_twice =
        "collection-id-given-twice",
    l8_missing_cut_and_swapped_logs_are_corruption =
        "log-missing-cut-or-swapped",
    l9_data_without_current_is_corruption =
        "current-missing-or-old",
    l10_a_second_opener_is_locked_out =
        "second-opener",
    l13_no_delete_is_undone_by_a_lost_name =
        "delete-undone-by-a-lost-name",
    l13_no_delete_is_undone_by_stale_tombstones =
        "stale-tombstones",
    l14_no_manifest_is_written_in_place =
        "manifest-name-used-again",
    l15_a_log_of_zeros_is_an_orphan =
        "log-of-zeros",
    l16_the_directory_of_a_store_is_durable =
        "directory-of-the-store-lost",
    l17_a_batch_is_there_whole_or_not =
        "batch-in-halves",
    l17_a_failed_batch_does_not_show_later =
        "batch-that-failed",
    l20_missing_and_foreign_tombstones_are_corruption =
        "tombstones-missing",
    to_sync_a_replayed_log_makes_nothing_durable =
        "replayed-log-synced-again",
    a_later_log_proves_nothing_of_an_earlier_one =
        "torn-tail-and-a-later-log",
    no_manifest_is_named_before_its_entry_is_durable =
        "manifest-named-before-it-is-there",
    nothing_is_unlinked_after_a_failed_sync =
        "unlinked-after-a-failed-sync",
    a_log_takes_frames_once_a_manifest_names_it =
        "log-that-nothing-names",
    no_drop_is_undone_by_replay = "drop-undone-by-replay",
    a_checkpoint_throws_no_records_away =
        "checkpoint-leaves-a-collection-out",
    no_row_comes_back_by_a_merge_that_began_before =
        "row-back-by-a-merge",
    no_group_shares_a_sector_with_acknowledged_ones =
        "group-in-an-acknowledged-sector",
    no_segment_goes_under_a_reader =
        "segment-under-a-reader",
    a_name_that_a_failed_sync_lost_under_a_seal_is_not_named =
        "name-lost-under-a-seal",
    a_name_that_a_failed_sync_lost_is_not_named =
        "name-lost-under-a-job",
    a_merge_of_a_dropped_collection_keeps_no_file =
        "merge-of-a-dropped-collection",
    a_store_opened_without_its_reserve_knows_that_space_is_tight =
        "reserve-missing-at-open",
    a_large_delete_takes_no_more_of_a_full_disk_than_it_needs =
        "delete-that-fits-the-reserve",
    a_drop_on_a_full_disk_frees_its_space =
        "drop-on-a-full-disk",
    a_drop_of_rows_that_a_checkpoint_has_no_room_for_makes_room =
        "drop-of-rows-in-memory",
    a_stale_page_of_another_file_is_no_manifest =
        "stale-page-of-another-file",
    a_stray_number_in_a_name_is_not_counted_on =
        "stray-number",
    a_step_of_a_checkpoint_has_the_reserve_whoever_calls_it =
        "step-on-a-full-disk",
    a_merge_that_another_caller_undid_begins_again =
        "merge-undone-by-another-caller",
    a_compaction_leaves_none_of_its_inputs =
        "compaction-leaves-inputs",
    a_read_asks_for_its_collection_also_where_it_asks_for_no_row =
        "rows-asked-of-no-collection",
    shreds_that_could_not_destroy_their_keys_are_finished_by_the_next_one =
        "shreds-behind-a-failed-destruction",
}

#[test]
fn every_scenario_of_the_corpus_has_a_test() {
    let files = std::fs::read_dir(corpus()).expect("the corpus is there");
    let mut found: Vec<String> = files
        .map(|file| file.expect("a name").file_name().into_string().expect("plain names"))
        .filter_map(|name| name.strip_suffix(".scenario").map(str::to_owned))
        .collect();
    found.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(found, names);
}
