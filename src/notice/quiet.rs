//! Quiet hours, in which a user is not to be disturbed.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use crate::store::notices::Quiet;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

/// When the quiet hours end that `now` (both Unix milliseconds) falls into; `None`: it is not quiet. Hours
/// from a minute to the same minute are none.
pub fn quiet_until(quiet: Quiet, now: i64) -> Option<i64> {
    let minutes = now.div_euclid(MINUTE_MS);
    let clock = (minutes + i64::from(quiet.utc_offset_minutes)).rem_euclid(DAY_MINUTES);
    let since = (clock - i64::from(quiet.from_minute)).rem_euclid(DAY_MINUTES);
    let length = (i64::from(quiet.to_minute) - i64::from(quiet.from_minute)).rem_euclid(DAY_MINUTES);
    (since < length).then_some((minutes + length - since) * MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: u16, to: u16, utc_offset_minutes: i16) -> Quiet {
        Quiet { from_minute: from, to_minute: to, utc_offset_minutes }
    }

    fn night(utc_offset_minutes: i16) -> Quiet {
        hours(22 * 60, 8 * 60, utc_offset_minutes)
    }

    /// Unix milliseconds of that time of a day, in UTC.
    fn at(hour: i64, minute: i64) -> i64 {
        (20_000 * DAY_MINUTES + hour * 60 + minute) * MINUTE_MS
    }

    #[test]
    fn a_night_goes_over_midnight() {
        assert_eq!(quiet_until(night(0), at(21, 59) + 59_999), None);
        assert_eq!(quiet_until(night(0), at(22, 0)), Some(at(32, 0)));
        assert_eq!(quiet_until(night(0), at(7, 59) + 59_999), Some(at(8, 0)));
        assert_eq!(quiet_until(night(0), at(8, 0)), None);
    }

    #[test]
    fn it_is_night_by_the_users_clock() {
        assert_eq!(quiet_until(night(480), at(13, 59)), None);
        assert_eq!(quiet_until(night(480), at(14, 0)), Some(at(24, 0)));
        assert_eq!(quiet_until(night(-300), at(12, 30)), Some(at(13, 0)));
        assert_eq!(quiet_until(night(-300), at(13, 0)), None);
    }

    #[test]
    fn hours_of_one_day_and_none_at_all() {
        let noon = hours(720, 780, 0);
        assert_eq!(
            [at(11, 59), at(12, 30), at(13, 0)].map(|now| quiet_until(noon, now)),
            [None, Some(at(13, 0)), None]
        );
        assert_eq!(quiet_until(hours(5, 5, 0), at(0, 5)), None);
    }
}
