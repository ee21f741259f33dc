//! Detectors of secrets: what gives access to something. A find refuses the write.

use std::ops::Range;

use super::checks::{base58check_version, base62_crc, base64, entropy_bits, is_jwt};
use super::detector::{Check, Detector, Finds, How, alone};

/// Least entropy of a token whose form says already what it is, bits per character. Placeholders such as `xxxx` have less.
const ENTROPY_OF_FORM: f64 = 3.0;
/// Least entropy of a token of which only the words before it say that it is one. Words and paths have less.
const ENTROPY_OF_TOKEN: f64 = 3.3;
/// Least entropy of a password, bits per character: people choose them.
const ENTROPY_OF_PASSWORD: f64 = 2.2;
/// Fewest characters of a password that is looked for.
const PASSWORD_CHARS_MIN: usize = 6;
/// Fewest characters of a token of which only the words before it say that it is one.
const TOKEN_CHARS_MIN: usize = 16;

const fn row(
    name: &'static str,
    about: &'static str,
    trigger: &'static str,
    pattern: &'static str,
    check: Check,
) -> Detector {
    Detector { name, about, finds: Finds::Secret, trigger, how: How::Pattern(pattern, check) }
}

/// In the order in which a find is named: what is most specific first.
pub(super) const DETECTORS: &[Detector] = &[
    row(
        "private-key",
        "PEM block of a private key: RSA, EC, PKCS#8, OpenSSH, PGP",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        |_, found| Some(found),
    ),
    row(
        "putty-private-key",
        "PuTTY private key file",
        "PuTTY-User-Key-File",
        r"PuTTY-User-Key-File-[0-9]: ",
        |_, found| Some(found),
    ),
    row("age-secret-key", "Secret key of age", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", alone),
    row(
        "aws-access-key-id",
        "Access key id of AWS, except the one of its documentation",
        "A(?:KIA|SIA|BIA|CCA)",
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
        |text, found| alone(text, found).filter(|found| !text[found.clone()].ends_with(b"EXAMPLE")),
    ),
    row(
        "aws-secret-access-key",
        "Secret access key of AWS, behind words that say so",
        r"(?i)aws|secret.?access",
        r"(?i)(?:aws|secret.?access).{0,40}?[\x22'=:\s]([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)",
        |text, found| random(text, found, 4.0),
    ),
    row(
        "github-token",
        "Token of GitHub: personal, OAuth, app, refresh",
        "gh[pousr]_",
        r"gh[pousr]_[A-Za-z0-9]{36,251}",
        checksummed,
    ),
    row(
        "github-fine-grained-token",
        "Fine-grained personal token of GitHub",
        "github_pat_",
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        form,
    ),
    row(
        "gitlab-token",
        "Token of GitLab",
        "gl[a-z]{2,5}-",
        r"gl(?:pat|dt|rt|ptt|cbt|oas|ft|soat|agent|imt)-[A-Za-z0-9_-]{20,64}",
        form,
    ),
    row(
        "slack-token",
        "Token of Slack",
        "xox[a-z]-|xapp-",
        r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,250}",
        mixed_form,
    ),
    row(
        "slack-webhook",
        "Address of a Slack webhook",
        r"hooks\.slack\.com",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,150}",
        form,
    ),
    row(
        "stripe-key",
        "Live key of Stripe",
        "[srw][kh][a-z]*_",
        r"(?:[sr]k_live_|whsec_)[A-Za-z0-9+/]{20,250}",
        form,
    ),
    row("anthropic-key", "Key of Anthropic", "sk-ant-", r"sk-ant-[a-z0-9]{2,12}-[A-Za-z0-9_-]{20,250}", form),
    row(
        "openai-key",
        "Key of OpenAI and of services that took over its form",
        "sk-",
        r"sk-(?:(?:proj|svcacct|admin|None|or-v1)-)?[A-Za-z0-9_-]{20,250}",
        mixed_form,
    ),
    row("google-api-key", "Key of a Google API", "AIza", r"AIza[A-Za-z0-9_-]{35}", form),
    row(
        "google-oauth-secret",
        "Client secret or access token of Google's OAuth",
        r"GOCSPX-|ya29\.",
        r"(?:GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{30,400})",
        form,
    ),
    row(
        "gcp-service-account",
        "Key file of a service account of Google Cloud",
        "private_key_id",
        r"private_key_id\x5c{0,2}\x22\s{0,4}:\s{0,4}\x5c{0,2}\x22[0-9a-f]{40}",
        |_, found| Some(found),
    ),
    row(
        "azure-storage-key",
        "Key of an Azure account, as in a connection string",
        "(?i)(?:account|accesskey|sharedaccess)",
        r"(?i)(?:AccountKey|SharedAccessKey|AccessKey)\s?=\s?([A-Za-z0-9+/]{42,86}={1,2})",
        |text, found| random(text, found, 4.0),
    ),
    row(
        "azure-sas",
        "Signature of an Azure shared access link",
        "sig=",
        r"[?&](?:amp;)?sig=([A-Za-z0-9%+/]{40,120}(?:%3[dD]|=){0,2})",
        |text, found| random(text, found, 4.0),
    ),
    row("npm-token", "Token of npm", "npm_", r"npm_[A-Za-z0-9]{36}", checksummed),
    row("pypi-token", "Token of PyPI", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{50,250}", form),
    row(
        "huggingface-token",
        "Token of Hugging Face",
        "hf_|api_org_",
        r"(?:hf|api_org)_[A-Za-z0-9]{34,40}",
        form,
    ),
    row("sendgrid-key", "Key of SendGrid", r"SG\.", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", form),
    row("digitalocean-token", "Token of DigitalOcean", "do[opr]_v1_", r"do[opr]_v1_[a-f0-9]{64}", form),
    row("vault-token", "Token of HashiCorp Vault", r"hv[sbr]\.", r"hv[sbr]\.[A-Za-z0-9_-]{24,300}", form),
    row(
        "terraform-token",
        "Token of Terraform Cloud",
        r"\.atlasv1\.",
        r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}",
        form,
    ),
    row("telegram-bot-token", "Token of a Telegram bot", ":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}", form),
    row("databricks-token", "Token of Databricks", "dapi", r"dapi[a-f0-9]{32}(?:-[0-9])?", form),
    row(
        "vendor-token",
        "Token with the prefix of Shopify, Grafana, Doppler, Pulumi, Postman, New Relic, Linear, Groq, xAI, Replicate, Docker or Atlassian",
        "(?:shp[a-z]{2}|glsa|glc|gsk|r8|lin_api|NRAK|PMAK|xai|pul|dckr_pat|ATATT3)[_-]|ATATT3|dp\\.pt\\.",
        r"(?:shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,200}|gsk_[A-Za-z0-9]{52}|r8_[A-Za-z0-9]{37}|lin_api_[A-Za-z0-9]{40}|NRAK-[A-Z0-9]{27}|PMAK-[A-Za-z0-9]{24}-[A-Za-z0-9]{34}|xai-[A-Za-z0-9]{70,90}|pul-[a-f0-9]{40}|dckr_pat_[A-Za-z0-9_-]{27}|ATATT3[A-Za-z0-9_=-]{100,250}|dp\.pt\.[A-Za-z0-9]{40,44})",
        form,
    ),
    row(
        "jwt",
        "JSON web token: base64url parts, the first of which names an algorithm",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{10,600}\.[A-Za-z0-9_-]{2,600}",
        |text, found| is_jwt(&text[found.clone()]).then_some(found),
    ),
    row(
        "bitcoin-private-key",
        "Private key of Bitcoin, with its checksum",
        r"\b[5KL][1-9A-HJ-NP-Za-km-z]{16}",
        r"[5KL][1-9A-HJ-NP-Za-km-z]{50,51}",
        |text, found| {
            let found = alone(text, found)?;
            (base58check_version(&text[found.clone()]) == Some(0x80)).then_some(found)
        },
    ),
    row(
        "database-url",
        "Address of a database or a broker with a password in it",
        "://",
        r"(?i)(?:postgres(?:ql)?|mysql|mariadb|mssql|sqlserver|oracle|mongodb|rediss?|valkeys?|amqps?|kafka|nats|clickhouse|cockroachdb|cassandra|neo4j|bolt|ldaps?|mqtts?|couchdb|influxdb|snowflake|redshift|jdbc:[a-z]{2,12})(?:\+[a-z0-9]{1,12})?://[A-Za-z0-9._%~-]{0,64}:([A-Za-z0-9._~%!$&*+,;=#^()-]{1,128})@",
        |text, found| (!is_placeholder(&text[found.clone()])).then_some(found),
    ),
    row(
        "authorization-header",
        "Credentials of an Authorization header: Basic that decodes to a user and a password, Bearer, Token",
        r"(?i)basic\s|bearer\s|authorization",
        r"(?i)(?:basic\s{1,4}|bearer\s{1,4}|authorization[\x22']?\s?[:=]\s?[\x22']?(?:token|apikey)\s{1,2})([A-Za-z0-9+/=._~-]{8,600})",
        authorization,
    ),
    row(
        "password-assignment",
        "A password that is set or said: `password=`, `pwd:`, `\"passwd\": \"…\"`, `password is …`",
        r"(?i)pass|pwd",
        r"(?i)(?:password|passwd|passphrase|passcode|pwd|\bpass|_pass)[0-9]{0,2}[\x22'`]?(?:\s{0,3}(?:=|:|:=|=>)\s{0,3}|\s{1,2}is:?\s{1,2})([\x22'`]?[^\s\x00]{1,160})",
        password,
    ),
    row(
        "secret-assignment",
        "A key or token of many mixed characters that is set: `api_key=`, `client_secret:`, `token =`",
        r"(?i)key|secret|token|credential|auth",
        r"(?i)(?:(?:api|app|access|auth|client|consumer|encryption|master|private|secret|service|shared|signing|webhook|account|subscription)[_ .-]?key|secret|token|credentials?|authkey)[\x22'`]?(?:\s{0,3}(?:=|:|:=|=>)\s{0,3}|\s{1,2}is:?\s{1,2})[\x22'`]?([A-Za-z0-9+/=_.~%-]{16,512})",
        token,
    ),
];

/// A token whose prefix names it: enough that it is not a row of x.
fn form(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let starts = found.start == 0 || !text[found.start - 1].is_ascii_alphanumeric();
    (starts && entropy_bits(&text[found.clone()]) >= ENTROPY_OF_FORM).then_some(found)
}

/// The same with letters and digits: the prefix alone also begins words.
fn mixed_form(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    mixed(&text[found.clone()]).then(|| form(text, found))?
}

/// A token that ends with its own checksum. A wrong one is let pass only when it does not look random either: what
/// was mistyped by a character is a secret still.
fn checksummed(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let token = &text[found.start + 4..found.end];
    let (random, checksum) = token.split_at(token.len() - 6);
    if base62_crc(random) == checksum { alone(text, found) } else { form(text, found) }
}

fn random(text: &[u8], found: Range<usize>, bits: f64) -> Option<Range<usize>> {
    let token = &text[found.clone()];
    (mixed(token) && entropy_bits(token) >= bits).then_some(found)
}

/// Letters and digits.
fn mixed(token: &[u8]) -> bool {
    token.iter().any(u8::is_ascii_digit) && token.iter().any(u8::is_ascii_alphabetic)
}

fn authorization(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let value = &text[found.clone()];
    let lead = text[..found.start].trim_ascii_end().to_ascii_lowercase();
    if lead.ends_with(b"basic") {
        let said = base64(value)?;
        let printable = said.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let (user, password) = said.split_at(said.iter().position(|byte| *byte == b':')?);
        return (printable && !user.is_empty() && password.len() > 1).then_some(found);
    }
    (value.len() >= TOKEN_CHARS_MIN && mixed(value) && !is_words(value))
        .then(|| random(text, found, ENTROPY_OF_TOKEN))?
}

/// The value of a password: what stands between quotes, or up to a space or a mark that ends it.
fn password(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let mut found = found;
    let quote = text[found.start];
    let quoted = matches!(quote, b'"' | b'\'' | b'`');
    if quoted {
        found.start += 1;
    }
    let ends = |byte: u8| if quoted { byte == quote || byte == b'\\' } else { b"\"'`,;&<>".contains(&byte) };
    found.end =
        text[found.clone()].iter().position(|byte| ends(*byte)).map_or(found.end, |at| found.start + at);
    while !quoted && !found.is_empty() && matches!(text[found.end - 1], b'.' | b',' | b')' | b'?') {
        found.end -= 1;
    }
    let value = &text[found.clone()];
    // A call, an index, a variable, a template: a name for a password instead of one.
    let code = value.iter().any(|byte| b"()[]{}<>".contains(byte))
        || matches!(value.first(), Some(b'$' | b'%' | b'@' | b'/' | b'.'));
    let letters = value.iter().any(u8::is_ascii_alphabetic);
    let others = value.iter().any(|byte| byte.is_ascii_digit() || b"!#$%^&*+?".contains(byte));
    let joined = value.iter().any(|byte| b"-/.:".contains(byte));
    let chosen = value.len() >= PASSWORD_CHARS_MIN
        && letters
        && others
        && !code
        && !is_placeholder(value)
        && !(joined && is_words(value));
    (chosen && entropy_bits(value) >= ENTROPY_OF_PASSWORD).then_some(found)
}

fn token(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let value = &text[found.clone()];
    // What goes on as code is a name: a call, an index, a path of a package.
    let code = matches!(text.get(found.end), Some(b'(' | b'[' | b'{' | b':'));
    let named = value.len() >= TOKEN_CHARS_MIN
        && !code
        && mixed(value)
        && !is_words(value)
        && !is_placeholder(value)
        && !is_uuid(value);
    (named && entropy_bits(value) >= ENTROPY_OF_TOKEN).then_some(found)
}

/// Identifiers name things, they open none.
fn is_uuid(value: &[u8]) -> bool {
    let groups: Vec<usize> = value.split(|byte| *byte == b'-').map(<[u8]>::len).collect();
    groups == [8, 4, 4, 4, 12] && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Words, numbers and versions joined by marks, such as `db-credentials-v2`, `conf/app.yaml` or `2026-01-31T12`:
/// names of things. No part mixes letters and digits, but for a letter before a number.
fn is_words(value: &[u8]) -> bool {
    let parts = value.split(|byte| b"-_./:=%+~".contains(byte));
    parts.into_iter().all(|part| {
        let name = part.strip_prefix(b"v").unwrap_or(part);
        let name = name.trim_ascii_end();
        name.iter().all(u8::is_ascii_digit) || (part.len() < 24 && single_case(part))
    })
}

/// A word as people write it: letters, all small, all capital, or with one capital first, and up to two digits behind.
fn single_case(part: &[u8]) -> bool {
    let letters = part.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, number) = part.split_at(letters);
    let small = word.iter().skip(1).all(u8::is_ascii_lowercase);
    let humps =
        word.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count();
    letters > 1
        && number.len() <= 2
        && number.iter().all(u8::is_ascii_digit)
        && (small || word.iter().all(u8::is_ascii_uppercase) || humps * 4 <= letters)
}

/// Words that stand where a secret would.
const PLACEHOLDERS: [&str; 22] = [
    "changeme",
    "change-me",
    "change_me",
    "example",
    "placeholder",
    "redacted",
    "your",
    "xxxx",
    "****",
    "....",
    "password",
    "passw0rd",
    "secret",
    "dummy",
    "foobar",
    "insert",
    "replace",
    "todo",
    "null",
    "none",
    "<",
    "${",
];

fn is_placeholder(value: &[u8]) -> bool {
    let value = String::from_utf8_lossy(value).to_lowercase();
    PLACEHOLDERS.iter().any(|placeholder| value.starts_with(placeholder))
        || value.contains("example")
        || value.contains("placeholder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_no_tokens() {
        for words in [
            "db-credentials-v2",
            "conf/app.yaml",
            "2026-01-31",
            "metadata.name",
            "v1.2.3",
            "MEMORY_ENGINE_KEY",
            "camelCaseName2",
        ] {
            assert!(is_words(words.as_bytes()), "{words}");
        }
        for random in ["a8Kf0zQ93mN", "0123abcd4567", "hunter2x9"] {
            assert!(!is_words(random.as_bytes()), "{random}");
        }
        assert!(is_uuid(b"550e8400-e29b-41d4-a716-446655440000"));
    }
}
