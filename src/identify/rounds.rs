//! How often one browser went round from login to login: lesson 40, a loop is broken after a few rounds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::model::{BrowserHash, StateHash, UnixTime, login};

/// More rounds than this within [`WINDOW`] are a loop.
const MAX_ROUNDS: u32 = 8;
/// Seconds.
const WINDOW: i64 = 60;
/// Browsers that are watched at a time; about 1 KiB each.
const MAX_BROWSERS: usize = 4096;

/// Counts rounds, in this process and in memory only: a loop that a restart hides goes on after it.
///
/// A round is a login that *began after the last round ended*. So fifty tabs that sign in at once are one
/// round, however their answers interleave, while a loop, in which each login begins where the last one led
/// to, counts every time.
#[derive(Default)]
pub struct Rounds {
    browsers: Mutex<HashMap<BrowserHash, Browser>>,
}

#[derive(Default)]
struct Browser {
    /// Rounds that ended since `since`.
    ended: u32,
    /// End of the first round that is counted.
    since: Option<UnixTime>,
    /// Logins under way, with the number of rounds that had ended when each began.
    begun: VecDeque<(StateHash, u32)>,
}

/// A loop.
#[derive(Debug, PartialEq, Eq)]
pub struct Looped {
    pub rounds: u32,
    pub seconds: i64,
}

impl Rounds {
    /// A login of `browser` begins.
    pub fn begun(&self, browser: &BrowserHash, state: &StateHash) {
        let mut browsers = self.browsers.lock().unwrap_or_else(PoisonError::into_inner);
        if browsers.len() >= MAX_BROWSERS && !browsers.contains_key(browser) {
            // Whoever floods us with browsers only makes us forget loops, which the next rounds show again.
            browsers.clear();
        }
        let watched = browsers.entry(*browser).or_default();
        if watched.begun.len() >= login::MAX_PER_BROWSER {
            watched.begun.pop_front();
        }
        let ended = watched.ended;
        watched.begun.push_back((*state, ended));
    }

    /// An answer to the login `state` of `browser` came; a value where this is one round too many. The
    /// count then starts anew, so that who repairs the cause can go on at once.
    pub fn finished(&self, browser: &BrowserHash, state: &StateHash, now: UnixTime) -> Option<Looped> {
        let mut browsers = self.browsers.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = browsers.get_mut(browser)?;
        let at = watched.begun.iter().position(|(begun, _)| begun == state)?;
        let (_, ended_then) = watched.begun.remove(at)?;
        if ended_then != watched.ended {
            return None;
        }
        let since = *watched.since.get_or_insert(now);
        let seconds = now.0 - since.0;
        if !(0..=WINDOW).contains(&seconds) {
            // The count goes on so that logins under way keep their place, but from a new start.
            watched.ended = 1;
            watched.since = Some(now);
            watched.begun.clear();
            return None;
        }
        watched.ended += 1;
        if watched.ended <= MAX_ROUNDS {
            return None;
        }
        let looped = Looped { rounds: watched.ended, seconds };
        browsers.remove(browser);
        Some(looped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: BrowserHash = BrowserHash([1; 32]);

    fn state(n: u32) -> StateHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        StateHash(bytes)
    }

    /// One round that begins and ends.
    fn round(rounds: &Rounds, n: u32, now: i64) -> Option<Looped> {
        rounds.begun(&BROWSER, &state(n));
        rounds.finished(&BROWSER, &state(n), UnixTime(now))
    }

    #[test]
    fn lesson_40_the_ninth_round_within_a_minute_is_a_loop() {
        let rounds = Rounds::default();
        for n in 0..8 {
            assert_eq!(round(&rounds, n, 100 + i64::from(n)), None, "{n}");
        }
        assert_eq!(round(&rounds, 8, 160), Some(Looped { rounds: 9, seconds: 60 }));
        // And then from the start.
        for n in 0..8 {
            assert_eq!(round(&rounds, n, 161), None);
        }
        assert!(round(&rounds, 8, 161).is_some());
    }

    #[test]
    fn rounds_over_more_than_a_minute_are_none() {
        let rounds = Rounds::default();
        for n in 0..8 {
            assert_eq!(round(&rounds, n, 100), None);
        }
        assert_eq!(round(&rounds, 8, 161), None);
        for n in 9..16 {
            assert_eq!(round(&rounds, n, 161), None);
        }
        assert_eq!(round(&rounds, 16, 161), Some(Looped { rounds: 9, seconds: 0 }));
    }

    #[test]
    fn a_clock_that_was_set_back_starts_the_count_anew() {
        let rounds = Rounds::default();
        for n in 0..8 {
            assert_eq!(round(&rounds, n, 100), None);
        }
        assert_eq!(round(&rounds, 8, 99), None);
    }

    #[test]
    fn lesson_35_fifty_tabs_at_once_are_one_round_however_they_interleave() {
        let rounds = Rounds::default();
        for tab in 0..50 {
            rounds.begun(&BROWSER, &state(tab));
        }
        for tab in 0..50 {
            assert_eq!(rounds.finished(&BROWSER, &state(tab), UnixTime(100)), None);
        }
        // Those that were evicted began again meanwhile, all in one further round.
        for tab in 50..66 {
            rounds.begun(&BROWSER, &state(tab));
        }
        for tab in 50..66 {
            assert_eq!(rounds.finished(&BROWSER, &state(tab), UnixTime(100)), None);
        }
        let ended = rounds.browsers.lock().unwrap()[&BROWSER].ended;
        assert_eq!(ended, 2);
    }

    #[test]
    fn browsers_are_counted_apart_and_unknown_answers_not_at_all() {
        let rounds = Rounds::default();
        assert_eq!(rounds.finished(&BROWSER, &state(0), UnixTime(1)), None);
        for n in 0..20 {
            let other = BrowserHash([u8::try_from(n).unwrap() + 2; 32]);
            rounds.begun(&other, &state(n));
            assert_eq!(rounds.finished(&other, &state(n), UnixTime(1)), None);
            // Answered twice: the second time is no round.
            assert_eq!(rounds.finished(&other, &state(n), UnixTime(1)), None);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rounds = Rounds::default();
        for n in 0..u32::try_from(MAX_BROWSERS).unwrap() + 1 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            rounds.begun(&BrowserHash(hash), &state(n));
        }
        assert_eq!(rounds.browsers.lock().unwrap().len(), 1);
        for n in 0..100 {
            rounds.begun(&BROWSER, &state(n));
        }
        let browsers = rounds.browsers.lock().unwrap();
        assert_eq!((browsers.len(), browsers[&BROWSER].begun.len()), (2, login::MAX_PER_BROWSER));
    }
}
