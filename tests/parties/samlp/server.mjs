// A SAML identity provider for tests: server.mjs WORKDIR PORT PARTY_DIR CERTIFICATE KEY OTHER_KEY
//
//   /metadata        its metadata
//   /sso             AuthnRequest by redirect or POST; answers with a page that posts the Response, without asking
//   /sso/unsolicited?acs=URL&audience=ENTITY[&relay=STATE]   the same without a request
//   /slo             LogoutRequest and LogoutResponse by redirect or POST; without either it begins a logout everywhere
//
// For tests, without a credential:
//   GET  /test/settings    what follows
//   PUT  /test/settings    replaces what is given of it (JSON):
//     user       who signs in: ada, bob, carol or mallory
//     sp         {certificate: PEM, verify: bool, encrypt: bool, slo: URL}: the service's certificate, whether its
//                requests have to be signed by it, whether assertions are encrypted for it, where it logs out
//     response   options of samlp.auth: signResponse, signAssertion, signatureAlgorithm (rsa-sha1, rsa-sha256),
//                digestAlgorithm, signatureNamespacePrefix, lifetimeInSeconds (negative: expired),
//                encryptionAlgorithm (URI), issuer, audience, destination, recipient, inResponseTo, sessionIndex,
//                nameIdentifierFormat, authnContextClassRef, samlStatusCode, …
//     nameId     what stands in the NameID
//     attributes further attributes {name: value or [value]}
//     otherKey   true: signed by a key that is not in the metadata
//     replace    [[old, new]]: the text of the Response changed after it was signed
//   GET  /test/sessions    who is signed in where: the session participants
//   DELETE /test/sessions  forgets them
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [workdir, port, partyDir, certificateFile, keyFile, otherKeyFile] = process.argv.slice(2);
const require = createRequire(join(partyDir, 'package.json'));
const express = require('express');
const samlp = require('samlp');
const SessionParticipants = require('samlp/lib/sessionParticipants');

const url = `http://127.0.0.1:${port}`;
const issuer = `${url}/metadata`;
const cert = readFileSync(certificateFile, 'utf8');
const key = readFileSync(keyFile, 'utf8');
const otherKey = readFileSync(otherKeyFile, 'utf8');
const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';
const POST = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST';
const REDIRECT = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect';

const person = (name, groups) => ({
  name, nameId: `id-${name}`, mail: `${name}@example.com`, givenName: `${name[0].toUpperCase()}${name.slice(1)}`,
  sn: 'Example', groups,
});
const people = Object.fromEntries([
  person('ada', ['engineers', 'dba']), person('bob', ['readers']), person('carol', []),
  { ...person('mallory', ['readers']), mail: 'mallory@evil.test' },
].map((one) => [one.name, one]));
const settings = { user: 'ada', sp: {}, response: {}, attributes: {}, replace: [] };
const sessions = [];
let lastSession = 0;

// What samlp asks for the claims of a person.
function profileMapper(user) {
  return {
    getClaims: () => ({
      'urn:oid:0.9.2342.19200300.100.1.1': user.name,
      'urn:oid:0.9.2342.19200300.100.1.3': user.mail,
      givenName: user.givenName, sn: user.sn, groups: user.groups, ...settings.attributes,
    }),
    getNameIdentifier: () => ({
      nameIdentifier: settings.nameId ?? user.nameId,
      nameIdentifierFormat: settings.response.nameIdentifierFormat || PERSISTENT,
    }),
  };
}
profileMapper.prototype.metadata = [];

const page = (type, to, token, relay) => {
  const safe = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  return `<!doctype html><title>samlp</title><form method="post" action="${safe(to)}">`
    + `<input type="hidden" name="${type}" value="${safe(token)}">`
    + `${relay ? `<input type="hidden" name="RelayState" value="${safe(relay)}">` : ''}</form>`
    + '<script>document.forms[0].submit()</script>';
};

// Options of samlp for one answer, as the settings are now.
function answer({ acs, relay, audience }) {
  const { sp } = settings;
  const options = {
    issuer, cert, key: settings.otherKey ? otherKey : key, profileMapper, signatureAlgorithm: 'rsa-sha256',
    digestAlgorithm: 'sha256', sessionIndex: `_session-${lastSession += 1}`, lifetimeInSeconds: 300,
    getUserFromRequest: () => people[settings.user], includeAttributeNameFormat: true,
    getPostURL: (_audience, dom, _req, done) => done(null,
      acs || dom?.documentElement.getAttribute('AssertionConsumerServiceURL') || sp.acs),
    responseHandler: (response, opts, _req, res) => {
      let text = response.toString();
      for (const [old, by] of settings.replace) {
        if (!text.includes(old)) return res.status(500).send(`the response has no ${old}`);
        text = text.replace(old, by);
      }
      const binding = sp.binding === 'redirect' ? REDIRECT : POST;
      sessions.push({
        serviceProviderId: opts.audience, nameId: settings.nameId ?? people[settings.user].nameId,
        nameIdFormat: options.nameIdentifierFormat || PERSISTENT, sessionIndex: opts.sessionIndex,
        serviceProviderLogoutURL: sp.slo, cert: sp.certificate, binding,
      });
      res.type('html').send(page('SAMLResponse', opts.postUrl, Buffer.from(text).toString('base64'), relay));
    },
  };
  if (audience) options.audience = audience;
  if (sp.verify) options.signingCert = sp.certificate;
  if (sp.encrypt) {
    options.encryptionCert = sp.certificate;
    options.encryptionPublicKey = new X509Certificate(sp.certificate).publicKey.export({ type: 'spki', format: 'pem' });
    options.encryptionAlgorithm = 'http://www.w3.org/2009/xmlenc11#aes256-gcm';
    options.disallowEncryptionWithInsecureAlgorithm = false;
    options.warnOnInsecureEncryptionAlgorithm = false;
  }
  Object.assign(options, settings.response);
  return options;
}

const app = express();
app.use(express.urlencoded({ extended: false, limit: '1mb' }), express.json({ limit: '1mb' }));
app.use((req, _res, next) => { req.body ??= {}; next(); });

app.get('/metadata', samlp.metadata({
  issuer, cert, profileMapper, redirectEndpointPath: '/sso', postEndpointPath: '/sso',
  logoutEndpointPaths: { redirect: '/slo', post: '/slo' },
}));

const signIn = (given) => (req, res, next) => {
  const { acs, relay, audience } = given(req);
  samlp.parseRequest(req, {}, (error, request) => {
    if (error) return next(error);
    const to = acs || request?.assertionConsumerServiceURL || settings.sp.acs;
    const options = answer({ acs, relay, audience });
    options.destination ??= to;
    options.recipient ??= to;
    return samlp.auth(options)(req, res, next);
  });
};
app.all('/sso', signIn((req) => ({ relay: req.query.RelayState || req.body.RelayState })));
app.get('/sso/unsolicited', signIn((req) => req.query));

// Between the requests of one logout; there is one browser.
const states = new Map();
const store = {
  save(_req, state, done) { const id = `state-${states.size + 1}`; states.set(id, state); done(null, id); },
  load(_req, id, options, done) {
    const state = states.get(id);
    if (typeof options === 'function') return options(null, state);
    if (options.destroy) states.delete(id);
    return done(null, state);
  },
  update(_req, id, state, done) { states.set(id, state); done(null, id); },
};
app.all('/slo', (req, res, next) => {
  const binding = req.method === 'POST' || settings.sp.binding !== 'redirect' ? POST : REDIRECT;
  samlp.logout({
    deflate: req.method === 'GET', issuer, protocolBinding: binding, cert, key: settings.otherKey ? otherKey : key,
    signatureAlgorithm: 'rsa-sha256', digestAlgorithm: 'sha256', store, destination: settings.sp.slo,
    sessionParticipants: new SessionParticipants(sessions),
    clearIdPSession: (done) => done(),
  })(req, res, next);
});

app.get('/test/settings', (_req, res) => res.json(settings));
app.put('/test/settings', (req, res) => { Object.assign(settings, req.body); res.json(settings); });
app.get('/test/sessions', (_req, res) => res.json(sessions.map(({ cert: _cert, ...rest }) => rest)));
app.delete('/test/sessions', (_req, res) => { sessions.length = 0; res.json([]); });
// The text of what went wrong helps whoever reads a failing test.
app.use((error, _req, res, _next) => res.status(400).type('text').send(String(error?.stack || error)));

const ready = {
  name: 'samlp', version: require('samlp/package.json').version, url, ready: issuer, issuer, metadata: issuer,
  certificate: cert, settings: `${url}/test/settings`, users: Object.keys(people),
};
writeFileSync(join(workdir, 'ready.json.new'), `${JSON.stringify(ready, null, 2)}\n`);
renameSync(join(workdir, 'ready.json.new'), join(workdir, 'ready.json'));
createServer(app).listen(Number(port), '127.0.0.1');
