// A certified OpenID provider on this machine, with keys of its own for each start:
// node issuer.mjs NODE_MODULES ADDRESS PORT. Client credentials give a signed token for one resource (RFC 8707).
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";

const [modules, address, port] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));
const issuer = `http://${address}:${port}`;
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" };
const scope = "memory:read memory:write";

// The secret of a client is a test's, and its name says which project its tokens name.
const client = (client_id) => ({
  client_id,
  client_secret: `${client_id}-secret-of-a-test`,
  grant_types: ["client_credentials"],
  id_token_signed_response_alg: "ES256",
  redirect_uris: [],
  response_types: [],
});
const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  scopes: scope.split(" "),
  clients: ["alpha", "beta", "none"].map(client),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, audience) => ({
        scope,
        audience,
        accessTokenTTL: 300,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
  extraTokenClaims: (_context, token) => (token.clientId === "none" ? {} : { projects: [token.clientId] }),
});
provider.listen(Number(port), address, () => console.log(issuer));
