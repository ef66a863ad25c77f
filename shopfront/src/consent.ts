// The question that comes first, and the switches of the account page.

import type { Consent, Merx, Purpose } from '../../sdk/browser/src/index';
import { h } from './dom';

const PURPOSES: [Purpose, string, string][] = [
  ['analytics', 'Measuring', 'Which pages and products are looked at, under a random number, so that the shop can be made better.'],
  ['personalisation', 'Personal shelves', 'What you look at and buy decides what you are shown next.'],
  ['marketing', 'Marketing', 'Letters and offers that fit you.'],
  ['sale_sharing', 'Sharing with others', 'This shop shares nothing. The switch is here because the law of some places asks for it.'],
];
const ALL: Consent = { analytics: true, personalisation: true, marketing: true };
const NONE: Consent = { analytics: false, personalisation: false, marketing: false, sale_sharing: false };

export function askOnce(merx: Merx): void {
  if (merx.consent.answered) return;
  const say = (consent: Consent) => () => { merx.consent.set(consent); box.remove(); };
  const box = h('section', { id: 'consent', 'aria-labelledby': 'consent-title' },
    h('h2', { id: 'consent-title' }, 'May this shop learn from your visit?'),
    h('p', {}, 'If you agree, what you look at decides what you see next, and is counted under a random number. If not, everybody\'s shop is yours too. You can change it any time in your account.'),
    h('div', { class: 'row' }, h('button', { class: 'button', onclick: say(ALL) }, 'Yes, learn'), h('button', { class: 'button', onclick: say(NONE) }, 'No, only what is needed'),
      h('a', { class: 'button plain', href: '/shop/account', onclick: () => box.remove() }, 'Choose')));
  document.body.append(box);
}

export function switches(merx: Merx): HTMLElement {
  const rows = PURPOSES.map(([purpose, name, words]) => {
    const refused = purpose === 'sale_sharing' && merx.consent.gpc;
    return h('label', { class: 'toggle' }, h('span', {}, h('strong', {}, name), h('br'), h('span', { class: 'quiet' }, refused ? 'Your browser says no (Global Privacy Control); that counts.' : words)),
      h('input', { type: 'checkbox', role: 'switch', name: purpose, checked: merx.consent.allows(purpose), disabled: refused,
        onchange: (event: Event) => merx.consent.set({ [purpose]: (event.target as HTMLInputElement).checked }) }));
  });
  return h('div', {}, ...rows);
}
