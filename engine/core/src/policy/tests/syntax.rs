//! Secrets in the syntaxes in which people write them, and texts that only look like secrets. The secrets are assembled
//! here, so that the repository contains none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A password, a key, and a UUID that is a secret after a matching name.
fn values() -> [String; 3] {
    [
        joined(&["Tr0ub4", "dor&3"]),
        joined(&["q8Zx2LwP", "7vKt4Rm9Ns", "B3cYd6"]),
        joined(&["3f2504e0-4f89-", "41d3-9a0c-0305e82c3301"]),
    ]
}

#[track_caller]
fn refused(text: &str) {
    let found = names(default(), text);
    assert!(default().judge_text("content", text, NOW).is_err(), "{text:?} passes: {found:?}");
}

#[track_caller]
fn passes(text: &str) {
    assert_eq!(default().judge_text("content", text, NOW).map(|judged| judged.changed), Ok(None), "{text:?}");
}

/// Returns the text if it may be written.
fn passing(text: &str) -> Option<String> {
    default().judge_text("content", text, NOW).is_ok().then(|| format!("passes: {text}"))
}

/// Returns the detector and the text if the write is refused.
fn blocked(text: &str) -> Option<String> {
    let blocked = default().judge_text("content", text, NOW).err()?;
    Some(format!("{}: {text}", blocked.detector))
}

#[test]
fn a_key_given_in_the_syntax_of_another_language_passed() {
    let [_, key, _] = values();
    for syntax in [
        "os.environ[\"API_TOKEN\"] = \"{}\"",
        "const apiToken: string = \"{}\";",
        "let api_token: Option<&str> = Some(\"{}\");",
        "var apiToken string = \"{}\"",
        "API_TOKEN ?= {}",
        "API_TOKEN ||= '{}'",
        "$apiToken ??= \"{}\";",
        "$apiToken .= \"{}\"",
        "API_TOKEN ::= {}",
        "setenv(\"API_TOKEN\",\"{}\")",
        "System.setProperty(\"API_TOKEN\", \"{}\");",
        "client.setApiKey(\"{}\")",
        "- name: API_TOKEN\n  value: \"{}\"",
        "{\"name\": \"api_token\", \"value\": \"{}\"}",
        "<apiToken>{}</apiToken>",
        "<apiToken>\n    {}\n</apiToken>",
        "<add key=\"ApiToken\" value=\"{}\" />",
        "<key>ApiToken</key>\n<string>{}</string>",
        "**API key:** {}",
        "**API key**: `{}`",
        "| api key | {} |",
        "api_key: |\n  {}",
        "api_key: >-\n  {}",
        "{\\\"api_key\\\": \\\"{}\\\"}",
        "curl https://api.internal/?api_key={}&page=2",
        "curl -H \"X-Api-Key: {}\" https://api.internal",
        "tool --api-key {} --verbose",
        "if (apiKey == \"{}\") {",
        "if (\"{}\" == apiKey) {",
        "API key (staging): {}",
        "The API key for staging is {}.",
        "the access token we use for the nightly job is now {}",
        "the api key is {}",
        "our API key - {}",
        "apiKey := `{}`",
        "\"apiKey\" => \"{}\",",
        "api.secret.key={}",
    ] {
        refused(&syntax.replace("{}", &key));
    }
}

#[test]
fn a_password_given_in_the_syntax_of_another_language_passed() {
    let [password, ..] = values();
    for syntax in [
        "os.environ['DB_PASSWORD'] = '{}'",
        "const password: string = \"{}\"",
        "PASSWORD ?= {}",
        "login(\"ana\", password=\"{}\")",
        "user.setPassword(\"{}\")",
        "- name: DB_PASSWORD\n  value: {}",
        "<password>{}</password>",
        "**Password:** {}",
        "tool --user ana --password {}",
        "ALTER USER ana WITH PASSWORD '{}';",
        "machine api.internal login ana password {}",
        "The password for the admin user is {}",
        "export PGPASSWORD={}",
        "{\\\"password\\\":\\\"{}\\\"}",
        "if (\"{}\" == password) {",
        "cloudant_pw = \"{}\"",
    ] {
        refused(&syntax.replace("{}", &password));
    }
}

#[test]
fn brackets_in_a_quoted_password_exempted_it() {
    for password in ["m{h}o)p5e]no", "a(b)c1D2e3", "x[0]y<z>9Q", "{q}1w2e3R"] {
        refused(&format!("password = \"{password}\""));
    }
    for code in [
        "password = get_password(2)",
        "password = config[\"db1\"]",
        "password = \"${DB_PASSWORD_1}\"",
        "password: \"{{ .Values.db1.password }}\"",
        "password = vault.read(\"a1\")",
        "password=$(cat /run/secrets/db1)",
        "password = \"<your-password-1>\"",
    ] {
        passes(code);
    }
}

#[test]
fn an_identifier_behind_the_name_of_a_key_passed() {
    let [.., id] = values();
    for syntax in [
        "//registry.internal/:_authToken={}",
        "secret_id={}",
        "HEROKU_API_KEY={}",
        "SNYK_TOKEN: {}",
        "X-Consul-Token: {}",
        "the API key is {}",
    ] {
        refused(&syntax.replace("{}", &id));
    }
    for syntax in ["token: {}", "api_key_id: {}", "requestToken={}", "page_token = {}", "trace_token={}"] {
        passes(&syntax.replace("{}", &id));
    }
}

#[test]
fn a_password_on_a_command_line_passed() {
    let password = joined(&["hun", "ter2-X9"]);
    for command in [
        "curl -u ana:{} https://api.internal",
        "curl https://api.internal --user 'ana:{}'",
        "curl https://api.internal \\\n  --user ana:{} -d x=1",
        "docker login registry.internal -u ana -p {}",
        "helm registry login registry.internal -u ana -p {}",
        "mysql -h db -uana -p{} app",
        "mysqldump --all-databases -u root -p'{}'",
        "sshpass -p {} ssh ana@host",
        "redis-cli -h cache -a {} ping",
        "mongosh -u ana -p {} --host db",
        "ldapsearch -x -D cn=admin -w {}",
        "htpasswd -bc users ana {}",
        "rabbitmqctl add_user ana {}",
        "openssl rsa -in key.pem -passin pass:{}",
    ] {
        refused(&command.replace("{}", &password));
    }
    for command in [
        "curl -u \"$USER:$PASS\" https://api.internal",
        "curl -u ana:${TOKEN} https://api.internal",
        "curl -u user:password https://api.internal",
        "docker login -u ana -p <token>",
        "docker run -p 8080:80 -u 1000:1000 nginx",
        "mysql -u root -p app",
        "mkdir -p a/b/c && ssh -p 2222 host",
        "the login page takes -p for the port 8080",
    ] {
        passes(command);
    }
}

#[test]
fn a_manifest_of_a_secret_passed() {
    let value = STANDARD.encode("correct horse");
    refused(&format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  username: {value}\n"));
    refused(&format!("apiVersion: v1\ndata:\n  username: {value}\nkind: Secret\n"));
    refused(&format!("{{\"kind\":\"Secret\",\"data\":{{\"username\":\"{value}\"}}}}"));
    refused(&format!("kind: Secret\nstringData:\n  username: {}\n", joined(&["ana", "7x-Q2"])));
    let password = joined(&["xK9#m", "Q2vL8zT"]);
    for text in [
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\nstringData:\n  p: {}",
        "kind: Secret\nstringData:\n  p: \"{}\" # of the db",
        "kind: Secret\nstringData:\n  p: |\n    {}\n",
        "kind: Secret\nstringData: {p: '{}'}\n",
    ] {
        refused(&text.replace("{}", &password));
    }
    passes("kind: Secret\nstringData:\n  p: todo # see K9mQ2vL8zT\n");
    passes("kind: Secret\nmetadata:\n  name: db\ndata:\n  username: <base64>\n");
    passes("kind: Secret\nmetadata:\n  name: db\ndata: {}\n");
    passes(&format!("kind: ConfigMap\ndata:\n  greeting: {value}\n"));
    passes("secretRef:\n  kind: Secret\n  name: db-credentials\n");
}

#[test]
fn credentials_in_files_of_tools_passed() {
    let credentials = STANDARD.encode("ana:correct horse 9");
    refused(&format!("{{\"auths\": {{\"registry.internal\": {{\"auth\": \"{credentials}\"}}}}}}"));
    refused(&format!("//registry.internal/:_auth={credentials}"));
    passes("auth: required, _auth=true, \"auth\": \"oauth2-proxy-v7\"");
}

#[test]
fn a_password_behind_a_word_of_another_language_passed() {
    let password = joined(&["xK9#m", "Q2vL8zT"]);
    let mut wrong = Vec::new();
    for text in [
        "пароль: {}",
        "Пароль от базы: {}",
        "ПАРОЛЬ — {}",
        "паролем={}",
        "密码: {}",
        "密码：{}",
        "数据库的密码是{}",
        "密碼為 {}",
        "パスワード: {}",
        "パスワードは{}です",
        "비밀번호: {}",
        "비밀번호는 {}",
        "senha: {}",
        "A senha é {}",
        "wachtwoord: {}",
        "het wachtwoord is {}",
        "hasło: {}",
        "Hasło={}",
        "lösenord: {}",
        "lösenordet är {}",
        "şifre: {}",
        "Şifresi: {}",
        "parola: {}",
        "parolă: {}",
        "mật khẩu: {}",
        "Mật khẩu là: {}",
        "รหัสผ่าน: {}",
        "รหัสผ่านคือ {}",
        "كلمة المرور: {}",
        "كلمة المرور هي {}",
        "סיסמה: {}",
        "הסיסמה היא {}",
        "Kennwort: {}",
        "das Kennwort lautet {}",
        "Kennwort für den Server: {}",
        "heslo: {}",
        "passord: {}",
        "CREATE USER ana IDENTIFIED BY '{}';",
        "alter user ana identified with mysql_native_password by '{}'",
        "IDENTIFIED BY \"{}\"",
    ] {
        wrong.extend(passing(&text.replace("{}", &password)));
    }
    for text in [
        "пароль хранится в Vault, ротация каждые 90 дней",
        "пароль: обязателен",
        "密码策略：每90天更换一次，最少12个字符",
        "パスワードは90日ごとに変更する",
        "비밀번호 정책은 12자 이상",
        "la parola chiave è scritta nel runbook-v2",
        "a senha fica no Vault em kv/staging/db-2",
        "hasło jest w 1Password",
        "the bug was identified by 3 tests in run 20241129",
        "identified by ana1984test in review",
        "şifre: ${DB_PASSWORD_1}",
        "wachtwoord: <your-password-1>",
        "CREATE USER ana IDENTIFIED BY '${DB_PASSWORD_1}'",
    ] {
        wrong.extend(blocked(text));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_value_below_or_before_its_name_passed() {
    let [password, key, _] = values();
    let mut wrong = Vec::new();
    for text in [
        "API key\n\n    {}",
        "## API key\n\n```\n{}\n```\n",
        "API key:\n\n{}\n",
        "**API key**\n\n```text\n{}\n```",
        "value: {}\nname: API_TOKEN",
        "- value: \"{}\"\n  name: API_TOKEN\n",
        "{\"value\": \"{}\", \"name\": \"API_TOKEN\"}",
        "<add value=\"{}\" key=\"ApiToken\" />",
    ] {
        wrong.extend(passing(&text.replace("{}", &key)));
    }
    for text in ["Password\n\n    {}\n", "value: '{}'\nname: DB_PASSWORD"] {
        wrong.extend(passing(&text.replace("{}", &password)));
    }
    for text in [
        "API key\n\nThe key is kept in Vault under kv/staging/api-key-2.",
        "# Tokens\n\n- rotate-keys-v2\n- 3f786850e387550fdab836ed7e6dc881de23001b",
        "Secrets\n\n3f786850e387550fdab836ed7e6dc881de23001b\n",
        "value: production\nname: API_TOKEN_STAGE",
        "value: ${TOKEN_2}\nname: API_TOKEN",
        "Password\n\nRequired12 characters or more",
    ] {
        wrong.extend(blocked(text));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn sentences_about_secrets_pass() {
    for note in [
        "The API key is stored in Vault under kv/staging/api-key-2.",
        "The API key for staging is rotated every 90 days by the job rotate-keys-v2.",
        "the password for the db is kept in 1Password; ask platform-team",
        "The token is a JWT with 3 parts; the secret is mounted at /run/secrets/db.",
        "Access tokens expire after 3600 seconds, refresh tokens after 30 days.",
        "token: ${API_TOKEN}, api_key: {{ .Values.apiKey }}, secret: <your-secret-here>",
        "api_key = os.environ[\"API_KEY_STAGING_2\"]",
        "token = request.headers.get(\"X-Api-Token-V2\")",
        "secret: db-credentials-v2 in namespace team-a1",
        "max_tokens=4096, total_tokens: 12345678901234567",
        "secretName: wildcard-tls-2026, tokenReviewer: v1beta1",
        "token digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Fixed the token check in commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "password rotation is in docs/runbooks/2026-03-rotation.md",
        "export API_KEY=xxxxxxxxxxxxxxxxxxxxxxxx",
        "the primary key is (project, seq), the cache key user:42:profile:v3",
        "passed 12345678 tests, bypass=true, compass: 270 degrees",
        "passphrase: none; passcode: required; password: changeme123",
    ] {
        passes(note);
    }
}

#[test]
fn what_only_looks_like_a_token_was_refused() {
    let dashes = "-----";
    for text in [
        "use AKIAXXXXXXXXXXXXXXXX for the access key".to_owned(),
        "slack tokens look like xoxb-12345-abcd234".to_owned(),
        "call hf_requiredLayerTypesForDisplayOfMetadata first".to_owned(),
        format!("{dashes}BEGIN PRIVATE{}KEY{dashes}\nanything\n{dashes}END PRIVATE{}KEY{dashes}", " ", " "),
        format!("{dashes}BEGIN RSA PRIVATE{}KEY{dashes}\nyour key goes here\n", " "),
        format!("the file begins with {dashes}BEGIN PRIVATE{}KEY{dashes}.", " "),
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
        "AZURE_CLIENT_SECRET=<client-secret-value-1>".to_owned(),
    ] {
        passes(&text);
    }
}

/// Text and expected result.
#[test]
fn personal_data_was_found_in_part_or_taken_for_something_else() {
    for (text, redacted) in [
        ("peer ::ffff:192.0.2.128 and 64:ff9b::198.51.100.1", "peer [IP] and [IP]"),
        ("2001:db8:0:0:0:0:192.0.2.1 is mapped", "[IP] is mapped"),
        ("via fe80::1ff:fe23:4567:890a%eth0 now", "via [IP] now"),
        ("mail ana@xn--bcher-kva.xn--p1ai today", "mail [EMAIL] today"),
        ("mail ana@b.c.d.e.f.g.h.example.org today", "mail [EMAIL] today"),
        ("SA ID 8001015009087", "SA ID 8001015009087"),
        ("build OK 123456789", "build OK 123456789"),
        ("social_security_number: 219099999", "social_security_number: [SSN]"),
        ("socialSecurityNumber=219099999", "socialSecurityNumber=[SSN]"),
        ("SSN# 219.09.9999", "SSN# [SSN]"),
        ("Passport #: K1234567", "Passport #: [PASSPORT]"),
        ("my US passport, number 912803456, expires soon", "my US passport, number [PASSPORT], expires soon"),
        ("passportNumber=K1234567", "passportNumber=[PASSPORT]"),
        ("Reisepassnummer: C01X00T47", "Reisepassnummer: [PASSPORT]"),
        ("the travel passport is A12803456", "the travel passport is [PASSPORT]"),
    ] {
        let judged = everything().judge_text("content", text, NOW).unwrap();
        assert_eq!(judged.changed.as_deref().unwrap_or(text), redacted);
    }
}
