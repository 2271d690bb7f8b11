// Chromium for tests, as a person would use it:
//   import { launch } from '../parties/chromium.mjs';
//   const browser = await launch();            // playwright-core's Browser
// It reaches loopback only. `hosts: { 'app.test': '127.0.0.1' }` gives names to it.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const version = JSON.parse(readFileSync(join(here, 'chromium/package.json'), 'utf8')).dependencies['playwright-core'];
const parties = process.env.NARTHEX_PARTIES || join(here, '../../target/parties');
const folder = join(parties, `chromium-${version}`);

export const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';

export function flags(hosts = {}) {
  const rules = Object.entries(hosts).map(([name, address]) => `MAP ${name} ${address}`);
  return [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-default-apps', '--disable-dev-shm-usage',
    '--no-proxy-server',
    `--host-resolver-rules=${[...rules, 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1', 'EXCLUDE localhost', 'EXCLUDE [::1]'].join(' , ')}`,
  ];
}

export function playwright() {
  if (!existsSync(join(folder, '.installed'))) throw new Error(`not installed: run ${join(here, 'install')} chromium`);
  return createRequire(join(folder, 'package.json'))('playwright-core');
}

export async function launch({ hosts, args = [], ...options } = {}) {
  return playwright().chromium.launch({ executablePath, headless: true, args: [...flags(hosts), ...args], ...options });
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--self-test') {
  const server = createServer((req, res) => {
    res.setHeader('content-type', 'text/html');
    res.end(`<title>${req.headers.host.split(':')[0]}</title>`);
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  const browser = await launch({ hosts: { 'app.test': '127.0.0.1' } });
  try {
    const page = await browser.newPage();
    for (const host of ['127.0.0.1', 'localhost', 'app.test']) {
      await page.goto(`http://${host}:${server.address().port}/`);
      if (await page.title() !== host) throw new Error(`the page at ${host} has the title ${await page.title()}`);
    }
    const outside = await page.goto('http://outside.test/').then(() => 'reached', (e) => String(e));
    if (!outside.includes('ERR_NAME_NOT_RESOLVED')) throw new Error(`a name outside: ${outside}`);
    console.log('pages on loopback open by playwright-core, names outside do not resolve');
  } finally {
    await browser.close();
    server.close();
  }
}
