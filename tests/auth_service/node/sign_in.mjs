// One conversation with the provider by openid-client, a certified client that knows nothing of this exchange.
// node sign_in.mjs <flow> <JSON of the test>; prints what it learned as JSON.
import * as client from "openid-client";

const [flow, told] = process.argv.slice(2);
const test = JSON.parse(told);

const discovered = (id, metadata, proof) => client.discovery(new URL(test.issuer), id, metadata, proof);

/** A browser as far as this needs one: it keeps one cookie and follows nothing. */
class Browser {
  cookie = "";

  async ask(path, form) {
    const answer = await fetch(path.startsWith("http") ? path : test.issuer + path, {
      method: form ? "POST" : "GET",
      body: form && new URLSearchParams(form),
      headers: { cookie: this.cookie, origin: new URL(test.issuer).origin, "sec-fetch-site": "same-origin" },
      redirect: "manual",
    });
    for (const line of answer.headers.getSetCookie()) {
      if (line.startsWith("__Host-ates-auth=")) this.cookie = line.split(";")[0];
    }
    return answer;
  }

  async signIn() {
    const answer = await this.ask("/sign-in", { login: test.login, password: test.password });
    if (answer.status !== 303) throw new Error(`signing in: ${answer.status}`);
  }
}

/** What the client is sent: by an address, or by the form of the page. */
async function redirected(answer) {
  const location = answer.headers.get("location");
  if (location) return new URL(location);
  const page = await answer.text();
  const fields = [...page.matchAll(/name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]);
  answer.action = /action="([^"]+)"/.exec(page)[1];
  return new Request(answer.action, { method: "POST", body: new URLSearchParams(fields) });
}

async function signedIn(config, parameters = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  const asked = client.buildAuthorizationUrl(config, {
    redirect_uri: test.callback,
    scope: "openid profile",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...parameters,
  });
  const browser = new Browser();
  await browser.signIn();
  const answer = await browser.ask(asked.href);
  const tokens = await client.authorizationCodeGrant(config, await redirected(answer), checks);
  return { browser, tokens, answer };
}

const flows = {
  async code() {
    const config = await discovered("tracker", test.secret);
    const { tokens } = await signedIn(config);
    const claims = tokens.claims();
    const person = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
    const known = await client.tokenIntrospection(config, tokens.access_token);
    await client.tokenRevocation(config, tokens.access_token);
    const after = await client.tokenIntrospection(config, tokens.access_token);
    return { iss: claims.iss, name: person.name, active: [known.active, after.active] };
  },

  async form_post() {
    const config = await discovered("tracker", test.secret);
    const { tokens, answer } = await signedIn(config, { response_mode: "form_post" });
    return { address: answer.action, signedIn: Boolean(tokens.claims().sub) && !answer.headers.has("location") };
  },

  async basic() {
    const config = await discovered("tracker", undefined, client.ClientSecretBasic(test.secret));
    const { tokens } = await signedIn(config);
    return { type: tokens.token_type };
  },

  async refresh() {
    const config = await discovered("tracker", test.secret);
    const { tokens } = await signedIn(config);
    const next = await client.refreshTokenGrant(config, tokens.refresh_token);
    let reused = null;
    try {
      await client.refreshTokenGrant(config, tokens.refresh_token);
    } catch (error) {
      reused = error.error;
    }
    return { rotated: next.refresh_token !== tokens.refresh_token, sub: next.claims().sub === tokens.claims().sub, reused };
  },

  async client_credentials() {
    const config = await discovered("tracker", test.secret);
    const tokens = await client.clientCredentialsGrant(config, { resource: `${test.origin}/billing` });
    return { expires: tokens.expires_in, type: tokens.token_type };
  },

  async private_key_jwt() {
    const algorithm = { name: "ECDSA", namedCurve: "P-256" };
    const key = await crypto.subtle.importKey("jwk", test.key, algorithm, false, ["sign"]);
    const config = await discovered("robot", undefined, client.PrivateKeyJwt({ key, kid: test.key.kid }));
    const tokens = await client.clientCredentialsGrant(config);
    return { expires: tokens.expires_in, type: tokens.token_type };
  },

  async device() {
    const config = await discovered("television", undefined, client.None());
    const begun = await client.initiateDeviceAuthorization(config, { scope: "openid profile" });
    const browser = new Browser();
    await browser.signIn();
    await browser.ask("/device/decide", { user_code: begun.user_code, allowed: "true" });
    const tokens = await client.pollDeviceAuthorizationGrant(config, { ...begun, interval: 0.1 });
    return { uri: begun.verification_uri, sub: tokens.claims().sub };
  },

  async logout() {
    const config = await discovered("tracker", test.secret);
    const { browser, tokens } = await signedIn(config);
    const state = client.randomState();
    const leave = client.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: test.farewell,
      state,
    });
    const back = new URL((await browser.ask(leave.href)).headers.get("location"));
    let renewed = null;
    try {
      await client.refreshTokenGrant(config, tokens.refresh_token);
    } catch (error) {
      renewed = error.error;
    }
    return { back: back.origin + back.pathname, state: back.searchParams.get("state") === state, renewed };
  },

  async silent() {
    const config = await discovered("tracker", test.secret);
    const asked = client.buildAuthorizationUrl(config, {
      redirect_uri: test.callback,
      scope: "openid",
      code_challenge: await client.calculatePKCECodeChallenge(client.randomPKCECodeVerifier()),
      code_challenge_method: "S256",
      prompt: "none",
      response_type: "code",
    });
    const back = (await new Browser().ask(asked.href)).headers.get("location");
    try {
      await client.authorizationCodeGrant(config, new URL(back), { pkceCodeVerifier: "v".repeat(43) });
    } catch (error) {
      return { error: error.error };
    }
  },
};

console.log(JSON.stringify(await flows[flow]()));
