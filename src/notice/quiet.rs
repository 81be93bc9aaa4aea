//! When a user is not to be disturbed.

use crate::config::notice::Hours;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

/// When the quiet hours end that `now` (both Unix milliseconds) falls into, on a clock so many minutes east of UTC; `None`: it is not
/// quiet. Hours from a minute to the same minute are none.
pub fn quiet_until(hours: Hours, utc_offset: i16, now: i64) -> Option<i64> {
    let minutes = now.div_euclid(MINUTE_MS);
    let clock = (minutes + i64::from(utc_offset)).rem_euclid(DAY_MINUTES);
    let since = (clock - i64::from(hours.from_minute)).rem_euclid(DAY_MINUTES);
    let length = (i64::from(hours.to_minute) - i64::from(hours.from_minute)).rem_euclid(DAY_MINUTES);
    (since < length).then_some((minutes + length - since) * MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: Hours = Hours { from_minute: 22 * 60, to_minute: 8 * 60 };

    /// Unix milliseconds of that time of the day, in UTC.
    fn at(hour: i64, minute: i64) -> i64 {
        (20_000 * DAY_MINUTES + hour * 60 + minute) * MINUTE_MS
    }

    #[test]
    fn a_night_goes_over_midnight() {
        assert_eq!(quiet_until(NIGHT, 0, at(21, 59) + 59_999), None);
        assert_eq!(quiet_until(NIGHT, 0, at(22, 0)), Some(at(32, 0)));
        assert_eq!(quiet_until(NIGHT, 0, at(7, 59) + 59_999), Some(at(8, 0)));
        assert_eq!(quiet_until(NIGHT, 0, at(8, 0)), None);
    }

    #[test]
    fn it_is_night_by_the_users_clock() {
        assert_eq!(quiet_until(NIGHT, 480, at(13, 59)), None);
        assert_eq!(quiet_until(NIGHT, 480, at(14, 0)), Some(at(24, 0)));
        assert_eq!(quiet_until(NIGHT, -300, at(12, 30)), Some(at(13, 0)));
        assert_eq!(quiet_until(NIGHT, -300, at(13, 0)), None);
    }

    #[test]
    fn hours_of_one_day_and_none_at_all() {
        let noon = Hours { from_minute: 720, to_minute: 780 };
        assert_eq!([at(11, 59), at(12, 30), at(13, 0)].map(|now| quiet_until(noon, 0, now)), [None, Some(at(13, 0)), None]);
        assert_eq!(quiet_until(Hours { from_minute: 5, to_minute: 5 }, 0, at(0, 5)), None);
    }
}
