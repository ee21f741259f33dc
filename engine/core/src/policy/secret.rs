//! Detectors of secrets: data that gives access to something. A match refuses the write.

use std::ops::Range;

use super::boundary::{alone, stands_alone};
use super::checks::{base58check_version, base62_crc, base64, base64url, entropy_bits, is_jwt};
use super::detector::{Check, Detector, Finds, How, Scan};
use super::value::{
    ENTROPY_OF_TOKEN, TOKEN_CHARS_MIN, form, is_placeholder, is_row, is_template, is_words, mixed,
    mixed_form, random, random_letters,
};
use super::{assignment, command, encoded};

pub(super) const fn row(
    name: &'static str,
    about: &'static str,
    trigger: &'static str,
    pattern: &'static str,
    check: Check,
) -> Detector {
    Detector { name, about, finds: Finds::Secret, trigger, how: How::Pattern(pattern, check) }
}

const fn scan(
    name: &'static str,
    about: &'static str,
    trigger: &'static str,
    pattern: &'static str,
    scan: Scan,
) -> Detector {
    Detector { name, about, finds: Finds::Secret, trigger, how: How::Scan(pattern, scan) }
}

/// Minimum entropy of an AWS access key id, bits per character.
const ENTROPY_OF_KEY_ID: f64 = 2.4;
/// Minimum length of the longest part of a Slack token, in characters.
const SLACK_PART_CHARS_MIN: usize = 8;
/// Minimum length of the last part of a Slack token, which is the secret, in characters.
const SLACK_SECRET_CHARS_MIN: usize = 8;
/// Length of an Anthropic key after its prefix, in characters.
const ANTHROPIC_CHARS: usize = 95;
/// Minimum length of a truncated Anthropic key after its prefix, in characters.
const ANTHROPIC_CHARS_MIN: usize = 80;
/// End of the example key in Stripe's documentation.
const STRIPE_EXAMPLE_END: &[u8] = b"zdp7dc";

/// Order matters: of several detectors that match, the first one is named in the finding, so the most specific ones
/// come first.
pub(super) const DETECTORS: &[Detector] = &[
    row(
        "private-key",
        "PEM block of a private key, with the key: RSA, EC, PKCS#8, OpenSSH, PGP",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        encoded::private_key,
    ),
    row(
        "private-key-base64",
        "The same in base64, as in `client-key-data:` of a kubeconfig",
        "LS0tLS1CRUdJTi",
        r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{24,400}",
        encoded::encoded_private_key,
    ),
    scan(
        "kubernetes-secret",
        "Values in a Kubernetes Secret manifest",
        r"(?:kind|KIND)[\x22']?:\s{0,4}[\x22']?Secret\b",
        r"(?:kind|KIND)[\x22']?:\s{0,4}[\x22']?Secret\b",
        encoded::manifest_values,
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
        "Access key id of AWS, except the one in its documentation and repeated characters",
        "A(?:KIA|SIA|BIA|CCA)",
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
        |text, found| {
            alone(text, found).filter(|found| {
                let id = &text[found.clone()];
                !id.ends_with(b"EXAMPLE") && entropy_bits(id) >= ENTROPY_OF_KEY_ID && !is_row(id)
            })
        },
    ),
    row(
        "aws-secret-access-key",
        "Secret access key of AWS, after words that name it",
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
        r"github_pat_[A-Za-z0-9_]{36,255}",
        mixed_form,
    ),
    row(
        "gitlab-token",
        "Token of GitLab: of a person, a project, a runner, a trigger, a session",
        "gl[a-z]{2,5}-|GR1348941|_gitlab_session=",
        r"(?:gl(?:pat|dt|rtr?|ptt|cbt|oas|ft|ffct|soat|agent|imt|wt)-[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z]{2}\.?[0-9a-z]{7})?|GR1348941[A-Za-z0-9_-]{20}|_gitlab_session=[0-9a-z]{32})",
        form,
    ),
    row(
        "slack-token",
        "Token of Slack",
        "xox[a-z]-|xapp-",
        r"(?:xoxe\.)?(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,250}",
        slack,
    ),
    row(
        "slack-webhook",
        "URL of a Slack webhook",
        r"hooks\.slack\.com",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,150}",
        form,
    ),
    row(
        "stripe-key",
        "Key of Stripe, except the one in its documentation",
        "[sr]k_(?:live|prod|test)_|whsec_",
        r"(?:[sr]k_(?:live|prod|test)_[A-Za-z0-9]{10,250}|whsec_[A-Za-z0-9+/]{20,250})",
        |text, found| form(text, found).filter(|found| !text[found.clone()].ends_with(STRIPE_EXAMPLE_END)),
    ),
    row(
        "anthropic-key",
        "Key of Anthropic",
        "sk-ant-",
        r"sk-ant-[a-z0-9]{2,12}-[A-Za-z0-9_-]{20,250}",
        anthropic,
    ),
    row(
        "openai-key",
        "Key of OpenAI and of services that use its format",
        "sk-",
        r"sk-(?:(?:proj|svcacct|admin|None|or-v1)-)?[A-Za-z0-9_-]{20,250}",
        |text, found| {
            // Anthropic keys have their own row in this table.
            let other = text[found.clone()].starts_with(b"sk-ant-");
            (!other).then(|| mixed_form(text, found))?
        },
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
        |text, found| {
            let token = &text[found.clone()];
            let token = &token[token.len().saturating_sub(34)..];
            (mixed(token) || random_letters(token)).then(|| form(text, found))?
        },
    ),
    row("sendgrid-key", "Key of SendGrid", r"SG\.", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", form),
    row("digitalocean-token", "Token of DigitalOcean", "do[opr]_v1_", r"do[opr]_v1_[a-f0-9]{64}", form),
    row(
        "vault-token",
        "Token of HashiCorp Vault",
        r"hv[sbr]\.|\bs\.[A-Za-z0-9]{20}",
        r"(?:hv[sbr]\.[A-Za-z0-9_-]{24,300}|s\.[A-Za-z0-9]{24})",
        vault,
    ),
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
        "JSON web token: base64url parts, the first of which names an algorithm; also encoded in base64 again",
        "eyJ|ZXlK",
        r"(?:eyJ[A-Za-z0-9_-]{10,600}\.[A-Za-z0-9_-]{2,600}|ZXlK[A-Za-z0-9+/_-]{40,600})",
        jwt,
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
        "URL of a database or a message broker with a password in it",
        "://",
        r"(?i)(?:postgres(?:ql)?|mysql|mariadb|mssql|sqlserver|oracle|mongodb|rediss?|valkeys?|amqps?|kafka|nats|clickhouse|cockroachdb|cassandra|neo4j|bolt|ldaps?|mqtts?|couchdb|influxdb|snowflake|redshift|jdbc:[a-z]{2,12})(?:\+[a-z0-9]{1,12})?://[A-Za-z0-9._%~-]{0,64}:([A-Za-z0-9._~%!$&*+,;=#^()-]{1,128})@",
        |text, found| {
            let value = &text[found.clone()];
            (!is_placeholder(value) && !is_template(value)).then_some(found)
        },
    ),
    row(
        "authorization-header",
        "Credentials of an Authorization header: Basic that decodes to a user and a password, Bearer, Token; the same after `auth` and `_auth` in files of Docker and npm",
        r"(?i)basic\s|bearer|authorization|auth[\x22']?\s{0,2}[:=]",
        r"(?i)(?:basic\s{1,4}|\b_?auth[\x22']?\s{0,2}[:=]\s{0,2}[\x22']?|bearer[:=]?\s{1,4}|authorization[\x22']?\s{0,2}[:=]\s{0,2}[\x22'`]?(?:[a-z][a-z-]{1,15}\s{1,2})?(?:(?:token|key|apikey)=)?[\x22']?)([A-Za-z0-9+/=._~:-]{8,600})",
        authorization,
    ),
    row(
        "command-line-password",
        "A password on a command line: `curl -u`, `docker login -p`, `mysql -p`, `sshpass -p` and others",
        command::TRIGGER,
        command::PATTERN,
        command::password,
    ),
    scan(
        "password-assignment",
        "A password that is assigned, passed, compared or named in a sentence: `password=`, `pwd:`, `\"passwd\": \"…\"`, `--password …`, `password for … is …`",
        r"(?i)pass|pwd|[_-]pw|kennwort|contrasena|senha|wachtwoord|hasl[oae]|losenord|sifre|parola|mat khau|hesl[oa]|adgangskode|kodeord|salasana|jelszo|geslo|identified",
        assignment::PASSWORD_NAMES,
        assignment::passwords,
    ),
    scan(
        "secret-assignment",
        "A random-looking key or token that is assigned, passed or named in a sentence: `api_key=`, `client_secret:`, `env[\"TOKEN\"] =`, `API key for … is …`",
        r"(?i)key|secret|token|credential|auth|bearer|access.?code",
        assignment::TOKEN_NAMES,
        assignment::tokens,
    ),
];

/// Accepts a token that ends with its own checksum. A token with a wrong checksum is also accepted if it looks random:
/// a secret with one mistyped character is still a secret.
fn checksummed(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let token = &text[found.start + 4..found.end];
    let (random, checksum) = token.split_at(token.len() - 6);
    if base62_crc(random) == checksum { alone(text, found) } else { form(text, found) }
}

/// Accepts a Vault token. A token made before version 1.10 has only the short prefix `s.`, so it must not be part of a
/// longer word.
fn vault(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let old = text[found.clone()].starts_with(b"s.");
    let random = mixed(&text[found.clone()]) && (!old || stands_alone(text, &found));
    random.then(|| form(text, found))?
}

fn jwt(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let token = &text[found.clone()];
    let jwt = if token.starts_with(b"eyJ") {
        is_jwt(token)
    } else {
        // Complete groups of four characters, up to the first full stop.
        let whole = &token[..token.len() / 4 * 4];
        base64(whole).or_else(|| base64url(whole)).is_some_and(|said| is_jwt(&said))
    };
    jwt.then_some(found)
}

/// Accepts an Anthropic key. A key of a known kind and of full length must end as the base64 of 70 bytes does.
fn anthropic(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let key = &text[found.clone()];
    let known = [&b"sk-ant-api03-"[..], b"sk-ant-admin01-"].iter().find_map(|kind| key.strip_prefix(*kind));
    let whole = known.is_none_or(|key| {
        key.len() >= ANTHROPIC_CHARS_MIN && (key.len() != ANTHROPIC_CHARS || key.ends_with(b"AA"))
    });
    whole.then(|| form(text, found))?
}

/// Accepts a Slack token: its second part is a number, or it has one of the formats without numbers.
/// `xoxb-12345-abcd234` is not a token.
fn slack(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let token = &text[found.clone()];
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'-').skip(1).collect();
    let longest = parts.iter().map(|part| part.len()).max().unwrap_or_default();
    // The last part is the secret.
    let last = parts.last().copied().unwrap_or_default();
    (mixed(last) && longest >= SLACK_PART_CHARS_MIN && last.len() >= SLACK_SECRET_CHARS_MIN)
        .then(|| form(text, found))?
}

/// Number of bytes before credentials that are searched for the word that identifies them.
const LEAD_BYTES_MAX: usize = 48;

fn authorization(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let value = &text[found.clone()];
    let lead =
        text[found.start.saturating_sub(LEAD_BYTES_MAX)..found.start].trim_ascii_end().to_ascii_lowercase();
    let name = lead.iter().rposition(|byte| !b"\"'=: ".contains(byte)).map_or(0, |at| at + 1);
    if lead.ends_with(b"basic") || lead[..name].ends_with(b"auth") {
        let said = base64(value)?;
        let printable = said.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let (user, password) = said.split_at(said.iter().position(|byte| *byte == b':')?);
        return (printable && !user.is_empty() && password.len() > 1).then_some(found);
    }
    let token = value.len() >= TOKEN_CHARS_MIN
        && mixed(value)
        && !is_words(value)
        && !is_placeholder(value)
        && !is_row(value);
    token.then(|| random(text, found, ENTROPY_OF_TOKEN))?
}
