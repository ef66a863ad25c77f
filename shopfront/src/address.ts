// Addresses of the shop, as the browser shows them and as they are meant.

export const BASE = '/shop/';

/** A path as it was meant; one that means nothing (`%zz`) stays as it is. */
export function decoded(path: string): string {
  try { return decodeURIComponent(path); } catch { return path; }
}

/** Where a path leads, and what its pattern holds, decoded once: a slash or a percent sign may be part of a name. */
export function route<T>(places: readonly (readonly [RegExp, T])[], pathname: string): { to: T; rest: string } | undefined {
  const path = pathname.slice(BASE.length).replace(/\/$/, '');
  for (const [pattern, to] of places) {
    const match = pattern.exec(path);
    if (match) return { to, rest: decoded(match[1] ?? '') };
  }
  return undefined;
}
