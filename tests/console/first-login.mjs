// A person tries `narthex demo` in a real browser, as its guide says, and looks at every page on the way.
//   tests/parties/node tests/console/first-login.mjs URL FOLDER      screenshots go to FOLDER
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { launch } from '../parties/chromium.mjs';

const [url, folder] = process.argv.slice(2);
assert(url && folder, 'usage: first-login.mjs URL FOLDER');
const own = `${new URL(url).origin}/.narthex`;

// What the browser complains about on narthex's own pages. That a page was refused is no complaint.
const complaints = [];
function listen(page) {
  page.on('console', (message) => {
    const refused = /^Failed to load resource: the server responded with a status of 40\d/.test(message.text());
    if (message.type() === 'error' && page.url().startsWith(own) && !refused) complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error}`));
}

const browser = await launch();
let count = 0;
try {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 } });
  context.setDefaultTimeout(20_000);
  await context.exposeFunction('violated', (what) => complaints.push(what));
  await context.addInitScript(() => addEventListener('securitypolicyviolation', (event) => {
    window.violated(`${event.documentURI}: ${event.violatedDirective} ${event.blockedURI}`);
  }));
  const page = await context.newPage();
  listen(page);

  const shot = async (name, options = {}) => {
    count += 1;
    await page.screenshot({ path: join(folder, `${String(count).padStart(2, '0')}-${name}.png`), fullPage: true, ...options });
  };
  const text = (selector) => page.locator(selector).innerText();
  const heading = () => text('h1');
  const at = (path) => assert.equal(page.url(), new URL(path, url).href);
  // A script of the application's, on its one page without a content security policy.
  const script = async (work, argument) => {
    const tab = await context.newPage();
    await tab.goto(new URL('/whoami', url).href);
    const result = await tab.evaluate(work, argument);
    await tab.close();
    return result;
  };
  const choose = async (person) => {
    assert.equal(await heading(), 'Who are you?');
    await page.locator(`button[name=person][value=${person}]`).click();
  };
  const leave = async () => {
    await page.getByRole('link', { name: 'Sign out' }).click();
    at('/.narthex/logout');
    assert.equal(await heading(), 'Sign out?');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL((to) => to.pathname === '/.narthex/logout');
    assert.equal(await heading(), 'You are signed out');
  };

  // 1. The first login: no account before, one afterwards.
  await page.goto(url);
  await shot('provider');
  await choose('ada');
  at('/');
  assert.equal(await text('#who'), 'Ada Example');
  assert.equal(await text('#stored-role'), 'user');
  assert.match(await text('#teams'), /developers/);
  assert.match(await text('#identity-headers'), /x-remote-user\s+ada/i);
  await shot('ada');
  const number = await text('main table td .dim');
  assert.match(number, /^number \d+$/);
  await page.getByRole('link', { name: 'Administration' }).click();
  assert.equal(await heading(), 'For administrators only');

  // What a page's script sees.
  const seen = await script(async () => (await fetch('/.narthex/session')).json());
  assert.deepEqual([seen.account.username, seen.role, seen.teams], ['ada', 'user', ['developers']]);

  // 2. Out, and in again: the same account.
  await page.getByRole('link', { name: 'Sign out' }).click();
  await shot('sign-out');
  await page.getByRole('link', { name: 'Stay' }).click();
  at('/');
  await leave();
  await shot('signed-out');
  await page.getByRole('link', { name: 'Sign in again' }).click();
  await choose('ada');
  assert.equal(await text('main table td .dim'), number);

  // 3. Bob's group is mapped to the administrators' role.
  await leave();
  await page.goto(new URL('/admin', url).href);
  await choose('bob');
  at('/admin');
  assert.equal(await heading(), 'Administration');
  assert.match(await text('table'), /ada@example\.com[\s\S]*bob@example\.com/);
  await shot('bob-admin');

  // 4. Carol's role is another in this session than in her account.
  await leave();
  await page.goto(url);
  await choose('carol');
  assert.deepEqual([await text('#stored-role'), await text('#session-role')], ['user', 'editor']);
  await shot('carol');
  await page.getByRole('link', { name: 'Editors' }).click();
  assert.equal(await heading(), 'The editors\' desk');

  // 5. A forged header, by a script of the page and by somebody who is not signed in.
  const forged = { 'X-Remote-User': 'root', 'X-Remote-Role': 'admin', 'X_Remote_User': 'root' };
  const whoami = await script(async (headers) => (await fetch('/whoami', { headers })).text(), forged);
  assert.match(whoami, /you are: carol\n$/);
  assert.equal(await script(async (headers) => (await fetch('/admin', { headers })).status, forged), 403);
  const stranger = await browser.newContext({ extraHTTPHeaders: forged });
  const other = await stranger.newPage();
  await other.goto(new URL('/whoami', url).href);
  assert.match(await other.locator('body').innerText(), /you are: nobody/);
  await stranger.close();

  // 6. Dave stays outside, and is told why.
  await leave();
  await page.goto(url);
  await choose('dave');
  assert.match(await text('main'), /deactivated[\s\S]*Error id: \S+/);
  await shot('dave');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.setViewportSize({ width: 390, height: 780 });
  await shot('dave-dark-phone');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false, 'no sideways scrolling on a phone');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1100, height: 800 });

  // 7. The keyboard alone will do: the one button is reached by Tab and pressed by Enter.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Sign in again');
  await shot('dave-focus');
  const id = await text('code');
  await page.keyboard.press('Enter');
  // The provider still knows him, so he is back at once, refused anew.
  await page.locator('code', { hasNotText: id }).waitFor();
  assert.match(await text('main'), /deactivated/);

  // 8. A page that is not there.
  await page.goto(`${own}/nope`);
  assert.equal(await heading(), 'Not found');
  await shot('not-found');

  // 9. Without a session nothing but what is public.
  assert.equal(await script(async () => (await fetch('/')).status), 401);
  assert.deepEqual(complaints, []);
  console.log(`as the guide says; ${count} screenshots in ${folder}`);
} finally {
  await browser.close();
}
