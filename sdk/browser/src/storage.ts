// Where the library keeps things: localStorage under one prefix, or memory where a browser refuses it.

const PREFIX = 'merx.';

export interface Store {
  get<T>(name: string): T | undefined;
  set(name: string, value: unknown): void;
  remove(name: string): void;
}

export function memoryStore(): Store {
  const kept = new Map<string, string>();
  return overTexts(name => kept.get(name) ?? null, (name, text) => void kept.set(name, text), name => void kept.delete(name));
}

/** Private windows and full disks throw: what can't be kept is forgotten, and nobody is bothered. */
export function browserStore(area: 'localStorage' | 'sessionStorage' = 'localStorage'): Store {
  try {
    const storage = window[area];
    storage.setItem(PREFIX + 'probe', '1');
    storage.removeItem(PREFIX + 'probe');
    return overTexts(name => storage.getItem(name), (name, text) => storage.setItem(name, text), name => storage.removeItem(name));
  } catch {
    return memoryStore();
  }
}

function overTexts(read: (name: string) => string | null, write: (name: string, text: string) => void, drop: (name: string) => void): Store {
  return {
    get(name) {
      try {
        return JSON.parse(read(PREFIX + name) ?? 'null') ?? undefined;
      } catch {
        return undefined;
      }
    },
    set(name, value) {
      try { write(PREFIX + name, JSON.stringify(value)); } catch { /* full: the next start is without it */ }
    },
    remove(name) {
      try { drop(PREFIX + name); } catch { /* nothing was kept */ }
    },
  };
}
