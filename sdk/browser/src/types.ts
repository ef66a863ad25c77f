// The words of the API that a page meets. Names and shapes are those of openapi/merx.json.

export interface Money {
  /** In the currency's minor units: 1899 of EUR is 18.99 €. */
  minor: number;
  /** ISO 4217. */
  currency: string;
}

export interface Reason {
  type: string;
  /** As a shopper reads it. */
  words: string;
  product_id?: string;
  weight?: number;
}

/** A product as a decision shows it. */
export interface Item {
  product_id: string;
  name: string;
  price?: Money | null;
  url?: string | null;
  image?: string | null;
  score: number;
  reasons: Reason[];
}

export interface SlotRequest {
  /** A scenario (for_you, similar, bought_together, ..) or the name of a configured slot. */
  scenario: string;
  name?: string;
  count?: number;
  products?: string[];
  exclude?: string[];
  filter?: string;
  diversity?: number;
  /** What the products are to bring: what is taken up most likely (the default), or most revenue. */
  goal?: 'interest' | 'revenue';
  after?: string;
}

/** What every answer says of its decision. `stale` is set here, where the answer is the last good one, kept for when Merx is away. */
export interface Decided {
  decision_id: string;
  fallback: string;
  arm: string;
  model?: { name: string; version: number } | null;
  latency_us: number;
  stale?: boolean;
}

export interface Recommended extends Decided {
  slots: { name: string; items: Item[] }[];
}

/** A part of a page: a banner, a row of products. A fixed one stands at its place whatever is learnt. */
export interface LayoutBlock { id: string; fixed?: boolean }

export interface LaidOut extends Decided {
  page: string;
  /** How likely this order was. */
  propensity: number;
  blocks: { id: string; score: number; chance: number; reason: { type: string; words: string } }[];
}

export interface Hit extends Item {
  name_parts: { text: string; hit: boolean }[];
  brand?: string | null;
  category_path: string[];
  in_stock: boolean;
}

export interface Facet {
  field: string;
  values: { value: string | number | boolean; count: number }[];
  distinct: number;
  statistics?: { min: number; max: number; mean: number; sum: number };
}

export interface SearchRequest {
  query?: string;
  filter?: string;
  refinements?: { field: string; filter: string }[];
  facets?: string[];
  facet_values?: number;
  offset?: number;
  count?: number;
  sort?: { field: string; descending?: boolean }[];
  category?: string;
  unfinished?: boolean;
}

export interface Found extends Decided {
  hits: Hit[];
  total: number;
  facets: Facet[];
  searched_for?: string;
  redirect?: string;
  steps: { type: string; words: string }[];
  banners: string[];
  rules: string[];
}

export interface Suggestion {
  type: 'query' | 'product' | 'category' | 'brand';
  text: string;
  weight: number;
  /** The visitor searched for it before, or leans to it. */
  personal: boolean;
  product_id?: string;
  url?: string;
  image?: string;
  price?: Money;
}

export type AttributeValue = string | number | boolean | string[];

/** A product as any shopper may see it: no cost, no stock figures. */
export interface ShopProduct {
  id: string;
  name: string;
  description: string;
  brand?: string | null;
  category_path: string[];
  attributes: Record<string, AttributeValue>;
  images: string[];
  url?: string | null;
  price?: Money | null;
  /** The price before a reduction. */
  list_price?: Money | null;
  in_stock: boolean;
  variants: ShopVariant[];
}

export interface ShopVariant {
  id: string;
  attributes: Record<string, AttributeValue>;
  images: string[];
  price?: Money | null;
  list_price?: Money | null;
  /** `out`, `few` or `plenty`. */
  stock: 'out' | 'few' | 'plenty';
}

/** Purposes that a shopper allows or refuses; `necessary` needs no consent. */
export type Purpose = 'analytics' | 'personalisation' | 'marketing' | 'sale_sharing';
/** True grants, false refuses, absent says nothing. */
export type Consent = Partial<Record<Purpose, boolean>>;
