//! Texts that the detectors match, and similar ones that they do not match. Secrets are assembled here, so that the
//! repository contains none. Tests of the program plant these texts too.

use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

thread_local! {
    /// State of the generator at the start of each text.
    static STATE: Cell<u64> = const { Cell::new(0x2545_f491_4f6c_dd1d) };
}

/// `len` characters of `alphabet` that look random, but are the same in every run.
fn noise(alphabet: &[u8], len: usize) -> String {
    let mut state = STATE.get();
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[(state % alphabet.len() as u64) as usize])
    };
    (0..len).map(next).collect()
}

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &[u8] = b"0123456789abcdef";

/// The checksum at the end of some tokens: the CRC-32 of the rest, in six characters of this alphabet.
fn base62_crc(bytes: &[u8]) -> String {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let mut rest = !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step));
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Joins parts of a secret that must not occur in this repository in one piece, because repository scanners would
/// report it.
pub(super) fn joined(parts: &[&str]) -> String {
    parts.concat()
}

fn any(len: usize) -> String {
    noise(BASE62, len)
}

fn signed(prefix: &str) -> String {
    let random = any(30);
    let checksum = base62_crc(random.as_bytes());
    joined(&[prefix, &random, &checksum])
}

/// A key of an engine: its last six letters are the first 30 bits of the SHA-256 of the rest.
fn engine_key() -> String {
    let alphabet = BASE32.to_ascii_lowercase();
    let body = joined(&["mek", "_", &noise(&alphabet, 8), "_", &noise(&alphabet, 51), "a"]);
    let hash: [u8; 32] = Sha256::digest(body.as_bytes()).into();
    let bits = u64::from_be_bytes([0, 0, 0, hash[0], hash[1], hash[2], hash[3], 0]);
    let letter = |place: u32| char::from(alphabet[(bits >> (35 - 5 * place) & 31) as usize]);
    body.chars().chain((0..6).map(letter)).collect()
}

fn jwt() -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    joined(&[&part(r#"{"alg":"HS256","typ":"JWT"}"#), ".", &part(r#"{"sub":"1"}"#), ".", &any(43)])
}

/// Detector, a text with a secret that it matches, and a similar text that it does not match.
pub(super) type Row = (&'static str, String, String);

fn row(name: &'static str, parts: &[&str], negative: &str) -> Row {
    (name, joined(parts), negative.to_owned())
}

/// Secrets of every kind. The same for the same seed.
pub(super) fn secrets_of(seed: u64) -> Vec<Row> {
    STATE.set(0x2545_f491_4f6c_dd1d ^ (seed << 20));
    secrets()
}

pub(super) fn secrets() -> Vec<Row> {
    [blocks(), keys(), tokens(), vendors(), assignments()].concat()
}

fn blocks() -> Vec<Row> {
    let dashes = "-----";
    vec![
        row(
            "private-key",
            &[dashes, "BEGIN OPENSSH PRIVATE", " KEY", dashes, "\n", &any(70), "\n", &any(70), "\n"],
            &format!("{dashes}BEGIN PRIVATE{} KEY{dashes}\nanything\n{dashes}END PRIVATE KEY{dashes}", ""),
        ),
        row(
            "private-key",
            &[dashes, "BEGIN PGP PRIVATE", " KEY BLOCK", dashes, "\nVersion: 1\n\n", &any(64)],
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA7bq",
        ),
        row(
            "private-key-base64",
            &[
                "client-key-data: ",
                &STANDARD.encode(joined(&[dashes, "BEGIN RSA PRIVATE", " KEY", dashes, "\n", &any(64)])),
            ],
            &format!(
                "certificate-authority-data: {}",
                STANDARD.encode("-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0B")
            ),
        ),
        row(
            "kubernetes-secret",
            &[
                "kind: Secret\nmetadata: {name: db}\ndata:\n  pass",
                "word: ",
                &STANDARD.encode("Tr0ub4dor&3"),
                "\n",
            ],
            "kind: ConfigMap\ndata:\n  greeting: aGVsbG8gd29ybGQ=\n",
        ),
        row(
            "putty-private-key",
            &["PuTTY-User", "-Key-File-3: ssh-ed25519"],
            "a PuTTY-User-Key-File has a version",
        ),
    ]
}

fn keys() -> Vec<Row> {
    vec![
        row(
            "age-secret-key",
            &["AGE-SECRET", "-KEY-1", &noise(BASE32, 58)],
            "AGE-SECRET-KEY-1… is how one begins",
        ),
        row(
            "aws-access-key-id",
            &["use AK", "IA", &noise(BASE32, 16), " here"],
            "use AKIAIOSFODNN7EXAMPLE or AKIAXXXXXXXXXXXXXXXX here",
        ),
        row(
            "aws-secret-access-key",
            &["aws_secret_access", "_key = ", &any(40)],
            &format!("aws s3 cp s3://bucket/{} .", "a".repeat(40)),
        ),
        row("github-token", &[&signed("ghp_")], "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        row("github-token", &["gho_", &any(36)], "ghp_ is the prefix"),
        row(
            "github-fine-grained-token",
            &["github", "_pat_", &any(22), "_", &any(59)],
            "github_pat_ and 82 characters",
        ),
        row("gitlab-token", &["gl", "pat-", &any(20)], "glpat-xxxxxxxxxxxxxxxxxxxx"),
        row("slack-token", &["xo", "xb-", "123456789012-", &any(24)], "xoxb-your-token, xoxb-12345-abcd234"),
        row(
            "slack-webhook",
            &["https://hooks.", "slack.com/services/T00000000/B00000000/", &any(24)],
            "see hooks.slack.com for webhooks",
        ),
        row("stripe-key", &["sk", "_live_", &any(24)], &format!("sk_test_{}", "4eC39HqLyjWDarjtT1zdp7dc")),
        row("anthropic-key", &["sk", "-ant-api03-", &any(80)], "sk-ant-api03-..."),
        row("openai-key", &["sk", "-proj-", &any(60)], "the task-force-of-twenty-one-people met"),
        row("google-api-key", &["AI", "za", &any(35)], "AIza is how a key begins"),
        row("google-oauth-secret", &["GOC", "SPX-", &any(28)], "GOCSPX-something"),
        row(
            "gcp-service-account",
            &["{\"private_key", "_id\": \"", &noise(HEX, 40), "\"}"],
            "{\"private_key_id\": \"…\"}",
        ),
        row(
            "azure-storage-key",
            &["AccountName=a;Account", "Key=", &any(86), "==;"],
            "AccountKey=<your key>",
        ),
        row(
            "azure-sas",
            &["https://a.blob.core.windows.net/c?sv=2024&s", "ig=", &any(43), "%3D"],
            "?sig=short",
        ),
    ]
}

fn tokens() -> Vec<Row> {
    vec![
        row("npm-token", &[&signed("npm_")], "npm_config_registry=https://registry.npmjs.org"),
        row("pypi-token", &["pypi-Ag", "EIcHlwaS5vcmc", &any(80)], "pypi-AgE is how a token begins"),
        row(
            "huggingface-token",
            &["h", "f_", &any(34)],
            "hf_hub_download(repo_id), hf_requiredLayerTypesForDisplayOfMetadata",
        ),
        row("sendgrid-key", &["S", "G.", &any(22), ".", &any(43)], "SG.com is a site"),
        row("digitalocean-token", &["do", "p_v1_", &noise(HEX, 64)], "dop_v1_ and 64 digits"),
        row("vault-token", &["hv", "s.", &any(90)], "hvs.… since version 1.10"),
        row("terraform-token", &[&any(14), ".atlas", "v1.", &any(67)], "x.atlasv1.y"),
        row("telegram-bot-token", &["123456789:A", "A", &any(33)], "12:AA"),
        row("databricks-token", &["da", "pi", &noise(HEX, 32)], "dapi0 is a name"),
        row("vendor-token", &["gl", "sa_", &any(32), "_", &noise(HEX, 8)], "glsa_name"),
        row("vendor-token", &["dckr", "_pat_", &any(27)], "gsk_file.txt"),
        row("jwt", &["cookie ", &jwt()], "eyJhbGciOiJIUzI1NiJ9 is the header alone"),
        row(
            "bitcoin-private-key",
            &["5KJvsngHeMpm884wtkJNzQGaCErckhHJBGFs", "vd3VyK5qMZXj3hS"],
            "5KJvsngHeMpm884wtkJNzQGaCErckhHJBGFsvd3VyK5qMZXj3hT",
        ),
    ]
}

fn vendors() -> Vec<Row> {
    vec![
        row(
            "azure-identifiable-key",
            &[&any(52), "JQQ", "J99", &any(26)],
            "JQQJ99 is the mark of such a key",
        ),
        row("azure-client-secret", &["a1B", "8", "Q~", &any(33)], "8Q~ stands in the middle"),
        row("bedrock-key", &["AB", "SK", &any(130)], "ABSK is how a key begins"),
        row(
            "discord-token",
            &[&STANDARD.encode("198622483471925248"), ".", "Cl", "2FMQ.", &any(27)],
            "Notes.config.v2_and_something_much_longer_than_that",
        ),
        row(
            "webhook-url",
            &["https://discord", ".com/api/webhooks/", "123456789012345678/", &any(68)],
            "https://discord.com/api/webhooks/ID/TOKEN",
        ),
        row("memory-engine-key", &[&engine_key()], &joined(&["mek_", "aaaaaaaa_", &"a".repeat(58)])),
        row("twilio-key", &["S", "K", &noise(HEX, 32)], "SKxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        row("mail-service-key", &["key", "-", &noise(HEX, 32)], "key-value, cluster-us1"),
        row("mail-service-key", &["xkey", "sib-", &noise(HEX, 64), "-", &any(16)], "xkeysib-…"),
        row("onepassword-key", &["A3", "-AB12CD-", "EF34GH56IJ7", "-KL8MN-OP9QR-ST1UV"], "A3-paper, ops_eyJ"),
        row("square-token", &["sq0", "atp-", &any(22)], "sq0atp-YOUR_TOKEN"),
        row("facebook-token", &["EA", "AC", &any(120)], "EAACompany"),
        row("monitoring-key", &["dt0", "c01.", &any(24), ".", &any(64)], "dt0c01.…"),
        row("monitoring-key", &["sntr", "yu_", &noise(HEX, 64)], "sntryu_"),
        row("model-provider-key", &["pp", "lx-", &any(48)], "pplx-api"),
        row("cloud-token", &["fo", "1_", &any(43)], "fo1_name"),
        row("cloud-token", &["sha2", "56~", &any(43)], "sha256~digest"),
        row("developer-token", &["ruby", "gems_", &noise(HEX, 48)], "rubygems_mirror"),
        row("developer-token", &["nt", "n_12345678901", &any(35)], "ntn_page"),
        row("shop-and-payment-key", &["shippo", "_live_", &noise(HEX, 40)], "shippo_live_mode"),
        row("other-vendor-token", &["apify", "_api_", &any(36)], "apify_api_client"),
    ]
}

fn assignments() -> Vec<Row> {
    vec![
        row(
            "database-url",
            &["postgres://app:", "s3cr3t-p4ss", "@db.internal:5432/app"],
            "postgres://app:password@db/app",
        ),
        row("database-url", &["redis://:", &any(20), "@cache:6379"], "postgres://db.internal:5432/app"),
        row(
            "authorization-header",
            &["Authorization: Basic ", &STANDARD.encode("ana:correct horse")],
            "Basic authentication",
        ),
        row("authorization-header", &["Authorization: Bearer ", &any(32)], "Authorization: Bearer <token>"),
        row(
            "command-line-password",
            &["curl -s -u ana:", "s3cr3t-p4ss", " https://api.internal/v1"],
            "curl -u \"$USER:$PASSWORD\" -u user:password https://api.internal/v1",
        ),
        row("password-assignment", &["password: hunt", "er2"], "password: required"),
        row("password-assignment", &["DB_PASS='", "Tr0ub4dor&3'"], "password = get_password(2)"),
        row("password-assignment", &["the admin password is ", "correct9horse"], "password=${DB_PASSWORD_1}"),
        row("password-assignment", &["{\"passwd\": \"", "x9!kLm\"}"], "bypass: x1y2z3w4"),
        row("secret-assignment", &["api_key=", &any(32)], "api_key=os.environ.get"),
        row(
            "secret-assignment",
            &["client_secret: \"", &any(40), "\""],
            "secret: db-credentials-v2-production",
        ),
        row(
            "secret-assignment",
            &["token = ", &noise(HEX, 40)],
            "token: 550e8400-e29b-41d4-a716-446655440000",
        ),
    ]
}

/// Detector, text, and expected result. An unchanged text is an example of a non-match.
pub(super) const PERSONAL: &[(&str, &str, &str)] = &[
    ("email", "mail ana.maria+x@mail.example.co.uk.", "mail [EMAIL]."),
    (
        "email",
        "git clone git@github.com:org/repo.git, logo@2x.png, @handle, a@b",
        "git clone git@github.com:org/repo.git, logo@2x.png, @handle, a@b",
    ),
    ("url-credentials", "https://ana:s3cret@example.org/x", "https://[URL_CREDENTIALS]@example.org/x"),
    (
        "url-credentials",
        "https:// and user:name@host are its parts",
        "https:// and user:name@host are its parts",
    ),
    ("credit-card", "pay with 5500 0000 0000 0004 2 times", "pay with [CREDIT_CARD] 2 times"),
    ("credit-card", "my card 676110818660 is lost", "my card [CREDIT_CARD] is lost"),
    (
        "credit-card",
        "account 676110818660, trace 4111111111111112, at 1732571234567890",
        "account 676110818660, trace 4111111111111112, at 1732571234567890",
    ),
    ("iban", "to gb82 west 1234 5698 7654 32 please", "to [IBAN] please"),
    ("iban", "GB82WEST12345698765433", "GB82WEST12345698765433"),
    ("us-ssn", "SSN: 219 09 9999", "SSN: [SSN]"),
    ("us-ssn", "219-09-9999", "[SSN]"),
    (
        "us-ssn",
        "000-12-3456, 219099999, part 12-219-09-9999, 666-12-1234",
        "000-12-3456, 219099999, part 12-219-09-9999, 666-12-1234",
    ),
    ("bitcoin-address", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "[CRYPTO]"),
    ("bitcoin-address", "1BoatSLRHtKNngkdXEeobR76b53LETtpyU", "1BoatSLRHtKNngkdXEeobR76b53LETtpyU"),
    ("ethereum-address", "wallet 0x52908400098527886E0F7030069857D2E4169EE7", "wallet [CRYPTO]"),
    (
        "ethereum-address",
        "commit 0x52908400098527886E0F7030069857D2E4169EE7",
        "commit 0x52908400098527886E0F7030069857D2E4169EE7",
    ),
    ("date-of-birth", "born on 3 May 1984", "born on [DATE_OF_BIRTH]"),
    ("date-of-birth", "DOB: 1984-05-03", "DOB: [DATE_OF_BIRTH]"),
    ("date-of-birth", "released on 1984-05-03; newborn 5", "released on 1984-05-03; newborn 5"),
    ("passport", "passport number is C01X00T47", "passport number is [PASSPORT]"),
    (
        "passport",
        "the passport office opens at 8, passport holders queue",
        "the passport office opens at 8, passport holders queue",
    ),
    ("passport", "passport no. K1234567", "passport no. [PASSPORT]"),
    (
        "driver-license",
        "my driver's license number is D1234567",
        "my driver's license number is [DRIVER_LICENSE]",
    ),
    ("driver-license", "the driver license is Apache-2.0", "the driver license is Apache-2.0"),
    ("bank-account", "account number: 12-3456-789", "account number: [BANK_ACCOUNT]"),
    ("bank-account", "the account has 123456789 events", "the account has 123456789 events"),
    (
        "phone",
        "(415) 555-0132, 415-555-0132 x12, +1-415-555-0132, 07700 900123",
        "[PHONE], [PHONE], [PHONE], [PHONE]",
    ),
    ("phone", "call me at 5550132444 or on 05.06.52.16.25", "call me at [PHONE] or on [PHONE]"),
    (
        "phone",
        "0000 0000 0004 2, 1732571234 and 2026-11-25, 1.2.3-4567890, #4155550132, 0.1234567",
        "0000 0000 0004 2, 1732571234 and 2026-11-25, 1.2.3-4567890, #4155550132, 0.1234567",
    ),
    ("street-address", "Rue de la Paix 12, 75002 Paris is where we met", "[ADDRESS] is where we met"),
    ("street-address", "12 Long Street, Springfield, IL 62704", "[ADDRESS]"),
    ("street-address", "Lange Straße 12, 10115 Berlin", "[ADDRESS]"),
    (
        "street-address",
        "2 ways to drive 3 Docker containers down the road",
        "2 ways to drive 3 Docker containers down the road",
    ),
    ("address-with-unit", "654 Hill Top Apt. 12\nSpringfield, IL 62704", "[ADDRESS]"),
    ("address-by-words", "he lives at 42 Uitsig", "he lives at [ADDRESS]"),
    ("address-by-words", "the address is 0x7f or node 3", "the address is 0x7f or node 3"),
    ("address-sent-to", "send it to 60733 Paul-Nevermann-Ring 47", "send it to [ADDRESS]"),
    (
        "address-sent-to",
        "sent to 3 Kubernetes nodes, moved to 2 Replicas",
        "sent to 3 Kubernetes nodes, moved to 2 Replicas",
    ),
    ("address-with-postcode", "2483 Stanley Lakes\nRobertburgh, WY 49695", "[ADDRESS]"),
    (
        "address-with-postcode",
        "12 Pods in Namespace, see port 54321 and 3 Errors, Line 4567",
        "12 Pods in Namespace, see port 54321 and 3 Errors, Line 4567",
    ),
    ("post-box", "P.O. Box 123, Springfield", "[ADDRESS]"),
    ("place-with-postcode", "Springfield, IL 62704", "[ADDRESS]"),
    ("place-with-postcode", "zip: 62704", "zip: [ADDRESS]"),
    ("place-with-postcode", "gzip: 62704 bytes", "gzip: 62704 bytes"),
    ("street-corner", "the corner of Hill Road and Mill Lane", "the corner of [ADDRESS]"),
    ("street-corner", "the corner of the page and the table", "the corner of the page and the table"),
    ("introduced-name", "my name is Ana Maria", "my name is [NAME]"),
    ("introduced-name", "the name is required", "the name is required"),
    ("ip-address", "from 203.0.113.7 and 2001:db8::1", "from [IP] and [IP]"),
    ("ip-address", "version 1.2.3.4, std::fmt, 12:30:45", "version 1.2.3.4, std::fmt, 12:30:45"),
    ("url", "see https://example.org/a?b=c.", "see [URL]."),
    ("url", "see example.rs", "see example.rs"),
];
