//! Scratch.
use quiver_sim::campaign::*;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a[1] == "replay" {
        let r = quiver_sim::explore::replay(
            &quiver_sim::engine::Engine,
            a[2].parse().unwrap(),
            &Default::default(),
        )
        .unwrap();
        for l in r.log {
            println!("{l}");
        }
        for v in r.tally.violations {
            println!("{:?} {}\n exp {}\n got {}", v.invariant, v.address, v.expected, v.found);
            for t in v.trace {
                println!("   | {t}");
            }
        }
        return;
    }
    let images: u64 = a[1].parse().unwrap();
    let jobs: usize = a[2].parse().unwrap();
    let seed: u64 = a[3].parse().unwrap();
    let c = Campaign {
        seed,
        seeds: None,
        images: Some(images),
        limit: None,
        jobs,
        shard: (0, 1),
        patience: PATIENCE,
        system: Arc::new(quiver_sim::engine::Engine),
    };
    let r = c.run(&mut |_| {}, &AtomicBool::new(false));
    for v in &r.tally.violations {
        println!("{:?} {}\n exp {}\n got {}", v.invariant, v.address, v.expected, v.found);
        for t in &v.trace {
            println!("   | {t}");
        }
    }
    let mut t = r.tally.clone();
    t.violations.clear();
    println!(
        "{t:#?}\n{:?} {:?} {:.0}/s idle {:?}",
        r.end,
        r.elapsed,
        t.images_checked as f64 / r.elapsed.as_secs_f64(),
        t.idle()
    );
}
