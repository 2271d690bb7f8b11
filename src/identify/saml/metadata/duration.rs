//! Spans of time as XML Schema writes them (part 2, 3.2.6): `PT1H`, `P1DT12H`.

use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;

/// An xs:duration in whole seconds; months have 30 days and years 365. None for what is none, or is negative.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']).strip_prefix('P')?;
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = sum(date, &[('Y', 365 * DAY), ('M', 30 * DAY), ('D', DAY)])?;
    let seconds = sum(time, &[('H', 60 * 60), ('M', 60), ('S', 1)])?;
    Some(Duration::from_secs(days.saturating_add(seconds)))
}

/// Numbers, each followed by a unit, in the order of `units`.
fn sum(mut text: &str, mut units: &[(char, u64)]) -> Option<u64> {
    let mut sum = 0_u64;
    while !text.is_empty() {
        let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at_checked(at)?;
        let unit = rest.chars().next()?;
        let place = units.iter().position(|(known, _)| *known == unit)?;
        let (&(_, seconds), later) = units.get(place..)?.split_first()?;
        // Only seconds have a fraction, which is of no interest.
        let number = match number.split_once('.') {
            Some((whole, part)) if unit == 'S' && !part.is_empty() && !part.contains('.') => whole,
            Some(_) => return None,
            None => number,
        };
        sum = sum.saturating_add(number.parse::<u64>().ok()?.saturating_mul(seconds));
        units = later;
        text = rest.strip_prefix(unit)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_xml_schema_writes_it() {
        for (text, seconds) in [
            ("PT1H", 3600),
            ("PT30M", 1800),
            ("PT0S", 0),
            ("P1D", DAY),
            (" P7D ", 7 * DAY),
            ("P1Y2M3DT4H5M6.7S", 365 * DAY + 60 * DAY + 3 * DAY + 4 * 3600 + 5 * 60 + 6),
            ("PT604800S", 7 * DAY),
            ("P1M", 30 * DAY),
            ("PT1M", 60),
            ("P99999999999999999Y", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in [
            "", "P", "PT", "P1DT", "1H", "PH", "P1H", "PT1D", "-P1D", "PT1M1H", "PT1.5H", "PT1.S",
            "PT1.2.3S", "P1", "PT1H ago", "P1D1D",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
