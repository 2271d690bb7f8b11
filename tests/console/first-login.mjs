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
let idp = '';
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
  const at = (path) => page.waitForURL(new URL(path, url).href);
  // A script of the application's, on its one page without a content security policy.
  const script = async (work, argument) => {
    const tab = await context.newPage();
    await tab.goto(new URL('/whoami', url).href);
    const result = await tab.evaluate(work, argument);
    await tab.close();
    return result;
  };
  const openId = 'Demo provider (OpenID Connect)';
  const saml = 'Demo provider (SAML)';
  const by = async (provider) => {
    assert.equal(await heading(), 'Sign in');
    await page.getByRole('link', { name: provider }).click();
  };
  const choose = async (person, provider = openId) => {
    await by(provider);
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    idp = new URL(page.url()).origin;
    await page.locator(`button[name=person][value=${person}]`).click();
  };
  const leave = async (back = '/.narthex/logout') => {
    await page.getByRole('link', { name: 'Sign out' }).click();
    await at('/.narthex/logout');
    assert.equal(await heading(), 'Sign out?');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    assert.equal(new URL(page.url()).origin + new URL(page.url()).pathname, new URL(back, url).href);
  };

  // 1. The first login: no account before, one afterwards.
  await page.goto(url);
  await shot('chooser');
  await by(openId);
  assert.equal(await heading(), 'Who are you?');
  await shot('provider');
  await page.goto(url);
  await choose('ada');
  await at('/');
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
  await at('/');
  await leave();
  await shot('signed-out');
  await page.getByRole('link', { name: 'Sign in again' }).click();
  await choose('ada');
  assert.equal(await text('main table td .dim'), number);

  // 3. By SAML: Bob's group is mapped to the administrators' role. The provider's form is posted from another site.
  await leave();
  const posts = [];
  const listening = (request) => {
    if (request.method() === 'POST' && request.url() === `${own}/saml/saml/acs`) posts.push(request.allHeaders());
  };
  page.on('request', listening);
  await page.goto(new URL('/admin?from=a#deep', url).href);
  await choose('bob', saml);
  await at('/admin?from=a');
  assert.equal(await heading(), 'Administration');
  assert.match(await text('table'), /ada@example\.com[\s\S]*bob@example\.com/);
  await shot('bob-admin');
  page.off('request', listening);
  const [post, ...more] = await Promise.all(posts);
  assert.equal(more.length, 0);
  assert.equal(post['sec-fetch-site'], 'cross-site');
  assert.equal(post.cookie, undefined, 'a cross-site POST has no Lax cookie');
  assert((await context.cookies(url)).every((cookie) => cookie.sameSite !== 'None'));

  // Signing out here ends the provider's session: it asks anew. Signing out there ends this one.
  await page.goto(url);
  await leave('/.narthex/saml/saml/slo');
  await shot('bob-signed-out');
  await page.goto(url);
  await choose('bob', saml);
  await at('/');
  await page.goto(idp);
  await page.locator('#sign-out').click();
  await page.locator('#told').waitFor();
  assert.match(await text('#told'), /^Signed out at /);
  assert.equal(new URL(page.url()).origin, idp);
  await shot('bob-signed-out-at-the-provider');
  await page.goto(url);
  assert.equal(await heading(), 'Sign in');

  // 4. Carol's role is another in this session than in her account.
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

  // 6. Ada's account is hers by OpenID Connect, and nobody's by SAML.
  await leave();
  await page.goto(url);
  await choose('ada', saml);
  await page.getByText('Error id:').waitFor();
  assert.equal(new URL(page.url()).origin, new URL(url).origin);
  await shot('ada-by-saml');
  await page.goto(idp);
  await page.locator('#sign-out').click();

  // 7. Dave stays outside, and is told why.
  await page.goto(url);
  await choose('dave');
  await page.getByText('Error id:').waitFor();
  assert.match(await text('main'), /deactivated[\s\S]*Error id: \S+/);
  await shot('dave');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.setViewportSize({ width: 390, height: 780 });
  await shot('dave-dark-phone');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false, 'no sideways scrolling on a phone');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1100, height: 800 });

  // 8. The keyboard alone will do: the one button is reached by Tab and pressed by Enter.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Sign in again');
  await shot('dave-focus');
  const id = await text('code');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: openId }).waitFor();
  // From the field for the address by way of its button.
  for (const next of ['Continue', openId]) {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), next);
  }
  await page.keyboard.press('Enter');
  // The provider still knows him, so he is back at once, refused anew.
  await page.locator('code', { hasNotText: id }).waitFor();
  assert.match(await text('main'), /deactivated/);

  // 9. A page that is not there.
  await page.goto(`${own}/nope`);
  assert.equal(await heading(), 'Not found');
  await shot('not-found');

  // 10. Without a session nothing but what is public.
  assert.equal(await script(async () => (await fetch('/')).status), 401);
  assert.deepEqual(complaints, []);
  console.log(`as the guide says; ${count} screenshots in ${folder}`);
} finally {
  await browser.close();
}
