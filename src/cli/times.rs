//! Times as operators write and read them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const MINUTE_MS: i64 = 60_000;
/// The longest time that a duration may name.
const MAX_DURATION_MS: i64 = 100 * 366 * 24 * 60 * MINUTE_MS;

/// A stretch of time, in milliseconds: a whole number and m, h, d or w.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no stretch of time: such as 30m, 12h, 7d or 4w");
    let unit_ms = match text.chars().last() {
        Some('m') => MINUTE_MS,
        Some('h') => 60 * MINUTE_MS,
        Some('d') => 24 * 60 * MINUTE_MS,
        Some('w') => 7 * 24 * 60 * MINUTE_MS,
        _ => return Err(wrong()),
    };
    let number = text[..text.len() - 1].parse::<u32>().map_err(|_| wrong())?;
    let ms = i64::from(number).saturating_mul(unit_ms);
    if (1..=MAX_DURATION_MS).contains(&ms) { Ok(ms) } else { Err(wrong()) }
}

/// A moment, in Unix milliseconds: with an offset, or by this machine's time zone.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Ok(stamp.as_millisecond());
    }
    // `2026-12-24` is its first moment.
    let local = text.parse::<DateTime>().ok().and_then(|civil| civil.to_zoned(TimeZone::system()).ok());
    let wrong = || {
        format!(
            "{text:?} is no time: such as 2026-12-24, 2026-12-24T08:00 (by this machine's time zone) or 2026-12-24T08:00+08:00"
        )
    };
    local.map(|zoned| zoned.timestamp().as_millisecond()).ok_or_else(wrong)
}

/// A moment in Unix milliseconds, by this machine's time zone and with its offset.
pub(super) fn shown(ms: i64) -> String {
    shown_in(ms, TimeZone::system())
}

fn shown_in(ms: i64, zone: TimeZone) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| format!("{ms} ms"),
        |stamp| Zoned::new(stamp, zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
    )
}

/// A stretch of time for people, by its largest unit.
pub(super) fn stretch(ms: i64) -> String {
    let units = [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000)];
    let (name, unit_ms) = units.into_iter().find(|(_, unit_ms)| ms >= *unit_ms).unwrap_or(("second", 1_000));
    let count = (ms / unit_ms).max(0);
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// A moment, and how long ago that was or how long it is until then.
pub(super) fn shown_from(ms: i64, now: i64) -> String {
    let how_far =
        if ms > now { format!("in {}", stretch(ms - now)) } else { format!("{} ago", stretch(now - ms)) };
    format!("{} ({how_far})", shown(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_a_number_and_a_unit() {
        assert_eq!(
            ["90m", "12h", "7d", "4w"].map(|text| duration(text).unwrap() / MINUTE_MS),
            [90, 720, 10_080, 40_320]
        );
        for wrong in ["", "m", "7", "-7d", "0d", "1.5h", "7 d", "7y", "4294967295w", "七天", "99999999d"] {
            assert!(duration(wrong).unwrap_err().contains("7d"), "{wrong}");
        }
    }

    #[test]
    fn a_moment_has_an_offset_or_is_of_this_machines_zone() {
        assert_eq!(moment("2026-12-24T08:00:00+08:00"), Ok(1_798_070_400_000));
        assert_eq!(moment("2026-12-24T00:00Z"), Ok(1_798_070_400_000));
        for local in ["2026-12-24", "2026-12-24T00:00", "2026-12-24 00:00:00"] {
            assert_eq!(moment(local), moment("2026-12-24T00:00:00"), "{local}");
        }
        for wrong in ["", "tomorrow", "7d", "2026-13-01", "24.12.2026", "1798070400000"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            shown_in(1_798_070_400_123, TimeZone::fixed(jiff::tz::offset(8))),
            "2026-12-24 08:00:00 +08:00"
        );
        assert_eq!(shown_in(i64::MAX, TimeZone::UTC), format!("{} ms", i64::MAX));
    }

    #[test]
    fn how_far_it_is_is_said_by_the_largest_unit() {
        let said = |ms| shown_from(ms, 1_000_000_000_000).split_once('(').unwrap().1.to_owned();
        assert_eq!(said(1_000_000_000_000 + 86_400_000), "in 1 day)");
        assert_eq!(said(1_000_000_000_000 - 7_300_000), "2 hours ago)");
        assert_eq!(said(1_000_000_000_000), "0 seconds ago)");
    }
}
