// Token cost of each character of the Basic Multilingual Plane outside ASCII, alone, in the most expensive of three
// tokenizers: `engine/core/src/tokens/costs.txt`.
//
//   npm install --prefix FOLDER js-tiktoken@1.0.21 @anthropic-ai/tokenizer@0.0.4
//   NODE_PATH=FOLDER/node_modules node scripts/tokens/costs.mjs > engine/core/src/tokens/costs.txt
//
// One line per run of characters with the same cost: their number, and the cost. The first run begins at U+0080.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Tiktoken } = require("js-tiktoken/lite");
const ranks = ["cl100k_base", "o200k_base"].map((name) => new Tiktoken(require(`js-tiktoken/ranks/${name}`)));
const claude = require("@anthropic-ai/tokenizer").getTokenizer();
const counts = [
  ...ranks.map((encoding) => (text) => encoding.encode(text, [], []).length),
  (text) => claude.encode(text.normalize("NFKC"), [], []).length,
];
const cost = (code) => {
  const isHalf = code >= 0xd800 && code < 0xe000;
  return isHalf ? 3 : Math.max(...counts.map((count) => count(String.fromCodePoint(code))));
};
const runs = [];
for (let code = 0x80; code <= 0xffff; code += 1) {
  const last = runs.at(-1);
  const now = cost(code);
  if (last?.cost === now) last.count += 1;
  else runs.push({ count: 1, cost: now });
}
process.stdout.write(runs.map(({ count, cost }) => `${count} ${cost}\n`).join(""));
