// Reads the Prometheus text format of /metrics: what a route was asked, how often it failed, how long it took.
export interface RouteNumbers {
  method: string;
  route: string;
  requests: number;
  refused: number;
  failed: number;
  meanMs: number;
  p50Ms: number;
  p99Ms: number;
}

interface Sample { name: string; labels: Record<string, string>; value: number }

export function samples(text: string): Sample[] {
  const lines = text.split('\n').filter(line => line && !line.startsWith('#'));
  return lines.flatMap(line => {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) return [];
    const labels = Object.fromEntries([...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(label => [label[1] ?? '', label[2] ?? '']));
    return [{ name: match[1] ?? '', labels, value: Number(match[3]) }];
  });
}

/** The value below which a share of the observations lie, linear within its bucket; in the buckets' unit. */
export function quantile(buckets: [bound: number, below: number][], share: number): number {
  const total = buckets.at(-1)?.[1] ?? 0;
  let before: [number, number] = [0, 0];
  for (const [bound, below] of buckets) {
    if (below >= share * total && below > before[1]) {
      if (!Number.isFinite(bound)) return before[0];
      return before[0] + (bound - before[0]) * ((share * total - before[1]) / (below - before[1]));
    }
    before = [bound, below];
  }
  return 0;
}

interface Counted { method: string; route: string; statuses: Map<number, number>; buckets: [bound: number, below: number][]; sum: number }

export function routes(text: string): RouteNumbers[] {
  const found = new Map<string, Counted>();
  for (const { name, labels, value } of samples(text)) {
    if (!labels.route || !name.startsWith('merx_http_request')) continue;
    const key = `${labels.method} ${labels.route}`;
    const one: Counted = found.get(key) ?? { method: labels.method ?? '', route: labels.route, statuses: new Map(), buckets: [], sum: 0 };
    found.set(key, one);
    if (name === 'merx_http_requests_total') one.statuses.set(Number(labels.status), value);
    if (name === 'merx_http_request_seconds_bucket') one.buckets.push([labels.le === '+Inf' ? Infinity : Number(labels.le), value]);
    if (name === 'merx_http_request_seconds_sum') one.sum = value;
  }
  return [...found.values()].map(({ method, route, statuses, buckets, sum }) => {
    const of = (from: number, to: number) => [...statuses].reduce((total, [status, count]) => total + (status >= from && status < to ? count : 0), 0);
    const requests = of(0, 1_000);
    return {
      method, route, requests, refused: of(400, 500), failed: of(500, 600), meanMs: requests ? (1_000 * sum) / requests : 0,
      p50Ms: 1_000 * quantile(buckets, 0.5), p99Ms: 1_000 * quantile(buckets, 0.99),
    };
  });
}

export function value(text: string, name: string): number {
  return samples(text).filter(sample => sample.name === name).reduce((total, sample) => total + sample.value, 0);
}
