//! Times in texts.

use hornpipe_model::Timestamp;

const NANOS: u64 = 1_000_000_000;
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// How times are written.
#[derive(Debug)]
pub(crate) enum Times {
    /// ISO 8601 and its relatives, or a number since 1970.
    Usual,
    /// As the user says.
    Layout(Layout),
}

impl Times {
    /// The time that a whole text holds.
    pub(crate) fn parse(&self, text: &str) -> Option<Timestamp> {
        match self {
            Times::Usual => usual(text.trim().as_bytes()).or_else(|| number_in(text.trim())),
            Times::Layout(layout) => layout.parse(text.as_bytes()),
        }
    }
}

/// Smaller numbers of seconds (up to March 1973) are none: they are how long something took, or how often it came.
const LEAST_SECONDS: u64 = 100_000_000;

/// A time as a number in a text.
pub(crate) fn number_in(text: &str) -> Option<Timestamp> {
    text.parse().ok().and_then(whole_number).or_else(|| number(text.parse().ok()?))
}

/// A time as a whole number, exact.
pub(crate) fn whole_number(number: u64) -> Option<Timestamp> {
    let scale = match number {
        n if n < LEAST_SECONDS => return None,
        n if n < 100_000_000_000 => NANOS,
        n if n < 100_000_000_000_000 => 1_000_000,
        n if n < 100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(scale).map(Timestamp::from_nanos)
}

/// A time as a number since 1970: seconds up to the year 5138, and beyond that milli-, micro- or nanoseconds.
pub(crate) fn number(number: f64) -> Option<Timestamp> {
    let scale = match number {
        n if !n.is_finite() || n < LEAST_SECONDS as f64 => return None,
        n if n < 1e11 => 1e9,
        n if n < 1e14 => 1e6,
        n if n < 1e17 => 1e3,
        _ => 1.0,
    };
    let nanos = number * scale;
    // Doubles are exact to some hundred nanoseconds here.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
    (nanos < u64::MAX as f64).then_some(Timestamp::from_nanos(nanos as u64))
}

/// `2026-11-22 10:35:59 +0000`, `2026-11-22T10:35:59.123Z`, `2026-11-22 10:35:59,123`.
pub(crate) fn usual(text: &[u8]) -> Option<Timestamp> {
    let mut civil = Civil::default();
    let mut rest = Reader(text);
    civil.year = rest.digits(4)?;
    rest.byte(b'-')?;
    civil.month = rest.digits(2)?;
    rest.byte(b'-')?;
    civil.day = rest.digits(2)?;
    rest.byte(b'T').or_else(|| rest.byte(b' '))?;
    civil.hour = rest.digits(2)?;
    rest.byte(b':')?;
    civil.minute = rest.digits(2)?;
    rest.byte(b':')?;
    civil.second = rest.digits(2)?;
    if rest.byte(b'.').or_else(|| rest.byte(b',')).is_some() {
        civil.nanos = rest.fraction()?;
    }
    let _ = rest.byte(b' ');
    if !rest.0.is_empty() {
        civil.offset = rest.zone()?;
    }
    rest.0.is_empty().then(|| civil.timestamp())?
}

/// `22/Nov/2026:10:36:02 +0000`, as access logs have it.
pub(crate) fn of_access_log(text: &[u8]) -> Option<Timestamp> {
    let mut rest = Reader(text);
    let day = rest.digits(2)?;
    rest.byte(b'/')?;
    let month = rest.month_name()?;
    rest.byte(b'/')?;
    let year = rest.digits(4)?;
    rest.byte(b':')?;
    let hour = rest.digits(2)?;
    rest.byte(b':')?;
    let minute = rest.digits(2)?;
    rest.byte(b':')?;
    let second = rest.digits(2)?;
    rest.byte(b' ')?;
    let offset = rest.zone()?;
    rest.0.is_empty().then(|| Civil { year, month, day, hour, minute, second, nanos: 0, offset }.timestamp())?
}

/// A date and a time of day.
#[derive(Clone, Copy, Debug)]
struct Civil {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u64,
    /// Seconds east of UTC.
    offset: i64,
}

impl Default for Civil {
    fn default() -> Self {
        Civil { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanos: 0, offset: 0 }
    }
}

impl Civil {
    fn timestamp(self) -> Option<Timestamp> {
        let Civil { year, month, day, hour, minute, second, nanos, offset } = self;
        // 60 is a leap second.
        let is_day = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        let is_valid = is_day && hour < 24 && minute < 60 && second <= 60;
        if !is_valid {
            return None;
        }
        let seconds = days_since_1970(i64::from(year), i64::from(month), i64::from(day)) * 86_400
            + i64::from(hour * 3600 + minute * 60 + second)
            - offset;
        let nanos = u64::try_from(seconds).ok()?.checked_mul(NANOS)?.checked_add(nanos)?;
        Some(Timestamp::from_nanos(nanos))
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Of the Gregorian calendar; a year is counted from March, so that a leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// What is left of a text.
struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits
            .iter()
            .try_fold(0_u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    /// One digit or two, behind a blank where one is for the other.
    fn one_or_two_digits(&mut self) -> Option<u32> {
        let _ = self.byte(b' ');
        self.digits(2).or_else(|| self.digits(1))
    }

    /// A fraction of a second, in nanoseconds.
    fn fraction(&mut self) -> Option<u64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count).filter(|_| count > 0)?;
        let nines = digits.iter().chain(std::iter::repeat(&b'0')).take(9);
        self.0 = rest;
        Some(nines.fold(0, |number, byte| number * 10 + u64::from(byte - b'0')))
    }

    /// `Z`, `UTC`, `+0100` or `+01:00`, in seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        for name in [&b"Z"[..], b"UTC", b"GMT"] {
            if let Some(rest) = self.0.strip_prefix(name) {
                self.0 = rest;
                return Some(0);
            }
        }
        let sign = if self.byte(b'-').is_some() {
            -1
        } else {
            self.byte(b'+')?;
            1
        };
        let hours = self.digits(2)?;
        let _ = self.byte(b':');
        let minutes = if self.0.first().is_some_and(u8::is_ascii_digit) { self.digits(2)? } else { 0 };
        Some(sign * i64::from(hours * 3600 + minutes * 60))
    }

    fn month_name(&mut self) -> Option<u32> {
        let (name, rest) = self.0.split_at_checked(3)?;
        let index = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
        self.0 = rest;
        u32::try_from(index + 1).ok()
    }
}

/// A layout in the directives of `strptime`.
#[derive(Debug, PartialEq)]
pub(crate) struct Layout(Vec<Item>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Literal(u8),
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    Hour,
    HourOf12,
    AmOrPm,
    Minute,
    Second,
    Fraction,
    Zone,
    Weekday,
    Epoch,
}

impl Layout {
    pub(crate) fn new(layout: &str) -> Result<Layout, String> {
        let mut items = Vec::new();
        let mut bytes = layout.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                items.push(Item::Literal(byte));
                continue;
            }
            items.extend_from_slice(match bytes.next() {
                Some(b'Y') => &[Item::Year],
                Some(b'y') => &[Item::ShortYear],
                Some(b'm') => &[Item::Month],
                Some(b'b' | b'h') => &[Item::MonthName],
                Some(b'd' | b'e') => &[Item::Day],
                Some(b'H') => &[Item::Hour],
                Some(b'I') => &[Item::HourOf12],
                Some(b'p') => &[Item::AmOrPm],
                Some(b'M') => &[Item::Minute],
                Some(b'S') => &[Item::Second],
                Some(b'f' | b'L') => &[Item::Fraction],
                Some(b'z' | b'Z') => &[Item::Zone],
                Some(b'a') => &[Item::Weekday],
                Some(b's') => &[Item::Epoch],
                Some(b'%') => &[Item::Literal(b'%')],
                Some(b'T') => &[Item::Hour, Item::Literal(b':'), Item::Minute, Item::Literal(b':'), Item::Second],
                Some(b'F') => &[Item::Year, Item::Literal(b'-'), Item::Month, Item::Literal(b'-'), Item::Day],
                Some(other) => return Err(format!("`%{}` is not a directive that is known here", char::from(other))),
                None => return Err("a directive is missing behind the last `%`".to_owned()),
            });
        }
        let has = |item: Item| items.contains(&item);
        let has_date =
            (has(Item::Year) || has(Item::ShortYear)) && (has(Item::Month) || has(Item::MonthName)) && has(Item::Day);
        if !has_date && !has(Item::Epoch) {
            return Err("a time needs year, month and day (`%Y`, `%m` or `%b`, `%d`), or `%s`".to_owned());
        }
        Ok(Layout(items))
    }

    fn parse(&self, text: &[u8]) -> Option<Timestamp> {
        let mut civil = Civil::default();
        let mut rest = Reader(text);
        let (mut epoch, mut afternoon) = (None, None);
        for item in &self.0 {
            match item {
                Item::Literal(byte) => rest.byte(*byte)?,
                Item::Year => civil.year = rest.digits(4)?,
                // As in POSIX: 69 to 99 are of the twentieth century.
                Item::ShortYear => {
                    civil.year = rest.digits(2).map(|year| if year < 69 { 2000 + year } else { 1900 + year })?
                }
                Item::Month => civil.month = rest.one_or_two_digits()?,
                Item::MonthName => civil.month = rest.month_name()?,
                Item::Day => civil.day = rest.one_or_two_digits()?,
                Item::Hour | Item::HourOf12 => civil.hour = rest.one_or_two_digits()?,
                Item::AmOrPm => {
                    let (half, behind) = rest.0.split_at_checked(2)?;
                    afternoon = Some(half.eq_ignore_ascii_case(b"pm"));
                    if afternoon == Some(false) && !half.eq_ignore_ascii_case(b"am") {
                        return None;
                    }
                    rest.0 = behind;
                }
                Item::Minute => civil.minute = rest.digits(2)?,
                Item::Second => civil.second = rest.digits(2)?,
                Item::Fraction => civil.nanos = rest.fraction()?,
                Item::Zone => civil.offset = rest.zone()?,
                Item::Weekday => rest.0 = rest.0.get(3..)?,
                Item::Epoch => {
                    let count = rest.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    let (digits, behind) = rest.0.split_at_checked(count)?;
                    epoch = Some(str::from_utf8(digits).ok()?.parse::<u64>().ok()?);
                    rest.0 = behind;
                }
            }
        }
        if !rest.0.is_empty() {
            return None;
        }
        if let Some(seconds) = epoch {
            return Some(Timestamp::from_nanos(seconds.checked_mul(NANOS)?.checked_add(civil.nanos)?));
        }
        if let Some(afternoon) = afternoon {
            civil.hour = civil.hour % 12 + if afternoon { 12 } else { 0 };
        }
        civil.timestamp()
    }
}
