import { expect, it } from 'vitest';
import { quantile, routes, value } from './metrics';

const TEXT = `# HELP merx_http_requests_total Requests
merx_http_requests_total{method="GET",route="/v1/search",status="200"} 98
merx_http_requests_total{method="GET",route="/v1/search",status="503"} 2
merx_http_request_seconds_bucket{method="GET",route="/v1/search",le="0.001"} 50
merx_http_request_seconds_bucket{method="GET",route="/v1/search",le="0.1"} 100
merx_http_request_seconds_bucket{method="GET",route="/v1/search",le="+Inf"} 100
merx_http_request_seconds_sum{method="GET",route="/v1/search"} 0.2
merx_events_total{outcome="accepted"} 3
merx_events_total{outcome="duplicate"} 4
`;

it('reads what a route was asked and how it did', () => {
  expect(routes(TEXT)).toEqual([{ method: 'GET', route: '/v1/search', requests: 100, refused: 0, failed: 2, meanMs: 2, p50Ms: 1, p99Ms: expect.closeTo(98.02, 1) }]);
});
it('adds up a family', () => expect(value(TEXT, 'merx_events_total')).toBe(7));
it('knows no quantile of nothing', () => expect(quantile([[1, 0], [Infinity, 0]], 0.5)).toBe(0));
it('does not guess beyond the last bound', () => expect(quantile([[1, 1], [Infinity, 10]], 0.99)).toBe(1));
