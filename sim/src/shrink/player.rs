//! The thread on which candidates are played, seen from outside.
//!
//! **Place.** Under every play of the shrinker, which goes on where a store does not come back.
//!
//! - L1. A play counts for nothing if the simulator panics in it, if it hangs, and if everything is over
//!   before it ends.
//! - L2. A thread that hangs cannot be stopped: it is left behind and ends with the process, so that it
//!   borrows nothing. The next play has another thread.
//! - L3. One thread makes thousands of plays, for to start one costs about as much as a small play.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::panic_trap;
use crate::watch::{Silence, Watch};

/// How often the calling thread looks up.
const TICK: Duration = Duration::from_millis(50);

/// Something to be done on another thread.
type Play = Box<dyn FnOnce(&Watch) + Send>;

/// Has plays made, one at a time.
pub(super) struct Player {
    /// How long one may go on without a sign of life.
    patience: Duration,
    stage: Option<Stage>,
}

/// A thread that waits for what it is to play.
struct Stage {
    plays: Sender<Play>,
    watch: Arc<Watch>,
}

impl Player {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, stage: None }
    }

    /// What a play comes to, if it counts (L1).
    pub(super) fn play<T: Send + 'static>(
        &mut self,
        is_over: impl Fn() -> bool,
        play: impl FnOnce(&Watch) -> T + Send + 'static,
    ) -> Option<T> {
        let stage = self.stage.take().unwrap_or_else(Stage::begun);
        let (sender, result) = mpsc::channel();
        let play = move |watch: &Watch| {
            let played = panic_trap::catch(|| play(watch));
            // Whoever does not wait any more need not be told.
            let _ = sender.send(played.ok());
        };
        stage.watch.goes_on();
        stage.plays.send(Box::new(play)).ok()?;
        let mut silence = Silence::begun();
        loop {
            match result.recv_timeout(TICK) {
                Ok(played) => {
                    self.stage = Some(stage);
                    return played;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if is_over() || silence.is_longer_than(self.patience, &stage.watch) {
                // L2. What only takes long ends by itself.
                stage.watch.stop();
                return None;
            }
        }
    }
}

impl Stage {
    fn begun() -> Self {
        let (plays, next) = mpsc::channel::<Play>();
        let watch = Arc::new(Watch::default());
        let own = watch.clone();
        thread::spawn(move || next.into_iter().for_each(|play| play(&own)));
        Self { plays, watch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player() -> Player {
        Player::new(Duration::from_millis(500))
    }

    fn thread_of(player: &mut Player) -> Option<thread::ThreadId> {
        player.play(|| false, |_| thread::current().id())
    }

    #[test]
    fn play_that_panics_counts_for_nothing_and_its_thread_makes_the_next() {
        let mut player = player();
        let before = thread_of(&mut player).expect("it ends");
        assert_ne!(before, thread::current().id());
        assert_eq!(player.play(|| false, |_| -> u8 { panic!("of the simulator") }), None);
        assert_eq!(thread_of(&mut player), Some(before));
    }

    #[test]
    fn play_that_hangs_is_left_behind_and_the_next_has_another_thread() {
        let mut player = player();
        let before = thread_of(&mut player).expect("it ends");
        let hangs = |_: &Watch| -> u8 {
            loop {
                thread::park();
            }
        };
        assert_eq!(player.play(|| false, hangs), None);
        assert!(thread_of(&mut player).is_some_and(|after| after != before));
    }

    #[test]
    fn play_that_goes_on_is_waited_for_and_told_to_stop_once_everything_is_over() {
        let mut player = player();
        let long = |watch: &Watch| {
            let begun = std::time::Instant::now();
            while begun.elapsed() < Duration::from_millis(1500) {
                watch.goes_on();
            }
            7
        };
        assert_eq!(player.play(|| false, long), Some(7), "three times the patience");
        let (sender, stopped) = mpsc::channel();
        let endless = move |watch: &Watch| {
            while !watch.is_stopped() {
                watch.goes_on();
            }
            sender.send(()).expect("somebody waits");
        };
        assert_eq!(player.play(|| true, endless), None);
        stopped.recv().expect("it stops");
    }
}
