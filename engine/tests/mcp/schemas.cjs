// Compiles every schema of a list of tools with a strict reader, as JSON Schema of draft 7 and of 2020-12, and checks that it is
// a schema at all.
//
//   node schemas.cjs NODE_MODULES TOOLS.json     prints how many schemas were compiled

const fs = require("fs");
const path = require("path");

const [modules, file] = process.argv.slice(2);
const load = (name) => require(path.join(modules, name)).default;
const readers = [load("ajv"), load("ajv/dist/2020")].map((Ajv) => (options) => new Ajv(options));
// What says of itself that it is draft 7 is read as that alone.
const dialect = "http://json-schema.org/draft-07/schema#";

let compiled = 0;
for (const tool of JSON.parse(fs.readFileSync(file, "utf8"))) {
  for (const field of ["inputSchema", "outputSchema"]) {
    const schema = tool[field];
    if (!schema) continue;
    if (schema.type !== "object") throw new Error(`${tool.name}: ${field} is not that of an object`);
    for (const reader of schema.$schema === dialect ? readers.slice(0, 1) : readers) {
      try {
        reader({ strict: true, allErrors: true }).compile(schema);
      } catch (fault) {
        throw new Error(`${tool.name}: ${field}: ${fault.message}`);
      }
    }
    compiled += 1;
  }
}
console.log(compiled);
