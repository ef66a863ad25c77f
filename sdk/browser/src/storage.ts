// Where the library keeps things: localStorage under one prefix, or memory where a browser refuses it.

export const PREFIX = 'merx.';

export interface Store {
  get<T>(name: string): T | undefined;
  set(name: string, value: unknown): void;
  remove(name: string): void;
  names(): string[];
}

/** What is the shopper's own: kept while that is allowed, else for as long as the page. */
export class PersonalStore implements Store {
  #page = memoryStore();

  constructor(private disk: Store, private mayKeep: () => boolean) {}

  get<T>(name: string): T | undefined {
    return this.#page.get<T>(name) ?? this.disk.get<T>(name);
  }

  set(name: string, value: unknown): void {
    if (!this.mayKeep()) return this.#page.set(name, value);
    this.disk.set(name, value);
    this.#page.remove(name);
  }

  remove(name: string): void {
    this.#page.remove(name);
    this.disk.remove(name);
  }

  names(): string[] {
    return [...new Set([...this.#page.names(), ...this.disk.names()])];
  }

  /** Called when consent comes: what the page held is kept from now on. */
  keep(): void {
    for (const name of this.#page.names()) this.set(name, this.#page.get(name));
  }
}

export function memoryStore(): Store {
  const kept = new Map<string, string>();
  return overTexts(name => kept.get(name) ?? null, (name, text) => void kept.set(name, text), name => void kept.delete(name), () => [...kept.keys()]);
}

/** Private windows and full disks throw: what can't be kept is forgotten, and nobody is bothered. */
export function browserStore(area: 'localStorage' | 'sessionStorage' = 'localStorage'): Store {
  try {
    const storage = window[area];
    storage.setItem(PREFIX + 'probe', '1');
    storage.removeItem(PREFIX + 'probe');
    return overTexts(name => storage.getItem(name), (name, text) => storage.setItem(name, text), name => storage.removeItem(name), () => Object.keys(storage));
  } catch {
    return memoryStore();
  }
}

function overTexts(read: (name: string) => string | null, write: (name: string, text: string) => void, drop: (name: string) => void, all: () => string[]): Store {
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
    names() {
      try { return all().filter(name => name.startsWith(PREFIX)).map(name => name.slice(PREFIX.length)); } catch { return []; }
    },
  };
}
