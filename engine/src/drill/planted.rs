//! Personal data and secrets that a drill plants. They are made anew for each run and belong to nobody.

use super::verdict::Stop;

/// Personal data, and a sentence with it.
#[derive(Debug)]
pub(super) struct Planted {
    pub(super) kind: &'static str,
    /// What must be found nowhere.
    pub(super) text: String,
    pub(super) placeholder: &'static str,
    pub(super) sentence: String,
}

/// A secret, and a sentence with it.
#[derive(Debug)]
pub(super) struct PlantedSecret {
    pub(super) detector: &'static str,
    pub(super) text: String,
    pub(super) sentence: String,
}

/// Personal data of those kinds among `redacted` that can be made.
pub(super) fn personal(random: [u8; 16], redacted: &[String]) -> Vec<Planted> {
    let digit = |byte: u8| u32::from(byte % 10);
    let email = format!("drill.{}@example.org", engine_core::digest::hex(&random[..6]));
    let card = card(random.map(digit));
    let phone = format!("+1 415 555 01{}{}", digit(random[14]), digit(random[15]));
    let all = [
        ("email", email, "[EMAIL]", "Write to"),
        ("credit-card", card, "[CREDIT_CARD]", "Pay with the card"),
        ("phone", phone, "[PHONE]", "Call me at"),
    ];
    let all = all.into_iter().map(|(kind, text, placeholder, words)| {
        let sentence = format!("{words} {text}.");
        Planted { kind, text, placeholder, sentence }
    });
    all.filter(|planted| redacted.iter().any(|kind| kind == planted.kind)).collect()
}

/// Number of a payment card with a correct check digit.
fn card(random: [u32; 16]) -> String {
    let mut digits = random;
    digits[0] = 4;
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 =
        (0..15).map(|place| if place % 2 == 0 { doubled(digits[place]) } else { digits[place] }).sum();
    digits[15] = (10 - sum % 10) % 10;
    digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}

/// A secret that one of the detectors in `blocked` finds.
pub(super) fn secret(random: [u8; 16], blocked: &[String]) -> Result<PlantedSecret, Stop> {
    let is_blocked = |detector: &&str| blocked.iter().any(|name| name == detector);
    let base32 = |byte: &u8| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte % 32)]);
    let known = ["aws-access-key-id", "password-assignment"];
    let Some(detector) = known.into_iter().find(is_blocked) else {
        let why = format!("no policy for {}", known.join(" and "));
        return Err(Stop::Skipped("secret_refused", why));
    };
    let letters: String = random.iter().map(base32).collect();
    let (text, words) = match detector {
        "aws-access-key-id" => (format!("AKIA{letters}"), "The key is "),
        _ => (format!("{}!7z{}", &letters[..6], letters[6..].to_lowercase()), "password="),
    };
    Ok(PlantedSecret { detector, sentence: format!("{words}{text}"), text })
}

#[cfg(test)]
mod tests {
    use engine_core::policy::Policy;
    use jiff::Timestamp;

    use super::*;

    /// What is planted has to be what the policy finds, whatever the random bytes are.
    #[test]
    fn the_policy_finds_what_is_planted() {
        let policy = Policy::default();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        for seed in 0..=255_u8 {
            let random =
                std::array::from_fn(|at| seed.wrapping_mul(31).wrapping_add(37_u8.wrapping_mul(at as u8)));
            for planted in personal(random, &names(&["email", "credit-card", "phone"])) {
                let judged = policy.judge_text("content", &planted.sentence, Timestamp::UNIX_EPOCH).unwrap();
                let stored = judged.changed.unwrap_or_default();
                assert!(!stored.contains(&planted.text), "{stored}");
                assert!(stored.contains(planted.placeholder), "{stored}");
            }
            for detector in ["aws-access-key-id", "password-assignment"] {
                let planted = secret(random, &names(&[detector])).unwrap();
                let judged = policy.judge_text("content", &planted.sentence, Timestamp::UNIX_EPOCH);
                assert_eq!(judged.unwrap_err().detector, detector);
            }
        }
        assert!(personal([7; 16], &names(&["name"])).is_empty() && secret([7; 16], &[]).is_err());
    }
}
