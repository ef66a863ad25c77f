// Addresses: /console/PAGE?what=is&looked=at. Everything that a page shows can be linked to.
const BASE = '/console';

interface Route { page: string; query: Record<string, string> }

function read(): Route {
  const page = location.pathname.slice(BASE.length).replace(/^\/|\/$/g, '');
  return { page, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

let current = $state.raw<Route>(read());
addEventListener('popstate', () => { current = read(); });

/** Whether somebody has gone from one page to another: the first one is read from the browser's own beginning. */
let moved = false;
/** Changes only with the page itself, not with what it looks at. */
const page = $derived(current.page);

export const route = {
  get page() { return page; },
  get moved() { return moved; },
  get query() { return current.query; },
};

export function link(page: string, query: Record<string, string | number | undefined> = {}): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string | number] => pair[1] !== undefined && pair[1] !== '');
  const search = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return BASE + (page ? `/${page}` : '') + (search ? `?${search}` : '');
}

export function go(url: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push') history.pushState(null, '', url);
  else history.replaceState(null, '', url);
  const before = current.page;
  current = read();
  if (how === 'push' && before !== current.page) {
    moved = true;
    scrollTo(0, 0);
  }
}

/** Changes what this page looks at, without a new entry in the history. */
export function look(query: Record<string, string | number | undefined>): void {
  go(link(current.page, { ...current.query, ...query }), 'replace');
}

/** Links of the console are followed without loading it again. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const anchor = (event.target as Element).closest('a');
  if (!anchor || anchor.target || anchor.hasAttribute('download') || anchor.origin !== location.origin) return;
  if (anchor.pathname !== BASE && !anchor.pathname.startsWith(`${BASE}/`)) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}
