// An OpenID provider for tests: server.mjs WORKDIR PORT PARTY_DIR [CONFIG.json]
//
// CONFIG.json, all optional:
//   accounts    {user name: {sub?, ...claims}}; default: ada, bob, carol, mallory
//   clients     [client metadata]; a client without redirect_uris may use any on
//               loopback, one without client_secret gets a random one unless its
//               token_endpoint_auth_method is "none"
//   userinfoOnly  true: the ID token has only `sub` (conformIdTokenClaims)
//   provider    merged over oidc-provider's configuration (ttl, features, ...)
// In the environment: ISSUER (default http://127.0.0.1:PORT), USERINFO_ONLY=1; LISTEN
// (default 127.0.0.1), TLS_CERTIFICATE and TLS_KEY, files, for https.
//
// For tests, without a credential:
//   POST   /test/rotate-keys[?drop=1]  new signing key; drop: the old ones leave the JWKS
//   GET    /test/accounts/NAME         the claims
//   PUT    /test/accounts/NAME         sets the claims (JSON), or makes the account
//   DELETE /test/accounts/NAME
import { randomBytes, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [workdir, port, partyDir, configFile] = process.argv.slice(2);
const require = createRequire(join(partyDir, 'package.json'));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const config = configFile ? JSON.parse(readFileSync(configFile, 'utf8')) : {};
const url = `http://127.0.0.1:${port}`;
const issuer = process.env.ISSUER || url;
const secret = () => randomBytes(24).toString('hex');

const person = (name, rest) => ({
  email: `${name}@example.com`, email_verified: true, preferred_username: name,
  name: `${name[0].toUpperCase()}${name.slice(1)} Example`,
  given_name: `${name[0].toUpperCase()}${name.slice(1)}`, family_name: 'Example', ...rest,
});
const accounts = new Map(Object.entries(config.accounts || {
  ada: person('ada', { groups: ['engineers', 'dba'] }),
  bob: person('bob', { groups: ['readers'] }),
  carol: person('carol', { email_verified: false }),
  mallory: person('mallory', { email: 'mallory@evil.test' }),
}));
const subOf = (name) => accounts.get(name).sub || `sub-${name}`;
const bySub = (sub) => [...accounts.keys()].find((name) => subOf(name) === sub);

const clients = (config.clients || [
  { client_id: 'narthex', token_endpoint_auth_method: 'client_secret_basic' },
  { client_id: 'narthex-post', token_endpoint_auth_method: 'client_secret_post' },
  { client_id: 'narthex-public', token_endpoint_auth_method: 'none' },
]).map((given) => {
  const client = { grant_types: ['authorization_code', 'refresh_token'], ...given };
  if (client.token_endpoint_auth_method !== 'none' && !client.client_secret && !client.jwks) client.client_secret = secret();
  if (!client.redirect_uris) {
    client.redirect_uris = ['http://127.0.0.1/'];
    client.any_loopback = true;
  }
  return client;
});

const newKey = () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomBytes(8).toString('hex') };
};
const ecKey = () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: randomBytes(8).toString('hex') };
};
let keys = [newKey(), ecKey()];
const cookieKeys = [secret()];

const escape = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><body><h1>${title}</h1>${body}</body></html>`;

const isLoopback = (uri) => {
  try {
    const u = new URL(uri);
    return /^https?:$/.test(u.protocol) && ['127.0.0.1', 'localhost', '[::1]'].includes(u.hostname);
  } catch { return false; }
};

// Called again at each key rotation: what is stored (sessions, tokens) lives in
// the library's in-memory adapter, which all instances share.
function makeProvider() {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys },
    cookies: { keys: cookieKeys },
    conformIdTokenClaims: Boolean(config.userinfoOnly) || process.env.USERINFO_ONLY === '1',
    extraClientMetadata: { properties: ['any_loopback'] },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    claims: {
      openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups', 'roles'],
      profile: ['name', 'given_name', 'family_name', 'preferred_username', 'picture', 'locale', 'updated_at'],
    },
    pkce: { required: (ctx, client) => client.clientAuthMethod === 'none' },
    issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token')
      && (code.scopes.has('offline_access') || client.clientAuthMethod !== 'none'),
    async findAccount(ctx, sub) {
      const name = bySub(sub);
      return name && { accountId: sub, claims: async () => ({ ...accounts.get(name), sub }) };
    },
    // Nobody is asked for consent.
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      const id = ctx.oidc.result?.consent?.grantId || session.grantIdFor(client.clientId);
      const grant = (id && await ctx.oidc.provider.Grant.find(id))
        || new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid offline_access profile email groups');
      await grant.save();
      return grant;
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      introspection: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource(ctx, form) {
          ctx.body = page('Sign out', `${form}<button autofocus type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
        },
        postLogoutSuccessSource(ctx) { ctx.body = page('Signed out', ''); },
      },
    },
    // The library's own refuses loopback, where all these tests live.
    fetch: (target, { dispatcher, ...options }) => globalThis.fetch(target, options),
    ...config.provider,
  });
  for (const allowed of ['redirectUriAllowed', 'postLogoutRedirectUriAllowed']) {
    const original = provider.Client.prototype[allowed];
    provider.Client.prototype[allowed] = function (uri) {
      return this.any_loopback ? isLoopback(uri) : original.call(this, uri);
    };
  }
  provider.on('server_error', (ctx, error) => console.error(error));
  for (const event of ['authorization.error', 'grant.error', 'userinfo.error', 'backchannel.error', 'end_session.error']) {
    provider.on(event, (...args) => {
      const error = args.find((a) => a instanceof Error);
      console.error(event, error?.error_description || error?.message || '');
    });
  }
  return { provider, callback: provider.callback() };
}
let current = makeProvider();

async function body(req) {
  const parts = [];
  for await (const part of req) {
    parts.push(part);
    if (parts.reduce((n, p) => n + p.length, 0) > 1e6) throw new Error('body too large');
  }
  return Buffer.concat(parts).toString('utf8');
}

const form = (uid, error = '') => page('Sign in', `${error && `<p role="alert">${escape(error)}</p>`}
<form method="post" action="/interaction/${escape(uid)}"><label>User name <input name="username" autofocus required></label>
<button type="submit">Sign in</button></form>`);

async function handle(req, res) {
  const { pathname, searchParams } = new URL(req.url, url);
  const send = (status, type, text) => { res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }); res.end(text); };
  const json = (status, value) => send(status, 'application/json', JSON.stringify(value));

  const interaction = /^\/interaction\/([\w-]+)$/.exec(pathname);
  if (interaction) {
    const { provider } = current;
    const details = await provider.interactionDetails(req, res).catch(() => null);
    if (!details) return send(400, 'text/plain', 'this sign-in is over or was begun elsewhere');
    if (req.method === 'GET') return send(200, 'text/html; charset=utf-8', form(details.uid));
    if (req.method !== 'POST') return send(405, 'text/plain', 'GET or POST');
    const name = new URLSearchParams(await body(req)).get('username') || '';
    if (!accounts.has(name)) return send(401, 'text/html; charset=utf-8', form(details.uid, `no account ${name}`));
    return provider.interactionFinished(req, res, { login: { accountId: subOf(name) } }, { mergeWithLastSubmission: false });
  }
  if (pathname === '/test/rotate-keys' && req.method === 'POST') {
    const fresh = [newKey(), ecKey()];
    keys = searchParams.get('drop') ? fresh : [...fresh, ...keys];
    current = makeProvider();
    return json(200, { kids: keys.map((k) => k.kid) });
  }
  const account = /^\/test\/accounts\/([^/]+)$/.exec(pathname);
  if (account) {
    const name = decodeURIComponent(account[1]);
    if (req.method === 'PUT') {
      accounts.set(name, JSON.parse(await body(req)));
    } else if (!accounts.has(name)) {
      return json(404, { error: 'no such account' });
    } else if (req.method === 'DELETE') {
      accounts.delete(name);
      return json(200, {});
    }
    return json(200, { ...accounts.get(name), sub: subOf(name) });
  }
  if (pathname.startsWith('/test/')) return json(404, { error: 'no such test endpoint' });
  return current.callback(req, res);
}

const answer = (req, res) => {
  handle(req, res).catch((error) => {
    console.error(error);
    if (!res.headersSent) res.writeHead(500);
    res.end();
  });
};
const { TLS_CERTIFICATE, TLS_KEY, LISTEN } = process.env;
const server = TLS_CERTIFICATE
  ? createTlsServer({ cert: readFileSync(TLS_CERTIFICATE), key: readFileSync(TLS_KEY) }, answer)
  : createServer(answer);
server.on('error', (error) => { console.error(String(error)); process.exit(1); });
server.listen(Number(port), LISTEN || '127.0.0.1', () => {
  const file = join(workdir, 'ready.json');
  writeFileSync(`${file}.new`, `${JSON.stringify({
    name: 'oidc-provider', version: require('oidc-provider/package.json').version, url, issuer,
    ready: `${url}/.well-known/openid-configuration`,
    clients: Object.fromEntries(clients.map((c) => [c.client_id, c.client_secret ?? null])),
    accounts: [...accounts.keys()],
  }, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  console.error(`oidc-provider listening on ${url}, issuer ${issuer}`);
});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
