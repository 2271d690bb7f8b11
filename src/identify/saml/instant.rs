//! Points in time as SAML writes them: xs:dateTime in UTC.

use crate::identify::shown::shown;
use crate::model::UnixTime;

/// A text that is no point in time as SAML Core 1.3.3 wants it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstantError {
    #[error("{0:?} is no xs:dateTime such as 2026-01-31T12:00:00Z")]
    Malformed(String),
    /// SAML Core 1.3.3. SECURITY: readers differ on the zone that such a time is in (XML Schema 2, 3.2.7.4),
    /// and so on whether it has passed.
    #[error(
        "{0:?} does not say that it is UTC; SAML wants a Z at its end, so the identity provider's time may be \
         off by the whole zone"
    )]
    NoZone(String),
    /// SAML Core 1.3.3: "MUST be expressed in UTC form".
    #[error("{0:?} has a time zone of its own; SAML wants UTC, with a Z at its end")]
    OtherZone(String),
}

const EPOCH: jiff::civil::DateTime = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Reads `2026-01-31T12:00:00Z`, with or without a fraction of a second, which is dropped.
///
/// The zone is `Z`; `+00:00`, which some libraries write for it, says the same and passes. Leap seconds do not
/// pass (SAML Core 1.3.3), and neither does the hour 24, nor a year of more or less than four digits.
///
/// # Errors
/// Whatever else it is.
pub fn parse(text: &str) -> Result<UnixTime, InstantError> {
    let malformed = || InstantError::Malformed(shown(text));
    let (date, time) = text.split_once('T').ok_or_else(malformed)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or_else(malformed)?;
    // The zone begins with the first character that cannot be of the time.
    let zone_at = time.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(zone_at).ok_or_else(malformed)?;
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, part)| (time, Some(part)));
    if fraction.is_some_and(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit())) {
        return Err(malformed());
    }
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2]).ok_or_else(malformed)?;
    let narrow = |number: i16| i8::try_from(number).map_err(|_| malformed());
    let point = jiff::civil::DateTime::new(
        year,
        narrow(month)?,
        narrow(day)?,
        narrow(hour)?,
        narrow(minute)?,
        narrow(second)?,
        0,
    )
    .map_err(|_| malformed())?;
    match zone {
        "Z" | "+00:00" => {}
        "" => return Err(InstantError::NoZone(shown(text))),
        zone if numbers(zone.trim_start_matches(['+', '-']), ':', [2, 2]).is_some() => {
            return Err(InstantError::OtherZone(shown(text)));
        }
        _ => return Err(malformed()),
    }
    // Not by way of a `Timestamp`, which ends a day before the `9999-12-31` that stands for "never".
    Ok(UnixTime(point.duration_since(EPOCH).as_secs()))
}

/// Numbers of exactly these lengths between separators.
fn numbers<const N: usize>(text: &str, separator: char, lengths: [usize; N]) -> Option<[i16; N]> {
    let mut parts = text.split(separator);
    let mut out = [0; N];
    for (to, length) in out.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *to = part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_with_a_z_is_read_to_the_second() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-31T12:00:00Z", 1_769_860_800),
            ("2026-01-31T12:00:00.999Z", 1_769_860_800),
            ("2026-01-31T12:00:00.1234567Z", 1_769_860_800),
            ("2026-01-31T12:00:00+00:00", 1_769_860_800),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("1969-12-31T23:59:59.5Z", -1),
            ("9999-12-31T23:59:59.9999999Z", 253_402_300_799),
        ] {
            assert_eq!(parse(text), Ok(UnixTime(seconds)), "{text}");
        }
    }

    #[test]
    fn a_time_that_does_not_say_utc_is_refused_by_name() {
        for text in ["2026-01-31T12:00:00", "2026-01-31T12:00:00.5"] {
            assert_eq!(parse(text), Err(InstantError::NoZone(text.into())));
        }
        for text in ["2026-01-31T14:00:00+02:00", "2026-01-31T14:00:00-00:30", "2026-01-31T14:00:00.5-00:00"]
        {
            assert_eq!(parse(text), Err(InstantError::OtherZone(text.into())));
        }
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in [
            "",
            "T",
            "2026-01-31",
            "2026-01-31 12:00:00Z",
            "2026-01-31t12:00:00Z",
            "2026-01-31T12:00:00z",
            "2026-01-31T12:00Z",
            "2026-01-31T12:00:00ZZ",
            "2026-01-31T12:00:00Z ",
            " 2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.5.5Z",
            "2026-01-31T12:00:00.5:5Z",
            "2026-01-31T12:00:00,5Z",
            "2026-01-31T12:00:60Z",
            "2026-01-31T24:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "02026-01-31T12:00:00Z",
            "-2026-01-31T12:00:00Z",
            "+026-01-31T12:00:00Z",
            "26-01-31T12:00:00Z",
            "2026-1-31T12:00:00Z",
            "2026-01-31T12:00:00+2",
            "2026-01-31T12:00:00GMT",
            "2026-01-31T12:00:00\u{660}Z",
            "1769860800",
        ] {
            assert_eq!(parse(text), Err(InstantError::Malformed(text.into())), "{text:?}");
        }
    }
}
