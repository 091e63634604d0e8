// The peer of the benchmark: npm's oidc-provider with one client in memory, tokens as JWT signed by RS256.
// node oidc_provider.mjs <port> <folder of the packages>
import { createRequire } from "node:module";

const [port, packages] = process.argv.slice(2);
const { default: Provider } = await import(createRequire(`${packages}/`).resolve("oidc-provider"));
const resource = "https://exchange.test/tracker";
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { client_id: "bench", client_secret: "bench-secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => ({ scope: "", audience: resource, accessTokenFormat: "jwt", accessTokenTTL: 300 }),
      useGrantedResource: () => true,
    },
  },
});
provider.listen(Number(port), "127.0.0.1");
