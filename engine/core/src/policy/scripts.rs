//! Maps words for passwords and keys in other scripts to English ones, so that the detectors' rules for names apply to
//! them too.

/// A word in another script, its English equivalent, and the maximum number of letters that inflection adds.
const WORDS: [(&str, &str, usize); 26] = [
    ("парол", "password", 3),
    ("токен", "token", 2),
    ("лозинк", "password", 2),
    ("κωδικός πρόσβασης", "password", 0),
    ("συνθηματικό", "password", 0),
    ("密码", "password", 0),
    ("密碼", "password", 0),
    ("口令", "password", 0),
    ("密钥", "secret key", 0),
    ("密鑰", "secret key", 0),
    ("令牌", "token", 0),
    ("パスワード", "password", 0),
    ("パスフレーズ", "passphrase", 0),
    ("トークン", "token", 0),
    ("비밀번호", "password", 0),
    ("패스워드", "password", 0),
    ("토큰", "token", 0),
    ("รหัสผ่าน", "password", 0),
    ("كلمة المرور", "password", 0),
    ("كلمة السر", "password", 0),
    ("رمز عبور", "password", 0),
    ("گذرواژه", "password", 0),
    ("סיסמה", "password", 0),
    ("סיסמא", "password", 0),
    ("סיסמת", "password", 0),
    ("पासवर्ड", "password", 0),
];
/// Words in these scripts that mean `is`, between a name and its value.
const IS: [&str; 17] = [
    "就是",
    "是",
    "为",
    "為",
    "は",
    "が",
    "은",
    "는",
    " هي",
    " هو",
    " היא",
    " هست",
    "คือ",
    " คือ",
    " है",
    " это",
    " — это",
];

/// If `text` starts with one of these words: its English equivalent, whether a word for `is` follows, and the length in
/// bytes.
pub(super) fn word_at(text: &str) -> Option<(&'static str, bool, usize)> {
    let first = text.chars().next().filter(|c| !c.is_ascii())?;
    let first = first.to_lowercase().next()?;
    let (word, seen, endings) =
        WORDS.iter().find(|(word, ..)| word.starts_with(first) && begins(text, word))?;
    // Upper-case and lower-case letters of these scripts have the same length in bytes.
    let mut len = word.len();
    let ending = text[len..].chars().take(*endings).take_while(|c| c.is_alphabetic() && !c.is_ascii());
    len += ending.map(char::len_utf8).sum::<usize>();
    let is = IS.iter().find(|is| text[len..].starts_with(**is));
    Some((seen, is.is_some(), len + is.map_or(0, |is| is.len())))
}

fn begins(text: &str, word: &str) -> bool {
    text.is_char_boundary(word.len().min(text.len()))
        && text.len() >= word.len()
        && text[..word.len()].chars().flat_map(char::to_lowercase).eq(word.chars())
}
