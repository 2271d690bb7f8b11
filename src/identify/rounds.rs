//! How often one browser went round from login to login: lesson 40, a loop is broken after a few rounds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::model::{BrowserHash, StateHash, UnixTime, login};

/// More rounds than this within [`WINDOW`], none of which left a session behind, are a loop. Browsers give up
/// after 20 redirects; a round takes at least four, and the page that explains should come before that.
const MAX_ROUNDS: u32 = 4;
/// The same for a browser that has a session: tabs whose logins were evicted come by one after the other
/// ([`login::MAX_PER_BROWSER`]), and a person may have many.
const MAX_ROUNDS_SIGNED_IN: u32 = 64;
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
    /// Rounds that ended, ever.
    ended: u32,
    /// Rounds that ended since `since`, without and with a session.
    anonymous: u32,
    signed_in: u32,
    since: UnixTime,
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
    pub fn finished(
        &self,
        browser: &BrowserHash,
        state: &StateHash,
        signed_in: bool,
        now: UnixTime,
    ) -> Option<Looped> {
        let mut browsers = self.browsers.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = browsers.get_mut(browser)?;
        let at = watched.begun.iter().position(|(begun, _)| begun == state)?;
        let (_, ended_then) = watched.begun.remove(at)?;
        if ended_then != watched.ended {
            return None;
        }
        watched.ended = watched.ended.wrapping_add(1);
        let none_counted = watched.anonymous + watched.signed_in == 0;
        if none_counted || !(0..=WINDOW).contains(&(now.0 - watched.since.0)) {
            (watched.anonymous, watched.signed_in, watched.since) = (0, 0, now);
        }
        let (count, limit) = if signed_in {
            (&mut watched.signed_in, MAX_ROUNDS_SIGNED_IN)
        } else {
            (&mut watched.anonymous, MAX_ROUNDS)
        };
        *count += 1;
        if *count <= limit {
            return None;
        }
        let looped = Looped { rounds: *count, seconds: now.0 - watched.since.0 };
        browsers.remove(browser);
        Some(looped)
    }
}

impl Rounds {
    /// The person at `browser` signed out: cookies are kept there, and the logins to come are wanted.
    pub fn forget(&self, browser: &BrowserHash) {
        self.browsers.lock().unwrap_or_else(PoisonError::into_inner).remove(browser);
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
    fn round(rounds: &Rounds, n: u32, signed_in: bool, now: i64) -> Option<Looped> {
        rounds.begun(&BROWSER, &state(n));
        rounds.finished(&BROWSER, &state(n), signed_in, UnixTime(now))
    }

    #[test]
    fn lesson_40_one_round_too_many_within_a_minute_is_a_loop() {
        for (signed_in, limit) in [(false, MAX_ROUNDS), (true, MAX_ROUNDS_SIGNED_IN)] {
            let rounds = Rounds::default();
            for n in 0..limit {
                assert_eq!(round(&rounds, n, signed_in, 100), None, "{n}");
            }
            let looped = Looped { rounds: limit + 1, seconds: 60 };
            assert_eq!(round(&rounds, limit, signed_in, 160), Some(looped));
            // And then from the start.
            for n in 0..limit {
                assert_eq!(round(&rounds, n, signed_in, 161), None);
            }
            assert!(round(&rounds, limit, signed_in, 161).is_some());
        }
    }

    #[test]
    fn lesson_40_rounds_before_a_sign_out_do_not_count() {
        let rounds = Rounds::default();
        for n in 0..20 {
            if n % MAX_ROUNDS == 0 {
                rounds.forget(&BROWSER);
            }
            assert_eq!(round(&rounds, n, false, 100), None, "{n}");
        }
        assert!(round(&rounds, 20, false, 100).is_some());
    }

    #[test]
    fn rounds_with_and_without_a_session_are_counted_apart() {
        let rounds = Rounds::default();
        for n in 0..MAX_ROUNDS {
            assert_eq!(round(&rounds, n, false, 100), None);
            assert_eq!(round(&rounds, 1000 + n, true, 100), None);
        }
        assert_eq!(round(&rounds, 7, true, 100), None);
        assert_eq!(round(&rounds, 8, false, 100), Some(Looped { rounds: MAX_ROUNDS + 1, seconds: 0 }));
    }

    #[test]
    fn rounds_over_more_than_a_minute_are_none() {
        for later in [161, 99] {
            // 99: a clock that was set back starts the count anew.
            let rounds = Rounds::default();
            for n in 0..MAX_ROUNDS {
                assert_eq!(round(&rounds, n, false, 100), None);
            }
            for n in 0..MAX_ROUNDS {
                assert_eq!(round(&rounds, n, false, later), None);
            }
            assert_eq!(round(&rounds, 9, false, later), Some(Looped { rounds: MAX_ROUNDS + 1, seconds: 0 }));
        }
    }

    #[test]
    fn lesson_35_fifty_tabs_at_once_are_one_round_however_they_interleave() {
        let rounds = Rounds::default();
        for tab in 0..50 {
            rounds.begun(&BROWSER, &state(tab));
        }
        for tab in 0..50 {
            assert_eq!(rounds.finished(&BROWSER, &state(tab), false, UnixTime(100)), None);
        }
        // Those that were evicted began again meanwhile, all in one further round.
        for tab in 50..66 {
            rounds.begun(&BROWSER, &state(tab));
        }
        for tab in 50..66 {
            assert_eq!(rounds.finished(&BROWSER, &state(tab), false, UnixTime(100)), None);
        }
        let ended = rounds.browsers.lock().unwrap()[&BROWSER].ended;
        assert_eq!(ended, 2);
    }

    #[test]
    fn browsers_are_counted_apart_and_unknown_answers_not_at_all() {
        let rounds = Rounds::default();
        assert_eq!(rounds.finished(&BROWSER, &state(0), false, UnixTime(1)), None);
        for n in 0..20 {
            let other = BrowserHash([u8::try_from(n).unwrap() + 2; 32]);
            rounds.begun(&other, &state(n));
            assert_eq!(rounds.finished(&other, &state(n), false, UnixTime(1)), None);
            // Answered twice: the second time is no round.
            assert_eq!(rounds.finished(&other, &state(n), false, UnixTime(1)), None);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rounds = Rounds::default();
        for n in 0..=u32::try_from(MAX_BROWSERS).unwrap() {
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
