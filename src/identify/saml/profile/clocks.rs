//! What a time that is off says about the two clocks.

use std::fmt;

/// Seconds that one clock seems to be away from the other; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Apart(pub i64);

/// Nearly all zones are whole half hours from UTC, and at most fourteen hours.
const HALF_HOUR: i64 = 1800;
/// How long an answer may be on its way for a difference still to look like a zone.
const UNDERWAY: i64 = 120;

impl Apart {
    /// One of the two takes its local time for UTC.
    fn is_zone(self) -> bool {
        let off = self.0.rem_euclid(HALF_HOUR);
        let near = off <= UNDERWAY || off >= HALF_HOUR - UNDERWAY;
        near && (2 * HALF_HOUR - UNDERWAY..=28 * HALF_HOUR + UNDERWAY).contains(&self.0)
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the clocks differ by about {} s", self.0)?;
        if self.is_zone() {
            return f.write_str(", as if one of the two took its local time for UTC");
        }
        f.write_str("; have both set by NTP")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_look_like_a_zone_and_anything_else_like_a_clock() {
        for zone in [3600, 3480, 3720, 7200, 7215, 19_800, 50_400, 50_520] {
            assert!(Apart(zone).to_string().contains("local time"), "{zone}");
        }
        for clock in [0, 90, 900, 1800, 2700, 3479, 3721, 4000, 8000, 20_700, 50_521, 86_400] {
            assert!(Apart(clock).to_string().ends_with("NTP"), "{clock}");
        }
        assert_eq!(Apart(90).to_string(), "the clocks differ by about 90 s; have both set by NTP");
    }
}
