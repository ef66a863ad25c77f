// The web components. `import '@merx/browser/widgets'`, then `useMerx(createMerx({ .. }))`.

import { Bundle, RecentlyViewed, Recommendations, Trending } from './recommendations';
import { Debug, offerDebug } from './debug';
import { define, useMerx as use } from './element';
import { BackInStock, Chat } from './notices';
import { Results } from './results';
import { SearchBox } from './search-box';
import type { Merx } from '../index';

export { addWords, type Words } from './words';
export { formatMoney, h, MerxElement } from './element';
export { BackInStock, Bundle, Chat, Debug, RecentlyViewed, Recommendations, Results, SearchBox, Trending };

define('merx-recommendations', Recommendations);
define('merx-trending', Trending);
define('merx-recently-viewed', RecentlyViewed);
define('merx-bundle', Bundle);
define('merx-search-box', SearchBox);
define('merx-results', Results);
define('merx-back-in-stock', BackInStock);
define('merx-chat', Chat);
define('merx-debug', Debug);

export function useMerx(merx: Merx): void {
  use(merx);
  offerDebug();
}
