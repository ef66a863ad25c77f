// A browser that is watched: what it asks of other hosts, and what its console complains of.
import puppeteer from 'puppeteer-core';

const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium';

export async function launch() {
  return puppeteer.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] });
}

/** A page that can reach only these origins; `troubles` grows with everything that went wrong on it. */
export async function watchedPage(browser, origins) {
  const page = await browser.newPage();
  const troubles = [];
  await page.setRequestInterception(true);
  page.on('request', request => {
    const own = [...origins, 'data:'].some(origin => request.url().startsWith(origin));
    if (own) return request.continue();
    troubles.push(`asks ${request.url()}`);
    return request.abort();
  });
  page.on('console', message => { if (['error', 'warn'].includes(message.type())) troubles.push(`console: ${message.text()}`); });
  page.on('pageerror', error => troubles.push(`error: ${error.message}`));
  // A page that is left, or asks anew, gives its requests up: that is no failure.
  page.on('requestfailed', request => { if (request.failure()?.errorText !== 'net::ERR_ABORTED') troubles.push(`failed: ${request.url()}`); });
  return { page, troubles };
}
