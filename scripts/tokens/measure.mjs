// Texts of many kinds with their token counts in three public tokenizers of two providers: the reference for
// `engine_core::tokens`.
//
//   npm install --prefix FOLDER js-tiktoken@1.0.21 @anthropic-ai/tokenizer@0.0.4
//   NODE_PATH=FOLDER/node_modules node scripts/tokens/measure.mjs > engine/core/tests/fixtures/tokens.json
//
// The texts are generated from a fixed seed and from engine/tests/data/scripts.json; they contain no foreign data.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const { Tiktoken } = require("js-tiktoken/lite");
const encodings = {
  cl100k: new Tiktoken(require("js-tiktoken/ranks/cl100k_base")),
  o200k: new Tiktoken(require("js-tiktoken/ranks/o200k_base")),
};

// The tokenizer that Anthropic has published; those of its later models are not public.
const claude = require("@anthropic-ai/tokenizer").getTokenizer();

let state = 20260101n;
const next = (below) => {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number((state >> 33n) % BigInt(below));
};
const pick = (from) => from[next(from.length)];
const row = (length, one) => Array.from({ length }, one).join("");
const letters = (alphabet, length) => row(length, () => pick(alphabet));
const range = (low, high, length) => row(length, () => String.fromCodePoint(low + next(high - low + 1)));
const LOWER = "abcdefghijklmnopqrstuvwxyz";
const UPPER = LOWER.toUpperCase();
const BASE64 = LOWER + UPPER + "0123456789+/";
const HEX = "0123456789abcdef";
const uuid = () => [8, 4, 4, 4, 12].map((length) => letters(HEX, length)).join("-");

const PROSE = [
  "The engine keeps every memory in a log on one volume. What is read is built from it, and what is built can be thrown away at any time. When a disk fails, the operator says so, and nothing is acknowledged that was not written.",
  "Yesterday afternoon we walked along the river with the children, had ice cream near the old bridge, and talked about moving to a smaller house in the countryside next spring.",
  "Photosynthesis converts carbon dioxide and water into glucose; chlorophyll absorbs predominantly blue and red wavelengths, which is why foliage appears green.",
  "Notwithstanding the aforementioned provisions, the indemnifying party shall reimburse reasonable attorneys' fees incurred in connection therewith.",
  "u need 2 restart teh srvr asap lol, its borked agn... idk y tho??? brb",
];
const WORDS = PROSE.join(" ").split(/[^A-Za-z]+/).filter(Boolean);
const camel = () => row(3 + next(3), () => { const word = pick(WORDS).toLowerCase(); return word[0].toUpperCase() + word.slice(1); });
const snake = () => Array.from({ length: 2 + next(3) }, () => pick(WORDS).toLowerCase()).join("_");

const CODE = [
  "fn main() -> Result<(), Box<dyn Error>> {\n    let args: Vec<String> = std::env::args().skip(1).collect();\n    for (n, arg) in args.iter().enumerate() {\n        println!(\"{n:>4}: {arg:?}\");\n    }\n    Ok(())\n}\n",
  "def quicksort(xs):\n\tif len(xs) <= 1:\n\t\treturn xs\n\tpivot, *rest = xs\n\treturn quicksort([x for x in rest if x < pivot]) + [pivot] + quicksort([x for x in rest if x >= pivot])\n",
  "SELECT u.id, count(*) AS n FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE o.created_at >= '2024-01-01' GROUP BY u.id HAVING count(*) > 3 ORDER BY n DESC LIMIT 20;",
  "!function(e,t){\"object\"==typeof exports&&\"undefined\"!=typeof module?module.exports=t():\"function\"==typeof define&&define.amd?define(t):(e=e||self).Vue=t()}(this,function(){\"use strict\";var e=Object.freeze({});function t(e){return null==e}function n(e){return null!=e}var r=/^[\\w$]+$/,o=Array.isArray;return{a:1,b:t,c:n,d:r,e:o,f:void 0}});",
  "a[i]^=b[(i+k)&0xff]<<3|~c>>>5;x=y?z:w;q&&(p=!r);for(;;){if(++n>1e6)break;m[n%7]+=n/3.14}",
  "{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\",\"metadata\":{\"name\":\"engine-0\",\"labels\":{\"app.kubernetes.io/name\":\"memory\"}},\"spec\":{\"replicas\":1,\"template\":{\"spec\":{\"containers\":[{\"name\":\"engine\",\"image\":\"registry.example/engine:v1.2.3\"}]}}}}",
  "apiVersion: v1\nkind: Service\nmetadata:\n  name: engine\nspec:\n  ports:\n    - port: 8080\n      targetPort: http\n  selector:\n    app: engine\n",
  "<div class=\"row col-md-6\"><a href=\"#\" onclick=\"go('x')\">&nbsp;Click&hellip;</a><br/><img src=\"/i/a.png\" alt=\"\"></div>",
  "movaps xmm0, XMMWORD PTR [rsp+0x20]\ncall 0x7f3a1c0e4b10 <memcpy@plt>\njne .L37\nxor eax, eax\nret\n",
];

const texts = [];
const add = (kind, text) => texts.push({ kind, text });
PROSE.forEach((text) => add("English", text));
PROSE.forEach((text) => add("English in capitals", text.toUpperCase()));
CODE.forEach((text) => add("code", text));
for (let n = 0; n < 3; n += 1) {
  add("base64", letters(BASE64, 400));
  add("base64 in lines", Array.from({ length: 8 }, () => letters(BASE64, 76)).join("\n"));
  add("base64url", Array.from({ length: 3 }, () => letters(LOWER + UPPER + "0123456789-_", 90)).join("."));
  add("base32", letters(UPPER + "234567", 300));
  add("hex", letters(HEX, 400));
  add("hex in capitals", letters(HEX.toUpperCase(), 300));
  add("hex dump", Array.from({ length: 64 }, () => letters(HEX, 2)).join(" "));
  add("UUIDs", Array.from({ length: 10 }, uuid).join("\n"));
  add("digits", letters("0123456789", 300));
  add("zeros and ones", letters("01", 400));
  add("numbers", Array.from({ length: 50 }, () => `${next(100000)}.${next(100)}`).join(", "));
  add("letters", letters(LOWER, 300));
  add("capitals", letters(UPPER, 300));
  add("letters and capitals", letters(LOWER + UPPER, 300));
  add("random words", Array.from({ length: 60 }, () => letters(LOWER, 2 + next(9))).join(" "));
  add("printable ASCII", row(300, () => String.fromCharCode(32 + next(95))));
  add("punctuation", letters("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 300));
  add("camel case", Array.from({ length: 30 }, camel).join(" "));
  add("snake case", Array.from({ length: 30 }, snake).join(" "));
  add("one word of words", row(60, () => pick(WORDS).toLowerCase()));
  add("one word of words, capitals", row(40, () => pick(WORDS).toUpperCase()));
  add("URLs", Array.from({ length: 6 }, () => `https://${pick(WORDS)}.example.com/${snake()}/${uuid()}?q=${letters(BASE64, 22)}&utm_source=${pick(WORDS)}#${next(1e6)}`).join("\n"));
  add("percent-encoded", row(100, () => `%${letters("0123456789ABCDEF", 2)}`));
  add("paths", Array.from({ length: 20 }, () => `/usr/lib/${snake()}/${camel()}.rs:${next(999)}`).join("\n"));
  add("log lines", Array.from({ length: 10 }, () => `2026-01-${10 + next(20)}T1${next(10)}:${10 + next(50)}:${10 + next(50)}.${next(1e6)}Z WARN [${letters(HEX, 16)}] ${snake()} took ${next(9999)}ms from 10.${next(255)}.${next(255)}.${next(255)}`).join("\n"));
  add("CSV", Array.from({ length: 20 }, () => `${next(1e6)},${pick(WORDS)},"${letters(UPPER, 3)}",${next(2) ? "" : next(100) / 7}`).join("\r\n"));
  add("e-mail addresses", Array.from({ length: 20 }, () => `${pick(WORDS)}.${letters(LOWER, 5)}${next(99)}@${letters(LOWER, 7)}.org`).join("; "));
  add("emoji", row(60, () => String.fromCodePoint(0x1f300 + next(0x2ff))));
  add("emoji in a sentence", Array.from({ length: 20 }, () => `${pick(WORDS)} ${String.fromCodePoint(0x1f600 + next(0x4f))}`).join(" "));
}
add("families", "👩‍👩‍👧‍👦 👨🏽‍💻 🏳️‍🌈 👩🏿‍🚀 🧑🏻‍🤝‍🧑🏾 ❤️‍🔥 ".repeat(6));
add("flags", row(30, () => String.fromCodePoint(0x1f1e6 + next(26)) + String.fromCodePoint(0x1f1e6 + next(26))));
add("keycaps", "1️⃣2️⃣3️⃣#️⃣*️⃣ ".repeat(10));
add("blanks", " ".repeat(500));
add("blanks and words", WORDS.map((word, n) => " ".repeat(1 + (n % 9)) + word).join(""));
add("indented", CODE[0].replaceAll("    ", "            "));
add("tabs", "\t".repeat(200));
add("tabs and blanks", "\t  \t \t\t   ".repeat(30));
add("lines", "\n".repeat(200));
add("lines and blanks", "  \n\n \n\t\n".repeat(40));
add("lines of Windows", "a\r\n\r\nb\r\n".repeat(30));
add("strange blanks", "a\u00a0b\u2003c\u3000d\u200be\ufefff\u2028g".repeat(12));
add("one letter", "a".repeat(400));
add("one capital", "A".repeat(400));
add("one line drawn", "=".repeat(300));
add("drawn lines", ["-".repeat(80), "*".repeat(40), "#".repeat(30), "_".repeat(60), ".".repeat(50), "~".repeat(20)].join("\n"));
add("table", "| a | b |\n|---|---|\n| 1 | 2 |\n".repeat(20));
add("box", "┌──────┬──────┐\n│ a    │ b    │\n└──────┴──────┘\n".repeat(10));
add("control characters", row(200, () => String.fromCharCode(1 + next(31))));
add("mathematics", "∀x∈ℝ: ∃ε>0 ⇒ ∑_{i=1}^{n} √(xᵢ² + yᵢ²) ≤ ∫₀^∞ e^{-t²}dt ≈ π/4 ∧ ¬(a ⊕ b) ⊆ ∅ ".repeat(4));
add("mathematical letters", range(0x1d400, 0x1d7cb, 120));
add("arrows and symbols", range(0x2190, 0x27bf, 200));
add("braille", range(0x2800, 0x28ff, 200));
add("typography", "“Quoted” — ‘it’s’… 50 € – 20 £ · § 5 ¶ † ‡ • ™ © ® ° ± × ÷ ½ ¼ « » ".repeat(5));
add("stacked marks", row(60, () => pick(LOWER) + range(0x300, 0x36f, 4)));
add("private use", range(0xe000, 0xf8ff, 100));
add("not assigned", range(0xe0100, 0xe01ef, 60));
add("replacement characters", "\ufffd".repeat(100));

const LATIN = {
  French: "L'été dernier, nous avons traversé les Pyrénées à vélo ; c'était éprouvant, mais la vue était à couper le souffle où que l'on s'arrêtât.",
  German: "Die Donaudampfschifffahrtsgesellschaft kündigte überraschend größere Änderungen der Fahrpläne für das nächste Jahr an; Gästebücher müssten künftig täglich geprüft werden.",
  Spanish: "El niño soñaba con pingüinos y cigüeñas mientras su compañera comía piñón; ¿quién sabría qué pasó después?",
  Polish: "Zażółć gęślą jaźń, a potem przyszła żółta łódź i źrebię poszło w świat, gdzieś między Łodzią a Wrocławiem.",
  Czech: "Příliš žluťoučký kůň úpěl ďábelské ódy, zatímco řeřicha rostla u zděné ohrádky.",
  Hungarian: "Árvíztűrő tükörfúrógép és megszentségteleníthetetlenségeskedéseitekért mondott köszönetet.",
  Turkish: "İstanbul'un ışıkları gözlerimizi kamaştırırken çekoslovakyalılaştıramadıklarımızdan mısınız diye sordu.",
  Finnish: "Lentokonesuihkuturbiinimoottoriapumekaanikkoaliupseerioppilas työskenteli hyvällä säällä järven äärellä.",
  Icelandic: "Kæmi ný öxi hér ykist þjófum nú bæði víl og ádrepa; vaðlaheiðarvegavinnuverkfærageymsluskúr.",
  Vietnamese: "Tôi thích uống cà phê sữa đá vào buổi sáng ở những quán vỉa hè gần hồ Hoàn Kiếm, đặc biệt khi trời mưa.",
  Yoruba: "Ọmọ náà ń ṣeré pẹ̀lú àwọn ọ̀rẹ́ rẹ̀ ní ìta gbangba ní ọjọ́ àìkú.",
  Swahili: "Watoto wanacheza mpira uwanjani wakati wazazi wao wanaandaa chakula cha jioni nyumbani.",
  Indonesian: "Mempertanggungjawabkan keputusan tersebut bukanlah hal yang mudah bagi pemerintah daerah.",
};
Object.entries(LATIN).forEach(([language, text]) => add(language, text));
const path = fileURLToPath(new URL("../../engine/tests/data/scripts.json", import.meta.url));
for (const { script, memories } of JSON.parse(readFileSync(path, "utf8"))) add(script, memories.join("\n"));
const MORE = {
  Ukrainian: "Щороку взимку ми їздимо до Карпат, де ґазда зустрічає нас гарячим борщем і запашним узваром із сушених яблук.",
  Mongolian: "Монгол улсын нийслэл Улаанбаатар хотод өвөл маш хүйтэн болдог боловч зун нь дулаахан байдаг.",
  Armenian: "Երեւանը Հայաստանի մայրաքաղաքն է եւ գտնվում է Արարատյան դաշտում։",
  Persian: "من هر روز صبح در کافه‌ای نزدیک خانه چای می‌نوشم و روزنامه می‌خوانم.",
  Urdu: "میں ہر صبح اپنے گھر کے قریب ایک ہوٹل میں چائے پیتا ہوں۔",
  Telugu: "నేను ప్రతి ఉదయం మా ఇంటి దగ్గర కాఫీ తాగుతాను.",
  Kannada: "ನಾನು ಪ್ರತಿದಿನ ಬೆಳಿಗ್ಗೆ ಕಾಫಿ ಕುಡಿಯುತ್ತೇನೆ.",
  Malayalam: "ഞാൻ എല്ലാ ദിവസവും രാവിലെ കാപ്പി കുടിക്കുന്നു.",
  Sinhala: "මම සෑම උදෑසනකම කෝපි බොමි.",
  Gujarati: "હું દરરોજ સવારે કોફી પીઉં છું.",
  Gurmukhi: "ਮੈਂ ਹਰ ਰੋਜ਼ ਸਵੇਰੇ ਕੌਫੀ ਪੀਂਦਾ ਹਾਂ।",
  Odia: "ମୁଁ ପ୍ରତିଦିନ ସକାଳେ କଫି ପିଏ।",
  Nepali: "म हरेक बिहान घर नजिकैको पसलमा चिया पिउँछु।",
  Amharic: "በየቀኑ ጠዋት በቤቴ አቅራቢያ ቡና እጠጣለሁ።",
  Tibetan: "ང་རང་ཉིན་ལྟར་ཞོགས་པར་ཇ་འཐུང་གི་ཡོད།",
  Cherokee: "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎠᏂᏔᎵ ᏕᎦᏃᏣᎵ",
  Syriac: "ܫܠܡܐ ܥܠܟܘܢ ܐܚܝ ܚܒܝܒܐ",
  Yi: "ꆈꌠꉙ ꀊꂿ ꃀꇉ",
  Traditional: "為了維護世界和平，我們必須攜手合作，共同面對氣候變遷所帶來的種種挑戰與機遇。",
  Classical: "道可道，非常道；名可名，非常名。無名天地之始，有名萬物之母。",
};
Object.entries(MORE).forEach(([language, text]) => add(language, text));
add("pointed Hebrew", "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ");
add("Arabic with marks", "بِسْمِ اللَّهِ الرَّحْمَٰنِ الرَّحِيمِ");
add("ideographs", range(0x4e00, 0x9fff, 200));
add("rare ideographs", range(0x3400, 0x4dbf, 120));
add("ideographs outside the first plane", range(0x20000, 0x2a6df, 80));
add("Hangul syllables", range(0xac00, 0xd7a3, 200));
add("kana", range(0x3041, 0x3096, 150) + range(0x30a1, 0x30fa, 150));
add("half-width kana", range(0xff66, 0xff9d, 150));
add("full-width letters", range(0xff21, 0xff5a, 150));
for (const [name, low, high] of [["Latin letters with marks", 0xc0, 0x17f], ["Vietnamese letters", 0x1ea0, 0x1ef9], ["Greek letters", 0x391, 0x3c9],
  ["Cyrillic letters", 0x410, 0x44f], ["Armenian letters", 0x561, 0x586], ["Hebrew letters", 0x5d0, 0x5ea], ["Arabic letters", 0x621, 0x64a],
  ["Devanagari letters", 0x905, 0x939], ["Bengali letters", 0x985, 0x9a8], ["Tamil letters", 0xb85, 0xbb9], ["Thai letters", 0xe01, 0xe3a], ["Lao letters", 0xe81, 0xeb0],
  ["Burmese letters", 0x1000, 0x103f], ["Georgian letters", 0x10d0, 0x10f0], ["Ethiopic letters", 0x1200, 0x135a], ["Khmer letters", 0x1780, 0x17b3],
  ["cuneiform", 0x12000, 0x12399], ["hieroglyphs", 0x13000, 0x1342e], ["phonetic letters", 0x250, 0x2af], ["Cyrillic of others", 0x460, 0x52f]]) {
  add(name, range(low, high, 150));
}

// Kinds that one of the three splits into many more tokens than the others.
add("many digits", letters("0123456789", 3000));
for (let n = 0; n < 3; n += 1) {
  add("numbers of any length", Array.from({ length: 60 }, () => letters("0123456789", 1 + next(17))).join(" "));
  add("white space of any kind", row(300, () => pick(" \t\n\r\v\f")));
  add("white space and letters", row(100, () => letters(" \t\n\r", 1 + next(6)) + letters(LOWER, 1 + next(3))));
  add("white space and marks", row(100, () => letters(" \t\n", 1 + next(6)) + pick("{}()[];:,.|#*-")));
  add("white space and digits", row(100, () => letters(" \t\n", 1 + next(6)) + letters("0123456789", 1 + next(4))));
}
add("tabs within lines", "a\t\t\t\tb\n\n\n\n".repeat(60));
add("table of tabs", "name\t\tvalue\t\t\tnote\n1\t\t2\t\t\t3\n".repeat(20));
const PARTS = {
  Khmer: "ខ្ញុំចូលចិត្តផឹកកាហ្វេនៅពេលព្រឹកជាមួយមិត្តភក្តិនៅហាងក្បែរផ្ទះ ភ្នំពេញជារាជធានីនៃប្រទេសកម្ពុជា",
  Thai: "ฉันชอบดื่มกาแฟตอนเช้ากับเพื่อนที่ร้านใกล้บ้าน กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย เด็ก ๆ เล่นน้ำในแม่น้ำ",
  Lao: "ຂ້ອຍມັກດື່ມກາເຟຕອນເຊົ້າກັບໝູ່ຢູ່ຮ້ານໃກ້ເຮືອນ ວຽງຈັນເປັນນະຄອນຫຼວງຂອງປະເທດລາວ",
  Tibetan: "བོད་ཀྱི་རྒྱལ་ས་ནི་ལྷ་ས་ཡིན། ང་ཚོས་ཉིན་ལྟར་སློབ་གྲྭར་འགྲོ་གི་ཡོད། སྤྲོ་སྐྱིད་འདུག",
  Burmese: "ကျွန်တော် မနက်တိုင်း အိမ်နားက ဆိုင်မှာ လက်ဖက်ရည် သောက်တယ်။ ရန်ကုန်မြို့သည် အကြီးဆုံးမြို့ဖြစ်သည်။",
  Vietnamese: "Hôm qua chúng tôi đã đi dạo dọc bờ sông, ăn phở ở quán cũ, rồi nói về việc chuyển đến một ngôi nhà nhỏ hơn ở nông thôn vào mùa xuân tới. Trường đại học mở cửa lúc tám giờ sáng.",
};
for (const [language, text] of Object.entries(PARTS)) {
  add(`${language}, long`, `${text}\n`.repeat(8));
  const words = [...new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text)].map((one) => one.segment);
  for (let n = 0; n < 3; n += 1) add(`${language}, mixed`, row(300, () => pick(words)));
}

const measured = texts.map(({ kind, text }) => {
  const count = (encoding) => encoding.encode(text, [], []).length;
  return { kind, text, cl100k: count(encodings.cl100k), o200k: count(encodings.o200k), claude: claude.encode(text.normalize("NFKC"), [], []).length };
});
process.stdout.write(`[\n${measured.map((one) => JSON.stringify(one)).join(",\n")}\n]\n`);
