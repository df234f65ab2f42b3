//! How fast a campaign went, over time.
//!
//! **Place.** The campaign marks how many images it has checked, reports draw the rate. It tells of a
//! machine and a moment: nothing that is compared depends on it.
//!
//! - K1. However long a campaign is, it has [`MARKS_MAX`] marks at most: when they are full, every
//!   second one goes and the others lie twice as far apart.

use std::time::Duration;

/// Marks at most.
pub const MARKS_MAX: usize = 240;

/// The images checked after each span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The span.
    pub every: Duration,
    /// How many images there were after one span, two, and so on.
    pub marks: Vec<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_secs(1), marks: Vec::new() }
    }
}

impl Pace {
    /// Says how many images there are by now. Spans in which nothing was said hold as many.
    pub fn mark(&mut self, elapsed: Duration, images: u64) {
        while self.span(self.marks.len()) <= elapsed {
            self.marks.push(images);
            if self.marks.len() > MARKS_MAX {
                self.thin();
            }
        }
    }

    /// This one and another one behind it.
    #[must_use]
    pub fn before(mut self, other: &Self) -> Self {
        let (spent, images) =
            (self.span(self.marks.len()) - self.every, self.marks.last().copied().unwrap_or(0));
        for (place, mark) in other.marks.iter().enumerate() {
            self.mark(spent + other.span(place), images + mark);
        }
        self
    }

    /// This one and another one at the same time; where one has ended, its images stay.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Self {
        let every = self.every.max(other.every);
        let mut both = Self { every, marks: Vec::new() };
        let count = self.spans_of(every).max(other.spans_of(every));
        both.marks = (0..count)
            .map(|place| both.span(place))
            .map(|at| self.images_at(at).saturating_add(other.images_at(at)))
            .collect();
        both
    }

    /// Images per second in each span.
    pub fn rates(&self) -> Vec<u64> {
        let mut before = 0;
        let millis = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |mark: &u64| {
            let images = mark.saturating_sub(before);
            before = *mark;
            images.saturating_mul(1000) / millis
        };
        self.marks.iter().map(rate).collect()
    }

    /// When the span at a place ends.
    fn span(&self, place: usize) -> Duration {
        let spans = u32::try_from(place + 1).unwrap_or(u32::MAX);
        self.every.saturating_mul(spans)
    }

    /// How many spans of another length it fills.
    fn spans_of(&self, every: Duration) -> usize {
        let own = self.every.as_millis().saturating_mul(self.marks.len() as u128);
        let spans = own.div_ceil(every.as_millis().max(1));
        usize::try_from(spans).unwrap_or(MARKS_MAX).min(MARKS_MAX)
    }

    /// The images by then.
    fn images_at(&self, at: Duration) -> u64 {
        let spans = at.as_millis() / self.every.as_millis().max(1);
        let spans = usize::try_from(spans).unwrap_or(usize::MAX).min(self.marks.len());
        spans.checked_sub(1).map_or(0, |last| self.marks[last])
    }

    fn thin(&mut self) {
        let mut place = 0;
        self.marks.retain(|_| {
            place += 1;
            place % 2 == 0
        });
        self.every *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rate_is_that_of_each_second() {
        let mut pace = Pace::default();
        pace.mark(SECOND / 2, 70);
        pace.mark(SECOND, 100);
        pace.mark(SECOND * 3, 400);
        assert_eq!(pace.rates(), [100, 300, 0]);
    }

    #[test]
    fn a_day_has_as_few_marks_as_an_hour_and_ends_with_all_images() {
        let mut pace = Pace::default();
        for second in 1..=86_400 {
            pace.mark(SECOND * second, u64::from(second) * 1000);
        }
        assert!(pace.marks.len() <= MARKS_MAX, "{}", pace.marks.len());
        assert!(pace.rates().iter().all(|rate| *rate == 1000), "{:?}", pace.rates());
        assert!(pace.marks.last().is_some_and(|last| *last > 86_000_000));
    }

    #[test]
    fn one_behind_another_and_one_beside_another_keep_all_images() {
        let paced = |rate: u64, seconds: u32| {
            let mut pace = Pace::default();
            (1..=seconds).for_each(|second| pace.mark(SECOND * second, rate * u64::from(second)));
            pace
        };
        assert_eq!(paced(10, 3).before(&paced(20, 2)).rates(), [10, 10, 10, 20, 20]);
        assert_eq!(Pace::default().before(&paced(20, 2)).rates(), [20, 20]);
        assert_eq!(paced(10, 3).beside(&paced(20, 2)).rates(), [30, 30, 10]);
        let long = paced(10, 1000);
        let both = long.beside(&paced(20, 100));
        assert_eq!(both.every, long.every);
        assert_eq!(both.marks.last(), long.marks.last().map(|last| last + 2000).as_ref());
    }
}
