// A browser, a crowd and a stranger, for a pod in the cluster. Each prints one JSON object.
//
//   client.mjs sign-in URL USER JAR      as a person: follows redirects, fills in the provider's form, keeps cookies in JAR
//   client.mjs get URL [JAR|-] [NAME:VALUE...]   one request; {status, location, body}
//   client.mjs port HOST PORT            {port: "open" | "refused" | "silent"}
//   client.mjs load URL[,URL] JAR KEPT STOP   signed-in requests, four at a time, KEPT of them on connections that stay
//                                        open, until the file STOP is there; of several URLs each its share
//   client.mjs watch URL HOST PORT STOP  requests of nobody, to the Service and past it, until STOP is there
//   client.mjs fill URL COUNT            opens COUNT connections that each send half a large request; until they end
//   client.mjs serve PORT                an application: says the headers that it gets; /slow takes a second
//
// STOP is made anew: what was there before is taken away. Authorities: NODE_EXTRA_CA_CERTS.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';

const [command, ...args] = process.argv.slice(2);
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// One request, no redirect followed. Node's fetch would say Sec-Fetch-Mode: cors, which no navigation has.
function ask(url, { method = 'GET', cookies, form, agent, headers = [], timeout = 20000 } = {}) {
  return new Promise((resolve, reject) => {
    const target = new URL(url);
    const body = form && new URLSearchParams(form).toString();
    const request = (target.protocol === 'https:' ? https : http).request(target, {
      method,
      agent: agent || false,
      headers: {
        accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
        ...(cookies ? { cookie: cookies } : {}),
        ...Object.fromEntries(headers.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)])),
        ...(body ? { 'content-type': 'application/x-www-form-urlencoded', 'content-length': body.length, origin: target.origin } : {}),
      },
    }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('aborted', () => reject(new Error('cut off')));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString('utf8') }));
    });
    request.setTimeout(timeout, () => request.destroy(new Error('no answer in time')));
    request.on('error', (error) => reject(Object.assign(error, { reused: request.reusedSocket })));
    request.end(body || undefined);
  });
}

// Cookies by host and path; enough for servers that are not each other's enemies.
class Jar {
  constructor(file) {
    this.file = file;
    this.cookies = file && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  }

  of(url) {
    const { hostname, pathname } = new URL(url);
    return this.cookies.filter((one) => one.host === hostname && pathname.startsWith(one.path)).map((one) => `${one.name}=${one.value}`).join('; ');
  }

  take(url, answer) {
    for (const line of answer.headers['set-cookie'] || []) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const at = pair.indexOf('=');
      const path = attributes.map((one) => /^path=(.*)$/i.exec(one)).find(Boolean)?.[1] || '/';
      const gone = attributes.some((one) => /^max-age=0$/i.test(one) || /^expires=Thu, 01 Jan 1970/i.test(one));
      const host = new URL(url).hostname;
      this.cookies = this.cookies.filter((one) => !(one.name === pair.slice(0, at) && one.host === host && one.path === path));
      if (!gone) this.cookies.push({ name: pair.slice(0, at), value: pair.slice(at + 1), host, path });
    }
  }

  keep() { writeFileSync(this.file, JSON.stringify(this.cookies)); }
}

async function signIn(start, user, file) {
  rmSync(file, { force: true });
  const jar = new Jar(file);
  const way = [];
  let [url, form] = [start, undefined];
  for (let step = 0; step < 25; step += 1) {
    const answer = await ask(url, { method: form ? 'POST' : 'GET', form, cookies: jar.of(url) });
    jar.take(url, answer);
    way.push(`${answer.status} ${form ? 'POST' : 'GET'} ${new URL(url).origin}${new URL(url).pathname}`);
    form = undefined;
    if (answer.status >= 300 && answer.status < 400 && answer.headers.location) {
      url = new URL(answer.headers.location, url).href;
    } else if (answer.status === 200 && /<input[^>]* name="username"/.test(answer.body) && /<form[^>]* action="\/interaction\//.test(answer.body)) {
      url = new URL(/<form[^>]* action="([^"]+)"/.exec(answer.body)[1], url).href;
      form = { username: user };
    } else {
      jar.keep();
      return { status: answer.status, url, way, cookies: jar.cookies.map((one) => one.name), body: answer.body };
    }
  }
  throw new Error(`no end of redirects: ${way.join(', ')}`);
}

const port = (host, number) => new Promise((resolve) => {
  const socket = net.connect({ host, port: Number(number), timeout: 3000 });
  const say = (text) => { socket.destroy(); resolve({ port: text }); };
  socket.on('connect', () => say('open'));
  socket.on('timeout', () => say('silent'));
  socket.on('error', (error) => say(error.code === 'ECONNREFUSED' ? 'refused' : `silent (${error.code})`));
});

// The others each on a new one. A request that met the end of a connection that had been idle is asked again, as every
// HTTP client does (RFC 9110, 9.2.2).
async function load(list, file, stay, stop) {
  rmSync(stop, { force: true });
  const jar = new Jar(file);
  const said = { answered: 0, again: 0, failed: [] };
  const urls = list.split(',');
  const kept = urls[0].startsWith('https:') ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true });
  const one = async (number) => {
    const agent = number < Number(stay) ? kept : undefined;
    const url = urls[number % urls.length];
    while (!existsSync(stop)) {
      try {
        const asking = { cookies: jar.of(url), agent };
        const answer = await ask(url, asking).catch((error) => {
          if (!error.reused) throw error;
          said.again += 1;
          return ask(url, { ...asking, agent: undefined });
        });
        if (answer.status === 200) said.answered += 1;
        else said.failed.push(`${new Date().toISOString()} ${answer.status} ${answer.headers.location || ''}`);
      } catch (error) {
        said.failed.push(`${new Date().toISOString()} ${error.message}`);
      }
      await pause(10);
    }
  };
  await Promise.all([0, 1, 2, 3].map(one));
  kept.destroy();
  return { ...said, failures: said.failed.length, failed: said.failed.slice(0, 10) };
}

async function watch(url, host, number, stop) {
  rmSync(stop, { force: true });
  const said = { through: [], service: {}, past: {} };
  while (!existsSync(stop)) {
    const answer = await ask(url, { timeout: 3000 }).then((got) => String(got.status), (error) => error.code || error.message);
    said.service[answer] = (said.service[answer] || 0) + 1;
    if (/^2/.test(answer)) said.through.push(`the Service answered ${answer}`);
    const past = (await port(host, number)).port;
    said.past[past] = (said.past[past] || 0) + 1;
    if (past === 'open') said.through.push(`port ${number} was open`);
    await pause(20);
  }
  return said;
}

async function fill(url, count) {
  const { hostname, port: number, protocol } = new URL(url);
  const head = `GET / HTTP/1.1\r\nHost: ${hostname}\r\n${Array.from({ length: 60 }, (_, i) => `X-${i}: ${'x'.repeat(1000)}\r\n`).join('')}`;
  const said = { opened: 0, ended: 0 };
  await Promise.all(Array.from({ length: Number(count) }, () => new Promise((done) => {
    // By address, so whose certificate it is does not matter.
    const to = { host: hostname, port: Number(number || (protocol === 'https:' ? 443 : 80)), rejectUnauthorized: false };
    const socket = protocol === 'https:' ? tls.connect(to) : net.connect(to);
    socket.on(protocol === 'https:' ? 'secureConnect' : 'connect', () => { said.opened += 1; socket.write(head); });
    socket.on('error', () => {});
    socket.on('close', () => { said.ended += 1; done(); });
    socket.setTimeout(30000, () => socket.destroy());
    socket.resume();
  })));
  return said;
}

function serve(number) {
  const server = createServer(async (request, response) => {
    if (request.url.startsWith('/slow')) await pause(1000);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ path: request.url, headers: request.headers }));
  });
  server.listen(Number(number));
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
  return new Promise(() => {});
}

const commands = {
  'sign-in': signIn,
  get: async (url, file = '-', ...headers) => {
    const answer = await ask(url, { headers, cookies: file === '-' ? '' : new Jar(file).of(url) });
    return { status: answer.status, location: answer.headers.location, body: answer.body };
  },
  port, load, watch, fill, serve,
};
try {
  console.log(JSON.stringify(await commands[command](...args)));
} catch (error) {
  console.log(JSON.stringify({ error: error.message, code: error.code }));
  process.exitCode = 1;
}
