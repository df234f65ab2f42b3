//! Survivors in words are the plan that they were taken from.

use super::oracle::{history, history_with_cuts};
use super::*;
use crate::disk::survivors::{Base, Exception, Survivors, What};
use crate::stream::Stream;

const BASES: [Base; 2] = [Base::Nothing, Base::Everything];

/// Calls `look` with losses of power of many disks and kinds.
fn plans(mut look: impl FnMut(u64, &DiskState, &super::oracle::Oracle, CrashPlan, &mut Stream)) {
    for seed in 0..240 {
        let (disk, oracle) = if seed < 120 { history(seed) } else { history_with_cuts(seed) };
        let state = disk.state();
        let mut dice = Stream::new(seed);
        for policy in Policy::ALL {
            for torn in [false, true] {
                let plan = state.plan_power_loss(policy, torn, &mut dice);
                look(seed, &state, &oracle, plan, &mut dice);
            }
        }
        for plan in legal_plans(&state, 64).unwrap_or_default() {
            look(seed, &state, &oracle, plan, &mut dice);
        }
    }
}

#[test]
fn survivors_of_a_plan_make_the_same_image_from_both_ends() {
    let (mut looked, mut kinds) = (0, [0; 7]);
    plans(|seed, state, _, plan, _| {
        for base in BASES {
            let survivors = plan.survivors_from(base);
            for Exception { what, .. } in &survivors.exceptions {
                kinds[match what {
                    What::Keeps(..) => 0,
                    What::Loses(..) => 1,
                    What::Length(_) => 2,
                    What::Mix { .. } => 3,
                    What::Scrap { .. } => 4,
                    What::Garbage { .. } => 5,
                    What::Stale { .. } => 6,
                }] += 1;
            }
            for told in [survivors.apart(), survivors] {
                let again = state.plan_survivors(&told).expect("it was taken from this disk");
                assert_eq!(again.key(), plan.key(), "seed {seed}: {told:#?} of {plan:#?}");
                assert_eq!(again.build().key(), plan.key(), "seed {seed}");
                looked += 1;
            }
        }
    });
    assert!(looked > 8000, "{looked}");
    assert!(kinds.iter().all(|times| *times > 50), "{kinds:?}");
}

#[test]
fn nothing_and_everything_need_no_exception() {
    for seed in 0..100 {
        let state = history(seed).0.state();
        let mut dice = Stream::new(seed);
        for (base, policy) in BASES.into_iter().zip([Policy::Nothing, Policy::Everything]) {
            let plan = state.plan_power_loss(policy, false, &mut dice);
            assert_eq!(plan.survivors_from(base), Survivors::of(base), "seed {seed}");
        }
    }
}

#[test]
fn whatever_exceptions_are_left_out_the_image_is_a_legal_one() {
    let mut fewer = 0;
    plans(|seed, state, oracle, plan, dice| {
        for base in BASES {
            let mut told = plan.survivors_from(base).apart();
            let before = told.exceptions.len();
            told.exceptions.retain(|_| dice.chance(1, 2));
            fewer += u32::from(told.exceptions.len() < before);
            // The number for a length may have stood for a change that is not there any more.
            let Ok(again) = state.plan_survivors(&told) else { continue };
            let allowed = oracle.allows(&again.build(), true);
            assert!(allowed, "seed {seed}: {told:#?} gives an illegal image");
        }
    });
    assert!(fewer > 3000, "{fewer}");
}

#[test]
fn survivors_of_another_disk_are_refused_with_the_place() {
    let disk = SimDisk::new();
    let file = durable_file(&disk, "/log-7-0011aaff.wal", &[1; 700]);
    file.write_at(&[2; 1200], 0, here()).expect("no fault is planned");
    let state = disk.state();
    let refused = |place: &str, what| {
        let place = place.to_string();
        let exceptions = vec![Exception { place, what }];
        let survivors = Survivors { base: Base::Nothing, exceptions };
        state.plan_survivors(&survivors).map(drop)
    };
    let log = "/log-7-*.wal";
    assert_eq!(refused(log, What::Keeps(0, [0, 2].into())), Ok(()));
    assert_eq!(refused(log, What::Length(800)), Ok(()));
    let wrong = [
        (refused("/log-8-*.wal", What::Length(800)), "nothing is pending in /log-8-*.wal"),
        (
            refused(log, What::Keeps(1, [0].into())),
            "/log-7-*.wal: there is no pending change 1: there are 1",
        ),
        (refused(log, What::Loses(0, [3].into())), "/log-7-*.wal: change 0 has no sector 3"),
        (refused(log, What::Length(600)), "/log-7-*.wal: length 600 is not one from 700 to 1200"),
    ];
    for (found, expected) in wrong {
        assert_eq!(found, Err(expected.to_string()));
    }
}
