// Elements. Text is only ever set as text, so nothing that the document says can become markup.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat().filter(child => child !== undefined && child !== null && child !== false));
  return node;
}

/** Words with `code` between. */
export const prose = text => (text || '').split('`').map((part, place) => (place % 2 ? el('code', {}, part) : part));

/** JSON with names and texts in colours. */
export function coloured(json) {
  const parts = [];
  let end = 0;
  for (const match of json.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) {
    const text = match[1] ? match[0].slice(0, -match[1].length) : match[0];
    parts.push(json.slice(end, match.index), el('span', { class: match[1] ? 'name' : 'text' }, text));
    end = match.index + text.length;
  }
  return [...parts, json.slice(end)];
}

/** A block of code with a caption and a button that copies it. */
export function listing(caption, text, json = false) {
  const copy = el('button', { type: 'button', onclick: async () => {
    await navigator.clipboard?.writeText(text);
    copy.textContent = 'Copied';
    setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
  } }, 'Copy');
  return el('figure', {}, el('figcaption', {}, el('span', {}, caption), copy),
    el('pre', { tabindex: 0 }, ...(json ? coloured(text) : [text])));
}
