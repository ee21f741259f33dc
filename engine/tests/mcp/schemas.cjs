// Compiles every schema of a list of tools in strict mode, as JSON Schema draft 7 and 2020-12, and checks that each is
// a valid schema.
//
//   node schemas.cjs NODE_MODULES TOOLS.json     prints the number of compiled schemas

const fs = require("fs");
const path = require("path");

const [modules, file] = process.argv.slice(2);
const load = (name) => require(path.join(modules, name)).default;
const readers = [load("ajv"), load("ajv/dist/2020")].map((Ajv) => (options) => new Ajv(options));
// A schema that declares draft 7 is compiled only as draft 7.
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
