//! When the keys of an issuer are fetched again, and how long they live. Times are durations since an arbitrary moment
//! of a clock that is never set.

use std::time::Duration;

/// Bounds of how long keys are used before they are fetched again, whatever the issuer says: often enough that a
/// withdrawn key is refused soon, and seldom enough that nobody is flooded.
const LIFETIME_MIN: Duration = Duration::from_secs(60);
const LIFETIME_MAX: Duration = Duration::from_secs(3_600);
/// The same for an issuer that does not say.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);
/// Time between two attempts while the issuer does not answer.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// Time between two attempts because tokens name a key that is not known. Anybody can make such tokens.
pub const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// How long the last keys are used while the issuer does not answer: an outage of a day is survived, and a key that was
/// withdrawn during one is not valid for ever.
pub const KEYS_LIFE_MAX: Duration = Duration::from_secs(86_400);

/// How long keys are used before they are fetched again, by the header `Cache-Control`.
#[must_use]
pub fn lifetime(cache_control: Option<&str>) -> Duration {
    let directives = cache_control.unwrap_or_default().split(',').map(str::trim);
    let mut lifetime = LIFETIME_DEFAULT;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return LIFETIME_MIN,
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse();
                lifetime = seconds.map_or(LIFETIME_DEFAULT, Duration::from_secs);
            }
            _ => {}
        }
    }
    lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX)
}

/// What is known about the fetches of an issuer's keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keeping {
    /// When an attempt was made last.
    pub tried: Option<Duration>,
    /// When keys were received last, and how long they are used before they are fetched again.
    pub received: Option<(Duration, Duration)>,
}

impl Keeping {
    /// Whether it is time to fetch the keys. They are fetched when four fifths of their time have passed, so that they
    /// are new before they are stale.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        let since = |then: Duration| now.saturating_sub(then);
        let is_wanted = self.received.is_none_or(|(at, lifetime)| since(at) >= lifetime * 4 / 5);
        is_wanted && self.tried.is_none_or(|tried| since(tried) >= RETRY_INTERVAL)
    }

    /// Whether a token that names an unknown key is a reason to fetch the keys now.
    #[must_use]
    pub fn may_look_for_a_key(&self, now: Duration) -> bool {
        self.tried.is_none_or(|tried| now.saturating_sub(tried) >= UNKNOWN_KEY_INTERVAL)
    }

    /// Whether the last keys may still be used.
    #[must_use]
    pub fn is_alive(&self, now: Duration) -> bool {
        self.received.is_some_and(|(at, _)| now.saturating_sub(at) < KEYS_LIFE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_chooses_the_lifetime_within_bounds() {
        for (header, seconds) in [
            (None, 300),
            (Some("max-age=600"), 600),
            (Some("public, Max-Age=\"600\", must-revalidate"), 600),
            (Some("max-age=1"), 60),
            (Some("max-age=31536000"), 3_600),
            (Some("max-age=99999999999999999999"), 300),
            (Some("max-age=-1"), 300),
            (Some("max-age=600, no-store"), 60),
            (Some("no-cache"), 60),
            (Some(",,=,"), 300),
        ] {
            assert_eq!(lifetime(header), Duration::from_secs(seconds), "{header:?}");
        }
    }

    #[test]
    fn keys_are_fetched_before_they_are_stale_and_a_flood_of_unknown_keys_is_not() {
        let at = Duration::from_secs;
        let never = Keeping::default();
        assert!(never.is_due(at(0)) && never.may_look_for_a_key(at(0)) && !never.is_alive(at(0)));
        let failed = Keeping { tried: Some(at(100)), received: None };
        assert_eq!([failed.is_due(at(114)), failed.is_due(at(115))], [false, true]);
        let known = Keeping { tried: Some(at(100)), received: Some((at(100), at(300))) };
        assert_eq!([known.is_due(at(339)), known.is_due(at(340))], [false, true]);
        assert_eq!([known.may_look_for_a_key(at(109)), known.may_look_for_a_key(at(110))], [false, true]);
        assert_eq!([known.is_alive(at(86_499)), known.is_alive(at(86_500))], [true, false]);
    }
}
