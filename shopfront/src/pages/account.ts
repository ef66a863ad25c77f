// The account: who you are to the shop, what you allow, and why you saw what you saw.

import { switches } from '../consent';
import { h, toast } from '../dom';
import type { Note } from '../../../sdk/browser/src/index';
import type { Page } from '../shop';

export const account: Page = ({ merx, go }, main) => {
  const why = h('ul', { class: 'why' });
  const seen: string[] = [];
  const stop = merx.listen((note: Note) => {
    if (note.kind !== 'decision' || note.of.startsWith('search') || note.of.startsWith('hero')) return;
    for (const item of note.items.slice(0, 3)) {
      const words = item.reasons[0]?.words;
      if (!words || seen.includes(item.product_id) || why.children.length >= 24) continue;
      seen.push(item.product_id);
      why.prepend(h('li', {}, item.image ? h('img', { src: item.image, alt: '', width: 56, height: 56, loading: 'lazy' }) : h('span'),
        h('div', {}, h('a', { href: item.url }, item.name), h('div', { class: 'quiet' }, words, ' · decision ', h('code', {}, note.answer.decision_id.slice(0, 12))))));
    }
  });
  const enter = (event: Event): void => {
    event.preventDefault();
    merx.identify(String(new FormData(event.target as HTMLFormElement).get('user')));
    toast('Signed in');
    void account({ merx, go, lang: 'en' }, main, '', new URLSearchParams());
  };
  const leave = (): void => {
    merx.reset();
    toast('Signed out: the next visit is a stranger\'s');
    go('/shop/account');
  };
  main.replaceChildren(h('h1', {}, 'Your account'), h('div', { class: 'split' },
    h('div', { class: 'box' }, h('h2', {}, 'What this shop may do'), switches(merx)),
    h('div', { class: 'box' }, h('h2', {}, merx.user ? 'You are signed in' : 'Sign in'),
      merx.user
        ? h('div', {}, h('p', {}, 'As ', h('code', {}, merx.user)), h('button', { class: 'button plain', onclick: leave }, 'Sign out'))
        : h('form', { class: 'fields', onsubmit: enter }, h('label', { class: 'wide' }, 'A name of your choice; there are no passwords here', h('input', { name: 'user', required: true, autocomplete: 'username' })), h('button', { class: 'button wide' }, 'Sign in')),
      h('p', { class: 'quiet' }, 'This browser is visitor ', h('code', {}, merx.visitor.slice(0, 12)), merx.consent.allows('analytics') ? ', kept for thirteen months at most.' : ', until you close this page.'),
      h('button', { class: 'button plain', onclick: leave }, 'Forget me in this browser'))),
    h('section', {}, h('h2', {}, 'Why am I seeing this?'), h('p', { class: 'quiet' }, 'What was recommended during this visit, newest first, and the reason for each.'), why,
      why.children.length ? null : h('p', {}, 'Nothing yet. Look around, then come back.')));
  return stop;
};
