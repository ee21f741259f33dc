//! Detects passwords on command lines: which option of which program takes a password.

use std::ops::Range;

use super::value::{is_placeholder, is_row, is_template};

/// Program names, as a cheap pre-filter.
pub(super) const TRIGGER: &str = r"\bcurl\b|\blogin\b|\bmysql|\bmariadb|\bsshpass\b|\bredis-cli\b|\bmongo|\bldap[a-z]+ |\bhtpasswd\b|\brabbitmqctl\b|-pass(?:in|out)?\s|\b7z|\b(?:un)?zip\b|\bsqlcmd\b|\bmosquitto_|\bsmbclient\b|\bnet use\b|\bipmitool\b|\bcqlsh\b|\bwget\b|\bxfreerdp\b|\bsqlplus\b";
/// The option and its value; the value is the capture group.
pub(super) const PATTERN: &str = concat!(
    r#"\b(?:"#,
    // curl -u user:password
    r#"(?:curl|wget|xh|httpie)\b(?:[^\n|;]|\\\n){0,160}?\s(?:-[a-zA-Z]{0,8}u|-U|--user|--proxy-user)(?:\s{1,4}|=)?\\?["']?[^\s"':/]{0,64}:["']?"#,
    // docker login -p password
    r#"|(?:docker|podman|nerdctl|buildah|skopeo|oras|crane|regctl|cosign|helm|oc|az|cf|argocd|gh|vault|bw|lpass|tkn|astro)\b[^\n|;]{0,120}?\blogin\b[^\n|;]{0,120}?\s(?:-p|--password)[ =]{1,3}["']?"#,
    // mysql -ppassword
    r#"|(?:mysql|mysqldump|mysqladmin|mysqlimport|mysqlshow|mysqlcheck|mysqlpump|mysqlsh|mariadb|mariadb-dump|mariadb-admin)\b[^\n|;]{0,120}?\s-p["']?"#,
    r#"|sshpass\s{1,3}-p[ ]{0,3}["']?"#,
    r#"|redis-cli\b[^\n|;]{0,120}?\s-a\s{1,3}["']?"#,
    r#"|(?:mongo|mongosh|mongodump|mongorestore|mongoexport|mongoimport|cqlsh)\b[^\n|;]{0,120}?\s-p\s{1,3}["']?"#,
    r#"|ldap(?:search|add|modify|delete|passwd|whoami)\b[^\n|;]{0,160}?\s-w\s{1,3}["']?"#,
    r#"|htpasswd\s{1,3}-[a-zA-Z]{0,6}b[a-zA-Z]{0,6}\s[^\n|;]{0,120}?\s[^\s]{1,64}\s{1,3}["']?"#,
    r#"|rabbitmqctl\b[^\n|;]{0,60}?(?:add_user|change_password|authenticate_user)\s{1,3}[^\s]{1,64}\s{1,3}["']?"#,
    r#"|(?:7z|7za|7zr)\b[^\n|;]{0,120}?\s-p["']?"#,
    r#"|(?:zip|unzip|sqlcmd|bcp|mosquitto_pub|mosquitto_sub|ipmitool)\b[^\n|;]{0,120}?\s-P\s{0,3}["']?"#,
    r#"|smbclient\b[^\n|;]{0,120}?\s-U\s{0,3}["']?[^\s"'%]{1,64}%"#,
    r#"|net use\b[^\n|;]{0,120}?\s/user:[^\s]{1,64}\s{1,3}["']?"#,
    r#"|xfreerdp\b[^\n|;]{0,120}?\s/p:["']?"#,
    r#"|sqlplus\s[^\n|;]{0,60}?[A-Za-z0-9_]{1,64}/["']?"#,
    r#"|pass(?:in|out)?\s{1,3}["']?pass:"#,
    r#")([^\s"'|;<>]{4,160})"#,
);
/// Minimum length of a password that consists of letters only, in characters. The option already indicates a password,
/// so the limit is low.
const LETTERS_MIN: usize = 6;

/// Accepts the option's argument if it is a password and not a placeholder or the name of a password.
pub(super) fn password(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let mut found = found;
    while !found.is_empty() && b"\\`),.".contains(&text[found.end - 1]) {
        found.end -= 1;
    }
    let value = &text[found.clone()];
    let digits = value.iter().any(u8::is_ascii_digit);
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let marks = value.iter().any(|byte| b"!#$%^&*+?@~_-".contains(byte));
    let variable = matches!(value.first(), Some(b'$' | b'%' | b'(' | b'{' | b'<' | b'-' | b'/' | b'`'));
    let chosen = (digits || marks || letters >= LETTERS_MIN) && value.len() >= 4;
    (chosen
        && !variable
        && !is_template(value)
        && !is_placeholder(value)
        && !is_word_for_one(value)
        && !is_row(value))
    .then_some(found)
}

/// Whether the value is a placeholder word for a password, as documentation uses.
fn is_word_for_one(value: &[u8]) -> bool {
    const WORDS: [&str; 22] = [
        "pass",
        "passwd",
        "pwd",
        "pw",
        "token",
        "apikey",
        "api_key",
        "api-key",
        "apitoken",
        "api_token",
        "api-token",
        "key",
        "access_token",
        "access-token",
        "accesstoken",
        "mypassword",
        "mypass",
        "my-password",
        "my_password",
        "userpass",
        "x-oauth-basic",
        "credentials",
    ];
    let value = value.to_ascii_lowercase();
    WORDS.iter().any(|word| word.as_bytes() == value)
}
