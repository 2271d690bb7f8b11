//! A bounded table whose rows end by themselves: sessions, codes, tokens.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::UnixTime;

/// At most `limit` rows, each for a time. A full table drops its expired rows, then the one that would end
/// soonest: whoever fills it disturbs others for a while, and never the machine.
#[derive(Debug)]
pub(super) struct Expiring<V> {
    rows: HashMap<String, (UnixTime, V)>,
    limit: usize,
}

impl<V> Expiring<V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { rows: HashMap::new(), limit }
    }

    pub(super) fn put(&mut self, key: String, value: V, now: UnixTime, lasts: Duration) {
        if self.rows.len() >= self.limit {
            self.rows.retain(|_, (ends, _)| *ends > now);
        }
        if self.rows.len() >= self.limit {
            let soonest = self.rows.iter().min_by_key(|(_, (ends, _))| *ends).map(|(key, _)| key.clone());
            if let Some(key) = soonest {
                self.rows.remove(&key);
            }
        }
        self.rows.insert(key, (now.after(lasts), value));
    }

    /// The row, unless its time is over.
    pub(super) fn at(&self, key: &str, now: UnixTime) -> Option<&V> {
        self.rows.get(key).filter(|(ends, _)| *ends > now).map(|(_, value)| value)
    }

    pub(super) fn at_mut(&mut self, key: &str, now: UnixTime) -> Option<&mut V> {
        self.rows.get_mut(key).filter(|(ends, _)| *ends > now).map(|(_, value)| value)
    }

    pub(super) fn take(&mut self, key: &str, now: UnixTime) -> Option<V> {
        self.rows.remove(key).filter(|(ends, _)| *ends > now).map(|(_, value)| value)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.rows.retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_at_its_time() {
        let mut table = Expiring::new(2);
        table.put("a".into(), 1, UnixTime(100), Duration::from_secs(10));
        assert_eq!(table.at("a", UnixTime(109)), Some(&1));
        assert_eq!(table.at("a", UnixTime(110)), None);
        assert_eq!(table.take("a", UnixTime(110)), None);
    }

    #[test]
    fn a_full_table_drops_what_is_over_before_what_is_not() {
        let mut table = Expiring::new(2);
        table.put("over".into(), 1, UnixTime(0), Duration::from_secs(10));
        table.put("live".into(), 2, UnixTime(0), Duration::from_secs(100));
        table.put("new".into(), 3, UnixTime(50), Duration::from_secs(100));
        assert_eq!(table.at("live", UnixTime(50)), Some(&2));
        table.put("newer".into(), 4, UnixTime(50), Duration::from_secs(100));
        assert_eq!(table.at("live", UnixTime(50)), None, "the one that would end soonest");
        assert_eq!(table.rows.len(), 2);
    }
}
