// Elements without markup in strings, as the widgets make them, and small things about the page.

export { h } from '../../sdk/browser/src/widgets/index';

export const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;

let toastTimer: ReturnType<typeof setTimeout>;
export function toast(text: string): void {
  const place = byId('toast');
  place.textContent = text;
  place.classList.add('on');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.classList.remove('on'), 2600);
}
