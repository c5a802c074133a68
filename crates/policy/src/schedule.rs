//! Schedules: weekly windows in local time, daylight saving included.
use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use crate::PolicyError;
use crate::document::Schedule;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;

/// A schedule ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct CompiledSchedule {
    pub(crate) name: String,
    zone: TimeZone,
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes of the local day.
    from: u16,
    to: u16,
}

impl CompiledSchedule {
    pub(crate) fn compile(name: &str, schedule: &Schedule) -> Result<Self, PolicyError> {
        let field = |part: &str| format!("schedules.{name}.{part}");
        let zone = TimeZoneDatabase::bundled()
            .get(&schedule.zone)
            .map_err(|_| {
                PolicyError::new(
                    field("zone"),
                    format!("{:?} is no IANA time zone", schedule.zone),
                )
            })?;
        let mut days = 0;
        for (index, word) in schedule.days.iter().enumerate() {
            let day = DAYS.iter().position(|day| day == word).ok_or_else(|| {
                PolicyError::new(
                    field(&format!("days[{index}]")),
                    format!("{word:?} is none of {}", DAYS.join(", ")),
                )
            })?;
            days |= 1 << day;
        }
        if days == 0 {
            return Err(PolicyError::new(
                field("days"),
                "must name at least one day",
            ));
        }
        let from = minute_of_day(&schedule.from).filter(|&minute| minute < MINUTES_OF_DAY);
        Ok(Self {
            name: name.to_owned(),
            zone,
            days,
            from: from
                .ok_or_else(|| PolicyError::new(field("from"), "must be HH:MM, 00:00 to 23:59"))?,
            to: minute_of_day(&schedule.to)
                .ok_or_else(|| PolicyError::new(field("to"), "must be HH:MM, 00:00 to 24:00"))?,
        })
    }

    /// Whether the window is open at this time, microseconds since 1970 UTC.
    pub(crate) fn is_open(&self, now_us: i64) -> bool {
        let Ok(now) = Timestamp::from_microsecond(now_us) else {
            return false;
        };
        let local = self.zone.to_datetime(now);
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        if self.from < self.to {
            return self.has(local.weekday()) && self.from <= minute && minute < self.to;
        }
        // Over midnight: the day is that on which the window opens.
        if minute >= self.from {
            return self.has(local.weekday());
        }
        minute < self.to
            && local
                .checked_sub(1.day())
                .is_ok_and(|yesterday| self.has(yesterday.weekday()))
    }

    fn has(&self, day: Weekday) -> bool {
        self.days >> day.to_monday_zero_offset() & 1 == 1
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2
        || minute.len() != 2
        || !text.bytes().all(|c| c.is_ascii_digit() || c == b':')
    {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= MINUTES_OF_DAY).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(days: &[&str], from: &str, to: &str) -> Result<CompiledSchedule, PolicyError> {
        let days = days.iter().map(|&day| day.to_owned()).collect();
        let schedule = Schedule {
            zone: "America/Chicago".into(),
            days,
            from: from.into(),
            to: to.into(),
        };
        CompiledSchedule::compile("office", &schedule)
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn follows_daylight_saving() {
        let office = schedule(&["sun", "mon"], "08:00", "18:00").unwrap();
        // Sunday 2026-03-08: clocks go from UTC-6 to UTC-5 at 02:00.
        for (time, is_open) in [
            ("2026-03-01T13:59:59Z", false),
            ("2026-03-01T14:00:00Z", true),
            ("2026-03-08T12:59:59Z", false),
            ("2026-03-08T13:00:00Z", true),
            ("2026-03-08T22:59:59Z", true),
            ("2026-03-08T23:00:00Z", false),
            ("2026-03-10T15:00:00Z", false),
        ] {
            assert_eq!(office.is_open(at(time)), is_open, "{time}");
        }
    }

    #[test]
    fn goes_over_midnight_from_its_opening_day() {
        let night = schedule(&["fri"], "22:00", "06:00").unwrap();
        for (time, is_open) in [
            ("2026-07-04T02:59:00Z", false),
            ("2026-07-04T03:00:00Z", true),
            ("2026-07-04T10:59:00Z", true),
            ("2026-07-04T11:00:00Z", false),
            ("2026-07-03T06:00:00Z", false),
        ] {
            assert_eq!(night.is_open(at(time)), is_open, "{time}");
        }
        assert!(
            schedule(&["fri"], "00:00", "24:00")
                .unwrap()
                .is_open(at("2026-07-04T04:59:00Z"))
        );
    }

    #[test]
    fn a_fault_names_its_field() {
        for (days, from, to, field) in [
            (vec!["monday"], "08:00", "18:00", "schedules.office.days[0]"),
            (vec![], "08:00", "18:00", "schedules.office.days"),
            (vec!["mon"], "24:00", "18:00", "schedules.office.from"),
            (vec!["mon"], "08:00", "24:01", "schedules.office.to"),
            (vec!["mon"], "08:00", "8:00", "schedules.office.to"),
        ] {
            assert_eq!(schedule(&days, from, to).unwrap_err().field, field);
        }
    }
}
