// Minor units and major ones. The digits are those of ISO 4217, as the server counts; what `Intl` gives are the digits that are
// usual on price tags (forints without fillér), which is another thing.

import type { Money } from './types';

const DIGITS: [number, string][] = [
  [0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'],
  [3, 'BHD IQD JOD KWD LYD OMR TND'],
  [4, 'CLF UYW'],
];

/** In major units, as prices of events are told: 18.99 of 1899 euro cents, 1200 of 1200 yen. */
export function major({ minor, currency }: Money): number {
  const digits = DIGITS.find(([, currencies]) => currencies.includes(currency.toUpperCase()))?.[0] ?? 2;
  return minor / 10 ** digits;
}
