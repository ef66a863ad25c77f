// The e-commerce vocabulary of the Segment specification, typed. Other names are custom events.

export interface LineItem {
  product_id: string;
  variant?: string;
  name?: string;
  quantity?: number;
  /** In major units, as the specification says. */
  price?: number;
  position?: number;
  /** The decision that led to this line; the library names it by itself. The order's own `decision_id` stands for all of its lines. */
  decision_id?: string;
}

interface Attributed { decision_id?: string }
export interface ProductEvent extends LineItem { currency?: string; slot?: string }
export interface OrderEvent extends Attributed {
  order_id: string;
  products: LineItem[];
  total?: number;
  revenue?: number;
  shipping?: number;
  tax?: number;
  currency?: string;
  coupon?: string;
}
export interface ListEvent extends Attributed { products: LineItem[]; list_id?: string; slot?: string }
export interface CartEvent extends Attributed { cart_id?: string; products: LineItem[] }

export interface Events {
  'Product Viewed': ProductEvent;
  'Product Clicked': ProductEvent;
  'Product Added': ProductEvent;
  'Product Removed': ProductEvent;
  'Product Added to Wishlist': ProductEvent;
  'Product List Viewed': ListEvent;
  'Recommendation Shown': ListEvent;
  'Products Searched': Attributed & { query: string };
  'Cart Viewed': CartEvent;
  'Checkout Started': CartEvent & { value?: number; currency?: string };
  'Order Completed': OrderEvent;
}

export type EventName = keyof Events;
