// What the widgets say, in the page's language; a shop adds others or its own words with `addWords`.

export interface Words {
  search: string; clear: string; suggestions: string; products: string; categories: string; noResults: string; results: (count: number) => string;
  showing: (text: string) => string; filters: string; sort: string; relevance: string; cheapest: string; dearest: string; newest: string;
  more: string; priceTo: string; inStock: string; add: string; addAll: (count: number) => string; added: string; total: string;
  previous: string; next: string; soldOut: string; tellMe: string; willTell: string; back: (name: string) => string; dismiss: string;
  chat: string; message: string; send: string; close: string;
  headings: Record<string, string>;
}

const en: Words = {
  search: 'Search', clear: 'Clear', suggestions: 'Suggestions', products: 'Products', categories: 'Categories', noResults: 'Nothing found. Try fewer or other words.',
  results: count => `${count} ${count === 1 ? 'product' : 'products'}`, showing: text => `Showing results for “${text}”`, filters: 'Filters', sort: 'Sort by',
  relevance: 'Relevance', cheapest: 'Price, low to high', dearest: 'Price, high to low', newest: 'Newest', more: 'Show more', priceTo: 'Price up to', inStock: 'In stock only',
  add: 'Add to basket', addAll: count => `Add all ${count} to basket`, added: 'Added', total: 'Together', previous: 'Back', next: 'Forward', soldOut: 'Sold out',
  tellMe: 'Tell me when it is back', willTell: 'We will show it here when it is back', back: name => `${name} is back in stock`, dismiss: 'Dismiss',
  chat: 'Ask us', message: 'Your question', send: 'Send', close: 'Close',
  headings: { for_you: 'Picked for you', similar: 'You may also like', bought_together: 'Often bought together', complete_basket: 'Goes with your basket', continue_session: 'Where you left off', upsell: 'A step up', trending: 'Trending now', popular: 'Popular', new: 'New in', buy_again: 'Time for more', recently_viewed: 'Recently viewed' },
};

const de: Words = {
  search: 'Suchen', clear: 'Löschen', suggestions: 'Vorschläge', products: 'Produkte', categories: 'Kategorien', noResults: 'Nichts gefunden. Versuchen Sie weniger oder andere Wörter.',
  results: count => `${count} ${count === 1 ? 'Produkt' : 'Produkte'}`, showing: text => `Ergebnisse für „${text}“`, filters: 'Filter', sort: 'Sortieren',
  relevance: 'Relevanz', cheapest: 'Preis aufsteigend', dearest: 'Preis absteigend', newest: 'Neueste', more: 'Mehr zeigen', priceTo: 'Preis bis', inStock: 'Nur vorrätige',
  add: 'In den Warenkorb', addAll: count => `Alle ${count} in den Warenkorb`, added: 'Hinzugefügt', total: 'Zusammen', previous: 'Zurück', next: 'Weiter', soldOut: 'Ausverkauft',
  tellMe: 'Sagt mir, wenn es wieder da ist', willTell: 'Wir zeigen es hier, sobald es wieder da ist', back: name => `${name} ist wieder da`, dismiss: 'Ausblenden',
  chat: 'Fragen Sie uns', message: 'Ihre Frage', send: 'Senden', close: 'Schließen',
  headings: { for_you: 'Für Sie ausgesucht', similar: 'Ähnliches', bought_together: 'Oft zusammen gekauft', complete_basket: 'Passt zum Warenkorb', continue_session: 'Da waren Sie stehen geblieben', upsell: 'Eine Stufe besser', trending: 'Gerade gefragt', popular: 'Beliebt', new: 'Neu', buy_again: 'Zeit für Nachschub', recently_viewed: 'Zuletzt angesehen' },
};

const ar: Words = {
  search: 'بحث', clear: 'مسح', suggestions: 'اقتراحات', products: 'منتجات', categories: 'أقسام', noResults: 'لا توجد نتائج. جرّب كلمات أخرى.',
  results: count => `${count} منتج`, showing: text => `نتائج البحث عن «${text}»`, filters: 'تصفية', sort: 'ترتيب',
  relevance: 'الأنسب', cheapest: 'السعر تصاعديًا', dearest: 'السعر تنازليًا', newest: 'الأحدث', more: 'عرض المزيد', priceTo: 'السعر حتى', inStock: 'المتوفر فقط',
  add: 'أضف إلى السلة', addAll: count => `أضف الكل (${count})`, added: 'أُضيف', total: 'المجموع', previous: 'السابق', next: 'التالي', soldOut: 'نفد',
  tellMe: 'أخبرني عند توفره', willTell: 'سنعرضه هنا عند توفره', back: name => `${name} متوفر من جديد`, dismiss: 'إخفاء',
  chat: 'اسألنا', message: 'سؤالك', send: 'إرسال', close: 'إغلاق',
  headings: { for_you: 'مختار لك', similar: 'قد يعجبك أيضًا', bought_together: 'يُشترى معًا', complete_basket: 'يناسب سلتك', continue_session: 'تابع من حيث توقفت', upsell: 'خيار أفضل', trending: 'الأكثر رواجًا', popular: 'الأكثر شعبية', new: 'وصل حديثًا', buy_again: 'حان وقت المزيد', recently_viewed: 'شوهد مؤخرًا' },
};

const known: Record<string, Words> = { en, de, ar };

/** Adds a language, or replaces words of one. */
export function addWords(language: string, words: Partial<Words>): void {
  known[language] = { ...(known[language] ?? en), ...words };
}

export const wordsOf = (element: Element): Words => known[languageOf(element).slice(0, 2)] ?? en;
export const languageOf = (element: Element): string => (element.closest('[lang]') ?? document.documentElement).getAttribute('lang') || 'en';
