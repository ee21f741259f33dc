use std::collections::BTreeSet;

use proptest::prelude::*;

use super::terms::{Terms, is_stop_word, number};
use super::*;

fn cut(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    words(text, |word| found.push(word.to_owned()));
    found
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(cut(text), expected, "{text:?}");
}

fn index(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    Terms::default().of_text(text, |term, _| found.extend([term.to_owned()]));
    found
}

/// Whether a text has every term that the query `question` requires.
fn has_all(text: &str, question: &str) -> bool {
    let (terms, found) = (Terms::default(), index(text));
    cut(question).iter().all(|word| {
        let mut all = true;
        terms.required(word, |term| all &= found.contains(term));
        all
    })
}

#[test]
fn words_are_runs_of_letters_and_digits() {
    check("The kettle's BLUE, node-7!", &["the", "kettle", "s", "blue", "node", "7"]);
    check(
        "snake_case camelCase a.b@c.de x=0xFF",
        &["snake", "case", "camelcase", "a", "b", "c", "de", "x", "0xff"],
    );
    check("Ünïcode café 漢字 x", &["unicode", "cafe", "漢字", "x"]);
    check("co\u{ad}operate a\u{200b}b", &["cooperate", "a", "b"]);
    check("", &[]);
    check(" … ", &[]);
}

#[test]
fn what_looks_the_same_is_the_same_word() {
    let pairs = [
        ("cafe\u{301}", "CAFÉ"),
        ("Straße", "STRASSE"),
        ("İstanbul ISPARTA ırmak", "istanbul ısparta IRMAK"),
        ("đường phố", "ĐƯỜNG PHỐ"),
        ("Ｆｕｌｌ１２", "full12"),
        ("ﾊﾞｽ", "バス"),
        ("か\u{3099}", "が"),
        ("\u{1112}\u{1161}\u{11ab}", "한"),
        ("שָׁלוֹם", "שלום"),
        ("مَدْرَسَةٌ", "مدرسه"),
        ("أحمد", "احمد"),
        ("ёлка", "елка"),
        ("и\u{306}од", "йод"),
        ("Οδυσσεύς", "ΟΔΥΣΣΕΥΣ"),
        ("น\u{e4d}\u{e49}า", "น้ำ"),
        ("١٢٣ ۴۵۶ ๗๘", "123 456 78"),
        ("ﬁne № ½", "fine no 1 2"),
        ("कि\u{200d}ताब", "किताब"),
        ("ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ", "საქართველო"),
    ];
    for (a, b) in pairs {
        assert_eq!(cut(a), cut(b), "{a} {b}");
        assert!(!cut(a).is_empty(), "{a}");
    }
    assert_ne!(cut("йод"), cut("иод"), "a letter of its own");
    assert_ne!(cut("が"), cut("か"));
    assert_ne!(cut("किताब"), cut("कताब"), "vowel signs are letters");
    check("किताब पढ़ना", &["किताब", "पढना"]);
    check("می\u{200c}خواهم", &["مي", "خواهم"]);
}

#[test]
fn words_without_blanks_are_found_inside_any_text() {
    let texts = [
        ("我最喜欢的咖啡店位于北京的蓝屏咖啡。", "咖啡店 咖啡 店 北京 蓝屏 我"),
        ("我最喜歡的咖啡店位於臺北市信義區。", "咖啡店 臺北 信義區"),
        ("昨日コーヒーショップで打ち合わせをした", "コーヒー ショップ 打ち合わせ コーヒーショップ"),
        ("東京都立図書館の入口", "図書館 東京 都立図書館 入口"),
        ("회의는 강남역 커피숍에서 열렸다", "커피숍 강남역 회의 커피숍에서 커피숍은 커피"),
        ("데이터베이스관리시스템을 설치했다", "데이터베이스 관리 시스템"),
        ("ประชุมวันจันทร์ที่ห้องประชุมใหญ่", "ประชุม ห้องประชุม วันจันทร์"),
        ("ร้านกาแฟที่ฉันชอบอยู่ในกรุงเทพ", "กาแฟ ร้านกาแฟ กรุงเทพ"),
        ("ហាងកាហ្វេដែលខ្ញុំចូលចិត្តនៅភ្នំពេញ", "កាហ្វេ ភ្នំពេញ ហាងកាហ្វេ"),
        ("ຮ້ານກາເຟທີ່ຂ້ອຍມັກຢູ່ວຽງຈັນ", "ກາເຟ ວຽງຈັນ"),
        ("ကျွန်တော်အကြိုက်ဆုံးကော်ဖီဆိုင်သည်ရန်ကုန်တွင်ရှိသည်", "ကော်ဖီ ကော်ဖီဆိုင် ရန်ကုန်"),
        ("使用GitHub上的Rust项目", "github Rust 项目"),
    ];
    for (text, questions) in texts {
        for question in questions.split(' ') {
            assert!(has_all(text, question), "{question} in {text}");
        }
    }
    assert!(!has_all("我最喜欢的茶馆", "咖啡店") && !has_all("ห้องประชุม", "กาแฟ"));
}

#[test]
fn what_english_is_found_by_is_as_it_was() {
    let stems = Terms::default();
    let term = |word: &str| {
        let mut found = Vec::new();
        stems.of_word(word, |term| found.push(number(term)));
        found
    };
    for (a, b) in [("painting", "paintings"), ("running", "run"), ("adopted", "adopt")] {
        assert_eq!(term(a), term(b), "{a} {b}");
    }
    assert_ne!(term("kettle"), term("mountain"));
    assert_ne!(term("is"), term("i"), "short words stay");
    assert_eq!(stems.index_text("The blue kettles, node-7"), "the blue kettl node 7");
}

#[test]
fn an_arabic_noun_is_found_with_its_article_and_without_it() {
    let terms = |text: &str| index(text);
    for (with, without) in [
        ("المدرسة", "مدرسة"),
        ("السيارة", "سيارة"),
        ("الجامعة", "جامعة"),
        ("والجامعة", "جامعة"),
        ("بالسيارة", "سيارة"),
        ("كالمدرسة", "المدرسة"),
        ("فالمدينة", "مدينة"),
        ("للمدرسة", "مدرسة"),
        ("وللمدرسة", "المدرسه"),
        ("وبالسيارة", "السيارة"),
        ("الكتاب", "كتاب"),
        ("القمر", "قمر"),
        ("الألماني", "ألماني"),
        ("الكالسيوم", "كالسيوم"),
        ("اَلْمَدْرَسَةُ", "مدرسة"),
        ("اللغة", "لغة"),
        ("السنة", "سنة"),
    ] {
        assert_eq!(terms(with), terms(without), "{with} {without}");
        assert!(has_all(&format!("{with} كبيرة"), without) && has_all(without, with), "{with} {without}");
    }
    for (one, other) in [("مدرسة", "سيارة"), ("جامعة", "مدينة"), ("الولد", "البلد")]
    {
        assert_ne!(terms(one), terms(other), "{one} {other}");
    }
}

#[test]
fn a_share_is_of_the_words_that_occur() {
    let share = |text: &str, words: &[&str]| Terms::default().share(text, words);
    let text = "The deployment windows are on Tuesday. 我最喜欢的咖啡店";
    assert_eq!(share(text, &["deployment", "window", "tuesday"]).to_bits(), 1.0_f64.to_bits());
    assert_eq!(share(text, &["deployment", "monday", "咖啡店", "茶馆"]).to_bits(), 0.5_f64.to_bits());
    assert_eq!(share(text, &[]).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn stop_words_are_known() {
    assert!(is_stop_word("the") && is_stop_word("what") && !is_stop_word("kettle"));
}

#[test]
fn a_snippet_begins_where_the_word_is() {
    fn place<'a>(text: &'a str, question: &str) -> Option<&'a str> {
        Terms::default().first_place(text, question).map(|at| &text[at..])
    }
    assert_eq!(place("the blue kettle", "KETTLES?"), Some("kettle"));
    assert_eq!(place("the blue kettle", "the kettle"), Some("kettle"), "stop words do not count");
    assert_eq!(place("我最喜欢的咖啡店", "的咖啡店"), Some("咖啡店"));
    assert_eq!(place("我家的猫", "猫"), Some("猫"));
    assert_eq!(place("ห้องประชุมใหญ่", "ประชุม"), Some("ประชุมใหญ่"));
    assert_eq!(place("nothing", "else"), None);
    assert!(place("une the\u{301}ie\u{300}re bleue", "théière").unwrap().starts_with("the\u{301}"));
}

#[test]
fn a_name_has_one_form() {
    assert_eq!(normal_form("cafe\u{301}"), "café");
    assert_eq!(normal_form("Ａﬁ"), "Ａﬁ", "what looks different stays different");
    assert!(matches!(normal_form("plain"), Cow::Borrowed("plain")));
}

fn any_text() -> impl Strategy<Value = String> {
    let scripts = "[a-zA-Z0-9_. é\u{301}ßİ\u{200b}\u{200c}\u{200d}\u{ad}\u{fe0f}🦀א-תְ-ֹا-يً-ْа-яёα-ωάक-हािीु्\u{93c}அ-ஹா-்ა-ჰก-ูเ-๎ກ-ູເ-ໍក-្က-\u{1039}ぁ-んァ-ーｱ-ﾟ一-丿가-깋\u{1100}-\u{1112}\u{1161}-\u{1175}\u{e000}]";
    prop::string::string_regex(&format!("{scripts}{{0,40}}")).unwrap()
}

#[test]
fn letters_that_a_mark_kept_apart_are_one_word_for_good() {
    for word in cut("\u{1100}\u{93e}\u{1161}") {
        assert_eq!(cut(&word).concat(), word);
    }
}

proptest! {
    #[test]
    fn text_of_ascii_is_cut_like_any_other(text in "[ -~\\n\\t]{0,60}") {
        // A dash outside ASCII, which is not part of a word, makes the code for all scripts run instead of the code for
        // ASCII.
        let slow = cut(&format!("{text} \u{2014}"));
        prop_assert_eq!(cut(&text), slow);
        let composed: String = {
            let mut found = String::new();
            let mut folded = String::new();
            for part in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
                folded.clear();
                fold::fold(part, Class::Plain, &mut folded);
                found.push_str(&folded);
                found.push(' ');
            }
            found
        };
        prop_assert_eq!(composed.trim_end(), cut(&text).join(" "));
    }

    #[test]
    fn the_index_holds_exactly_the_terms(text in any_text()) {
        let terms = Terms::default();
        let mut expected = Vec::new();
        terms.of_text(&text, |term, _| expected.push(term.to_owned()));
        let written = terms.index_text(&text);
        // Splits as FTS5's `ascii` tokenizer does.
        let cut: Vec<&str> = written
            .split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric())
            .filter(|term| !term.is_empty())
            .collect();
        prop_assert!(cut.iter().all(|term| *term == term.to_ascii_lowercase()));
        prop_assert_eq!(cut, expected);
    }

    #[test]
    fn every_text_has_its_own_words(text in any_text()) {
        prop_assert!(has_all(&text, &text));
    }

    #[test]
    fn words_cut_again_are_the_same_words(text in any_text()) {
        for word in cut(&text) {
            prop_assert_eq!(cut(&word).concat(), word);
        }
    }

    #[test]
    fn a_first_place_is_a_place_in_the_text(text in any_text(), question in any_text()) {
        if let Some(at) = Terms::default().first_place(&text, &question) {
            prop_assert!(text.is_char_boundary(at) && at < text.len());
        }
    }
}
