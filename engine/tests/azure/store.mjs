// A store that speaks the protocol of Azure Blob Storage, in memory, with one container:
// node store.mjs NODE_MODULES PORT CONTAINER. Each start has a key of its own, which the first line names.
import { createHmac, randomBytes } from "node:crypto";
import { createRequire } from "node:module";

const [modules, port, container] = process.argv.slice(2);
const account = "memories";
const key = randomBytes(64).toString("base64");
const address = `http://127.0.0.1:${port}/${account}`;
process.env.AZURITE_ACCOUNTS = `${account}:${key}`;
process.argv.splice(2, 3, "--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--blobPort", port);
createRequire(`${modules}/`)("azurite/dist/src/blob/main.js");

// The container does not exist yet: a signed request creates it as soon as the store answers.
async function create() {
  const date = new Date().toUTCString();
  const headers = `x-ms-date:${date}\nx-ms-version:2021-12-02`;
  const resource = `/${account}/${account}/${container}\nrestype:container`;
  const text = `PUT${"\n".repeat(12)}${headers}\n${resource}`;
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  const answer = await fetch(`${address}/${container}?restype=container`, {
    method: "PUT",
    headers: {
      authorization: `SharedKey ${account}:${signature}`,
      "x-ms-date": date,
      "x-ms-version": "2021-12-02",
    },
  });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
}
for (let left = 100; ; left--) {
  try {
    await create();
    break;
  } catch (error) {
    if (left === 0) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
console.log(JSON.stringify({ account, key, address }));
