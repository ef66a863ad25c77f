// Elements without markup in strings.

type Child = Node | string | null | undefined | false;
type Properties = Record<string, string | number | boolean | ((event: any) => void) | null | undefined>;

export function h(tag: string, properties: Properties = {}, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;

let toastTimer: ReturnType<typeof setTimeout>;
export function toast(text: string): void {
  const place = byId('toast');
  place.textContent = text;
  place.classList.add('on');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.classList.remove('on'), 2600);
}
