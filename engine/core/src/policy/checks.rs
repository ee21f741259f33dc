//! Checksums and other arithmetic that distinguish issued numbers from numbers that only look like them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Shannon entropy of these bytes, bits per character.
pub(super) fn entropy_bits(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = bytes.len() as f64;
    let share = |count: &u32| f64::from(*count) / total;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

/// The values of the digits in `bytes`; other bytes, such as separators, are left out.
pub(super) fn digits(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect()
}

/// Whether the check digit of a payment card number is correct (ISO/IEC 7812).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let each = digits.iter().rev().enumerate();
    let sum: u32 = each.map(|(i, digit)| u32::from(if i % 2 == 1 { doubled(*digit) } else { *digit })).sum();
    sum.is_multiple_of(10)
}

/// Ranges of issuers' numbers: first and last four-digit prefix, minimum and maximum number of digits.
const ISSUERS: [(u32, u32, usize, usize); 18] = [
    (2131, 2131, 15, 15), // JCB
    (1800, 1800, 15, 15), // JCB
    (2200, 2204, 16, 19), // Mir
    (2221, 2720, 16, 16), // Mastercard
    (3000, 3059, 14, 19), // Diners Club
    (3095, 3095, 14, 19), // Diners Club
    (3400, 3499, 15, 15), // American Express
    (3528, 3589, 16, 19), // JCB
    (3590, 3599, 16, 16), // JCB
    (3600, 3699, 14, 19), // Diners Club
    (3700, 3799, 15, 15), // American Express
    (3800, 3999, 14, 19), // Diners Club
    (4000, 4999, 13, 19), // Visa
    (5000, 5099, 12, 19), // Maestro
    (5100, 5599, 16, 16), // Mastercard
    (5600, 5899, 12, 19), // Maestro
    (6000, 6999, 12, 19), // Maestro, Discover, UnionPay, RuPay
    (9792, 9792, 16, 16), // Troy
];

/// Whether a payment card can have this number: a common length and a valid check digit.
pub(super) fn may_be_card(digits: &[u8]) -> bool {
    (12..=19).contains(&digits.len()) && digits.iter().any(|digit| *digit != digits[0]) && luhn(digits)
}

/// Whether a payment card can have this number, and the number has an issuer's prefix and a length that this issuer
/// uses.
pub(super) fn is_card(digits: &[u8]) -> bool {
    if !may_be_card(digits) {
        return false;
    }
    let prefix = digits[..4].iter().fold(0, |prefix, digit| prefix * 10 + u32::from(*digit));
    let issued = |(first, last, shortest, longest): &(u32, u32, usize, usize)| {
        (*first..=*last).contains(&prefix) && (*shortest..=*longest).contains(&digits.len())
    };
    // Visa issues numbers of 13, 16 and 19 digits. A timestamp in milliseconds also has 13, but starts with 1.
    let visa_length = digits[0] != 4 || matches!(digits.len(), 13 | 16 | 19);
    ISSUERS.iter().any(issued) && visa_length
}

/// Length of IBANs by country (SWIFT's registry).
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18\
    FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24\
    ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23\
    TN24TR26UA29VA22VG24XK20YE30";

/// Whether this is an IBAN (ISO 13616): it has the length its country uses, and the correct remainder modulo 97. The
/// caller has removed spaces and hyphens and converted letters to upper case.
pub(super) fn is_iban(iban: &[u8]) -> bool {
    let lengths = IBAN_LENGTHS.as_bytes().chunks(4);
    let country = lengths.into_iter().find(|entry| iban.starts_with(&entry[..2]));
    let length = country.map_or(0, |entry| usize::from(entry[2] - b'0') * 10 + usize::from(entry[3] - b'0'));
    if length == 0 || iban.len() != length || !iban.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let value = |byte: &u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 });
    let turned = iban[4..].iter().chain(&iban[..4]).map(value);
    turned.fold(0, |rest, value| (rest * if value > 9 { 100 } else { 10 } + value) % 97) == 1
}

/// CRC-32 (IEEE), computed bit by bit: the input has about thirty bytes, and calls are rare.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Computes the checksum in the last six characters of a GitHub or npm token: the CRC-32 of the preceding characters,
/// `random`, in base 62.
pub(super) fn base62_crc(random: &[u8]) -> [u8; 6] {
    let mut rest = crc32(random);
    let mut text = [b'0'; 6];
    for place in text.iter_mut().rev() {
        *place = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    text
}

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The first byte encoded by this Base58Check text (Bitcoin's version byte), if its checksum is correct.
pub(super) fn base58check_version(text: &[u8]) -> Option<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(40);
    for digit in text {
        let mut carry = BASE58.iter().position(|known| known == digit)? as u32;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.insert(0, carry as u8);
            carry >>= 8;
        }
    }
    let zeros = text.iter().take_while(|digit| **digit == b'1').count();
    let whole = [vec![0; zeros], bytes].concat();
    let (payload, checksum) = whole.split_at_checked(whole.len().checked_sub(4)?)?;
    let twice = Sha256::digest(Sha256::digest(payload));
    (twice[..4] == *checksum).then(|| payload.first().copied())?
}

/// Whether this is a Bech32 address of Bitcoin (BIP 173 and 350) in lower case.
pub(super) fn is_bech32(text: &[u8]) -> bool {
    const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let step = |check: u32, value: u32| {
        let (top, check) = (check >> 25, (check & 0x01ff_ffff) << 5 ^ value);
        (0..5).filter(|i| top >> i & 1 == 1).fold(check, |check, i| check ^ GENERATOR[i])
    };
    let prefix = [3, 3, 0, 2, 3].into_iter().fold(1, step); // "bc"
    let values: Option<Vec<u32>> =
        text.iter().skip(3).map(|c| Some(CHARSET.iter().position(|known| known == c)? as u32)).collect();
    values.is_some_and(|values| matches!(values.into_iter().fold(prefix, step), 1 | 0x2bc8_30a3))
}

/// Decodes base64 with or without padding.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

/// Decodes URL-safe base64 without padding.
pub(super) fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether these are the three parts of a JSON web token, of which the first is an object that names its algorithm.
pub(super) fn is_jwt(text: &[u8]) -> bool {
    let header = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).ok();
    let header = header.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    header.is_some_and(|header| header.get("alg").is_some_and(serde_json::Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(number: &str) -> bool {
        is_card(&digits(number.as_bytes()))
    }

    #[test]
    fn a_card_has_issuer_length_and_check_digit() {
        for number in [
            "4111 1111 1111 1111",
            "378282246310005",
            "30569309025904",
            "6011-1111-1111-1117",
            "2223003122003222",
        ] {
            assert!(card(number), "{number}");
        }
        // Wrong check digit, unknown issuer, a Visa number of 14 digits, one repeated digit, milliseconds and
        // nanoseconds since 1970.
        for number in [
            "4111111111111112",
            "9111111111111111",
            "41111111111116",
            "0000000000000000",
            "1732571234567",
            "1732571234567890123",
        ] {
            assert!(!card(number), "{number}");
        }
    }

    #[test]
    fn an_iban_has_the_length_of_its_country_and_remainder_one() {
        for iban in [
            "GB82WEST12345698765432",
            "DE89370400440532013000",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
        ] {
            assert!(is_iban(iban.as_bytes()), "{iban}");
        }
        for iban in ["GB82WEST12345698765433", "DE8937040044053201300", "ZZ82WEST12345698765432", "", "GB"] {
            assert!(!is_iban(iban.as_bytes()), "{iban}");
        }
    }

    #[test]
    fn checksums_are_those_of_their_definitions() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926, "the check value of CRC-32");
        assert_eq!(&base62_crc(b"123456789"), b"3jZRME");
        assert_eq!(base58check_version(b"1BoatSLRHtKNngkdXEeobR76b53LETtpyT"), Some(0));
        assert_eq!(base58check_version(b"1BoatSLRHtKNngkdXEeobR76b53LETtpyU"), None);
        assert_eq!(base58check_version(b""), None);
        assert!(is_bech32(b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
        assert!(!is_bech32(b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"));
        assert!((entropy_bits(b"abcd") - 2.0).abs() < 1e-9 && entropy_bits(b"aaaa") < 1e-9);
        assert!(is_jwt(b"eyJhbGciOiJIUzI1NiJ9.e30.c2ln") && !is_jwt(b"eyJ0eXAiOiJKV1QifQ.e30.c2ln"));
    }
}
